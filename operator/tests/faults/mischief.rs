//! What goes wrong between the operator and the API server.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
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

/// One kind of mischief.
#[derive(Clone, Debug)]
pub enum Mischief {
    /// None.
    Nothing,
    /// The operator dies once this call has been carried out, before its answer comes.
    Die(Call),
    /// The first call of each kind is answered like this; `None`: it is done, and the answer doesn't come in time.
    Answer(Option<u16>),
    /// What a watch says comes so.
    Watch(Watching),
}

impl Watching {
    /// How often it happens to each watch, which waits twice as long each time that it broke.
    fn times(self) -> usize {
        match self {
            Self::Torn | Self::Forgotten => 4,
            Self::Doubled | Self::Late => usize::MAX,
        }
    }
}

/// A call among those of its kind.
#[derive(Clone, Debug)]
pub struct Call {
    pub kind: String,
    /// From 1.
    pub nth: usize,
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
pub struct Fate(Arc<Mutex<Past>>);

#[derive(Default)]
struct Past {
    calls: BTreeMap<String, usize>,
    met: usize,
    is_dead: bool,
    dies_next: bool,
}

impl Fate {
    /// The calls that it has made: how many of each kind.
    pub fn calls(&self) -> BTreeMap<String, usize> {
        self.0.lock().unwrap().calls.clone()
    }

    /// How often mischief was done to it.
    pub fn met(&self) -> usize {
        self.0.lock().unwrap().met
    }

    /// One that is to die does so at its next call, whatever that is.
    pub fn dies_next(&self) {
        self.0.lock().unwrap().dies_next = true;
    }

    fn meets(&self) {
        self.0.lock().unwrap().met += 1;
    }

    /// A call of this kind is made: what happens to it.
    fn befalls(&self, mischief: &Mischief, kind: String) -> Turn {
        let mut past = self.0.lock().unwrap();
        let count = past.calls.entry(kind.clone()).or_default();
        *count += 1;
        let count = *count;
        let turn = match mischief {
            Mischief::Die(_) if past.is_dead => return Turn::Dead,
            Mischief::Die(call) if past.dies_next || (call.kind == kind && call.nth == count) => Turn::Dies,
            Mischief::Answer(answer) if count == 1 => Turn::Answered(*answer),
            _ => return Turn::Goes { nth: count },
        };
        past.met += 1;
        past.is_dead = matches!(turn, Turn::Dies);
        turn
    }
}

/// What happens to a call.
enum Turn {
    Goes { nth: usize },
    Dies,
    Dead,
    Answered(Option<u16>),
}

/// A client that works through this mischief.
pub fn through(mischief: Mischief, fate: Fate, client: Client) -> Client {
    let namespace = client.default_namespace().to_owned();
    let service =
        service_fn(move |request: Request<Body>| call(mischief.clone(), fate.clone(), client.clone(), request));
    Client::new(service, namespace)
}

/// What kind of call it is: what is done to which object, and by whom if not by the reconcilers. Pods and Events are not told apart by name.
fn kind(request: &Request<Body>) -> String {
    let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
    let mut parts: Vec<&str> = path.split('/').collect();
    // /api/v1/namespaces/shop/pods/mail-1, /apis/apps/v1/namespaces/shop/deployments/mail
    if let Some(place) = parts.iter().position(|part| *part == "namespaces") {
        let is_chance = matches!(parts.get(place + 2), Some(&"pods" | &"events"));
        if let Some(name) = parts.get_mut(place + 3).filter(|_| is_chance) {
            *name = "*";
        }
        parts.drain(..(place + 2).min(parts.len()));
    }
    let watch = if query.contains("watch=true") { ", watched" } else { "" };
    let scaler = if query.contains("fieldManager=gritstone-scaler") { ", by the scaler" } else { "" };
    format!("{} {}{watch}{scaler}", request.method(), parts.join("/"))
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
    let nth = match fate.befalls(&mischief, kind(&request)) {
        Turn::Goes { nth } => nth,
        Turn::Dies => {
            let _ = client.send(request).await;
            return std::future::pending().await;
        }
        Turn::Dead => return std::future::pending().await,
        Turn::Answered(Some(code)) => return Ok(refusal(code)),
        Turn::Answered(None) => {
            let _ = client.send(request).await;
            return Err("deadline has elapsed".into());
        }
    };
    let is_watch = request.uri().query().is_some_and(|query| query.contains("watch=true"));
    let answer = client.send(request).await?;
    match mischief {
        Mischief::Watch(watching) if is_watch && nth <= watching.times() => {
            Ok(answer.map(|body| meddle(watching, fate, body)))
        }
        _ => Ok(answer.map(whole)),
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
    // What ends the watch is still said, and nothing is waited for after it.
    let said = stream::unfold((Box::pin(meddled), false), |(mut meddled, is_over)| async move {
        let next = if is_over { None } else { meddled.next().await };
        next.map(|(lines, ends)| (lines, (meddled, ends)))
    });
    let frames = said.flat_map(stream::iter);
    StreamBody::new(frames.map(|line| Ok(http_body::Frame::data(Bytes::from(line))))).boxed_unsync()
}
