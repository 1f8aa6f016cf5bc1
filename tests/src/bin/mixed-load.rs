//! One of many processes that do anything to one queue at any time: `mixed-load URL SEED STEPS` or `mixed-load URL SEED SECONDSs`.
//!
//! Ends with an error as soon as one of its calls does: what other transactions do is no reason to.

use anyhow::{Context as _, bail};
use gritstone_store::{Store, StoreOptions};
use gritstone_tests::jobs::Actor;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, seed, long] = arguments.as_slice() else { bail!("usage: mixed-load URL SEED STEPS|SECONDSs") };
    let seed = seed.parse().context("the seed is a number")?;
    let (most, until) = match long.strip_suffix('s') {
        Some(seconds) => (u64::MAX, Some(Instant::now() + Duration::from_secs(seconds.parse()?))),
        None => (long.parse().context("how long is a number of steps, or of seconds with an s")?, None),
    };
    let store = Store::open(url, StoreOptions { max_connections: 2, ..StoreOptions::default() })?;
    let mut actor = Actor::new(store, seed, Arc::default()).await;
    let mut steps = 0u64;
    while steps < most && until.is_none_or(|until| Instant::now() < until) {
        actor.step(0.0).await;
        steps += 1;
    }
    println!("{steps}");
    Ok(())
}
