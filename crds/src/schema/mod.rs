//! The kinds as a cluster's API server knows them: schemas of the derived types, with the rules that `validate()` has.
//!
//! Only with the feature `kube`, which adds derives and attributes to the types and changes none. `rules` and
//! `between_fields` are what the attributes say: bounds, and rules in CEL (the expressions that the API server evaluates) with a
//! message for people. `text` has the schemas of values written as text, `definitions` makes CustomResourceDefinitions of it all; the program `crdgen` writes them to
//! `crds/*.yaml`.
//!
//! The API server has to know what a rule costs before it takes it, so everything that a rule looks at has a greatest length. Where
//! the types have none, it is far above what anyone writes. What CEL can't say (the language of schedules, names of time zones) is
//! left to `validate()`, whose words the operator puts into a condition.

mod between_fields;
mod definitions;
mod rules;
mod text;

pub(crate) use between_fields::*;
pub use definitions::{Definition, definitions};
pub(crate) use rules::*;
