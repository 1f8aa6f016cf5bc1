//! The program itself, as often as a test needs it, against one API server for this binary.

use std::ops::Deref;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;

use gritstone_tests::cluster::Cluster;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::sync::{OnceCell, watch};
use tokio_util::sync::CancellationToken;

use crate::support::{Ground, PATIENCE, start_cluster, until};

async fn cluster() -> &'static Cluster {
    static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();
    CLUSTER.get_or_init(|| start_cluster(&[])).await
}

/// A namespace where operators run and look after what is there.
pub struct Place {
    ground: Ground,
    folder: tempfile::TempDir,
    kubeconfig: Value,
}

impl Deref for Place {
    type Target = Ground;

    fn deref(&self) -> &Ground {
        &self.ground
    }
}

impl Place {
    pub async fn new(name: &str) -> Self {
        let ground = Ground::on(cluster().await, name).await;
        let kubeconfig = std::fs::read(cluster().await.kubeconfig()).unwrap();
        let mut kubeconfig: Value = serde_json::from_slice(&kubeconfig).unwrap();
        kubeconfig["contexts"][0]["context"]["namespace"] = json!(ground.namespace());
        Self { ground, folder: tempfile::tempdir().unwrap(), kubeconfig }
    }

    /// Starts an operator. It goes when the result is dropped.
    pub fn start(&self, arguments: &[&str]) -> Operator {
        self.start_with(self.kubeconfig.clone(), arguments)
    }

    /// Starts one as this user.
    pub fn start_as(&self, user: &str, arguments: &[&str]) -> Operator {
        let mut kubeconfig = self.kubeconfig.clone();
        kubeconfig["users"][0]["user"]["as"] = json!(user);
        self.start_with(kubeconfig, arguments)
    }

    /// A way to the API server.
    pub async fn link(&self) -> Link {
        let server = self.kubeconfig["clusters"][0]["cluster"]["server"].as_str().unwrap();
        Link::to(server.trim_start_matches("https://").to_owned()).await
    }

    /// Starts one that sees the API server through a link.
    pub fn start_linked(&self, link: &Link) -> Operator {
        let mut kubeconfig = self.kubeconfig.clone();
        kubeconfig["clusters"][0]["cluster"]["server"] = json!(format!("https://{}", link.address));
        self.start_with(kubeconfig, &[])
    }

    fn start_with(&self, kubeconfig: Value, arguments: &[&str]) -> Operator {
        let path: PathBuf = self.folder.path().join(format!("{:016x}", rand::random::<u64>()));
        std::fs::write(&path, kubeconfig.to_string()).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_gritstone-operator"))
            .args(["--image", "gritstone:test", "--namespace", self.namespace(), "--health", "127.0.0.1:0"])
            .args(arguments)
            .env("KUBECONFIG", path)
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let (said, log) = watch::channel(Vec::new());
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let line = serde_json::from_str(&line).unwrap_or_else(|_| json!({"message": line}));
                said.send_modify(|log: &mut Vec<Value>| log.push(line));
            }
        });
        Operator { child, log }
    }
}

/// A running operator.
pub struct Operator {
    child: Child,
    log: watch::Receiver<Vec<Value>>,
}

impl Operator {
    /// The first line of its log like this, once it is there.
    pub async fn says(&self, message: &str) -> Value {
        self.logs(|line| line["message"] == message).await
    }

    pub async fn logs(&self, is_meant: impl Fn(&Value) -> bool) -> Value {
        let mut log = self.log.clone();
        let found = log.wait_for(|lines| lines.iter().any(&is_meant));
        let found = tokio::time::timeout(PATIENCE, found).await;
        let Ok(Ok(lines)) = found else { panic!("it never said so: {:#?}", self.log.borrow().clone()) };
        lines.iter().find(|line| is_meant(line)).unwrap().clone()
    }

    /// What it logged last, now that it has ended.
    pub async fn last_line(&self) -> Value {
        let mut log = self.log.clone();
        while log.changed().await.is_ok() {}
        let lines = log.borrow();
        lines.iter().rfind(|line| line["timestamp"].is_string()).unwrap().clone()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().unwrap().try_into().unwrap()), signal).unwrap();
    }

    pub async fn ends(&mut self) -> ExitStatus {
        tokio::time::timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap()
    }

    /// A page's status and text.
    pub async fn page(&self, path: &str) -> (u16, String) {
        let serving = self.says("serving /livez, /readyz and /metrics").await;
        let mut stream = TcpStream::connect(serving["address"].as_str().unwrap()).await.unwrap();
        stream
            .write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes())
            .await
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// Waits until a page is as expected.
    pub async fn page_becomes(&self, path: &str, is_meant: impl Fn(u16, &str) -> bool) {
        until(&format!("{path} is as expected"), async || {
            let (status, text) = self.page(path).await;
            is_meant(status, &text)
        })
        .await;
    }
}

/// A way to the API server that can be cut.
pub struct Link {
    address: String,
    cut: CancellationToken,
}

impl Link {
    async fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (server, cut) = (Arc::new(server), CancellationToken::new());
        let of_link = cut.clone();
        tokio::spawn(async move {
            while let Some(Ok((mut near, _))) = of_link.run_until_cancelled(listener.accept()).await {
                let (server, cut) = (server.clone(), of_link.clone());
                tokio::spawn(cut.run_until_cancelled_owned(async move {
                    let mut far = TcpStream::connect(server.as_str()).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                }));
            }
            // Whoever calls from now on hears nothing.
            std::future::pending::<()>().await;
            drop(listener);
        });
        Self { address, cut }
    }

    /// Nothing comes through any more.
    pub fn cut(&self) {
        self.cut.cancel();
    }
}
