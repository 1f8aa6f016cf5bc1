//! Where the programs of a Kubernetes API are.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use super::{ClusterError, Result};
use crate::servers::programs::{caches, in_folders};

/// The folder of etcd, kube-apiserver and kubectl that Kubernetes' own test environments use.
const ASSETS: &str = "KUBEBUILDER_ASSETS";

/// The beginnings of three command lines.
#[derive(Clone, Debug)]
pub(super) struct Programs {
    pub(super) etcd: Vec<OsString>,
    pub(super) api_server: Vec<OsString>,
    pub(super) kubectl: Vec<OsString>,
}

impl Programs {
    /// Finds the three.
    pub(super) fn find() -> Result<Self> {
        let find: &dyn Fn(&'static str) -> Result<Vec<OsString>> = match env::var_os(ASSETS).filter(|f| !f.is_empty()) {
            Some(folder) => &move |program| {
                let searched = || format!("{}, which {ASSETS} names", PathBuf::from(&folder).display());
                let found = in_folders([PathBuf::from(&folder)], program);
                let found = found.ok_or_else(|| ClusterError::NotInstalled { program, searched: searched() })?;
                Ok(vec![found.into()])
            },
            None => &|program| {
                let folders: Vec<_> = caches().into_iter().map(|cache| cache.join("kube")).collect();
                let searched = folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", ");
                let found = in_folders(folders, "kube");
                let found = found.ok_or(ClusterError::NotInstalled { program: "kube", searched })?;
                Ok(vec![found.into(), program.into()])
            },
        };
        Ok(Self { etcd: find("etcd")?, api_server: find("kube-apiserver")?, kubectl: find("kubectl")? })
    }
}

/// Where helm is, as `scripts/install-test-cluster` built it.
///
/// # Errors
/// [`ClusterError::NotInstalled`] when it isn't there.
pub fn helm() -> Result<PathBuf> {
    let folders: Vec<_> = caches().into_iter().map(|cache| cache.join("helm")).collect();
    let searched = folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", ");
    in_folders(folders, "helm").ok_or(ClusterError::NotInstalled { program: "helm", searched })
}
