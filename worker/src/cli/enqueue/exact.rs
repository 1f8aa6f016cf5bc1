//! Reading JSON so that nothing changes by the way: a number that no machine type holds is refused, not rounded.

use gritstone_store::MAX_NESTING;
use serde_json::{Number, Value};

/// Why a text was not read.
#[derive(Debug)]
pub(super) enum Unread {
    /// It is not JSON, or none that can be kept.
    Json(serde_json::Error),
    /// What is wrong with it as a job.
    Refused(String),
}

/// Reads a text, which may be nested as deep as arguments may, and `around` them.
pub(super) fn read(text: &str, around: usize) -> Result<Value, Unread> {
    // serde_json gives up at 128, with an error that says nothing of arguments.
    if nesting(text) > MAX_NESTING + around {
        return Err(Unread::Refused(format!(
            "the arguments are nested deeper than {MAX_NESTING} arrays and objects, which is the most that workers read"
        )));
    }
    let mut value = serde_json::from_str(text).map_err(|error| match error.to_string() {
        out_of_range if out_of_range.starts_with("number out of range") => {
            Unread::Refused(numbers(text).find_map(|written| exact(written).err()).unwrap_or(out_of_range))
        }
        _ => Unread::Json(error),
    })?;
    let exact = numbers(text).map(exact).collect::<Result<Vec<Number>, String>>().map_err(Unread::Refused)?;
    if count(&value) != exact.len() {
        return Err(Unread::Refused("an object has a key twice".into()));
    }
    correct(&mut value, &mut exact.into_iter());
    Ok(value)
}

/// How many numbers there are.
fn count(value: &Value) -> usize {
    match value {
        Value::Number(_) => 1,
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(map) => map.values().map(count).sum(),
        Value::Null | Value::Bool(_) | Value::String(_) => 0,
    }
}

/// Puts numbers in place of those that were read, in order: serde_json may read a fraction wrong in its last digit.
fn correct(value: &mut Value, exact: &mut impl Iterator<Item = Number>) {
    match value {
        Value::Number(number) => {
            if let Some(exact) = exact.next() {
                *number = exact;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| correct(item, exact)),
        Value::Object(map) => map.values_mut().for_each(|value| correct(value, exact)),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// What stands outside of texts in a JSON text.
fn bare(text: &str) -> impl Iterator<Item = (usize, u8)> + '_ {
    let (mut quoted, mut escaped) = (false, false);
    text.bytes().enumerate().filter(move |(_, byte)| {
        let inside = quoted;
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ => {}
        }
        !inside && *byte != b'"'
    })
}

/// How many arrays and objects are open at most.
fn nesting(text: &str) -> usize {
    let (mut open, mut most) = (0_usize, 0);
    for (_, byte) in bare(text) {
        match byte {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        most = most.max(open);
    }
    most
}

/// The numbers of a JSON text, as they are written.
fn numbers(text: &str) -> impl Iterator<Item = &str> {
    let mut beyond = 0;
    let starts = bare(text).filter(|(_, byte)| matches!(byte, b'-' | b'0'..=b'9'));
    starts.filter_map(move |(start, _)| {
        if start < beyond {
            return None;
        }
        let length =
            text[start..].bytes().take_while(|byte| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9'));
        beyond = start + length.count();
        Some(&text[start..beyond])
    })
}

/// A number as it is kept, if that is the same one; else what to say.
fn exact(written: &str) -> Result<Number, String> {
    let whole = written.parse::<i64>().map(Number::from).or_else(|_| written.parse::<u64>().map(Number::from)).ok();
    let kept = whole.or_else(|| Number::from_f64(written.parse().ok()?));
    let is_exact = |kept: &Number| {
        let became_a_fraction = kept.is_f64() && !written.contains(['.', 'e', 'E']);
        !became_a_fraction && decimal(written) == decimal(&kept.to_string())
    };
    match kept {
        Some(kept) if is_exact(&kept) => Ok(kept),
        kept => {
            let becomes = kept.map_or_else(String::new, |kept| format!(": it would become {kept}"));
            let written = if written.len() > 60 { "with so many digits" } else { written };
            Err(format!("the number {written} can't be kept digit by digit{becomes}; give it as a text"))
        }
    }
}

/// A number's digits without zeros at either end, and its power of ten: equal for equal numbers, whatever they look like.
fn decimal(number: &str) -> (bool, String, i64) {
    let (sign, number) = match number.strip_prefix('-') {
        Some(number) => (true, number),
        None => (false, number),
    };
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let kept = digits.trim_end_matches('0');
    let zeros = (digits.len() - kept.len()) as i64 - fraction.len() as i64;
    let kept = kept.trim_start_matches('0');
    if kept.is_empty() {
        return (false, String::new(), 0);
    }
    (sign, kept.to_owned(), exponent.parse::<i64>().unwrap_or(i64::MAX).saturating_add(zeros))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refused(text: &str) -> Option<String> {
        match read(text, 0) {
            Err(Unread::Refused(what)) => Some(what),
            _ => None,
        }
    }

    #[test]
    fn numbers_that_machines_hold_are_read_however_they_are_written() {
        for text in [
            "0",
            "-0.0",
            "1.10",
            "1e2",
            "1E+2",
            "1.5e-7",
            "18446744073709551615",
            "-9223372036854775808",
            "0.1",
            "100.000",
            "5e-324",
            "1.7976931348623157e308",
            r#"["12345678901234567890123", {"1e999": "0.12345678901234567890123"}]"#,
            r#"["\"", 1]"#,
        ] {
            assert_eq!(refused(text), None, "{text}");
            assert!(read(text, 0).is_ok(), "{text}");
        }
    }

    #[test]
    fn numbers_that_would_be_rounded_are_refused() {
        for text in [
            "12345678901234567890123",
            "18446744073709551616",
            "-9223372036854775809",
            "100000000000000000000",
            "0.12345678901234567890123",
            "1e999",
            "1e-999",
            "0.10000000000000000001",
            "9007199254740993.0",
        ] {
            let nested = format!(r#"{{"a": ["x", 1, {text}]}}"#);
            assert!(refused(&nested).is_some_and(|what| what.contains(text)), "{text}");
        }
        assert_eq!(
            refused("[12345678901234567890123]").unwrap(),
            "the number 12345678901234567890123 can't be kept digit by digit: it would become 1.2345678901234568e+22; give it as \
             a text"
        );
    }

    #[test]
    fn a_key_that_is_there_twice_loses_no_number() {
        assert!(refused(r#"{"a": 1, "a": 2}"#).is_some());
    }

    #[test]
    fn nesting_is_counted_outside_of_texts() {
        assert_eq!(nesting(r#"[["[[[[", "\"[[["], {"a[": [1]}]"#), 3);
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(read(&deep(MAX_NESTING), 0).is_ok());
        assert!(refused(&deep(MAX_NESTING + 1)).unwrap().contains("nested"));
        assert!(read(&deep(MAX_NESTING + 1), 1).is_ok());
        assert!(refused(&deep(1_000_000)).is_some());
    }

    proptest! {
        #[test]
        fn what_is_written_out_is_read_back(number in prop_oneof![
            any::<i64>().prop_map(|n| n.to_string()),
            any::<u64>().prop_map(|n| n.to_string()),
            any::<f64>().prop_filter("JSON has no others", |n| n.is_finite()).prop_map(|n| Value::from(n).to_string()),
        ]) {
            prop_assert_eq!(read(&number, 0).map_err(|_| ()).map(|value| value.to_string()), Ok(number));
        }

        #[test]
        fn no_text_is_too_odd(text in ".*") {
            let _ = read(&text, 0);
        }
    }
}
