//! The name of a queue, and a pattern that names one or several.

use std::fmt;
use std::str::FromStr;

use super::{MAX_NAME_CHARS, Text, serde_as_text};

/// The name of one queue: 1 to 255 characters, any but control characters, commas and `*`, and no `!` in front.
///
/// Those three are left out because no selector could name such a queue; everything else (`%`, `_`, `/`, spaces inside, emoji) is
/// an ordinary character. Spaces around it are not part of it, as in Solid Queue.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueName(String);

/// Why a text is not the name of a queue, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueueNameError {
    /// There is nothing, or only spaces.
    #[error("the name of a queue is empty")]
    Empty,
    /// More than 255 characters.
    #[error("the name of a queue has {0} characters; the database holds {MAX_NAME_CHARS}")]
    TooLong(usize),
    /// A NUL, a line break or the like.
    #[error("{0:?} has the control character {1:?}, which the name of a queue can't have")]
    Control(String, char),
    /// A comma: probably two names.
    #[error("`{0}` has a comma: write several queues as a list, [\"{parts}\"]", parts = .0.split(',').map(str::trim).collect::<Vec<_>>().join("\", \""))]
    Comma(String),
    /// A star where only a name may stand, or not at the end.
    #[error("`{0}` has a `*`, which only stands at the end of a selector (\"{prefix}*\") and never in the name of a queue", prefix = .0.split('*').next().unwrap_or_default())]
    Star(String),
    /// An exclamation mark in front where only a name may stand.
    #[error("`{0}` begins with `!`, which excludes a queue in a selector and never begins its name")]
    Bang(String),
}

impl QueueName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for QueueName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl AsRef<str> for QueueName {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for QueueName {
    type Err = QueueNameError;

    fn from_str(written: &str) -> Result<Self, QueueNameError> {
        let name = written.trim();
        let whole = || name.to_owned();
        if name.is_empty() {
            return Err(QueueNameError::Empty);
        }
        let chars = name.chars().count();
        if chars > MAX_NAME_CHARS {
            return Err(QueueNameError::TooLong(chars));
        }
        if let Some(control) = name.chars().find(|c| c.is_control()) {
            return Err(QueueNameError::Control(whole(), control));
        }
        if name.contains(',') {
            return Err(QueueNameError::Comma(whole()));
        }
        if name.contains('*') {
            return Err(QueueNameError::Star(whole()));
        }
        if name.starts_with('!') {
            return Err(QueueNameError::Bang(whole()));
        }
        Ok(Self(whole()))
    }
}

impl Text for QueueName {
    const EXPECTED: &'static str = "the name of a queue";
}

serde_as_text!(QueueName);

/// Which queues a selector means: all, one, or those that begin with something.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum QueuePattern {
    /// `*`: every queue.
    All,
    /// `urgent`: this queue.
    Exact(QueueName),
    /// `mail*`: every queue whose name begins with `mail`. The text is without the star and holds to the rules of a name.
    Prefix(String),
}

impl QueuePattern {
    /// Whether it means the queue `name`.
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Exact(exact) => exact.as_str() == name,
            Self::Prefix(prefix) => name.starts_with(prefix.as_str()),
        }
    }
}

impl fmt::Display for QueuePattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => out.write_str("*"),
            Self::Exact(name) => out.write_str(name.as_str()),
            Self::Prefix(prefix) => write!(out, "{prefix}*"),
        }
    }
}

impl FromStr for QueuePattern {
    type Err = QueueNameError;

    fn from_str(written: &str) -> Result<Self, QueueNameError> {
        let text = written.trim();
        match text.strip_suffix('*') {
            Some("") => Ok(Self::All),
            Some(prefix) => match prefix.parse::<QueueName>() {
                // Spaces before the star belong to the prefix: "mail *" is not "mail*".
                Ok(_) => Ok(Self::Prefix(prefix.to_owned())),
                // The message shows what was written, star and all.
                Err(QueueNameError::Star(_)) => Err(QueueNameError::Star(text.to_owned())),
                Err(error) => Err(error),
            },
            None => Ok(Self::Exact(text.parse()?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_characters_are_ordinary() {
        let longest = "ü".repeat(255);
        for name in ["default", "100%", "a_b", "日本", "🔥", "a b", "a/b", "mail!", longest.as_str()] {
            assert_eq!(name.parse::<QueueName>().expect(name).as_str(), name);
        }
        assert_eq!("  mail ".parse::<QueueName>().expect("trimmed").as_str(), "mail");
    }

    #[test]
    fn what_can_not_be_a_queue_says_why() {
        let long = "x".repeat(256);
        for (name, expected) in [
            ("", "is empty"),
            (" \t", "is empty"),
            ("a\0b", "control character '\\0'"),
            ("a\nb", "control character '\\n'"),
            ("a, b", "as a list, [\"a\", \"b\"]"),
            ("ma*il", "at the end of a selector (\"ma*\")"),
            ("!mail", "begins with `!`"),
            (long.as_str(), "has 256 characters"),
        ] {
            let error = name.parse::<QueueName>().expect_err(name).to_string();
            assert!(error.contains(expected), "{name}: {error}");
        }
    }

    #[test]
    fn a_star_at_the_end_is_a_prefix_and_nowhere_else() {
        assert_eq!("*".parse(), Ok(QueuePattern::All));
        assert_eq!("mail*".parse(), Ok(QueuePattern::Prefix("mail".to_owned())));
        for wrong in ["ma*il", "*mail", "mail**", "**", "ma*il*"] {
            let error = wrong.parse::<QueuePattern>().expect_err(wrong);
            assert_eq!(error, QueueNameError::Star(wrong.to_owned()));
        }
    }

    #[test]
    fn a_prefix_matches_by_letter() {
        let prefix: QueuePattern = "a_%*".parse().expect("a prefix");
        assert!(prefix.matches("a_%") && prefix.matches("a_%b") && !prefix.matches("axyb"));
        assert!(QueuePattern::All.matches("anything"));
        assert!("🔥*".parse::<QueuePattern>().expect("a prefix").matches("🔥hot"));
    }
}
