//! The Ruby that is understood: values out of the environment, and what stands in for them when they are missing.
//!
//! `ENV.fetch("JOB_CONCURRENCY", 1)`, `ENV["X"] || 3`, `ENV.fetch("X") { 3 }`, `Integer(ENV["X"])`, `(ENV["X"] || "3").to_i`.
//! Nothing is ever evaluated that isn't one of these.

use std::fmt;

use super::Variables;

/// What an expression says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expression {
    Literal(Scalar),
    /// `ENV["name"]`, nothing when it isn't set.
    Variable(String),
    /// `ENV.fetch("name", otherwise)`; an error when it isn't set and nothing stands in for it.
    Fetch(String, Option<Box<Expression>>),
    /// `one || other`.
    Or(Box<Expression>, Box<Expression>),
    /// `value.to_i` and the like.
    Call(Box<Expression>, Method),
    /// `Integer(value)`: unlike `to_i` not content with something else than a number.
    Strict(Box<Expression>, Method),
}

/// A value of Ruby's.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Scalar {
    Nothing,
    Flag(bool),
    Whole(i64),
    Decimal(f64),
    Text(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Integer,
    Float,
    Text,
    Presence,
}

impl Method {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "to_i" => Self::Integer,
            "to_f" => Self::Float,
            "to_s" => Self::Text,
            "presence" => Self::Presence,
            _ => return None,
        })
    }
}

/// As ERB writes it.
impl fmt::Display for Scalar {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => Ok(()),
            Self::Flag(flag) => write!(out, "{flag}"),
            Self::Whole(number) => write!(out, "{number}"),
            // With a decimal point in any case.
            Self::Decimal(number) => write!(out, "{number:?}"),
            Self::Text(text) => out.write_str(text),
        }
    }
}

impl Expression {
    /// Reads one; `None` when it is any other Ruby.
    pub(super) fn parse(code: &str) -> Option<Self> {
        let mut rest = Rest(code);
        let expression = rest.expression()?;
        rest.0.trim().is_empty().then_some(expression)
    }

    /// Its value. `used` is called with each variable that was asked for.
    ///
    /// # Errors
    /// What Ruby would raise, for people.
    pub(super) fn value(&self, variables: &Variables<'_>, used: &mut impl FnMut(&str)) -> Result<Scalar, String> {
        let mut variable = |name: &str| {
            used(name);
            variables(name)
        };
        Ok(match self {
            Self::Literal(scalar) => scalar.clone(),
            Self::Variable(name) => variable(name).map_or(Scalar::Nothing, Scalar::Text),
            Self::Fetch(name, otherwise) => match (variable(name), otherwise) {
                (Some(text), _) => Scalar::Text(text),
                (None, Some(otherwise)) => otherwise.value(variables, used)?,
                (None, None) => {
                    return Err(format!("the environment has no {name}, and nothing here stands in for it: set it"));
                }
            },
            Self::Or(one, other) => match one.value(variables, used)? {
                Scalar::Nothing | Scalar::Flag(false) => other.value(variables, used)?,
                value => value,
            },
            Self::Call(value, method) => call(value.value(variables, used)?, *method),
            Self::Strict(value, method) => strict(value.value(variables, used)?, *method)?,
        })
    }
}

fn call(value: Scalar, method: Method) -> Scalar {
    match (method, value) {
        (Method::Integer, Scalar::Text(text)) => Scalar::Whole(leading(&text, false).parse().unwrap_or(0)),
        (Method::Integer, Scalar::Decimal(number)) => Scalar::Whole(number as i64),
        (Method::Integer, Scalar::Nothing) => Scalar::Whole(0),
        (Method::Float, Scalar::Text(text)) => Scalar::Decimal(leading(&text, true).parse().unwrap_or(0.0)),
        (Method::Float, Scalar::Whole(number)) => Scalar::Decimal(number as f64),
        (Method::Float, Scalar::Nothing) => Scalar::Decimal(0.0),
        (Method::Text, value) => Scalar::Text(value.to_string()),
        (Method::Presence, Scalar::Text(text)) if text.trim().is_empty() => Scalar::Nothing,
        (_, value) => value,
    }
}

fn strict(value: Scalar, method: Method) -> Result<Scalar, String> {
    let (number, what) = match (method, &value) {
        (Method::Integer, Scalar::Text(text)) => (digits(text).parse().ok().map(Scalar::Whole), "whole number"),
        (_, Scalar::Text(text)) => (digits(text).parse().ok().map(Scalar::Decimal), "number"),
        (_, Scalar::Nothing) => (None, "number"),
        _ => (Some(call(value, method)), "number"),
    };
    // Not the value: it may be something that is nobody's business.
    number.ok_or_else(|| format!("what the environment has here is not a {what}"))
}

/// What of a text Ruby takes for a number: the digits that it begins with.
fn leading(text: &str, decimal: bool) -> String {
    let text = text.trim_start();
    let (mut end, mut point) = (0, !decimal);
    for (at, c) in text.char_indices() {
        let goes_on = c.is_ascii_digit() || c == '_' && end > 0 || at == 0 && matches!(c, '+' | '-');
        if !goes_on && (point || c != '.') {
            break;
        }
        point |= c == '.';
        end = at + c.len_utf8();
    }
    digits(text[..end].trim_end_matches('.'))
}

fn digits(text: &str) -> String {
    text.trim().replace('_', "")
}

/// What is left to be read.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn expression(&mut self) -> Option<Expression> {
        let mut expression = self.value()?;
        while self.takes("||") {
            expression = Expression::Or(Box::new(expression), Box::new(self.value()?));
        }
        Some(expression)
    }

    /// Something and the methods that are called on it.
    fn value(&mut self) -> Option<Expression> {
        let mut value = self.primary()?;
        while self.takes(".") {
            value = Expression::Call(Box::new(value), Method::of(self.word()?)?);
        }
        Some(value)
    }

    fn primary(&mut self) -> Option<Expression> {
        self.0 = self.0.trim_start();
        let first = self.0.chars().next()?;
        if first == '(' {
            return self.in_parentheses();
        }
        if matches!(first, '"' | '\'') {
            return self.quoted().map(|text| Expression::Literal(Scalar::Text(text)));
        }
        if first.is_ascii_digit() || first == '-' {
            return self.number().map(Expression::Literal);
        }
        let literal = |scalar| Some(Expression::Literal(scalar));
        match self.word()? {
            "ENV" => self.variable(),
            "Integer" => Some(Expression::Strict(Box::new(self.in_parentheses()?), Method::Integer)),
            "Float" => Some(Expression::Strict(Box::new(self.in_parentheses()?), Method::Float)),
            "nil" => literal(Scalar::Nothing),
            "true" => literal(Scalar::Flag(true)),
            "false" => literal(Scalar::Flag(false)),
            _ => None,
        }
    }

    /// What stands behind `ENV`.
    fn variable(&mut self) -> Option<Expression> {
        if self.takes("[") {
            let name = self.quoted()?;
            return self.takes("]").then_some(Expression::Variable(name));
        }
        if !self.takes(".") || self.word()? != "fetch" || !self.takes("(") {
            return None;
        }
        let name = self.quoted()?;
        let mut otherwise = None;
        if self.takes(",") {
            otherwise = Some(Box::new(self.expression()?));
        }
        if !self.takes(")") {
            return None;
        }
        if otherwise.is_none() && self.takes("{") {
            otherwise = Some(Box::new(self.expression()?));
            if !self.takes("}") {
                return None;
            }
        }
        Some(Expression::Fetch(name, otherwise))
    }

    fn in_parentheses(&mut self) -> Option<Expression> {
        if !self.takes("(") {
            return None;
        }
        let expression = self.expression()?;
        self.takes(")").then_some(expression)
    }

    /// A text in quotes that is just what it says: without escapes, and without `#{}`.
    fn quoted(&mut self) -> Option<String> {
        let rest = self.0.trim_start();
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let (text, rest) = rest[1..].split_once(quote)?;
        if text.contains('\\') || text.contains("#{") {
            return None;
        }
        self.0 = rest;
        Some(text.to_owned())
    }

    fn number(&mut self) -> Option<Scalar> {
        let end = self.0.find(|c: char| !(c.is_ascii_digit() || matches!(c, '-' | '_' | '.'))).unwrap_or(self.0.len());
        let (text, rest) = self.0.split_at(end);
        // `3.to_i`
        let (text, rest) = match text.strip_suffix('.') {
            Some(text) => (text, &self.0[end - 1..]),
            None => (text, rest),
        };
        self.0 = rest;
        let text = digits(text);
        match text.contains('.') {
            true => text.parse().ok().map(Scalar::Decimal),
            false => text.parse().ok().map(Scalar::Whole),
        }
    }

    fn word(&mut self) -> Option<&'a str> {
        let rest = self.0.trim_start();
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let (word, rest) = rest.split_at(end);
        self.0 = rest;
        (!word.is_empty()).then_some(word)
    }

    fn takes(&mut self, token: &str) -> bool {
        match self.0.trim_start().strip_prefix(token) {
            Some(rest) => {
                self.0 = rest;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(code: &str) -> Result<String, String> {
        let variables = |name: &str| match name {
            "FIVE" => Some("5".to_owned()),
            "EMPTY" => Some(" ".to_owned()),
            "ODD" => Some("12 monkeys".to_owned()),
            "HALF" => Some("0.5s".to_owned()),
            _ => None,
        };
        let expression = Expression::parse(code).ok_or("other Ruby")?;
        expression.value(&variables, &mut |_| ()).map(|value| value.to_string())
    }

    #[test]
    fn values_come_out_of_the_environment_or_from_what_stands_in_for_them() {
        for (code, expected) in [
            (r#"ENV.fetch("FIVE", 1)"#, "5"),
            (r#" ENV.fetch( 'NONE' , 1 ) "#, "1"),
            (r#"ENV.fetch("NONE") { 3 }"#, "3"),
            (r#"ENV.fetch("NONE") { ENV["FIVE"] || 3 }"#, "5"),
            (r#"ENV.fetch("NONE", ENV.fetch("NEITHER", "*"))"#, "*"),
            (r#"ENV["FIVE"] || 3"#, "5"),
            (r#"ENV["NONE"] || ENV["NEITHER"] || 0.1"#, "0.1"),
            (r#"ENV["NONE"]"#, ""),
            (r#"ENV["EMPTY"] || 3"#, " "),
            (r#"ENV["EMPTY"].presence || 3"#, "3"),
            (r#"ENV["FIVE"].to_i"#, "5"),
            (r#"ENV["ODD"].to_i"#, "12"),
            (r#"ENV["HALF"].to_f"#, "0.5"),
            (r#"ENV["FIVE"].to_f"#, "5.0"),
            (r#"".5".to_f"#, "0.5"),
            (r#""5. ".to_f"#, "5.0"),
            (r#"" -3x".to_i"#, "-3"),
            (r#""x3".to_i"#, "0"),
            (r#"ENV["NONE"].to_i"#, "0"),
            (r#"(ENV["NONE"] || "7").to_i"#, "7"),
            (r#"Integer(ENV.fetch("FIVE", 3))"#, "5"),
            (r#"Float(ENV["NONE"] || 2)"#, "2.0"),
            (r#"ENV.fetch("NONE", "1_000").to_i.to_s"#, "1000"),
            (r#"false || nil || true"#, "true"),
            ("3", "3"),
            ("-1_000", "-1000"),
            ("3.to_f", "3.0"),
        ] {
            assert_eq!(value(code).as_deref(), Ok(expected), "{code}");
        }
    }

    #[test]
    fn what_ruby_would_raise_is_said_without_the_value() {
        assert!(value(r#"ENV.fetch("NONE")"#).expect_err("raises").contains("no NONE"));
        assert_eq!(
            value(r#"Integer(ENV["ODD"])"#).expect_err("raises"),
            "what the environment has here is not a whole number"
        );
        assert!(value(r#"Integer(ENV["NONE"])"#).is_err());
    }

    #[test]
    fn any_other_ruby_is_not_read() {
        for code in [
            "Etc.nprocessors",
            "`id`",
            "system('id')",
            r#"ENV.fetch("A", 1) * 2"#,
            r#"ENV.fetch("A", 1); 2"#,
            r##"ENV["A#{1}"]"##,
            r#"ENV["A\x41"]"#,
            r#"ENV["A"] ? 1 : 2"#,
            r#"ENV["A"]&.to_i"#,
            r#"ENV["A"].strip"#,
            "ENV.to_h",
            "ENV",
            "Rails.env",
            "",
            "3 -",
            "1.2.3",
            "--1",
        ] {
            assert_eq!(value(code), Err("other Ruby".to_owned()), "{code}");
        }
    }
}
