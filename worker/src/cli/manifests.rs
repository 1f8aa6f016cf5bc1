//! The manifests that `-f` names.

use super::exit::Exit;
use gritstone_crds::{Manifest, read_path};
use std::path::PathBuf;

/// Reads all files and folders; every problem of every file is reported.
pub(super) fn read(paths: &[PathBuf]) -> Result<Vec<Manifest>, Exit> {
    let mut manifests = Vec::new();
    let mut problems = Vec::new();
    for path in paths {
        match read_path(path) {
            Ok(found) => manifests.extend(found),
            Err(found) => problems.extend(found.iter().map(ToString::to_string)),
        }
    }
    if problems.is_empty() { Ok(manifests) } else { Err(Exit::Problems(problems)) }
}
