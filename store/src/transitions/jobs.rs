//! Looking at jobs.

use crate::error::Error;
use crate::job::JobError;
use crate::session::Session;
use crate::sql::{Row, Value, values};
use jiff::Timestamp;
use std::collections::HashMap;

/// The state of a job: which table it has a row in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum JobState {
    /// Can be claimed.
    Ready,
    /// Waits for its time.
    Scheduled,
    /// In a worker's hands.
    Claimed,
    /// Waits for a slot of its limit.
    Blocked,
    /// Failed for good.
    Failed,
    /// Done.
    Finished,
    /// In none of the tables: something outside deleted its execution.
    Lost,
}

impl JobState {
    /// All states that a filter can ask for.
    pub const ALL: [JobState; 6] = [
        JobState::Ready,
        JobState::Scheduled,
        JobState::Claimed,
        JobState::Blocked,
        JobState::Failed,
        JobState::Finished,
    ];

    /// Its name, in lower case.
    pub fn name(self) -> &'static str {
        match self {
            JobState::Ready => "ready",
            JobState::Scheduled => "scheduled",
            JobState::Claimed => "claimed",
            JobState::Blocked => "blocked",
            JobState::Failed => "failed",
            JobState::Finished => "finished",
            JobState::Lost => "lost",
        }
    }

    fn table(self) -> Option<&'static str> {
        match self {
            JobState::Ready => Some("solid_queue_ready_executions"),
            JobState::Scheduled => Some("solid_queue_scheduled_executions"),
            JobState::Claimed => Some("solid_queue_claimed_executions"),
            JobState::Blocked => Some("solid_queue_blocked_executions"),
            JobState::Failed => Some("solid_queue_failed_executions"),
            JobState::Finished | JobState::Lost => None,
        }
    }
}

/// Which jobs to look at.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    /// In this state.
    pub state: Option<JobState>,
    /// On this queue.
    pub queue: Option<String>,
    /// Of this class.
    pub class: Option<String>,
    /// With an id beyond this one; where the last page ended.
    pub after: Option<i64>,
    /// At most so many.
    pub limit: u32,
}

/// Jobs, and where to go on.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct JobPage {
    /// The jobs, by id.
    pub jobs: Vec<JobView>,
    /// Pass it as `after` for the next ones; absent at the end.
    pub next: Option<i64>,
}

/// A job as people see it.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct JobView {
    /// The row's id.
    pub job_id: i64,
    /// The job's own id.
    pub id: Option<String>,
    /// Where it is.
    pub state: JobState,
    /// Its class.
    pub class: String,
    /// Its queue.
    pub queue: String,
    /// Smaller comes first.
    pub priority: i32,
    /// The envelope, as stored.
    #[serde(serialize_with = "as_json")]
    pub envelope: Option<String>,
    /// When it was or is due.
    pub scheduled_at: Option<Timestamp>,
    /// When it was enqueued.
    pub created_at: Timestamp,
    /// When it was done.
    pub finished_at: Option<Timestamp>,
    /// The key of its limit.
    pub concurrency_key: Option<String>,
    /// How often a worker died while running it.
    pub interruptions: u32,
    /// Why it failed.
    pub error: Option<JobError>,
    /// The process that has it.
    pub process_id: Option<i64>,
}

/// Shows the envelope as JSON, not as a text of JSON, where it is one.
fn as_json<S: serde::Serializer>(envelope: &Option<String>, serializer: S) -> Result<S::Ok, S::Error> {
    use serde::Serialize as _;
    match envelope.as_deref().map(serde_json::from_str::<serde_json::Value>) {
        Some(Ok(value)) => value.serialize(serializer),
        _ => envelope.serialize(serializer),
    }
}

const VIEW: &str = "select j.id, j.active_job_id, j.class_name, j.queue_name, j.priority, j.arguments, j.scheduled_at, \
    j.created_at, j.finished_at, j.concurrency_key, g.interruptions, f.error, c.process_id, \
    case when j.finished_at is not null then 'finished' when f.id is not null then 'failed' \
      when c.id is not null then 'claimed' when r.id is not null then 'ready' when b.id is not null then 'blocked' \
      when s.id is not null then 'scheduled' else 'lost' end \
    from solid_queue_jobs j \
    left join gritstone_jobs g on g.job_id = j.id \
    left join solid_queue_failed_executions f on f.job_id = j.id \
    left join solid_queue_claimed_executions c on c.job_id = j.id \
    left join solid_queue_ready_executions r on r.job_id = j.id \
    left join solid_queue_blocked_executions b on b.job_id = j.id \
    left join solid_queue_scheduled_executions s on s.job_id = j.id";

impl Session<'_> {
    /// Jobs that match, by id.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn jobs(&mut self, filter: &JobFilter) -> Result<JobPage, Error> {
        let ids = self.job_ids(filter).await?;
        let full = ids.len() == filter.limit as usize;
        let next = if full { ids.last().copied() } else { None };
        if ids.is_empty() {
            return Ok(JobPage { jobs: Vec::new(), next: None });
        }
        let rows = self.query(&format!("{VIEW} where j.id in ? order by j.id"), &values![&ids]).await?;
        Ok(JobPage { jobs: rows.iter().map(view).collect::<Result<_, _>>()?, next })
    }

    /// The row ids of jobs that match, by id.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn job_ids(&mut self, filter: &JobFilter) -> Result<Vec<i64>, Error> {
        let Some((from, mut values)) = matching(filter) else { return Ok(Vec::new()) };
        values.push(i64::from(filter.limit).into());
        let sql = format!("select j.id {from} order by j.id limit ?");
        self.query(&sql, &values).await?.iter().map(|row| row.int(0)).collect()
    }

    /// How many jobs match, whatever the filter's `limit`.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn count_jobs(&mut self, filter: &JobFilter) -> Result<u64, Error> {
        let Some((from, values)) = matching(filter) else { return Ok(0) };
        let row = self.query_one(&format!("select count(*) {from}"), &values).await?;
        Ok(row.map_or(Ok(0), |row| row.int(0))?.max(0) as u64)
    }

    /// The states of these jobs, of those that are there.
    pub(super) async fn job_states(&mut self, job_ids: &[i64]) -> Result<HashMap<i64, JobState>, Error> {
        let rows = self.query(&format!("{VIEW} where j.id in ?"), &values![job_ids]).await?;
        rows.iter().map(|row| view(row).map(|job| (job.job_id, job.state))).collect()
    }

    /// One job. A number (digits alone) is its row's id; any other text is its own id, and so is what follows `id:`, as in `id:7` for
    /// a job that was given the id 7. Where several rows have the same id (retries by Active Job), the newest.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn job(&mut self, id: &str) -> Result<Option<JobView>, Error> {
        let own = match id.strip_prefix("id:") {
            Some(own) => own,
            // Never both: whoever repeats a command would change another job once the first one is gone.
            None if is_row_id(id) => {
                let Ok(job_id) = id.parse::<i64>() else { return Ok(None) };
                let row = self.query_one(&format!("{VIEW} where j.id = ?"), &values![job_id]).await?;
                return row.as_ref().map(view).transpose();
            }
            None => id,
        };
        let sql = format!("{VIEW} where j.active_job_id = ? order by j.id desc limit 1");
        self.query_one(&sql, &values![own]).await?.as_ref().map(view).transpose()
    }
}

/// Whether [`Session::job`] takes a text for the id of a row.
pub fn is_row_id(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit())
}

/// From where, and under which conditions, a filter's jobs (`j`) are read; none when no job can match.
fn matching(filter: &JobFilter) -> Option<(String, Vec<Value<'_>>)> {
    let mut conditions = vec!["j.id > ?"];
    let mut values = vec![Value::from(filter.after.unwrap_or(0))];
    if let Some(queue) = &filter.queue {
        conditions.push("j.queue_name = ?");
        values.push(queue.into());
    }
    if let Some(class) = &filter.class {
        conditions.push("j.class_name = ?");
        values.push(class.into());
    }
    let from = match filter.state {
        Some(JobState::Finished) => {
            conditions.push("j.finished_at is not null");
            String::new()
        }
        // From the small table: the jobs in a state are few, the finished ones many.
        Some(state) => format!(" join {} e on e.job_id = j.id", state.table()?),
        None => String::new(),
    };
    Some((format!("from solid_queue_jobs j{from} where {}", conditions.join(" and ")), values))
}

fn view(row: &Row) -> Result<JobView, Error> {
    let error = row.opt_text(11)?.map(|text| {
        serde_json::from_str(&text).unwrap_or_else(|_| JobError { message: text, ..JobError::new("", "") })
    });
    let state = row.text(13)?;
    Ok(JobView {
        job_id: row.int(0)?,
        id: row.opt_text(1)?,
        class: row.text(2)?,
        queue: row.text(3)?,
        priority: row.int(4)? as i32,
        envelope: row.opt_text(5)?,
        scheduled_at: row.opt_time(6)?,
        created_at: row.time(7)?,
        finished_at: row.opt_time(8)?,
        concurrency_key: row.opt_text(9)?,
        interruptions: row.opt_int(10)?.unwrap_or(0).max(0) as u32,
        error,
        process_id: row.opt_int(12)?,
        state: JobState::ALL.into_iter().find(|s| s.name() == state).unwrap_or(JobState::Lost),
    })
}
