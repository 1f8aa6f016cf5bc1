//! The manifests that `-f` names.

use super::exit::Exit;
use gritstone_crds::{Manifest, Metadata, Spec, duplicate_task_keys, read_path};
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
    problems.extend(duplicate_task_keys(&manifests).iter().map(ToString::to_string));
    if problems.is_empty() { Ok(manifests) } else { Err(Exit::Problems(problems)) }
}

/// The one manifest of a kind that the files have, or, where they have several, the one of the wanted name; with its full name.
pub(super) fn one<S>(
    paths: &[PathBuf],
    wanted: Option<&str>,
    kind: &str,
    pick: impl Fn(Spec) -> Option<S>,
) -> Result<(String, S), Exit> {
    let mut found: Vec<(String, Metadata, S)> = Vec::new();
    for manifest in read(paths)? {
        let name = full_name(&manifest.metadata);
        found.extend(pick(manifest.spec).map(|spec| (name, manifest.metadata, spec)));
    }
    let names = found.iter().map(|(name, ..)| name.as_str()).collect::<Vec<_>>().join(", ");
    if let Some(wanted) = wanted {
        found.retain(|(name, metadata, _)| name == wanted || metadata.name == wanted);
    }
    match (found.pop(), found.is_empty(), wanted) {
        (Some((name, _, spec)), true, _) => Ok((name, spec)),
        (Some(_), false, _) => {
            Err(Exit::Usage(format!("the files have several {kind}s: choose one with --name ({names})")))
        }
        (None, _, Some(wanted)) if !names.is_empty() => {
            Err(Exit::Usage(format!("the files have no {kind} called {wanted}; they have {names}")))
        }
        (None, ..) => Err(Exit::Usage(format!("the files have no {kind}"))),
    }
}

/// `namespace/name`, or the name alone where there is no namespace.
pub(super) fn full_name(metadata: &Metadata) -> String {
    match &metadata.namespace {
        Some(namespace) => format!("{namespace}/{}", metadata.name),
        None => metadata.name.clone(),
    }
}
