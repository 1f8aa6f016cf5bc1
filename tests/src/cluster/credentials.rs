//! What the API server is given to know its clients, and what its clients need to know it.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};

use super::{ClusterError, Result};

/// What stands before the point of a P-256 key in a SubjectPublicKeyInfo (RFC 5480).
const P256_PUBLIC_KEY: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];

/// Writes a key that signs the tokens of service accounts, and the one that checks them.
pub(super) fn write_signing_key(private: &Path, public: &Path) -> Result<()> {
    let random = SystemRandom::new();
    let document =
        EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).map_err(|_| ClusterError::Key)?;
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref(), &random)
        .map_err(|_| ClusterError::Key)?;
    write_secret(private, &pem("PRIVATE KEY", document.as_ref()))?;
    write_secret(public, &pem("PUBLIC KEY", &[&P256_PUBLIC_KEY, pair.public_key().as_ref()].concat()))
}

fn pem(kind: &str, der: &[u8]) -> String {
    format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", BASE64_STANDARD.encode(der))
}

/// Writes the list of tokens, with the one that may do everything.
pub(super) fn write_tokens(file: &Path, token: &str) -> Result<()> {
    write_secret(file, &format!("{token},admin,admin,system:masters\n"))
}

/// Writes what kubectl and other clients read.
pub(super) fn write_kubeconfig(file: &Path, port: u16, authority: &Path, token: &str) -> Result<()> {
    let config = serde_json::json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": {
            "server": format!("https://127.0.0.1:{port}"),
            "certificate-authority": authority.display().to_string(),
        }}],
        "users": [{"name": "test", "user": {"token": token}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        "current-context": "test",
    });
    write_secret(file, &config.to_string())
}

/// A file that only its owner reads.
fn write_secret(file: &Path, text: &str) -> Result<()> {
    let doing = || ClusterError::io(format!("writing {}", file.display()));
    let _ = fs::remove_file(file);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).map_err(doing())?;
    file.write_all(text.as_bytes()).map_err(doing())
}
