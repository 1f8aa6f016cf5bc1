//! Which queues a worker works on: `[urgent, "mail*", "!mail_slow"]`.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::queue::{QueueNameError, QueuePattern};
use super::{Text, serde_as_text};

/// One entry of [`QueueSelectors`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum QueueSelector {
    /// `urgent`, `mail*`, `*`: these queues.
    Include(QueuePattern),
    /// `!mail_slow`, `!mail*`: not these, whatever else names them.
    Exclude(QueuePattern),
}

/// Why a text is not a [`QueueSelector`] or a list not [`QueueSelectors`], and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueueSelectorError {
    /// What is left after the `!` and the `*` is not the name of a queue.
    #[error(transparent)]
    Name(#[from] QueueNameError),
    /// `!` and nothing.
    #[error("`!` names no queue: say \"!mail_slow\" to exclude one")]
    NothingExcluded,
    /// `!*`.
    #[error("`!*` excludes every queue")]
    AllExcluded,
    /// A list of nothing.
    #[error(
        "the list of queues is empty, so nothing would ever be claimed: leave it out for all queues, or say [\"*\"]"
    )]
    NoQueues,
    /// A list of exclusions alone.
    #[error("only excludes queues: put \"*\" in front to work on all the others")]
    OnlyExcluded,
    /// More than [`QueueSelectors::MAX`].
    #[error("names {0} queues; at most {max} are possible, use a prefix such as \"mail*\"", max = QueueSelectors::MAX)]
    TooMany(usize),
}

impl fmt::Display for QueueSelector {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Include(pattern) => pattern.fmt(out),
            Self::Exclude(pattern) => write!(out, "!{pattern}"),
        }
    }
}

impl FromStr for QueueSelector {
    type Err = QueueSelectorError;

    fn from_str(written: &str) -> Result<Self, QueueSelectorError> {
        match written.trim().strip_prefix('!').map(str::trim) {
            None => Ok(Self::Include(written.parse()?)),
            Some("") => Err(QueueSelectorError::NothingExcluded),
            Some(excluded) => match excluded.parse()? {
                QueuePattern::All => Err(QueueSelectorError::AllExcluded),
                pattern => Ok(Self::Exclude(pattern)),
            },
        }
    }
}

impl Text for QueueSelector {
    const EXPECTED: &'static str = "the name of a queue, a prefix such as \"mail*\", or \"*\"";
}

serde_as_text!(QueueSelector);

/// The queues a worker works on, in the order it asks them: never empty, and always including something.
///
/// In a manifest a list, or a string with commas (Solid Queue takes such a string for one name; nobody means that). By default `*`.
/// Rails' own queue `solid_queue_recurring` holds Ruby to evaluate: it is left out unless it is named in full.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct QueueSelectors(Vec<QueueSelector>);

impl QueueSelectors {
    /// The most entries there can be.
    pub const MAX: usize = 100;
    /// The queue of Solid Queue's `command` tasks.
    pub const RAILS_COMMANDS: &'static str = "solid_queue_recurring";

    /// The selectors in their order.
    ///
    /// # Errors
    /// When there are none, too many, or only exclusions.
    pub fn new(selectors: Vec<QueueSelector>) -> Result<Self, QueueSelectorError> {
        if selectors.is_empty() {
            return Err(QueueSelectorError::NoQueues);
        }
        if selectors.len() > Self::MAX {
            return Err(QueueSelectorError::TooMany(selectors.len()));
        }
        if !selectors.iter().any(|selector| matches!(selector, QueueSelector::Include(_))) {
            return Err(QueueSelectorError::OnlyExcluded);
        }
        Ok(Self(selectors))
    }

    /// Every entry, in order.
    pub fn as_slice(&self) -> &[QueueSelector] {
        &self.0
    }

    /// The patterns to ask, in order.
    pub fn included(&self) -> impl Iterator<Item = &QueuePattern> {
        self.0.iter().filter_map(|selector| match selector {
            QueueSelector::Include(pattern) => Some(pattern),
            QueueSelector::Exclude(_) => None,
        })
    }

    /// The patterns to leave out. Rails' own queue is not among them; [`QueueSelectors::leaves_out_rails_commands`] says whether it should be.
    pub fn excluded(&self) -> impl Iterator<Item = &QueuePattern> {
        self.0.iter().filter_map(|selector| match selector {
            QueueSelector::Exclude(pattern) => Some(pattern),
            QueueSelector::Include(_) => None,
        })
    }

    /// Whether `solid_queue_recurring` is left out: it is, unless an entry is exactly that name.
    pub fn leaves_out_rails_commands(&self) -> bool {
        !self
            .included()
            .any(|pattern| matches!(pattern, QueuePattern::Exact(name) if name.as_str() == Self::RAILS_COMMANDS))
    }

    /// Whether a job in the queue `name` may be claimed.
    pub fn selects(&self, name: &str) -> bool {
        let kept_for_rails = name == Self::RAILS_COMMANDS && self.leaves_out_rails_commands();
        !kept_for_rails
            && self.included().any(|pattern| pattern.matches(name))
            && !self.excluded().any(|pattern| pattern.matches(name))
    }
}

impl Default for QueueSelectors {
    fn default() -> Self {
        Self(vec![QueueSelector::Include(QueuePattern::All)])
    }
}

impl fmt::Display for QueueSelectors {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, selector) in self.0.iter().enumerate() {
            write!(out, "{}{selector}", if position == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl FromStr for QueueSelectors {
    type Err = QueueSelectorError;

    fn from_str(written: &str) -> Result<Self, QueueSelectorError> {
        Self::new(written.split(',').map(str::parse).collect::<Result<_, _>>()?)
    }
}

impl<'de> Deserialize<'de> for QueueSelectors {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ListOrString)
    }
}

struct ListOrString;

impl<'de> Visitor<'de> for ListOrString {
    type Value = QueueSelectors;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a list of queues such as [urgent, \"mail*\"]")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<QueueSelectors, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<QueueSelectors, A::Error> {
        let mut selectors = Vec::new();
        while let Some(selector) = list.next_element()? {
            selectors.push(selector);
        }
        QueueSelectors::new(selectors).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn queues(value: serde_json::Value) -> Result<QueueSelectors, String> {
        serde_json::from_value(value).map_err(|error| error.to_string())
    }

    #[test]
    fn a_string_with_commas_is_a_list() {
        let list = queues(json!(["urgent", "mail*", "!mail_slow"])).expect("a list");
        assert_eq!(queues(json!("urgent, mail*,!mail_slow")).expect("a string"), list);
        assert_eq!(list.to_string(), "urgent,mail*,!mail_slow");
        assert_eq!(serde_json::to_value(&list).expect("json"), json!(["urgent", "mail*", "!mail_slow"]));
    }

    #[test]
    fn exclusions_win_wherever_they_stand() {
        let list = queues(json!(["!mail_slow", "urgent", "mail*"])).expect("a list");
        for (name, selected) in
            [("urgent", true), ("mail", true), ("mail_fast", true), ("mail_slow", false), ("other", false)]
        {
            assert_eq!(list.selects(name), selected, "{name}");
        }
    }

    #[test]
    fn rails_own_queue_is_left_alone_unless_named() {
        let rails = QueueSelectors::RAILS_COMMANDS;
        assert!(!QueueSelectors::default().selects(rails));
        assert!(!queues(json!(["solid*"])).expect("a prefix").selects(rails));
        assert!(queues(json!(["*", rails])).expect("named").selects(rails));
    }

    #[test]
    fn lists_that_make_no_sense_say_why() {
        let many: Vec<_> = (0..101).map(|n| n.to_string()).collect();
        for (value, expected) in [
            (json!([]), "list of queues is empty"),
            (json!(""), "name of a queue is empty"),
            (json!(["a", ""]), "name of a queue is empty"),
            (json!("a,,b"), "name of a queue is empty"),
            (json!(["a, b"]), "as a list, [\"a\", \"b\"]"),
            (json!(["!a"]), "put \"*\" in front"),
            (json!(["*", "!"]), "`!` names no queue"),
            (json!(["*", "!*"]), "excludes every queue"),
            (json!(["*", "!!a"]), "begins with `!`"),
            (json!(["*a"]), "at the end of a selector"),
            (json!([1]), "the name of a queue"),
            (json!(1), "a list of queues"),
            (json!(many), "names 101 queues"),
        ] {
            let error = queues(value.clone()).expect_err("refused");
            assert!(error.contains(expected), "{value}: {error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(text in "!?[a-z%_🔥 ]{0,4}\\*?") {
            if let Ok(selector) = text.parse::<QueueSelector>() {
                prop_assert_eq!(selector.to_string().parse::<QueueSelector>(), Ok(selector));
            }
        }
    }
}
