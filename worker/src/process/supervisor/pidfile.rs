//! One supervisor per pidfile.

use nix::fcntl::{Flock, FlockArg};
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

/// A pidfile that is held: locked for as long as this process lives, whatever it dies of, and removed on a clean stop.
#[derive(Debug)]
pub struct Pidfile {
    path: PathBuf,
    _lock: Flock<File>,
}

/// Why a pidfile can't be held.
#[derive(Debug, thiserror::Error)]
pub enum PidfileError {
    /// Another supervisor has it.
    #[error("another supervisor (pid {pid}) holds {path}: stop it first, or use another --pidfile")]
    Held {
        /// The file.
        path: String,
        /// What it says.
        pid: String,
    },
    /// The file can't be written.
    #[error("the pidfile {path} can't be written: {source}")]
    Io {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

impl Pidfile {
    /// Takes the pidfile.
    ///
    /// A lock, not the pid in it, says whether its owner lives: pids are used again.
    ///
    /// # Errors
    /// [`PidfileError::Held`] when another live process has it.
    pub fn take(path: &Path) -> Result<Self, PidfileError> {
        let io = |source| PidfileError::Io { path: path.display().to_string(), source };
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(io)?;
        let mut pid = String::new();
        file.read_to_string(&mut pid).map_err(io)?;
        let mut lock = Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|_| PidfileError::Held {
            path: path.display().to_string(),
            pid: if pid.trim().is_empty() { "unknown".into() } else { pid.trim().into() },
        })?;
        lock.set_len(0).and_then(|()| lock.rewind()).map_err(io)?;
        writeln!(lock, "{}", std::process::id()).map_err(io)?;
        Ok(Pidfile { path: path.to_owned(), _lock: lock })
    }
}

impl Drop for Pidfile {
    fn drop(&mut self) {
        // Still locked: nobody else can have taken it over.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_owner_is_refused_and_told_who_has_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gritstone.pid");
        let held = Pidfile::take(&path).unwrap();
        let error = Pidfile::take(&path).unwrap_err().to_string();
        assert!(error.contains(&std::process::id().to_string()), "{error}");
        drop(held);
        assert!(!path.exists());
    }

    #[test]
    fn what_a_dead_supervisor_left_behind_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gritstone.pid");
        std::fs::write(&path, "1\n").unwrap();
        let _held = Pidfile::take(&path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap().trim(), std::process::id().to_string());
    }
}
