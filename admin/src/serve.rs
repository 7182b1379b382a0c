//! The router on a port of its own.

use std::net::SocketAddr;

use crate::Admin;

/// Why the router is not served.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// Other machines could reach it, and nobody has said who may ask.
    #[error(
        "{0} is reached by other machines and no token is configured: add `.operator_token(..)` to `Admin::builder()`, or \
         serve on 127.0.0.1"
    )]
    NoToken(SocketAddr),
    /// The address cannot be listened on, or listening has failed.
    #[error("{0} cannot be served: {1}")]
    Listen(SocketAddr, #[source] std::io::Error),
}

impl Admin {
    /// Serves the router under `/performance` on an address of its own until [`shutdown`](Self::shutdown), over plain HTTP:
    /// beyond loopback put a proxy with TLS before it.
    ///
    /// # Errors
    /// [`ServeError`]: beyond loopback without a configured token, or when the address is not to be had.
    pub async fn serve(&self, address: SocketAddr) -> Result<(), ServeError> {
        if !address.ip().is_loopback() && !self.is_configured {
            return Err(ServeError::NoToken(address));
        }
        let failed = |error| ServeError::Listen(address, error);
        let listener = tokio::net::TcpListener::bind(address)
            .await
            .map_err(failed)?;
        let app = axum::Router::new().nest_service("/performance", self.router());
        let mut stopping = self.inner.background.stopping();
        let stopped = async move { drop(stopping.wait_for(|stopped| *stopped).await) };
        let serving = axum::serve(listener, app).with_graceful_shutdown(stopped);
        serving.await.map_err(failed)
    }
}
