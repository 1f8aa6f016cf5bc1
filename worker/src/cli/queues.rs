//! `gritstone queues`: how full they are, and pausing them.

use super::Global;
use super::database::{Queue, with_queue};
use super::exit::Exit;
use super::names::name;
use super::output::{self, Align, Table, age, count};
use gritstone_store::{JobFilter, QueueState, UnservedJobs, UnservedReason};
use serde_json::{Value, json};
use std::collections::BTreeMap;

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
    ///
    /// UNSERVED are jobs that are ready or due within a minute and that no running worker would claim: none serves the queue, or runs
    /// their class. Of each queue the first 5,000 are looked at.
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
    let (queues, unserved) = with_queue(global, "listing queues", async |queue: &mut Queue| {
        let queues = queue.session.queues().await?;
        let unserved = queue.session.unserved(&queues).await?;
        Ok((queues, unserved))
    })?;
    if global.json {
        let queues: Vec<Value> = queues.iter().map(|queue| shape(queue, unserved.get(&queue.name))).collect();
        return output::json(&json!({ "queues": queues }));
    }
    if queues.is_empty() {
        output::note("there are no queues yet: they come with their first job");
        return Ok(());
    }
    let right =
        ["READY", "CLAIMED", "SCHEDULED", "BLOCKED", "FAILED", "LATENCY", "UNSERVED"].map(|name| (name, Align::Right));
    let mut columns = vec![("QUEUE", Align::Left)];
    columns.extend(right);
    columns.push(("", Align::Left));
    let mut table = Table::new(&columns);
    for queue in queues {
        let waiting = unserved.get(&queue.name);
        let mut cells = vec![queue.name];
        cells.extend([queue.ready, queue.claimed, queue.scheduled, queue.blocked, queue.failed].map(|n| n.to_string()));
        cells.push(if queue.ready == 0 { "-".into() } else { age(queue.latency_seconds) });
        cells.push(waiting.map_or_else(|| "-".into(), number));
        let mut remarks: Vec<String> = queue.paused.then(|| "paused".into()).into_iter().collect();
        remarks.extend(waiting.map(classes));
        cells.push(remarks.join(", "));
        table.row(cells);
    }
    table.print()?;
    for advice in advice(&unserved) {
        output::note(advice);
    }
    Ok(())
}

fn shape(queue: &QueueState, unserved: Option<&UnservedJobs>) -> Value {
    let mut value = json!(queue);
    value["unserved"] = json!(unserved);
    value
}

fn number(unserved: &UnservedJobs) -> String {
    format!("{}{}", unserved.jobs, if unserved.exact { "" } else { "+" })
}

/// One or two of the classes.
fn classes(unserved: &UnservedJobs) -> String {
    let named = unserved.classes.iter().take(2).map(String::as_str).collect::<Vec<_>>().join(", ");
    format!("unserved: {named}{}", if unserved.classes.len() > 2 { ", ..." } else { "" })
}

/// What to do about jobs that nobody would claim: a line for each thing that is missing.
fn advice(unserved: &BTreeMap<String, UnservedJobs>) -> Vec<String> {
    let mut by_reason: BTreeMap<UnservedReason, (u64, Vec<&str>)> = BTreeMap::new();
    for (queue, jobs) in unserved {
        let (total, queues) = by_reason.entry(jobs.reason).or_default();
        *total += jobs.jobs;
        queues.push(queue);
    }
    let advice = by_reason.into_iter().map(|(reason, (total, queues))| {
        let jobs = count(total, "job");
        let wait = if total == 1 { "waits" } else { "wait" };
        let queues = queues.join(", ");
        match reason {
            UnservedReason::NoWorker => {
                format!("{jobs} {wait}, and no worker runs: start one with `gritstone start` or `gritstone work`")
            }
            UnservedReason::Queue => {
                format!("{jobs} {wait} on {queues}, which no running worker serves: name the queue in a worker's `queues`")
            }
            UnservedReason::Class => format!(
                "{jobs} {wait} on {queues} whose class no worker of the queue runs: add it to a worker's handler, and to its \
                 `classes` where it has any"
            ),
            UnservedReason::Commands => format!(
                "{jobs} {wait} on {queues}, of class Command, which no worker of the queue may run: say `allowCommands: true` in a \
                 manifest, or start one with --allow-commands"
            ),
        }
    });
    let mut advice: Vec<String> = advice.collect();
    if !advice.is_empty() {
        advice.push("Which workers run, and what they say that they serve: `gritstone processes list`".into());
    }
    advice
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
