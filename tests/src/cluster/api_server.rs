//! etcd and an API server, as one thing that starts and ends.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use rand::Rng;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use super::credentials::{write_kubeconfig, write_signing_key, write_tokens};
use super::programs::Programs;
use super::{ClusterError, Result};
use crate::servers::account::Account;
use crate::servers::folder::Folder;
use crate::servers::guard::Guard;
use crate::servers::ports;

/// Starting takes four seconds; on a busy machine, more.
const START: Duration = Duration::from_secs(120);
/// How often we look whether it is ready.
const LOOK: Duration = Duration::from_millis(50);
/// How often a start is tried when somebody took the port between finding it free and listening.
const TRIES: u32 = 3;

/// What is written down: who asked for what, and what came of it, of service accounts alone. Nothing else in these tests is bound by rights.
const AUDIT_POLICY: &str = r#"{"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"], "rules": [
    {"level": "Metadata", "userGroups": ["system:serviceaccounts"]}, {"level": "None"}]}"#;

/// A Kubernetes API of this process's own, empty at first.
///
/// Dropped, it ends at once and its folder goes.
#[derive(Debug)]
pub struct Cluster {
    programs: Programs,
    // Dropped in this order: the API server before its store, both before the folder they write to.
    _api_server: Guard,
    _etcd: Guard,
    folder: Folder,
}

impl Cluster {
    /// Starts one and waits until it is ready.
    ///
    /// # Errors
    /// [`ClusterError::NotInstalled`] when its programs aren't on this machine; what they say when they don't start.
    pub async fn start() -> Result<Self> {
        Self::start_with(&[]).await
    }

    /// The same, its API server with options besides its own: `--enable-admission-plugins=...`.
    ///
    /// # Errors
    /// As [`Cluster::start`].
    pub async fn start_with(options: &[&str]) -> Result<Self> {
        let mut tries = 0;
        loop {
            tries += 1;
            match Self::try_start(options).await {
                Err(ClusterError::Ended { .. }) if tries < TRIES => {}
                result => return result,
            }
        }
    }

    async fn try_start(options: &[&str]) -> Result<Self> {
        let programs = Programs::find()?;
        let folder = Folder::create("kubernetes", Account::Ourselves)?;
        let (store, server) = (folder.path().join("etcd"), folder.path().join("kube-apiserver"));
        for part in [&store, &server] {
            fs::create_dir(part).map_err(ClusterError::io(format!("making {}", part.display())))?;
        }
        let free = || ports::free().map_err(ClusterError::io("finding a free port"));
        let (client_port, peer_port, port) = (free()?, free()?, free()?);
        let token = format!("{:032x}", rand::rng().random::<u128>());
        write_signing_key(&server.join("service-accounts.key"), &server.join("service-accounts.pub"))?;
        write_tokens(&server.join("tokens.csv"), &token)?;
        let policy = server.join("audit.yaml");
        fs::write(&policy, AUDIT_POLICY).map_err(ClusterError::io(format!("writing {}", policy.display())))?;
        write_kubeconfig(&folder.path().join("kubeconfig"), port, &server.join("pki/apiserver.crt"), &token)?;

        // Not TERM: told to stop together, the API server waits for an etcd that is gone.
        let guard = |name: &str, folder: &Path, command: &[OsString]| {
            Guard::start(folder, Signal::SIGKILL, command).map_err(ClusterError::io(format!("starting {name}")))
        };
        let mut etcd = guard("etcd", &store, &etcd_command(&programs, &store, client_port, peer_port))?;
        let mut command = server_command(&programs, &server, client_port, port);
        command.extend(options.iter().map(OsString::from));
        let mut api_server = guard("kube-apiserver", &server, &command)?;

        let deadline = Instant::now() + START;
        loop {
            for (program, guard, part) in [("etcd", &mut etcd, &store), ("kube-apiserver", &mut api_server, &server)] {
                if guard.has_ended().map_err(ClusterError::io(format!("waiting for {program}")))? {
                    return Err(ClusterError::Ended { program, log: end_of_log(part) });
                }
            }
            let last = match kubectl(&programs, folder.path(), &["get", "--raw", "/readyz"]).await {
                // Objects in it come a moment after it says that it is ready.
                Ok(_) => kubectl(&programs, folder.path(), &["get", "--raw", "/api/v1/namespaces/default"]).await,
                Err(error) => Err(error),
            };
            match last {
                Ok(_) => return Ok(Self { programs, _api_server: api_server, _etcd: etcd, folder }),
                Err(error) if Instant::now() > deadline => {
                    let log = end_of_log(&server);
                    return Err(ClusterError::NotReady { seconds: START.as_secs(), last: error.to_string(), log });
                }
                Err(_) => sleep(LOOK).await,
            }
        }
    }

    /// The file that tells clients where it is and who they are: one who may do everything.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("kubeconfig")
    }

    /// What service accounts asked for, one JSON document (audit.k8s.io/v1, `Event`) a line, as soon as it was answered.
    pub fn audit_log(&self) -> PathBuf {
        self.folder.path().join("kube-apiserver/audit.log")
    }

    /// Runs kubectl and returns what it printed.
    ///
    /// # Errors
    /// [`ClusterError::Kubectl`] with what it said.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        kubectl(&self.programs, self.folder.path(), arguments).await
    }
}

async fn kubectl(programs: &Programs, folder: &Path, arguments: &[&str]) -> Result<String> {
    let failed = |said: String| ClusterError::Kubectl { arguments: arguments.join(" "), said };
    let Some((program, first)) = programs.kubectl.split_first() else { return Err(failed("is missing".to_owned())) };
    let mut command = Command::new(program);
    // Its cache is in the home folder otherwise.
    command.args(first).args(arguments).env("KUBECONFIG", folder.join("kubeconfig")).env("HOME", folder);
    let output = command.kill_on_drop(true).output().await.map_err(ClusterError::io("running kubectl"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }
}

fn etcd_command(programs: &Programs, folder: &Path, client_port: u16, peer_port: u16) -> Vec<OsString> {
    let (client, peer) = (format!("http://127.0.0.1:{client_port}"), format!("http://127.0.0.1:{peer_port}"));
    let mut command = programs.etcd.clone();
    command.push(path_argument("data-dir", &folder.join("data")));
    command.extend(
        [
            format!("--listen-client-urls={client}"),
            format!("--advertise-client-urls={client}"),
            format!("--listen-peer-urls={peer}"),
            format!("--initial-advertise-peer-urls={peer}"),
            format!("--initial-cluster=default={peer}"),
            "--unsafe-no-fsync".to_owned(),
            "--log-level=warn".to_owned(),
        ]
        .map(OsString::from),
    );
    command
}

fn server_command(programs: &Programs, folder: &Path, etcd_port: u16, port: u16) -> Vec<OsString> {
    let mut command = programs.api_server.clone();
    command.extend([
        path_argument("cert-dir", &folder.join("pki")),
        path_argument("token-auth-file", &folder.join("tokens.csv")),
        path_argument("service-account-signing-key-file", &folder.join("service-accounts.key")),
        path_argument("service-account-key-file", &folder.join("service-accounts.pub")),
        path_argument("audit-policy-file", &folder.join("audit.yaml")),
        path_argument("audit-log-path", &folder.join("audit.log")),
    ]);
    command.extend(
        [
            format!("--etcd-servers=http://127.0.0.1:{etcd_port}"),
            format!("--secure-port={port}"),
            "--bind-address=127.0.0.1".to_owned(),
            "--advertise-address=127.0.0.1".to_owned(),
            "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            "--authorization-mode=RBAC".to_owned(),
            // Without a controller manager no namespace gets its service account, and pods aren't what these tests make.
            "--disable-admission-plugins=ServiceAccount".to_owned(),
        ]
        .map(OsString::from),
    );
    command
}

fn path_argument(name: &str, path: &Path) -> OsString {
    let mut argument = OsString::from(format!("--{name}="));
    argument.push(path);
    argument
}

/// The last lines of what a program said.
fn end_of_log(folder: &Path) -> String {
    let log = fs::read(folder.join("log")).unwrap_or_default();
    let log = String::from_utf8_lossy(&log);
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
