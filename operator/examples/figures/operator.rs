//! The operator's program, started by this one.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use gritstone_tests::cluster::Cluster;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// A running operator.
pub struct Operator {
    pub child: Child,
    address: String,
}

impl Operator {
    /// Starts one that looks after all namespaces.
    pub async fn start(program: &Path, cluster: &Cluster) -> Result<Self> {
        let mut child = Command::new(program)
            .args([
                "--image",
                "gritstone:1",
                "--namespace",
                "*",
                "--health",
                "127.0.0.1:0",
                "--own-namespace",
                "default",
            ])
            .env("KUBECONFIG", cluster.kubeconfig())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("starting the operator")?;
        let mut lines = BufReader::new(child.stderr.take().context("its log")?).lines();
        let address = loop {
            let Some(line) = lines.next_line().await? else { bail!("the operator ended") };
            let line: serde_json::Value = serde_json::from_str(&line)?;
            if let Some(address) = line["address"].as_str() {
                break address.to_owned();
            }
        };
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { child, address })
    }

    /// What the kernel says of it.
    pub fn ask(&self, of: fn(i32) -> Option<u64>) -> Result<u64> {
        of(self.pid()?).context("its memory")
    }

    /// Its process.
    pub fn pid(&self) -> Result<i32> {
        Ok(self.child.id().context("the operator has ended")?.try_into()?)
    }

    /// What it counts, as text.
    pub async fn metrics(&self) -> Result<String> {
        self.page("/metrics").await
    }

    /// The answer to a request for one of its pages.
    pub async fn page(&self, path: &str) -> Result<String> {
        let mut stream = TcpStream::connect(&self.address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        Ok(text)
    }
}
