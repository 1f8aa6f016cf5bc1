//! The row of a schedule as it is in the database.

use gritstone_store::{Error, JobState, NewTask, Session, TakenKey, TaskRun, TaskView};
use jiff::Timestamp;

/// A row, and what it has led to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    /// The task.
    pub(crate) view: TaskView,
    /// Its last run, as long as its job is there.
    pub(crate) run: Option<TaskRun>,
}

impl Row {
    /// Whether its last run's job has still to come to an end.
    pub(super) fn is_open(&self) -> bool {
        self.run.as_ref().is_some_and(|run| !matches!(run.state, JobState::Finished | JobState::Failed))
    }
}

/// Makes this the only row of its owner, and reads it back with the database's time.
pub(super) async fn put(
    session: &mut Session<'_>,
    owner: &str,
    task: &NewTask,
) -> Result<Result<(Row, Timestamp), TakenKey>, Error> {
    if let Err(taken) = session.put_only_task(owner, task).await? {
        return Ok(Err(taken));
    }
    let Some(view) = session.task(&task.key).await? else {
        return Err(Error::Conflict(format!("the recurring task {} was removed as it was put", task.key)));
    };
    let run = session.last_task_runs(std::slice::from_ref(&task.key)).await?.pop();
    let now = session.now().await?;
    Ok(Ok((Row { view, run }, now)))
}
