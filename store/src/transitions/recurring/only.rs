//! Owners that have one task each: manifests in a cluster, which come and go one by one.

use super::edit::{PutTask, TakenKey, check_owner, is_so};
use super::look::TaskView;
use super::task::NewTask;
use crate::error::Error;
use crate::session::{Session, transaction};
use crate::sql::values;

impl Session<'_> {
    /// Makes this the only task of its owner: puts it, and removes what the owner has under other keys. Nothing is changed when somebody
    /// else has the key, which is what comes back then.
    ///
    /// # Errors
    /// [`Error::Refused`] when the task makes no sense; those of the database.
    pub async fn put_only_task(&mut self, owner: &str, task: &NewTask) -> Result<Result<PutTask, TakenKey>, Error> {
        check_owner(owner)?;
        task.check()?;
        if let [found] = self.tasks_of(owner).await?.as_slice()
            && found.key == task.key
            && is_so(found, task)
        {
            return Ok(Ok(PutTask::Unchanged));
        }
        transaction!(self, self.put_only_script(owner, task).await)
    }

    async fn put_only_script(&mut self, owner: &str, task: &NewTask) -> Result<Result<PutTask, TakenKey>, Error> {
        let revision = self.lock_revision().await?;
        let mut put = self.put_script(owner, task).await?;
        if let Err(taken) = &put
            && taken.owner == owner
        {
            // Its own key, in another case.
            self.remove_script(&taken.taken).await?;
            put = self.put_script(owner, task).await?;
        }
        let put = match put {
            Ok(put) => put,
            Err(taken) => return Ok(Err(taken)),
        };
        let mut others = self.tasks_of(owner).await?;
        others.retain(|found| found.key != task.key);
        for other in &others {
            self.remove_script(&other.key).await?;
        }
        if put != PutTask::Unchanged || !others.is_empty() {
            self.count_edit(revision).await?;
        }
        Ok(Ok(put))
    }

    /// The tasks of an owner, by key.
    async fn tasks_of(&mut self, owner: &str) -> Result<Vec<TaskView>, Error> {
        self.companions("where s.owner = ?", &values![owner]).await
    }
}
