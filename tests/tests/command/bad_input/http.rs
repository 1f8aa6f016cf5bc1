//! Servers that jobs are posted to and that can't be reached, are slow, redirect, speak no TLS or no HTTP, or never stop.

use super::started::Started;
use crate::support::Home;
use gritstone_store::JobState;
use gritstone_tests::rig::until;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// The worker may have so much in memory, whatever comes.
const MOST_MEMORY: u64 = 200_000_000;

/// A server that hears something on each connection and does this; returns where it listens.
fn server(does: impl Fn(&mut TcpStream) -> std::io::Result<()> + Send + Copy + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serve = move |mut stream: TcpStream| {
        let _ = stream.read(&mut [0; 4096]);
        if does(&mut stream).is_ok() {
            // What is unread when it is closed would make the close a reset.
            let _ = std::io::copy(&mut stream, &mut std::io::sink());
        }
    };
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(stream));
        }
    });
    address
}

/// A server that says this.
fn saying(text: &'static str) -> String {
    server(move |stream| stream.write_all(text.as_bytes()))
}

/// A worker of one job for the server, which may be silent for so long.
fn posting(address: &str, timeout: &str) -> Started {
    let home = Home::new();
    home.run(&["enqueue", "A"]).ok();
    Started::handler(home, &format!("{{http: {{url: \"http://{address}/jobs\", timeout: {timeout}}}}}"), "")
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
    let address = saying("HTTP/1.1 302 Found\r\nLocation: http://elsewhere.invalid/\r\nContent-Length: 0\r\n\r\n");
    let started = posting(&address, "5m");
    started.says("answered with a redirect, which is not followed (name the right address in url): 302").await;
    started.becomes(JobState::Failed).await;
}

#[tokio::test]
async fn an_endpoint_that_is_slow() {
    let started = posting(&saying(""), "100ms");
    let error = started.failure().await;
    assert_eq!(error.exception_class, "Gritstone::HandlerTimeout");
    assert_eq!(error.message, "the handler was silent for 100ms, and was given up");
}

#[tokio::test]
async fn an_endpoint_that_hangs_up() {
    let started = posting(&server(|stream| stream.shutdown(std::net::Shutdown::Both)), "5m");
    let error = started.failure().await;
    assert_eq!(error.exception_class, "Gritstone::HandlerCrashed");
    assert!(error.message.starts_with("the handler closed the connection before it answered"), "{error:?}");
}

#[tokio::test]
async fn an_endpoint_that_closes_an_idle_connection() {
    // Takes one job on each connection, and hangs up when the next one comes.
    let address = server(|stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
        stream.read(&mut [0; 4096]).map(drop)?;
        stream.shutdown(std::net::Shutdown::Both)
    });
    let home = Home::new();
    home.enqueue("A", 3);
    let started = Started::handler(home, &format!("{{http: {{url: \"http://{address}/jobs\"}}}}"), "");
    started.says("the handler closed an idle connection just as the job was sent").await;
    let mut interruptions = 0;
    for job in 1..=3 {
        let done = async || started.home.job(job).await.filter(|job| job.state == JobState::Finished);
        interruptions += until("the job is done", done).await.interruptions;
    }
    assert!(interruptions > 0);
}

/// Bytes are no sign of life: lines of the protocol are.
#[tokio::test]
async fn an_endpoint_that_dribbles() {
    fn dribble(stream: &mut TcpStream, begin: &str) -> std::io::Result<()> {
        stream.write_all(begin.as_bytes())?;
        loop {
            stream.write_all(b"x")?;
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    for address in [
        server(|stream| dribble(stream, "HTTP/1.1 200 OK\r\nX-Long: ")),
        server(|stream| dribble(stream, "HTTP/1.1 200 OK\r\n\r\n")),
        server(|stream| {
            dribble(stream, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"outcome\": \"done")
        }),
    ] {
        let error = posting(&address, "300ms").failure().await;
        assert_eq!(error.message, "the handler was silent for 300ms, and was given up");
    }
}

#[tokio::test]
async fn an_endpoint_that_never_ends() {
    fn flood(stream: &mut TcpStream, begin: &str, rest: &[u8]) -> std::io::Result<()> {
        stream.write_all(begin.as_bytes())?;
        loop {
            stream.write_all(rest)?;
        }
    }
    let lines = posting(&server(|stream| flood(stream, "HTTP/1.1 200 OK\r\n\r\n", &b"line\n".repeat(10_000))), "1s");
    assert_eq!(lines.failure().await.exception_class, "Gritstone::HandlerTimeout");
    assert!(lines.peak() < MOST_MEMORY, "{} bytes", lines.peak());
    let head = posting(&server(|stream| flood(stream, "HTTP/1.1 200 OK\r\nX: ", &[b'x'; 10_000])), "1m");
    let error = head.failure().await;
    assert_eq!(error.exception_class, "Gritstone::InvalidReply");
    assert!(error.message.contains("too large"), "{error:?}");
}

#[tokio::test]
async fn an_endpoint_that_answers_a_gigabyte() {
    fn gigabyte(stream: &mut TcpStream, kind: &str) -> std::io::Result<()> {
        stream.write_all(
            format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: 1073741824\r\n\r\n").as_bytes(),
        )?;
        (0..1024).try_for_each(|_| stream.write_all(&[b'x'; 1 << 20]))
    }
    for address in
        [server(|stream| gigabyte(stream, "text/plain")), server(|stream| gigabyte(stream, "application/json"))]
    {
        let started = posting(&address, "5m");
        started.becomes(JobState::Finished).await;
        assert!(started.peak() < MOST_MEMORY, "{} bytes", started.peak());
    }
}

#[tokio::test]
async fn an_endpoint_that_speaks_no_http() {
    for text in ["HTTP/1.1 2OO OK\r\n\r\n", "220 mail.example ESMTP\r\n", "HTTP/2.0 200 OK\r\n\r\n"] {
        let error = posting(&saying(text), "5m").failure().await;
        assert_eq!(error.exception_class, "Gritstone::InvalidReply", "{text}");
        assert!(error.message.starts_with("the handler answered with what is not HTTP/1.1"), "{error:?}");
    }
}

#[tokio::test]
async fn an_endpoint_that_speaks_no_tls() {
    let address = saying("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    let started = Started::with(&["--http", &format!("https://{address}/jobs")]);
    started.says("and this worker can't agree on TLS").await;
    assert_eq!(started.home.state(1).await, Some(JobState::Ready));
}

#[tokio::test]
async fn an_endpoint_that_never_shakes_hands() {
    let started = Started::with(&["--http", &format!("https://{}/jobs", saying(""))]);
    started.says("accepted no connection within 5s").await;
    assert_eq!(started.home.state(1).await, Some(JobState::Ready));
}

/// A server that speaks TLS; ends with its value.
struct TlsServer(Child, u16);

impl TlsServer {
    fn start(folder: &Path, certificate: &str) -> TlsServer {
        let mut openssl = Command::new("openssl");
        openssl.args(["s_server", "-www", "-accept", "127.0.0.1:0", "-cert", certificate, "-key", "server.key"]);
        openssl.current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = openssl.spawn().expect("openssl");
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port = lines.filter_map(|line| line.strip_prefix("ACCEPT 127.0.0.1:")?.parse().ok()).next();
        TlsServer(child, port.expect("openssl says where it listens"))
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Makes an authority, `ca.pem`, and certificates for 127.0.0.1: `good.pem` and, long over, `expired.pem` by the authority, and
/// `itself.pem` by nobody else.
fn certificates(folder: &Path) {
    let openssl = |line: &str| {
        let done = Command::new("openssl").args(line.split(' ')).current_dir(folder).output().expect("openssl");
        assert!(done.status.success(), "openssl {line}: {}", String::from_utf8_lossy(&done.stderr));
    };
    let config = "[ca]\ndefault_ca = our\n[our]\ndatabase = index\nserial = serial\nnew_certs_dir = .\ndefault_md = sha256\n\
                  policy = any\nx509_extensions = server\nunique_subject = no\n[any]\ncommonName = supplied\n\
                  [server]\nsubjectAltName = IP:127.0.0.1\n";
    for (name, text) in [("config", config), ("index", ""), ("serial", "01\n")] {
        std::fs::write(folder.join(name), text).unwrap();
    }
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(&format!("req -x509 {key} -days 30 -subj /CN=ours -keyout ca.key -out ca.pem"));
    openssl(&format!("req {key} -subj /CN=server -keyout server.key -out server.csr"));
    openssl("req -x509 -key server.key -days 30 -subj /CN=server -addext subjectAltName=IP:127.0.0.1 -out itself.pem");
    let sign = "ca -batch -config config -cert ca.pem -keyfile ca.key -in server.csr -notext";
    openssl(&format!("{sign} -days 30 -out good.pem"));
    openssl(&format!("{sign} -startdate 20200101000000Z -enddate 20200201000000Z -out expired.pem"));
}

#[tokio::test]
async fn a_certificate_that_does_not_hold() {
    for (certificate, host, says) in [
        ("itself.pem", "127.0.0.1", "invalid peer certificate"),
        ("expired.pem", "127.0.0.1", "certificate expired"),
        ("good.pem", "localhost", "certificate not valid for name"),
    ] {
        let home = Home::new();
        certificates(&home.path(""));
        let server = TlsServer::start(&home.path(""), certificate);
        home.run(&["enqueue", "A"]).ok();
        let handler = format!("{{http: {{url: \"https://{host}:{}/jobs\", caFile: ca.pem}}}}", server.1);
        let started = Started::handler(home, &handler, "");
        started.says("and this worker can't agree on TLS").await;
        started.says(says).await;
        assert_eq!(started.home.state(1).await, Some(JobState::Ready));
    }
}
