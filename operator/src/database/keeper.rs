//! One database: a small pool for whoever needs it, and a task that keeps looking at it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gritstone_store::{DatabaseUrl, Error, MigrateOptions, Session, Store, StoreOptions};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::fault::DatabaseFault;

/// How long connecting may take, and a look. The operator is in no hurry, and a person who waits for the condition is.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long making the tables may take: an index on a large table takes minutes.
const MIGRATING: Duration = Duration::from_secs(15 * 60);
/// How often a database that answers is asked whether it is still the one it was.
const CHECK: Duration = Duration::from_secs(15);
/// The pauses between looks at one that doesn't: the first, doubled up to the last.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15));
/// What the pool holds at most: rows of tasks, pruning. Each is one connection less for workers.
const POOL: u32 = 2;

/// How a database stands.
pub(super) type State = Result<(), DatabaseFault>;

/// A database that somebody needs. Dropped, its connections go.
#[derive(Debug)]
pub(super) struct Database {
    pub(super) url: DatabaseUrl,
    #[allow(dead_code, reason = "for the kinds whose rows are in the database, which come next")]
    pub(super) store: Store,
    state: watch::Receiver<State>,
    wishes: Arc<Wishes>,
    _stop: DropGuard,
}

/// What users of a database want of its keeper.
#[derive(Debug, Default)]
struct Wishes {
    migrate: AtomicBool,
    look: Notify,
}

impl Database {
    /// Starts to keep a look at a database. `changed` is called whenever it stands otherwise than before.
    ///
    /// # Errors
    /// [`Error::Url`] when the URL has parameters that make no sense.
    pub(super) fn keep(url: DatabaseUrl, changed: impl Fn() + Send + Sync + 'static) -> Result<Self, Error> {
        let options = StoreOptions {
            max_connections: POOL,
            connect_timeout: PATIENCE,
            application_name: "gritstone-operator".to_owned(),
        };
        let store = Store::open_at(url.clone(), options)?;
        let (said, state) = watch::channel(Err(DatabaseFault::Connecting));
        let (stop, wishes) = (CancellationToken::new(), Arc::<Wishes>::default());
        let keeper = Keeper { url: url.clone(), store: store.clone(), said, wishes: wishes.clone(), changed };
        let stopped = stop.clone();
        tokio::spawn(async move {
            let store = keeper.store.clone();
            tokio::select! {
                () = stopped.cancelled() => {}
                () = keeper.run() => {}
            }
            // A server that hangs doesn't say goodbye.
            let _ = timeout(PATIENCE, store.close()).await;
        });
        Ok(Database { url, store, state, wishes, _stop: stop.drop_guard() })
    }

    /// How it stands now.
    pub(super) fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// Says whether somebody asks for its tables to be made.
    pub(super) fn may_migrate(&self, wanted: bool) {
        if !self.wishes.migrate.swap(wanted, Ordering::Relaxed) && wanted {
            self.wishes.look.notify_one();
        }
    }
}

struct Keeper<F> {
    url: DatabaseUrl,
    store: Store,
    said: watch::Sender<State>,
    wishes: Arc<Wishes>,
    changed: F,
}

impl<F: Fn()> Keeper<F> {
    async fn run(self) {
        let mut pause = PAUSES.0;
        loop {
            match self.enter().await {
                Ok(session) => {
                    pause = PAUSES.0;
                    self.say(Ok(()));
                    let error = self.stay(session).await;
                    tracing::debug!(database = %self.url, %error, "a look at a database failed; connecting anew");
                }
                Err(fault) => {
                    self.say(Err(fault));
                    // A wish is a reason to look at once, but none to look without end.
                    tokio::select! {
                        () = sleep(pause) => {}
                        () = self.wishes.look.notified() => {}
                    }
                    pause = (pause * 2).min(PAUSES.1);
                }
            }
        }
    }

    /// Connects, and sees whether it is a queue; makes it one if somebody asks for that.
    async fn enter(&self) -> Result<Session<'static>, DatabaseFault> {
        let mut session = self.store.connect().await.map_err(|error| self.fault(&error))?;
        match answer(session.check_schema()).await {
            Ok(()) => return Ok(session),
            Err(Error::Schema(_)) if self.wishes.migrate.load(Ordering::Relaxed) => {}
            Err(error) => return Err(self.fault(&error)),
        }
        drop(session);
        tracing::info!(database = %self.url, "bringing the tables up to date");
        let made = match timeout(MIGRATING, self.store.migrate(MigrateOptions::default())).await {
            Ok(made) => made.map(drop),
            Err(_) => Err(Error::Unavailable(format!("it took longer than {MIGRATING:?}"))),
        };
        made.map_err(|error| {
            let words = self.url.hide_password(&error.to_string());
            DatabaseFault::MigrationFailed { url: self.url.to_string(), words }
        })?;
        let mut session = self.store.connect().await.map_err(|error| self.fault(&error))?;
        answer(session.check_schema()).await.map_err(|error| self.fault(&error))?;
        Ok(session)
    }

    /// Looks again and again, until that fails.
    async fn stay(&self, mut session: Session<'static>) -> Error {
        loop {
            sleep(CHECK).await;
            if let Err(error) = answer(session.check_schema()).await {
                return error;
            }
        }
    }

    fn fault(&self, error: &Error) -> DatabaseFault {
        DatabaseFault::said(self.url.to_string(), error, self.url.hide_password(&error.to_string()))
    }

    fn say(&self, state: State) {
        let changed = self.said.send_if_modified(|before| {
            let changed = *before != state;
            *before = state;
            changed
        });
        if changed {
            (self.changed)();
        }
    }
}

/// What the database answers, or that it doesn't.
async fn answer<T>(question: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let late = || Error::Unavailable(format!("it did not answer within {PATIENCE:?}"));
    timeout(PATIENCE, question).await.unwrap_or_else(|_| Err(late()))
}
