//! The database that a command works on.

use super::exit::Exit;
use super::{Global, runtime};
use crate::health::Health;
use crate::process::Stop;
use gritstone_store::{DatabaseUrl, Error, Session, Store, StoreOptions};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

/// The database that is meant. Looks at nothing but whether a SQLite file has a folder.
pub(super) fn address(global: &Global) -> Result<DatabaseUrl, Exit> {
    if global.database().trim().is_empty() {
        let origin = origin(global);
        return Err(Exit::Usage(format!("{origin} is empty: unset it for sqlite://gritstone.db, or name a database")));
    }
    let url =
        DatabaseUrl::parse(global.database()).map_err(|error| Exit::Usage(format!("{}: {error}", origin(global))))?;
    if let DatabaseUrl::Sqlite { path, .. } = &url
        && path.is_dir()
    {
        return Err(Exit::Refused(format!("{url} is a folder: name a file in it, such as {url}/gritstone.db")));
    }
    if let DatabaseUrl::Sqlite { path, .. } = &url
        && let Some(folder) = path.parent()
        && folder != Path::new("")
        && !folder.is_dir()
    {
        let folder = folder.display();
        return Err(Exit::Refused(format!(
            "{url} is to be in the folder {folder}, which does not exist: make it (mkdir -p {folder}), or name another file \
             with --database"
        )));
    }
    Ok(url)
}

/// Opens the store; nothing is connected yet. Async because its pool needs a runtime.
pub(super) async fn open(global: &Global) -> Result<Store, Exit> {
    Ok(Store::open(global.database(), StoreOptions::default())?)
}

/// Where the URL came from, for whoever has to mend it.
fn origin(global: &Global) -> &'static str {
    match std::env::var("DATABASE_URL") {
        Ok(url) if url == global.database() => "the environment's DATABASE_URL",
        _ => "--database",
    }
}

/// Refuses a SQLite file that isn't there: opening it would leave an empty one behind, perhaps under a misspelt name.
pub(super) fn refuse_missing_file(url: &DatabaseUrl) -> Result<(), Exit> {
    match url {
        DatabaseUrl::Sqlite { path, .. } if !path.exists() => {
            Err(Error::Schema(format!("there is no database {}", path.display())).into())
        }
        _ => Ok(()),
    }
}

/// A queue database that a command looks at or changes: one connection, and the tables are there.
pub(super) struct Queue {
    /// The connection.
    pub(super) session: Session<'static>,
    /// Its address, without a password.
    pub(super) url: DatabaseUrl,
}

/// Runs a command's work on the queue. `doing` says in errors what it was about: `listing jobs`.
pub(super) fn with_queue<T>(
    global: &Global,
    doing: &str,
    work: impl AsyncFnOnce(&mut Queue) -> Result<T, Exit>,
) -> Result<T, Exit> {
    let url = address(global)?;
    let done = runtime::block_on(async {
        refuse_missing_file(&url)?;
        // A connection of its own: the pool would try again for ten seconds where a server is down.
        let session = open(global).await?.connect().await?;
        let mut queue = Queue { session, url: url.clone() };
        queue.session.check_schema().await?;
        work(&mut queue).await
    });
    done.map_err(|exit| exit.during(doing, &url))
}

impl Queue {
    /// Hands on the slots that jobs gave back, and ends the batches that lost their last member, so that what waited for
    /// them can run.
    pub(super) async fn hand_on(&mut self, signals: bool, batch_ids: &[i64]) -> Result<(), Exit> {
        let mut queues = BTreeSet::new();
        if signals {
            queues.extend(self.session.signal().await?);
        }
        queues.extend(self.session.complete_batches(batch_ids).await?);
        self.wake(&queues).await;
        Ok(())
    }

    /// Tells workers that these queues have work. They would find it at their next poll anyway.
    pub(super) async fn wake(&mut self, queues: &BTreeSet<String>) {
        if let Err(error) = self.session.notify(queues).await {
            tracing::debug!(%error, "could not notify workers; they poll");
        }
    }
}

/// Waits until the tables are there, for a process that doesn't make them. False when told to stop meanwhile.
///
/// As long as a database that answers doesn't have them, the process is not ready: in a rollout to a newer version, those that can work on
/// the tables as they are go on with it. A database that is away is no such reason.
///
/// # Errors
/// When waiting doesn't help, above all for a schema that is too new.
pub(super) async fn wait_until_usable(store: &Store, stop: &Stop, health: &Health) -> Result<bool, Exit> {
    let (mut patience, mut are_missing) = (Patience::default(), false);
    loop {
        // Not through the pool: where a server is down it only says, after ten seconds, that no connection became free.
        let looked = async { store.connect().await?.check_schema().await };
        match looked.await {
            Ok(()) => {
                health.goes_on();
                return Ok(true);
            }
            Err(error @ (Error::Unavailable(_) | Error::Conflict(_) | Error::Schema(_))) => {
                are_missing |= matches!(error, Error::Schema(_));
                match are_missing {
                    true => health.waits(error.to_string()),
                    false => health.goes_on(),
                }
                if !patience.wait(store, &error, stop).await {
                    return Ok(false);
                }
            }
            Err(error) => return Err(Exit::from(error).during("looking for the tables", store.url())),
        }
    }
}

/// Waits for a database, and says so once.
#[derive(Default)]
pub(super) struct Patience {
    said: bool,
}

impl Patience {
    /// False when told to stop meanwhile.
    pub(super) async fn wait(&mut self, store: &Store, error: &Error, stop: &Stop) -> bool {
        if !self.said {
            tracing::error!(database = %store.url(), %error, "the database can't be used; waiting for it");
            self.said = true;
        }
        tokio::select! {
            () = stop.requested() => false,
            () = tokio::time::sleep(Duration::from_secs(1)) => true,
        }
    }
}
