//! A server that does nothing with each job, in a process of its own: this program again.

use anyhow::{Context as _, Result};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};

/// Answers jobs with 204 until its standard input ends; prints where.
#[derive(Debug, clap::Args)]
pub(crate) struct Serve {}

impl Serve {
    pub(crate) async fn run(&self) -> Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("http://{}/jobs", listener.local_addr()?);
        let serving = async {
            loop {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                let connection = hyper::server::conn::http1::Builder::new();
                tokio::spawn(connection.serve_connection(TokioIo::new(stream), service_fn(answer)));
            }
        };
        let (mut input, mut nowhere) = (tokio::io::stdin(), tokio::io::sink());
        tokio::select! {
            done = serving => done,
            ended = tokio::io::copy(&mut input, &mut nowhere) => Ok(ended.map(|_| ())?),
        }
    }
}

/// Reads the job, as a handler would.
async fn answer(request: Request<Incoming>) -> hyper::Result<Response<Empty<Bytes>>> {
    request.into_body().collect().await?;
    let mut response = Response::new(Empty::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

/// A running server; ends with its value.
pub(crate) struct Server {
    pub(crate) url: String,
    _child: Child,
}

/// Starts one.
pub(crate) async fn start() -> Result<Server> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("serve").stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn()?;
    let stdout = child.stdout.take().context("the server's stdout")?;
    let url = BufReader::new(stdout).lines().next_line().await?.context("the server said nothing")?;
    Ok(Server { url, _child: child })
}
