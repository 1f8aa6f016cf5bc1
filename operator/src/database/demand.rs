//! What the workers of a QueueWorker claim, and how much of it they can take on.

use gritstone_crds::kinds::QueueWorkerSpec;
use gritstone_store::{COMMANDS_QUEUE, SHELL_CLASS, Selector};

/// One QueueWorker's part in the queues of a database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Demand {
    /// Its list of queues.
    pub(super) selectors: Vec<Selector>,
    /// The only classes that it claims; none is all.
    pub(super) classes: Option<Vec<String>>,
    /// Whether it runs texts for the shell.
    pub(super) commands: bool,
    /// How many jobs its workers run at once now.
    pub(super) capacity: u64,
    /// How many one worker does.
    pub(super) threads: u64,
    /// Whether there may be more workers than now.
    pub(super) may_grow: bool,
    /// Whether the operator decides how many there are.
    pub(super) scales: bool,
}

impl Demand {
    /// That of a worker with this spec, of which there are so many.
    pub(crate) fn of(spec: &QueueWorkerSpec, replicas: u32) -> Self {
        let mut selectors: Vec<Selector> =
            spec.queues.as_slice().iter().map(|selector| Selector::from(selector.to_string().as_str())).collect();
        let commands = spec.allow_commands;
        let ruled_out = selectors.iter().any(|selector| selector.excludes(COMMANDS_QUEUE));
        if commands && !ruled_out && !Selector::any_serves(&selectors, COMMANDS_QUEUE, true) {
            selectors.push(Selector::Exact(COMMANDS_QUEUE.to_owned()));
        }
        // Without a handler there is nobody for anything else.
        let only_commands = spec.handler.is_none() && commands;
        let classes = if only_commands { Some(vec![SHELL_CLASS.to_owned()]) } else { spec.classes.clone() };
        let threads = u64::from(spec.threads.max(1).unsigned_abs());
        Demand {
            selectors,
            classes,
            commands,
            capacity: u64::from(replicas) * threads,
            threads,
            may_grow: spec.autoscaling.is_some_and(|to| i64::from(replicas) < i64::from(to.max_replicas)),
            scales: spec.autoscaling.is_some(),
        }
    }

    pub(super) fn serves(&self, queue: &str) -> bool {
        Selector::any_serves(&self.selectors, queue, self.commands)
    }

    pub(super) fn claims(&self, class: &str) -> bool {
        match &self.classes {
            Some(classes) => classes.iter().any(|own| own == class),
            None => class != SHELL_CLASS || self.commands,
        }
    }

    pub(super) fn overlaps(&self, other: &Demand) -> bool {
        match (&self.classes, &other.classes) {
            (Some(own), Some(_)) => own.iter().any(|class| other.claims(class)),
            _ => true,
        }
    }
}
