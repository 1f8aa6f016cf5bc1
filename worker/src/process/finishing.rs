//! Writing down how runs ended.
//!
//! What ends while a write is under way is gathered and written together by the next one: alone when little happens, by
//! the hundred when much does, without a timer. A batch that the database refuses for its data is halved until the job to blame stands
//! alone; one that met another transaction is retried whole; one whose reply was lost is written again, and claims
//! that are then missing count as written.

use super::link::{Link, in_time};
use super::registration::Registration;
use crate::execute::errors::class;
use crate::health::Pulse;
use gritstone_store::{Error, Finish, JobError, Session, Settled, Store, Verdict};
use std::collections::BTreeSet;
use tokio::sync::{mpsc, oneshot};

/// The most runs written at a time. On PostgreSQL 500 wrote about as many a second as 1,000, with half the latency.
const BATCH: usize = 500;

pub(super) enum Message {
    Finish(Finish),
    /// Answered when everything sent before it is written.
    Flush(oneshot::Sender<()>),
}

/// The sending end. Sending waits while the database can't keep up: the job's slot stays taken meanwhile.
#[derive(Clone)]
pub(super) struct Finisher {
    sender: mpsc::Sender<Message>,
}

impl Finisher {
    /// Starts the loop that writes. It ends when the last sender is dropped and everything is written.
    pub(super) fn start(
        store: &Store,
        registration: &Registration,
        threads: u32,
    ) -> (Self, tokio::task::JoinHandle<()>) {
        let (sender, receiver) = mpsc::channel((threads as usize * 2).clamp(64, 4_096));
        let link =
            Link::new(store, "completions").reporting(&registration.reporter).counted(registration.connections());
        let pulse = registration.pulse("completions");
        let work = Writing { store: store.clone(), link, registration: registration.clone(), pulse };
        (Finisher { sender }, tokio::spawn(work.run(receiver)))
    }

    pub(super) async fn send(&self, finish: Finish) {
        if self.sender.send(Message::Finish(finish)).await.is_err() {
            tracing::error!("a run's end could not be written: the writer is gone; the claim will be recovered");
        }
    }

    /// Waits until everything sent so far is written.
    pub(super) async fn flush(&self) {
        let (done, wait) = oneshot::channel();
        if self.sender.send(Message::Flush(done)).await.is_ok() {
            let _ = wait.await;
        }
    }
}

struct Writing {
    store: Store,
    link: Link,
    registration: Registration,
    pulse: Pulse,
}

impl Writing {
    async fn run(mut self, mut receiver: mpsc::Receiver<Message>) {
        let mut messages = Vec::with_capacity(BATCH);
        self.pulse.rest();
        while receiver.recv_many(&mut messages, BATCH).await > 0 {
            let mut finishes = Vec::with_capacity(messages.len());
            let mut flushes = Vec::new();
            for message in messages.drain(..) {
                match message {
                    Message::Finish(finish) => finishes.push(finish),
                    Message::Flush(done) => flushes.push(done),
                }
            }
            self.write_all(finishes).await;
            for done in flushes {
                let _ = done.send(());
            }
        }
    }

    /// Writes a batch, however long the database is away and whatever it refuses.
    async fn write_all(&mut self, finishes: Vec<Finish>) {
        let mut parts = vec![finishes];
        let mut reply_lost = false;
        while let Some(part) = parts.pop() {
            if part.is_empty() {
                continue;
            }
            match self.write(&part).await {
                Ok(settled) => {
                    self.link.answered();
                    self.report_gone(&settled, reply_lost);
                    reply_lost = false;
                    self.hand_on(settled).await;
                }
                Err(error) if error.is_data() => {
                    let alone = part.len() == 1;
                    if alone {
                        self.registration.reporter.engine("completions", &error);
                    }
                    parts.extend(divide(part, &error));
                }
                Err(error) => {
                    reply_lost |= error.is_unavailable();
                    self.link.wait_after(&error).await;
                    parts.push(part);
                }
            }
        }
    }

    async fn write(&mut self, finishes: &[Finish]) -> Result<Settled, Error> {
        let preserve = self.registration.settings.borrow().preserve_finished_jobs;
        self.pulse.turn();
        let written = async { in_time(self.link.session().await?.finish(finishes, preserve)).await }.await;
        self.pulse.rest();
        written
    }

    fn report_gone(&self, settled: &Settled, reply_lost: bool) {
        if settled.gone.is_empty() {
            return;
        }
        if reply_lost {
            tracing::warn!(
                claims = ?settled.gone,
                "these runs' ends were written before the connection broke, or their claims were taken away meanwhile"
            );
        } else {
            tracing::warn!(claims = ?settled.gone, "nothing was written for these runs: their claims were taken away");
        }
    }

    /// Gives freed slots and emptied batches their consequences. What fails here is made good by the dispatcher's sweep.
    async fn hand_on(&mut self, settled: Settled) {
        if !settled.signals && settled.batch_ids.is_empty() {
            return;
        }
        let result = async {
            let session = self.link.session().await?;
            in_time(consequences(session, &settled)).await
        };
        match result.await {
            Ok(queues) => self.store.wake(queues),
            Err(error) => tracing::warn!(%error, "could not hand on freed slots; the dispatcher's sweep will"),
        }
    }
}

/// Releases blocked jobs and finishes batches after a state change; the queues that got ready jobs.
pub(super) async fn consequences(session: &mut Session<'_>, settled: &Settled) -> Result<BTreeSet<String>, Error> {
    let mut queues = BTreeSet::new();
    if settled.signals {
        queues.extend(session.signal().await?);
    }
    queues.extend(session.complete_batches(&settled.batch_ids).await?);
    Ok(queues)
}

/// Halves a batch that was refused for its data; a run that stands alone fails, with an error that can be written.
fn divide(mut part: Vec<Finish>, error: &Error) -> Vec<Vec<Finish>> {
    if part.len() > 1 {
        let other = part.split_off(part.len() / 2);
        return vec![part, other];
    }
    let Some(mut finish) = part.pop() else { return Vec::new() };
    let already = matches!(&finish.verdict, Verdict::Fail { error, .. } if error.exception_class == class::UNWRITABLE);
    if already {
        tracing::error!(claim = finish.claim_id, job = finish.job_id, %error, "this run's end can't be written at all; its claim stays");
        return Vec::new();
    }
    tracing::error!(claim = finish.claim_id, job = finish.job_id, %error, "the database refuses how this run ended; the job fails");
    let message = format!("the run's outcome could not be stored: {error}");
    finish.verdict = Verdict::Fail { error: JobError::new(class::UNWRITABLE, message), envelope: None };
    vec![vec![finish]]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finish(id: i64) -> Finish {
        Finish { claim_id: id, job_id: id, verdict: Verdict::Done }
    }

    #[test]
    fn a_refused_batch_is_halved_until_the_culprit_stands_alone() {
        let error = Error::Data("no".into());
        let halves = divide(vec![finish(1), finish(2), finish(3)], &error);
        assert_eq!(halves.iter().map(Vec::len).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn a_run_that_cant_be_written_fails_and_is_given_up_if_even_that_is_refused() {
        let error = Error::Data("no".into());
        let alone = divide(vec![finish(1)], &error);
        assert!(matches!(&alone[0][0].verdict, Verdict::Fail { .. }));
        assert!(divide(alone[0].clone(), &error).is_empty());
    }
}
