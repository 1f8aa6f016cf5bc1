//! The `gritstone` command: a file per subcommand.
//!
//! What a subcommand prints for people goes to stdout as tables, with `--json` as JSON; logs go to stderr. Errors end it
//! with a code that is documented in `docs/reference/command.md`.

mod authorities;
mod batches;
mod check;
mod classes;
mod clear;
mod completions;
mod convert;
mod database;
mod dispatch;
mod enqueue;
mod exit;
mod handler;
mod health;
mod install;
mod jobs;
mod limits;
mod logging;
mod manifests;
mod migrate;
mod names;
mod one_worker;
mod output;
mod plan;
mod probe;
mod processes;
mod queues;
mod rails;
mod recurring;
mod runtime;
mod schedule;
mod signals;
mod start;
mod supervisor_hooks;
mod tasks;
mod title;
mod work;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Background jobs out of the SQL database you already have.
#[derive(Debug, Parser)]
#[command(name = "gritstone", bin_name = "gritstone", version, propagate_version = true, max_term_width = 110, after_help = EXAMPLES)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

const EVERYWHERE: &str = "Options of every subcommand";

/// Options of every subcommand.
#[derive(Debug, clap::Args)]
struct Global {
    /// The queue's database: postgres://, mysql:// or sqlite://, also as Rails writes them [default: sqlite://gritstone.db]
    #[arg(
        long,
        global = true, help_heading = EVERYWHERE,
        env = "DATABASE_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    database: Option<String>,
    /// Print JSON instead of tables
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    json: bool,
    /// What to log to stderr: error, warn, info, debug, trace, or a filter such as gritstone=debug [default: info for start, work and
    /// dispatch, warn for the others]
    #[arg(long, global = true, help_heading = EVERYWHERE, env = "GRITSTONE_LOG", value_name = "FILTER")]
    log: Option<String>,
    /// How to log: plain or json
    #[arg(long, global = true, help_heading = EVERYWHERE, env = "GRITSTONE_LOG_FORMAT", default_value = "plain", value_name = "FORMAT")]
    log_format: logging::Format,
}

impl Global {
    /// The database that is meant.
    fn database(&self) -> &str {
        self.database.as_deref().unwrap_or("sqlite://gritstone.db")
    }

    /// What a command logs that runs until it is told to stop.
    fn log(&self) -> &str {
        self.log.as_deref().unwrap_or("info")
    }
}

const EXAMPLES: &str = "\
Examples:
  gritstone start --command ./run-job                 one dispatcher and one worker on sqlite://gritstone.db
  gritstone enqueue SendMail --args '[42]' --in 5m    a job that is due in five minutes
  gritstone jobs list --state failed                  what went wrong
  gritstone jobs retry --state failed --all           once more, all of it
Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 the database can't be used.";

#[derive(Debug, Subcommand)]
enum Command {
    Start(start::Start),
    Work(work::Work),
    Dispatch(dispatch::Dispatch),
    Migrate(migrate::Migrate),
    Enqueue(enqueue::Enqueue),
    Jobs(jobs::Jobs),
    Queues(queues::Queues),
    Processes(processes::Processes),
    Batches(batches::Batches),
    Limits(limits::Limits),
    Classes(classes::Classes),
    Recurring(recurring::Recurring),
    Check(check::Check),
    Convert(convert::Convert),
    Schedule(schedule::Schedules),
    Clear(clear::Clear),
    Install(install::Install),
    Probe(probe::Probe),
    Completions(completions::Completions),
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = match &cli.command {
        Command::Start(_) | Command::Work(_) | Command::Dispatch(_) => cli.global.log(),
        // What they did is on stdout; events beside it would run into progress bars.
        _ => cli.global.log.as_deref().unwrap_or("warn"),
    };
    logging::init(filter, cli.global.log_format);
    let done = match cli.command {
        Command::Start(command) => command.run(&cli.global),
        Command::Work(command) => command.run(&cli.global),
        Command::Dispatch(command) => command.run(&cli.global),
        Command::Migrate(command) => command.run(&cli.global),
        Command::Enqueue(command) => command.run(&cli.global),
        Command::Jobs(command) => command.run(&cli.global),
        Command::Queues(command) => command.run(&cli.global),
        Command::Processes(command) => command.run(&cli.global),
        Command::Batches(command) => command.run(&cli.global),
        Command::Limits(command) => command.run(&cli.global),
        Command::Classes(command) => command.run(&cli.global),
        Command::Recurring(command) => command.run(&cli.global),
        Command::Check(command) => command.run(&cli.global),
        Command::Convert(command) => command.run(&cli.global),
        Command::Schedule(command) => command.run(&cli.global),
        Command::Clear(command) => command.run(&cli.global),
        Command::Install(command) => command.run(),
        Command::Probe(command) => command.run(),
        Command::Completions(command) => command.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(exit) => exit.report(),
    }
}
