//! What runs around every job, layer in layer.

use super::{Answer, JobContext, Route};
use futures::future::BoxFuture;
use std::sync::Arc;

/// Something that runs around jobs. Closures are layers: see [`Native::around`](super::Native::around).
pub trait Layer: Send + Sync + 'static {
    /// Runs the job by calling [`Next::run`], or doesn't.
    fn call(&self, job: JobContext, next: Next) -> BoxFuture<'static, Answer>;
}

impl<F, Fut> Layer for F
where
    F: Fn(JobContext, Next) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Answer> + Send + 'static,
{
    fn call(&self, job: JobContext, next: Next) -> BoxFuture<'static, Answer> {
        Box::pin(self(job, next))
    }
}

/// The layers further in, and the job within them.
#[derive(Clone)]
pub struct Next {
    pub(super) layers: Arc<[Arc<dyn Layer>]>,
    pub(super) depth: usize,
    pub(super) route: Arc<dyn Route>,
}

impl Next {
    /// Runs the rest.
    pub fn run(mut self, job: JobContext) -> BoxFuture<'static, Answer> {
        let layers = Arc::clone(&self.layers);
        match layers.get(self.depth) {
            Some(layer) => {
                self.depth += 1;
                layer.call(job, self)
            }
            None => self.route.call(job),
        }
    }
}

impl std::fmt::Debug for Next {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Next").field("depth", &self.depth).finish_non_exhaustive()
    }
}
