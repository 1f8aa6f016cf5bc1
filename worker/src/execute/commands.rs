//! Jobs of class `Command`, whose argument is a text for the shell, beside those of another handler.

use super::command::CommandHandler;
use super::errors::class;
use super::{Context, Handler, Job, JobError, Outcome, Report};
use futures::future::BoxFuture;
use gritstone_store::SHELL_CLASS;
use std::sync::Arc;
use std::time::Duration;

/// Between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(5);

/// Runs jobs of class [`SHELL_CLASS`] with a shell, and all others with another handler.
///
/// Whoever can write to the queue's database can run anything here, with this process's rights: for those who said so. A worker whose
/// handler is none of these claims no such job, in whatever queue it lies.
pub struct WithCommands {
    others: Option<Arc<dyn Handler>>,
    shell: CommandHandler,
}

impl WithCommands {
    /// All other jobs are for `handler`.
    pub fn beside(handler: Arc<dyn Handler>) -> Self {
        Self { others: Some(handler), shell: CommandHandler::shell(GRACE) }
    }

    /// There are no others.
    pub fn only() -> Self {
        Self { others: None, shell: CommandHandler::shell(GRACE) }
    }
}

impl std::fmt::Debug for WithCommands {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WithCommands").field("shell", &self.shell).finish_non_exhaustive()
    }
}

impl Handler for WithCommands {
    fn run(&self, job: Arc<Job>, context: Context) -> BoxFuture<'_, Report> {
        match &self.others {
            _ if job.class == SHELL_CLASS => self.shell.run(job, context),
            Some(others) => others.run(job, context),
            None => {
                let problem =
                    format!("this worker has no handler for {}: it runs jobs of class {SHELL_CLASS}", job.class);
                let error = JobError::new(class::UNKNOWN_JOB_CLASS, problem);
                Box::pin(std::future::ready(Outcome::Fail { error }.into()))
            }
        }
    }

    fn classes(&self) -> Option<Vec<String>> {
        let mut classes = match &self.others {
            Some(others) => others.classes()?,
            None => Vec::new(),
        };
        classes.retain(|class| class != SHELL_CLASS);
        classes.push(SHELL_CLASS.to_owned());
        Some(classes)
    }

    fn runs_commands(&self) -> bool {
        true
    }

    fn ready(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            if let Some(others) = &self.others {
                others.ready().await;
            }
            self.shell.ready().await;
        })
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            if let Some(others) = &self.others {
                others.shutdown().await;
            }
            self.shell.shutdown().await;
        })
    }
}
