//! Where load may go: a list of addresses, resolved once and pinned.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::mpsc;
use std::time::Duration;

use tokio::net::TcpStream;

/// The addresses that load may be sent to. Everything else is refused.
///
/// An entry is resolved when the list is made and the address is kept, so a name that later resolves elsewhere
/// (DNS rebinding) changes nothing.
#[derive(Debug, Clone, Default)]
pub struct Targets {
    allowed: Vec<Target>,
    /// Where a plan goes that names none.
    own: Option<Target>,
}

/// One address that load may be sent to.
#[derive(Debug, Clone)]
pub struct Target {
    pub(crate) authority: String,
    pub(crate) address: SocketAddr,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<crate::tls::Tls>,
}

/// Roots are no part of what a target is.
impl PartialEq for Target {
    fn eq(&self, other: &Self) -> bool {
        (self.is_tls(), &self.authority, self.address)
            == (other.is_tls(), &other.authority, other.address)
    }
}

impl Eq for Target {}

/// A target that cannot be used, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TargetError {
    /// The text is not of the form `http://host:port`.
    #[error("`{0}` is not a target: write `http://host:port`, with nothing behind the port")]
    Form(String),
    /// TLS is asked for, and this build has no `tls` feature.
    #[error(
        "`{0}` asks for TLS, which this build of the load tester does not speak: it has no feature `tls`"
    )]
    Tls(String),
    /// The name does not resolve.
    #[error("`{0}` does not resolve: {1}")]
    Unresolved(String, String),
    /// The target is not on the list.
    #[error(
        "`{0}` is not an allowed target: only addresses that the configuration lists can be load-tested"
    )]
    NotAllowed(String),
    /// The text names no PostgreSQL server that can be used. Says why; never holds the text, which may have a password in it.
    #[error("not a PostgreSQL target: {0}")]
    Postgres(String),
    /// It does not take a connection.
    #[error("cannot connect to `{0}`: {1}")]
    Unreachable(String, String),
    /// The roots that a certificate is checked against cannot be used.
    #[error("TLS: {0}")]
    Roots(String),
    /// No target is named, and this app's own is not known.
    #[error(
        "no target is named, and this app's own address is not known: tell it to the admin router"
    )]
    Empty,
}

impl Target {
    /// Parses `http://host:port` (or `ws://`, which is the same server) and resolves the host, once. With the feature `tls` also
    /// `https://` and `wss://`; the certificate is checked against this machine's roots.
    ///
    /// # Errors
    /// [`TargetError`] when the text is of another form, asks for TLS, or does not resolve.
    pub fn resolve(text: &str) -> Result<Self, TargetError> {
        Self::resolve_with_roots(text, "")
    }

    /// The same, with more roots that a certificate may lead to: certificates in PEM.
    ///
    /// # Errors
    /// As [`Target::resolve`], and [`TargetError::Roots`] when a text is given that holds no roots.
    pub fn resolve_with_roots(text: &str, roots: &str) -> Result<Self, TargetError> {
        let uri: http::Uri = text
            .parse()
            .map_err(|_| TargetError::Form(text.to_owned()))?;
        match uri.scheme_str() {
            Some("http" | "ws") => {}
            Some("https" | "wss") if cfg!(feature = "tls") => {}
            Some("https" | "wss") => return Err(TargetError::Tls(text.to_owned())),
            _ => return Err(TargetError::Form(text.to_owned())),
        }
        let is_tls = matches!(uri.scheme_str(), Some("https" | "wss"));
        #[cfg(not(feature = "tls"))]
        let _ = roots;
        let Some(authority) = uri.authority() else {
            return Err(TargetError::Form(text.to_owned()));
        };
        let is_bare = uri.path_and_query().is_none_or(|path| path.as_str() == "/");
        if !is_bare || authority.as_str().contains('@') {
            return Err(TargetError::Form(text.to_owned()));
        }
        let host = authority
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']');
        let usual = if is_tls { 443 } else { 80 };
        let port = match authority.as_str().rsplit_once(']') {
            // What is in brackets is an address (RFC 3986, 3.2.2).
            Some((_, behind)) => behind.strip_prefix(':'),
            None => authority.as_str().split_once(':').map(|(_, port)| port),
        };
        // The library takes a port that is none for one that was left out: then another would be loaded than was named.
        let port = match port.map(str::parse) {
            None => usual,
            Some(Ok(port)) if port > 0 => port,
            Some(_) => return Err(TargetError::Form(text.to_owned())),
        };
        let address = resolved(host, port)
            .map_err(|reason| TargetError::Unresolved(text.to_owned(), reason))?;
        Ok(Self {
            authority: authority.as_str().to_ascii_lowercase(),
            address,
            #[cfg(feature = "tls")]
            tls: if is_tls {
                Some(crate::tls::Tls::new(host, roots)?)
            } else {
                None
            },
        })
    }

    /// Where it is: resolved once, and kept.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Connects once and says nothing, so that a target which cannot be reached is known within a second, and with the reason.
    ///
    /// # Errors
    /// [`TargetError::Unreachable`] where it takes no connection, or none by TLS.
    pub async fn reach(&self) -> Result<(), TargetError> {
        let connecting = async {
            let stream = TcpStream::connect(self.address).await?;
            #[cfg(feature = "tls")]
            if let Some(tls) = &self.tls {
                tls.connect(stream).await?;
                return Ok(());
            }
            drop(stream);
            Ok::<_, std::io::Error>(())
        };
        let limit = Duration::from_secs(1);
        let reason = match tokio::time::timeout(limit, connecting).await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error.to_string(),
            Err(_) if self.is_tls() => {
                "it takes none by TLS within a second: does it speak TLS?".to_owned()
            }
            Err(_) => "it takes none within a second".to_owned(),
        };
        Err(TargetError::Unreachable(self.authority.clone(), reason))
    }

    /// Whether it is spoken to by TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        #[cfg(feature = "tls")]
        {
            self.tls.is_some()
        }
        #[cfg(not(feature = "tls"))]
        {
            false
        }
    }

    /// A path as the absolute form that HTTP/2 wants.
    #[cfg(feature = "http2")]
    pub(crate) fn absolute(&self, path: &http::Uri) -> http::Uri {
        let mut parts = path.clone().into_parts();
        parts.scheme = Some(if self.is_tls() {
            http::uri::Scheme::HTTPS
        } else {
            http::uri::Scheme::HTTP
        });
        parts.authority = self.authority.parse().ok();
        // It was an authority and a path before, so it is one now.
        http::Uri::from_parts(parts).unwrap_or_else(|_| path.clone())
    }

    /// The same, which asks for one application protocol in its TLS handshake.
    #[must_use]
    pub(crate) fn speaking(&self, protocol: &[u8]) -> Self {
        #[cfg(feature = "tls")]
        {
            Self {
                tls: self.tls.as_ref().map(|tls| tls.speaking(protocol)),
                ..self.clone()
            }
        }
        #[cfg(not(feature = "tls"))]
        {
            let _ = protocol;
            self.clone()
        }
    }

    /// The `host:port` that is sent as `Host`.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.authority
    }
}

/// Name servers that do not answer are waited for so long.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);

/// The first address of a host, in bounded time: the system's own resolver may try for half a minute and more.
fn resolved(host: &str, port: u16) -> Result<SocketAddr, String> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, port));
    }
    let (tell, told) = mpsc::channel();
    let host = host.to_owned();
    // It ends with the system's own patience; nobody hears it then.
    std::thread::Builder::new()
        .name("pitcrew-resolve".to_owned())
        .spawn(move || {
            let found = (&*host, port)
                .to_socket_addrs()
                .map(|mut all| all.next())
                .map_err(|error| error.to_string());
            let _ = tell.send(found);
        })
        .map_err(|error| error.to_string())?;
    match told.recv_timeout(RESOLVE_TIMEOUT) {
        Ok(Ok(Some(address))) => Ok(address),
        Ok(Ok(None)) => Err("no address".to_owned()),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(format!(
            "name servers did not answer within {} seconds",
            RESOLVE_TIMEOUT.as_secs()
        )),
    }
}

impl Targets {
    /// An empty list: every run is refused.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds an address to the list.
    pub fn allow(&mut self, target: Target) {
        if !self.allowed.contains(&target) {
            self.allowed.push(target);
        }
    }

    /// Adds this app's own address: where a plan goes that names none.
    pub fn allow_own(&mut self, target: Target) {
        self.allow(target.clone());
        self.own = Some(target);
    }

    /// This app's own address.
    ///
    /// # Errors
    /// [`TargetError::Empty`] when it was not told.
    pub fn own(&self) -> Result<&Target, TargetError> {
        self.own.as_ref().ok_or(TargetError::Empty)
    }

    /// The listed target with this address. The text is compared with the list; it is not resolved.
    ///
    /// # Errors
    /// [`TargetError::NotAllowed`] when it is not on the list.
    pub fn find(&self, text: &str) -> Result<&Target, TargetError> {
        let (is_tls, rest) = match text.split_once("://") {
            Some(("http" | "ws", rest)) => (Some(false), rest),
            Some(("https" | "wss", rest)) => (Some(true), rest),
            _ => (None, text),
        };
        let wanted = rest.trim_end_matches('/').to_ascii_lowercase();
        self.allowed
            .iter()
            .find(|target| {
                target.authority == wanted && is_tls.is_none_or(|is_tls| is_tls == target.is_tls())
            })
            .ok_or_else(|| TargetError::NotAllowed(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn l1_only_listed_targets_are_found() {
        let mut targets = Targets::none();
        assert_eq!(targets.own(), Err(TargetError::Empty));
        let own = Target::resolve("http://127.0.0.1:3000").expect("resolves");
        targets.allow(Target::resolve("http://127.0.0.1:3002").expect("resolves"));
        assert_eq!(targets.own(), Err(TargetError::Empty));
        targets.allow_own(own.clone());
        assert_eq!(targets.own(), Ok(&own));
        assert!(targets.find("http://127.0.0.1:3002").is_ok());
        assert_eq!(targets.find("http://127.0.0.1:3000/"), Ok(&own));
        for foreign in [
            "http://127.0.0.1:3001",
            "http://127.0.0.1:3000@evil.example",
            "http://evil.example",
            "http://127.0.0.1:30000",
            "https://127.0.0.1:3000",
            "http://169.254.169.254",
        ] {
            assert!(
                matches!(targets.find(foreign), Err(TargetError::NotAllowed(_))),
                "{foreign}"
            );
        }
    }

    #[test]
    fn a_port_that_is_none_is_not_another() {
        for text in [
            "http://127.0.0.1:99999",
            "http://127.0.0.1:0",
            "http://127.0.0.1:",
            "http://[::1]:99999",
        ] {
            let refused = Target::resolve(text).expect_err(text);
            assert_eq!(refused, TargetError::Form(text.to_owned()));
        }
        for (text, port) in [
            ("http://127.0.0.1", 80),
            ("http://[::1]", 80),
            ("http://[::1]:81", 81),
        ] {
            assert_eq!(Target::resolve(text).expect(text).address().port(), port);
        }
    }

    #[test]
    fn forms_that_are_no_target_are_refused() {
        for text in [
            "",
            "127.0.0.1:80",
            "ftp://127.0.0.1",
            "http://127.0.0.1/path",
            "http://u:p@127.0.0.1",
        ] {
            assert!(
                matches!(Target::resolve(text), Err(TargetError::Form(_))),
                "{text}"
            );
        }
        let secure = Target::resolve("https://127.0.0.1");
        if cfg!(feature = "tls") {
            // A machine without roots has none to check with.
            assert!(matches!(secure, Ok(_) | Err(TargetError::Roots(_))));
        } else {
            assert!(matches!(secure, Err(TargetError::Tls(_))));
        }
    }
}
