//! A database of a test's own.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tempfile::TempDir;
use url::Url;

use super::admin::Admin;
use super::{Engine, Result, Server, ServerError, admin_url};

/// An empty database that nobody else uses, removed when dropped.
#[derive(Debug)]
pub struct TestDatabase {
    /// Where it is, as an application would be told.
    pub url: String,
    home: Home,
}

#[derive(Debug)]
enum Home {
    Server { server: Server, admin_url: Url, name: String },
    Folder(TempDir),
}

impl TestDatabase {
    /// Makes a database on the shared server, or a SQLite file that doesn't wait for the disk.
    ///
    /// # Errors
    /// What [`admin_url`] says when there is no server; what the server says when it makes no database.
    pub async fn create(engine: impl Into<Engine>) -> Result<Self> {
        match engine.into() {
            Engine::Server(server) => Self::on_server(server).await,
            Engine::Sqlite => Self::in_file(),
        }
    }

    /// What it is a database of.
    pub fn engine(&self) -> Engine {
        match &self.home {
            Home::Server { server, .. } => Engine::Server(*server),
            Home::Folder(_) => Engine::Sqlite,
        }
    }

    /// SQLite's file.
    pub fn path(&self) -> Option<PathBuf> {
        match &self.home {
            Home::Server { .. } => None,
            Home::Folder(folder) => Some(file_in(folder)),
        }
    }

    async fn on_server(server: Server) -> Result<Self> {
        let admin_url = admin_url(server).await?;
        let name = unused_name();
        Admin::connect(server, admin_url.as_str()).await?.create_database(&name, None).await?;
        let mut url = admin_url.clone();
        url.set_path(&name);
        Ok(TestDatabase { url: url.into(), home: Home::Server { server, admin_url, name } })
    }

    fn in_file() -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("gritstone-test-")
            .tempdir()
            .map_err(ServerError::io("making a folder for a SQLite file"))?;
        let url = format!("sqlite://{}?synchronous=normal", file_in(&folder).display());
        Ok(TestDatabase { url, home: Home::Folder(folder) })
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let Home::Server { server, admin_url, name } = &self.home else { return };
        let (server, admin_url, name) = (*server, admin_url.clone(), name.clone());
        // The test's own runtime can't be waited for from within it.
        let dropped = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
            runtime.block_on(async {
                let dropping = async { Admin::connect(server, admin_url.as_str()).await?.drop_database(&name).await };
                tokio::time::timeout(Duration::from_secs(10), dropping).await.ok()?.ok()
            })
        });
        let _ = dropped.join();
    }
}

fn file_in(folder: &TempDir) -> PathBuf {
    folder.path().join("queue.sqlite3")
}

/// Unused on this server even when other processes make databases there.
fn unused_name() -> String {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    format!("gritstone_test_{:x}_{}_{}", now.as_micros(), std::process::id(), MADE.fetch_add(1, Ordering::Relaxed))
}
