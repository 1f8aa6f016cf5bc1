//! Who does the work: an http server, long-lived children, or one child per job.

use serde::{Deserialize, Serialize};

use crate::check::Violations;
use crate::path::Path;
use crate::text::Memory;

use super::http_handler::HttpHandler;

/// Exactly one of the three.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema), schemars(transform = crate::schema::handler))]
#[serde(rename_all = "camelCase", default)]
pub struct Handler {
    /// Jobs are posted to a server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpHandler>,
    /// Jobs are written as JSON lines to children that live long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<ProcessHandler>,
    /// A child is started for each job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<CommandHandler>,
}

/// What a [`Handler`] says, once it is known to be one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandlerKind<'a> {
    /// See [`Handler::http`].
    Http(&'a HttpHandler),
    /// See [`Handler::process`].
    Process(&'a ProcessHandler),
    /// See [`Handler::command`].
    Command(&'a CommandHandler),
}

/// Children that take one job after another, as JSON lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ProcessHandler {
    /// The program and its arguments, a word each. Required.
    #[cfg_attr(feature = "kube", schemars(transform = crate::schema::words()))]
    pub command: Vec<String>,
    /// When to replace a child by a fresh one, between two jobs. Default never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recycle_after: Option<RecycleAfter>,
}

/// Replace a child after whichever comes first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct RecycleAfter {
    /// So many jobs, 1 to 1,000,000,000. Default no such limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "kube", schemars(range(min = 1, max = 1000000000)))]
    pub jobs: Option<i32>,
    /// So much resident memory, at least 1Mi. Default no such limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
}

/// A child for each job, which reads it from stdin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CommandHandler {
    /// The program and its arguments, a word each. Required.
    #[cfg_attr(feature = "kube", schemars(transform = crate::schema::words()))]
    pub command: Vec<String>,
}

impl Handler {
    /// The one that is set.
    pub fn kind(&self) -> Option<HandlerKind<'_>> {
        let http = self.http.as_ref().map(HandlerKind::Http);
        let process = || self.process.as_ref().map(HandlerKind::Process);
        let command = || self.command.as_ref().map(HandlerKind::Command);
        http.or_else(process).or_else(command)
    }

    pub(super) fn check(&self, at: &Path, found: &mut Violations) {
        let set =
            [("http", self.http.is_some()), ("process", self.process.is_some()), ("command", self.command.is_some())];
        let set: Vec<_> = set.into_iter().filter_map(|(name, is_set)| is_set.then_some(name)).collect();
        match set.as_slice() {
            [_] => {}
            [] => found.add(at.clone(), "names no handler: give one of http, process, command"),
            several => found.add(at.clone(), format!("has {}: keep one of them", several.join(" and "))),
        }
        if let Some(http) = &self.http {
            http.check(&at.field("http"), found);
        }
        if let Some(process) = &self.process {
            found.command(at.field("process").field("command"), &process.command);
            if let Some(recycle) = &process.recycle_after {
                recycle.check(&at.field("process").field("recycleAfter"), found);
            }
        }
        if let Some(command) = &self.command {
            found.command(at.field("command").field("command"), &command.command);
        }
    }
}

impl RecycleAfter {
    fn check(self, at: &Path, found: &mut Violations) {
        if let Some(jobs) = self.jobs {
            found.number(at.field("jobs"), jobs, 1..=1_000_000_000);
        }
        if let Some(memory) = self.memory.filter(|memory| *memory < Memory::from_mebibytes(1)) {
            // A number without a unit is bytes: 512 would replace the child after every job.
            found.add(at.field("memory"), format!("{memory} is less than any program needs: say at least 1Mi"));
        }
    }
}
