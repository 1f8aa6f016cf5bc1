//! From a tree to serde's types, saying everything that is wrong and not only the first thing.
//!
//! serde stops at the first error. So a value that can't be read is reported, left out, and the whole is read again, until it can
//! be read or what is left out is required. Unknown fields are found on the way: a derived type tells the deserializer the fields
//! it knows, and this one compares, whether or not the type itself would mind.

use std::cell::RefCell;
use std::collections::HashSet;
use std::marker::PhantomData;
use std::{fmt, iter, slice, vec};

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::fault::{Fault, Located, unknown_field};
use super::tree::{Content, Entry, Node};
use crate::check::Violation;
use crate::path::{Path, Segment};

/// After so many in one document, more would not help anyone, and each costs another reading.
const MAX_FAULTS: usize = 50;

/// What is wrong with one document.
#[derive(Default)]
pub(crate) struct Findings {
    found: RefCell<Vec<(Path, String)>>,
    /// What could not be read and is treated as if it were not there.
    left_out: RefCell<HashSet<Path>>,
    /// Known fields that a misspelt one was probably meant to be: that they are missing is no second mistake.
    meant: RefCell<HashSet<Path>>,
}

impl Findings {
    /// Everything found, each with its path.
    pub(crate) fn into_vec(self) -> Vec<(Path, String)> {
        self.found.into_inner()
    }

    /// Says what validation found, unless it follows from what could not be read.
    pub(crate) fn add_violation(&self, violation: Violation) {
        // Leaving out one element moves the others, so a position in such a list would be the wrong one.
        let is_in_moved_list = self.left_out.borrow().iter().any(|path| {
            let list = path.parent().filter(|_| matches!(path.segments().last(), Some(Segment::Index(_))));
            list.is_some_and(|list| violation.path.is_within(&list))
        });
        if !is_in_moved_list {
            self.add(violation.path, violation.message);
        }
    }

    /// Says what is wrong at `path` and goes on as if it were not there.
    pub(crate) fn leave_out(&self, path: Path, message: String) {
        self.report(Located { leave_out: path.clone(), path, message, meant: None });
    }

    /// False when the same has been left out before: there is no going on.
    fn report(&self, fault: Located) -> bool {
        self.add(fault.path, fault.message);
        self.meant.borrow_mut().extend(fault.meant);
        self.left_out.borrow_mut().insert(fault.leave_out)
    }

    fn add(&self, path: Path, message: String) {
        let (left_out, meant) = (self.left_out.borrow(), self.meant.borrow());
        let follows = left_out.iter().chain(meant.iter()).any(|said| path.is_within(said) || said.is_within(&path));
        if !follows && !self.are_too_many() {
            self.found.borrow_mut().push((path, message));
        }
    }

    fn is_left_out(&self, path: &Path) -> bool {
        self.left_out.borrow().contains(path)
    }

    fn are_too_many(&self) -> bool {
        self.found.borrow().len() >= MAX_FAULTS
    }
}

/// The value at `path` as a `T`, as far as it can be read; `None` when something it can't do without is wrong.
pub(crate) fn decode<T: DeserializeOwned>(node: &Node, path: &Path, findings: &Findings) -> Option<T> {
    while !findings.are_too_many() && !findings.is_left_out(path) {
        match T::deserialize(At { node, path: path.clone(), findings }) {
            Ok(value) => return Some(value),
            Err(fault) => {
                if !findings.report(fault.at(path).locate()) {
                    return None;
                }
            }
        }
    }
    None
}

/// A node, and how it was reached.
struct At<'a> {
    node: &'a Node,
    path: Path,
    findings: &'a Findings,
}

impl<'a> At<'a> {
    fn list(&self, list: &'a [Node]) -> List<'a> {
        List { rest: list.iter().enumerate(), path: self.path.clone(), findings: self.findings }
    }

    /// The entries of a map, each key once, without those that were left out.
    fn entries(&self, entries: &'a [Entry]) -> Fields<'a> {
        let mut seen = HashSet::new();
        let kept = |entry: &&Entry| !self.findings.is_left_out(&self.path.field(&entry.key));
        let entries: Vec<_> = entries.iter().filter(|entry| seen.insert(&entry.key)).filter(kept).collect();
        Fields { rest: entries.into_iter(), value: None, path: self.path.clone(), findings: self.findings }
    }
}

impl<'de> Deserializer<'de> for At<'_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let result = match &self.node.content {
            Content::Null => visitor.visit_unit(),
            Content::Bool(value) => visitor.visit_bool(*value),
            Content::Signed(value) => visitor.visit_i64(*value),
            Content::Unsigned(value) => visitor.visit_u64(*value),
            Content::Float(value) => visitor.visit_f64(*value),
            Content::Text(value) => visitor.visit_str(value),
            Content::List(list) => visitor.visit_seq(self.list(list)),
            Content::Map(entries) => visitor.visit_map(self.entries(entries)),
        };
        result.map_err(|fault| fault.at(&self.path))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.node.content {
            Content::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let Content::Map(entries) = &self.node.content else {
            let fields = format!("fields ({})", known.join(", "));
            return match self.node.content {
                // `spec:` with nothing under it has all its defaults.
                Content::Null => visitor.visit_map(self.entries(&[])).map_err(|fault| fault.at(&self.path)),
                _ => self.deserialize_any(Refuse::but(fields)),
            };
        };
        let mut fields = self.entries(entries);
        let (own, other): (Vec<_>, Vec<_>) = fields.rest.partition(|entry| known.contains(&entry.key.as_str()));
        for entry in other {
            self.findings.report(unknown_field(&self.path, &entry.key, known));
        }
        // A null is no value, to Kubernetes too: the default holds.
        let given: Vec<_> = own.into_iter().filter(|entry| entry.value.content != Content::Null).collect();
        fields.rest = given.into_iter();
        visitor.visit_map(fields).map_err(|fault| fault.at(&self.path))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        known: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        match &self.node.content {
            Content::Text(text) => {
                let variant: StrDeserializer<'_, Fault> = text.as_str().into_deserializer();
                visitor.visit_enum(variant).map_err(|fault| fault.at(&self.path))
            }
            _ => self.deserialize_any(Refuse::but(format!("one of {}", known.join(", ")))),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier
    }
}

/// Takes nothing: says what should have stood there.
struct Refuse<T>(String, PhantomData<T>);

impl<T> Refuse<T> {
    fn but(expected: String) -> Self {
        Self(expected, PhantomData)
    }
}

impl<T> Visitor<'_> for Refuse<T> {
    type Value = T;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

struct List<'a> {
    rest: iter::Enumerate<slice::Iter<'a, Node>>,
    path: Path,
    findings: &'a Findings,
}

impl<'de> SeqAccess<'de> for List<'_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        let (findings, list) = (self.findings, &self.path);
        let mut kept = self.rest.by_ref().map(|(index, node)| (list.index(index), node));
        match kept.find(|(path, _)| !findings.is_left_out(path)) {
            Some((path, node)) => seed.deserialize(At { node, path, findings }).map(Some),
            None => Ok(None),
        }
    }
}

struct Fields<'a> {
    rest: vec::IntoIter<&'a Entry>,
    value: Option<&'a Entry>,
    path: Path,
    findings: &'a Findings,
}

impl<'de> MapAccess<'de> for Fields<'_> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        self.value = self.rest.next();
        let Some(entry) = self.value else { return Ok(None) };
        let key: StrDeserializer<'_, Fault> = entry.key.as_str().into_deserializer();
        seed.deserialize(key).map(Some).map_err(|fault| fault.at(&self.path.field(&entry.key)))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let entry =
            self.value.take().ok_or_else(|| <Fault as de::Error>::custom("a value was asked for before its key"))?;
        let path = self.path.field(&entry.key);
        seed.deserialize(At { node: &entry.value, path: path.clone(), findings: self.findings })
            .map_err(|fault| fault.at(&path))
    }
}
