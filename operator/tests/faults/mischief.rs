//! What goes wrong between the operator and the API server.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use kube::Client;
use kube::client::Body;
use serde_json::json;
use tower::{BoxError, service_fn};

/// One kind of mischief. Calls are counted from 1.
#[derive(Clone, Copy, Debug)]
pub enum Mischief {
    /// None.
    Nothing,
    /// The operator dies once this call has been carried out, before its answer comes.
    Die { call: usize },
    /// Every third of the first thirty calls is answered like this; `None`: it is done, and the answer doesn't come in time.
    Answer(Option<u16>),
    /// What a watch says comes so.
    Watch(Watching),
}

#[derive(Clone, Copy, Debug)]
pub enum Watching {
    /// Each event twice.
    Doubled,
    /// Every third event is lost in the middle, and with it the connection.
    Torn,
    /// Late, so that what is read is older than what was written.
    Late,
    /// After every third event the API server has forgotten where the watch was.
    Forgotten,
}

/// What an operator has met with. Clones share it.
#[derive(Clone, Default)]
pub struct Fate {
    calls: Arc<AtomicUsize>,
    met: Arc<AtomicUsize>,
}

impl Fate {
    /// How many calls it has made.
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// How often mischief was done to it.
    pub fn met(&self) -> usize {
        self.met.load(Ordering::SeqCst)
    }

    fn meets(&self) {
        self.met.fetch_add(1, Ordering::SeqCst);
    }
}

/// A client that works through this mischief.
pub fn through(mischief: Mischief, fate: Fate, client: Client) -> Client {
    let namespace = client.default_namespace().to_owned();
    let service = service_fn(move |request: Request<Body>| call(mischief, fate.clone(), client.clone(), request));
    Client::new(service, namespace)
}

/// What comes back.
type Answer = UnsyncBoxBody<Bytes, BoxError>;

fn whole(body: Body) -> Answer {
    body.map_err(Into::into).boxed_unsync()
}

async fn call(
    mischief: Mischief,
    fate: Fate,
    client: Client,
    request: Request<Body>,
) -> Result<Response<Answer>, BoxError> {
    let number = fate.calls.fetch_add(1, Ordering::SeqCst) + 1;
    match mischief {
        Mischief::Die { call } if number >= call => {
            if number == call {
                let _ = client.send(request).await;
                fate.meets();
            }
            std::future::pending().await
        }
        Mischief::Answer(answer) if number <= 30 && number.is_multiple_of(3) => {
            fate.meets();
            match answer {
                Some(code) => Ok(refusal(code)),
                None => {
                    let _ = client.send(request).await;
                    Err("deadline has elapsed".into())
                }
            }
        }
        Mischief::Watch(watching) if request.uri().query().is_some_and(|query| query.contains("watch=true")) => {
            let answer = client.send(request).await?;
            Ok(answer.map(|body| meddle(watching, fate, body)))
        }
        _ => Ok(client.send(request).await?.map(whole)),
    }
}

fn refusal(code: u16) -> Response<Answer> {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": "", "message": "mischief",
    });
    Response::builder()
        .status(code)
        .header("Retry-After", "1")
        .body(Full::from(status.to_string()).map_err(|never| match never {}).boxed_unsync())
        .unwrap()
}

/// The events of a watch, a line each, as they come.
fn meddle(watching: Watching, fate: Fate, body: Body) -> Answer {
    let chunks = body.into_data_stream().map_ok(|chunk| chunk.to_vec()).map_err(|_| ());
    let lines = stream::unfold((chunks, VecDeque::new(), Vec::new()), |(mut chunks, mut lines, mut rest)| async move {
        loop {
            if let Some(line) = lines.pop_front() {
                return Some((line, (chunks, lines, rest)));
            }
            rest.extend(chunks.next().await?.ok()?);
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                lines.push_back(rest.drain(..=end).collect::<Vec<u8>>());
            }
        }
    });
    let meddled = lines.enumerate().then(move |(number, line)| {
        let fate = fate.clone();
        async move {
            match watching {
                Watching::Torn | Watching::Forgotten if !(number + 1).is_multiple_of(3) => return (vec![line], false),
                _ => fate.meets(),
            }
            match watching {
                Watching::Doubled => (vec![line.clone(), line], false),
                Watching::Torn => (vec![line[..line.len() / 2].to_vec()], true),
                Watching::Forgotten => {
                    let gone = json!({"type": "ERROR", "object": {
                        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 410, "reason": "Expired",
                        "message": "too old resource version",
                    }});
                    (vec![line, format!("{gone}\n").into_bytes()], true)
                }
                Watching::Late => {
                    tokio::time::sleep(Duration::from_millis(400)).await;
                    (vec![line], false)
                }
            }
        }
    });
    // What ends the watch is still said.
    let mut is_over = false;
    let said = meddled.take_while(move |(_, ends)| {
        let goes_on = !is_over;
        is_over = *ends;
        futures::future::ready(goes_on)
    });
    let frames = said.flat_map(|(lines, _)| stream::iter(lines));
    StreamBody::new(frames.map(|line| Ok(http_body::Frame::data(Bytes::from(line))))).boxed_unsync()
}
