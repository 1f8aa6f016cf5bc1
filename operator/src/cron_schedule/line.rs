//! One connection to a database.

use std::time::Duration;

use gritstone_store::{Error, NewTask, ScheduleNews, Session, Store, TakenKey, TaskRun, TaskView};
use jiff::Timestamp;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::timeout;

use super::owner::Owner;
use super::row::{self, Row};

/// How long the database may take for an answer, and how long whoever asks waits for others to get theirs.
const PATIENCE: Duration = Duration::from_secs(10);

/// A connection of its own, lent to one at a time. One that broke, or over which no answer came, is replaced.
pub(crate) struct Line {
    store: Store,
    session: Mutex<Option<Session<'static>>>,
}

/// The connection, while it is lent.
struct Held<'l> {
    place: MutexGuard<'l, Option<Session<'static>>>,
    session: Session<'static>,
}

impl Line {
    pub(super) fn new(store: Store) -> Self {
        Self { store, session: Mutex::default() }
    }

    pub(super) fn store(&self) -> &Store {
        &self.store
    }

    /// What the database said, without a password.
    pub(crate) fn words(&self, error: &Error) -> String {
        self.store.url().hide_password(&error.to_string())
    }

    /// Makes this the only task of its owner; how it stands then, and the database's time. The inner error: somebody else has its key.
    ///
    /// # Errors
    /// Those of the database.
    pub(crate) async fn put(&self, owner: &Owner, task: &NewTask) -> Result<Result<(Row, Timestamp), TakenKey>, Error> {
        let mut held = self.hold().await?;
        let put = in_time(row::put(&mut held.session, &owner.to_string(), task)).await;
        held.give_back(put)
    }

    /// Removes what the owner has. Jobs that were enqueued stay.
    ///
    /// # Errors
    /// Those of the database.
    pub(crate) async fn remove(&self, owner: &Owner) -> Result<(), Error> {
        let mut held = self.hold().await?;
        let removed = in_time(held.session.replace_tasks(&owner.to_string(), &[])).await;
        held.give_back(removed).map(drop)
    }

    /// What tells whether any row is otherwise than before.
    pub(super) async fn news(&self) -> Result<ScheduleNews, Error> {
        let mut held = self.hold().await?;
        let news = in_time(held.session.schedule_news()).await;
        held.give_back(news)
    }

    /// All rows.
    pub(super) async fn views(&self) -> Result<Vec<TaskView>, Error> {
        let mut held = self.hold().await?;
        let views = in_time(held.session.tasks()).await;
        held.give_back(views)
    }

    /// The last runs of these tasks.
    pub(super) async fn runs(&self, keys: &[String]) -> Result<Vec<TaskRun>, Error> {
        let mut held = self.hold().await?;
        let runs = in_time(held.session.last_task_runs(keys)).await;
        held.give_back(runs)
    }

    async fn hold(&self) -> Result<Held<'_>, Error> {
        let mut place = in_time(async { Ok(self.session.lock().await) }).await?;
        let session = match place.take() {
            Some(session) => session,
            None => self.store.connect().await?,
        };
        Ok(Held { place, session })
    }
}

impl Held<'_> {
    /// Keeps the connection, unless something happened that may have been its fault: then what is left of it is dropped.
    fn give_back<T>(mut self, result: Result<T, Error>) -> Result<T, Error> {
        if matches!(result, Ok(_) | Err(Error::Refused(_) | Error::Data(_) | Error::Conflict(_))) {
            *self.place = Some(self.session);
        }
        result
    }
}

async fn in_time<T>(answer: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let late = |_| Err(Error::Unavailable(format!("it did not answer within {PATIENCE:?}")));
    timeout(PATIENCE, answer).await.unwrap_or_else(late)
}
