//! Values written as text in a manifest, as types that can't be wrong.
//!
//! Each has one parser (`FromStr`), one way of writing it (`Display`, which the parser reads back), an error that says what to
//! write instead, and serde built on those two. So whatever holds one of them need not check it again.

mod duration;
mod key;
mod key_parser;
mod memory;
mod queue;
mod queues;

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::{self, Deserializer, Visitor};

pub use duration::{Duration, DurationError};
pub use key::KeyExpression;
pub use key_parser::{KeyExpressionError, KeyPart, KeyStep};
pub use memory::{Memory, MemoryError};
pub use queue::{QueueName, QueueNameError, QueuePattern};
pub use queues::{QueueSelector, QueueSelectorError, QueueSelectors};

/// The longest name that fits the database: `varchar(255)`, which counts characters.
pub const MAX_NAME_CHARS: usize = 255;

/// A value read from text.
trait Text: FromStr<Err: fmt::Display> {
    /// What a reader is told to write, after "expected".
    const EXPECTED: &'static str;

    /// What to write instead of a bare number, if people write one.
    fn instead_of_number(_number: &str) -> Option<String> {
        None
    }
}

fn deserialize<'de, T: Text, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    deserializer.deserialize_str(TextVisitor(PhantomData))
}

struct TextVisitor<T>(PhantomData<T>);

impl<T: Text> TextVisitor<T> {
    fn number<E: de::Error>(number: &str, unexpected: de::Unexpected<'_>) -> Result<T, E> {
        Err(match T::instead_of_number(number) {
            Some(hint) => E::custom(hint),
            None => E::invalid_type(unexpected, &T::EXPECTED),
        })
    }
}

impl<T: Text> Visitor<'_> for TextVisitor<T> {
    type Value = T;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(T::EXPECTED)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        Self::number(&number.to_string(), de::Unexpected::Signed(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<T, E> {
        Self::number(&number.to_string(), de::Unexpected::Unsigned(number))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<T, E> {
        Self::number(&number.to_string(), de::Unexpected::Float(number))
    }
}

/// Serde for a [`Text`] type.
macro_rules! serde_as_text {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                super::deserialize(deserializer)
            }
        }
    };
}
use serde_as_text;
