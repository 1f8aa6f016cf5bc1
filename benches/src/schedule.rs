//! What it costs to read a schedule, and to ask it for its next run.

use std::hint::black_box;
use std::time::Instant;

use anyhow::Context as _;
use gritstone_crds::Timetable;

use crate::figures::Table;

/// Options of the measurement.
#[derive(Debug, clap::Args)]
pub(crate) struct Schedule {
    /// How often each schedule is read
    #[arg(long, default_value_t = 20_000)]
    rounds: u32,
}

const SCHEDULES: [&str; 6] = [
    "every 15 minutes",
    "every weekday at 9am",
    "every first monday of the month at 9:30 in Europe/Berlin",
    "every 5 minutes from 9 to 17 on monday and friday",
    "0 9 * * 1-5",
    "*/10 8-18/2 1,15,L jan-jun mon#1 America/New_York",
];

impl Schedule {
    pub(crate) fn run(&self, table: &mut Table) -> anyhow::Result<()> {
        for text in SCHEDULES {
            let timetable = Timetable::parse(text, "UTC").with_context(|| format!("reading {text:?}"))?;
            let read = self.micros(|| drop(black_box(Timetable::parse(black_box(text), "UTC"))));
            let mut now = jiff::Timestamp::UNIX_EPOCH;
            let next =
                self.micros(|| now = timetable.next_after(black_box(now)).unwrap_or(jiff::Timestamp::UNIX_EPOCH));
            table.figure(&format!("schedule {text:?}"), format!("read in {read:.2} µs, its next run in {next:.2} µs"));
        }
        Ok(())
    }

    /// The mean over all rounds.
    fn micros(&self, mut work: impl FnMut()) -> f64 {
        let start = Instant::now();
        (0..self.rounds).for_each(|_| work());
        start.elapsed().as_secs_f64() * 1e6 / f64::from(self.rounds)
    }
}
