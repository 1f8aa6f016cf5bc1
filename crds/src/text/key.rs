//! What a concurrency limit counts by: `args[0].account_id`.

use std::fmt;
use std::str::FromStr;

use super::key_parser::{self, KeyExpressionError, KeyPart};
use super::{Text, serde_as_text};

/// An expression that makes a limit's key of a job's arguments.
///
/// `args[0]` is the first argument, `args[0].account_id` a field of it, `args[1].ids[0]` the first of a list in it, `'eu'` a
/// constant; several are joined by `/`. Arguments are the plain JSON that a handler is given. A job whose argument is null or missing is
/// not limited, as in Solid Queue; one whose argument is a list or an object is refused. Whoever enqueues makes the key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyExpression {
    text: String,
    parts: Vec<KeyPart>,
}

impl KeyExpression {
    /// The expression as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What it is made of, joined by `/`.
    pub fn parts(&self) -> &[KeyPart] {
        &self.parts
    }
}

impl fmt::Display for KeyExpression {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}

impl FromStr for KeyExpression {
    type Err = KeyExpressionError;

    fn from_str(written: &str) -> Result<Self, KeyExpressionError> {
        let text = written.trim();
        Ok(Self { text: text.to_owned(), parts: key_parser::parse(text)? })
    }
}

impl Text for KeyExpression {
    const EXPECTED: &'static str = "a key such as args[0] or args[0].id";

    fn instead_of_number(number: &str) -> Option<String> {
        Some(format!(
            "{number} is not a key: the argument at that position is args[{number}], a constant is \"'{number}'\""
        ))
    }
}

serde_as_text!(KeyExpression);
