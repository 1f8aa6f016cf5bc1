//! Waking workers early on PostgreSQL.
//!
//! `NOTIFY` takes a lock on the whole database at commit, so it is sent apart from the enqueuing transaction, once for
//! many jobs: the first one of a quiet spell at once, what follows within [`QUIET`] together at its end. A notification that gets lost costs one
//! polling interval, nothing else. MySQL and SQLite have no such thing; processes in this same program are woken through the same
//! [`Wakeups`] anyway.

use crate::session::Session;
use crate::sql::Dialect;
use crate::store::Store;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::broadcast;

/// The channel that workers listen on. Its payload is the queues' names, a line each.
pub const CHANNEL: &str = "gritstone_ready";

/// How long notifications are gathered after one was sent.
const QUIET: Duration = Duration::from_millis(3);

/// Names longer than this in all are sent as "some queue": PostgreSQL takes 8,000 bytes a payload.
const MAX_PAYLOAD: usize = 7_900;

pub(crate) struct Notifier {
    pending: Arc<Mutex<Pending>>,
    /// Queues that have new work, for pollers in this program.
    local: broadcast::Sender<Arc<str>>,
}

#[derive(Default)]
struct Pending {
    queues: BTreeSet<String>,
    running: bool,
}

impl Default for Notifier {
    fn default() -> Self {
        Notifier { pending: Arc::default(), local: broadcast::channel(256).0 }
    }
}

impl Store {
    /// Tells workers that these queues have work. Returns at once; call it after the enqueuing transaction committed.
    ///
    /// Nothing is sent outside a Tokio runtime, where polling has to do.
    pub fn wake(&self, queues: impl IntoIterator<Item = impl Into<String>>) {
        let queues: Vec<String> = queues.into_iter().map(Into::into).collect();
        for queue in &queues {
            // No receiver is no error: nobody in this program polls.
            let _ = self.notifier().local.send(queue.as_str().into());
        }
        if !self.is_postgres() {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let pending = Arc::clone(&self.notifier().pending);
        {
            let mut pending = lock(&pending);
            pending.queues.extend(queues);
            if pending.running {
                return;
            }
            pending.running = true;
        }
        let store = self.clone();
        runtime.spawn(async move {
            loop {
                let queues = {
                    let mut pending = lock(&pending);
                    if pending.queues.is_empty() {
                        // Under the same lock that `wake` adds under, so no name is left behind.
                        pending.running = false;
                        return;
                    }
                    std::mem::take(&mut pending.queues)
                };
                if let Err(error) = store.notify(&queues).await {
                    tracing::debug!(%error, "could not notify workers; they poll");
                }
                tokio::time::sleep(QUIET).await;
            }
        });
    }

    async fn notify(&self, queues: &BTreeSet<String>) -> Result<(), crate::Error> {
        self.session().await?.notify(queues).await
    }

    /// Listens for new work in this program and, on PostgreSQL, anywhere.
    pub fn wakeups(&self) -> Wakeups {
        Wakeups { store: self.clone(), local: self.notifier().local.subscribe(), listener: None }
    }
}

impl Session<'_> {
    /// Tells workers elsewhere that these queues have work, before it returns: for a program that ends right afterwards, where
    /// [`Store::wake`] would come too late. Does nothing but on PostgreSQL.
    ///
    /// # Errors
    /// Those of the database; workers then notice at their next poll.
    pub async fn notify(&mut self, queues: &BTreeSet<String>) -> Result<(), crate::Error> {
        if self.dialect != Dialect::Postgres || queues.is_empty() {
            return Ok(());
        }
        let names = queues.iter().map(String::as_str).collect::<Vec<_>>().join("\n");
        let payload = if names.len() > MAX_PAYLOAD { "" } else { &names };
        self.execute("select pg_notify(?, ?)", &crate::sql::values![CHANNEL, payload]).await?;
        Ok(())
    }
}

fn lock(pending: &Mutex<Pending>) -> std::sync::MutexGuard<'_, Pending> {
    // Nothing panics while it holds this lock; if something did, the names inside are still good.
    pending.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// News of queues that have work.
pub struct Wakeups {
    store: Store,
    local: broadcast::Receiver<Arc<str>>,
    listener: Option<sqlx::postgres::PgListener>,
}

/// What is known of new work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// These queues have work.
    Queues(Vec<String>),
    /// Some queues have work, it isn't known which.
    Some,
}

impl Wakeups {
    /// Waits for news. While PostgreSQL can't be listened to, reconnects with pauses of a second: never an error, since
    /// polling goes on meanwhile. Cancel-safe.
    pub async fn next(&mut self) -> News {
        loop {
            if self.listener.is_none()
                && let Some(pool) = self.store.listening_pool()
            {
                match listen(&pool).await {
                    Ok(listener) => self.listener = Some(listener),
                    Err(error) => {
                        tracing::debug!(%error, "can't listen for notifications; polling goes on");
                        tokio::time::sleep(Duration::from_secs(1)).await;
                        continue;
                    }
                }
            }
            let listener = &mut self.listener;
            let remote = async {
                match listener {
                    Some(listener) => listener.try_recv().await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                local = self.local.recv() => return match local {
                    Ok(queue) => News::Queues(vec![queue.to_string()]),
                    Err(_) => News::Some,
                },
                remote = remote => match remote {
                    Ok(Some(notification)) if !notification.payload().is_empty() => {
                        return News::Queues(notification.payload().lines().map(str::to_owned).collect());
                    }
                    Ok(Some(_)) => return News::Some,
                    // The connection was lost: whatever was sent meanwhile is lost too, so look.
                    Ok(None) | Err(_) => {
                        self.listener = None;
                        tokio::time::sleep(Duration::from_millis(200)).await;
                        return News::Some;
                    }
                },
            }
        }
    }
}

async fn listen(pool: &sqlx::PgPool) -> Result<sqlx::postgres::PgListener, sqlx::Error> {
    let mut listener = sqlx::postgres::PgListener::connect_with(pool).await?;
    listener.eager_reconnect(false);
    listener.listen(CHANNEL).await?;
    Ok(listener)
}
