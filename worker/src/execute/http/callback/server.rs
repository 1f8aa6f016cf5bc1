//! The listener for callbacks: `POST /callbacks/CLAIM` with `Authorization: Bearer TOKEN` and lines of the protocol.
//!
//! The token is looked at before anything of the body is read. Heads, bodies, connections and their time are bounded.

use super::{Expected, News, Runs, lock};
use crate::execute::protocol::{Claiming, LONGEST_LINE, Line, read_line};
use crate::execute::talk::pass_on;
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::body::Incoming;
use hyper::header::{ALLOW, AUTHORIZATION, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// Connections at a time.
const CONNECTIONS: usize = 1024;
/// How long a head may take, and an idle connection stays.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest head.
const LONGEST_HEAD: usize = 16 * 1024;

/// Serves until told to close.
pub(super) async fn serve(listener: TcpListener, runs: Runs, closing: CancellationToken) {
    let seats = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let seat = tokio::select! {
            () = closing.cancelled() => return,
            seat = Arc::clone(&seats).acquire_owned() => seat,
        };
        let accepted = tokio::select! {
            () = closing.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            // Out of file descriptors, as a rule: some will be closed.
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        let runs = Arc::clone(&runs);
        connections.spawn(async move {
            let _seat = seat;
            let service = service_fn(move |request| {
                let runs = Arc::clone(&runs);
                async move { Ok::<_, Infallible>(answer(request, &runs).await) }
            });
            let mut server = hyper::server::conn::http1::Builder::new();
            server.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT).max_header_size(LONGEST_HEAD);
            // Callers that go away are no news.
            drop(server.serve_connection(TokioIo::new(stream), service).await);
        });
    }
}

fn say(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(format!("{text}\n"))));
    *response.status_mut() = status;
    response
}

async fn answer(request: Request<Incoming>, runs: &Runs) -> Response<Full<Bytes>> {
    let claim = request.uri().path().strip_prefix("/callbacks/").and_then(|claim| claim.parse::<i64>().ok());
    let Some(claim) = claim else { return say(StatusCode::NOT_FOUND, "callbacks go to /callbacks/CLAIM") };
    if request.method() != Method::POST {
        let mut response = say(StatusCode::METHOD_NOT_ALLOWED, "callbacks are posted");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
        return response;
    }
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Some(token) = header.and_then(|value| value.strip_prefix("Bearer ")) else {
        return say(StatusCode::UNAUTHORIZED, "say `Authorization: Bearer` and the token of the job's request");
    };
    let expected = lock(runs).get(&claim).cloned();
    let Some(expected) = expected else { return gone() };
    if !is_same(token.trim().as_bytes(), expected.token.as_bytes()) {
        return say(StatusCode::FORBIDDEN, "the token is another run's");
    }
    let body = timeout(BODY_TIMEOUT, Limited::new(request.into_body(), LONGEST_LINE).collect()).await;
    match body {
        Ok(Ok(body)) => hear(&body.to_bytes(), &expected).await,
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            say(StatusCode::PAYLOAD_TOO_LARGE, "a callback has 16 MiB at most")
        }
        Ok(Err(_)) => say(StatusCode::BAD_REQUEST, "the body broke off"),
        Err(_) => say(StatusCode::REQUEST_TIMEOUT, "the body took too long"),
    }
}

fn gone() -> Response<Full<Bytes>> {
    say(StatusCode::GONE, "no run has this claim any more: it has ended, or was given to another worker; stop")
}

/// Compares in a time that doesn't depend on where they differ.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

/// Hands what a body says to the run: one JSON document, or a line each.
async fn hear(body: &[u8], expected: &Expected) -> Response<Full<Bytes>> {
    let whole = read_line(body, &expected.job, Claiming::Optional);
    let lines: Vec<Line> = match whole {
        Line::Garbage => body
            .split(|byte| *byte == b'\n')
            .map(|line| read_line(line, &expected.job, Claiming::Optional))
            .filter(|line| !matches!(line, Line::Garbage))
            .collect(),
        line => vec![line],
    };
    if lines.is_empty() {
        return say(StatusCode::BAD_REQUEST, "nothing in the body is an answer, a heartbeat, progress or a log line");
    }
    for line in lines {
        let news = match line {
            Line::Answer(report) if expected.is_first() => News::Answer(report),
            Line::Answer(_) => return gone(),
            Line::Notice(notice) => {
                pass_on(notice, &expected.job, &expected.context);
                News::Alive
            }
            Line::OtherClaim(_) => return say(StatusCode::CONFLICT, "the body names another claim"),
            Line::Garbage => continue,
        };
        if expected.news.send(news).await.is_err() {
            return gone();
        }
    }
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}
