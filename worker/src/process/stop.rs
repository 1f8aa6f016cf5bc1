//! Being told to stop: in order, or at once.

use tokio_util::sync::CancellationToken;

/// Two stages of stopping. The first lets jobs finish, the second ends them.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    gracefully: CancellationToken,
    at_once: CancellationToken,
}

impl Stop {
    /// Nobody has asked yet.
    pub fn new() -> Self {
        Stop::default()
    }

    /// One that follows this one, and can also be used alone.
    pub fn child(&self) -> Self {
        Stop { gracefully: self.gracefully.child_token(), at_once: self.at_once.child_token() }
    }

    /// Claim nothing more, let jobs finish within the drain timeout, give the rest back.
    pub fn gracefully(&self) {
        self.gracefully.cancel();
    }

    /// End jobs now, give them back.
    pub fn at_once(&self) {
        self.gracefully.cancel();
        self.at_once.cancel();
    }

    /// True from the first stage on.
    pub fn is_requested(&self) -> bool {
        self.gracefully.is_cancelled()
    }

    /// True in the second stage.
    pub fn is_immediate(&self) -> bool {
        self.at_once.is_cancelled()
    }

    /// Waits for the first stage.
    pub async fn requested(&self) {
        self.gracefully.cancelled().await;
    }

    /// Waits for the second stage.
    pub async fn immediate(&self) {
        self.at_once.cancelled().await;
    }
}
