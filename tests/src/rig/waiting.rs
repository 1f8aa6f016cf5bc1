//! Waiting for a condition.

use std::time::{Duration, Instant};

/// Long enough for the busiest machine: nothing that works takes this long.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often a condition that nobody announces is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// Waits until `look` sees something, and returns that.
///
/// # Panics
/// After a minute, naming what was waited for.
pub async fn until<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
    until_within(PATIENCE, what, look).await
}

/// The same with a patience of its own, where the time that something takes is what is tested.
///
/// # Panics
/// When that has passed, naming what was waited for.
pub async fn until_within<T>(patience: Duration, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(seen) = look().await {
            return seen;
        }
        assert!(began.elapsed() < patience, "waited {patience:?} in vain until {what}");
        tokio::time::sleep(LOOK).await;
    }
}
