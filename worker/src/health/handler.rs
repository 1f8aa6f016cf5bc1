//! A handler that says once that it answers.

use super::Answered;
use crate::execute::{Context, Handler, Job, Report};
use futures::future::BoxFuture;
use std::sync::Arc;
use tokio::sync::OnceCell;

pub(super) struct Watched {
    handler: Arc<dyn Handler>,
    answered: Answered,
    /// Whoever asks while the first answer is awaited waits for the same one: a second look would take the handler for good.
    first: OnceCell<()>,
}

impl Watched {
    pub(super) fn new(handler: Arc<dyn Handler>, answered: Answered) -> Self {
        Watched { handler, answered, first: OnceCell::new() }
    }
}

impl Handler for Watched {
    fn run(&self, job: Arc<Job>, context: Context) -> BoxFuture<'_, Report> {
        self.handler.run(job, context)
    }

    fn classes(&self) -> Option<Vec<String>> {
        self.handler.classes()
    }

    fn runs_commands(&self) -> bool {
        self.handler.runs_commands()
    }

    fn ready(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            if self.first.initialized() {
                return self.handler.ready().await;
            }
            let first = async {
                self.handler.ready().await;
                self.answered.say();
            };
            self.first.get_or_init(|| first).await;
        })
    }

    fn shutdown(&self) -> BoxFuture<'_, ()> {
        self.handler.shutdown()
    }
}
