//! Free loopback ports.

use std::hash::{BuildHasher, RandomState};
use std::net::TcpListener;

/// Below the ports that Linux gives to outgoing connections and to `bind(0)`, so that a stopped server finds its port free again.
const RANGE: std::ops::Range<u16> = 10_000..32_000;

/// A port that nobody listens on. Another process may take it before the server does: then the server fails to start, and another
/// port is tried.
pub(crate) fn free() -> std::io::Result<u16> {
    let random = RandomState::new();
    let width = u64::from(RANGE.end - RANGE.start);
    let candidates = (0..100u32).map(|n| RANGE.start + (random.hash_one(n) % width) as u16);
    for port in candidates {
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err(std::io::Error::other(format!("none of 100 ports tried between {} and {} is free", RANGE.start, RANGE.end)))
}
