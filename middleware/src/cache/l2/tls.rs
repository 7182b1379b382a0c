//! Redis over TLS, with rustls and a provider of our own: the `redis` crate's TLS would need, and install, the process's
//! default provider, which belongs to the app.

use std::sync::Arc;

use redis::{
    AsyncConnectionConfig, ConnectionAddr, ConnectionInfo, RedisError, aio::MultiplexedConnection,
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::error::RedisStoreError;

/// Opens verified TLS connections to one server.
#[derive(Clone)]
pub(super) struct Tls {
    info: ConnectionInfo,
    host: String,
    port: u16,
    name: ServerName<'static>,
    /// Replaced by [`Tls::trust`]; until then the system's roots.
    connector: TlsConnector,
}

impl Tls {
    /// `info` is that of the same URL without TLS.
    pub(super) fn new(info: ConnectionInfo) -> Result<Self, RedisStoreError> {
        let ConnectionAddr::Tcp(host, port) = info.addr() else {
            return Err(RedisStoreError::Tls("TLS needs a host name".into()));
        };
        let (host, port) = (host.clone(), *port);
        let name = ServerName::try_from(host.clone()).map_err(|_| {
            RedisStoreError::Tls("the host is no DNS name and no IP address".into())
        })?;
        let mut roots = RootCertStore::empty();
        // What cannot be read is no root; a server that needs it is refused when it is connected to.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        Ok(Self {
            info,
            host,
            port,
            name,
            connector: connector(roots)?,
        })
    }

    /// Trusts these certificates, and no others.
    pub(super) fn trust(&mut self, pem: &[u8]) -> Result<(), RedisStoreError> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let wrong = |error: &dyn std::fmt::Display| {
                RedisStoreError::Tls(format!("a root certificate cannot be used: {error}"))
            };
            roots
                .add(certificate.map_err(|error| wrong(&error))?)
                .map_err(|error| wrong(&error))?;
        }
        if roots.is_empty() {
            return Err(RedisStoreError::Tls(
                "the PEM text holds no certificate".into(),
            ));
        }
        self.connector = connector(roots)?;
        Ok(())
    }

    pub(super) async fn connect(&self) -> Result<MultiplexedConnection, RedisError> {
        let tcp = TcpStream::connect((self.host.as_str(), self.port)).await?;
        tcp.set_nodelay(true)?;
        let stream = self.connector.connect(self.name.clone(), tcp).await?;
        // Time-outs are the caller's, as for plain connections.
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let settings = self.info.redis_settings();
        let (connection, driver) =
            MultiplexedConnection::new_with_config(settings, stream, config).await?;
        // Ends when the last clone of the connection is gone.
        tokio::spawn(driver);
        Ok(connection)
    }
}

fn connector(roots: RootCertStore) -> Result<TlsConnector, RedisStoreError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| RedisStoreError::Tls(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
