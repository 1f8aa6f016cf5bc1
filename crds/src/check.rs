//! The vocabulary of validation: what can be wrong with a value, said the same way everywhere.

use std::collections::HashMap;
use std::fmt;
use std::ops::RangeInclusive;

use crate::path::Path;
use crate::text::{Duration, MAX_NAME_CHARS};

/// Something in a spec that makes no sense, though each value by itself could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The field at fault, from the top of the manifest.
    pub path: Path,
    /// What is wrong and what to do about it.
    pub message: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.path, self.message)
    }
}

impl std::error::Error for Violation {}

/// The most words a command may have: far above any command line, low enough for a schema to be checked cheaply.
const MAX_COMMAND_WORDS: usize = 256;

/// What has been found so far.
#[derive(Default)]
pub(crate) struct Violations(Vec<Violation>);

impl Violations {
    pub(crate) fn into_vec(self) -> Vec<Violation> {
        self.0
    }

    pub(crate) fn add(&mut self, path: Path, message: impl Into<String>) {
        self.0.push(Violation { path, message: message.into() });
    }

    /// A whole number within bounds.
    pub(crate) fn number(&mut self, path: Path, value: impl Into<i64>, range: RangeInclusive<i64>) {
        let value = value.into();
        if !range.contains(&value) {
            self.add(path, format!("{value} is out of range: choose {} to {}", range.start(), range.end()));
        }
    }

    /// A duration within bounds.
    pub(crate) fn duration(&mut self, path: Path, value: Duration, range: RangeInclusive<Duration>) {
        if !range.contains(&value) {
            self.add(path, format!("{value} is out of range: choose {} to {}", range.start(), range.end()));
        }
    }

    /// The name of a class, a group, a task: something the database keeps in a `varchar(255)`.
    pub(crate) fn name(&mut self, path: Path, what: &str, name: &str) {
        let chars = name.chars().count();
        if name.trim().is_empty() {
            self.add(path, format!("{what} is empty"));
        } else if chars > MAX_NAME_CHARS {
            self.add(path, format!("{what} has {chars} characters; the database holds {MAX_NAME_CHARS}"));
        } else if let Some(control) = name.chars().find(|c| c.is_control()) {
            self.add(path, format!("{what} has the control character {control:?}"));
        } else if name.trim() != name {
            self.add(path, format!("{what} has spaces around it: say {:?}", name.trim()));
        }
    }

    /// A program and its arguments.
    pub(crate) fn command(&mut self, path: Path, words: &[String]) {
        if words.first().is_none_or(|program| program.trim().is_empty()) {
            self.add(path, "names no program: say [python, worker.py], a word each");
        } else if words.len() > MAX_COMMAND_WORDS {
            self.add(path, format!("has {} words; at most {MAX_COMMAND_WORDS} are possible", words.len()));
        } else if let Some(position) = words.iter().position(|word| word.contains('\0')) {
            self.add(path.index(position), "has a NUL character, which no program can be given");
        } else if let [only] = words
            && only.contains(' ')
        {
            // A shell would split it; we start the program itself, and would look for one with a space in its name.
            let split: Vec<_> = only.split_whitespace().collect();
            self.add(path, format!("is one word with spaces, and no shell splits it: say [{}]", split.join(", ")));
        }
    }

    /// A list that is not too long, its elements told apart by `key`.
    pub(crate) fn list<'a, T>(
        &mut self,
        path: &Path,
        list: &'a [T],
        max: usize,
        key: impl Fn(&'a T) -> (&'static str, &'a str),
    ) {
        if list.len() > max {
            self.add(path.clone(), format!("has {} entries; at most {max} are possible", list.len()));
        }
        let mut seen = HashMap::new();
        for (position, element) in list.iter().enumerate() {
            let (field, value) = key(element);
            if let Some(first) = seen.insert(value, position) {
                seen.insert(value, first);
                let place = path.index(position);
                let place = if field.is_empty() { place } else { place.field(field) };
                self.add(place, format!("{value} is listed already, at {}", path.index(first)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(check: impl FnOnce(&mut Violations, Path)) -> Vec<String> {
        let mut found = Violations::default();
        check(&mut found, Path::root().field("at"));
        found.into_vec().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn bounds_are_named() {
        assert_eq!(messages(|v, at| v.number(at, 0, 1..=1000)), ["at: 0 is out of range: choose 1 to 1000"]);
        assert!(messages(|v, at| v.number(at, 1000, 1..=1000)).is_empty());
        let range = Duration::from_millis(1)..=Duration::from_mins(60);
        assert_eq!(
            messages(|v, at| v.duration(at, Duration::ZERO, range)),
            ["at: 0s is out of range: choose 1ms to 1h"]
        );
    }

    #[test]
    fn a_command_is_words() {
        let words = |words: &[&str]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert!(messages(|v, at| v.command(at, &words(&["sh", "-c", "a b"]))).is_empty());
        assert!(messages(|v, at| v.command(at, &[]))[0].contains("names no program"));
        assert!(messages(|v, at| v.command(at, &words(&["", "x"])))[0].contains("names no program"));
        assert!(messages(|v, at| v.command(at, &words(&["python worker.py"])))[0].ends_with("say [python, worker.py]"));
        assert!(messages(|v, at| v.command(at, &words(&["x", "a\0"])))[0].starts_with("at[1]"));
    }

    #[test]
    fn what_is_listed_twice_names_the_first_place() {
        let list = ["a", "b", "a", "a"];
        let found = messages(|v, at| v.list(&at, &list, 3, |name| ("class", name)));
        assert_eq!(found[0], "at: has 4 entries; at most 3 are possible");
        assert_eq!(found[1], "at[2].class: a is listed already, at at[0]");
        assert_eq!(found[2], "at[3].class: a is listed already, at at[0]");
    }

    #[test]
    fn names_fit_the_database() {
        for (name, expected) in [("", "is empty"), (" a", "say \"a\""), ("a\n", "control character")] {
            assert!(messages(|v, at| v.name(at, "the class", name))[0].contains(expected));
        }
        assert!(messages(|v, at| v.name(at, "the class", &"ü".repeat(255))).is_empty());
        assert!(messages(|v, at| v.name(at, "the class", &"ü".repeat(256)))[0].contains("256"));
    }
}
