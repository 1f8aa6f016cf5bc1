//! `gritstone limits`: how many jobs with one key may run at a time.

use super::Global;
use super::database::{Queue, with_queue};
use super::exit::Exit;
use super::names::name;
use super::output::{self, Align, Table};
use gritstone_crds::Duration;
use gritstone_store::{Limit, OnConflict};
use serde_json::{Value, json};

/// List concurrency limits, and declare them
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  gritstone limits list
  gritstone limits set account --to 2
  gritstone limits set account/7 --to 1 --duration 5m --on-conflict discard")]
pub(super) struct Limits {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the limits that are declared, and the keys in use
    #[command(after_help = "Examples:\n  gritstone limits list\n  gritstone limits list --json")]
    List(List),
    /// Declare a limit for a key, or for a group of keys: those that begin with NAME/
    ///
    /// It takes effect with the next change under a key, or within seconds where a dispatcher runs. What isn't given stays as
    /// it was declared before.
    #[command(
        after_help = "Examples:\n  gritstone limits set account --to 2\n  gritstone limits set report/daily --to 1 --on-conflict discard"
    )]
    Set(Set),
}

#[derive(Debug, clap::Args)]
struct List {
    /// At most so many keys
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

#[derive(Debug, clap::Args)]
struct Set {
    /// The key, or its group: the text before the first /
    #[arg(value_parser = name)]
    name: String,
    /// So many jobs at a time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    to: u32,
    /// How long a slot is good for without a sign of its holder; 3m unless declared otherwise
    #[arg(long, value_name = "DURATION")]
    duration: Option<Duration>,
    /// What happens to a job that finds no free slot
    #[arg(long)]
    on_conflict: Option<Conflict>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Conflict {
    /// It waits
    Block,
    /// It is dropped
    Discard,
}

impl Limits {
    pub(super) fn run(self, global: &Global) -> Result<(), Exit> {
        match self.command {
            Command::List(list) => list.run(global),
            Command::Set(set) => set.run(global),
        }
    }
}

fn word(conflict: OnConflict) -> &'static str {
    match conflict {
        OnConflict::Block => "block",
        OnConflict::Discard => "discard",
    }
}

fn shape(name: &str, limit: &Limit) -> Value {
    json!({
        "name": name, "to": limit.to, "duration_seconds": limit.duration.as_secs_f64(), "on_conflict": word(limit.on_conflict),
    })
}

impl List {
    fn run(self, global: &Global) -> Result<(), Exit> {
        let (declared, keys) = with_queue(global, "listing limits", async |queue: &mut Queue| {
            Ok((queue.session.declared_limits(self.limit).await?, queue.session.limits(self.limit).await?))
        })?;
        if global.json {
            let declared: Vec<Value> = declared.iter().map(|(name, limit)| shape(name, limit)).collect();
            return output::json(&json!({ "declared": declared, "keys": keys }));
        }
        if declared.is_empty() && keys.is_empty() {
            output::note("there are no limits: declare one with `gritstone limits set NAME --to N`");
            return Ok(());
        }
        if !declared.is_empty() {
            let columns = [
                ("LIMIT", Align::Left),
                ("TO", Align::Right),
                ("DURATION", Align::Right),
                ("ON CONFLICT", Align::Left),
            ];
            let mut table = Table::new(&columns);
            for (name, limit) in declared {
                let duration = Duration::from_millis(limit.duration.as_millis().try_into().unwrap_or(u64::MAX));
                table.row(vec![name, limit.to.to_string(), duration.to_string(), word(limit.on_conflict).into()]);
            }
            table.print()?;
        }
        if keys.is_empty() {
            return Ok(());
        }
        output::line("")?;
        let numbers = ["TO", "FREE", "HELD", "BLOCKED"].map(|name| (name, Align::Right));
        let mut columns = vec![("KEY", Align::Left)];
        columns.extend(numbers);
        let mut table = Table::new(&columns);
        for key in keys {
            let to = key.to.map_or_else(|| "-".into(), |to| to.to_string());
            table.row(vec![key.key, to, key.free.to_string(), key.held.to_string(), key.blocked.to_string()]);
        }
        table.print()
    }
}

impl Set {
    fn run(self, global: &Global) -> Result<(), Exit> {
        let limit = with_queue(global, "declaring a limit", async |queue: &mut Queue| {
            let declared = queue.session.declared_limits(u32::MAX >> 1).await?;
            let before = declared.into_iter().find(|(name, _)| *name == self.name).map(|(_, limit)| limit);
            let before = before.unwrap_or_default();
            let limit = Limit {
                to: self.to,
                duration: self.duration.map_or(before.duration, Duration::as_std),
                on_conflict: match self.on_conflict {
                    None => before.on_conflict,
                    Some(Conflict::Block) => OnConflict::Block,
                    Some(Conflict::Discard) => OnConflict::Discard,
                },
            };
            queue.session.declare_limit(&self.name, limit).await?;
            Ok(limit)
        })?;
        if global.json {
            return output::json(&shape(&self.name, &limit));
        }
        let jobs = if limit.to == 1 { "1 job".into() } else { format!("{} jobs", limit.to) };
        let otherwise = match limit.on_conflict {
            OnConflict::Block => "others wait",
            OnConflict::Discard => "others are dropped",
        };
        output::line(format!("{}: {jobs} at a time, {otherwise}", self.name))
    }
}
