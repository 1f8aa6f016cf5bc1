//! A file, or all the manifests in a folder.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::read::read;
use super::{Manifest, Problem};

/// Far above any manifest, even a folder of them in one file; what is larger was not meant to be read.
const MAX_BYTES: u64 = 16 << 20;

/// The manifests in the file `path`, or in every `.yaml`, `.yml` and `.json` file of the folder `path`, by name; folders in it are
/// not looked into. See [`read_manifests`](super::read_manifests).
///
/// # Errors
/// Everything that is wrong with any of the files, files that can't be read, and one object written twice in them.
pub fn read_path(path: &Path) -> Result<Vec<Manifest>, Vec<Problem>> {
    let files = files(path).map_err(|error| vec![Problem::of_file(&path.display().to_string(), unreadable(&error))])?;
    let (mut manifests, mut problems) = (Vec::new(), Vec::new());
    for file in files {
        let name = file.display().to_string();
        match text(&file) {
            Ok(text) => {
                let (more, found) = read(&text, &name);
                manifests.extend(more);
                problems.extend(found);
            }
            Err(error) => problems.push(Problem::of_file(&name, unreadable(&error))),
        }
    }
    problems.extend(duplicates(&manifests));
    if problems.is_empty() { Ok(manifests) } else { Err(problems) }
}

fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path)? {
        let file = entry?.path();
        let is_manifest =
            file.extension().is_some_and(|extension| ["yaml", "yml", "json"].iter().any(|known| extension == *known));
        // Not by the entry's own type: a mounted ConfigMap is made of links.
        if is_manifest && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

/// The text of one file.
///
/// # Errors
/// What keeps it from being read, for people.
pub(crate) fn read_text(file: &Path) -> Result<String, Problem> {
    text(file).map_err(|error| Problem::of_file(&file.display().to_string(), unreadable(&error)))
}

fn text(file: &Path) -> io::Result<String> {
    let size = fs::metadata(file)?.len();
    if size > MAX_BYTES {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("{size} bytes; a manifest has at most {MAX_BYTES}"),
        ));
    }
    fs::read_to_string(file)
}

fn unreadable(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "does not exist".to_owned(),
        io::ErrorKind::InvalidData => "is not UTF-8 text".to_owned(),
        _ => format!("can't be read: {error}"),
    }
}

/// Objects of one kind, namespace and name: of which one holds depends on who is asked.
pub(super) fn duplicates(manifests: &[Manifest]) -> Vec<Problem> {
    let mut seen: HashMap<_, &Manifest> = HashMap::new();
    let mut problems = Vec::new();
    for manifest in manifests {
        let identity = (manifest.kind(), &manifest.metadata.namespace, &manifest.metadata.name);
        let first = *seen.entry(identity).or_insert(manifest);
        if !std::ptr::eq(first, manifest) {
            problems.push(Problem {
                file: manifest.source.file.clone(),
                line: Some(manifest.source.line),
                column: None,
                path: "metadata.name".to_owned(),
                message: format!(
                    "{} {} is written twice, first at {}",
                    manifest.kind(),
                    manifest.metadata.name,
                    first.source
                ),
            });
        }
    }
    problems
}
