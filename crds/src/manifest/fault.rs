//! The error that serde's types meet while a tree is decoded.

use std::fmt;

use serde::de;

use crate::nearest::suggestion;
use crate::path::Path;

/// What is wrong with a value, and, once the decoder has said so, where.
#[derive(Debug)]
pub(super) struct Fault {
    what: What,
    at: Option<Path>,
}

#[derive(Debug)]
enum What {
    /// Anything else.
    Message(String),
    /// The object has no such field.
    Missing(&'static str),
    /// The object has a field that its type doesn't know.
    Unknown { field: String, known: &'static [&'static str] },
}

/// A fault with its place: what a reader is told, and what has to be left out to go on.
pub(super) struct Located {
    pub(super) path: Path,
    pub(super) message: String,
    pub(super) leave_out: Path,
    /// The field that an unknown one was perhaps meant to be.
    pub(super) meant: Option<Path>,
}

impl Fault {
    /// The same fault, at `path` if it has no place yet: the first decoder that it passes is the innermost.
    pub(super) fn at(mut self, path: &Path) -> Self {
        self.at.get_or_insert_with(|| path.clone());
        self
    }

    pub(super) fn locate(self) -> Located {
        let at = self.at.unwrap_or_default();
        match self.what {
            What::Message(message) => Located { path: at.clone(), message, leave_out: at, meant: None },
            What::Missing(field) => {
                Located { path: at.field(field), message: "is missing".to_owned(), leave_out: at, meant: None }
            }
            What::Unknown { field, known } => unknown_field(&at, &field, known),
        }
    }
}

/// A field that its object doesn't know.
pub(super) fn unknown_field(at: &Path, field: &str, known: &[&str]) -> Located {
    let path = at.field(field);
    let meant = crate::nearest::nearest(field, known.iter().copied()).map(|name| at.field(name));
    let message = format!("unknown field; {}", suggestion(field, known));
    Located { leave_out: path.clone(), path, message, meant }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.what {
            What::Message(message) => out.write_str(message),
            What::Missing(field) => write!(out, "{field} is missing"),
            What::Unknown { field, known } => write!(out, "unknown field {field}; {}", suggestion(field, known)),
        }
    }
}

impl std::error::Error for Fault {}

impl From<What> for Fault {
    fn from(what: What) -> Self {
        Self { what, at: None }
    }
}

impl de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        What::Message(message.to_string()).into()
    }

    fn invalid_type(unexpected: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let expected = expected.to_string();
        let expected = plain_words(&expected);
        What::Message(format!("expected {expected}, found {}{}", found(unexpected), quoting(unexpected, expected)))
            .into()
    }

    fn invalid_value(unexpected: de::Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        let expected = expected.to_string();
        What::Message(format!("expected {}, found {}", plain_words(&expected), found(unexpected))).into()
    }

    fn unknown_variant(variant: &str, known: &'static [&'static str]) -> Self {
        let choices = known.join(", ");
        let nearest = crate::nearest::nearest(variant, known.iter().copied());
        let hint = nearest.map(|name| format!("; did you mean {name}?")).unwrap_or_default();
        What::Message(format!("`{variant}` is none of {choices}{hint}")).into()
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        What::Unknown { field: field.to_owned(), known }.into()
    }

    fn missing_field(field: &'static str) -> Self {
        What::Missing(field).into()
    }
}

/// What serde calls a type, as a reader of YAML would.
fn plain_words(expected: &str) -> &str {
    match expected {
        "i32" => "a whole number below 2^31",
        "i64" => "a whole number",
        "f64" => "a number",
        "a boolean" => "true or false",
        "a string" => "a text",
        "a sequence" => "a list",
        other => other,
    }
}

fn found(unexpected: de::Unexpected<'_>) -> String {
    match unexpected {
        de::Unexpected::Bool(flag) => flag.to_string(),
        de::Unexpected::Unsigned(number) => format!("the number {number}"),
        de::Unexpected::Signed(number) => format!("the number {number}"),
        de::Unexpected::Float(number) => format!("the number {number}"),
        de::Unexpected::Str(text) => format!("the text {text:?}"),
        de::Unexpected::Unit | de::Unexpected::Option => "nothing".to_owned(),
        de::Unexpected::Seq => "a list".to_owned(),
        de::Unexpected::Map => "fields".to_owned(),
        other => other.to_string(),
    }
}

/// A hint for what only quotes too many or too few got wrong.
fn quoting(unexpected: de::Unexpected<'_>, expected: &str) -> String {
    let wants_text = !expected.contains("number") && !expected.contains("true or false");
    match unexpected {
        // The word may have been yes, no, on or off, which YAML has for true and false.
        de::Unexpected::Bool(_) if wants_text => "; put the word in quotes to have it as text".to_owned(),
        de::Unexpected::Unsigned(_) | de::Unexpected::Signed(_) | de::Unexpected::Float(_) if wants_text => {
            "; put it in quotes to have it as text".to_owned()
        }
        de::Unexpected::Str(text) if !wants_text && (text.parse::<f64>().is_ok() || text.parse::<bool>().is_ok()) => {
            "; write it without quotes".to_owned()
        }
        _ => String::new(),
    }
}
