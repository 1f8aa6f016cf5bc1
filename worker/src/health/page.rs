//! The page: a small server on a thread and a runtime of its own, so that it answers whatever the engine's runtime does.
//!
//! Anybody who reaches the port may read it; there is nothing secret on it. Connections, heads and their time are bounded.

use super::Health;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Connections at a time: a kubelet, a Prometheus or two, and someone with a browser.
const CONNECTIONS: usize = 32;
/// How long a head may take, and an idle connection stays.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest head.
const LONGEST_HEAD: usize = 8 * 1024;
/// The pause after a connection that could not be accepted: out of file descriptors, as a rule, and some will be closed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// The address can't be listened on.
    #[error(
        "the health page can't listen on {address}: {source}; is another process there? Name another address with --health"
    )]
    Listen {
        /// What was asked for.
        address: String,
        /// Why not.
        source: std::io::Error,
    },
    /// No thread can be started.
    #[error("the health page's thread can't be started: {0}")]
    Thread(#[from] std::io::Error),
}

/// A page that is served until this is dropped.
#[derive(Debug)]
pub struct Page {
    address: SocketAddr,
    _closing: DropGuard,
}

impl Page {
    /// Listens on the first of these addresses that can be had (port 0 is any free one), and serves what is known of this process.
    ///
    /// # Errors
    /// When none of them can.
    pub fn serve(addresses: &[SocketAddr], health: Health) -> Result<Self, PageError> {
        let listen = |source| {
            let address = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ");
            PageError::Listen { address, source }
        };
        // Here, so that a port that is taken is told to whoever starts this.
        let listener = std::net::TcpListener::bind(addresses).map_err(listen)?;
        listener.set_nonblocking(true).map_err(listen)?;
        let bound = listener.local_addr().map_err(listen)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let closing = CancellationToken::new();
        let closed = closing.clone();
        std::thread::Builder::new().name("gritstone-page".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = closed.cancelled() => {}
                    () = accept(listener, health) => {}
                }
            });
        })?;
        tracing::info!(address = %bound, "health page");
        Ok(Page { address: bound, _closing: closing.drop_guard() })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn accept(listener: std::net::TcpListener, health: Health) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "the health page can't be served"),
    };
    let seats = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(seat) = Arc::clone(&seats).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let health = health.clone();
        tokio::spawn(async move {
            let _seat = seat;
            let service = service_fn(move |request| {
                let answer = answer(&request, &health);
                async move { Ok::<_, Infallible>(answer) }
            });
            let mut server = hyper::server::conn::http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_header_size(LONGEST_HEAD);
            // Callers that go away are no news.
            drop(server.serve_connection(TokioIo::new(stream), service).await);
        });
    }
}

fn answer(request: &Request<Incoming>, health: &Health) -> Response<Full<Bytes>> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut response = say(StatusCode::METHOD_NOT_ALLOWED, "this page is only read\n".to_owned());
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    let told = |state: Result<(), String>| match state {
        Ok(()) => say(StatusCode::OK, "ok\n".to_owned()),
        Err(reason) => say(StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    };
    match request.uri().path() {
        "/livez" => told(health.live()),
        "/readyz" => told(health.ready()),
        "/metrics" => {
            let mut response = say(StatusCode::OK, health.metrics().text());
            response.headers_mut().insert(CONTENT_TYPE, super::metrics::CONTENT_TYPE);
            response
        }
        _ => say(StatusCode::NOT_FOUND, "there are /livez, /readyz and /metrics\n".to_owned()),
    }
}

fn say(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, TEXT);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};

    /// What a request is answered with, head and all.
    fn ask(page: &Page, request: &str) -> String {
        let mut stream = std::net::TcpStream::connect(page.address()).unwrap();
        stream.write_all(format!("{request} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn page(health: &Health) -> Page {
        Page::serve(&["127.0.0.1:0".parse().unwrap()], health.clone()).unwrap()
    }

    #[test]
    fn it_answers_what_is_asked_and_nothing_else() {
        let page = page(&Health::default());
        assert!(ask(&page, "GET /livez").starts_with("HTTP/1.1 200 OK"));
        let starting = ask(&page, "GET /readyz");
        assert!(starting.starts_with("HTTP/1.1 503") && starting.ends_with("starting\n"), "{starting}");
        assert!(ask(&page, "GET /").starts_with("HTTP/1.1 404"));
        assert!(ask(&page, "POST /livez").starts_with("HTTP/1.1 405"));
        let metrics = ask(&page, "GET /metrics");
        assert!(metrics.contains("content-type: text/plain; version=0.0.4"), "{metrics}");
        assert!(metrics.contains("\ngritstone_build_info{"), "{metrics}");
    }

    #[test]
    fn a_port_that_is_taken_is_said_so() {
        let first = page(&Health::default());
        let error = Page::serve(&[first.address()], Health::default()).unwrap_err().to_string();
        assert!(error.contains(&first.address().to_string()) && error.contains("--health"), "{error}");
    }

    #[test]
    fn a_runtime_that_is_blocked_is_seen_from_outside_of_it() {
        let health = Health::default();
        let page = page(&health);
        let pulse = health.pulse("runtime", Duration::ZERO);
        // Nobody turns it, whatever this thread does.
        let mut answer = String::new();
        while !answer.starts_with("HTTP/1.1 503") {
            answer = ask(&page, "GET /livez");
        }
        assert!(answer.contains("`runtime`"), "{answer}");
        drop(pulse);
    }
}
