//! Waiting for a condition.

use std::time::{Duration, Instant};

/// Long enough for the busiest machine: nothing that works takes this long.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// How often a condition that nobody announces is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Waits until `look` sees something, and returns that.
///
/// # Panics
/// After [`PATIENCE`], naming what was waited for.
pub async fn until<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
    until_within(PATIENCE, what, look).await
}

/// The same with a patience of its own, where the time that something takes is what is tested.
///
/// # Panics
/// When that has passed, naming what was waited for.
pub async fn until_within<T>(patience: Duration, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    until_shown(patience, what, async || look().await.ok_or_else(String::new)).await
}

/// The same where it helps to know what there is instead, which `look` says.
///
/// # Panics
/// When the patience has passed, with what was waited for and what was seen last.
pub async fn until_shown<T>(patience: Duration, what: &str, mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
    let began = Instant::now();
    loop {
        match look().await {
            Ok(seen) => return seen,
            Err(instead) => assert!(began.elapsed() < patience, "waited {patience:?} in vain until {what} {instead}"),
        }
        tokio::time::sleep(LOOK).await;
    }
}
