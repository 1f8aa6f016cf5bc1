//! What waits for workers and what those that there are have done, in few cheap queries: for whoever decides how many there should be.

use crate::error::Error;
use crate::session::Session;
use crate::sql::{Value, values};
use jiff::Timestamp;
use std::collections::HashSet;
use std::time::Duration;

/// So many rows of a queue are counted at a look, if there are few queues; of very many queues, fewer of each.
const COUNTED: u64 = 10_000;
/// And of all queues together, about: an index gives some millions in a second.
const COUNTED_IN_ALL: u64 = 20_000;
/// The fewest of each.
const COUNTED_AT_LEAST: u64 = 100;
/// How many due jobs are looked at: where more are due, more workers don't make them ready sooner.
const DUE: i64 = 1_000;
/// How many queues one statement counts on MySQL, which is told each.
const QUEUES_A_STATEMENT: usize = 100;

/// The ready jobs of a queue that isn't paused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueBacklog {
    /// Its name.
    pub queue: String,
    /// How many can be claimed.
    pub ready: u64,
    /// False when there are more than were counted.
    pub exact: bool,
    /// How long the oldest has been waiting, of the first ones of the most and of the least urgent priority.
    pub oldest: Duration,
}

/// Jobs of a queue and class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassBacklog {
    /// The queue.
    pub queue: String,
    /// The class.
    pub class: String,
    /// How many.
    pub jobs: u64,
}

/// A worker process of a pod, and what it has done since it started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerLoad {
    /// The process's row.
    pub process_id: i64,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's UID.
    pub pod_uid: String,
    /// Jobs in its hands.
    pub claimed: u64,
    /// Runs that ended: jobs done, and jobs failed for good.
    pub ended: u64,
    /// What all its runs took together.
    pub busy: Duration,
    /// Claims nothing at present.
    pub cordoned: bool,
}

impl Session<'_> {
    /// The queues that aren't paused and have ready jobs, by name. Each is counted up to a cap; [`ready_in`](Self::ready_in) counts on.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn backlog(&mut self) -> Result<Vec<QueueBacklog>, Error> {
        let paused: HashSet<String> = self.paused_queues().await?.into_iter().collect();
        let mut names = self.names("solid_queue_ready_executions", None).await?;
        names.retain(|name| !paused.contains(name));
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let cap = (COUNTED_IN_ALL / names.len() as u64).clamp(COUNTED_AT_LEAST, COUNTED);
        let mut backlog = Vec::with_capacity(names.len());
        for names in names.chunks(QUEUES_A_STATEMENT) {
            // The first of the lowest and of the highest number: there is an index for both, and none for the oldest of all.
            let first = |order: &str| {
                format!(
                    "(select min(o.created_at) from solid_queue_ready_executions o where o.job_id = \
                     (select e.job_id from solid_queue_ready_executions e where e.queue_name = ? and e.priority = \
                     (select {order}(p.priority) from solid_queue_ready_executions p where p.queue_name = ?) order by e.job_id limit 1))"
                )
            };
            let one = format!(
                "select ?, (select count(*) from (select 1 as one from solid_queue_ready_executions where queue_name = ? limit ?) counted), \
                 {}, {}",
                first("min"),
                first("max")
            );
            let sql = vec![one.as_str(); names.len()].join(" union all ");
            let mut values: Vec<Value<'_>> = Vec::with_capacity(names.len() * 7);
            for name in names {
                values.extend(values![name, name, cap as i64 + 1, name, name, name, name]);
            }
            let now = self.now().await?;
            for row in self.query(&sql, &values).await? {
                let counted = row.int(1)?.max(0) as u64;
                let oldest = row.opt_time(2)?.into_iter().chain(row.opt_time(3)?).min();
                // Claimed between one statement and the next.
                if counted > 0 {
                    let (ready, exact) = (counted.min(cap), counted <= cap);
                    backlog.push(QueueBacklog { queue: row.text(0)?, ready, exact, oldest: age(oldest, now) });
                }
            }
        }
        Ok(backlog)
    }

    /// How many jobs of a queue are ready, at most `cap`. A million takes a second or so.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn ready_in(&mut self, queue: &str, cap: u64) -> Result<u64, Error> {
        let sql = "select count(*) from (select 1 as one from solid_queue_ready_executions where queue_name = ? limit ?) counted";
        let row = self.query_one(sql, &values![queue, cap as i64]).await?;
        Ok(row.map_or(Ok(0), |row| row.int(0))?.max(0) as u64)
    }

    /// Ready jobs of these classes in these queues, at most `cap` of them, by queue and class. Where none is found all rows of the queues are
    /// looked at, and their jobs': 100,000 take a second or so.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn ready_of_classes(
        &mut self,
        queues: &[String],
        classes: &[String],
        cap: u64,
    ) -> Result<Vec<ClassBacklog>, Error> {
        let sql = "select queue_name, class_name, count(*) from (\
                     select r.queue_name, j.class_name from solid_queue_ready_executions r \
                     join solid_queue_jobs j on j.id = r.job_id where r.queue_name in ? and j.class_name in ? limit ?) counted \
                   group by queue_name, class_name order by queue_name, class_name";
        self.by_class(sql, &values![queues, classes, cap as i64]).await
    }

    /// Scheduled jobs that are due within `soon`, overdue ones included, by queue and class; the first thousand.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn due_within(&mut self, soon: Duration) -> Result<Vec<ClassBacklog>, Error> {
        let sql = "select s.queue_name, j.class_name, count(*) from (\
                     select job_id, queue_name from solid_queue_scheduled_executions where scheduled_at <= ? \
                     order by scheduled_at, priority, job_id limit ?) s \
                   join solid_queue_jobs j on j.id = s.job_id \
                   where s.queue_name not in (select queue_name from solid_queue_pauses) \
                   group by s.queue_name, j.class_name order by s.queue_name, j.class_name";
        self.by_class(sql, &[Value::now_plus(soon), DUE.into()]).await
    }

    async fn by_class(&mut self, sql: &str, values: &[Value<'_>]) -> Result<Vec<ClassBacklog>, Error> {
        let rows = self.query(sql, values).await?;
        let read = |row: &crate::sql::Row| {
            Ok(ClassBacklog { queue: row.text(0)?, class: row.text(1)?, jobs: row.int(2)?.max(0) as u64 })
        };
        rows.iter().map(read).collect()
    }

    /// The workers of a Kubernetes cluster that are on the list of processes, whether they are alive or not.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn workers_of(&mut self, cluster_id: &str) -> Result<Vec<WorkerLoad>, Error> {
        let sql = "select g.process_id, g.namespace, g.pod_uid, \
                   (select count(*) from solid_queue_claimed_executions c where c.process_id = g.process_id), \
                   g.done + g.failed, g.busy_micros, case when g.cordoned_until > ? then 1 else 0 end \
                   from gritstone_processes g join solid_queue_processes p on p.id = g.process_id \
                   where p.kind = 'Worker' and g.cluster_id = ? and g.pod_uid is not null and g.namespace is not null \
                   order by g.process_id";
        let rows = self.query(sql, &[Value::NOW, cluster_id.into()]).await?;
        rows.iter()
            .map(|row| {
                Ok(WorkerLoad {
                    process_id: row.int(0)?,
                    namespace: row.text(1)?,
                    pod_uid: row.text(2)?,
                    claimed: row.int(3)?.max(0) as u64,
                    ended: row.int(4)?.max(0) as u64,
                    busy: Duration::from_micros(row.int(5)?.max(0) as u64),
                    cordoned: row.int(6)? == 1,
                })
            })
            .collect()
    }
}

fn age(since: Option<Timestamp>, now: Timestamp) -> Duration {
    since.and_then(|since| now.duration_since(since).try_into().ok()).unwrap_or_default()
}
