//! Jobs that were answered with 202: how they report, and to whom.
//!
//! Each run is given a [`Ticket`]: a URL that names its claim, and a token drawn for this run alone. Whoever shows the token may
//! post lines of the protocol until the run is over; then, or when the worker was restarted, the claim is unknown and the
//! answer is 410. `server` is the listener, which hands what it hears to the run's [`Mailbox`].

mod server;

use crate::execute::{Context, Job, Report};
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::net::TcpListener;
use tokio::sync::{OnceCell, mpsc};
use tokio_util::sync::{CancellationToken, DropGuard};

/// News from a job that calls back.
pub(super) enum News {
    /// It lives.
    Alive,
    /// It is over.
    Answer(Report),
}

/// What a run shows its handler, for it to call back. Its token is a secret: it can't be shown by accident.
#[derive(Clone)]
pub(super) struct Ticket {
    url: String,
    token: String,
}

impl Ticket {
    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn token(&self) -> &str {
        &self.token
    }

    #[cfg(test)]
    pub(super) fn sample() -> Self {
        Self { url: "http://127.0.0.1:7433/callbacks/7".into(), token: "secret".into() }
    }
}

/// A run that may be called back.
struct Expected {
    token: String,
    job: Arc<Job>,
    context: Context,
    news: mpsc::Sender<News>,
    answered: AtomicBool,
}

type Runs = Arc<Mutex<HashMap<i64, Arc<Expected>>>>;

fn lock(runs: &Runs) -> MutexGuard<'_, HashMap<i64, Arc<Expected>>> {
    runs.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The listener, started when it is first needed, and the runs that it may hear of.
pub(super) struct Callbacks {
    listen: SocketAddr,
    url: Option<String>,
    runs: Runs,
    base: OnceCell<String>,
    closing: CancellationToken,
    _closes: DropGuard,
}

/// Why nobody can call back.
#[derive(Debug, thiserror::Error)]
#[error(
    "can't listen on {listen} for the callbacks of jobs: {source}; choose another address or port (callback.listen)"
)]
pub(super) struct ListenError {
    listen: SocketAddr,
    source: io::Error,
}

impl Callbacks {
    pub(super) fn new(listen: SocketAddr, url: Option<String>) -> Self {
        let closing = CancellationToken::new();
        let url = url.map(|url| url.trim_end_matches('/').to_owned());
        Self {
            listen,
            url,
            runs: Runs::default(),
            base: OnceCell::new(),
            _closes: closing.clone().drop_guard(),
            closing,
        }
    }

    /// Listens, if nobody does yet.
    pub(super) async fn listen(&self) -> Result<&str, ListenError> {
        let base = self.base.get_or_try_init(|| async {
            let failed = |source| ListenError { listen: self.listen, source };
            let listener = TcpListener::bind(self.listen).await.map_err(failed)?;
            let address = listener.local_addr().map_err(failed)?;
            tokio::spawn(server::serve(listener, Arc::clone(&self.runs), self.closing.clone()));
            Ok(self.url.clone().unwrap_or_else(|| format!("http://{address}")))
        });
        base.await.map(String::as_str)
    }

    /// Listens no more.
    pub(super) fn close(&self) {
        self.closing.cancel();
    }

    /// Expects the run of this job to be called back.
    pub(super) async fn expect(&self, job: &Arc<Job>, context: &Context) -> Result<Mailbox, ListenError> {
        let url = format!("{}/callbacks/{}", self.listen().await?, job.claim);
        let token = format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>());
        let (news, inbox) = mpsc::channel(4);
        let expected = Expected {
            token: token.clone(),
            job: Arc::clone(job),
            context: context.clone(),
            news,
            answered: AtomicBool::new(false),
        };
        lock(&self.runs).insert(job.claim, Arc::new(expected));
        Ok(Mailbox { claim: job.claim, ticket: Ticket { url, token }, inbox, runs: Arc::clone(&self.runs) })
    }
}

impl Expected {
    /// Whether this is the first answer.
    fn is_first(&self) -> bool {
        !self.answered.swap(true, Ordering::Relaxed)
    }
}

/// Where a run hears of its job. Dropped, the job can't call back any more.
pub(super) struct Mailbox {
    claim: i64,
    pub(super) ticket: Ticket,
    inbox: mpsc::Receiver<News>,
    runs: Runs,
}

impl Mailbox {
    /// The next news. Can be dropped and called again.
    pub(super) async fn next(&mut self) -> News {
        match self.inbox.recv().await {
            Some(news) => news,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        lock(&self.runs).remove(&self.claim);
    }
}
