//! One visitor's connection: HTTP/1.1, kept alive.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;

use crate::Failure;

/// An answer, and how long it took from the send to the end of its body.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its whole body.
    pub body: Bytes,
    /// From the send to the end of the body.
    pub took: Duration,
}

impl Answer {
    /// Whether the cache marked it as a hit (`Cache-Status`, RFC 9211).
    #[must_use]
    pub fn is_hit(&self) -> bool {
        self.has_cache_status("hit")
    }

    /// Whether that hit came from the second level, Redis.
    pub(crate) fn is_l2_hit(&self) -> bool {
        self.is_hit() && self.has_cache_status("detail=l2")
    }

    fn has_cache_status(&self, parameter: &str) -> bool {
        let status = self.headers.get("cache-status");
        let mut parameters = status
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .split(';');
        parameters.any(|one| one.trim() == parameter)
    }
}

/// A connection to the service.
pub struct Client {
    host: String,
    sender: SendRequest<Full<Bytes>>,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens at `address`.
    pub async fn connect(address: SocketAddr) -> Result<Self, Failure> {
        let stream = tokio::net::TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let host = address.to_string();
        Ok(Self { host, sender })
    }

    /// Names another host than the address, as those do who come through a load balancer: a cache keeps the answers of
    /// each host apart.
    #[must_use]
    pub fn with_host(mut self, host: impl Into<String>) -> Self {
        self.host = host.into();
        self
    }

    /// Sends one request and reads its answer to the end.
    ///
    /// # Errors
    /// The connection ended before the answer did.
    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(header::HeaderName, &str)],
        body: Option<String>,
    ) -> Result<Answer, Failure> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.host);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::from(body.unwrap_or_default()))?;
        self.sender.ready().await?;
        let begin = Instant::now();
        let (parts, body) = self.sender.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            body,
            took: begin.elapsed(),
        })
    }
}
