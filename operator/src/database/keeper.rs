//! One database: a small pool for whoever needs it, and a task that keeps looking at it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gritstone_store::{DatabaseUrl, Error, MigrateOptions, Session, Store, StoreOptions};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::demand::Demand;
use super::fault::DatabaseFault;
use super::look::{Look, Looking};
use super::user::User;

/// How long connecting may take, and a look. The operator is in no hurry, and a person who waits for the condition is.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long making the tables may take: an index on a large table takes minutes.
const MIGRATING: Duration = Duration::from_secs(15 * 60);
/// How often a database that answers is asked whether it is still the one it was.
const CHECK: Duration = Duration::from_secs(15);
/// How often a queue is looked at while somebody decides by what is seen.
const LOOK: Duration = Duration::from_secs(1);
/// How long after a look that was earlier, since jobs were said to have come, there is no other.
const EARLY: Duration = Duration::from_secs(2);
/// The pauses between looks at one that doesn't: the first, doubled up to the last.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(15));
/// What the pool holds at most: rows of tasks, pruning. Each is one connection less for workers.
const POOL: u32 = 2;

/// The newest look at a database, if anybody asks for looks.
pub(crate) type Looks = watch::Receiver<Option<Arc<Look>>>;

/// How a database stands.
pub(super) type State = Result<(), DatabaseFault>;

/// A database that somebody needs. Dropped, its connections go.
#[derive(Debug)]
pub(super) struct Database {
    pub(super) url: DatabaseUrl,
    pub(super) store: Store,
    state: watch::Receiver<State>,
    looks: Looks,
    wishes: Arc<Wishes>,
    _stop: DropGuard,
}

/// What users of a database want of its keeper.
#[derive(Debug, Default)]
struct Wishes {
    migrate: AtomicBool,
    demands: Mutex<BTreeMap<User, Demand>>,
    look: Notify,
}

impl Wishes {
    fn demands(&self) -> MutexGuard<'_, BTreeMap<User, Demand>> {
        self.demands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anybody decides by what is seen.
    fn anyone_scales(&self) -> bool {
        self.demands().values().any(|demand| demand.scales)
    }
}

impl Database {
    /// Starts to keep a look at a database. `changed` is called whenever it stands otherwise than before.
    ///
    /// # Errors
    /// [`Error::Url`] when the URL has parameters that make no sense.
    pub(super) fn keep(
        url: DatabaseUrl,
        cluster_id: String,
        changed: impl Fn() + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let options = StoreOptions {
            max_connections: POOL,
            connect_timeout: PATIENCE,
            application_name: "gritstone-operator".to_owned(),
        };
        let store = Store::open_at(url.clone(), options)?;
        let (said, state) = watch::channel(Err(DatabaseFault::Connecting));
        let (seen, looks) = watch::channel(None);
        let (stop, wishes) = (CancellationToken::new(), Arc::<Wishes>::default());
        let keeper =
            Keeper { url: url.clone(), store: store.clone(), cluster_id, said, seen, wishes: wishes.clone(), changed };
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
        Ok(Database { url, store, state, looks, wishes, _stop: stop.drop_guard() })
    }

    /// How it stands now.
    pub(super) fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// The looks that are taken while somebody decides by them.
    pub(super) fn looks(&self) -> Looks {
        self.looks.clone()
    }

    /// Says what the workers of `user` claim; none when it is no concern of this database any more.
    pub(super) fn demand(&self, user: &User, demand: Option<Demand>) {
        let mut demands = self.wishes.demands();
        match demand {
            None => drop(demands.remove(user)),
            Some(demand) => {
                let is_new = demand.scales && !demands.contains_key(user);
                demands.insert(user.clone(), demand);
                if is_new {
                    self.wishes.look.notify_one();
                }
            }
        }
    }

    /// Whether somebody asks for its tables to be made.
    #[cfg(test)]
    pub(super) fn is_to_migrate(&self) -> bool {
        self.wishes.migrate.load(Ordering::Relaxed)
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
    cluster_id: String,
    said: watch::Sender<State>,
    seen: watch::Sender<Option<Arc<Look>>>,
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
        let (mut looking, mut checked, mut early) = (Looking::default(), Instant::now(), None::<Instant>);
        // Listens from the first time that it is asked.
        let mut wakeups = self.store.wakeups();
        loop {
            if checked.elapsed() >= CHECK {
                checked = Instant::now();
                if let Err(error) = answer(session.check_schema()).await {
                    return error;
                }
            }
            if !self.wishes.anyone_scales() {
                self.seen.send_replace(None);
                tokio::select! {
                    () = sleep(CHECK) => {}
                    () = self.wishes.look.notified() => {}
                }
                continue;
            }
            let demands = self.wishes.demands().clone();
            match answer(looking.look(&mut session, &self.cluster_id, &demands)).await {
                Ok(look) => drop(self.seen.send_replace(Some(Arc::new(look)))),
                Err(error) => return error,
            }
            let may_be_early = early.is_none_or(|early| early.elapsed() >= EARLY);
            tokio::select! {
                () = sleep(LOOK) => {}
                () = self.wishes.look.notified() => {}
                _ = wakeups.next(), if may_be_early => early = Some(Instant::now()),
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
