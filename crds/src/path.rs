//! Where in a manifest something is: `spec.queues[2]`, `metadata.labels["app.kubernetes.io/name"]`.

use std::fmt;

/// The place of a value in a manifest, from its top.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Path(Vec<Segment>);

/// One step of a [`Path`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Segment {
    /// A field of an object, or a key of a map.
    Name(String),
    /// An element of a list, from 0.
    Index(usize),
}

impl Path {
    /// The top of a manifest.
    pub fn root() -> Self {
        Self::default()
    }

    /// The path of `name` in the object at this path.
    pub fn field(&self, name: &str) -> Self {
        self.then(Segment::Name(name.to_owned()))
    }

    /// The path of element `index` of the list at this path.
    pub fn index(&self, index: usize) -> Self {
        self.then(Segment::Index(index))
    }

    /// The steps from the top.
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    /// Whether this is the path `other`, or leads to something inside it.
    pub fn is_within(&self, other: &Path) -> bool {
        self.0.starts_with(&other.0)
    }

    /// The path of what holds this value; nothing holds the top.
    pub fn parent(&self) -> Option<Self> {
        self.0.split_last().map(|(_, head)| Self(head.to_vec()))
    }

    fn then(&self, segment: Segment) -> Self {
        let mut segments = self.0.clone();
        segments.push(segment);
        Self(segments)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(out, "[{index}]")?,
                Segment::Name(name) if !is_plain(name) => write!(out, "[{name:?}]")?,
                Segment::Name(name) if position == 0 => out.write_str(name)?,
                Segment::Name(name) => write!(out, ".{name}")?,
            }
        }
        Ok(())
    }
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_reads_as_it_is_written_in_documentation() {
        let spec = Path::root().field("spec");
        assert_eq!(spec.field("queues").index(2).to_string(), "spec.queues[2]");
        let classes = spec.field("retry").field("classes");
        assert_eq!(
            classes.field("Mail::Send").field("attempts").to_string(),
            "spec.retry.classes[\"Mail::Send\"].attempts"
        );
    }

    #[test]
    fn a_path_is_within_itself_and_what_holds_it() {
        let spec = Path::root().field("spec");
        let queues = spec.field("queues");
        assert!(queues.is_within(&queues) && queues.is_within(&spec) && !spec.is_within(&queues));
        assert_eq!(queues.parent(), Some(spec));
        assert_eq!(Path::root().parent(), None);
    }
}
