//! A queue database that a Secret names.

use gritstone_store::{MigrateOptions, Session, Store, StoreOptions};
use gritstone_tests::rig::Sql;
use gritstone_tests::servers::{Server, TestDatabase};

use super::ground::Ground;

pub struct Queue {
    pub store: Store,
    database: TestDatabase,
}

impl Queue {
    /// A queue, which the Secret `secret` names.
    pub async fn new(ground: &Ground, secret: &str, server: Server) -> Self {
        let queue = Self::empty(ground, secret, server).await;
        queue.migrate().await;
        queue
    }

    /// A database that isn't one yet.
    pub async fn empty(ground: &Ground, secret: &str, server: Server) -> Self {
        let database = TestDatabase::create(server).await.unwrap();
        let store = Store::open(&database.url, StoreOptions::default()).unwrap();
        ground.create_secret_of(secret, &database.url).await;
        Self { store, database }
    }

    pub async fn migrate(&self) {
        self.store.migrate(MigrateOptions::default()).await.unwrap();
    }

    pub async fn session(&self) -> Session<'static> {
        self.store.session().await.unwrap()
    }

    pub async fn sql(&self) -> Sql {
        Sql::connect(self.database.engine(), &self.database.url).await.unwrap()
    }

    /// The database's name, which is its own.
    pub fn name(&self) -> &str {
        self.database.url.rsplit('/').next().unwrap()
    }
}
