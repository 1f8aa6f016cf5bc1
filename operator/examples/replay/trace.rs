//! What arrives: traces drawn from a seed, the same each time.

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

/// A job.
#[derive(Debug, Clone, Copy)]
pub struct Arrival {
    /// When, in seconds since the beginning.
    pub at: f64,
    /// How long it runs, in seconds.
    pub run_time: f64,
}

/// Jobs in the order of their arrival.
#[derive(Debug, Clone)]
pub struct Trace {
    /// What it is called.
    pub name: &'static str,
    /// The jobs.
    pub arrivals: Vec<Arrival>,
    /// When to stop looking.
    pub until: f64,
    /// When the queue is paused.
    pub paused: Option<(f64, f64)>,
}

impl Trace {
    /// Whether nothing can be claimed then.
    pub fn paused_at(&self, at: f64) -> bool {
        self.paused.is_some_and(|(from, to)| (from..to).contains(&at))
    }

    /// When a job can be claimed that arrives then.
    pub fn resumed_after(&self, at: f64) -> f64 {
        self.paused.map_or(at, |(_, to)| if self.paused_at(at) { to } else { at })
    }
}

/// All traces.
pub fn all() -> Vec<Trace> {
    vec![step(), ramp(), poisson(), on_and_off(), long_jobs(), paused(), millions(), trickle(), mixed()]
}

/// Arrivals at random with a rate that is a function of time, each with a run time drawn by `run_time`.
fn random(
    seed: u64,
    until: f64,
    most: f64,
    rate: impl Fn(f64) -> f64,
    run_time: impl Fn(&mut StdRng) -> f64,
) -> Vec<Arrival> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut arrivals = Vec::new();
    let mut at = 0.0;
    loop {
        // Thinned: drawn at the highest rate, kept with the share of that which the rate is.
        at -= (1.0 - random.random::<f64>()).ln() / most;
        if at >= until {
            return arrivals;
        }
        if random.random::<f64>() * most < rate(at) {
            arrivals.push(Arrival { at, run_time: run_time(&mut random) });
        }
    }
}

fn exponential(mean: f64) -> impl Fn(&mut StdRng) -> f64 {
    move |random| -(1.0 - random.random::<f64>()).ln() * mean
}

/// Nothing for a minute, then 40 jobs a second of half a second each, for half an hour.
fn step() -> Trace {
    let rate = |at: f64| if (60.0..1_860.0).contains(&at) { 40.0 } else { 0.0 };
    Trace { name: "step", arrivals: random(1, 1_860.0, 40.0, rate, |_| 0.5), until: 2_700.0, paused: None }
}

/// From nothing to 60 jobs a second over half an hour, and back.
fn ramp() -> Trace {
    let rate = |at: f64| 60.0 * (1.0 - (at / 1_800.0 - 1.0).abs());
    Trace { name: "ramp", arrivals: random(2, 3_600.0, 60.0, rate, exponential(0.5)), until: 4_200.0, paused: None }
}

/// Ten jobs a second at random, each of about a second.
fn poisson() -> Trace {
    let arrivals = random(3, 3_600.0, 10.0, |_| 10.0, exponential(1.0));
    Trace { name: "poisson", arrivals, until: 4_200.0, paused: None }
}

/// 50 jobs a second for two minutes in every twenty.
fn on_and_off() -> Trace {
    let rate = |at: f64| if at % 1_200.0 < 120.0 { 50.0 } else { 0.0 };
    let arrivals = random(4, 4_800.0, 50.0, rate, exponential(0.4));
    Trace { name: "on and off", arrivals, until: 5_400.0, paused: None }
}

/// A job of ten minutes every twelve seconds.
fn long_jobs() -> Trace {
    let arrivals = random(5, 7_200.0, 1.0 / 12.0, |_| 1.0 / 12.0, |random| random.random_range(540.0..660.0));
    Trace { name: "long jobs", arrivals, until: 9_000.0, paused: None }
}

/// 20 jobs a second, the queue paused for ten minutes in between.
fn paused() -> Trace {
    let arrivals = random(6, 2_400.0, 20.0, |_| 20.0, exponential(0.5));
    Trace { name: "paused queue", arrivals, until: 3_600.0, paused: Some((600.0, 1_200.0)) }
}

/// 2.4 million jobs of a millisecond, all at once.
fn millions() -> Trace {
    let job = Arrival { at: 10.0, run_time: 0.001 };
    Trace { name: "2.4 million of 1 ms", arrivals: vec![job; 2_400_000], until: 1_200.0, paused: None }
}

/// A job every five minutes, of two seconds.
fn trickle() -> Trace {
    let arrivals = random(8, 10_800.0, 1.0 / 300.0, |_| 1.0 / 300.0, |_| 2.0);
    Trace { name: "trickle", arrivals, until: 12_000.0, paused: None }
}

/// Many short jobs and a few of two minutes.
fn mixed() -> Trace {
    let run_time = |random: &mut StdRng| if random.random::<f64>() < 0.01 { 120.0 } else { 0.2 };
    let arrivals = random(9, 3_600.0, 15.0, |_| 15.0, run_time);
    Trace { name: "short and long", arrivals, until: 4_500.0, paused: None }
}
