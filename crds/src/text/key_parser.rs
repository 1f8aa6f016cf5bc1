//! The grammar of a limit's key.
//!
//! ```text
//! key      = part { "/" part }
//! part     = constant | argument
//! constant = "'" any characters but "'" and control characters "'"
//! argument = "args" "[" number "]" { "." name | "[" number "]" }
//! name     = letters, digits, "_" and "-"
//! ```
//!
//! Constants take quotes so that a misspelt argument (`account_id`, `arg[0]`) is an error and not one limit for everything.

/// A part of a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeyPart {
    /// Text that is the same for every job.
    Constant(String),
    /// The job's argument number `index`, and the way into it.
    Argument {
        /// Counted from 0.
        index: usize,
        /// Empty: the argument itself.
        steps: Vec<KeyStep>,
    },
}

/// A step into an argument.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeyStep {
    /// Into an object.
    Field(String),
    /// Into a list, counted from 0.
    Index(usize),
}

/// Why a text is not a [`KeyExpression`](super::KeyExpression), and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyExpressionError {
    /// There is nothing to read.
    #[error("the key is empty: say args[0], or leave it out to limit the whole class")]
    Empty,
    /// Longer than the database's column, though it may only name a value.
    #[error("the key has {0} characters; at most {max} are possible", max = super::MAX_NAME_CHARS)]
    TooLong(usize),
    /// Nothing before, after or between slashes.
    #[error("`{0}` has an empty part: parts are joined by one `/`, as in args[0]/args[1].id")]
    EmptyPart(String),
    /// `args` or `args.name`.
    #[error("`{0}`: args is the list of all arguments: say which one, as in args[0]{rest}", rest = .0.strip_prefix("args").unwrap_or_default())]
    WholeList(String),
    /// A word that is not `args`.
    #[error("`{0}` is not an argument: arguments are args[0], args[0].id, and a constant is in quotes, '{constant}'", constant = .0.replace('\'', ""))]
    NotArgument(String),
    /// Something wrong after `args[0]`.
    #[error(
        "`{0}`: can't read `{1}`: go into an argument with .name or [0], names having letters, digits, `_` and `-`"
    )]
    BadStep(String, String),
    /// An index that isn't a small whole number.
    #[error("`{0}`: `[{1}]` is not a position: count from 0, up to {MAX_INDEX}")]
    BadIndex(String, String),
    /// A quote without its partner, or with something else behind it.
    #[error("`{0}`: a constant is in single quotes and ends its part, as in 'eu'/args[0]")]
    BadConstant(String),
}

/// The highest position in a list that a key may name.
const MAX_INDEX: usize = 999;

pub(super) fn parse(text: &str) -> Result<Vec<KeyPart>, KeyExpressionError> {
    if text.is_empty() {
        return Err(KeyExpressionError::Empty);
    }
    let chars = text.chars().count();
    if chars > super::MAX_NAME_CHARS {
        return Err(KeyExpressionError::TooLong(chars));
    }
    let mut parts = Vec::new();
    let mut rest = Some(text);
    while let Some(from) = rest {
        let (part, after) = match from.strip_prefix('\'') {
            Some(quoted) => constant(from, quoted)?,
            None => match from.split_once('/') {
                Some((part, after)) => (argument(text, part)?, Some(after)),
                None => (argument(text, from)?, None),
            },
        };
        parts.push(part);
        rest = after;
    }
    Ok(parts)
}

fn constant<'a>(whole: &str, quoted: &'a str) -> Result<(KeyPart, Option<&'a str>), KeyExpressionError> {
    let bad = || KeyExpressionError::BadConstant(whole.to_owned());
    let (constant, after) = quoted.split_once('\'').ok_or_else(bad)?;
    if constant.is_empty() || constant.contains(char::is_control) {
        return Err(bad());
    }
    let after = match after.strip_prefix('/') {
        Some(after) => Some(after),
        None if after.is_empty() => None,
        None => return Err(bad()),
    };
    Ok((KeyPart::Constant(constant.to_owned()), after))
}

fn argument(whole: &str, part: &str) -> Result<KeyPart, KeyExpressionError> {
    let part = part.trim();
    if part.is_empty() {
        return Err(KeyExpressionError::EmptyPart(whole.to_owned()));
    }
    let Some(mut rest) = part.strip_prefix("args").filter(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    else {
        return Err(KeyExpressionError::NotArgument(part.to_owned()));
    };
    let mut steps = Vec::new();
    while !rest.is_empty() {
        let (step, after) = step(part, rest)?;
        steps.push(step);
        rest = after;
    }
    match steps.first() {
        Some(&KeyStep::Index(index)) => {
            steps.remove(0);
            Ok(KeyPart::Argument { index, steps })
        }
        Some(KeyStep::Field(_)) | None => Err(KeyExpressionError::WholeList(part.to_owned())),
    }
}

fn step<'a>(part: &str, rest: &'a str) -> Result<(KeyStep, &'a str), KeyExpressionError> {
    let bad = || KeyExpressionError::BadStep(part.to_owned(), rest.to_owned());
    if let Some(bracket) = rest.strip_prefix('[') {
        let (inside, after) = bracket.split_once(']').ok_or_else(bad)?;
        let index =
            inside.parse().ok().filter(|index| *index <= MAX_INDEX && inside.bytes().all(|b| b.is_ascii_digit()));
        return match index {
            Some(index) => Ok((KeyStep::Index(index), after)),
            None => Err(KeyExpressionError::BadIndex(part.to_owned(), inside.to_owned())),
        };
    }
    let name = rest.strip_prefix('.').ok_or_else(bad)?;
    let end = name.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '-')).unwrap_or(name.len());
    match name.split_at(end) {
        ("", _) => Err(bad()),
        (name, after) => Ok((KeyStep::Field(name.to_owned()), after)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keys_are_read() {
        let argument = |index, steps: &[KeyStep]| KeyPart::Argument { index, steps: steps.to_vec() };
        let id = KeyStep::Field("account_id".to_owned());
        assert_eq!(parse("args[0]"), Ok(vec![argument(0, &[])]));
        assert_eq!(parse("args[2].account_id[1]"), Ok(vec![argument(2, &[id.clone(), KeyStep::Index(1)])]));
        assert_eq!(
            parse("'eu/west'/args[0].account_id"),
            Ok(vec![KeyPart::Constant("eu/west".to_owned()), argument(0, &[id])])
        );
    }

    #[test]
    fn what_is_not_a_key_says_what_to_write() {
        let long = "x".repeat(256);
        for (text, expected) in [
            ("", "the key is empty"),
            ("/", "empty part"),
            ("args[0]/", "empty part"),
            ("args[0]//args[1]", "empty part"),
            ("args", "say which one, as in args[0]"),
            ("args.id", "say which one, as in args[0].id"),
            ("account_id", "a constant is in quotes, 'account_id'"),
            ("arg[0]", "arguments are args[0]"),
            ("arguments[0]", "arguments are args[0]"),
            ("argsx", "arguments are args[0]"),
            ("args[-1]", "`[-1]` is not a position"),
            ("args[+1]", "`[+1]` is not a position"),
            ("args[x]", "`[x]` is not a position"),
            ("args[1000]", "is not a position"),
            ("args[0", "can't read `[0`"),
            ("args[0].", "can't read `.`"),
            ("args[0]x", "can't read `x`"),
            ("args[0].a b", "can't read ` b`"),
            ("'eu", "single quotes"),
            ("''", "single quotes"),
            ("'eu'x", "single quotes"),
            ("'a\0'", "single quotes"),
            (long.as_str(), "has 256 characters"),
        ] {
            let error = parse(text).expect_err(text).to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "(args|\\[|\\]|[0-9]|\\.|/|'|.){0,12}") {
            let _ = parse(&text);
        }
    }
}
