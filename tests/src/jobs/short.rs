//! Shorthand: what would otherwise be repeated.

use gritstone_store::{
    Claim, ClaimedJob, Commands, Finish, Identity, JobError, Limit, Mark, NewJob, NewProcess, OnConflict, Selection,
    Session, UseLimit, Verdict,
};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// A job of class `Job` without arguments.
pub fn job() -> NewJob {
    NewJob::new("Job", vec![])
}

/// A limit under a key, declared with the job.
pub fn limit(key: &str, to: u32, on_conflict: OnConflict) -> UseLimit {
    let declare = Limit { to, on_conflict, ..Limit::default() };
    UseLimit { key: key.into(), declare: Some(declare) }
}

/// A worker of a name of its own.
pub fn new_process(max_interruptions: u32) -> NewProcess {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    let pid = std::process::id();
    NewProcess {
        kind: "Worker".into(),
        name: format!("worker-{pid:08x}{number:012x}"),
        pid,
        hostname: "host".into(),
        supervisor_id: None,
        metadata: serde_json::json!({"queues": "*"}),
        identity: Identity { incarnation: format!("incarnation-{pid}-{number}"), ..Identity::default() },
        max_interruptions,
    }
}

/// Claims from any queue, in order of priority.
pub async fn claim_any(session: &mut Session<'_>, process_id: i64, limit: u32) -> Vec<ClaimedJob> {
    let selection = Selection::Any { excluded: vec![], mark: Mark::START };
    let claim = Claim {
        process_id,
        selection: &selection,
        limit,
        classes: None,
        skip_locked: true,
        commands: Commands::Leave,
        ahead: None,
    };
    session.claim(&claim).await.unwrap().jobs
}

/// Claims from these queues, one after the other.
pub async fn claim_from(session: &mut Session<'_>, process_id: i64, queues: &[&str], limit: u32) -> Vec<ClaimedJob> {
    let selection = Selection::Queues(queues.iter().map(|queue| ((*queue).to_owned(), Mark::START)).collect());
    let claim = Claim {
        process_id,
        selection: &selection,
        limit,
        classes: None,
        skip_locked: true,
        commands: Commands::Leave,
        ahead: None,
    };
    session.claim(&claim).await.unwrap().jobs
}

fn end(claimed: &ClaimedJob, verdict: Verdict) -> Finish {
    Finish { claim_id: claimed.claim_id, job_id: claimed.job_id, verdict }
}

/// It did its work.
pub fn done(claimed: &ClaimedJob) -> Finish {
    end(claimed, Verdict::Done)
}

/// It never will.
pub fn fail(claimed: &ClaimedJob, message: &str) -> Finish {
    end(claimed, Verdict::Fail { error: JobError::new("Oops", message), envelope: None })
}

/// It runs again after `delay`, one attempt used.
pub fn retry(claimed: &ClaimedJob, delay: Duration) -> Finish {
    let mut envelope = gritstone_store::Envelope::parse(claimed.envelope.as_deref().unwrap()).unwrap();
    envelope.set_executions(envelope.executions() + 1);
    end(claimed, Verdict::Retry { delay, envelope: envelope.to_string() })
}
