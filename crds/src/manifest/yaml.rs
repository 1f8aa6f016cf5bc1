//! From text to trees: YAML 1.2 with the older words for true and false that Kubernetes still takes, and JSON, which is a part of it.
//!
//! This is the one place that knows a YAML library. It is serde-saphyr because its values know their place: the archived
//! `serde_yaml` and its fork `yaml_serde` tell the place of their own errors alone, so a mistake that validation finds could not be
//! given a line. It also bounds what aliases may grow to, merges `<<`, and hands over repeated keys and tags instead of choosing.

use std::fmt;
use std::thread;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Error, Location, MergeKeyPolicy, Options, Spanned, Tagged};

use super::tree::{Content, Entry, Node, Place};

/// A file that is not YAML.
#[derive(Debug, PartialEq)]
pub(crate) struct Malformed {
    pub(crate) place: Option<Place>,
    pub(crate) message: String,
}

/// How many values aliases may bring in, over a whole file. Enough for any manifest; a document made to explode ends here at once.
const MAX_ALIASED: usize = 20_000;
const QUOTE_STAR: &str =
    "a word that begins with `*` is an alias in YAML: put queues such as \"*\" and \"*.mail\" in quotes";

/// How deep lists and fields may stand in each other: the schemas of Kubernetes' own kinds have some forty levels.
const MAX_DEPTH: usize = 64;
/// Each level is several calls deep, up to 40 KB of stack in an unoptimized build, and a thread of tests or of tokio has 2 MB.
const STACK_BYTES: usize = 16 << 20;

/// The documents of `text`; empty ones are left out.
pub(crate) fn parse(text: &str) -> Result<Vec<Node>, Malformed> {
    parse_with(text, MergeKeyPolicy::Merge)
}

/// The same with merges left as they are written, as entries called `<<`: not everybody merges alike.
pub(crate) fn parse_unmerged(text: &str) -> Result<Vec<Node>, Malformed> {
    parse_with(text, MergeKeyPolicy::AsOrdinary)
}

fn parse_with(text: &str, merges: MergeKeyPolicy) -> Result<Vec<Node>, Malformed> {
    let failed = |why: &str| Malformed { place: None, message: format!("can't be read: {why}") };
    thread::scope(|scope| {
        let thread = thread::Builder::new().name("yaml".to_owned()).stack_size(STACK_BYTES);
        let parser =
            thread.spawn_scoped(scope, || parse_here(text, merges)).map_err(|error| failed(&error.to_string()))?;
        parser.join().unwrap_or_else(|_| Err(failed("the parser of YAML panicked")))
    })
}

fn parse_here(text: &str, merges: MergeKeyPolicy) -> Result<Vec<Node>, Malformed> {
    serde_saphyr::from_multiple_with_options(text, options(merges))
        .map_err(|error| Malformed { place: error.location().map(place), message: message(&error) })
}

fn options(merges: MergeKeyPolicy) -> Options {
    serde_saphyr::options! {
        merge_keys: merges,
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::PassThrough,
        non_finite_float_policy: serde_saphyr::NonFiniteFloatPolicy::AsString,
        // As kubectl reads them.
        legacy_octal_numbers: true,
        budget: serde_saphyr::budget! { max_depth: MAX_DEPTH, flow_nesting_limit: MAX_DEPTH },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_ALIASED },
        with_snippet: false,
    }
}

fn message(error: &Error) -> String {
    match error {
        Error::AliasError { error, .. } => message(error),
        Error::UnknownAnchor { .. } => QUOTE_STAR.to_owned(),
        Error::AliasReplayLimitExceeded { .. } => {
            format!("its aliases stand for more than {MAX_ALIASED} values: write them out, or use fewer")
        }
        Error::Budget { breach, .. } => format!("is too large or goes too deep to be a manifest ({breach:?})"),
        other => {
            let message = other.to_string();
            // The place is said apart.
            let message = message.split(" at line ").next().unwrap_or(&message).trim();
            match message.contains("anchor or alias") {
                true => QUOTE_STAR.to_owned(),
                false => format!("is not YAML: {message}"),
            }
        }
    }
}

fn place(location: Location) -> Place {
    Place { line: location.line(), column: location.column() }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value: Tagged(content, tag), defined, .. } =
            Spanned::<Tagged<Content>>::deserialize(deserializer)?;
        // `!!str` and the like only say what a value is; `!` says that it is text.
        let tag = tag.filter(|tag| tag != "!" && !tag.starts_with("tag:yaml.org,2002:"));
        Ok(Self { place: place(defined), tag, content })
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Content, E> {
        Ok(Content::Signed(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Content, E> {
        Ok(Content::Unsigned(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Content, E> {
        Ok(Content::Float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Content, E> {
        Ok(Content::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Content, A::Error> {
        let mut nodes = Vec::new();
        while let Some(node) = list.next_element()? {
            nodes.push(node);
        }
        Ok(Content::List(nodes))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Content, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, value)) = map.next_entry::<Node, Node>()? {
            let place = key.place;
            let key = match key.content {
                Content::Text(text) => text,
                // As kubectl turns them into JSON.
                Content::Unsigned(number) => number.to_string(),
                Content::Signed(number) => number.to_string(),
                Content::Bool(flag) => flag.to_string(),
                Content::Float(number) => number.to_string(),
                Content::Null => "null".to_owned(),
                Content::List(_) | Content::Map(_) => {
                    // The library gives such an error no place.
                    let message = format!("a list or a map can't be a key, as in line {}", place.line);
                    return Err(de::Error::custom(message));
                }
            };
            entries.push(Entry { key, place, value });
        }
        Ok(Content::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::Path;

    fn one(text: &str) -> Node {
        let mut nodes = parse(text).unwrap_or_else(|error| panic!("{error:?}"));
        assert_eq!(nodes.len(), 1);
        nodes.remove(0)
    }

    #[test]
    fn everything_knows_its_place() {
        let root = one("a: 1\nb:\n  - x\n  - {c: d}\n");
        let b = Path::root().field("b");
        let line_and_column = |path: &Path| (root.place_of(path).line, root.place_of(path).column);
        assert_eq!(line_and_column(&Path::root().field("a")), (1, 4));
        assert_eq!(line_and_column(&b), (2, 1));
        assert_eq!(line_and_column(&b.index(0)), (3, 5));
        assert_eq!(line_and_column(&b.index(1).field("c")), (4, 9));
        assert_eq!(line_and_column(&b.index(1).field("missing")), (4, 5));
    }

    #[test]
    fn aliases_and_merges_point_at_what_they_stand_for() {
        let root = one("base: &base {every: 5m}\ncopy: *base\nmerged:\n  <<: *base\n  x: 1\n");
        for parent in ["copy", "merged"] {
            let path = Path::root().field(parent).field("every");
            assert_eq!(root.place_of(&path).line, 1, "{parent}");
            assert_eq!(root.get(parent).and_then(|node| node.text("every")), Some("5m"));
        }
    }

    #[test]
    fn json_with_tabs_is_read() {
        let root = one("{\n\t\"a\": [1, null, \"\\u00fc\\ud83d\\ude00\"]\n}\n");
        let list = root.get("a").expect("a");
        assert_eq!(list.place.line, 2);
        let Content::List(list) = &list.content else { panic!("{list:?}") };
        assert_eq!(list[2].content, Content::Text("ü😀".to_owned()));
    }

    #[test]
    fn a_file_from_windows_is_read() {
        let root = one("\u{feff}a: 1\r\nb:\r\n  c: text\r\n");
        let path = Path::root().field("b").field("c");
        assert_eq!(root.place_of(&path).line, 3);
        assert_eq!(root.get("b").and_then(|node| node.text("c")), Some("text"));
    }

    #[test]
    fn a_document_made_to_explode_is_refused_at_once() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
            text += &format!("a{level}: &a{level} [{aliases}]\n");
        }
        let error = parse(&text).expect_err("refused");
        assert!(error.message.contains("aliases stand for more than"), "{error:?}");
    }

    #[test]
    fn depth_is_bounded_however_it_is_made() {
        let block = |levels: usize| (0..levels).map(|level| " ".repeat(level) + "a:\n").collect::<String>();
        let flow = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
        let aliases = |levels: usize| {
            let further = (1..levels).map(|level| format!("a{level}: &a{level} [*a{}]\n", level - 1));
            "a0: &a0 x\n".to_owned() + &further.collect::<String>()
        };
        for fits in [block(60), flow(60), aliases(60)] {
            assert!(parse(&fits).is_ok(), "{:?}", parse(&fits));
        }
        for too_deep in [block(5_000), flow(100_000), "[".repeat(100_000), aliases(5_000)] {
            assert!(parse(&too_deep).is_err());
        }
    }

    #[test]
    fn a_forgotten_quote_is_named() {
        for text in ["queues: [*]", "queues: *", "queues: [*mail]", "queues: [mail, *]"] {
            assert_eq!(parse(text).expect_err(text).message, QUOTE_STAR, "{text}");
        }
        let root = one("queues: [urgent, !mail_slow]");
        let Some(Content::List(list)) = root.get("queues").map(|node| &node.content) else { panic!("{root:?}") };
        assert_eq!(list[1].tag.as_deref(), Some("!mail_slow"));
    }

    #[test]
    fn empty_documents_are_left_out() {
        assert_eq!(parse("").map(|nodes| nodes.len()), Ok(0));
        assert_eq!(parse("# nothing\n---\n---\n~\n---\na: 1\n").map(|nodes| nodes.len()), Ok(1));
    }
}
