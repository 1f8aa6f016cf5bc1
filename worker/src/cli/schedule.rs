//! `gritstone schedule`: when a schedule runs.

use super::Global;
use super::exit::Exit;
use super::names::moment;
use super::output::{self, Align, Table};
use gritstone_crds::kinds::Schedule;
use gritstone_crds::schedule::check_time_zone;
use gritstone_crds::{ScheduleError, Timetable};
use jiff::Timestamp;
use serde_json::json;

/// See when a schedule runs
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  gritstone schedule next \"every weekday at 9am\"")]
pub(super) struct Schedules {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print when a schedule runs next, without a database
    ///
    /// A schedule is words, cron, or an interval, as a manifest of a RecurringTask has it.
    #[command(after_help = "\
Examples:
  gritstone schedule next \"every weekday at 9am\" --time-zone Asia/Seoul
  gritstone schedule next \"30 2 * * * America/New_York\" --from 2026-03-07T00:00:00Z -n 3
  gritstone schedule next '{every: 90m, offset: 5m}' --json")]
    Next(Next),
}

#[derive(Debug, clap::Args)]
struct Next {
    /// Words such as "every day at 9am", cron, or {every: 90m}
    schedule: String,
    /// The zone that it is meant in, unless it names one
    #[arg(long, value_name = "ZONE", default_value = "UTC", value_parser = time_zone)]
    time_zone: String,
    /// Runs after this moment; now unless given
    #[arg(long, value_name = "TIME", value_parser = moment)]
    from: Option<Timestamp>,
    /// So many runs
    #[arg(short = 'n', long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=1000))]
    count: u16,
}

impl Schedules {
    pub(super) fn run(self, global: &Global) -> Result<(), Exit> {
        match self.command {
            Command::Next(next) => next.run(global),
        }
    }
}

fn time_zone(name: &str) -> Result<String, ScheduleError> {
    check_time_zone(name).map(|()| name.to_owned())
}

impl Next {
    fn run(self, global: &Global) -> Result<(), Exit> {
        let timetable = self.schedule.parse().and_then(|schedule: Schedule| Timetable::of(&schedule, &self.time_zone));
        let timetable = timetable.map_err(|error| refused(&self.schedule, &error))?;
        let mut now = self.from.unwrap_or_else(Timestamp::now);
        let mut runs = Vec::new();
        while runs.len() < usize::from(self.count)
            && let Some(run) = timetable.next_after(now)
        {
            runs.push(run);
            now = run;
        }
        if global.json {
            return output::json(
                &json!({ "cron": timetable.cron(), "time_zone": timetable.time_zone(), "next": runs }),
            );
        }
        if let Some(cron) = timetable.cron() {
            output::line(format!("cron: {cron}\n"))?;
        }
        if runs.is_empty() {
            output::note("it runs no more");
            return Ok(());
        }
        let local = timetable.time_zone().to_uppercase();
        let mut table = Table::new(&[("UTC", Align::Left), (&local, Align::Left)]);
        for run in runs {
            table.row(vec![run.to_string(), timetable.local(run).strftime("%a %Y-%m-%d %H:%M:%S %:z").to_string()]);
        }
        table.print()
    }
}

/// The schedule with the place marked, and the reason below.
fn refused(schedule: &str, error: &ScheduleError) -> Exit {
    let schedule: String = schedule.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let marked = error.marked(&schedule).replace('\n', "\n  ");
    Exit::Refused(format!("this is no schedule:\n  {marked}\n{error}"))
}
