//! What can go wrong on the way to a Kubernetes API for a test.

use std::error::Error;
use std::fmt;
use std::io;

use crate::servers::ServerError;

/// Why there is no API server.
///
/// Tests `unwrap` it, which prints `Debug`: so that says what `Display` says, and the causes.
#[derive(thiserror::Error)]
pub enum ClusterError {
    /// The programs aren't on this machine.
    #[error(
        "{program} not found (looked in {searched}): run `scripts/install-test-cluster api`; for etcd, kube-apiserver and kubectl KUBEBUILDER_ASSETS may name a folder instead"
    )]
    NotInstalled {
        /// The missing program.
        program: &'static str,
        /// Where it was looked for.
        searched: String,
    },
    /// The operating system said no.
    #[error("{doing} failed")]
    Io {
        /// What was being done, to what.
        doing: String,
        /// What the system said.
        source: io::Error,
    },
    /// No folder for it could be made.
    #[error(transparent)]
    Folder(#[from] ServerError),
    /// No key to sign the tokens of service accounts could be made.
    #[error("no key could be made: the system has no randomness to give")]
    Key,
    /// One of the two ended while they were starting.
    #[error("{program} ended while starting; the end of its log:\n{log}")]
    Ended {
        /// Which.
        program: &'static str,
        /// The last lines of its log.
        log: String,
    },
    /// They started and don't answer.
    #[error("the API server was not ready within {seconds} s ({last}); the end of its log:\n{log}")]
    NotReady {
        /// How long we waited.
        seconds: u64,
        /// What the last question gave.
        last: String,
        /// The last lines of its log.
        log: String,
    },
    /// kubectl failed.
    #[error("kubectl {arguments} failed: {said}")]
    Kubectl {
        /// What it was told.
        arguments: String,
        /// What it said.
        said: String,
    },
}

impl ClusterError {
    /// For `map_err`: names what was being done.
    pub(super) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        move |source| ClusterError::Io { doing: doing.into(), source }
    }
}

impl fmt::Debug for ClusterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        let mut cause = self.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}
