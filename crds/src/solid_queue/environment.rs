//! Which part of a file is meant: Rails keeps development, test and production in one.

use crate::manifest::tree::{Content, Entry, Node};
use crate::path::Path;

/// One of a Rails application's environments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// `production`.
    pub name: String,
    /// Where the name comes from.
    pub origin: Origin,
}

/// Who chose the environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// An option: a file that doesn't know it is the wrong file, or it is the wrong name.
    Option,
    /// A variable, of this name.
    Variable(&'static str),
    /// Nobody: Rails takes `development` then.
    Default,
}

impl Environment {
    /// What Rails takes: the one that an option names, else `RAILS_ENV`, `RACK_ENV`, `development`.
    pub fn choose(option: Option<&str>, variables: &super::Variables<'_>) -> Self {
        let variable = |variable: &'static str| {
            let name = variables(variable).filter(|name| !name.trim().is_empty())?;
            Some(Self { name, origin: Origin::Variable(variable) })
        };
        let option = option.map(|name| Self { name: name.to_owned(), origin: Origin::Option });
        let default = || Self { name: "development".to_owned(), origin: Origin::Default };
        option.or_else(|| variable("RAILS_ENV")).or_else(|| variable("RACK_ENV")).unwrap_or_else(default)
    }
}

/// The part of a file that holds in an environment.
#[derive(Debug)]
pub(super) struct Section<'a> {
    /// Where it stands.
    pub(super) path: Path,
    /// What stands there.
    pub(super) node: &'a Node,
    /// Whether it stands under the environment's name; otherwise it is the whole file.
    pub(super) is_nested: bool,
}

/// The part of a file that holds in an environment: what stands under its name, else the whole file.
pub(super) fn section<'a>(root: &'a Node, environment: &str) -> Section<'a> {
    let nested = root.get(environment).filter(|node| !matches!(node.content, Content::Null | Content::Bool(false)));
    match nested {
        Some(node) => Section { path: Path::root().field(environment), node, is_nested: true },
        None => Section { path: Path::root(), node: root, is_nested: false },
    }
}

/// The part that Rails' files have for others to merge.
const SHARED: &str = "default";

/// The keys of a file whose values look like the parts of other environments.
pub(super) fn environments(root: &Node, looks_like_one: impl Fn(&Node) -> bool) -> Vec<&str> {
    match &root.content {
        Content::Map(entries) => {
            let is_one = |entry: &&Entry| entry.key != SHARED && looks_like_one(&entry.value);
            entries.iter().filter(is_one).map(|entry| entry.key.as_str()).collect()
        }
        _ => Vec::new(),
    }
}

/// Whether there is nothing in it, as Rails sees it.
pub(super) fn is_empty(node: &Node) -> bool {
    match &node.content {
        Content::Null | Content::Bool(false) => true,
        Content::List(list) => list.is_empty(),
        Content::Map(entries) => entries.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_is_the_one_that_rails_takes() {
        let choose = |option: Option<&str>, rails: &str, rack: &str| {
            let variables = |name: &str| match name {
                "RAILS_ENV" => Some(rails.to_owned()),
                "RACK_ENV" => Some(rack.to_owned()),
                _ => None,
            };
            let Environment { name, origin } = Environment::choose(option, &variables);
            (name, origin)
        };
        assert_eq!(choose(Some("staging"), "production", "test"), ("staging".into(), Origin::Option));
        assert_eq!(choose(None, "production", "test"), ("production".into(), Origin::Variable("RAILS_ENV")));
        assert_eq!(choose(None, "", "test"), ("test".into(), Origin::Variable("RACK_ENV")));
        assert_eq!(choose(None, "", ""), ("development".into(), Origin::Default));
    }
}
