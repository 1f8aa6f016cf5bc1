//! Hooks: what users want run at points of a process's life, and told about its errors.
//!
//! A process runs its *start* hooks once, after it is listed and before its work begins; its *stop* hooks when it is told to stop,
//! before it waits for what is running; its *exit* hooks after it has left the list, last of all. Errors go to hooks of their own:
//! those of jobs and those of the engine, apart, through a bounded queue that never holds up a job (`reporter`). Each is a closure,
//! or a command that gets the same as JSON on its stdin; any number of them, in their order. [`Life`] is a process's view of them.

mod events;
mod reporter;

pub use events::{EngineError, FailedJob, ProcessInfo, RunError};
pub(super) use reporter::Reporter;

use super::stop::Stop;
use crate::execute::{CommandLine, CommandLineError, Program, once};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use gritstone_crds::kinds;
use serde::Serialize;
use std::fmt::Display;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How long a closure may take unless [`Hooks::with_timeout`] says otherwise: as commands in a manifest.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What a hook's closure may return: nothing, or whether it went well.
pub trait HookResult {
    /// What went wrong, if anything did.
    ///
    /// # Errors
    /// The text for the log.
    fn into_result(self) -> Result<(), String>;
}

impl HookResult for () {
    fn into_result(self) -> Result<(), String> {
        Ok(())
    }
}

impl<E: Display> HookResult for Result<(), E> {
    fn into_result(self) -> Result<(), String> {
        self.map_err(|error| format!("{error:#}"))
    }
}

/// Why a process did not start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the {kind} stops, because {hook} failed: {reason}")]
pub struct HookError {
    /// The kind of process.
    pub kind: String,
    /// Which hook.
    pub hook: String,
    /// How it failed.
    pub reason: String,
}

/// The hooks of a process.
#[derive(Clone)]
pub struct Hooks {
    start: Vec<Hook<ProcessInfo>>,
    stop: Vec<Hook<ProcessInfo>>,
    exit: Vec<Hook<ProcessInfo>>,
    error: Vec<Hook<EngineError>>,
    job_error: Vec<Hook<RunError>>,
    timeout: Duration,
}

type Run<E> = Arc<dyn Fn(E) -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

#[derive(Clone)]
struct Hook<E> {
    name: String,
    timeout: Duration,
    run: Run<E>,
}

impl<E: Clone> Hook<E> {
    /// Runs it to its end or to its timeout, whichever comes first.
    async fn call(&self, event: &E) -> Result<(), String> {
        let running = AssertUnwindSafe((self.run)(event.clone())).catch_unwind();
        match tokio::time::timeout(self.timeout, running).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err("it panicked".into()),
            Err(_) => Err(format!("it took longer than {:?} and was ended", self.timeout)),
        }
    }
}

impl Default for Hooks {
    fn default() -> Self {
        Hooks {
            start: Vec::new(),
            stop: Vec::new(),
            exit: Vec::new(),
            error: Vec::new(),
            job_error: Vec::new(),
            timeout: TIMEOUT,
        }
    }
}

impl Hooks {
    /// None.
    pub fn new() -> Self {
        Hooks::default()
    }

    /// How long each closure that is added from here on may take; then it is dropped. 30 s unless said.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Once the process is listed, before its work begins. One that fails stops the process.
    pub fn on_start<F, Fut>(mut self, hook: F) -> Self
    where
        F: Fn(ProcessInfo) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: HookResult> + Send + 'static,
    {
        self.start.push(self.closure("start", self.start.len(), hook));
        self
    }

    /// When the process is told to stop, before it waits for what is running.
    pub fn on_stop<F, Fut>(mut self, hook: F) -> Self
    where
        F: Fn(ProcessInfo) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: HookResult> + Send + 'static,
    {
        self.stop.push(self.closure("stop", self.stop.len(), hook));
        self
    }

    /// When the process has left the list, last of all.
    pub fn on_exit<F, Fut>(mut self, hook: F) -> Self
    where
        F: Fn(ProcessInfo) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: HookResult> + Send + 'static,
    {
        self.exit.push(self.closure("exit", self.exit.len(), hook));
        self
    }

    /// After each error of the engine itself, one at a time.
    pub fn on_error<F, Fut>(mut self, hook: F) -> Self
    where
        F: Fn(EngineError) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: HookResult> + Send + 'static,
    {
        self.error.push(self.closure("error", self.error.len(), hook));
        self
    }

    /// After each run of a job that ended in an error, one at a time.
    pub fn on_job_error<F, Fut>(mut self, hook: F) -> Self
    where
        F: Fn(RunError) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: HookResult> + Send + 'static,
    {
        self.job_error.push(self.closure("job error", self.job_error.len(), hook));
        self
    }

    fn closure<E, F, Fut>(&self, point: &str, position: usize, hook: F) -> Hook<E>
    where
        F: Fn(E) -> Fut + Send + Sync + 'static,
        Fut: Future<Output: HookResult> + Send + 'static,
    {
        let run = move |event: E| -> BoxFuture<'static, Result<(), String>> {
            let running = hook(event);
            Box::pin(async move { running.await.into_result() })
        };
        Hook { name: format!("its {point} hook {}", position + 1), timeout: self.timeout, run: Arc::new(run) }
    }
}

impl std::fmt::Debug for Hooks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hooks")
            .field("start", &self.start.len())
            .field("stop", &self.stop.len())
            .field("exit", &self.exit.len())
            .field("error", &self.error.len())
            .field("job_error", &self.job_error.len())
            .finish()
    }
}

impl From<&kinds::Hooks> for Hooks {
    fn from(hooks: &kinds::Hooks) -> Self {
        Hooks {
            start: commands("start", &hooks.on_start),
            stop: commands("stop", &hooks.on_stop),
            exit: commands("exit", &hooks.on_exit),
            error: commands("error", &hooks.on_error),
            job_error: commands("job_error", &hooks.on_job_error),
            timeout: TIMEOUT,
        }
    }
}

impl From<&kinds::ProcessHooks> for Hooks {
    fn from(hooks: &kinds::ProcessHooks) -> Self {
        Hooks {
            start: commands("start", &hooks.on_start),
            stop: commands("stop", &hooks.on_stop),
            exit: commands("exit", &hooks.on_exit),
            error: commands("error", &hooks.on_error),
            ..Hooks::default()
        }
    }
}

/// What a command gets on its stdin.
#[derive(Serialize)]
struct Document<'e, E> {
    hook: &'static str,
    #[serde(flatten)]
    event: &'e E,
}

fn commands<E: Serialize + Clone + Send + Sync + 'static>(point: &'static str, hooks: &[kinds::Hook]) -> Vec<Hook<E>> {
    hooks.iter().map(|hook| command(point, hook)).collect()
}

/// A command, in a child that dies with this process and inherits nothing of the queue's credentials.
fn command<E: Serialize + Clone + Send + Sync + 'static>(point: &'static str, hook: &kinds::Hook) -> Hook<E> {
    let program: Result<Program, CommandLineError> = CommandLine::new(hook.command.iter().cloned()).map(Program::new);
    let program = Arc::new(program.map_err(|error| error.to_string()));
    let run = move |event: E| -> BoxFuture<'static, Result<(), String>> {
        let program = Arc::clone(&program);
        Box::pin(async move {
            let program = program.as_ref().as_ref().map_err(Clone::clone)?;
            let document =
                serde_json::to_string(&Document { hook: point, event: &event }).map_err(|e| e.to_string())?;
            once::run(program, format!("{document}\n").as_bytes()).await
        })
    };
    // Without its arguments, which may have secrets in them.
    let name = format!("its {point} hook `{}`", hook.command.first().map_or("", String::as_str));
    Hook { name, timeout: hook.timeout.as_std(), run: Arc::new(run) }
}

/// A process's hooks, and how far its life has come.
pub(super) struct Life {
    hooks: Hooks,
    started: AtomicBool,
}

impl Life {
    pub(super) fn new(hooks: &Hooks) -> Self {
        Life { hooks: hooks.clone(), started: AtomicBool::new(false) }
    }

    /// Runs the start hooks, unless they have run: a process that had to register again doesn't start again. Told to stop meanwhile, it
    /// ends the one that runs.
    pub(super) async fn start(&self, process: &ProcessInfo, stop: &Stop) -> Result<(), HookError> {
        if self.started.load(Ordering::Relaxed) {
            return Ok(());
        }
        for hook in &self.hooks.start {
            let ran = tokio::select! {
                biased;
                () = stop.requested() => return Ok(()),
                ran = hook.call(process) => ran,
            };
            ran.map_err(|reason| HookError { kind: process.kind.clone(), hook: hook.name.clone(), reason })?;
        }
        self.started.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Runs the stop hooks, if the start hooks were through. Told to stop at once, it ends the one that runs and leaves out the others.
    pub(super) async fn stop(&self, process: &ProcessInfo, stop: &Stop) {
        if !self.started.load(Ordering::Relaxed) {
            return;
        }
        for hook in &self.hooks.stop {
            tokio::select! {
                biased;
                () = stop.immediate() => return,
                ran = hook.call(process) => said(ran, &hook.name, process),
            }
        }
    }

    /// Runs the exit hooks.
    pub(super) async fn exit(&self, process: &ProcessInfo) {
        for hook in &self.hooks.exit {
            said(hook.call(process).await, &hook.name, process);
        }
    }
}

/// Says of a hook whose failure changes nothing that it failed.
fn said(ran: Result<(), String>, hook: &str, process: &ProcessInfo) {
    if let Err(reason) = ran {
        tracing::error!(kind = process.kind, name = process.name, reason, "{hook} failed");
    }
}

#[cfg(test)]
mod tests;
