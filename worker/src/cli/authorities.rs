//! Certificate authorities for an engine in an image that has none.
//!
//! Libraries that speak TLS find them by SSL_CERT_FILE, else where the system keeps them. The engine is started once more anyway (to
//! get its title), with that variable if need be. Its children are not to see it: their environment is their image's own.

use crate::execute::CA_FILE;
use std::ffi::OsString;

/// What the engine's SSL_CERT_FILE is to be: nothing where one is named already, or where the image has authorities.
pub(super) fn missing() -> Option<OsString> {
    let file = std::env::var_os(CA_FILE).filter(|file| !file.is_empty())?;
    let is_named = ["SSL_CERT_FILE", "SSL_CERT_DIR"].into_iter().any(|name| std::env::var_os(name).is_some());
    let has_own = || !rustls_native_certs::load_native_certs().certs.is_empty();
    (!is_named && !has_own()).then_some(file)
}
