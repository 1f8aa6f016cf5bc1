//! `gritstone jobs show`: everything about one job.

use super::hint;
use crate::cli::Global;
use crate::cli::database::{Queue, with_queue};
use crate::cli::exit::Exit;
use crate::cli::output::{self, Align, Table, clean, when};
use gritstone_store::{Envelope, JobView};
use jiff::Timestamp;
use serde_json::value::RawValue;

/// Show a job: its state, its arguments, why it failed
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  gritstone jobs show 42
  gritstone jobs show 6f9619ff-8b86-4011-b42d-00c04fc964ff --json")]
pub(super) struct Show {
    /// Its own id or its row's number; `id:7` where its own id is a number
    id: String,
}

impl Show {
    pub(super) fn run(self, global: &Global) -> Result<(), Exit> {
        let (job, now) = with_queue(global, "showing a job", async |queue: &mut Queue| {
            match queue.session.job(&self.id).await? {
                Some(job) => Ok((job, queue.session.now().await?)),
                None => Err(Exit::Refused(format!(
                    "there is no job {} in {}: it may have been cleared or discarded; `gritstone jobs list` shows what is there{}",
                    clean(&self.id),
                    queue.url,
                    hint(&self.id)
                ))),
            }
        })?;
        if global.json {
            return output::json(&job);
        }
        print(&job, now)
    }
}

fn print(job: &JobView, now: Timestamp) -> Result<(), Exit> {
    let mut table = Table::new(&[("", Align::Left), ("", Align::Left)]);
    let mut row = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            table.row(vec![name.into(), value]);
        }
    };
    let at = |time: Option<Timestamp>| time.map(|time| when(time, now));
    let envelope = job.envelope.as_deref().map(Envelope::parse);
    let runs = match &envelope {
        Some(Ok(envelope)) => Some(envelope.executions().to_string()),
        _ => None,
    };
    row("job", Some(job.job_id.to_string()));
    row("id", job.id.clone());
    row("state", Some(job.state.name().into()));
    row("class", Some(job.class.clone()));
    row("queue", Some(job.queue.clone()));
    row("priority", Some(job.priority.to_string()));
    row("runs that asked for another", runs);
    row("interruptions", (job.interruptions > 0).then(|| job.interruptions.to_string()));
    row("limit key", job.concurrency_key.clone());
    row("process", job.process_id.map(|id| id.to_string()));
    row("enqueued", at(Some(job.created_at)));
    row("due", at(job.scheduled_at));
    row("finished", at(job.finished_at));
    table.print()?;
    match (&envelope, &job.envelope) {
        (Some(Ok(envelope)), _) => {
            let raw = envelope.raw("arguments").map_or("[]", RawValue::get);
            let arguments = match serde_json::from_str::<serde_json::Value>(raw) {
                Ok(arguments) => serde_json::to_string_pretty(&arguments).unwrap_or_default(),
                // Numbers that no machine type holds.
                Err(_) => raw.to_owned(),
            };
            output::line(format!("arguments:\n{}", clean(&arguments)))?;
        }
        (_, Some(text)) => output::line(format!("arguments (not as Active Job writes them):\n{}", clean(text)))?,
        (_, None) => {}
    }
    if let Some(error) = &job.error {
        output::line(clean(&format!("error:\n{}: {}", error.exception_class, error.message)))?;
        for line in error.backtrace.iter().flatten() {
            output::line(format!("  {}", clean(line)))?;
        }
    }
    Ok(())
}
