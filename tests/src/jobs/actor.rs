//! One of many who do anything at any time, and may vanish in the middle of it.

use super::{claim_any, done, fail, job, limit, new_process, polled, retry};
use gritstone_store::{
    BatchCallbacks, BatchRef, ClaimedJob, ClearOptions, Death, EnqueueError, Error, Finish, JobFilter, JobState,
    NewBatch, NewJob, OnConflict, Session, Store, Verdict,
};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The batches that are joined later on: the older ones have come to their end.
const REMEMBERED: usize = 50;

/// A worker, enqueuer, dispatcher and operator in one.
pub struct Actor {
    store: Store,
    session: Session<'static>,
    process_id: i64,
    rng: StdRng,
    held: Vec<ClaimedJob>,
    batches: Arc<Mutex<Vec<BatchRef>>>,
}

impl Actor {
    /// One who has registered. `seed` decides all it does, `batches` are those that all of its kind may join.
    pub async fn new(store: Store, seed: u64, batches: Arc<Mutex<Vec<BatchRef>>>) -> Actor {
        let mut session = store.connect().await.unwrap();
        let process_id = session.register(&new_process(2)).await.unwrap().process_id;
        Actor { store, session, process_id, rng: StdRng::seed_from_u64(seed), held: Vec::new(), batches }
    }

    /// Does something; with a `crash` in so many cases it vanishes on the way, and someone else goes on in its place.
    pub async fn step(&mut self, crash: f64) {
        if !self.rng.random_bool(crash) {
            return self.act().await;
        }
        let polls = self.rng.random_range(1..40);
        let ended = polled(self.act(), polls).await;
        if ended.is_none() {
            self.session = self.store.connect().await.unwrap();
        }
    }

    async fn act(&mut self) {
        match self.rng.random_range(0..20) {
            0..=3 => self.enqueue().await,
            4..=7 => {
                let limit = if self.rng.random_bool(0.1) { 40 } else { self.rng.random_range(1..4) };
                self.held.extend(claim_any(&mut self.session, self.process_id, limit).await);
            }
            8..=12 => self.finish().await,
            13 => {
                let failed = self.some(JobState::Failed).await;
                self.session.retry_failed(&failed).await.unwrap();
            }
            14 => self.discard().await,
            15 | 16 => drop(self.session.dispatch_due(5, true).await.unwrap()),
            17 => drop(self.session.sweep_limits().await.unwrap()),
            18 => {
                self.session.sweep_batches().await.unwrap();
                let old = ClearOptions { class: Some("Job".into()), batch_size: 20, ..ClearOptions::default() };
                self.session.clear_finished(&old).await.unwrap();
            }
            _ => self.die().await,
        }
    }

    async fn enqueue(&mut self) {
        let count = if self.rng.random_bool(0.1) { 30 } else { self.rng.random_range(1..4) };
        let mut jobs = Vec::new();
        for _ in 0..count {
            jobs.push(self.new_job());
        }
        if self.rng.random_bool(0.2) {
            let callback = NewJob::new("Finish", vec![]).on("callbacks");
            let callbacks = BatchCallbacks { on_finish: Some(callback), ..BatchCallbacks::default() };
            let batch = self.session.create_batch(&NewBatch { callbacks, ..NewBatch::default() }).await.unwrap();
            remember(&mut self.batches.lock().unwrap(), batch.clone());
            for job in &mut jobs {
                job.batch = Some(batch.clone());
            }
            self.session.enqueue(&jobs).await.unwrap();
            self.session.start_batch(batch.id).await.unwrap();
            return;
        }
        match self.session.enqueue(&jobs).await {
            // Some batch came to its end.
            Ok(_) | Err(EnqueueError::Store(Error::Refused(_))) => {}
            Err(error) => panic!("{error}"),
        }
    }

    fn new_job(&mut self) -> NewJob {
        let mut job = job().priority(self.rng.random_range(-1..2));
        if self.rng.random_bool(0.6) {
            let key = self.rng.random_range(1..4);
            let on_conflict = if key == 3 { OnConflict::Discard } else { OnConflict::Block };
            job = job.limited(limit(&format!("k{key}"), key, on_conflict));
        }
        if self.rng.random_bool(0.2) {
            job = job.after(Duration::from_millis(self.rng.random_range(0..20)));
        }
        if self.rng.random_bool(0.1) {
            job = job.attempts(3);
        }
        let batches = self.batches.lock().unwrap();
        if !batches.is_empty() && self.rng.random_bool(0.1) {
            job.batch = Some(batches[self.rng.random_range(0..batches.len())].clone());
        }
        job
    }

    async fn finish(&mut self) {
        let mut finishes = Vec::new();
        for claimed in &self.held {
            let mut ending = done(claimed);
            ending.verdict = match self.rng.random_range(0..10) {
                0 => fail(claimed, "x").verdict,
                1 => retry(claimed, Duration::from_millis(3)).verdict,
                2 => Verdict::Release { delay: None, envelope: None },
                3 => Verdict::Release { delay: Some(Duration::from_millis(3)), envelope: None },
                4 => Verdict::Interrupt,
                _ => Verdict::Done,
            };
            finishes.push(ending);
        }
        self.end(&finishes).await;
        // Now and then it forgets that it said so, and says it again later.
        if self.rng.random_bool(0.8) {
            self.held.clear();
        }
    }

    async fn end(&mut self, finishes: &[Finish]) {
        let settled = self.session.finish(finishes, true).await.unwrap();
        if settled.signals {
            self.session.signal().await.unwrap();
        }
        self.session.complete_batches(&settled.batch_ids).await.unwrap();
    }

    async fn discard(&mut self) {
        let states = [JobState::Ready, JobState::Blocked, JobState::Scheduled, JobState::Failed, JobState::Claimed];
        let state = states[self.rng.random_range(0..states.len())];
        let ids = self.some(state).await;
        let discarded = self.session.discard(&ids).await.unwrap();
        if discarded.signals {
            self.session.signal().await.unwrap();
        }
        self.session.complete_batches(&discarded.batch_ids).await.unwrap();
    }

    /// Its process is buried, or stops cleanly, or its row vanishes; it goes on as another one and still holds the old claims.
    async fn die(&mut self) {
        match self.rng.random_range(0..2) {
            0 => {
                let death = Death::Exited { how: "it was time".into() };
                if let Some(buried) = self.session.bury(self.process_id, &death).await.unwrap() {
                    self.session.complete_batches(&buried.batch_ids).await.unwrap();
                }
            }
            _ => drop(self.session.deregister(self.process_id).await.unwrap()),
        }
        self.session.recover_orphans(2).await.unwrap();
        self.process_id = self.session.register(&new_process(2)).await.unwrap().process_id;
    }

    async fn some(&mut self, state: JobState) -> Vec<i64> {
        let filter = JobFilter { state: Some(state), queue: Some("default".into()), limit: 3, ..JobFilter::default() };
        self.session.job_ids(&filter).await.unwrap()
    }
}

fn remember(batches: &mut Vec<BatchRef>, batch: BatchRef) {
    if batches.len() == REMEMBERED {
        batches.remove(0);
    }
    batches.push(batch);
}
