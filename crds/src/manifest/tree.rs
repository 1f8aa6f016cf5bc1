//! A document as a tree in which everything knows its place.

use crate::path::{Path, Segment};

/// A place in a file, lines and columns from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) line: u64,
    pub(crate) column: u64,
}

/// A value and where it is. For one that an alias or a merge brought in, that is where it is defined: it has to be mended there.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    pub(crate) place: Place,
    /// A YAML tag such as `!mail_slow`, which in our manifests is always a forgotten quote.
    pub(crate) tag: Option<String>,
    pub(crate) content: Content,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Content {
    Null,
    Bool(bool),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key with its value. A key may be there more than once; the reader says so, and uses the first.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) place: Place,
    pub(crate) value: Node,
}

impl Node {
    /// The first entry with this key, if this is a map.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.content {
            Content::Map(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// The value of this key, if this is a map.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|entry| &entry.value)
    }

    /// The text of this key, if this is a map and that is text.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        match &self.get(key)?.content {
            Content::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Where a reader should look for what `path` names: at its value if that is a scalar, else at its key; for what isn't there,
    /// at the nearest thing around it that is.
    pub(crate) fn place_of(&self, path: &Path) -> Place {
        let (mut node, mut place) = (self, self.place);
        for segment in path.segments() {
            let (value, at) = match (segment, &node.content) {
                (Segment::Name(name), _) => match node.entry(name) {
                    Some(entry) => (&entry.value, entry.place),
                    None => return place,
                },
                (Segment::Index(index), Content::List(list)) => match list.get(*index) {
                    Some(element) => (element, element.place),
                    None => return place,
                },
                (Segment::Index(_), _) => return place,
            };
            place = if value.is_scalar() { value.place } else { at };
            node = value;
        }
        place
    }

    /// Calls `visit` with everything in the tree and its path, this node first.
    pub(crate) fn walk(&self, at: &Path, visit: &mut impl FnMut(&Path, &Node)) {
        visit(at, self);
        match &self.content {
            Content::List(list) => {
                for (position, element) in list.iter().enumerate() {
                    element.walk(&at.index(position), visit);
                }
            }
            Content::Map(entries) => {
                for entry in entries {
                    entry.value.walk(&at.field(&entry.key), visit);
                }
            }
            _ => {}
        }
    }

    fn is_scalar(&self) -> bool {
        !matches!(self.content, Content::List(_) | Content::Map(_) | Content::Null)
    }
}
