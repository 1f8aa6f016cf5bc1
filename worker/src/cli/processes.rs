//! `gritstone processes`: who works on the queue, and burying the dead.

use super::Global;
use super::database::{Queue, with_queue};
use super::exit::Exit;
use super::output::{self, Align, Table, age, count};
use gritstone_crds::Duration;
use gritstone_store::{Buried, ProcessView};
use serde_json::{Value, json};

/// List processes, and prune dead ones
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  gritstone processes list\n  gritstone processes prune --older-than 10m")]
pub(super) struct Processes {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List workers, dispatchers and supervisors, Rails' own included
    #[command(after_help = "Examples:\n  gritstone processes list\n  gritstone processes list --json")]
    List,
    /// Take processes that have not been heard of off the list, and give their jobs to others
    ///
    /// Dispatchers and supervisors do this by themselves; it is for when none is running. Processes of Rails are
    /// given at least the five minutes that Solid Queue gives them.
    #[command(after_help = "Examples:\n  gritstone processes prune\n  gritstone processes prune --older-than 10m")]
    Prune(Prune),
}

#[derive(Debug, clap::Args)]
struct Prune {
    /// Not heard of for so long; the shared alive threshold unless given
    #[arg(long, value_name = "DURATION")]
    older_than: Option<Duration>,
}

impl Processes {
    pub(super) fn run(self, global: &Global) -> Result<(), Exit> {
        match self.command {
            Command::List => list(global),
            Command::Prune(prune) => prune.run(global),
        }
    }
}

fn list(global: &Global) -> Result<(), Exit> {
    let processes =
        with_queue(global, "listing processes", async |queue: &mut Queue| Ok(queue.session.processes().await?))?;
    if global.json {
        return output::json(&json!({ "processes": processes }));
    }
    if processes.is_empty() {
        output::note("no process works on this queue: start one with `gritstone start`");
        return Ok(());
    }
    let mut table = Table::new(&[
        ("PROCESS", Align::Right),
        ("KIND", Align::Left),
        ("HOST", Align::Left),
        ("PID", Align::Right),
        ("SUPERVISOR", Align::Right),
        ("QUEUES", Align::Left),
        ("CLAIMED", Align::Right),
        ("HEARD OF", Align::Left),
        ("", Align::Left),
    ]);
    for process in processes {
        table.row(row(process));
    }
    table.print()
}

fn row(process: ProcessView) -> Vec<String> {
    let queues = process.metadata.as_ref().and_then(|metadata| metadata.get("queues")).and_then(Value::as_str);
    vec![
        process.id.to_string(),
        process.kind,
        process.hostname.unwrap_or_default(),
        process.pid.to_string(),
        process.supervisor_id.map_or_else(String::new, |id| id.to_string()),
        queues.unwrap_or_default().to_owned(),
        process.claimed.to_string(),
        format!("{} ago", age(process.heartbeat_age_seconds.max(0).unsigned_abs())),
        if process.cordoned { "cordoned".into() } else { String::new() },
    ]
}

/// How many deaths a claim survives whose process is not even listed: whose policy held is not known any more.
const ORPHAN_INTERRUPTIONS: u32 = 3;

impl Prune {
    fn run(self, global: &Global) -> Result<(), Exit> {
        let buried = with_queue(global, "pruning processes", async |queue: &mut Queue| {
            let settings = queue.session.settings().await?;
            let shortest = settings.heartbeat_interval * 2;
            let threshold = self.older_than.map_or(settings.alive_threshold, Duration::as_std);
            if threshold < shortest {
                return Err(Exit::Refused(format!(
                    "--older-than {}: processes write that they live every {}s, so this would take live ones for dead and run \
                     their jobs twice; {}s is the least",
                    self.older_than.unwrap_or_default(),
                    settings.heartbeat_interval.as_secs_f32(),
                    shortest.as_secs_f32()
                )));
            }
            let mut all = Vec::new();
            loop {
                let mut buried = queue.session.prune(threshold, None).await?;
                let more = !buried.is_empty();
                if !more {
                    buried.push(queue.session.recover_orphans(ORPHAN_INTERRUPTIONS).await?);
                }
                for buried in &buried {
                    queue.hand_on(buried.signals, &buried.batch_ids).await?;
                }
                all.extend(buried);
                if !more {
                    return Ok(all);
                }
            }
        })?;
        print(&buried, global)
    }
}

fn print(buried: &[Buried], global: &Global) -> Result<(), Exit> {
    let touched = |b: &Buried| b.released.len() + b.interrupted.len() + b.failed.len();
    let (processes, orphans): (Vec<&Buried>, Vec<&Buried>) = buried.iter().partition(|b| b.process_id.is_some());
    let orphans: Vec<&Buried> = orphans.into_iter().filter(|b| touched(b) > 0).collect();
    if global.json {
        let shape = |b: &&Buried| json!({"process_id": b.process_id, "name": b.name, "released": b.released, "interrupted": b.interrupted, "failed": b.failed});
        return output::json(&json!({
            "pruned": processes.iter().map(shape).collect::<Vec<_>>(),
            "orphans": orphans.iter().map(shape).collect::<Vec<_>>(),
        }));
    }
    let jobs = |b: &Buried| {
        let (back, failed) = (b.released.len() + b.interrupted.len(), b.failed.len());
        format!("{} ready again, {failed} failed", count(back as u64, "job"))
    };
    for process in &processes {
        output::line(format!("{} pruned: {}", process.name, jobs(process)))?;
    }
    for orphan in &orphans {
        output::line(format!("claims without a process: {}", jobs(orphan)))?;
    }
    if processes.is_empty() && orphans.is_empty() {
        output::line("every process has been heard of: nothing was pruned")?;
    }
    Ok(())
}
