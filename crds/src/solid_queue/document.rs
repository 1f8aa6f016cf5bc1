//! One of the files, read: its ERB worked out, its YAML a tree as Ruby has it, and everything in it with its place.

use super::erb::{Rendered, Variables, render};
use super::ruby;
use crate::manifest::decode::Findings;
use crate::manifest::tree::{Content, Node, Place};
use crate::manifest::{Problem, Source, yaml};
use crate::path::Path;

/// A file as it was found.
#[derive(Clone, Debug)]
pub struct File {
    /// What problems call it.
    pub name: String,
    /// What is in it.
    pub text: String,
}

/// A file that could be read.
#[derive(Debug)]
pub(super) struct Document<'a> {
    file: &'a str,
    rendered: Rendered<'a>,
    /// The whole of it; nothing, for an empty file.
    pub(super) root: Node,
}

impl<'a> Document<'a> {
    /// # Errors
    /// ERB that isn't read, YAML that isn't, and what YAML allows and no one means.
    pub(super) fn read(file: &'a File, variables: &Variables<'_>) -> Result<Self, Vec<Problem>> {
        let problem = |(place, message)| problem(&file.name, place, String::new(), message);
        let rendered =
            render(&file.text, variables).map_err(|refusals| refusals.into_iter().map(problem).collect::<Vec<_>>())?;
        let in_file = |(place, message)| problem((rendered.source_place(place), message));
        let documents = yaml::parse_unmerged(&rendered.text).map_err(|malformed| match malformed.place {
            Some(place) => vec![in_file((place, malformed.message))],
            None => vec![Problem::of_file(&file.name, malformed.message)],
        })?;
        // Ruby reads the first document, too.
        let empty = Node { place: Place { line: 1, column: 1 }, tag: None, content: Content::Null };
        let root = documents.into_iter().next().unwrap_or(empty);
        let root =
            ruby::tree(root, &rendered.text).map_err(|slips| slips.into_iter().map(in_file).collect::<Vec<_>>())?;
        Ok(Self { file: &file.name, rendered, root })
    }

    /// What problems call it.
    pub(super) fn file(&self) -> &str {
        self.file
    }

    /// The variables that its ERB asked for.
    pub(super) fn variables(&self) -> &[String] {
        &self.rendered.variables
    }

    /// What findings say, with its place.
    pub(super) fn problems(&self, findings: Findings) -> Vec<Problem> {
        findings.into_vec().into_iter().map(|(path, message)| self.problem(&path, message)).collect()
    }

    pub(super) fn problem(&self, path: &Path, message: String) -> Problem {
        problem(self.file, self.place(path), path.to_string(), message)
    }

    /// Where something stands, for what is made of it.
    pub(super) fn source(&self, path: &Path) -> Source {
        Source { file: self.file.to_owned(), line: self.place(path).line }
    }

    fn place(&self, path: &Path) -> Place {
        self.rendered.source_place(self.root.place_of(path))
    }
}

fn problem(file: &str, place: Place, path: String, message: String) -> Problem {
    Problem { file: file.to_owned(), line: Some(place.line), column: Some(place.column), path, message }
}
