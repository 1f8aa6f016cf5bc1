//! TLS: rustls with ring, the system's authorities or a file of one's own.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why no TLS can be spoken.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file of authorities can't be read.
    #[error("the file of certificate authorities {} can't be read: {reason}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// There are none.
    #[error(
        "this system has no certificate authorities to check the handler's certificate against: name a file of them (caFile)"
    )]
    NoAuthorities,
    /// The library refuses its own defaults.
    #[error("TLS can't be set up: {0}")]
    Setup(#[from] rustls::Error),
}

/// A client's side of TLS. Reads the system's authorities, which takes a moment: made only where there is `https`.
pub(super) fn client(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(path) => {
            let unreadable = |reason: String| TlsError::CaFile { path: path.to_owned(), reason };
            for certificate in CertificateDer::pem_file_iter(path).map_err(|error| unreadable(error.to_string()))? {
                let certificate = certificate.map_err(|error| unreadable(error.to_string()))?;
                roots.add(certificate).map_err(|error| unreadable(error.to_string()))?;
            }
            if roots.is_empty() {
                return Err(unreadable("it has no certificate in PEM".to_owned()));
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err(TlsError::NoAuthorities);
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_refused() {
        let error = |path: &str| client(Some(Path::new(path))).unwrap_err().to_string();
        assert!(error("/no/such/file").contains("/no/such/file can't be read"));
        assert!(error("/etc/passwd").contains("no certificate in PEM"));
    }
}
