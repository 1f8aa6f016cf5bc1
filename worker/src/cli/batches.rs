//! `gritstone batches`: jobs that belong together, and how far they are.

use super::Global;
use super::database::{Queue, with_queue};
use super::exit::Exit;
use super::output::{self, Align, Table, clean, one_line, when, when_briefly};
use gritstone_store::BatchState;
use jiff::Timestamp;
use serde_json::json;

/// List batches, or show one
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  gritstone batches list\n  gritstone batches show 7")]
pub(super) struct Batches {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List batches, the newest first
    #[command(after_help = "Examples:\n  gritstone batches list --limit 10\n  gritstone batches list --json")]
    List(List),
    /// Show a batch
    #[command(after_help = "Examples:\n  gritstone batches show 7\n  gritstone batches show 7 --json")]
    Show(Show),
}

#[derive(Debug, clap::Args)]
struct List {
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

#[derive(Debug, clap::Args)]
struct Show {
    /// Its own id or its row's id
    id: String,
}

impl Batches {
    pub(super) fn run(self, global: &Global) -> Result<(), Exit> {
        match self.command {
            Command::List(list) => list.run(global),
            Command::Show(show) => show.run(global),
        }
    }
}

impl List {
    fn run(self, global: &Global) -> Result<(), Exit> {
        let (batches, now) = with_queue(global, "listing batches", async |queue: &mut Queue| {
            Ok((queue.session.batches(self.limit).await?, queue.session.now().await?))
        })?;
        if global.json {
            return output::json(&json!({ "batches": batches }));
        }
        if batches.is_empty() {
            output::note("there are no batches");
            return Ok(());
        }
        let mut table = Table::new(&[
            ("BATCH", Align::Right),
            ("STATE", Align::Left),
            ("JOBS", Align::Right),
            ("PENDING", Align::Right),
            ("FAILED", Align::Right),
            ("CREATED", Align::Left),
            ("DESCRIPTION", Align::Left),
        ]);
        for batch in batches {
            table.row(vec![
                batch.id.to_string(),
                state(&batch).into(),
                batch.total_jobs.to_string(),
                batch.pending_jobs.to_string(),
                batch.failed_jobs.to_string(),
                when_briefly(batch.created_at, now),
                one_line(&batch.description.unwrap_or_default(), 80),
            ]);
        }
        table.print()
    }
}

/// Where a batch is.
fn state(batch: &BatchState) -> &'static str {
    match (batch.enqueued_at, batch.finished_at, batch.failed_at) {
        (_, _, Some(_)) => "failed",
        (_, Some(_), None) => "finished",
        (Some(_), None, None) => "running",
        (None, None, None) => "filling",
    }
}

impl Show {
    fn run(self, global: &Global) -> Result<(), Exit> {
        let (batch, now) = with_queue(global, "showing a batch", async |queue: &mut Queue| {
            match queue.session.batch(&self.id).await? {
                Some(batch) => Ok((batch, queue.session.now().await?)),
                None => Err(Exit::Refused(format!(
                    "there is no batch {} in {}; `gritstone batches list` shows what is there",
                    clean(&self.id),
                    queue.url
                ))),
            }
        })?;
        if global.json {
            return output::json(&batch);
        }
        print(&batch, now)
    }
}

fn print(batch: &BatchState, now: Timestamp) -> Result<(), Exit> {
    let mut table = Table::new(&[("", Align::Left), ("", Align::Left)]);
    let mut row = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            table.row(vec![name.into(), value]);
        }
    };
    let at = |time: Option<Timestamp>| time.map(|time| when(time, now));
    row("batch", Some(batch.id.to_string()));
    row("id", Some(batch.batch_id.clone()));
    row("state", Some(state(batch).into()));
    row("description", batch.description.clone());
    row("jobs", Some(batch.total_jobs.to_string()));
    row("done or discarded", Some(batch.completed_jobs.to_string()));
    row("failed", Some(batch.failed_jobs.to_string()));
    row("pending", Some(batch.pending_jobs.to_string()));
    row("created", at(Some(batch.created_at)));
    row("all enqueued", at(batch.enqueued_at));
    row("finished", at(batch.finished_at));
    row("metadata", batch.metadata.as_ref().map(ToString::to_string));
    table.print()
}
