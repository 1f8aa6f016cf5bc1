//! One job's conversation with one long-lived child.

use super::worker::Worker;
use crate::execute::breaker::Admission;
use crate::execute::child::{looks, read, write};
use crate::execute::protocol::{Claiming, cancellation};
use crate::execute::stopping::{Call, Watch};
use crate::execute::talk::{Listener, crashed};
use crate::execute::{Context, Job, Report};
use std::borrow::Cow;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// What a conversation is about.
pub(super) struct Conversation<'a> {
    pub(super) job: &'a Arc<Job>,
    pub(super) context: &'a Context,
    /// Cancelled when the handler shuts down.
    pub(super) closing: &'a CancellationToken,
    pub(super) watch: &'a mut Watch,
    pub(super) document: &'a [u8],
    /// For a child that was started for this job.
    pub(super) admission: Option<Admission<'a>>,
}

/// How it ended.
pub(super) enum Ended {
    /// With an answer; and with the child, when it can take another job.
    Answered(Report, Option<Box<Worker>>),
    /// With the child's death, or its new-born's: the job is over.
    Unanswered(Report),
    /// The child had died before, when it had no job.
    WasDead,
}

/// How the talking ended.
enum Talked {
    Answer(Report),
    /// The child has ended.
    Exit,
    /// It is to be ended: its grace is over, or it will never read the job.
    Kill,
}

/// What the child is sent, and how much of that is on its way.
struct Outgoing<'a> {
    bytes: Cow<'a, [u8]>,
    sent: usize,
}

impl Outgoing<'_> {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    /// Whether the child took any of it. What was on its way before is read first, so when as much is unread, it did not.
    fn is_read_by(&self, worker: &Worker) -> bool {
        worker.unread() < self.sent as u64
    }
}

impl<'a> Conversation<'a> {
    pub(super) async fn hold(mut self, mut worker: Worker) -> Ended {
        worker.child.stderr.begin(self.job);
        let mut outgoing = Outgoing { bytes: Cow::Borrowed(self.document), sent: 0 };
        match self.talk(&mut worker, &mut outgoing).await {
            Talked::Answer(report) => {
                worker.has_answered();
                if let Some(admission) = &mut self.admission {
                    admission.works();
                }
                let reusable =
                    outgoing.rest().is_empty() && worker.child.stdin.is_some() && worker.child.stdout.is_some();
                let reusable = reusable.then(|| Box::new(worker));
                Ended::Answered(report.unhurried(self.watch.why().is_some()), reusable)
            }
            Talked::Exit => {
                let started = outgoing.is_read_by(&worker);
                self.bury(worker, started, false).await
            }
            Talked::Kill => {
                let started = outgoing.is_read_by(&worker);
                self.bury(worker, started, true).await
            }
        }
    }

    async fn talk(&mut self, worker: &mut Worker, outgoing: &mut Outgoing<'_>) -> Talked {
        let listener = self.listener(worker.pid());
        let mut looks = looks();
        loop {
            // The last job's leavings come first.
            if let Some(answer) = listener.hear(&mut worker.lines) {
                return Talked::Answer(answer);
            }
            let trial = self.admission.as_ref().is_some_and(Admission::is_trial);
            let stopping = self.watch.why().is_some();
            let (stdin, stdout) = (worker.child.stdin.as_ref(), worker.child.stdout.as_mut());
            tokio::select! {
                biased;
                call = self.watch.next(&self.context.cancel) => match call {
                    Call::Stop => outgoing.bytes.to_mut().extend(cancellation(self.job.claim)),
                    Call::Kill => return Talked::Kill,
                },
                () = self.closing.cancelled(), if !stopping => {
                    self.watch.stop();
                    outgoing.bytes.to_mut().extend(cancellation(self.job.claim));
                }
                () = worker.child.group.exited() => return Talked::Exit,
                _ = looks.tick(), if trial => {
                    if outgoing.is_read_by(worker)
                        && let Some(admission) = &mut self.admission
                    {
                        admission.works();
                    }
                }
                written = write(stdin, outgoing.rest()) => {
                    outgoing.sent += written;
                    if written == 0 {
                        if !outgoing.is_read_by(worker) {
                            return Talked::Kill;
                        }
                        if worker.unread() > 0 || !outgoing.rest().is_empty() {
                            self.watch.begin_grace();
                        }
                        worker.child.stdin = None;
                    }
                }
                got = read(stdout, &mut worker.lines) => {
                    if got == 0 {
                        // It can't answer any more. As a rule it is ending, and is about to say how.
                        worker.child.stdout = None;
                        self.watch.begin_grace();
                    }
                }
            }
        }
    }

    /// For a child that has ended or is to end: what becomes of the job.
    async fn bury(self, worker: Worker, started: bool, killed: bool) -> Ended {
        let listener = self.listener(worker.pid());
        let Worker { child, mut lines, .. } = worker;
        let mut answer = None;
        let end = child.end(|bytes| {
            lines.space().extend_from_slice(bytes);
            answer = answer.take().or_else(|| listener.hear(&mut lines));
        });
        let end = end.await;
        let why = self.watch.why();
        if let Some(answer) = answer.or_else(|| listener.hear_rest(&mut lines)) {
            return Ended::Answered(answer.unhurried(why.is_some()), None);
        }
        if started || why.is_some() {
            return Ended::Unanswered(crashed(end, why, killed, self.job));
        }
        let Some(admission) = self.admission else {
            tracing::info!(pid = listener.pid, "a handler process {} between two jobs", end.exit);
            return Ended::WasDead;
        };
        match &end.refusal {
            Some(refusal) => admission.failed(refusal),
            None => admission.failed(&format_args!(
                "a new handler process {} before it read its first job; {}",
                end.exit,
                end.stderr.last().map_or("it wrote nothing to stderr", String::as_str)
            )),
        }
        Ended::Unanswered(Report::released())
    }

    fn listener(&self, pid: i32) -> Listener<'a> {
        Listener { job: self.job, context: self.context, claiming: Claiming::Required, pid: Some(pid) }
    }
}
