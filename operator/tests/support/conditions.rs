//! What our objects say of themselves.

use gritstone_crds::kinds::{Condition, ConditionStatus, CronSchedule, Dispatcher, QueueWorker, RecurringTask};

/// An object of ours, whose status has conditions.
pub trait Conditions {
    fn conditions(&self) -> &[Condition];
}

macro_rules! conditions {
    ($($kind:ty),*) => {$(
        impl Conditions for $kind {
            fn conditions(&self) -> &[Condition] {
                self.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default()
            }
        }
    )*};
}

conditions!(QueueWorker, Dispatcher, RecurringTask, CronSchedule);

/// What an object's status says of this.
pub fn condition<'a>(object: &'a impl Conditions, kind: &str) -> Option<&'a Condition> {
    object.conditions().iter().find(|condition| condition.r#type == kind)
}

/// Whether its status says this, for this reason.
pub fn says(object: &impl Conditions, kind: &str, status: ConditionStatus, reason: &str) -> bool {
    condition(object, kind).is_some_and(|found| (found.status, found.reason.as_str()) == (status, reason))
}
