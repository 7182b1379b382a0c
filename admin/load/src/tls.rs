//! TLS of a target, by rustls.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::targets::TargetError;

/// What a target's certificate is checked against: its name, and roots. There is no way to leave the check out.
#[derive(Debug, Clone)]
pub(crate) struct Tls {
    name: ServerName<'static>,
    config: Arc<ClientConfig>,
}

impl Tls {
    /// The machine's roots, and those of `extra` in PEM. The cryptography is ring's, given here and never the process default.
    pub(crate) fn new(host: &str, extra: &str) -> Result<Self, TargetError> {
        let wrong = |reason: String| TargetError::Roots(reason);
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| wrong(format!("`{host}` cannot be the name in a certificate")))?;
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        let mut has_extra = false;
        for certificate in CertificateDer::pem_slice_iter(extra.as_bytes()) {
            let certificate =
                certificate.map_err(|error| wrong(format!("the roots are no PEM: {error}")))?;
            roots
                .add(certificate)
                .map_err(|error| wrong(format!("one of the roots is no root: {error}")))?;
            has_extra = true;
        }
        if !has_extra && !extra.is_empty() {
            return Err(wrong("the roots hold no certificate in PEM".to_owned()));
        }
        if roots.is_empty() {
            return Err(wrong(
                "there are no roots on this machine: give some in PEM".to_owned(),
            ));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self {
            name,
            config: Arc::new(config),
        })
    }

    /// The same, which asks for one application protocol (RFC 7301).
    pub(crate) fn speaking(&self, protocol: &[u8]) -> Self {
        let mut config = ClientConfig::clone(&self.config);
        config.alpn_protocols = vec![protocol.to_vec()];
        Self {
            name: self.name.clone(),
            config: Arc::new(config),
        }
    }

    /// What tokio-postgres takes: it tells the server's name itself.
    #[cfg(feature = "postgres-tls")]
    pub(crate) fn of_postgres(&self) -> tokio_postgres_rustls::MakeRustlsConnect {
        let config = ClientConfig::clone(&self.speaking(b"postgresql").config);
        tokio_postgres_rustls::MakeRustlsConnect::new(config)
    }

    /// The handshake.
    pub(crate) async fn connect(&self, stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
        let connector = TlsConnector::from(Arc::clone(&self.config));
        connector.connect(self.name.clone(), stream).await
    }
}
