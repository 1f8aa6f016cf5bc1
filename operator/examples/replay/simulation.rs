//! A queue and its workers, simulated, with the decider at the helm.

use crate::oracle;
use crate::trace::Trace;
use gritstone_operator::autoscale::{Aims, Decider, Observation};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

/// How often the database is looked at, in seconds.
const LOOK_EVERY: f64 = 1.0;

/// How long a new worker takes to its first claim, in seconds.
pub const START_UP: f64 = 5.0;

/// What came of a replay.
#[derive(Debug, Clone, Default)]
pub struct Replay {
    /// At each look: the second, and how many replicas were wanted.
    pub replicas: Vec<(f64, u32)>,
    /// What one who knew everything beforehand would have wanted then.
    pub oracle: Vec<u32>,
    /// Jobs that were to be run.
    pub jobs: u64,
    /// Jobs that were started later than `targetLatency` after they could have been.
    pub late: u64,
}

impl Replay {
    /// Replicas times seconds.
    pub fn replica_seconds(&self) -> f64 {
        self.replicas.iter().map(|(_, replicas)| f64::from(*replicas)).sum::<f64>() * LOOK_EVERY
    }

    /// The same of the oracle.
    pub fn oracle_seconds(&self) -> f64 {
        self.oracle.iter().map(|replicas| f64::from(*replicas)).sum::<f64>() * LOOK_EVERY
    }

    /// How often the number of replicas turned.
    pub fn reversals(&self) -> usize {
        reversals(self.replicas.iter().map(|(_, replicas)| *replicas))
    }

    /// The same of the oracle.
    pub fn oracle_reversals(&self) -> usize {
        reversals(self.oracle.iter().copied())
    }

    /// Which share of the jobs was late.
    pub fn late_share(&self) -> f64 {
        self.late as f64 / self.jobs.max(1) as f64
    }
}

/// How often numbers turn: each change that goes the other way than the change before it, more after fewer or fewer after more, however long
/// after. One burst has one, from going up to going down; a number that flaps has many.
pub fn reversals(numbers: impl Iterator<Item = u32>) -> usize {
    let (mut last, mut rising, mut turns) = (None, None, 0);
    for number in numbers {
        let before = last.replace(number).unwrap_or(number);
        if number != before {
            let rises = number > before;
            turns += usize::from(rising.replace(rises).is_some_and(|rose| rose != rises));
        }
    }
    turns
}

/// A worker.
struct Worker {
    /// When it claims for the first time.
    ready_at: f64,
    /// When the jobs end that it runs, the next first.
    running: BinaryHeap<Reverse<Moment>>,
    /// Jobs that run for less than the step count here, by how much of the next step they have used up.
    used: f64,
}

/// A time that can be ordered, and how long the job ran that ends then.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Moment(f64, f64);

impl Eq for Moment {}

impl PartialOrd for Moment {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Moment {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// Runs a trace from its beginning, with no workers, to well after its last arrival.
pub fn replay(trace: &Trace, aims: &Aims) -> Replay {
    let mut state = State::new(*aims);
    let mut decider = Decider::new();
    let mut arrivals = trace.arrivals.iter().peekable();
    let mut look = 0.0;
    let mut wanted = 0;
    while look < trace.until {
        let next = look + LOOK_EVERY;
        let mut now = look;
        while now < next {
            let step = (now + STEP).min(next);
            while let Some(arrival) = arrivals.next_if(|arrival| arrival.at < step) {
                state.waiting.push_back((arrival.at, trace.resumed_after(arrival.at), arrival.run_time));
                state.replay.jobs += 1;
            }
            state.run(now, step, trace.paused_at(now));
            now = step;
        }
        look = next;
        let seen = state.look(look, trace.paused_at(look));
        let decision = decider.decide(seen.at, Some(&seen), wanted, aims, None);
        wanted = state.scale(look, wanted, decision.replicas);
        state.replay.replicas.push((look, wanted));
    }
    state.replay.oracle = oracle::replicas(trace, aims, &state.replay.replicas);
    state.replay
}

/// The simulation goes on in steps of so many seconds.
const STEP: f64 = 0.05;

struct State {
    aims: Aims,
    /// When each arrived, since when it can be claimed, and how long it runs.
    waiting: VecDeque<(f64, f64, f64)>,
    workers: Vec<Worker>,
    ended: u64,
    busy: f64,
    replay: Replay,
}

impl State {
    /// Nothing waits, and nobody works.
    fn new(aims: Aims) -> Self {
        let (waiting, workers, replay) = (VecDeque::new(), Vec::new(), Replay::default());
        State { aims, waiting, workers, ended: 0, busy: 0.0, replay }
    }

    /// Ends what ends, and starts what can be started, from `now` to `step`.
    fn run(&mut self, now: f64, step: f64, paused: bool) {
        let target = self.aims.target_latency.as_secs_f64();
        for worker in &mut self.workers {
            while let Some(Reverse(Moment(end, run_time))) = worker.running.peek().copied() {
                if end > step {
                    break;
                }
                worker.running.pop();
                self.ended += 1;
                self.busy += run_time;
            }
        }
        if paused {
            return;
        }
        // In turns, as workers do that poll alike.
        let mut tried = 0;
        let mut next = 0;
        while tried < self.workers.len() {
            let Some((arrived, claimable, run_time)) = self.waiting.front().copied() else { break };
            let count = self.workers.len();
            let worker = &mut self.workers[next % count];
            next += 1;
            let free = self.aims.threads as usize - worker.running.len();
            let start = now + worker.used / (free.max(1)) as f64;
            if worker.ready_at > now || free == 0 || start >= step {
                tried += 1;
                continue;
            }
            tried = 0;
            self.waiting.pop_front();
            if start - claimable > target {
                self.replay.late += 1;
            }
            if run_time < STEP {
                worker.used += run_time;
                self.ended += 1;
                self.busy += run_time;
            } else {
                worker.running.push(Reverse(Moment(start.max(arrived) + run_time, run_time)));
            }
        }
        for worker in &mut self.workers {
            let free = self.aims.threads as usize - worker.running.len();
            worker.used = (worker.used - (step - now) * free as f64).max(0.0);
        }
    }

    /// What the operator's poller would see.
    fn look(&mut self, now: f64, paused: bool) -> Observation {
        let oldest = self.waiting.front().map_or(0.0, |(arrived, ..)| now - arrived);
        let (ready, oldest) = if paused { (0, 0.0) } else { (self.waiting.len() as u64, oldest) };
        Observation {
            at: Duration::from_secs_f64(now),
            ready,
            due_soon: 0,
            claimed: self.workers.iter().map(|worker| worker.running.len() as u64).sum(),
            ended: std::mem::take(&mut self.ended),
            busy: Duration::from_secs_f64(std::mem::take(&mut self.busy)),
            oldest: Duration::from_secs_f64(oldest.max(0.0)),
        }
    }

    /// Starts workers, or takes idle ones away, as many as there are; how many are wanted after that.
    fn scale(&mut self, now: f64, wanted: u32, decided: u32) -> u32 {
        while (self.workers.len() as u32) < decided {
            let (ready_at, running) = (now + START_UP, BinaryHeap::new());
            self.workers.push(Worker { ready_at, running, used: 0.0 });
        }
        let mut surplus = wanted.saturating_sub(decided);
        self.workers.retain(|worker| {
            let goes = surplus > 0 && worker.running.is_empty();
            surplus -= u32::from(goes);
            !goes
        });
        self.workers.len() as u32
    }
}
