//! One job's exchange with the server: its request, what comes back, and the callbacks after a 202.

use super::HttpHandler;
use super::callback::{Mailbox, News};
use super::connection::Connection;
use super::request::{Target, of_job};
use super::status::{Meaning, meaning};
use crate::execute::child::LineBuffer;
use crate::execute::errors::class;
use crate::execute::protocol::{Claiming, LONGEST_LINE, Line, document, read_line};
use crate::execute::stopping::{Watch, Why};
use crate::execute::talk::{Listener, pass_on};
use crate::execute::{Context, Job, JobError, Outcome, Report};
use http_body_util::BodyExt as _;
use hyper::body::Bytes;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap, LOCATION};
use hyper::{Method, Response};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout};

/// Bytes of a failing response's body that go into the error.
const QUOTED: usize = 8 * 1024;

/// A server that closed an idle connection did so before it could see the job, and that shows within a round trip. What breaks
/// later broke over the job.
const CLOSE_SEEN_WITHIN: Duration = Duration::from_secs(1);

/// How long a response may be on its way to us that the server has sent by the time that the job is told to stop.
const ON_ITS_WAY: Duration = Duration::from_millis(50);

/// Runs a job.
pub(super) async fn run(handler: &HttpHandler, job: &Arc<Job>, context: &Context) -> Report {
    let watch = match Watch::start(job, context, handler.settings.grace) {
        Ok(watch) => watch,
        Err(report) => return report,
    };
    if handler.closing.is_cancelled() {
        return Report::released();
    }
    let invalid = |error: &dyn std::fmt::Display| {
        let error = JobError::new(class::INVALID_ARGUMENTS, format!("the job can't be made a request: {error}"));
        Report::from(Outcome::Fail { error })
    };
    let document = match document(job) {
        Ok(document) => document,
        Err(error) => return invalid(&error),
    };
    let mailbox = match handler.callbacks.expect(job, context).await {
        Ok(mailbox) => mailbox,
        Err(error) => {
            handler.breaker.shut(&error);
            return Report::released();
        }
    };
    let request = match of_job(job, document.into(), &handler.jobs, &mailbox.ticket) {
        Ok(request) => request,
        Err(error) => return invalid(&error),
    };
    let mut exchange = Exchange { handler, job, context, watch, mailbox, heard: Instant::now() };
    let report = match exchange.hold(request).await {
        Ok(report) | Err(Ended::Answered(report)) => report,
        Err(Ended::Unsent) => return Report::released(),
        Err(Ended::Stopped(why)) => why.outcome(job).into(),
        Err(Ended::Silent(limit)) => {
            retry(class::HANDLER_TIMEOUT, format!("the handler was silent for {limit:?}, and was given up"))
        }
    };
    report.unhurried(exchange.watch.why().is_some())
}

fn retry(class: &str, message: impl Into<String>) -> Report {
    Outcome::Retry { delay: None, error: JobError::new(class, message) }.into()
}

/// Why there is nothing more to wait for.
enum Ended {
    Answered(Report),
    /// The server was never sent the job. Claiming waits, so the job needn't.
    Unsent,
    Stopped(Why),
    Silent(Duration),
}

struct Exchange<'a> {
    handler: &'a HttpHandler,
    job: &'a Arc<Job>,
    context: &'a Context,
    watch: Watch,
    mailbox: Mailbox,
    /// When it last gave a sign of life.
    heard: Instant,
}

impl Exchange<'_> {
    /// Waits for `work`, while the job may be told to stop, call back, or be silent for longer than `limit`.
    async fn during<F: Future>(&mut self, limit: Duration, work: F) -> Result<F::Output, Ended> {
        let mut work = std::pin::pin!(work);
        loop {
            tokio::select! {
                biased;
                _ = self.watch.next(&self.context.cancel) => {
                    return Err(Ended::Stopped(self.watch.why().unwrap_or(Why::Cancelled)));
                }
                () = self.handler.closing.cancelled() => {
                    self.watch.stop();
                    return Err(Ended::Stopped(self.watch.why().unwrap_or(Why::Cancelled)));
                }
                news = self.mailbox.next() => match news {
                    News::Alive => self.heard = Instant::now(),
                    News::Answer(report) => return Err(Ended::Answered(report)),
                },
                done = &mut work => return Ok(done),
                () = sleep_until(self.heard + limit) => return Err(Ended::Silent(limit)),
            }
        }
    }

    async fn hold(&mut self, mut request: hyper::Request<http_body_util::Full<Bytes>>) -> Result<Report, Ended> {
        let limit = self.handler.settings.timeout;
        loop {
            let (mut connection, is_new) = self.connection().await?;
            let sent = Instant::now();
            let mut sending = Box::pin(connection.send(request));
            let response = match self.during(limit, &mut sending).await {
                Err(ended @ Ended::Stopped(_)) => match timeout(ON_ITS_WAY, &mut sending).await {
                    // One that says that the job goes on doesn't see this connection close.
                    Ok(Ok(response)) if meaning(response.status(), response.headers()) == Meaning::GoesOn => {
                        let location = self.location(response.headers());
                        return self.tell_to_stop(location, ended).await;
                    }
                    Ok(Ok(response)) => Ok(response),
                    _ => return Err(ended),
                },
                response => response?,
            };
            drop(sending);
            let mut error = match response {
                Ok(response) => {
                    self.heard = Instant::now();
                    return self.read(connection, response).await;
                }
                Err(error) => error,
            };
            let may_be_unread = !is_new && sent.elapsed() < CLOSE_SEEN_WITHIN && !error.error().is_parse();
            match error.take_message() {
                // Whoever accepts a connection only to close it would be asked for ever.
                Some(_) if is_new => {
                    self.handler.breaker.shut(error.error());
                    return Err(Ended::Unsent);
                }
                // It was closed while it was idle: nothing of the job was sent.
                Some(unsent) => request = unsent,
                None if may_be_unread => return Ok(interrupted(error.error())),
                None => return Ok(broken("before it answered", error.error())),
            }
        }
    }

    /// A connection, and whether it is a new one.
    async fn connection(&mut self) -> Result<(Connection, bool), Ended> {
        let handler = self.handler;
        let limit = Duration::from_secs(365 * 24 * 3600);
        let admitted = self.during(limit, handler.breaker.admit()).await?;
        let mut admission = admitted.ok_or(Ended::Unsent)?;
        // A job that was interrupted is given a connection of its own: that one can't have been closed while it was idle.
        let may_share = self.job.interruptions == 0;
        if may_share && let Some(kept) = handler.connector.kept().await {
            admission.works();
            return Ok((kept, false));
        }
        match self.during(limit, handler.connect()).await? {
            Ok(connection) => {
                admission.works();
                Ok((connection, true))
            }
            Err(reason) => {
                admission.failed(&reason);
                Err(Ended::Unsent)
            }
        }
    }

    /// Reads a response; after a 202 without an answer waits for callbacks.
    async fn read(&mut self, connection: Connection, response: Response<Incoming>) -> Result<Report, Ended> {
        let (head, body) = response.into_parts();
        if head.status.is_server_error() {
            self.handler.breaker.doubt();
        }
        let meaning = meaning(head.status, &head.headers);
        let is_json = head
            .headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("application/json"));
        let mut reading = Reading { lines: LineBuffer::new(LONGEST_LINE), quoted: Vec::new(), is_json };
        match self.read_body(body, &mut reading).await? {
            Ok(Some(report)) => {
                if reading.is_json {
                    self.handler.connector.keep(connection);
                }
                return Ok(report);
            }
            Ok(None) => self.handler.connector.keep(connection),
            Err(error) => return Ok(broken("in the middle of its answer", &error)),
        }
        let said = |doing: &str| reading.error(format!("the handler {doing} {}", head.status));
        Ok(match meaning {
            Meaning::Done => Outcome::Done.into(),
            Meaning::Later(delay) => Outcome::Release { delay }.into(),
            Meaning::Fail => Outcome::Fail { error: said("answered") }.into(),
            Meaning::Retry => Outcome::Retry { delay: None, error: said("answered") }.into(),
            Meaning::Elsewhere => {
                let error = said("answered with a redirect, which is not followed (name the right address in url):");
                Outcome::Retry { delay: None, error }.into()
            }
            Meaning::GoesOn => {
                let location = self.location(&head.headers);
                self.heard = Instant::now();
                return self.wait_for_callback(location).await;
            }
        })
    }

    /// Reads a body to its end or to an answer.
    async fn read_body(
        &mut self,
        mut body: Incoming,
        reading: &mut Reading,
    ) -> Result<Result<Option<Report>, hyper::Error>, Ended> {
        let (job, context) = (Arc::clone(self.job), self.context.clone());
        let listener = Listener { job: &job, context: &context, claiming: Claiming::Optional, pid: None };
        let limit = self.handler.settings.timeout;
        let mut whole = Vec::new();
        loop {
            let frame = match self.during(limit, body.frame()).await? {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Ok(Err(error)),
                None => break,
            };
            // What never ends and never pauses leaves no moment for the timer in `during`.
            if self.heard.elapsed() > limit {
                return Err(Ended::Silent(limit));
            }
            let Some(data) = frame.data_ref() else { continue };
            let room = QUOTED.saturating_sub(reading.quoted.len()).min(data.len());
            reading.quoted.extend_from_slice(&data[..room]);
            if reading.is_json && whole.len() + data.len() <= LONGEST_LINE {
                whole.extend_from_slice(data);
                continue;
            }
            // Too long for one document: lines, or nothing.
            if std::mem::take(&mut reading.is_json) {
                reading.lines.space().extend(std::mem::take(&mut whole));
            }
            reading.lines.space().extend_from_slice(data);
            let (answer, lives) = listener.hear_first(&mut reading.lines);
            if lives {
                self.heard = Instant::now();
            }
            if answer.is_some() {
                return Ok(Ok(answer));
            }
        }
        match read_line(&whole, self.job, Claiming::Optional) {
            Line::Answer(report) => return Ok(Ok(Some(report))),
            Line::Notice(notice) => pass_on(notice, self.job, self.context),
            Line::OtherClaim(_) | Line::Garbage => reading.lines.space().extend(whole),
        }
        Ok(Ok(listener.hear_rest(&mut reading.lines)))
    }

    /// Where a job that goes on can be told to stop.
    fn location(&self, headers: &HeaderMap) -> Option<Target> {
        let location = headers.get(LOCATION)?.to_str().ok()?;
        self.handler.settings.endpoint.join(location).and_then(|endpoint| Target::try_from(endpoint).ok())
    }

    /// Waits until a job that goes on says that it is over; when it must stop, tells it so if it said where.
    async fn wait_for_callback(&mut self, location: Option<Target>) -> Result<Report, Ended> {
        let limit = self.handler.settings.heartbeat_timeout;
        let ended = match self.during(limit, std::future::pending::<Report>()).await {
            Err(ended @ (Ended::Stopped(_) | Ended::Silent(_))) => ended,
            other => return other,
        };
        self.tell_to_stop(location, ended).await
    }

    /// Tells a job that goes on to stop, as it has `ended` here, if it said where.
    async fn tell_to_stop(&mut self, location: Option<Target>, ended: Ended) -> Result<Report, Ended> {
        let Some(location) = location else { return Err(ended) };
        let told = async {
            if let Ok(mut connection) = self.handler.connect().await {
                drop(connection.send(location.request(Method::DELETE, Bytes::new())).await);
            }
        };
        let mut told = std::pin::pin!(timeout(self.handler.settings.grace, told));
        loop {
            // What it says before it has taken the request to stop counts.
            tokio::select! {
                biased;
                news = self.mailbox.next() => if let News::Answer(report) = news {
                    return Ok(report);
                },
                _ = &mut told => return Err(ended),
            }
        }
    }
}

/// A connection that was kept from another job broke before the answer began. As a rule the server closed it while it was
/// idle, just as the job was sent, and has read nothing of it; that can't be told from a server that read the job and died.
fn interrupted(error: &hyper::Error) -> Report {
    let message = format!("the handler closed an idle connection just as the job was sent: {error}");
    Outcome::Interrupted { error: JobError::new(class::HANDLER_CRASHED, message) }.into()
}

fn broken(when: &str, error: &hyper::Error) -> Report {
    if error.is_parse() {
        return retry(class::INVALID_REPLY, format!("the handler answered with what is not HTTP/1.1: {error}"));
    }
    retry(class::HANDLER_CRASHED, format!("the handler closed the connection {when}: {error}"))
}

/// What is read of a body.
struct Reading {
    lines: LineBuffer,
    /// Its beginning.
    quoted: Vec<u8>,
    /// Whether it is one JSON document.
    is_json: bool,
}

impl Reading {
    /// An error out of a status and what the body began with.
    fn error(&self, mut message: String) -> JobError {
        let text = String::from_utf8_lossy(&self.quoted);
        let lines: Vec<String> =
            text.lines().map(str::trim_end).filter(|line| !line.is_empty()).map(str::to_owned).collect();
        if let Some(first) = lines.first() {
            message.push_str(": ");
            message.push_str(first);
        }
        JobError::new(class::HANDLER_STATUS, message).with_backtrace(lines)
    }
}
