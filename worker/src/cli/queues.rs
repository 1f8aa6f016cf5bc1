//! `gritstone queues`: how full they are, and pausing them.

use super::Global;
use super::database::{Queue, with_queue};
use super::exit::Exit;
use super::names::name;
use super::output::{self, Align, Table, age};
use gritstone_store::JobFilter;
use serde_json::json;

/// List, pause and resume queues
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  gritstone queues list
  gritstone queues pause mail reports
  gritstone queues resume mail")]
pub(super) struct Queues {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List queues: jobs by state, how long the oldest ready one has been waiting, whether it is paused
    #[command(
        after_help = "Examples:\n  gritstone queues list\n  gritstone queues list --json | jq '.queues[] | select(.paused)'"
    )]
    List,
    /// Keep workers from claiming the jobs of queues
    ///
    /// What runs already goes on. It holds until the queue is resumed, whatever is started or restarted meanwhile.
    #[command(after_help = "Examples:\n  gritstone queues pause mail")]
    Pause(Names),
    /// Let workers claim the jobs of queues again
    #[command(after_help = "Examples:\n  gritstone queues resume mail")]
    Resume(Names),
}

#[derive(Debug, clap::Args)]
struct Names {
    /// The queues
    #[arg(required = true, value_name = "NAME", value_parser = name)]
    names: Vec<String>,
}

impl Queues {
    pub(super) fn run(self, global: &Global) -> Result<(), Exit> {
        match self.command {
            Command::List => list(global),
            Command::Pause(names) => switch(&names.names, true, global),
            Command::Resume(names) => switch(&names.names, false, global),
        }
    }
}

fn list(global: &Global) -> Result<(), Exit> {
    let queues = with_queue(global, "listing queues", async |queue: &mut Queue| Ok(queue.session.queues().await?))?;
    if global.json {
        return output::json(&json!({ "queues": queues }));
    }
    if queues.is_empty() {
        output::note("there are no queues yet: they come with their first job");
        return Ok(());
    }
    let right = ["READY", "CLAIMED", "SCHEDULED", "BLOCKED", "FAILED", "LATENCY"].map(|name| (name, Align::Right));
    let mut columns = vec![("QUEUE", Align::Left)];
    columns.extend(right);
    columns.push(("", Align::Left));
    let mut table = Table::new(&columns);
    for queue in queues {
        let mut cells = vec![queue.name];
        cells.extend([queue.ready, queue.claimed, queue.scheduled, queue.blocked, queue.failed].map(|n| n.to_string()));
        cells.push(if queue.ready == 0 { "-".into() } else { age(queue.latency_seconds) });
        cells.push(if queue.paused { "paused".into() } else { String::new() });
        table.row(cells);
    }
    table.print()
}

/// What a queue was before, and what is known of it.
struct Switched {
    name: String,
    changed: bool,
    has_jobs: bool,
}

fn switch(names: &[String], pause: bool, global: &Global) -> Result<(), Exit> {
    let doing = if pause { "pausing queues" } else { "resuming queues" };
    let switched = with_queue(global, doing, async |queue: &mut Queue| {
        let mut switched = Vec::with_capacity(names.len());
        for name in names {
            let filter = JobFilter { queue: Some(name.clone()), limit: 1, ..JobFilter::default() };
            let has_jobs = !queue.session.job_ids(&filter).await?.is_empty();
            let changed = match pause {
                true => queue.session.pause_queue(name).await?,
                false => queue.session.resume_queue(name).await?,
            };
            if changed && !pause {
                queue.wake(&[name.clone()].into()).await;
            }
            switched.push(Switched { name: name.clone(), changed, has_jobs });
        }
        Ok(switched)
    })?;
    if global.json {
        let queues: Vec<_> = switched
            .iter()
            .map(|s| json!({"name": s.name, "paused": pause, "changed": s.changed, "has_jobs": s.has_jobs}))
            .collect();
        return output::json(&json!({ "queues": queues }));
    }
    for queue in switched {
        let state = match (pause, queue.changed) {
            (true, true) => "is paused: running jobs go on, no more are claimed",
            (true, false) => "was paused already",
            (false, true) => "goes on",
            (false, false) => "was not paused",
        };
        let unknown = if queue.has_jobs { "" } else { " (no job is on it at present)" };
        output::line(format!("{} {state}{unknown}", queue.name))?;
    }
    Ok(())
}
