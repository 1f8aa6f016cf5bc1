//! Watches jobs until they are done, and says what became of them: looking at a queue from outside.

use anyhow::bail;
use clap::Parser;
use comfy_table::{CellAlignment, Table, presets};
use gritstone::store::{Envelope, JobFilter, JobState, JobView, Store, StoreOptions};
use std::collections::{BTreeMap, HashSet};
use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

/// Wait until so many jobs of each class are done, showing them as they finish
#[derive(Parser)]
struct Options {
    /// What to wait for, as `HashFile=20`
    #[arg(required = true, value_parser = expected, value_name = "CLASS=N")]
    expected: Vec<(String, usize)>,
    /// The queue's database
    #[arg(
        long,
        env = "DATABASE_URL",
        hide_env_values = true,
        default_value = "sqlite://gritstone.db",
        value_name = "URL"
    )]
    database: String,
    /// Give up after so many seconds without a job that finished
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    patience: u64,
}

fn expected(text: &str) -> Result<(String, usize), String> {
    let (class, count) = text.split_once('=').ok_or("write it as CLASS=N")?;
    let count = count.parse().map_err(|_| format!("{count:?} is no number of jobs"))?;
    Ok((class.to_owned(), count))
}

/// Classes with more jobs than this are counted, not listed.
const LISTED: usize = 10;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let store = Store::open(&options.database, StoreOptions::default())?;
    store.check_schema().await?;
    let mut watch = Watch { expected: options.expected, seen: HashSet::new(), jobs: BTreeMap::new() };
    let mut progress = Progress::new();
    let mut last_news = Instant::now();
    loop {
        let looked = Instant::now();
        let news = watch.look(&store).await?;
        for job in &news {
            last_news = Instant::now();
            if job.state == JobState::Failed {
                progress.clear();
                let why = job.error.as_ref().map_or("", |error| error.message.as_str());
                bail!("{} (job {}) failed: {why}", job.class, job.job_id);
            }
            if watch.is_listed(&job.class) {
                progress.line(watch.seconds(), &described(job));
            }
        }
        if !news.is_empty() {
            progress.counts(watch.seconds(), &watch.counts());
        }
        if watch.is_done() {
            progress.clear();
            println!("{}", table(&watch));
            return Ok(());
        }
        if last_news.elapsed() > Duration::from_secs(options.patience) {
            progress.clear();
            bail!("no job finished for {} s; done so far: {}", options.patience, watch.counts());
        }
        // A large queue takes a while to read: not more than a fifth of the time goes into that.
        tokio::time::sleep((looked.elapsed() * 4).max(Duration::from_millis(100))).await;
    }
}

/// What was seen so far.
struct Watch {
    expected: Vec<(String, usize)>,
    seen: HashSet<i64>,
    jobs: BTreeMap<String, Vec<JobView>>,
}

impl Watch {
    /// Jobs that have ended since the last look.
    async fn look(&mut self, store: &Store) -> anyhow::Result<Vec<JobView>> {
        let mut session = store.session().await?;
        let mut news = Vec::new();
        for state in [JobState::Finished, JobState::Failed] {
            let mut filter = JobFilter { state: Some(state), limit: 1_000, ..JobFilter::default() };
            loop {
                let page = session.jobs(&filter).await?;
                news.extend(page.jobs.into_iter().filter(|job| self.seen.insert(job.job_id)));
                match page.next {
                    Some(next) => filter.after = Some(next),
                    None => break,
                }
            }
        }
        news.sort_by_key(|job| job.finished_at);
        for job in &news {
            self.jobs.entry(job.class.clone()).or_default().push(job.clone());
        }
        Ok(news)
    }

    /// From the first job's enqueuing to the latest end.
    fn seconds(&self) -> f64 {
        seconds(self.jobs.values().flatten())
    }

    fn done(&self, class: &str) -> &[JobView] {
        self.jobs.get(class).map_or(&[], Vec::as_slice)
    }

    fn is_listed(&self, class: &str) -> bool {
        self.expected.iter().all(|(name, count)| name != class || *count <= LISTED)
    }

    fn is_done(&self) -> bool {
        self.expected.iter().all(|(class, count)| self.done(class).len() >= *count)
    }

    fn counts(&self) -> String {
        let bulk = self.expected.iter().filter(|(_, count)| *count > LISTED);
        bulk.map(|(class, count)| format!("{class} {}/{count}", self.done(class).len())).collect::<Vec<_>>().join("  ")
    }
}

/// Runs before the one that ended well.
fn retries(job: &JobView) -> u32 {
    job.envelope.as_deref().and_then(|text| Envelope::parse(text).ok()).map_or(0, |envelope| envelope.executions())
}

/// How long after it was enqueued the job was to run; a retry's wait doesn't count.
fn delay(job: &JobView) -> Option<Duration> {
    let due = job.scheduled_at.filter(|_| retries(job) == 0)?;
    Duration::try_from(due.duration_since(job.created_at)).ok().filter(|delay| *delay > Duration::from_millis(1))
}

/// From the first one's enqueuing to the last one's end, by the database's clock.
fn seconds<'j>(jobs: impl Iterator<Item = &'j JobView> + Clone) -> f64 {
    let first = jobs.clone().map(|job| job.created_at).min();
    let last = jobs.filter_map(|job| job.finished_at).max();
    first.zip(last).map_or(0.0, |(first, last)| last.duration_since(first).as_secs_f64())
}

fn described(job: &JobView) -> String {
    let mut text = format!("{} done", job.class);
    if retries(job) > 0 {
        text += &format!(", in run {}", retries(job) + 1);
    }
    if let Some(delay) = delay(job) {
        text += &format!(", {:.0} s after it was enqueued as asked", delay.as_secs_f64());
    }
    if let Some(key) = &job.concurrency_key {
        text += &format!(", alone under {key}");
    }
    text
}

fn table(watch: &Watch) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(["class", "done", "retried", "scheduled", "limited", "seconds"]);
    let mut all: Vec<&JobView> = Vec::new();
    for (class, _) in &watch.expected {
        let jobs: Vec<&JobView> = watch.done(class).iter().collect();
        table.add_row(row(class, &jobs));
        all.extend(jobs);
    }
    table.add_row(row("all", &all));
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn row(name: &str, jobs: &[&JobView]) -> Vec<String> {
    let count = |is: &dyn Fn(&JobView) -> bool| jobs.iter().filter(|job| is(job)).count().to_string();
    vec![
        name.to_owned(),
        jobs.len().to_string(),
        count(&|job| retries(job) > 0),
        count(&|job| delay(job).is_some()),
        count(&|job| job.concurrency_key.is_some()),
        format!("{:.1}", seconds(jobs.iter().copied())),
    ]
}

/// Lines, and on a terminal a last one that is written over.
struct Progress {
    terminal: bool,
}

impl Progress {
    fn new() -> Self {
        Progress { terminal: std::io::stdout().is_terminal() }
    }

    fn line(&mut self, seconds: f64, text: &str) {
        self.clear();
        println!("{seconds:6.1} s  {text}");
    }

    fn counts(&mut self, seconds: f64, text: &str) {
        if text.is_empty() {
            return;
        }
        if self.terminal {
            print!("\r\x1b[2K{seconds:6.1} s  {text}");
            // A progress line that can't be shown is no reason to stop.
            let _ = std::io::stdout().flush();
        } else {
            self.line(seconds, text);
        }
    }

    fn clear(&mut self) {
        if self.terminal {
            print!("\r\x1b[2K");
        }
    }
}
