//! Handlers in Rust: async functions in this process, by class.
//!
//! ```
//! use gritstone::execute::native::{JobContext, Native, Stop};
//!
//! let handler = Native::new()
//!     .on("SendMail", |(to, copies): (String, u8), job: JobContext| async move {
//!         if copies == 0 {
//!             return Err(Stop::fail("no copies asked for"));
//!         }
//!         job.log(&format!("attempt {}: {copies} to {to}", job.attempt));
//!         Ok(())
//!     })
//!     .around(|job: JobContext, next: gritstone::execute::native::Next| async move {
//!         let class = job.class.clone();
//!         let answer = next.run(job).await;
//!         println!("{class}: {}", if answer.is_ok() { "done" } else { "not done" });
//!         answer
//!     });
//! ```
//!
//! A job whose arguments are not what its function takes fails for good. A panic is an error like any other. A job told to
//! stop (its token is cancelled, or its deadline passes) has the grace to return; then it is dropped where it awaits. What it
//! returns within the grace counts, but an error that says nothing about what should become of the job is then taken for the
//! stop's doing: a cancelled job is released, a late one is a timeout. Code that blocks can't be dropped: it belongs in
//! `spawn_blocking`, where it looks at its token.

mod context;
mod middleware;
mod panics;
mod stop;

pub use context::JobContext;
pub use middleware::{Layer, Next};
pub use stop::Stop;

use super::errors::class;
use super::stopping::{Call, Watch, Why};
use super::{Context, Handler, Job, JobError, Outcome, Report};
use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use gritstone_store::JobClass;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::{RawValue, to_raw_value};
use std::any::{TypeId, type_name};
use std::collections::HashMap;
use std::marker::PhantomData;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

/// How a job's function ended: its result, when it has one, or why it stopped.
pub type Answer = Result<Option<Box<RawValue>>, Stop>;

/// A class's function with its types forgotten.
trait Route: Send + Sync {
    fn call(&self, job: JobContext) -> BoxFuture<'static, Answer>;
}

struct Typed<A, F> {
    function: F,
    arguments: PhantomData<fn(A)>,
}

impl<A, F, Fut, R, E> Route for Typed<A, F>
where
    A: DeserializeOwned + 'static,
    F: Fn(A, JobContext) -> Fut + Send + Sync,
    Fut: Future<Output = Result<R, E>> + Send + 'static,
    R: Serialize + 'static,
    E: Into<Stop>,
{
    fn call(&self, job: JobContext) -> BoxFuture<'static, Answer> {
        match job.arguments.to::<A>() {
            Ok(arguments) => {
                let running = (self.function)(arguments, job);
                Box::pin(async move { running.await.map(|result| written(&result)).map_err(Into::into) })
            }
            Err(error) => {
                let problem = format!("{} takes {}: {error}", job.class, type_name::<A>());
                let error = JobError::new(class::INVALID_ARGUMENTS, problem);
                Box::pin(ready(Err(Stop::outcome(Outcome::Fail { error }))))
            }
        }
    }
}

/// The result as JSON. The work is done; a result that can't be written doesn't undo it.
fn written<R: Serialize + 'static>(result: &R) -> Option<Box<RawValue>> {
    if TypeId::of::<R>() == TypeId::of::<()>() {
        return None;
    }
    match to_raw_value(result) {
        Ok(json) => (json.get() != "null").then_some(json),
        Err(error) => {
            tracing::warn!(%error, "a job's result can't be written as JSON and is not kept");
            None
        }
    }
}

/// Runs jobs as functions of this process.
pub struct Native {
    routes: HashMap<String, Arc<dyn Route>>,
    layers: Arc<[Arc<dyn Layer>]>,
    grace: Duration,
}

impl Native {
    /// No functions yet, and 5 s of grace.
    pub fn new() -> Self {
        panics::note_places();
        Self { routes: HashMap::new(), layers: Arc::default(), grace: Duration::from_secs(5) }
    }

    /// Runs jobs of this class with this function: of the arguments, read as [`Arguments::to`](super::Arguments::to) says,
    /// and the job. What it returns is the job's result; any error ends it as [`Stop`] says. The last function for a class
    /// counts.
    pub fn on<A, F, Fut, R, E>(mut self, class: impl Into<String>, function: F) -> Self
    where
        A: DeserializeOwned + 'static,
        F: Fn(A, JobContext) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R, E>> + Send + 'static,
        R: Serialize + 'static,
        E: Into<Stop>,
    {
        self.routes.insert(class.into(), Arc::new(Typed { function, arguments: PhantomData }));
        self
    }

    /// The same for a class that is a type: its value is the arguments.
    pub fn on_class<C, F, Fut, R, E>(self, function: F) -> Self
    where
        C: JobClass + DeserializeOwned + 'static,
        F: Fn(C, JobContext) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<R, E>> + Send + 'static,
        R: Serialize + 'static,
        E: Into<Stop>,
    {
        self.on(C::CLASS, function)
    }

    /// Runs this around every job; what was given first is outermost. It sees the job before, the answer after, and may end
    /// the job itself.
    pub fn around(mut self, layer: impl Layer) -> Self {
        let last: Arc<dyn Layer> = Arc::new(layer);
        self.layers = self.layers.iter().cloned().chain([last]).collect();
        self
    }

    /// How long a job that was told to stop may take.
    pub fn with_grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    async fn run_job(&self, job: Arc<Job>, context: Context) -> Report {
        let Some(route) = self.routes.get(&job.class) else {
            let error =
                JobError::new(class::UNKNOWN_JOB_CLASS, format!("no function runs jobs of the class {}", job.class));
            return Outcome::Fail { error }.into();
        };
        let mut watch = match Watch::start(&job, &context, self.grace) {
            Ok(watch) => watch,
            Err(report) => return report,
        };
        // A token of its own only where the job can be stopped alone.
        let cancel = if job.deadline.is_some() { context.cancel.child_token() } else { context.cancel.clone() };
        let at_hand = JobContext::new(Arc::clone(&job), &context, cancel.clone());
        let work = async {
            if self.layers.is_empty() {
                route.call(at_hand).await
            } else {
                Next { layers: Arc::clone(&self.layers), depth: 0, route: Arc::clone(route) }.run(at_hand).await
            }
        };
        let mut work = pin!(AssertUnwindSafe(work).catch_unwind());
        let answer = loop {
            tokio::select! {
                biased;
                answer = &mut work => break Some(answer),
                call = watch.next(&context.cancel) => match call {
                    Call::Stop => cancel.cancel(),
                    Call::Kill => break None,
                },
            }
        };
        // The job may have seen its token before the watch did.
        let why = watch.why().or_else(|| context.cancel.is_cancelled().then_some(Why::Cancelled));
        let otherwise = |error| match why {
            Some(why) => why.outcome(&job),
            None => Outcome::Retry { delay: None, error },
        };
        let outcome = match answer {
            Some(Ok(Ok(result))) => return Report { outcome: Outcome::Done, result, active_job: None },
            Some(Ok(Err(stop))) => stop.into_outcome(otherwise),
            Some(Err(panic)) => otherwise(panics::error(&*panic)),
            None => {
                tracing::warn!(job = job.id, class = job.class, "dropped a job that did not stop within its grace");
                why.map_or(Outcome::Release { delay: None }, |why| why.outcome(&job))
            }
        };
        Report::from(outcome).unhurried(why.is_some())
    }
}

impl Default for Native {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Native {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Native").field("classes", &self.routes.keys()).finish_non_exhaustive()
    }
}

impl Handler for Native {
    fn run(&self, job: Arc<Job>, context: Context) -> BoxFuture<'_, Report> {
        Box::pin(self.run_job(job, context))
    }

    fn classes(&self) -> Option<Vec<String>> {
        let mut classes: Vec<String> = self.routes.keys().cloned().collect();
        classes.sort_unstable();
        Some(classes)
    }
}

#[cfg(test)]
mod tests;
