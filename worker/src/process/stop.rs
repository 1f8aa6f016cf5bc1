//! Being told to stop: in order, or at once; or only to pause, or to end what runs and go on.

use std::sync::Arc;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Two stages of stopping. The first lets jobs finish, the second ends them. Beside them, workers can be kept from claiming, and told
/// to end what they run.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    gracefully: CancellationToken,
    at_once: CancellationToken,
    /// Shared by all that follow each other.
    paused: Arc<watch::Sender<bool>>,
    /// How often jobs were to be ended; shared too.
    endings: Arc<watch::Sender<u64>>,
}

impl Stop {
    /// Nobody has asked yet.
    pub fn new() -> Self {
        Stop::default()
    }

    /// One that follows this one, and can also be used alone.
    pub fn child(&self) -> Self {
        Stop { gracefully: self.gracefully.child_token(), at_once: self.at_once.child_token(), ..self.apart() }
    }

    /// One that is paused with this one, but stopped by itself alone.
    pub fn apart(&self) -> Self {
        Stop { paused: Arc::clone(&self.paused), endings: Arc::clone(&self.endings), ..Stop::default() }
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

    /// Workers claim no more until [`resume`](Self::resume); what they run goes on, what they claimed ahead is given back.
    pub fn pause(&self) {
        self.paused.send_replace(true);
    }

    /// Workers claim again.
    pub fn resume(&self) {
        self.paused.send_replace(false);
    }

    /// Whether workers are kept from claiming.
    pub fn is_paused(&self) -> bool {
        *self.paused.borrow()
    }

    /// Waits until workers are, or are no longer, kept from claiming.
    pub async fn paused(&self, paused: bool) {
        // The sender lives as long as this does.
        let _ = self.paused.subscribe().wait_for(|now| *now == paused).await;
    }

    /// Workers end what they run now, give it back and go on.
    pub fn end_jobs(&self) {
        self.endings.send_modify(|times| *times += 1);
    }

    /// Changes whenever claims are paused or go on.
    pub(super) fn pauses(&self) -> watch::Receiver<bool> {
        self.paused.subscribe()
    }

    /// Changes whenever jobs are to be ended.
    pub(super) fn endings(&self) -> watch::Receiver<u64> {
        self.endings.subscribe()
    }
}
