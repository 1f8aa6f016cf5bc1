//! Jobs that are waiting for a worker that isn't there.
//!
//! Workers say in the list of processes which queues and classes they claim; a job that none of them would claim waits for ever, and
//! nothing else tells.

use super::queues::QueueState;
use super::selector::Selector;
use crate::error::Error;
use crate::job::SHELL_CLASS;
use crate::session::Session;
use crate::sql::{Value, values};
use serde::Deserialize;
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

/// Jobs of a queue that no live worker would claim.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct UnservedJobs {
    /// How many are ready, or will be within a minute.
    pub jobs: u64,
    /// False when there may be more: only the first [`LOOKED_AT`] ready jobs of a queue are looked at, those that would be claimed first.
    pub exact: bool,
    /// Their classes, the commonest first, three at most.
    pub classes: Vec<String>,
    /// What is missing.
    pub reason: UnservedReason,
}

/// What is missing for jobs to be claimed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UnservedReason {
    /// Any worker at all.
    NoWorker,
    /// A worker that serves the queue.
    Queue,
    /// A worker of the queue that runs these classes.
    Class,
    /// A worker of the queue that may run jobs of class `Command`.
    Commands,
}

/// So many rows of a queue are looked at: enough to see what waits at its head, few enough for any queue's length.
const LOOKED_AT: u64 = 5_000;

/// Jobs that are due so soon count like ready ones.
const SOON: Duration = Duration::from_secs(60);

/// How many classes are named.
const NAMED: usize = 3;

/// Rails' own `process_alive_threshold`.
const RAILS_ALIVE: Duration = Duration::from_secs(300);

/// What a worker in the list says of itself, as far as it decides what it claims.
#[derive(Debug, Default, Deserialize)]
struct Says {
    #[serde(default)]
    queues: String,
    classes: Option<HashSet<String>>,
    #[serde(default)]
    allow_commands: bool,
}

/// A live worker.
struct Claimer {
    queues: Vec<Selector>,
    /// None is every class but `Command`.
    classes: Option<HashSet<String>>,
    commands: bool,
    /// One of Rails', which leaves nothing alone.
    of_rails: bool,
}

impl Claimer {
    fn new(metadata: Option<&str>, of_rails: bool) -> Self {
        let says: Says = metadata.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        // Rails takes none at all for every queue.
        let queues = if says.queues.trim().is_empty() { "*" } else { &says.queues };
        Claimer {
            queues: queues.split(',').map(Selector::from).collect(),
            classes: says.classes.filter(|_| !of_rails),
            commands: says.allow_commands || of_rails,
            of_rails,
        }
    }

    fn serves(&self, queue: &str) -> bool {
        match self.of_rails {
            true => self.queues.iter().any(|selector| selector.includes(queue)),
            false => Selector::any_serves(&self.queues, queue, self.commands),
        }
    }
}

/// What all workers of a queue together claim.
struct Served<'w> {
    anybody: bool,
    every_class: bool,
    classes: HashSet<&'w str>,
    commands: bool,
}

impl<'w> Served<'w> {
    fn of(workers: &'w [Claimer], queue: &str) -> Self {
        let mut served = Served { anybody: false, every_class: false, classes: HashSet::new(), commands: false };
        for worker in workers.iter().filter(|worker| worker.serves(queue)) {
            served.anybody = true;
            served.commands |= worker.commands;
            match &worker.classes {
                None => served.every_class = true,
                Some(classes) => served.classes.extend(classes.iter().map(String::as_str)),
            }
        }
        served
    }

    fn is_all(&self) -> bool {
        self.every_class && self.commands
    }

    fn claims(&self, class: &str) -> bool {
        if class == SHELL_CLASS { self.commands } else { self.every_class || self.classes.contains(class) }
    }
}

impl Session<'_> {
    /// Of these queues those with jobs that no live worker would claim, by name. Pauses don't count: they end.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn unserved(&mut self, queues: &[QueueState]) -> Result<BTreeMap<String, UnservedJobs>, Error> {
        let workers = self.claimers().await?;
        let mut soon: BTreeMap<String, BTreeMap<String, u64>> = BTreeMap::new();
        for (queue, class, jobs) in self.due_soon().await? {
            soon.entry(queue).or_default().insert(class, jobs);
        }
        let mut unserved = BTreeMap::new();
        for queue in queues {
            let served = Served::of(&workers, &queue.name);
            let soon = soon.remove(&queue.name).unwrap_or_default();
            if served.is_all() || queue.ready == 0 && soon.is_empty() {
                continue;
            }
            let mut waiting = soon;
            let mut looked_at = 0;
            for (class, jobs) in self.classes_at_the_head(&queue.name).await? {
                looked_at += jobs;
                *waiting.entry(class).or_default() += jobs;
            }
            let beyond = queue.ready.saturating_sub(looked_at);
            if let Some(mut found) = unclaimed(&served, waiting, workers.is_empty()) {
                match served.anybody {
                    // None of those that were not looked at is claimed either.
                    false => found.jobs += beyond,
                    true => found.exact = beyond == 0,
                }
                unserved.insert(queue.name.clone(), found);
            }
        }
        Ok(unserved)
    }

    /// The workers that are alive.
    async fn claimers(&mut self) -> Result<Vec<Claimer>, Error> {
        let threshold = self.settings().await?.alive_threshold;
        let sql = "select p.metadata, g.process_id from solid_queue_processes p \
                   left join gritstone_processes g on g.process_id = p.id where p.kind = 'Worker' \
                   and (g.process_id is not null and p.last_heartbeat_at > ? or g.process_id is null and p.last_heartbeat_at > ?)";
        let rows = self.query(sql, &[Value::now_minus(threshold), Value::now_minus(RAILS_ALIVE)]).await?;
        rows.iter().map(|row| Ok(Claimer::new(row.opt_text(0)?.as_deref(), row.opt_int(1)?.is_none()))).collect()
    }

    /// Scheduled jobs that are due soon: queue, class, how many.
    async fn due_soon(&mut self) -> Result<Vec<(String, String, u64)>, Error> {
        let sql = "select s.queue_name, j.class_name, count(*) from (\
                     select job_id, queue_name from solid_queue_scheduled_executions where scheduled_at <= ? \
                     order by scheduled_at, priority, job_id limit ?) s \
                   join solid_queue_jobs j on j.id = s.job_id group by s.queue_name, j.class_name";
        let rows = self.query(sql, &[Value::now_plus(SOON), (LOOKED_AT as i64).into()]).await?;
        rows.iter().map(|row| Ok((row.text(0)?, row.text(1)?, row.int(2)?.max(0) as u64))).collect()
    }

    /// The classes of the ready jobs that would be claimed first, and how many there are of each.
    async fn classes_at_the_head(&mut self, queue: &str) -> Result<Vec<(String, u64)>, Error> {
        let sql = "select j.class_name, count(*) from (\
                     select job_id from solid_queue_ready_executions where queue_name = ? \
                     order by priority, job_id limit ?) r \
                   join solid_queue_jobs j on j.id = r.job_id group by j.class_name";
        let rows = self.query(sql, &values![queue, LOOKED_AT as i64]).await?;
        rows.iter().map(|row| Ok((row.text(0)?, row.int(1)?.max(0) as u64))).collect()
    }
}

/// Those of the waiting jobs, by class, that are not served.
fn unclaimed(served: &Served<'_>, waiting: BTreeMap<String, u64>, no_worker: bool) -> Option<UnservedJobs> {
    let mut classes: Vec<(String, u64)> = waiting.into_iter().filter(|(class, _)| !served.claims(class)).collect();
    if classes.is_empty() {
        return None;
    }
    classes.sort_by_key(|(_, jobs)| std::cmp::Reverse(*jobs));
    let reason = match classes.as_slice() {
        _ if no_worker => UnservedReason::NoWorker,
        _ if !served.anybody => UnservedReason::Queue,
        [(class, _)] if class == SHELL_CLASS => UnservedReason::Commands,
        _ => UnservedReason::Class,
    };
    let jobs = classes.iter().map(|(_, jobs)| jobs).sum();
    Some(UnservedJobs {
        jobs,
        exact: true,
        classes: classes.into_iter().take(NAMED).map(|(class, _)| class).collect(),
        reason,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn worker(metadata: serde_json::Value) -> Claimer {
        Claimer::new(Some(&metadata.to_string()), false)
    }

    fn claims(workers: &[Claimer], queue: &str, class: &str) -> bool {
        Served::of(workers, queue).claims(class)
    }

    #[test]
    fn a_worker_claims_what_its_queues_and_classes_say() {
        let workers = [
            worker(json!({"queues": "urgent,mail*,!mail_slow", "classes": ["Mail", "Greet"]})),
            worker(json!({"queues": "reports"})),
        ];
        assert!(claims(&workers, "mail_fast", "Mail") && claims(&workers, "reports", "Any"));
        for (queue, class) in
            [("mail_slow", "Mail"), ("mail_fast", "Report"), ("other", "Mail"), ("reports", "Command")]
        {
            assert!(!claims(&workers, queue, class), "{queue} {class}");
        }
        assert!(!Served::of(&workers, "other").anybody && !Served::of(&workers, "reports").is_all());
    }

    #[test]
    fn workers_of_one_queue_add_up() {
        let mut workers = vec![worker(json!({"queues": "*", "classes": ["A"]})), worker(json!({"queues": "a"}))];
        assert!(claims(&workers, "a", "B") && !claims(&workers, "b", "B"));
        workers.push(worker(json!({"queues": "*", "classes": ["Command"], "allow_commands": true})));
        assert!(Served::of(&workers, "a").is_all() && claims(&workers, "gritstone_commands", "Command"));
        assert!(!claims(&workers, "b", "B"));
    }

    #[test]
    fn rails_workers_claim_whatever_is_on_their_queues() {
        let rails = |metadata: serde_json::Value| [Claimer::new(Some(&metadata.to_string()), true)];
        assert!(Served::of(&rails(json!({"queues": "*"})), "solid_queue_recurring").is_all());
        assert!(claims(&rails(json!({"queues": "a,b*"})), "b1", "Command"));
        assert!(!claims(&rails(json!({"queues": "a,b*"})), "c", "Any"));
        assert!(Served::of(&[Claimer::new(None, true)], "any").is_all());
    }

    #[test]
    fn what_is_missing_is_told() {
        let waiting =
            |classes: &[(&str, u64)]| classes.iter().map(|(class, jobs)| ((*class).to_owned(), *jobs)).collect();
        let reason = |workers: &[Claimer], classes: &[(&str, u64)]| {
            unclaimed(&Served::of(workers, "q"), waiting(classes), workers.is_empty()).map(|found| found.reason)
        };
        let all = [worker(json!({"queues": "*"}))];
        assert_eq!(reason(&[], &[("A", 1)]), Some(UnservedReason::NoWorker));
        assert_eq!(reason(&[worker(json!({"queues": "x"}))], &[("A", 1)]), Some(UnservedReason::Queue));
        assert_eq!(reason(&all, &[("A", 1), ("Command", 1)]), Some(UnservedReason::Commands));
        assert_eq!(reason(&all, &[("A", 1)]), None);
        let some = [worker(json!({"queues": "*", "classes": ["A"]}))];
        let counts = [("A", 9), ("B", 1), ("C", 3), ("Command", 2), ("D", 1)];
        let found = unclaimed(&Served::of(&some, "q"), waiting(&counts), false).unwrap();
        assert_eq!((found.jobs, found.reason), (7, UnservedReason::Class));
        assert_eq!(found.classes, ["C", "Command", "B"]);
    }
}
