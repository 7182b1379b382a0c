//! Roles, databases and tables; sessions side by side.

use std::collections::BTreeSet;
use std::sync::mpsc;

use super::functions::{Function, LIST};
use super::session::{self, Trace};
use super::stream::Stream;
use super::tables::SCRIPT;
use super::watch;
use crate::error::{Error, Result};
use crate::postgres::Postgres;

/// The database that most sessions are in.
const MAIN: &str = "hostile";
/// In this one the extension comes and goes.
const SECOND: &str = "hostile_second";
/// In this one texts need not be UTF-8.
const ASCII: &str = "hostile_ascii";

/// Who is where.
const SESSIONS: [(&str, &str); 7] = [
    ("hostile_super", MAIN),
    ("hostile_owner", MAIN),
    ("hostile_reader", MAIN),
    ("hostile_operator", MAIN),
    ("hostile_nobody", MAIN),
    ("hostile_super", SECOND),
    ("hostile_super", ASCII),
];

/// What the server is to be set to, beside the preloaded libraries.
pub const SETTINGS: [(&str, &str); 9] = [
    ("pitcrew.capture", "all"),
    ("pitcrew.capture_min_duration", "0"),
    ("pitcrew.history_interval", "10s"),
    ("pitcrew.max_queued_jobs", "200"),
    ("deadlock_timeout", "200ms"),
    ("autovacuum_naptime", "5s"),
    ("max_wal_size", "512MB"),
    // The verdict reads who raised what where.
    ("log_line_prefix", "%m [%p] %e %b: "),
    ("log_error_verbosity", "verbose"),
];

/// Statements that are given up after a while, and no lines in the log for what a client is told anyway.
const ROLE_SETTINGS: [&str; 5] = [
    "statement_timeout = '3s'",
    "lock_timeout = '500ms'",
    "idle_in_transaction_session_timeout = '20s'",
    "temp_file_limit = '100MB'",
    "log_min_messages = fatal",
];

/// A server with all of it.
#[derive(Debug)]
pub struct World<'a> {
    postgres: &'a Postgres,
    functions: Vec<Function>,
}

impl<'a> World<'a> {
    /// Makes roles, databases and tables.
    ///
    /// # Errors
    /// Those of the statements.
    pub fn build(postgres: &'a Postgres) -> Result<Self> {
        let mut script = Vec::new();
        for role in ["super", "owner", "reader", "operator", "nobody"] {
            let kind = if role == "super" { "SUPERUSER" } else { "" };
            script.push(format!("CREATE ROLE hostile_{role} LOGIN {kind}"));
            for setting in ROLE_SETTINGS {
                script.push(format!("ALTER ROLE hostile_{role} SET {setting}"));
            }
        }
        script.push(format!("CREATE DATABASE {MAIN}"));
        script.push(format!("CREATE DATABASE {SECOND}"));
        script.push(format!(
            "CREATE DATABASE {ASCII} ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
        ));
        run(postgres, "postgres", &script)?;
        for database in [MAIN, SECOND, ASCII] {
            let mut script = Vec::new();
            if postgres.server().has_extension("pg_stat_statements") {
                script.push("CREATE EXTENSION pg_stat_statements".to_owned());
            }
            script.push("CREATE EXTENSION pg_pitcrew".to_owned());
            script.extend(SCRIPT.map(str::to_owned));
            script.push("ALTER TABLE line OWNER TO hostile_owner".to_owned());
            for (role, level) in [
                ("reader", "reader"),
                ("operator", "operator"),
                ("owner", "operator"),
            ] {
                script.push(format!(
                    "SELECT pitcrew.grant_access('hostile_{role}', '{level}')"
                ));
            }
            if database == ASCII {
                // A name and values that are no UTF-8.
                script.push(
                    "DO $$ BEGIN EXECUTE format('CREATE TABLE %I AS SELECT g AS id, chr(255) || g AS %I FROM generate_series(1, 300) g', \
                     'odd' || chr(254), 'n' || chr(253)); END $$; \
                     UPDATE plain SET name = chr(255) || name WHERE id % 2 = 0; ANALYZE"
                        .to_owned(),
                );
            }
            run(postgres, database, &script)?;
        }
        let functions = Function::from_rows(&postgres.run(MAIN, &[LIST])?)?;
        Ok(Self {
            postgres,
            functions,
        })
    }

    /// Every function of the extension.
    #[must_use]
    pub fn functions(&self) -> &[Function] {
        &self.functions
    }

    /// The server.
    #[must_use]
    pub fn postgres(&self) -> &Postgres {
        self.postgres
    }

    /// One query as the superuser in the main database.
    pub(super) fn rows(&self, query: &str) -> Result<Vec<Vec<Option<String>>>> {
        self.postgres
            .run(MAIN, &["SET pitcrew.capture = off", query])
    }

    /// Lets all sessions send until `go_on` says no, each at most `statements`; answers what they were answered together, and who held
    /// something while it did nothing.
    ///
    /// # Errors
    /// [`Error::Sql`] where no connection could be had for a minute.
    pub fn run(
        &self,
        seed: u64,
        statements: usize,
        go_on: impl Fn() -> bool + Sync,
    ) -> Result<(Trace, BTreeSet<String>)> {
        let watched = self.postgres.socket_url("postgres", MAIN);
        std::thread::scope(|scope| {
            let (stop, stopped) = mpsc::channel();
            let watcher = scope.spawn(move || watch::run(&watched, &stopped));
            let sessions: Vec<_> = SESSIONS
                .iter()
                .enumerate()
                .map(|(number, (role, database))| {
                    let stream = Stream::new(seed, number, self.functions.clone());
                    let url = self.postgres.socket_url(role, database);
                    let (go_on, functions) = (&go_on, self.functions.len());
                    scope.spawn(move || one(&url, functions, stream.take(statements), go_on))
                })
                .collect();
            let mut sum = Trace::of(self.functions.len());
            let mut fault = None;
            for session in sessions {
                match session.join() {
                    Ok(Ok(trace)) => sum.add(trace),
                    Ok(Err(error)) => fault = Some(error),
                    Err(_) => fault = Some(Error::Extension("a session panicked".into())),
                }
            }
            drop(stop);
            let held = watcher.join().unwrap_or_default();
            fault.map_or(Ok((sum, held)), Err)
        })
    }
}

fn run(postgres: &Postgres, database: &str, script: &[String]) -> Result<()> {
    let script: Vec<&str> = script.iter().map(String::as_str).collect();
    postgres.run(database, &script).map(drop)
}

fn one(
    url: &str,
    functions: usize,
    stream: impl Iterator<Item = super::Sent>,
    go_on: impl Fn() -> bool,
) -> Result<Trace> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::Extension(error.to_string()))?;
    runtime
        .block_on(session::run(url, functions, stream, go_on))
        .map_err(|error| Error::Sql {
            statement: "a hostile session".into(),
            detail: error.to_string(),
        })
}
