//! Which PostgreSQL load may go to: one server, resolved once and pinned.

use std::net::{IpAddr, ToSocketAddrs};

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

use crate::targets::TargetError;

const USUAL_PORT: u16 = 5_432;

/// A server, a database and a role that statements may be sent to.
///
/// Its name is resolved when it is made and the address is kept, so a name that later resolves elsewhere (DNS rebinding)
/// changes nothing. Its `Debug` form shows no password.
#[derive(Debug, Clone)]
pub struct PostgresTarget {
    pub(crate) config: Config,
    #[cfg(feature = "postgres-tls")]
    pub(crate) tls: Option<crate::tls::Tls>,
}

impl PostgresTarget {
    /// A server on this machine, behind a unix socket or on a loopback address, by URL or `key=value` text.
    ///
    /// With `sslmode=require` it is spoken to by TLS, and its certificate is checked against this machine's roots; otherwise in
    /// clear. TLS needs the feature `postgres-tls`.
    ///
    /// # Errors
    /// [`TargetError`] when the text is of another form, names several hosts, does not resolve, wants TLS where that cannot be, or
    /// when the server is on another machine.
    pub fn local(text: &str) -> Result<Self, TargetError> {
        Self::local_with_roots(text, "")
    }

    /// The same, with more roots that a certificate may lead to: certificates in PEM.
    ///
    /// # Errors
    /// As [`PostgresTarget::local`], and [`TargetError::Roots`] when a text is given that holds no roots.
    pub fn local_with_roots(text: &str, roots: &str) -> Result<Self, TargetError> {
        let (target, address) = Self::parse(text, roots)?;
        match address {
            Some(address) if !address.is_loopback() => {
                Err(TargetError::NotAllowed(address.to_string()))
            }
            _ => Ok(target),
        }
    }

    /// A server anywhere. For whoever may load it: `POST /load-test` and the command line give no way here unasked.
    ///
    /// # Errors
    /// As [`PostgresTarget::local`], but for the last reason.
    pub fn anywhere(text: &str) -> Result<Self, TargetError> {
        Self::anywhere_with_roots(text, "")
    }

    /// The same, with more roots, as [`PostgresTarget::local_with_roots`].
    ///
    /// # Errors
    /// As [`PostgresTarget::local_with_roots`], but for an address elsewhere.
    pub fn anywhere_with_roots(text: &str, roots: &str) -> Result<Self, TargetError> {
        Self::parse(text, roots).map(|(target, _)| target)
    }

    /// `host:port/database`, for reports: nothing in it lets anybody in.
    #[must_use]
    pub fn authority(&self) -> String {
        let port = self
            .config
            .get_ports()
            .first()
            .copied()
            .unwrap_or(USUAL_PORT);
        let host = match (
            self.config.get_hosts().first(),
            self.config.get_hostaddrs().first(),
        ) {
            (Some(Host::Tcp(name)), _) => name.clone(),
            #[cfg(unix)]
            (Some(Host::Unix(path)), _) => path.display().to_string(),
            (_, Some(address)) => address.to_string(),
            _ => String::new(),
        };
        let database = self.config.get_dbname().or(self.config.get_user());
        format!("{host}:{port}/{}", database.unwrap_or_default())
    }

    /// Whether it is behind a unix socket or on a loopback address.
    #[must_use]
    pub fn is_local(&self) -> bool {
        self.config.get_hostaddrs().iter().all(IpAddr::is_loopback)
    }

    /// The target, and its address where it has one.
    fn parse(text: &str, roots: &str) -> Result<(Self, Option<IpAddr>), TargetError> {
        // The text may hold a password: no error repeats it.
        let mut config: Config = text
            .parse()
            .map_err(|error: tokio_postgres::Error| wrong(sentence(&error)))?;
        let port = config.get_ports().first().copied().unwrap_or(USUAL_PORT);
        if config.get_hostaddrs().len() > 1 {
            return Err(wrong("several addresses: name one".to_owned()));
        }
        let given = config.get_hostaddrs().first().copied();
        let address = match (config.get_hosts(), given) {
            ([], None) => return Err(wrong("no host: name one".to_owned())),
            ([] | [Host::Tcp(_)], Some(address)) => Some(address),
            #[cfg(unix)]
            ([Host::Unix(_)], None) => None,
            ([Host::Tcp(name)], None) => {
                let unresolved =
                    |reason: String| TargetError::Unresolved(format!("{name}:{port}"), reason);
                let address = (name.as_str(), port)
                    .to_socket_addrs()
                    .map_err(|error| unresolved(error.to_string()))?
                    .next()
                    .ok_or_else(|| unresolved("no address".to_owned()))?
                    .ip();
                config.hostaddr(address);
                Some(address)
            }
            _ => return Err(wrong("several hosts: name one".to_owned())),
        };
        let is_tls = config.get_ssl_mode() == SslMode::Require;
        #[cfg(not(feature = "postgres-tls"))]
        if is_tls {
            let _ = roots;
            return Err(wrong(
                "`sslmode=require` asks for TLS, which this build does not speak: it has no feature `postgres-tls`".to_owned(),
            ));
        }
        let target = Self {
            #[cfg(feature = "postgres-tls")]
            tls: match config.get_hosts() {
                _ if !is_tls => None,
                [Host::Tcp(name)] => Some(crate::tls::Tls::new(name, roots)?),
                _ => {
                    return Err(wrong(
                        "`sslmode=require` wants the server's name as `host`: its certificate is checked".to_owned(),
                    ));
                }
            },
            config,
        };
        Ok((target, address))
    }
}

fn wrong(reason: String) -> TargetError {
    TargetError::Postgres(reason)
}

/// The library's error with its cause.
pub(crate) fn sentence(error: &tokio_postgres::Error) -> String {
    if let Some(said) = error.as_db_error() {
        return format!("{} (SQLSTATE {})", said.message(), said.code().code());
    }
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l1_a_server_on_another_machine_is_refused_unless_it_is_asked_for() {
        for text in [
            "postgres://u:secret@127.0.0.1:5433/db",
            "postgres://u@localhost/db",
            "host=/var/run/postgresql user=u",
            "hostaddr=127.0.0.1 user=u",
            "host=db.example hostaddr=::1 user=u",
        ] {
            assert!(PostgresTarget::local(text).is_ok(), "{text}");
        }
        for text in [
            "postgres://u@192.0.2.7/db",
            // The name is not what is connected to.
            "host=localhost hostaddr=192.0.2.7 user=u",
        ] {
            assert_eq!(
                PostgresTarget::local(text).err(),
                Some(TargetError::NotAllowed("192.0.2.7".to_owned())),
                "{text}"
            );
            assert!(PostgresTarget::anywhere(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn an_address_is_pinned() {
        let target = PostgresTarget::local("postgres://u@localhost/db").expect("resolves");
        assert!(target.config.get_hostaddrs()[0].is_loopback());
    }

    #[test]
    fn forms_that_are_no_target_are_refused_and_show_no_password() {
        for text in [
            "",
            "postgres://u:secret@",
            "user=u password=secret",
            "postgres://u:secret@127.0.0.1,127.0.0.2/db",
            "host=/var/run/postgresql user=u password=secret sslmode=require",
            "hostaddr=127.0.0.1 user=u password=secret sslmode=require",
            "host=127.0.0.1 hostaddr=127.0.0.1,127.0.0.2 password=secret",
            "host=127.0.0.1 nonsense=secret",
            "host=127.0.0.1 port=secret",
        ] {
            let error = PostgresTarget::local(text).expect_err(text);
            assert!(matches!(error, TargetError::Postgres(_)), "{error}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
        let shown = format!(
            "{:?}",
            PostgresTarget::local("postgres://u:secret@127.0.0.1/db")
        );
        assert!(!shown.contains("secret"), "{shown}");
    }
}
