//! How the rows of all RecurringTasks stand, and whether they still do.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use gritstone_crds::kinds::RecurringTask;
use gritstone_store::{DatabaseUrl, Error, ScheduleNews, Store, TaskRun};
use kube::Resource as _;
use kube::runtime::reflector::ObjectRef;
use tokio::time::sleep;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::line::Line;
use super::row::Row;
use crate::bell::Bells;

/// How often a database is asked whether anything is otherwise: by two small queries, and one more while a run's job has not ended.
const LOOK: Duration = Duration::from_secs(5);
/// The pause is so much longer for each RecurringTask that has to be looked at again: what runs every second in thousands is shown late.
const AND_EACH: Duration = Duration::from_millis(50);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(60);
/// How many keys are asked for at once.
const KEYS_AT_ONCE: usize = 500;

/// How a RecurringTask stands in its database.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Stand {
    /// Its row is there.
    There(Box<Row>),
    /// Somebody else has this key, and may let go of it.
    Waits,
}

/// All of them, in whatever namespace. Every database has one connection, and a task that looks at it again and again as long as somebody
/// has a row there.
pub(crate) struct Schedules {
    known: Mutex<Known>,
    bells: Arc<Bells>,
}

#[derive(Default)]
struct Known {
    tasks: HashMap<ObjectRef<RecurringTask>, Noted>,
    lines: HashMap<DatabaseUrl, Weak<Watched>>,
}

/// A RecurringTask, as it was when it was looked at last.
#[derive(Clone)]
struct Noted {
    line: Arc<Watched>,
    key: String,
    stand: Stand,
}

/// A line that is looked at as long as it is held.
pub(crate) struct Watched {
    line: Arc<Line>,
    _stop: DropGuard,
}

impl std::ops::Deref for Watched {
    type Target = Line;

    fn deref(&self) -> &Line {
        &self.line
    }
}

impl Schedules {
    /// None yet; `bells` are rung for those that stand otherwise than was noted.
    pub(crate) fn new(bells: Arc<Bells>) -> Arc<Self> {
        Arc::new(Self { known: Mutex::default(), bells })
    }

    /// The connection to a database that answers.
    pub(crate) fn line(self: &Arc<Self>, store: &Store) -> Arc<Watched> {
        let mut known = self.known();
        known.lines.retain(|_, line| line.strong_count() > 0);
        if let Some(line) = known.lines.get(store.url()).and_then(Weak::upgrade) {
            return line;
        }
        let (line, stop) = (Arc::new(Line::new(store.clone())), CancellationToken::new());
        let looking = look(Arc::downgrade(self), Arc::downgrade(&line));
        let stopped = stop.clone();
        tokio::spawn(async move { stopped.run_until_cancelled(looking).await });
        let watched = Arc::new(Watched { line, _stop: stop.drop_guard() });
        known.lines.insert(store.url().clone(), Arc::downgrade(&watched));
        watched
    }

    /// The connection to the database in which a RecurringTask's row was last seen.
    pub(crate) fn line_of(&self, task: &ObjectRef<RecurringTask>) -> Option<Arc<Watched>> {
        self.known().tasks.get(task).map(|noted| noted.line.clone())
    }

    /// Remembers how it stands; its controller hears when that is otherwise.
    pub(crate) fn note(&self, task: ObjectRef<RecurringTask>, line: Arc<Watched>, key: &str, stand: Stand) {
        self.known().tasks.insert(task, Noted { line, key: key.to_owned(), stand });
    }

    /// It has no row any more.
    pub(crate) fn forget(&self, task: &ObjectRef<RecurringTask>) {
        self.known().tasks.remove(task);
    }

    /// Those on this line, by key.
    fn on(&self, line: &Arc<Line>) -> Vec<(ObjectRef<RecurringTask>, String, Stand)> {
        let known = self.known();
        let here = known.tasks.iter().filter(|(_, noted)| Arc::ptr_eq(&noted.line.line, line));
        here.map(|(task, noted)| (task.clone(), noted.key.clone(), noted.stand.clone())).collect()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks at a database again and again. A look that fails says nothing: that a database is away is told by whoever keeps it.
async fn look(schedules: Weak<Schedules>, line: Weak<Line>) {
    let (mut before, mut pause) = (None, LOOK);
    loop {
        sleep(pause).await;
        let (Some(schedules), Some(line)) = (schedules.upgrade(), line.upgrade()) else { return };
        let changed = match changed(&schedules, &line, &mut before).await {
            Ok(changed) => changed,
            Err(error) => {
                tracing::debug!(database = %line.store().url(), %error, "recurring tasks could not be looked at");
                before = None;
                continue;
            }
        };
        pause = (LOOK + AND_EACH * u32::try_from(changed.len()).unwrap_or(u32::MAX)).min(LONGEST);
        let kind = RecurringTask::kind(&());
        for task in changed {
            schedules.bells.ring(&kind, task.namespace.as_deref().unwrap_or_default(), &task.name);
        }
    }
}

/// The RecurringTasks on this line that stand otherwise than was noted.
async fn changed(
    schedules: &Schedules,
    line: &Arc<Line>,
    before: &mut Option<ScheduleNews>,
) -> Result<Vec<ObjectRef<RecurringTask>>, Error> {
    let noted = schedules.on(line);
    let news = line.news().await?;
    let nothing = before.is_some_and(|before| news.none_since(&before));
    let open = noted.iter().filter(|(_, _, stand)| !nothing || matches!(stand, Stand::There(row) if row.is_open()));
    let keys: Vec<String> = open.map(|(_, key, _)| key.clone()).collect();
    let runs = runs(line, &keys).await?;
    let mut changed = Vec::new();
    if nothing {
        for (task, key, stand) in noted {
            let Stand::There(row) = stand else { continue };
            if row.is_open() && runs.get(&key) != row.run.as_ref() {
                changed.push(task);
            }
        }
    } else {
        let views: HashMap<_, _> = line.views().await?.into_iter().map(|view| (view.key.clone(), view)).collect();
        for (task, key, stand) in noted {
            // Whoever waits for a key tries again: it may be free by now.
            let is_so = match &stand {
                Stand::There(row) => views.get(&key) == Some(&row.view) && runs.get(&key) == row.run.as_ref(),
                Stand::Waits => false,
            };
            if !is_so {
                changed.push(task);
            }
        }
    }
    *before = Some(news);
    Ok(changed)
}

async fn runs(line: &Line, keys: &[String]) -> Result<HashMap<String, TaskRun>, Error> {
    let mut found = HashMap::with_capacity(keys.len());
    for keys in keys.chunks(KEYS_AT_ONCE) {
        found.extend(line.runs(keys).await?.into_iter().map(|run| (run.key.clone(), run)));
    }
    Ok(found)
}
