//! `512Mi`: an amount of memory.

use std::fmt;
use std::str::FromStr;

use super::{Text, serde_as_text};

/// An amount of memory in bytes, written as a Kubernetes quantity: `512Mi`, `1.5Gi`, `500M`, or bytes alone.
///
/// A fraction of a byte is rounded up, as Kubernetes does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Memory(u64);

const UNITS: [(&str, u64); 9] = [
    ("Ti", 1 << 40),
    ("Gi", 1 << 30),
    ("Mi", 1 << 20),
    ("Ki", 1 << 10),
    ("T", 1_000_000_000_000),
    ("G", 1_000_000_000),
    ("M", 1_000_000),
    ("k", 1_000),
    ("", 1),
];

/// Digits after the point that are read; nobody writes more, and the sum below can't overflow with these.
const MAX_DECIMALS: usize = 9;

/// Why a text is not a [`Memory`], and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemoryError {
    /// It does not start with a number.
    #[error("`{0}` is not an amount of memory: say 512Mi or 2Gi")]
    NotANumber(String),
    /// A unit that isn't one.
    #[error(
        "`{text}`: `{unit}` is not a unit of memory{}; the units are Ki, Mi, Gi, Ti (1024) and k, M, G, T (1000)",
        hint(unit)
    )]
    Unit {
        /// The whole text.
        text: String,
        /// What stands where a unit should.
        unit: String,
    },
    /// More than an `i64` of bytes, as Kubernetes has it.
    #[error("`{0}` is more memory than there is")]
    TooMuch(String),
}

fn hint(unit: &str) -> String {
    if unit == "m" {
        return " (Kubernetes reads `m` as thousandths of a byte); did you mean `M` or `Mi`?".to_owned();
    }
    let first = unit.trim().chars().next().map(|c| c.to_ascii_uppercase());
    match first.filter(|c| "KMGT".contains(*c)) {
        Some(letter) => format!(", did you mean `{letter}i`?"),
        None => String::new(),
    }
}

impl Memory {
    /// So many bytes.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// So many mebibytes (`Mi`).
    pub const fn from_mebibytes(mebibytes: u32) -> Self {
        Self((mebibytes as u64) << 20)
    }

    /// The whole of it in bytes.
    pub const fn as_bytes(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = UNITS.iter().find(|(_, size)| self.0 > 0 && self.0.is_multiple_of(*size));
        let (unit, size) = exact.copied().unwrap_or(("", 1));
        write!(out, "{}{unit}", self.0 / size)
    }
}

impl FromStr for Memory {
    type Err = MemoryError;

    fn from_str(written: &str) -> Result<Self, MemoryError> {
        let text = written.trim();
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
        if whole.is_empty() || decimals.is_empty() || decimals.contains('.') || decimals.len() > MAX_DECIMALS {
            return Err(MemoryError::NotANumber(text.to_owned()));
        }
        let Some((_, size)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(MemoryError::Unit { text: text.to_owned(), unit: unit.to_owned() });
        };
        bytes(whole, decimals, *size).map(Self).ok_or_else(|| MemoryError::TooMuch(text.to_owned()))
    }
}

/// `None` when it is more than Kubernetes can hold.
fn bytes(whole: &str, decimals: &str, size: u64) -> Option<u64> {
    let scale = 10_u128.pow(u32::try_from(decimals.len()).ok()?);
    let part = decimals.parse::<u128>().ok()? * u128::from(size);
    let total = u128::from(whole.parse::<u64>().ok()?) * u128::from(size) + part.div_ceil(scale);
    u64::try_from(total).ok().filter(|bytes| i64::try_from(*bytes).is_ok())
}

impl Text for Memory {
    const EXPECTED: &'static str = "an amount of memory such as 512Mi";

    fn instead_of_number(number: &str) -> Option<String> {
        Some(format!("`{number}` has no unit: say {number}Mi, or \"{number}\" in quotes for bytes"))
    }
}

serde_as_text!(Memory);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quantities_are_read_as_kubernetes_reads_them() {
        for (text, bytes) in [
            ("512Mi", 512 << 20),
            ("1Gi", 1 << 30),
            ("1.5Gi", 3 << 29),
            ("500M", 500_000_000),
            ("100k", 100_000),
            ("536870912", 536_870_912),
            ("0.1", 1),
            ("2Ti", 2 << 40),
        ] {
            assert_eq!(text.parse(), Ok(Memory::from_bytes(bytes)), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_quantity_is_told_what_to_say() {
        for (text, expected) in [
            ("", "say 512Mi"),
            ("lots", "say 512Mi"),
            (".5Gi", "say 512Mi"),
            ("1.2.3Gi", "say 512Mi"),
            ("-1Mi", "say 512Mi"),
            ("512MB", "did you mean `Mi`?"),
            ("512 Mi", "did you mean `Mi`?"),
            ("512mi", "did you mean `Mi`?"),
            ("512m", "thousandths"),
            ("512Pi", "the units are"),
            ("9999999Ti", "more memory than there is"),
            ("99999999999999999999", "more memory than there is"),
        ] {
            let error = text.parse::<Memory>().expect_err(text).to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(bytes in 0..=u64::MAX >> 1, shift in 0..40_u32) {
            let memory = Memory::from_bytes(bytes >> shift << (shift / 2));
            prop_assert_eq!(memory.to_string().parse::<Memory>(), Ok(memory));
        }
    }
}
