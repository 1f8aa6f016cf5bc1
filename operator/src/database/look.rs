//! One look at a queue, for all QueueWorkers that it is served by.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use gritstone_store::{ClassBacklog, Error, QueueBacklog, Session, WorkerLoad};
use tokio::time::Instant;

use super::demand::Demand;
use super::share::{Counted, Share, share_out};
use super::user::User;

/// How long a new worker takes to its first claim, about: what is due within that is none too early to be seen to.
pub(crate) const START_UP: Duration = Duration::from_secs(5);
/// A queue that is longer than the usual look counts is counted up to this now and then.
const LONG: u64 = 1_000_000;
/// Jobs of some classes are counted up to this.
const OF_CLASSES: u64 = 10_000;
/// What takes time is done again only after so many times that time: 2 % of one connection.
const REST: u32 = 50;

/// What was seen.
#[derive(Clone, Debug)]
pub(crate) struct Look {
    /// When it began: nothing in it is older.
    pub(crate) at: Instant,
    /// Each QueueWorker's part in what waits.
    pub(crate) shares: HashMap<User, Share>,
    /// The workers of this cluster, those of all QueueWorkers.
    pub(crate) workers: Vec<WorkerLoad>,
}

/// What is remembered from look to look.
#[derive(Debug, Default)]
pub(super) struct Looking {
    long: HashMap<String, Paced<u64>>,
    classes: HashMap<User, Paced<Vec<ClassBacklog>>>,
}

/// A dear answer, and when it may be asked for again.
#[derive(Debug)]
struct Paced<T> {
    answer: T,
    again: Instant,
}

impl Looking {
    /// Looks. Four statements, as a rule, and one for each QueueWorker that claims only some classes.
    pub(super) async fn look(
        &mut self,
        session: &mut Session<'_>,
        cluster_id: &str,
        demands: &BTreeMap<User, Demand>,
    ) -> Result<Look, Error> {
        let at = Instant::now();
        let backlog = session.backlog().await?;
        let due = session.due_within(START_UP).await?;
        let workers = session.workers_of(cluster_id).await?;
        let classes = self.classes(session, &backlog, demands).await?;
        let queues = self.queues(session, backlog).await?;
        let shares = share_out(&Counted { queues, classes, due }, demands);
        Ok(Look { at, shares, workers })
    }

    /// Counts on where the look stopped, if it is time.
    async fn queues(
        &mut self,
        session: &mut Session<'_>,
        backlog: Vec<QueueBacklog>,
    ) -> Result<Vec<(QueueBacklog, bool)>, Error> {
        self.long.retain(|name, _| backlog.iter().any(|queue| queue.queue == *name && !queue.exact));
        let mut queues = Vec::with_capacity(backlog.len());
        for mut queue in backlog {
            if queue.exact {
                queues.push((queue, false));
                continue;
            }
            let is_due = self.long.get(&queue.queue).is_none_or(|counted| counted.again <= Instant::now());
            if is_due {
                let began = Instant::now();
                let answer = session.ready_in(&queue.queue, LONG).await?;
                self.long.insert(queue.queue.clone(), Paced { answer, again: Instant::now() + began.elapsed() * REST });
            }
            if let Some(counted) = self.long.get(&queue.queue) {
                queue.ready = queue.ready.max(counted.answer);
            }
            queues.push((queue, !is_due));
        }
        Ok(queues)
    }

    /// Counts what waits for those that claim only some classes.
    async fn classes(
        &mut self,
        session: &mut Session<'_>,
        backlog: &[QueueBacklog],
        demands: &BTreeMap<User, Demand>,
    ) -> Result<HashMap<User, (Vec<ClassBacklog>, bool)>, Error> {
        self.classes.retain(|user, _| demands.contains_key(user));
        let mut found = HashMap::new();
        for (user, demand) in demands {
            let Some(classes) = &demand.classes else { continue };
            let served = backlog.iter().map(|queue| &queue.queue).filter(|queue| demand.serves(queue));
            let queues: Vec<String> = served.cloned().collect();
            if queues.is_empty() {
                continue;
            }
            let is_due = self.classes.get(user).is_none_or(|counted| counted.again <= Instant::now());
            if is_due {
                let began = Instant::now();
                let answer = session.ready_of_classes(&queues, classes, OF_CLASSES).await?;
                self.classes.insert(user.clone(), Paced { answer, again: Instant::now() + began.elapsed() * REST });
            }
            if let Some(counted) = self.classes.get(user) {
                found.insert(user.clone(), (counted.answer.clone(), !is_due));
            }
        }
        Ok(found)
    }
}
