//! Events: said once, when a condition changes.

use gritstone_crds::kinds::{Condition, ConditionStatus};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::runtime::events::{Event, EventType};

use crate::recorder::Events;

/// How long an Event's words may be, in bytes: the API server takes none with more.
const WORDS: usize = 1_024;

/// Says of each condition that changed its status or its reason what it says now. An Event that can't be written is no reason to try
/// everything again: the condition says the same.
pub(crate) async fn publish(events: &Events, object: &ObjectReference, before: &[Condition], now: &[Condition]) {
    for event in transitions(before, now) {
        if let Err(error) = events.publish(&event, object).await {
            tracing::warn!(%error, reason = event.reason, "an Event could not be written");
        }
    }
}

fn transitions(before: &[Condition], now: &[Condition]) -> Vec<Event> {
    let changed = now.iter().filter(|condition| {
        let same = |old: &&Condition| old.r#type == condition.r#type;
        !before.iter().find(same).is_some_and(|old| (old.status, &old.reason) == (condition.status, &condition.reason))
    });
    changed
        .map(|condition| Event {
            type_: kind(condition),
            reason: condition.reason.clone(),
            note: Some(shortened(&condition.message)),
            action: "Reconcile".to_owned(),
            secondary: None,
        })
        .collect()
}

/// As much of a message as an Event takes. Where it has another's words in it, of an admission webhook say, it may be long.
fn shortened(message: &str) -> String {
    if message.len() <= WORDS {
        return message.to_owned();
    }
    const MORE: &str = " ...";
    let end = (0..=WORDS - MORE.len()).rev().find(|end| message.is_char_boundary(*end)).unwrap_or_default();
    format!("{}{MORE}", &message[..end])
}

/// What only takes its time is no warning.
fn kind(condition: &Condition) -> EventType {
    match condition.status {
        ConditionStatus::True => EventType::Normal,
        _ if condition.reason == "Progressing" => EventType::Normal,
        _ => EventType::Warning,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conditions::Saying;
    use jiff::Timestamp;

    #[test]
    fn only_what_changed_is_said() {
        let condition =
            |holds, reason| Saying::new("Ready", holds, reason, "words").since(&[], None, Timestamp::UNIX_EPOCH);
        let waiting = condition(false, "Waiting");
        let reasons = |before: &[Condition], now: &Condition| {
            transitions(before, std::slice::from_ref(now)).into_iter().map(|event| event.reason).collect::<Vec<_>>()
        };
        assert_eq!(reasons(&[], &waiting), ["Waiting"]);
        assert!(reasons(std::slice::from_ref(&waiting), &waiting).is_empty());
        assert_eq!(reasons(&[waiting], &condition(true, "Ready")), ["Ready"]);
    }

    #[test]
    fn an_event_has_as_many_words_as_one_may_have() {
        assert_eq!(shortened("all of them"), "all of them");
        let most = "a".repeat(WORDS);
        assert_eq!(shortened(&most), most);
        let long = shortened(&"é".repeat(WORDS));
        assert!(long.len() <= WORDS && long.len() > WORDS - 4 && long.ends_with("é ..."), "{}", long.len());
    }
}
