//! Which authorities the gateway believes: those of the host, and the extra ones of the settings.

use std::sync::Arc;

use rustls_pki_types::{CertificateDer, pem, pem::PemObject as _};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, Error, RootCertStore};

/// Why nobody can be believed.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The extra certificates are no PEM.
    #[error("the extra certificates cannot be read")]
    Unreadable(#[source] pem::Error),
    /// One of them is no authority's.
    #[error("an extra certificate cannot be used")]
    Unusable(#[source] Error),
    /// TLS is not to be had.
    #[error("TLS cannot be set up")]
    NoTls(#[source] Error),
}

/// Reads files: not for a thread of the runtime.
pub(crate) fn client_config(extra_pem: &[u8]) -> Result<ClientConfig, TrustError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(extra_pem) {
        roots.add(certificate.map_err(TrustError::Unreadable)?).map_err(TrustError::Unusable)?;
    }
    let (added, ignored) = roots.add_parsable_certificates(of_machine());
    tracing::debug!(added, ignored, "certificates of this machine");
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().map_err(TrustError::NoTls)?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// The certificates of the authorities that this machine trusts, as DER. Reads files: not for a thread of the runtime.
pub fn machine_trusts() -> Vec<Vec<u8>> {
    of_machine().into_iter().map(|certificate| certificate.to_vec()).collect()
}

fn of_machine() -> Vec<CertificateDer<'static>> {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "some of this machine's certificates cannot be read");
    }
    found.certs
}
