//! The folder that a server lives in: its data, its log.

use std::fmt;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::unistd::Uid;

use super::account::Account;
use super::{Result, ServerError};

/// A folder that is removed when dropped, and by the next run when this process is killed.
///
/// It is held by a lock on itself, which the kernel lets go when the process ends: a folder that nobody holds is left over.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    _held: File,
}

impl Folder {
    /// Makes a folder of the account's for a server, and sweeps up what killed runs left.
    pub(crate) fn create(server: impl fmt::Display, account: Account) -> Result<Self> {
        let root = root()?;
        account.check_reach(&root, "the folder of throwaway servers", "TMPDIR")?;
        // One at a time: a folder just made isn't held yet, and would be swept.
        let turn = open(&root)?;
        turn.lock().map_err(ServerError::io(format!("locking {}", root.display())))?;
        sweep(&root);
        let path = root.join(unused_name(server));
        make(&path)?;
        account.give(&path)?;
        let held = open(&path)?;
        held.lock().map_err(ServerError::io(format!("locking {}", path.display())))?;
        Ok(Folder { path, _held: held })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the server keeps its data.
    pub(super) fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// The last lines of the server's log.
    pub(super) fn end_of_log(&self) -> String {
        let log = fs::read(self.path.join("log")).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// One folder a user, since nobody may touch another's.
fn root() -> Result<PathBuf> {
    let root = std::env::temp_dir().join(format!("gritstone-tests-{}", Uid::effective()));
    if !root.is_dir() {
        make(&root)?;
    }
    // The name can be guessed, and the system's temporary folder is everyone's.
    let owner = root.metadata().map_err(ServerError::io(format!("looking at {}", root.display())))?.uid();
    if owner != Uid::effective().as_raw() {
        let theirs = std::io::Error::other(format!("it is user {owner}'s: remove it, or set TMPDIR to another folder"));
        return Err(ServerError::Io { doing: format!("using {}", root.display()), source: theirs });
    }
    root.canonicalize().map_err(ServerError::io(format!("finding {}", root.display())))
}

fn make(path: &Path) -> Result<()> {
    let doing = || ServerError::io(format!("making the folder {}", path.display()));
    fs::create_dir(path).or_else(|e| if path.is_dir() { Ok(()) } else { Err(e) }).map_err(doing())?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(doing())
}

fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(ServerError::io(format!("opening {}", path.display())))
}

fn unused_name(server: impl fmt::Display) -> String {
    static MADE: AtomicU32 = AtomicU32::new(0);
    format!("{server}-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed))
}

/// Removes the folders that nobody holds.
fn sweep(root: &Path) {
    for entry in fs::read_dir(root).into_iter().flatten().flatten() {
        let path = entry.path();
        let left_over = File::open(&path).is_ok_and(|folder| folder.try_lock().is_ok());
        if left_over {
            let _ = fs::remove_dir_all(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_holds_is_swept_and_what_somebody_holds_stays() {
        let root = tempfile::tempdir().unwrap();
        let (held, left_over) = (root.path().join("held"), root.path().join("left-over"));
        fs::create_dir(&held).unwrap();
        fs::create_dir_all(left_over.join("data")).unwrap();
        let lock = File::open(&held).unwrap();
        lock.lock().unwrap();

        sweep(root.path());

        assert!(held.is_dir());
        assert!(!left_over.exists());
    }
}
