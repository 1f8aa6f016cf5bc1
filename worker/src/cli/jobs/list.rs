//! `gritstone jobs list`: jobs, a page at a time.

use super::{BATCH, Filter};
use crate::cli::Global;
use crate::cli::database::{Queue, with_queue};
use crate::cli::exit::Exit;
use crate::cli::output::{self, Align, Table, count, one_line, when_briefly};
use gritstone_store::{JobState, JobView};
use jiff::Timestamp;
use std::io::Write as _;

/// List jobs, by row id
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  gritstone jobs list --state failed --class SendMail
  gritstone jobs list --queue mail --limit 20 --after 4711
  gritstone jobs list --state failed --all --json | jq '.jobs[].error.message'")]
pub(super) struct List {
    #[command(flatten)]
    filter: Filter,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "all")]
    limit: u64,
    /// All of them
    #[arg(long)]
    all: bool,
}

impl List {
    pub(super) fn run(self, global: &Global) -> Result<(), Exit> {
        with_queue(global, "listing jobs", async |queue: &mut Queue| match global.json {
            true => self.json(queue).await,
            false => self.tables(queue).await,
        })
    }

    /// The next page after `after`, when `listed` jobs have been listed.
    async fn page(&self, queue: &mut Queue, after: Option<i64>, listed: u64) -> Result<Vec<JobView>, Exit> {
        let most = if self.all { u64::MAX } else { self.limit };
        let size = most.saturating_sub(listed).min(u64::from(BATCH)) as u32;
        if size == 0 {
            return Ok(Vec::new());
        }
        Ok(queue.session.jobs(&self.filter.page(self.filter.state, after, size)).await?.jobs)
    }

    /// One document, written while it is read: a million jobs don't fit into memory.
    async fn json(&self, queue: &mut Queue) -> Result<(), Exit> {
        let (mut after, mut listed) = (self.filter.after, 0);
        write!(std::io::stdout().lock(), "{{\"jobs\":[")?;
        loop {
            let page = self.page(queue, after, listed).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.job_id);
            let mut out = std::io::stdout().lock();
            for job in &page {
                let comma = if listed == 0 { "" } else { "," };
                let text = serde_json::to_string(job).map_err(|error| Exit::Refused(error.to_string()))?;
                write!(out, "{comma}\n{text}")?;
                listed += 1;
            }
        }
        let next = self.next(queue, after, listed).await?;
        output::line(format!("\n],\"next\":{}}}", next.map_or("null".into(), |id| id.to_string())))
    }

    async fn tables(&self, queue: &mut Queue) -> Result<(), Exit> {
        let now = queue.session.now().await?;
        let (mut after, mut listed) = (self.filter.after, 0);
        loop {
            let page = self.page(queue, after, listed).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.job_id);
            table(&page, listed == 0, now).print()?;
            listed += page.len() as u64;
        }
        if listed == 0 {
            output::note(self.nothing(queue).await?);
        } else if let Some(next) = self.next(queue, after, listed).await? {
            let all = queue.session.count_jobs(&self.filter.page(self.filter.state, self.filter.after, 0)).await?;
            output::note(format!(
                "{listed} of {}; the next ones: --after {next}, all of them: --all",
                count(all, "job")
            ));
        }
        Ok(())
    }

    /// Where to go on, if there is more.
    async fn next(&self, queue: &mut Queue, after: Option<i64>, listed: u64) -> Result<Option<i64>, Exit> {
        if self.all || listed < self.limit {
            return Ok(None);
        }
        let more = queue.session.job_ids(&self.filter.page(self.filter.state, after, 1)).await?;
        Ok(if more.is_empty() { None } else { after })
    }

    /// What to say when no job matches: a queue's name may be misspelt.
    async fn nothing(&self, queue: &mut Queue) -> Result<String, Exit> {
        let Some(wanted) = &self.filter.queue else { return Ok("no jobs match".into()) };
        let queues = queue.session.queues().await?;
        if queues.iter().any(|queue| queue.name == *wanted) {
            return Ok("no jobs match".into());
        }
        let hint = gritstone_crds::nearest(wanted, queues.iter().map(|queue| queue.name.as_str()));
        Ok(match hint {
            Some(name) => format!("no jobs match: there is no queue `{wanted}`; did you mean `{name}`?"),
            None => format!("no jobs match: there is no queue `{wanted}` (`gritstone queues list` shows them)"),
        })
    }
}

fn table(jobs: &[JobView], with_header: bool, now: Timestamp) -> Table {
    let columns = [
        ("JOB", Align::Right),
        ("STATE", Align::Left),
        ("QUEUE", Align::Left),
        ("CLASS", Align::Left),
        ("PRIORITY", Align::Right),
        ("ENQUEUED", Align::Left),
        ("", Align::Left),
    ];
    let columns = if with_header { columns } else { columns.map(|(_, align)| ("", align)) };
    let mut table = Table::new(&columns);
    for job in jobs {
        table.row(vec![
            job.job_id.to_string(),
            job.state.name().into(),
            job.queue.clone(),
            job.class.clone(),
            job.priority.to_string(),
            when_briefly(job.created_at, now),
            detail(job, now),
        ]);
    }
    table
}

/// What matters about a job in its state.
fn detail(job: &JobView, now: Timestamp) -> String {
    let at = |time: Option<Timestamp>| time.map(|time| when_briefly(time, now)).unwrap_or_default();
    match job.state {
        JobState::Failed => job
            .error
            .as_ref()
            .map(|error| one_line(&format!("{}: {}", error.exception_class, error.message), 120))
            .unwrap_or_default(),
        JobState::Scheduled => format!("due {}", at(job.scheduled_at)),
        JobState::Claimed => match job.process_id {
            Some(id) => format!("runs in process {id}"),
            None => "its process is gone".into(),
        },
        JobState::Blocked => format!("waits for {}", job.concurrency_key.as_deref().unwrap_or("its limit")),
        JobState::Finished => format!("finished {}", at(job.finished_at)),
        JobState::Ready => String::new(),
        JobState::Lost => "in no state: its execution was deleted".into(),
    }
}
