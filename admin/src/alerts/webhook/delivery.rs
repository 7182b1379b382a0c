//! One try: resolve, look at the address, connect to just that, send, and read the status.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::uri::{Scheme, Uri};
use http::{Request, StatusCode, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use sha2::Sha256;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::WebhookError;
use super::network::is_private;

/// A try takes so long at most.
const WITHIN: Duration = Duration::from_secs(10);

/// Where alerts go.
#[derive(Clone)]
pub(super) struct Destination {
    uri: Uri,
    host: String,
    port: u16,
    /// None where the address is `http://`.
    tls: Option<TlsConnector>,
    secret: Vec<u8>,
    pub(super) may_be_private: bool,
}

impl fmt::Debug for Destination {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A webhook's path is often its password.
        formatter
            .debug_struct("Destination")
            .field("host", &self.host)
            .finish_non_exhaustive()
    }
}

/// Why a try came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    #[error("its name resolves to an address of a private network: `.allow_private(true)` lets it")]
    Private,
    #[error("it cannot be reached")]
    Unreachable,
    #[error("it took longer than {} seconds", WITHIN.as_secs())]
    Timeout,
    #[error("it answered {0}")]
    Status(StatusCode),
}

impl SendError {
    /// Whether another try may bring it.
    pub(super) fn may_pass(&self) -> bool {
        match self {
            Self::Private => false,
            Self::Unreachable | Self::Timeout => true,
            Self::Status(status) => {
                status.is_server_error()
                    || matches!(
                        *status,
                        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT
                    )
            }
        }
    }
}

impl Destination {
    pub(super) fn new(url: &str, secret: Vec<u8>) -> Result<Self, WebhookError> {
        let uri: Uri = url.parse().map_err(|_| WebhookError::Address)?;
        let authority = uri.authority().ok_or(WebhookError::Address)?;
        let is_tls = uri.scheme() == Some(&Scheme::HTTPS);
        if authority.as_str().contains('@') || (!is_tls && uri.scheme() != Some(&Scheme::HTTP)) {
            return Err(WebhookError::Address);
        }
        let host = authority
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let port = authority
            .port_u16()
            .unwrap_or(if is_tls { 443 } else { 80 });
        Ok(Self {
            tls: if is_tls { Some(connector()?) } else { None },
            uri,
            host,
            port,
            secret,
            may_be_private: false,
        })
    }

    pub(super) async fn send(&self, id: &str, body: &str) -> Result<(), SendError> {
        tokio::time::timeout(WITHIN, self.attempt(id, body))
            .await
            .unwrap_or(Err(SendError::Timeout))
    }

    async fn attempt(&self, id: &str, body: &str) -> Result<(), SendError> {
        let address = self.resolve().await?;
        let stream = TcpStream::connect(address)
            .await
            .map_err(|_| SendError::Unreachable)?;
        let Some(tls) = &self.tls else {
            return self.exchange(stream, id, body).await;
        };
        let name = ServerName::try_from(self.host.clone()).map_err(|_| SendError::Unreachable)?;
        let stream = tls
            .connect(name, stream)
            .await
            .map_err(|_| SendError::Unreachable)?;
        self.exchange(stream, id, body).await
    }

    /// An address that may be sent to. One that may not beside others that may is refused too: who says so is not to be
    /// trusted.
    async fn resolve(&self) -> Result<SocketAddr, SendError> {
        let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await;
        let found: Vec<_> = found.map_err(|_| SendError::Unreachable)?.collect();
        if !self.may_be_private && found.iter().any(|address| is_private(address.ip())) {
            return Err(SendError::Private);
        }
        found.first().copied().ok_or(SendError::Unreachable)
    }

    async fn exchange<S>(&self, stream: S, id: &str, body: &str) -> Result<(), SendError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let unreachable = |_| SendError::Unreachable;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(unreachable)?;
        let connection = tokio::spawn(async move { drop(connection.await) });
        let answer = match self.request(id, body) {
            Some(request) => sender.send_request(request).await.map_err(unreachable),
            None => Err(SendError::Unreachable),
        };
        // Only the status counts: what else is sent is not read.
        connection.abort();
        let status = answer?.status();
        if status.is_success() {
            Ok(())
        } else {
            Err(SendError::Status(status))
        }
    }

    fn request(&self, id: &str, body: &str) -> Option<Request<String>> {
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        let timestamp = jiff::Timestamp::now().as_second();
        Request::post(path)
            .header(header::HOST, self.uri.authority()?.as_str())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::CONNECTION, "close")
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header(
                "webhook-signature",
                signature(&self.secret, id, timestamp, body),
            )
            .body(body.to_owned())
            .ok()
    }
}

/// Standard Webhooks 1.0.0: `v1,` and the base64 of HMAC-SHA256 over id, timestamp and body with points between.
pub(super) fn signature(secret: &[u8], id: &str, timestamp: i64, body: &str) -> String {
    // HMAC takes a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else {
        return String::new();
    };
    mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

/// The server is verified against the system's roots, with a provider of our own.
fn connector() -> Result<TlsConnector, WebhookError> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        let why = "the system has no root certificates: install ca-certificates";
        return Err(WebhookError::Tls(why.to_owned()));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| WebhookError::Tls(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
