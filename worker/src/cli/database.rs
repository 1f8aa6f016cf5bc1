//! The database that a command works on.

use super::Global;
use super::exit::Exit;
use gritstone_store::{DatabaseUrl, Store, StoreOptions};

/// Opens the store; nothing is connected yet.
pub(super) fn open(global: &Global) -> Result<Store, Exit> {
    Ok(Store::open(&global.database, StoreOptions::default())?)
}

/// Opens the store for a command that looks or changes, and makes sure that the queue is there. Such a command must not leave an
/// empty SQLite file behind where a name was misspelt.
pub(super) async fn open_queue(global: &Global) -> Result<Store, Exit> {
    let store = open(global)?;
    if let DatabaseUrl::Sqlite { path, .. } = store.url()
        && !path.exists()
    {
        return Err(Exit::Database(gritstone_store::Error::Schema(format!("there is no database {}", path.display()))));
    }
    store.check_schema().await?;
    Ok(store)
}
