//! Appearing in the list of processes, and leaving it.

use super::hooks::{ProcessInfo, Reporter};
use super::identity::host_identity;
use super::link::{Link, in_time, within};
use super::stop::Stop;
use crate::health::metrics::{Connections, Listed};
use crate::health::{Health, Pulse};
use gritstone_store::{ClassDefaults, DeclaredBy, DeclaredLimit, Error, Limit, NewProcess, Session, Settings, Store};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// A process in the list.
#[derive(Clone)]
pub(super) struct Registration {
    pub(super) process_id: i64,
    pub(super) kind: &'static str,
    pub(super) name: String,
    /// Who that is, for hooks.
    pub(super) process: ProcessInfo,
    /// What all processes share; the heartbeat brings it up to date.
    pub(super) settings: Arc<watch::Sender<Settings>>,
    pub(super) reporter: Reporter,
    pub(super) health: Health,
    /// Its place among the heartbeats that are told.
    pub(super) listed: Listed,
    /// Before the row was written: what others count from is not earlier.
    pub(super) since: Instant,
}

/// What to register.
#[derive(Clone)]
pub(super) struct Application {
    pub(super) kind: &'static str,
    pub(super) supervisor_id: Option<i64>,
    pub(super) metadata: serde_json::Value,
    pub(super) max_interruptions: u32,
    /// What to declare before anything is claimed.
    pub(super) declared: Declared,
    /// Who is told of errors.
    pub(super) reporter: Reporter,
    /// Who is told of everything else.
    pub(super) health: Health,
}

/// What a worker declares, for itself and for others.
#[derive(Clone, Default)]
pub(super) struct Declared {
    /// As whom: its manifest's name; empty without one.
    pub(super) by: String,
    /// Limits, by group.
    pub(super) limits: Vec<(String, Limit)>,
    /// Defaults of classes.
    pub(super) classes: Vec<ClassDefaults>,
}

impl Declared {
    async fn write(&self, session: &mut Session<'_>) -> Result<(), Error> {
        for (group, limit) in &self.limits {
            match self.by.as_str() {
                "" => in_time(session.declare_limit(group, *limit)).await?,
                manifest => {
                    let before = in_time(session.declare_limit_of(manifest, group, *limit)).await?;
                    before.iter().for_each(|before| say_what_differs(manifest, *limit, before));
                }
            }
        }
        if self.by.is_empty() && self.classes.is_empty() {
            return Ok(());
        }
        let redeclared = in_time(session.declare_classes(&self.by, &self.classes)).await?;
        for class in redeclared.taken_over {
            let (name, other) = (&class.defaults.class, &class.declared_by);
            tracing::warn!(
                class = name,
                "{other} declares the class {name} otherwise: what {} says holds now, until one of them starts again. Say it in one \
                 manifest, or the same in both",
                self.by
            );
        }
        for class in redeclared.dropped {
            tracing::info!(class, "the class has no defaults any more: {} said them before, and doesn't now", self.by);
        }
        Ok(())
    }
}

/// Says who declares a limit otherwise than a manifest does.
fn say_what_differs(manifest: &str, limit: Limit, before: &DeclaredLimit) {
    let name = &before.name;
    if before.by == DeclaredBy::Hand && before.limit != limit {
        tracing::info!(
            limit = name,
            "the limit {name} was set by hand to {}, and stays so: `gritstone limits unset {name}` makes it {} again, as {manifest} says",
            before.limit.to,
            limit.to
        );
    }
    if let Some((other, said)) = &before.manifest
        && (other != manifest && *said != limit)
    {
        tracing::warn!(
            limit = name,
            "{other} declares the limit {name} otherwise: what {manifest} says holds now, until one of them starts again. Say it in \
             one manifest, or the same in both"
        );
    }
}

/// How long a stopping process tries to leave the list while the database is away.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(5);

/// What a loop does between two turns of its pulse is a statement or a few, each of which gets half a minute. One that takes longer than
/// all of them is stuck, wherever the database is.
pub(super) const STUCK_AFTER: Duration = Duration::from_secs(600);

/// How long a registration that is under way when its process is told to stop may still take: given up, it might leave a row
/// behind that nobody takes off the list.
const REGISTER_TIMEOUT: Duration = Duration::from_secs(2);

impl Application {
    /// Registers, waiting for the database as long as it takes. None when told to stop before that; told to stop while the
    /// row is being written, it may still be, for its owner to leave again.
    pub(super) async fn register(&self, store: &Store, stop: &Stop) -> Option<Registration> {
        let mut link =
            Link::new(store, "registration").reporting(&self.reporter).counted(&self.health.metrics().connections);
        let process = NewProcess {
            kind: self.kind.to_owned(),
            name: name(self.kind),
            pid: std::process::id(),
            hostname: hostname(),
            supervisor_id: self.supervisor_id,
            metadata: self.metadata.clone(),
            identity: host_identity(),
            max_interruptions: self.max_interruptions,
        };
        let since = Instant::now();
        let mut tried = false;
        loop {
            if stop.is_requested() {
                return None;
            }
            let attempt = async {
                let session = link.session().await?;
                let process_id = match tried {
                    // The answer to an earlier try may have been lost.
                    true => in_time(session.processes()).await?.iter().find(|p| p.name == process.name).map(|p| p.id),
                    false => None,
                };
                tried = true;
                let process_id = match process_id {
                    Some(process_id) => process_id,
                    None => in_time(session.register(&process)).await?.process_id,
                };
                self.declared.write(session).await?;
                // Read after the row is there: a change that comes later is one that this process may not know of, and its
                // row shows that.
                Ok((process_id, in_time(session.settings()).await?))
            };
            let given_up = async {
                stop.requested().await;
                tokio::time::sleep(REGISTER_TIMEOUT).await;
            };
            tokio::select! {
                biased;
                () = given_up => return None,
                result = attempt => match result {
                    Ok((process_id, settings)) => {
                        link.answered();
                        tracing::info!(
                            kind = self.kind, process_id, name = process.name, pid = process.pid, hostname = process.hostname,
                            "register_process"
                        );
                        let listed = ProcessInfo {
                            process_id: Some(process_id),
                            name: Some(process.name.clone()),
                            ..unlisted(self.kind)
                        };
                        self.reporter.is_listed_as(&listed);
                        return Some(Registration {
                            process_id,
                            kind: self.kind,
                            name: process.name,
                            process: listed,
                            settings: Arc::new(watch::Sender::new(settings)),
                            reporter: self.reporter.clone(),
                            health: self.health.clone(),
                            listed: self.health.metrics().lives.began(self.kind, since),
                            since,
                        });
                    }
                    Err(error) => {
                        tokio::select! {
                            () = stop.requested() => return None,
                            () = link.wait_after(&error) => {}
                        }
                    }
                },
            }
        }
    }
}

/// This process, before it is on the list.
pub(super) fn unlisted(kind: &str) -> ProcessInfo {
    ProcessInfo { kind: kind.to_owned(), process_id: None, name: None, pid: std::process::id(), hostname: hostname() }
}

impl Registration {
    /// What all processes share, as it is now.
    pub(super) fn settings(&self) -> Settings {
        self.settings.borrow().clone()
    }

    /// Where its loops' connections are counted.
    pub(super) fn connections(&self) -> &Connections {
        &self.health.metrics().connections
    }

    /// The pulse of one of its loops.
    pub(super) fn pulse(&self, name: &'static str) -> Pulse {
        self.health.pulse(name, STUCK_AFTER)
    }

    /// Leaves the list; what is still claimed is ready again. Gives up after a few seconds: then the row is pruned by
    /// others, when its heartbeat has aged.
    pub(super) async fn leave(&self, store: &Store) {
        let mut link = Link::new(store, "deregistration").reporting(&self.reporter).counted(self.connections());
        let leave = async {
            loop {
                let attempt = async { in_time(link.session().await?.deregister(self.process_id)).await };
                match attempt.await {
                    Ok(released) => return released,
                    Err(error) => link.wait_after(&error).await,
                }
            }
        };
        match within(LEAVE_TIMEOUT, async { Ok(leave.await) }).await {
            Ok(released) => {
                tracing::info!(process_id = self.process_id, name = self.name, released, "deregister_process")
            }
            Err(error) => tracing::warn!(
                process_id = self.process_id, name = self.name, %error,
                "could not deregister; others will prune this process once its heartbeat has aged"
            ),
        }
    }
}

/// The kind in lower case, `-`, and 20 hexadecimal digits, as Solid Queue names processes.
fn name(kind: &str) -> String {
    let word: String = kind.chars().take_while(|c| c.is_ascii_alphanumeric()).collect();
    let digits: String = uuid::Uuid::new_v4().simple().to_string().chars().take(20).collect();
    format!("{}-{digits}", word.to_lowercase())
}

fn hostname() -> String {
    nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_else(|| "unknown".into())
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_look_like_solid_queues() {
        let name = super::name("Supervisor(async)");
        let (kind, digits) = name.split_once('-').unwrap();
        assert_eq!((kind, digits.len()), ("supervisor", 20));
        assert!(digits.chars().all(|c| c.is_ascii_hexdigit()));
    }
}
