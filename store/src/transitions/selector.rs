//! What a worker's list of queues means.

/// One entry of a worker's list of queues.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Selector {
    /// `*`: every queue.
    All,
    /// `mail`: this one.
    Exact(String),
    /// `mail*`: those that begin so. `%` and `_` are ordinary characters.
    Prefix(String),
    /// `!mail`: not this one.
    Exclude(String),
    /// `!mail*`: none that begins so.
    ExcludePrefix(String),
}

/// Where Rails runs its own recurring commands, as Ruby code: left alone unless named.
pub const RAILS_COMMANDS: &str = "solid_queue_recurring";

/// The queue of jobs of class [`SHELL_CLASS`](crate::SHELL_CLASS) that are put on no other: left alone by those that may not run them,
/// unless named.
pub const COMMANDS_QUEUE: &str = "gritstone_commands";

impl std::fmt::Display for Selector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Selector::All => f.write_str("*"),
            Selector::Exact(name) => f.write_str(name),
            Selector::Prefix(prefix) => write!(f, "{prefix}*"),
            Selector::Exclude(name) => write!(f, "!{name}"),
            Selector::ExcludePrefix(prefix) => write!(f, "!{prefix}*"),
        }
    }
}

impl From<&str> for Selector {
    /// As it is written. Any text is one: what can be no name of a queue matches none.
    fn from(text: &str) -> Self {
        let text = text.trim();
        match (text.strip_prefix('!'), text.strip_suffix('*')) {
            (Some(excluded), _) => match excluded.strip_suffix('*') {
                Some(prefix) => Selector::ExcludePrefix(prefix.to_owned()),
                None => Selector::Exclude(excluded.to_owned()),
            },
            (None, Some("")) => Selector::All,
            (None, Some(prefix)) => Selector::Prefix(prefix.to_owned()),
            (None, None) => Selector::Exact(text.to_owned()),
        }
    }
}

impl Selector {
    /// True when this entry, no exclusion, means the queue.
    pub fn includes(&self, queue: &str) -> bool {
        match self {
            Selector::All => true,
            Selector::Exact(name) => name == queue,
            Selector::Prefix(prefix) => queue.starts_with(prefix.as_str()),
            Selector::Exclude(_) | Selector::ExcludePrefix(_) => false,
        }
    }

    /// True when this entry, an exclusion, rules the queue out.
    pub fn excludes(&self, queue: &str) -> bool {
        match self {
            Selector::Exclude(name) => name == queue,
            Selector::ExcludePrefix(prefix) => queue.starts_with(prefix.as_str()),
            Selector::All | Selector::Exact(_) | Selector::Prefix(_) => false,
        }
    }

    /// True when a worker with this list claims from the queue; `commands` says whether it may run jobs of class `Command`.
    pub fn any_serves(selectors: &[Selector], queue: &str, commands: bool) -> bool {
        let left_alone = queue == RAILS_COMMANDS || queue == COMMANDS_QUEUE && !commands;
        let included = match left_alone {
            true => selectors.iter().any(|selector| matches!(selector, Selector::Exact(name) if name == queue)),
            false => selectors.iter().any(|selector| selector.includes(queue)),
        };
        included && !selectors.iter().any(|selector| selector.excludes(queue))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serves(list: &str, queue: &str, commands: bool) -> bool {
        let selectors: Vec<Selector> = list.split(',').map(Selector::from).collect();
        Selector::any_serves(&selectors, queue, commands)
    }

    #[test]
    fn a_list_names_queues_and_rules_some_out() {
        assert!(serves("*", "mail", false));
        assert!(serves("urgent, mail*", "mail_slow", false));
        assert!(!serves("urgent,mail*,!mail_slow", "mail_slow", false));
        assert!(!serves("*,!mail*", "mail", false));
        assert!(!serves("urgent", "mail", false));
        assert!(!serves("a_*", "ab", false));
    }

    #[test]
    fn queues_of_commands_are_for_those_that_may_run_them_or_name_them() {
        assert!(!serves("*", COMMANDS_QUEUE, false));
        assert!(!serves("gritstone*", COMMANDS_QUEUE, false));
        assert!(serves("*", COMMANDS_QUEUE, true));
        assert!(serves("gritstone_commands", COMMANDS_QUEUE, false));
        assert!(!serves("*,!gritstone_commands", COMMANDS_QUEUE, true));
        assert!(!serves("*", RAILS_COMMANDS, true));
        assert!(serves("*,solid_queue_recurring", RAILS_COMMANDS, false));
    }

    #[test]
    fn what_is_written_is_read_back() {
        for text in ["*", "mail", "mail*", "!mail", "!mail*"] {
            assert_eq!(Selector::from(text).to_string(), text);
        }
    }
}
