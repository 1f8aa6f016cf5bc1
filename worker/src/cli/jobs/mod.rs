//! `gritstone jobs`: looking at jobs, and changing their state by hand.
//!
//! [`list`] and [`show`] look. [`change`] retries, discards and runs jobs at once: those that are named ([`named`]), or all
//! that match a filter ([`bulk`]).

mod bulk;
mod change;
mod list;
mod named;
mod show;

use super::Global;
use super::exit::Exit;
use change::{Change, Which};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use gritstone_store::{JobFilter, JobState, is_row_id};

/// Look at jobs, retry, discard or run them
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  gritstone jobs list --state failed
  gritstone jobs show 42
  gritstone jobs retry --state failed --class SendMail --all")]
pub(super) struct Jobs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    List(list::List),
    Show(show::Show),
    /// Run failed jobs once more
    ///
    /// Their attempts are counted anew, and their limits apply.
    #[command(after_help = "\
Examples:
  gritstone jobs retry 42 6f9619ff-8b86-4011-b42d-00c04fc964ff
  gritstone jobs retry --state failed --all
  gritstone jobs retry --class SendMail --all --limit 1000")]
    Retry(Which),
    /// Delete jobs, in any state but claimed
    ///
    /// Without --state, jobs that match and have not finished. What waits for their slot or their batch goes on.
    #[command(after_help = "\
Examples:
  gritstone jobs discard 42
  gritstone jobs discard --queue mail --all
  gritstone jobs discard --state scheduled --class Report --all")]
    Discard(Which),
    /// Run scheduled and blocked jobs at once
    ///
    /// Scheduled ones still obey their limit; blocked ones are let past it.
    #[command(after_help = "\
Examples:
  gritstone jobs run-now 42
  gritstone jobs run-now --state scheduled --queue reports --all")]
    RunNow(Which),
}

impl Jobs {
    pub(super) fn run(self, global: &Global) -> Result<(), Exit> {
        match self.command {
            Command::List(list) => list.run(global),
            Command::Show(show) => show.run(global),
            Command::Retry(which) => which.run(Change::Retry, global),
            Command::Discard(which) => which.run(Change::Discard, global),
            Command::RunNow(which) => which.run(Change::RunNow, global),
        }
    }
}

/// What to say to somebody who named a job that is not there.
fn hint(id: &str) -> String {
    match is_row_id(id) {
        true => format!("; a number is a row's: where it is the job's own id, write id:{id}"),
        false => String::new(),
    }
}

/// Jobs in one state and transaction.
const BATCH: u32 = 500;

/// Which jobs.
#[derive(Debug, Clone, clap::Args)]
struct Filter {
    /// Only jobs in this state
    #[arg(long, value_parser = state())]
    state: Option<JobState>,
    /// Only jobs on this queue
    #[arg(long, value_name = "NAME")]
    queue: Option<String>,
    /// Only jobs of this class
    #[arg(long, value_name = "NAME")]
    class: Option<String>,
    /// Only jobs with a row id beyond this one, where the last page ended
    #[arg(long, value_name = "ROW-ID")]
    after: Option<i64>,
}

impl Filter {
    fn is_empty(&self) -> bool {
        self.state.is_none() && self.queue.is_none() && self.class.is_none()
    }

    /// As the store takes it.
    fn page(&self, state: Option<JobState>, after: Option<i64>, limit: u32) -> JobFilter {
        JobFilter { state, queue: self.queue.clone(), class: self.class.clone(), after, limit }
    }
}

/// Reads a state's name.
fn state() -> impl TypedValueParser<Value = JobState> {
    let named = |name: String| JobState::ALL.into_iter().find(|state| state.name() == name).unwrap_or(JobState::Lost);
    PossibleValuesParser::new(JobState::ALL.map(JobState::name)).map(named)
}
