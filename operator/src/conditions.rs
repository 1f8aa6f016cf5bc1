//! Conditions, which keep their time while they stay what they are.

use gritstone_crds::kinds::{Condition, ConditionStatus};
use jiff::{Timestamp, Unit};

/// What is to be said: a condition without its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Saying {
    /// Which condition.
    pub(crate) kind: &'static str,
    /// Whether it holds.
    pub(crate) status: ConditionStatus,
    /// Why, in a word.
    pub(crate) reason: &'static str,
    /// Why, and what to do about it.
    pub(crate) message: String,
}

impl Saying {
    pub(crate) fn new(kind: &'static str, holds: bool, reason: &'static str, message: impl Into<String>) -> Self {
        let status = if holds { ConditionStatus::True } else { ConditionStatus::False };
        Self { kind, status, reason, message: message.into() }
    }

    /// The condition, with the time of the one before if that said the same.
    pub(crate) fn since(self, before: &[Condition], generation: Option<i64>, now: Timestamp) -> Condition {
        let before = before.iter().find(|condition| condition.r#type == self.kind);
        let same = before.filter(|condition| condition.status == self.status);
        // Kubernetes' times have no fractions; with one it would differ from itself once it was read back.
        let now = now.round(Unit::Second).unwrap_or(now);
        Condition {
            r#type: self.kind.to_owned(),
            status: self.status,
            observed_generation: generation,
            last_transition_time: same.map_or(now, |condition| condition.last_transition_time),
            reason: self.reason.to_owned(),
            message: self.message,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_stays_until_the_status_changes() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        let ready = |holds, reason| Saying::new("Ready", holds, reason, "");
        let first = ready(false, "Waiting").since(&[], Some(1), at(10));
        assert_eq!((first.last_transition_time, first.observed_generation), (at(10), Some(1)));
        let still = ready(false, "Refused").since(std::slice::from_ref(&first), Some(2), at(20));
        assert_eq!((still.last_transition_time, still.reason.as_str()), (at(10), "Refused"));
        assert_eq!(ready(true, "Ready").since(&[first], Some(2), at(30)).last_transition_time, at(30));
    }
}
