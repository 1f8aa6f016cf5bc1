//! Servers that jobs are posted to and that can't be reached, are slow, redirect, or speak no TLS.

use crate::support::Home;
use gritstone_store::JobState;
use gritstone_tests::rig::until;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Child;

/// `gritstone start` on a queue with one job; ends with its test.
struct Started {
    home: Home,
    log: PathBuf,
    process: Child,
}

impl Started {
    fn with(arguments: &[&str]) -> Started {
        Started::at(Home::new(), arguments)
    }

    fn at(home: Home, arguments: &[&str]) -> Started {
        home.run(&["enqueue", "A"]).ok();
        let log = home.path("log");
        let mut command = home.command(&[&["start"], arguments].concat());
        let process = command.stderr(File::create(&log).unwrap()).spawn().unwrap();
        Started { home, log, process }
    }

    async fn says(&self, text: &str) {
        let log = async || std::fs::read_to_string(&self.log).ok().filter(|log| log.contains(text));
        until(&format!("the log says {text}"), log).await;
    }

    async fn becomes(&self, state: JobState) {
        until("the job's state", async || self.home.state(1).await.filter(|now| *now == state)).await;
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A server that hears something on each connection and says this; returns where it listens.
fn server(says: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serve = move |mut stream: TcpStream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(says.as_bytes());
        // What is unread when it is closed would make the close a reset.
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    };
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream));
        }
    });
    address
}

#[test]
fn an_endpoint_that_is_no_url() {
    let home = Home::empty();
    home.run(&["start", "--http", "jobs"])
        .code(2)
        .says("--http: \"jobs\" is not a URL")
        .says("http://127.0.0.1:8080/jobs");
    home.run(&["start", "--http", "localhost:80"])
        .code(2)
        .says("has the scheme localhost: use http, https or http+unix");
    let ran = home.run(&["start", "--http", "http://me:s3cret@localhost/"]).code(2).says("take it out");
    assert!(!ran.err.contains("s3cret"));
    assert!(!home.path("queue.db").exists());
}

#[tokio::test]
async fn an_endpoint_that_is_not_there() {
    let started = Started::with(&["--http", "http://127.0.0.1:1/jobs"]);
    started.says("claiming waits 2s: the handler at http://127.0.0.1:1/jobs can't be reached").await;
    assert_eq!(started.home.state(1).await, Some(JobState::Ready));
}

#[tokio::test]
async fn an_endpoint_that_redirects() {
    let address = server("HTTP/1.1 302 Found\r\nLocation: http://elsewhere.invalid/\r\nContent-Length: 0\r\n\r\n");
    let started = Started::with(&["--http", &format!("http://{address}/jobs")]);
    started.says("answered with a redirect, which is not followed (name the right address in url): 302").await;
    started.becomes(JobState::Failed).await;
}

#[tokio::test]
async fn an_endpoint_that_is_slow() {
    let home = Home::new();
    let manifest = format!(
        "apiVersion: gritstone.dev/v1alpha1\nkind: QueueWorker\nmetadata: {{name: slow}}\n\
         spec: {{handler: {{http: {{url: \"http://{}/jobs\", timeout: 100ms}}}}}}\n",
        server("")
    );
    let manifest = home.write("worker.yaml", &manifest);
    let started = Started::at(home, &["-f", manifest.to_str().unwrap()]);
    started.says("the handler was silent for 100ms, and was given up").await;
    started.becomes(JobState::Failed).await;
}

#[tokio::test]
async fn an_endpoint_that_speaks_no_tls() {
    let address = server("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    let started = Started::with(&["--http", &format!("https://{address}/jobs")]);
    started.says("and this worker can't agree on TLS").await;
    assert_eq!(started.home.state(1).await, Some(JobState::Ready));
}
