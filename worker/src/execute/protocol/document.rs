//! The lines that go to a handler.

use crate::execute::{Arguments, Job};
use jiff::Timestamp;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

#[derive(Serialize)]
struct Document<'a> {
    id: &'a str,
    claim: i64,
    class: &'a str,
    queue: &'a str,
    priority: i32,
    arguments: &'a Arguments,
    attempt: u32,
    interruptions: u32,
    deadline: Time,
    enqueued_at: Time,
    scheduled_at: Time,
    active_job: Option<&'a RawValue>,
    traceparent: Option<&'a str>,
}

struct Time(Option<Timestamp>);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some(time) => serializer.collect_str(time),
            None => serializer.serialize_none(),
        }
    }
}

/// The job as the one line that its handler reads, newline included.
///
/// # Errors
/// When a value can't be JSON; none of a [`Job`]'s can fail to be.
pub fn document(job: &Job) -> Result<Vec<u8>, serde_json::Error> {
    let document = Document {
        id: &job.id,
        claim: job.claim,
        class: &job.class,
        queue: &job.queue,
        priority: job.priority,
        arguments: &job.arguments,
        attempt: job.attempt,
        interruptions: job.interruptions,
        deadline: Time(job.deadline),
        enqueued_at: Time(job.enqueued_at),
        scheduled_at: Time(job.scheduled_at),
        active_job: serde_json::from_str(&job.active_job).ok(),
        traceparent: job.traceparent.as_deref(),
    };
    let mut line = Vec::with_capacity(512 + 2 * job.active_job.len());
    serde_json::to_writer(&mut line, &document)?;
    // The envelope is passed on as it was written, and may have been written over several lines. Inside JSON a bare line
    // break can only be white space.
    for byte in &mut line {
        if matches!(byte, b'\n' | b'\r') {
            *byte = b' ';
        }
    }
    line.push(b'\n');
    Ok(line)
}

/// The line that asks a long-lived handler to stop the job of this claim.
pub fn cancellation(claim: i64) -> Vec<u8> {
    format!("{{\"cancel\":{claim}}}\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execute::sample_job;
    use serde_json::{Value, json};

    #[test]
    fn says_all_that_a_handler_is_told() {
        let job = Job {
            arguments: Arguments::from_json(r#"[42, {"status": "open"}]"#.into()).unwrap(),
            deadline: Some("2026-01-02T03:04:05.678901Z".parse().unwrap()),
            attempt: 2,
            ..sample_job()
        };
        let line = document(&job).unwrap();
        assert_eq!(line.last(), Some(&b'\n'));
        assert_eq!(
            serde_json::from_slice::<Value>(&line).unwrap(),
            json!({
                "id": "6f9619ff-8b86-4011-b42d-00c04fc964ff", "claim": 7, "class": "SendMail", "queue": "default",
                "priority": 0, "arguments": [42, {"status": "open"}], "attempt": 2, "interruptions": 0,
                "deadline": "2026-01-02T03:04:05.678901Z", "enqueued_at": null, "scheduled_at": null,
                "active_job": {"job_class": "SendMail", "arguments": []}, "traceparent": null,
            })
        );
    }

    #[test]
    fn is_one_line_however_the_envelope_was_written() {
        let job = Job { active_job: "{\n  \"a\": \"x\\ny\"\r\n}".into(), ..sample_job() };
        let line = document(&job).unwrap();
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        assert_eq!(serde_json::from_slice::<Value>(&line).unwrap()["active_job"]["a"], "x\ny");
    }

    #[test]
    fn an_envelope_that_is_no_json_is_null() {
        let job = Job { active_job: "{oops".into(), ..sample_job() };
        assert_eq!(serde_json::from_slice::<Value>(&document(&job).unwrap()).unwrap()["active_job"], Value::Null);
    }
}
