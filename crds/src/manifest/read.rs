//! From text to manifests, or to everything that is wrong with it.

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::decode::{Findings, decode};
use super::files::duplicates;
use super::tree::{Content, Entry, Node, Place};
use super::{Manifest, Metadata, Problem, Source, yaml};
use crate::kinds::{Kind, Spec};
use crate::nearest::nearest;
use crate::path::Path;
use crate::{API_VERSION, GROUP};

/// The manifests in `text`, YAML of any number of documents, or JSON. `file` is what problems and sources call it.
///
/// Documents of other groups (`v1` Secret, `apps/v1` Deployment) are skipped; so are empty ones. A `v1` List is looked into.
///
/// # Errors
/// Everything that is wrong, by line: YAML that isn't (the first mistake alone), unknown kinds, fields and values with the nearest
/// known name, values that can't be read, what [`Manifest::validate`] says, and one object written twice.
pub fn read_manifests(text: &str, file: &str) -> Result<Vec<Manifest>, Vec<Problem>> {
    let (manifests, mut problems) = read(text, file);
    problems.extend(duplicates(&manifests));
    if problems.is_empty() { Ok(manifests) } else { Err(problems) }
}

/// The manifests that have no problem, and the problems of the others in the order of their lines.
pub(super) fn read(text: &str, file: &str) -> (Vec<Manifest>, Vec<Problem>) {
    let documents = match yaml::parse(text) {
        Ok(documents) => documents,
        Err(malformed) => {
            let mut problem = Problem::of_file(file, malformed.message);
            problem.line = malformed.place.map(|place| place.line);
            problem.column = malformed.place.map(|place| place.column);
            return (Vec::new(), vec![problem]);
        }
    };
    let (mut manifests, mut problems) = (Vec::new(), Vec::new());
    for document in &documents {
        read_document(document, file, &mut manifests, &mut problems);
    }
    problems.sort_by_key(|problem| (problem.line, problem.column));
    (manifests, problems)
}

fn read_document(document: &Node, file: &str, manifests: &mut Vec<Manifest>, problems: &mut Vec<Problem>) {
    if let ("v1", "List", Some(Content::List(items))) = (
        document.text("apiVersion").unwrap_or_default(),
        document.text("kind").unwrap_or_default(),
        document.get("items").map(|items| &items.content),
    ) {
        for item in items {
            read_document(item, file, manifests, problems);
        }
        return;
    }
    let findings = Findings::default();
    let manifest = read_object(document, file, &findings);
    let found = findings.into_vec();
    if found.is_empty() {
        manifests.extend(manifest);
    }
    problems.extend(found.into_iter().map(|(path, message)| {
        let Place { line, column } = document.place_of(&path);
        Problem { file: file.to_owned(), line: Some(line), column: Some(column), path: path.to_string(), message }
    }));
}

/// A manifest, unless it is someone else's or can't be read.
fn read_object(document: &Node, file: &str, findings: &Findings) -> Option<Manifest> {
    let kind = kind_of(document, findings)?;
    find_slips(document, findings);
    decode::<Envelope>(document, &Path::root(), findings);
    let metadata: Option<Metadata> = part(document, "metadata", findings);
    let spec = match kind {
        Kind::QueueWorker => part(document, "spec", findings).map(Spec::QueueWorker),
        Kind::Dispatcher => part(document, "spec", findings).map(Spec::Dispatcher),
        Kind::RecurringTask => part(document, "spec", findings).map(Spec::RecurringTask),
        Kind::CronSchedule => part(document, "spec", findings).map(Spec::CronSchedule),
    };
    let violations = metadata.iter().flat_map(Metadata::validate).chain(spec.iter().flat_map(Spec::validate));
    violations.for_each(|violation| findings.add_violation(violation));
    let source = Source { file: file.to_owned(), line: document.place.line };
    Some(Manifest { metadata: metadata?, spec: spec?, source })
}

/// The fields an object may have at its top; each is read by itself, so that a mistake in one hides none in another.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    #[serde(rename = "apiVersion")]
    _api_version: Option<IgnoredAny>,
    #[serde(rename = "kind")]
    _kind: Option<IgnoredAny>,
    #[serde(rename = "metadata")]
    _metadata: Option<IgnoredAny>,
    #[serde(rename = "spec")]
    _spec: Option<IgnoredAny>,
    #[serde(rename = "status")]
    _status: Option<IgnoredAny>,
}

/// A field of the document; an absent one is read as an object without fields, which says what it should have had.
fn part<T: DeserializeOwned>(document: &Node, field: &str, findings: &Findings) -> Option<T> {
    let absent = Node { place: document.place, tag: None, content: Content::Null };
    decode(document.get(field).unwrap_or(&absent), &Path::root().field(field), findings)
}

/// The kind of a document of ours. `None` for someone else's, and for a wrong one, after saying so.
fn kind_of(document: &Node, findings: &Findings) -> Option<Kind> {
    let root = Path::root();
    if !matches!(document.content, Content::Map(_)) {
        findings.leave_out(root, "is not a manifest: begin with apiVersion, kind, metadata and spec".to_owned());
        return None;
    }
    let (version, kind) = (document.text("apiVersion"), document.text("kind"));
    let known = kind.and_then(Kind::from_name);
    let Some(version) = version else {
        findings.leave_out(root.field("apiVersion"), format!("is missing or no text: ours have {API_VERSION}"));
        return known;
    };
    let group = version.split_once('/').map(|(group, _)| group);
    let is_ours = group == Some(GROUP);
    // Another group may well have a Dispatcher; but nearly our group, or none and our kind, is a slip.
    let is_nearly_ours = match group {
        Some(group) => nearest(group, [GROUP]).is_some(),
        None => known.is_some(),
    };
    if !is_ours && !is_nearly_ours {
        return None;
    }
    if version != API_VERSION {
        findings.leave_out(root.field("apiVersion"), format!("`{version}` is unknown; did you mean {API_VERSION}?"));
    }
    if known.is_none() {
        let names = Kind::ALL.map(Kind::as_str);
        let message = match kind {
            Some(kind) => match nearest(kind, names) {
                Some(name) => format!("unknown kind {kind}; did you mean {name}?"),
                None => format!("unknown kind {kind}; ours are {}", names.join(", ")),
            },
            None => format!("is missing or no text: one of {}", names.join(", ")),
        };
        findings.leave_out(root.field("kind"), message);
    }
    known
}

/// What YAML allows and no manifest means: a key written twice, a tag.
fn find_slips(document: &Node, findings: &Findings) {
    let mut tagged = Vec::new();
    document.walk(&Path::root(), &mut |path, node| {
        if let Some(tag) = &node.tag {
            tagged.push((path.clone(), format!("`{tag}` is a tag in YAML: put the word in quotes")));
        }
        if let Content::Map(entries) = &node.content {
            for (position, entry) in entries.iter().enumerate() {
                let is_first = |first: &&Entry| first.key == entry.key;
                if let Some(first) = entries[..position].iter().find(is_first) {
                    let message = format!("is written twice, in lines {} and {}", first.place.line, entry.place.line);
                    findings.add_violation(crate::Violation { path: path.field(&entry.key), message });
                }
            }
        }
    });
    for (path, message) in tagged {
        findings.leave_out(path, message);
    }
}
