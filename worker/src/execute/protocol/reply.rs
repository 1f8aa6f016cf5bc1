//! The lines that come back.

use super::seconds;
use crate::execute::errors::{JobError, class, shortened};
use crate::execute::{Job, Outcome, Report};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::time::Duration;

/// Longest line for a job's log, in bytes.
const LOG_LIMIT: usize = 16 * 1024;

/// Whether a line must say which claim it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claiming {
    /// Several jobs share the channel, one after the other: it must.
    Required,
    /// The channel is this job's alone: it may.
    Optional,
}

/// What a line from a handler says.
#[derive(Debug)]
pub enum Line {
    /// The run is over.
    Answer(Report),
    /// News from a run under way.
    Notice(Notice),
    /// The handler's own output.
    Garbage,
    /// It belongs to another run: an answer given twice, or too late.
    OtherClaim(String),
}

/// News from a run under way.
#[derive(Debug, Default)]
pub struct Notice {
    /// It is alive.
    pub heartbeat: bool,
    /// How far it is.
    pub progress: Option<Box<RawValue>>,
    /// A line for its log.
    pub log: Option<String>,
}

// Every value raw: one of the wrong type must not make the whole line unreadable.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    claim: Option<&'a RawValue>,
    #[serde(borrow)]
    outcome: Option<&'a RawValue>,
    #[serde(borrow)]
    delay: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    #[serde(borrow)]
    active_job: Option<&'a RawValue>,
    #[serde(borrow)]
    heartbeat: Option<&'a RawValue>,
    #[serde(borrow)]
    progress: Option<&'a RawValue>,
    #[serde(borrow)]
    log: Option<&'a RawValue>,
}

/// Reads a line from the handler of `job`.
pub fn read_line(line: &[u8], job: &Job, claiming: Claiming) -> Line {
    // Serde would read an array as the fields in order.
    if !line.trim_ascii_start().starts_with(b"{") {
        return Line::Garbage;
    }
    let Ok(fields) = serde_json::from_slice::<Fields<'_>>(line) else { return Line::Garbage };
    let notice = fields.heartbeat.is_some() || fields.progress.is_some() || fields.log.is_some();
    if fields.outcome.is_none() && !notice {
        return Line::Garbage;
    }
    match fields.claim {
        Some(claim) if claim.get().parse() == Ok(job.claim) => {}
        Some(other) => return Line::OtherClaim(shortened(other.get().to_owned(), 64)),
        None if claiming == Claiming::Optional => {}
        None => return Line::Garbage,
    }
    match fields.outcome {
        Some(outcome) => Line::Answer(fields.answer(outcome, job)),
        None => Line::Notice(Notice {
            heartbeat: fields.heartbeat.is_some_and(|flag| flag.get() == "true"),
            progress: fields.progress.map(ToOwned::to_owned),
            log: fields.log.map(|text| shortened(plain(text), LOG_LIMIT)),
        }),
    }
}

impl Fields<'_> {
    fn answer(&self, outcome: &RawValue, job: &Job) -> Report {
        Report {
            outcome: self.outcome(outcome).unwrap_or_else(|problem| Outcome::Retry {
                delay: None,
                error: JobError::new(class::INVALID_REPLY, problem),
            }),
            result: self.result.map(ToOwned::to_owned),
            active_job: self.active_job.filter(|envelope| is_envelope_of(envelope, job)).map(ToOwned::to_owned),
        }
    }

    fn outcome(&self, outcome: &RawValue) -> Result<Outcome, String> {
        match plain(outcome).as_str() {
            "done" => Ok(Outcome::Done),
            "retry" => Ok(Outcome::Retry { delay: self.delay()?, error: self.error("asked for a retry") }),
            "fail" => Ok(Outcome::Fail { error: self.error("failed the job") }),
            "release" => Ok(Outcome::Release { delay: self.delay()? }),
            other => Err(format!(
                "the handler answered with the outcome {:?}; it is one of done, retry, fail, release",
                shortened(other.to_owned(), 100)
            )),
        }
    }

    fn delay(&self) -> Result<Option<Duration>, String> {
        let Some(raw) = self.delay else { return Ok(None) };
        match raw.get().parse().ok().and_then(seconds) {
            Some(delay) => Ok(Some(delay)),
            None => Err(format!(
                "the handler answered with the delay {}; it is a number of seconds, 0 or more",
                shortened(raw.get().to_owned(), 100)
            )),
        }
    }

    fn error(&self, did: &str) -> JobError {
        let said = self.error.and_then(|error| serde_json::from_str::<Value>(error.get()).ok());
        let unsaid = || format!("the handler {did} and gave no reason");
        match said {
            Some(Value::Object(mut error)) => {
                let mut take = |key| error.remove(key).filter(|value| !value.is_null());
                let class = take("exception_class").map_or_else(|| class::HANDLER_ERROR.to_owned(), text);
                let message = take("message").map_or_else(unsaid, text);
                let backtrace = match take("backtrace") {
                    Some(Value::Array(lines)) => lines.into_iter().map(text).collect(),
                    Some(other) => text(other).lines().map(ToOwned::to_owned).collect(),
                    None => Vec::new(),
                };
                JobError::new(class, message).with_backtrace(backtrace)
            }
            Some(other) => JobError::new(class::HANDLER_ERROR, text(other)),
            None => JobError::new(class::HANDLER_ERROR, unsaid()),
        }
    }
}

/// A JSON text's content, or any other value's JSON.
fn text(value: Value) -> String {
    match value {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

fn plain(raw: &RawValue) -> String {
    serde_json::from_str(raw.get()).unwrap_or_else(|_| raw.get().to_owned())
}

fn is_envelope_of(envelope: &RawValue, job: &Job) -> bool {
    #[derive(Deserialize)]
    struct Envelope<'a> {
        #[serde(borrow, default)]
        job_id: Option<std::borrow::Cow<'a, str>>,
    }
    let object = envelope.get().starts_with('{');
    let ours = object
        && serde_json::from_str::<Envelope<'_>>(envelope.get())
            .is_ok_and(|envelope| envelope.job_id.is_none_or(|id| id == job.id));
    if !ours {
        tracing::warn!(job = job.id, "dropped an updated envelope that is not this job's");
    }
    ours
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execute::sample_job;
    use proptest::prelude::*;

    fn read(line: &str) -> Line {
        read_line(line.as_bytes(), &sample_job(), Claiming::Required)
    }

    fn answer(line: &str) -> Report {
        match read(line) {
            Line::Answer(report) => report,
            other => panic!("{line} is {other:?}"),
        }
    }

    fn error_of(line: &str) -> JobError {
        match answer(line).outcome {
            Outcome::Retry { error, .. } | Outcome::Fail { error } => error,
            other => panic!("{line} is {other:?}"),
        }
    }

    #[test]
    fn the_four_outcomes() {
        let error = || JobError::new("E", "m").with_backtrace(["a".into(), "b".into()]);
        let said = r#""error":{"exception_class":"E","message":"m","backtrace":["a","b"]}"#;
        let outcomes = [
            (r#"{"claim":7,"outcome":"done"}"#.to_owned(), Outcome::Done),
            (
                format!(r#"{{"claim":7,"outcome":"retry","delay":1.5,{said}}}"#),
                Outcome::Retry { delay: Some(Duration::from_millis(1500)), error: error() },
            ),
            (format!(r#"{{"claim":7,"outcome":"fail",{said}}}"#), Outcome::Fail { error: error() }),
            (r#" {"claim":7,"outcome":"release","delay":null}"#.to_owned(), Outcome::Release { delay: None }),
        ];
        for (line, outcome) in outcomes {
            assert_eq!(answer(&line).outcome, outcome, "{line}");
        }
    }

    #[test]
    fn results_and_envelopes_are_kept_as_written() {
        let report = answer(r#"{"claim":7,"outcome":"done","result":{"n": 1},"active_job":{"x": [1]}}"#);
        assert_eq!(report.result.unwrap().get(), r#"{"n": 1}"#);
        assert_eq!(report.active_job.unwrap().get(), r#"{"x": [1]}"#);
    }

    #[test]
    fn an_envelope_that_is_not_this_jobs_is_dropped() {
        for envelope in [r#""text""#, "[1]", r#"{"job_id":"another"}"#, r#"{"job_id":5}"#] {
            let report = answer(&format!(r#"{{"claim":7,"outcome":"done","active_job":{envelope}}}"#));
            assert_eq!(report.outcome, Outcome::Done);
            assert!(report.active_job.is_none(), "{envelope}");
        }
        let ours = r#"{"job_id":"6f9619ff-8b86-4011-b42d-00c04fc964ff"}"#;
        assert!(answer(&format!(r#"{{"claim":7,"outcome":"done","active_job":{ours}}}"#)).active_job.is_some());
    }

    #[test]
    fn an_answer_that_means_nothing_is_a_retry() {
        for line in [
            r#"{"claim":7,"outcome":"maybe"}"#,
            r#"{"claim":7,"outcome":1}"#,
            r#"{"claim":7,"outcome":{"a":[]}}"#,
            r#"{"claim":7,"outcome":"retry","delay":-1}"#,
            r#"{"claim":7,"outcome":"retry","delay":"soon"}"#,
            r#"{"claim":7,"outcome":"release","delay":[]}"#,
        ] {
            assert_eq!(error_of(line).exception_class(), class::INVALID_REPLY, "{line}");
        }
    }

    #[test]
    fn errors_come_in_many_shapes() {
        let error = |said: &str| error_of(&format!(r#"{{"claim":7,"outcome":"fail","error":{said}}}"#));
        assert_eq!(error(r#""no such user""#), JobError::new(class::HANDLER_ERROR, "no such user"));
        assert_eq!(error("null").message(), "the handler failed the job and gave no reason");
        assert_eq!(error(r#"{"exception_class":"E","message":null,"backtrace":null}"#).exception_class(), "E");
        assert_eq!(error(r#"{"message":{"a":1},"backtrace":"x\ny"}"#).backtrace(), ["x", "y"]);
        assert_eq!(error(r#"{"message":{"a":1},"backtrace":[1,null]}"#).message(), r#"{"a":1}"#);
    }

    #[test]
    fn lines_for_another_claim_never_count() {
        for line in
            [r#"{"claim":8,"outcome":"done"}"#, r#"{"claim":"7","outcome":"done"}"#, r#"{"claim":7.0,"log":"x"}"#]
        {
            assert!(matches!(read(line), Line::OtherClaim(_)), "{line}");
        }
    }

    #[test]
    fn a_claim_may_be_left_out_where_the_channel_is_the_jobs_own() {
        let line = br#"{"outcome":"done"}"#;
        assert!(matches!(read_line(line, &sample_job(), Claiming::Required), Line::Garbage));
        assert!(matches!(read_line(line, &sample_job(), Claiming::Optional), Line::Answer(_)));
    }

    #[test]
    fn notices_are_told_apart() {
        let Line::Notice(notice) = read(r#"{"claim":7,"heartbeat":true}"#) else { panic!() };
        assert!(notice.heartbeat && notice.progress.is_none() && notice.log.is_none());
        let Line::Notice(notice) = read(r#"{"claim":7,"progress":{"done": 3}}"#) else { panic!() };
        assert_eq!(notice.progress.unwrap().get(), r#"{"done": 3}"#);
        let Line::Notice(notice) = read(r#"{"claim":7,"log":"hello"}"#) else { panic!() };
        assert_eq!(notice.log.unwrap(), "hello");
    }

    #[test]
    fn other_output_is_garbage() {
        let deep = "[".repeat(100_000);
        for line in
            ["", "hello", "7", "null", r#"[7,"done"]"#, "{}", r#"{"claim":7}"#, r#"{"claim":7,"outcome":"done""#, &deep]
        {
            assert!(matches!(read(line), Line::Garbage), "{line:.40}");
        }
        assert!(matches!(read_line(b"\xff\xfe{", &sample_job(), Claiming::Required), Line::Garbage));
        let deep = format!(r#"{{"claim":7,"outcome":"done","result":{}}}"#, "[".repeat(100_000));
        assert!(matches!(read(&deep), Line::Garbage));
    }

    proptest! {
        #[test]
        fn no_line_is_too_odd(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            read_line(&line, &sample_job(), Claiming::Optional);
        }

        #[test]
        fn no_object_is_too_odd(outcome in ".*", delay in any::<f64>(), error in ".*", claim in prop_oneof![Just(7), any::<i64>()]) {
            let line = serde_json::json!({"claim": claim, "outcome": outcome, "delay": delay, "error": error}).to_string();
            read_line(line.as_bytes(), &sample_job(), Claiming::Required);
        }
    }
}
