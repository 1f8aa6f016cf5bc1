//! Manifests, and how they are read from files.
//!
//! Text becomes a tree that knows the line of everything in it (`tree`, by `yaml`). `read` looks at each document: ours,
//! someone else's (skipped), or a misspelt one of ours. `decode` makes serde's types of the tree; it goes on after an error, so
//! that one reading finds all of them. What validation then says by path, the tree turns into lines. `files` does it for a folder.

pub(crate) mod decode;
mod fault;
mod files;
mod metadata;
mod problem;
mod read;
mod task_keys;
pub(crate) mod tree;
pub(crate) mod yaml;

use std::fmt;

use serde::ser::{Serialize, SerializeStruct, Serializer};

pub use files::read_path;
pub(crate) use files::read_text;
pub use metadata::Metadata;
pub(crate) use metadata::dns_subdomain;
pub use problem::Problem;
pub use read::read_manifests;
pub use task_keys::duplicate_task_keys;

use crate::check::Violation;
use crate::kinds::{Kind, Spec};

/// One object of ours, as a file has it. Serializes to the same again, with the defaults filled in.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// Its name and labels.
    pub metadata: Metadata,
    /// What it says.
    pub spec: Spec,
    /// Where it was read.
    pub source: Source,
}

/// The place that a manifest was read from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Source {
    /// The file.
    pub file: String,
    /// The line its document begins at, from 1.
    pub line: u64,
}

impl fmt::Display for Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.file, self.line)
    }
}

impl Manifest {
    /// Which kind it is.
    pub fn kind(&self) -> Kind {
        self.spec.kind()
    }

    /// Everything that makes no sense in it. Nothing, for a manifest that [`read_manifests`] returned.
    pub fn validate(&self) -> Vec<Violation> {
        let mut violations = self.metadata.validate();
        violations.extend(self.spec.validate());
        violations
    }
}

impl Serialize for Manifest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Manifest", 4)?;
        object.serialize_field("apiVersion", crate::API_VERSION)?;
        object.serialize_field("kind", self.kind().as_str())?;
        object.serialize_field("metadata", &self.metadata)?;
        object.serialize_field("spec", &self.spec)?;
        object.end()
    }
}
