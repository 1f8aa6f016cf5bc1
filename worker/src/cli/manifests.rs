//! The manifests that `-f` names.

use super::exit::Exit;
use gritstone_crds::{Manifest, Metadata, duplicate_task_keys, read_path};
use std::path::{Component, Path, PathBuf};

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
    problems.extend(duplicate_task_keys(&manifests).iter().map(ToString::to_string));
    if problems.is_empty() { Ok(manifests) } else { Err(Exit::Problems(problems)) }
}

/// `namespace/name`, or the name alone where there is no namespace.
pub(super) fn full_name(metadata: &Metadata) -> String {
    match &metadata.namespace {
        Some(namespace) => format!("{namespace}/{}", metadata.name),
        None => metadata.name.clone(),
    }
}

/// A path by which a file is known, the same wherever it is named from.
///
/// Not with links followed: they may lead elsewhere after each update, as those of a mounted ConfigMap do.
pub(super) fn absolute(path: &Path) -> Result<String, Exit> {
    let absolute = std::path::absolute(path)?;
    let plain: PathBuf = absolute.components().filter(|part| *part != Component::CurDir).collect();
    Ok(plain.to_string_lossy().into_owned())
}
