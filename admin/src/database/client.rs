//! Connecting, and one way to ask: each query answers rows as JSON objects, read into a struct that names what it wants.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use bb8_postgres::PostgresConnectionManager;
use pg_pitcrew_checks::{Finding, Thresholds, checks, plain};
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::types::ToSql;
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::{DatabaseError, QueryError};
use super::kept::Kept;
use crate::BuildError;

type Manager = PostgresConnectionManager<MakeRustlsConnect>;

/// Connections of the admin router's own; it never takes one from the app's pool.
const CONNECTIONS: u32 = 3;
/// How long a route waits for a connection.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the server may work on one query of ours: `statement_timeout`.
pub(super) const STATEMENT_TIMEOUT: Duration = Duration::from_secs(20);
/// What is known of whether the server answers is at most so old.
const PROBE_AGE: Duration = Duration::from_secs(2);

/// A row of a report as the extension would have it.
fn finding(row: &Finding) -> serde_json::Value {
    let json = |text: &Option<String>| {
        let text = text.as_deref()?;
        serde_json::from_str::<serde_json::Value>(text).ok()
    };
    serde_json::json!({
        "check": row.check, "severity": row.severity, "object": row.object, "title": row.title, "detail": row.detail,
        "evidence": json(&row.evidence), "fix_sql": row.fix_sql, "fix_job": json(&row.fix_job),
        "confidence": row.confidence, "cache_key": row.cache_key,
    })
}

/// The admin router's own few connections.
pub(crate) struct Database {
    pool: bb8::Pool<Manager>,
    /// What the sessions of the database had done when we looked first.
    pub(super) first_pool_sample: std::sync::Mutex<Option<(Instant, serde_json::Value)>>,
    /// For the one connection that is held as long as a cycle.
    pub(super) apart: (Config, MakeRustlsConnect),
    /// When no connection could be had last: until [`PROBE_AGE`] later nobody waits for another.
    failed: std::sync::Mutex<Option<Instant>>,
    probed: Mutex<Option<(Instant, Result<(), DatabaseError>)>>,
    /// How often a connection was taken, for one query or for several.
    asked: AtomicU64,
    pub(super) kept: Kept,
    /// Held from the look for a twin to the submission of a job.
    pub(super) submitting: Mutex<()>,
}

impl fmt::Debug for Database {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Nothing of the address.
        formatter.debug_struct("Database").finish_non_exhaustive()
    }
}

impl Database {
    /// Checks the address. Nothing is connected before the first query.
    pub(crate) fn new(url: &str) -> Result<Self, BuildError> {
        let mut config: Config = url
            .parse()
            .map_err(|error| BuildError::DatabaseUrl(format!("{error}")))?;
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(BuildError::DatabaseUrl("it names no host".to_owned()));
        }
        // libpq's `prefer` does not verify the server, so it protects from nobody: here a connection is either plain
        // or, with `sslmode=require`, encrypted and verified against the system's roots.
        if config.get_ssl_mode() == SslMode::Prefer {
            config.ssl_mode(SslMode::Disable);
        }
        config
            .connect_timeout(CONNECT_TIMEOUT)
            .application_name("pitcrew-admin");
        // Times are told in UTC, whatever the database's own zone is.
        let timeout = format!(
            "-c statement_timeout={} -c timezone=UTC",
            STATEMENT_TIMEOUT.as_millis()
        );
        let options = config
            .get_options()
            .map_or(timeout.clone(), |given| format!("{timeout} {given}"));
        config.options(&options);
        let is_tls = config.get_ssl_mode() != SslMode::Disable
            && config
                .get_hosts()
                .iter()
                .any(|host| matches!(host, Host::Tcp(_)));
        let tls = tls(is_tls)?;
        let apart = (config.clone(), tls.clone());
        let manager = PostgresConnectionManager::new(config, tls);
        let pool = bb8::Pool::builder()
            .max_size(CONNECTIONS)
            .min_idle(Some(0))
            .connection_timeout(CONNECT_TIMEOUT)
            .retry_connection(false)
            .build_unchecked(manager);
        Ok(Self {
            pool,
            first_pool_sample: std::sync::Mutex::default(),
            apart,
            failed: std::sync::Mutex::default(),
            probed: Mutex::new(None),
            asked: AtomicU64::new(0),
            kept: Kept::new(),
            submitting: Mutex::new(()),
        })
    }

    /// How often the router has asked the database something.
    pub(crate) fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// Whether the server answers; asked at most once in two seconds, whoever wants to know.
    pub(crate) async fn probe(&self) -> Result<(), DatabaseError> {
        let mut probed = self.probed.lock().await;
        if let Some((at, known)) = probed.as_ref()
            && at.elapsed() < PROBE_AGE
        {
            return known.clone();
        }
        let found = self
            .rows::<serde_json::Value>("SELECT 1 AS one", &[])
            .await
            .map(|_| ());
        // Slow answers of ours hold up nobody's health.
        let found = match found {
            Err(DatabaseError::Busy) => self.answers_apart().await,
            found => found,
        };
        *probed = Some((Instant::now(), found.clone()));
        found
    }

    /// Whether the server takes a connection beside ours, and answers on it.
    async fn answers_apart(&self) -> Result<(), DatabaseError> {
        let (config, tls) = &self.apart;
        let asking = async {
            let (client, connection) = config.connect(tls.clone()).await?;
            let connection = async {
                // Its end is the client's to tell.
                let _ = connection.await;
                std::future::pending::<()>().await;
            };
            tokio::select! {
                answer = client.simple_query("SELECT 1") => answer.map(drop),
                () = connection => Ok(()),
            }
        };
        match tokio::time::timeout(CONNECT_TIMEOUT, asking).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(DatabaseError::Unreachable),
        }
    }

    /// What the checks find that is `critical` or a warning, the worst first: by the extension, else over this connection.
    pub(crate) async fn findings(&self) -> Result<Vec<serde_json::Value>, DatabaseError> {
        let found = self.rows(include_str!("sql/findings.sql"), &[]).await;
        let Err(DatabaseError::NoExtension) = found else {
            return found;
        };
        let connection = self.connection().await?;
        let (thresholds, suppressed) = (Thresholds::default(), BTreeSet::new());
        let rows = plain::report(&connection, checks(), &thresholds, &suppressed).await?;
        let grave = rows
            .into_iter()
            .filter(|row| matches!(row.severity.as_str(), "critical" | "warn"));
        Ok(grave.map(|row| finding(&row)).collect())
    }

    /// The rows of a query, each read from a JSON object with the query's column names.
    pub(crate) async fn rows<T: DeserializeOwned>(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<T>, DatabaseError> {
        let connection = self.connection().await?;
        let sql = format!("SELECT pg_catalog.to_jsonb(answer) FROM ({sql}) AS answer");
        let rows = connection.query(&sql, parameters).await?;
        rows.iter()
            .map(|row| {
                let value: serde_json::Value = row.try_get(0)?;
                serde_json::from_value(value).map_err(|error| {
                    DatabaseError::Other(format!("none: an unexpected row ({error})"))
                })
            })
            .collect()
    }

    /// Runs a statement that has no rows.
    pub(crate) async fn execute(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<(), DatabaseError> {
        let connection = self.connection().await?;
        connection.execute(sql, parameters).await?;
        Ok(())
    }

    /// Runs statements without parameters, in one transaction.
    pub(crate) async fn batch(&self, sql: &str) -> Result<(), DatabaseError> {
        let connection = self.connection().await?;
        Ok(connection.batch_execute(sql).await?)
    }

    /// One value; `None` where the query has no row.
    pub(super) async fn value<T: for<'a> tokio_postgres::types::FromSql<'a>>(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<T>, QueryError> {
        let connection = self.connection().await?;
        let row = connection.query_opt(sql, parameters).await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }

    /// Runs `act`, which answers an id, and reads one value about it by `look`, whose only parameter that id is; then takes
    /// everything back.
    pub(super) async fn rolled_back<T: for<'a> tokio_postgres::types::FromSql<'a>>(
        &self,
        act: &str,
        parameters: &[&(dyn ToSql + Sync)],
        look: &str,
    ) -> Result<T, QueryError> {
        let mut connection = self.connection().await?;
        // Dropped without a commit it is rolled back, also where a statement fails.
        let transaction = connection.transaction().await?;
        let id: i64 = transaction.query_one(act, parameters).await?.try_get(0)?;
        let found = transaction.query_one(look, &[&id]).await?.try_get(0)?;
        transaction.rollback().await?;
        Ok(found)
    }

    /// One of our connections. Waiting for a server that is away is done by one caller in [`PROBE_AGE`], not by each.
    async fn connection(&self) -> Result<bb8::PooledConnection<'_, Manager>, QueryError> {
        let failed = || self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        if failed().is_some_and(|at| at.elapsed() < PROBE_AGE) {
            return Err(QueryError::Unreachable);
        }
        let got = self.pool.get().await;
        let is_away = match &got {
            Ok(_) => false,
            Err(bb8::RunError::User(_)) => true,
            // With connections open they are all busy, which says nothing about the server.
            Err(bb8::RunError::TimedOut) => self.pool.state().connections == 0,
        };
        *failed() = is_away.then(Instant::now);
        self.asked.fetch_add(1, Ordering::Relaxed);
        got.map_err(|_| {
            if is_away {
                QueryError::Unreachable
            } else {
                QueryError::Busy
            }
        })
    }
}

/// TLS with a provider of our own, so that the process default is neither needed nor changed.
fn tls(with_roots: bool) -> Result<MakeRustlsConnect, BuildError> {
    let mut roots = rustls::RootCertStore::empty();
    if with_roots {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err(BuildError::NoRoots);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| BuildError::Tls(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_cannot_be_used_is_refused_without_repeating_it() {
        for url in [
            "postgres://user:secret-canary@[bad/db",
            "nonsense secret-canary",
            "dbname=x password=secret-canary",
        ] {
            let error = Database::new(url).expect_err("refused").to_string();
            assert!(!error.contains("secret-canary"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_is_an_error_that_names_no_address() {
        let database =
            Database::new("postgres://user:secret-canary@127.0.0.1:1/db").expect("parses");
        let error = database
            .probe()
            .await
            .expect_err("nobody listens on port 1");
        assert_eq!(error, DatabaseError::Unreachable);
    }
}
