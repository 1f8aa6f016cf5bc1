//! The jobs that a worker holds, as plain data: those that run, those that start as slots become free, and those that may
//! not start yet.
//!
//! What was claimed ahead counts as started from the moment it *may* start, since its start is not written anywhere. The
//! rest is listed in the database as not started (`unstarted`), and a death of the worker is none of theirs.

use gritstone_store::ClaimedJob;
use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Instant;

/// `R` is what a running job is kept under.
pub(super) struct Slots<R> {
    threads: usize,
    /// By claim.
    pub(super) running: HashMap<i64, R>,
    /// In the order in which they start, with the moment from which they wait.
    waiting: VecDeque<(ClaimedJob, Instant)>,
    /// Listed as not started.
    unstarted: VecDeque<ClaimedJob>,
}

/// What the next claim is to ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Room {
    /// How many jobs to claim.
    pub(super) claim: usize,
    /// How many of those that are listed as not started may start once they are listed no more.
    pub(super) promoted: usize,
    /// How many of the newly claimed may start.
    pub(super) starting: usize,
    /// The claims that stay listed.
    pub(super) kept: Vec<i64>,
    /// Whether there is a list to write at all.
    pub(super) listed: bool,
}

impl<R> Slots<R> {
    pub(super) fn new(threads: u32) -> Self {
        Slots {
            threads: threads.max(1) as usize,
            running: HashMap::new(),
            waiting: VecDeque::new(),
            unstarted: VecDeque::new(),
        }
    }

    /// How many run or may start.
    pub(super) fn admitted(&self) -> usize {
        self.running.len() + self.waiting.len()
    }

    /// The claims of all.
    pub(super) fn claims(&self) -> Vec<i64> {
        let waiting = self.waiting.iter().map(|(job, _)| job.claim_id);
        self.running.keys().copied().chain(waiting).chain(self.unstarted()).collect()
    }

    /// The claims that are listed as not started.
    pub(super) fn unstarted(&self) -> impl Iterator<Item = i64> + '_ {
        self.unstarted.iter().map(|job| job.claim_id)
    }

    pub(super) fn has_unstarted(&self) -> bool {
        !self.unstarted.is_empty()
    }

    /// Since when the first of those that may start has been waiting.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        self.waiting.front().map(|(_, since)| *since)
    }

    /// What to claim, when `prefetch` jobs are to be held beyond those that run, `soon` of which start so soon that they
    /// count as started.
    pub(super) fn room(&self, prefetch: usize, soon: usize) -> Room {
        let may_start = (self.threads + prefetch.min(soon)).saturating_sub(self.admitted());
        let promoted = may_start.min(self.unstarted.len());
        let held = self.admitted() + self.unstarted.len();
        Room {
            claim: (self.threads + prefetch).saturating_sub(held),
            promoted,
            starting: may_start - promoted,
            kept: self.unstarted().skip(promoted).collect(),
            listed: prefetch > soon || self.has_unstarted(),
        }
    }

    /// Lets a job start: gives it back when a slot is free for it, else it waits for one.
    pub(super) fn admit(&mut self, job: ClaimedJob, now: Instant) -> Option<ClaimedJob> {
        if self.running.len() < self.threads && self.waiting.is_empty() {
            return Some(job);
        }
        self.waiting.push_back((job, now));
        None
    }

    /// Holds a job that is listed as not started.
    pub(super) fn hold(&mut self, job: ClaimedJob) {
        self.unstarted.push_back(job);
    }

    /// The oldest of those that are listed no more.
    pub(super) fn promote(&mut self, count: usize) -> Vec<ClaimedJob> {
        self.unstarted.drain(..count.min(self.unstarted.len())).collect()
    }

    /// A run is over: the job that takes its slot, and what the run was kept under.
    pub(super) fn next_after(&mut self, claim_id: i64) -> Option<(ClaimedJob, R)> {
        let ended = self.running.remove(&claim_id)?;
        let (job, _) = self.waiting.pop_front()?;
        Some((job, ended))
    }

    /// Takes out what has not started.
    pub(super) fn take_waiting(&mut self) -> Vec<ClaimedJob> {
        self.waiting.drain(..).map(|(job, _)| job).chain(self.unstarted.drain(..)).collect()
    }

    /// Drops what waits under claims that are gone.
    pub(super) fn forget(&mut self, claims: &HashSet<i64>) {
        self.waiting.retain(|(job, _)| !claims.contains(&job.claim_id));
        self.unstarted.retain(|job| !claims.contains(&job.claim_id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(claim_id: i64) -> ClaimedJob {
        ClaimedJob {
            claim_id,
            job_id: claim_id,
            queue: "default".into(),
            class: "A".into(),
            priority: 0,
            envelope: None,
            active_job_id: None,
            scheduled_at: None,
            created_at: jiff::Timestamp::UNIX_EPOCH,
            concurrency_key: None,
            interruptions: 0,
            attempts: None,
        }
    }

    /// Slots whose first jobs run.
    fn slots(threads: u32, running: i64) -> Slots<()> {
        let mut slots = Slots::new(threads);
        for claim in 1..=running {
            slots.running.insert(claim, ());
        }
        slots
    }

    #[test]
    fn without_prefetch_as_many_are_claimed_as_slots_are_free() {
        let room = slots(3, 1).room(0, 100);
        assert_eq!((room.claim, room.starting, room.listed), (2, 2, false));
    }

    #[test]
    fn what_starts_soon_is_claimed_ahead_without_a_list() {
        let room = slots(3, 3).room(10, 10);
        assert_eq!((room.claim, room.starting, room.listed), (10, 10, false));
    }

    #[test]
    fn what_does_not_start_soon_is_listed() {
        let mut slots = slots(3, 3);
        let room = slots.room(10, 2);
        assert_eq!((room.claim, room.promoted, room.starting, room.listed), (10, 0, 2, true));
        for claim in 4..=5 {
            assert!(slots.admit(job(claim), Instant::now()).is_none());
        }
        for claim in 6..=13 {
            slots.hold(job(claim));
        }
        let room = slots.room(10, 2);
        assert_eq!((room.claim, room.promoted, room.starting), (0, 0, 0));
        slots.next_after(1).unwrap();
        let room = slots.room(10, 2);
        assert_eq!(
            (room.claim, room.promoted, room.starting),
            (2, 2, 0),
            "two have left: one ended, one is not put back"
        );
        assert_eq!(room.kept, (8..=13).collect::<Vec<_>>());
        assert_eq!(slots.promote(2).iter().map(|job| job.claim_id).collect::<Vec<_>>(), [6, 7]);
    }

    #[test]
    fn jobs_start_in_the_order_in_which_they_came() {
        let mut slots = slots(1, 1);
        assert!(slots.admit(job(2), Instant::now()).is_none());
        assert!(slots.admit(job(3), Instant::now()).is_none());
        assert_eq!(slots.next_after(1).unwrap().0.claim_id, 2);
        assert!(slots.admit(job(4), Instant::now()).is_none(), "the third is first");
    }

    #[test]
    fn a_run_that_was_dropped_hands_its_slot_to_nobody() {
        let mut slots = slots(1, 1);
        slots.admit(job(2), Instant::now());
        slots.running.clear();
        assert!(slots.next_after(1).is_none());
    }

    #[test]
    fn what_waits_is_known_taken_out_and_forgotten() {
        let mut slots = slots(1, 1);
        slots.admit(job(2), Instant::now());
        slots.hold(job(3));
        slots.hold(job(4));
        assert_eq!(slots.claims(), [1, 2, 3, 4]);
        slots.forget(&HashSet::from([1, 3]));
        assert_eq!(slots.take_waiting().iter().map(|job| job.claim_id).collect::<Vec<_>>(), [2, 4]);
        assert_eq!(slots.claims(), [1]);
    }
}
