//! New jobs.

use super::dispatch::DueJob;
use super::prepare::Prepared;
use crate::error::Error;
use crate::job::{Due, EnqueueError, Enqueued, NewJob, Placed};
use crate::session::{Session, transaction, until_no_conflict};
use crate::sql::{Dialect, Row, Value, values};
use crate::store::Store;
use std::collections::{BTreeSet, HashMap};

/// Rows in one `insert`: MySQL takes 65,535 values a statement, SQLite 32,766.
pub(super) const CHUNK: usize = 1_000;

/// What the names of ids that callers chose begin with.
const UNIQUE_ID: &str = "id:";

fn unique_name(id: &str) -> String {
    format!("{UNIQUE_ID}{id}")
}

/// Says, once the caller's transaction has committed, that there is new work. Dropping it says nothing: workers then
/// find the jobs at their next poll.
#[must_use = "call `send` after the transaction committed, or workers notice the jobs only at their next poll"]
pub struct WakeAfterCommit {
    store: Store,
    queues: BTreeSet<String>,
}

impl WakeAfterCommit {
    /// Wakes the workers of the jobs' queues.
    pub fn send(self) {
        if !self.queues.is_empty() {
            self.store.wake(self.queues);
        }
    }
}

impl Store {
    /// Enqueues jobs, all or none, in a transaction of its own, and wakes workers. The result stands in the order of `jobs`.
    ///
    /// # Errors
    /// [`EnqueueError`]; then nothing was written.
    pub async fn enqueue(&self, jobs: &[NewJob]) -> Result<Vec<Enqueued>, EnqueueError> {
        let enqueued = self.session().await?.enqueue(jobs).await?;
        self.wake_after_commit(&enqueued).send();
        Ok(enqueued)
    }

    /// Enqueues jobs inside the caller's own transaction: they exist if and when it commits. Then call
    /// [`WakeAfterCommit::send`].
    ///
    /// # Errors
    /// [`EnqueueError`]; the caller's transaction goes on without the jobs.
    pub async fn enqueue_within<'c>(
        &self,
        connection: impl Into<crate::Caller<'c>>,
        jobs: &[NewJob],
    ) -> Result<(Vec<Enqueued>, WakeAfterCommit), EnqueueError> {
        let enqueued = self.within(connection).await?.enqueue(jobs).await?;
        let wake = self.wake_after_commit(&enqueued);
        Ok((enqueued, wake))
    }

    fn wake_after_commit(&self, enqueued: &[Enqueued]) -> WakeAfterCommit {
        let ready = enqueued.iter().filter(|enqueued| enqueued.placed == Placed::Ready);
        WakeAfterCommit { store: self.clone(), queues: ready.map(|enqueued| enqueued.queue.clone()).collect() }
    }
}

impl Session<'_> {
    /// Enqueues jobs, all or none; what they leave open, their classes' defaults decide. Wakes nobody: [`Store::enqueue`] does.
    ///
    /// # Errors
    /// [`EnqueueError`]; then nothing was written.
    pub async fn enqueue(&mut self, jobs: &[NewJob]) -> Result<Vec<Enqueued>, EnqueueError> {
        if jobs.is_empty() {
            return Ok(Vec::new());
        }
        let classes = self.class_defaults().await?;
        let prepared = Prepared::all(jobs, &classes)?;
        if self.dialect != Dialect::Postgres || !prepared.iter().all(Prepared::is_plain) {
            return Ok(transaction!(self, self.enqueue_script(&prepared).await)?);
        }
        if prepared.len() <= crate::postgres::enqueue::CHUNK && !self.is_borrowed() {
            return Ok(until_no_conflict!(self, self.enqueue_on_postgres(&prepared).await)?);
        }
        // Inside the caller's transaction the savepoint keeps an error from spoiling it.
        Ok(transaction!(self, self.enqueue_on_postgres(&prepared).await)?)
    }

    async fn enqueue_on_postgres(&mut self, prepared: &[Prepared<'_>]) -> Result<Vec<Enqueued>, Error> {
        match self.postgres() {
            Some(postgres) => crate::postgres::enqueue::enqueue(postgres, prepared).await,
            None => Err(Error::Other("this session is not PostgreSQL's".into())),
        }
    }

    pub(super) async fn enqueue_script(&mut self, prepared: &[Prepared<'_>]) -> Result<Vec<Enqueued>, Error> {
        let taken = self.take_ids(prepared).await?;
        let fresh: Vec<&Prepared<'_>> = prepared.iter().filter(|p| !taken.contains_key(&p.id)).collect();
        self.declare_limits(fresh.iter().filter_map(|p| p.limit.as_deref())).await?;
        let mut written: HashMap<String, (i64, bool)> = HashMap::with_capacity(fresh.len());
        for chunk in fresh.chunks(CHUNK) {
            self.insert_jobs(chunk, &mut written).await?;
        }
        let job_id = |p: &Prepared<'_>| written.get(&p.id).map(|(id, _)| *id).unwrap_or_default();
        let is_due = |p: &Prepared<'_>| written.get(&p.id).is_some_and(|(_, due)| *due);
        let members: Vec<(i64, i64)> =
            fresh.iter().filter_map(|p| p.job.batch.as_ref().map(|batch| (batch.id, job_id(p)))).collect();
        self.join_batches(&members).await?;
        self.note_ids(&fresh, job_id).await?;
        self.note_attempts(&fresh, job_id).await?;
        let due: Vec<DueJob> = fresh
            .iter()
            .filter(|p| is_due(p))
            .map(|p| DueJob { job_id: job_id(p), concurrency_key: p.limit.as_ref().map(|limit| limit.key.clone()) })
            .collect();
        let places = self.place(&due).await?;
        let placed: HashMap<i64, Placed> = due.iter().map(|job| job.job_id).zip(places).collect();
        let later: Vec<i64> = fresh.iter().filter(|p| !is_due(p)).map(|p| job_id(p)).collect();
        self.insert_scheduled(&later).await?;
        // A job that its limit dropped is gone, and so is its claim on its id.
        let dropped: Vec<i64> = placed.iter().filter(|(_, p)| **p == Placed::Discarded).map(|(id, _)| *id).collect();
        if !dropped.is_empty() {
            self.execute("delete from gritstone_unique_keys where job_id in ?", &values![&dropped]).await?;
        }
        Ok(prepared
            .iter()
            .map(|p| {
                let (job_id, placed) = match taken.get(&p.id) {
                    Some(existing) => (*existing, Placed::Duplicate),
                    None => (job_id(p), placed.get(&job_id(p)).copied().unwrap_or(Placed::Scheduled)),
                };
                Enqueued { job_id, id: p.id.clone(), queue: p.queue.to_string(), placed }
            })
            .collect())
    }

    /// Takes the ids that callers chose. Those that a job has already come back with that job.
    ///
    /// A second enqueuer of an id waits here until the first one has committed or given up.
    async fn take_ids(&mut self, prepared: &[Prepared<'_>]) -> Result<HashMap<String, i64>, Error> {
        let mut chosen: Vec<&str> = prepared.iter().filter(|p| p.job.id.is_some()).map(|p| p.id.as_str()).collect();
        // Sorted, so that two with the same ids lock them in one order.
        chosen.sort_unstable();
        if let Some(twice) = chosen.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Error::Data(format!("the id {:?} is given to two jobs of one call", twice[0])));
        }
        let (tail, lock) = (self.dialect.unless_there("job_id"), self.dialect.for_update(false));
        let mut taken = HashMap::new();
        for chunk in chosen.chunks(CHUNK) {
            let names: Vec<String> = chunk.iter().map(|id| unique_name(id)).collect();
            let rows = vec!["(?, 0, ?)"; names.len()].join(", ");
            let sql = format!("insert into gritstone_unique_keys (name, job_id, created_at) values {rows}{tail}");
            let values: Vec<Value<'_>> = names.iter().flat_map(|name| [name.into(), Value::NOW]).collect();
            self.execute(&sql, &values).await?;
            let sql = format!("select name, job_id from gritstone_unique_keys where name in ? order by name{lock}");
            let mut found = HashMap::new();
            for row in self.query(&sql, &values![&names]).await? {
                if row.int(1)? != 0 {
                    found.insert(row.int(1)?, row.text(0)?);
                }
            }
            if found.is_empty() {
                continue;
            }
            let job_ids: Vec<i64> = found.keys().copied().collect();
            let sql = format!("select id from solid_queue_jobs where id in ?{}", self.latest());
            for row in self.query(&sql, &values![&job_ids]).await? {
                let job_id = row.int(0)?;
                if let Some(id) = found.get(&job_id).and_then(|name| name.strip_prefix(UNIQUE_ID)) {
                    taken.insert(id.to_owned(), job_id);
                }
            }
        }
        Ok(taken)
    }

    /// Notes which jobs the ids that callers chose have become.
    async fn note_ids(&mut self, fresh: &[&Prepared<'_>], job_id: impl Fn(&Prepared<'_>) -> i64) -> Result<(), Error> {
        let mut chosen: Vec<&&Prepared<'_>> = fresh.iter().filter(|p| p.job.id.is_some()).collect();
        chosen.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        let tail = self.dialect.upsert("name", &["job_id"]);
        for chunk in chosen.chunks(CHUNK) {
            let rows = vec!["(?, ?, ?)"; chunk.len()].join(", ");
            let sql = format!("insert into gritstone_unique_keys (name, job_id, created_at) values {rows}{tail}");
            let values: Vec<Value<'_>> =
                chunk.iter().flat_map(|p| [unique_name(&p.id).into(), job_id(p).into(), Value::NOW]).collect();
            self.execute(&sql, &values).await?;
        }
        Ok(())
    }

    /// Notes how many runs jobs have whose enqueuers said so.
    async fn note_attempts(
        &mut self,
        fresh: &[&Prepared<'_>],
        job_id: impl Fn(&Prepared<'_>) -> i64,
    ) -> Result<(), Error> {
        let own: Vec<(i64, u32)> = fresh.iter().filter_map(|p| Some((job_id(p), p.attempts?))).collect();
        for chunk in own.chunks(CHUNK) {
            let rows = vec!["(?, ?)"; chunk.len()].join(", ");
            let sql = format!("insert into gritstone_jobs (job_id, attempts) values {rows}");
            let values: Vec<Value<'_>> =
                chunk.iter().flat_map(|(job_id, attempts)| [(*job_id).into(), i64::from(*attempts).into()]).collect();
            self.execute(&sql, &values).await?;
        }
        Ok(())
    }

    /// Writes rows of `solid_queue_jobs` and notes their ids, and whether they are due, under their own ids.
    async fn insert_jobs(
        &mut self,
        chunk: &[&Prepared<'_>],
        written: &mut HashMap<String, (i64, bool)>,
    ) -> Result<(), Error> {
        let batches = self.features.batches;
        let columns = if batches { ", batch_id" } else { "" };
        let row = if batches { "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?)" } else { "(?, ?, ?, ?, ?, ?, ?, ?, ?)" };
        let sql = format!(
            "insert into solid_queue_jobs (queue_name, class_name, arguments, priority, active_job_id, scheduled_at, \
             concurrency_key, created_at, updated_at{columns}) values {}",
            vec![row; chunk.len()].join(", ")
        );
        let mut values = Vec::with_capacity(chunk.len() * 10);
        for p in chunk {
            values.extend(values![&*p.queue, &p.job.class, &p.envelope, p.priority, &p.id]);
            values.push(match p.job.due {
                Due::Now => Value::NOW,
                Due::At(time) => time.into(),
                Due::After(delay) => Value::now_plus(delay),
            });
            values.push(p.limit.as_ref().map(|limit| limit.key.as_str()).into());
            values.extend([Value::NOW, Value::NOW]);
            if batches {
                values.push(p.job.batch.as_ref().map(|batch| batch.id).into());
            }
        }
        let rows = if self.dialect == Dialect::MySql {
            self.insert_and_read_back(&sql, &values, chunk).await?
        } else {
            values.push(Value::NOW);
            let returning = "returning id, active_job_id, case when scheduled_at <= ? then 1 else 0 end";
            self.query(&format!("{sql} {returning}"), &values).await?
        };
        for row in rows {
            written.insert(row.text(1)?, (row.int(0)?, row.int(2)? == 1));
        }
        match chunk.iter().all(|p| written.contains_key(&p.id)) {
            true => Ok(()),
            false => Err(Error::Other("jobs that were just written can't be read back".into())),
        }
    }

    /// For MySQL, which has no RETURNING. Ids of one statement are consecutive only as long as nobody sets
    /// auto_increment_increment, so the rows are read back by their own ids, which retries by Active Job repeat: hence the floor.
    async fn insert_and_read_back(
        &mut self,
        insert: &str,
        values: &[Value<'_>],
        chunk: &[&Prepared<'_>],
    ) -> Result<Vec<Row>, Error> {
        let floor = self.query_one("select coalesce(max(id), 0) from solid_queue_jobs", &[]).await?;
        let floor = floor.map_or(Ok(0), |row| row.int(0))?;
        self.execute(insert, values).await?;
        let ids: Vec<String> = chunk.iter().map(|p| p.id.clone()).collect();
        self.query(
            "select id, active_job_id, case when scheduled_at <= ? then 1 else 0 end from solid_queue_jobs \
             where active_job_id in ? and id > ?",
            &[Value::NOW, (&ids).into(), floor.into()],
        )
        .await
    }
}
