//! A tree as Ruby's own reader of YAML makes it: merges and symbols.

use std::collections::HashMap;

use crate::manifest::tree::{Content, Entry, Node, Place};

/// The tag that a symbol, as in `:open`, has here; its text is without the colon.
pub(super) const SYMBOL: &str = "!ruby/symbol";

/// The key under which fields of another map come in.
const MERGE: &str = "<<";

/// What is wrong, and where.
type Slip = (Place, String);

/// The tree of a document whose merges are entries called `<<`. `text` is what it was read from: a word in quotes is a text, where
/// without them it may be a symbol.
///
/// # Errors
/// Keys that are written twice, tags, and merges of what has no fields.
pub(super) fn tree(root: Node, text: &str) -> Result<Node, Vec<Slip>> {
    let mut reader = Reader { lines: text.lines().collect(), slips: Vec::new() };
    let root = reader.node(root);
    if reader.slips.is_empty() { Ok(root) } else { Err(reader.slips) }
}

struct Reader<'a> {
    lines: Vec<&'a str>,
    slips: Vec<Slip>,
}

impl Reader<'_> {
    fn node(&mut self, node: Node) -> Node {
        let Node { place, tag, content } = node;
        if let Some(tag) = tag {
            self.slip(
                place,
                format!("`{tag}` is a tag in YAML, which has no meaning here: put the word in quotes, or leave it out"),
            );
        }
        let mut tag = None;
        let content = match content {
            Content::List(list) => Content::List(list.into_iter().map(|node| self.node(node)).collect()),
            Content::Map(entries) => Content::Map(self.entries(entries)),
            Content::Text(text) if self.is_bare(place) => {
                if is_no_text_in_ruby(&text) {
                    let message =
                        format!("Ruby reads {text} as a date, a time or a number: put it in quotes to have it as text");
                    self.slip(place, message);
                }
                match symbol(&text) {
                    Some(symbol) => {
                        tag = Some(SYMBOL.to_owned());
                        Content::Text(symbol.to_owned())
                    }
                    None => Content::Text(text),
                }
            }
            other => other,
        };
        Node { place, tag, content }
    }

    /// Merged in the order in which they are written, as Ruby does it: what comes later wins, a merge too.
    fn entries(&mut self, entries: Vec<Entry>) -> Vec<Entry> {
        let mut merged: Vec<Entry> = Vec::new();
        let mut written: HashMap<String, Place> = HashMap::new();
        for Entry { key, place, value } in entries {
            let value = self.node(value);
            if key == MERGE {
                for entry in self.brought_in(place, value) {
                    put(&mut merged, entry);
                }
                continue;
            }
            let key = symbol(&key).unwrap_or(&key).to_owned();
            if let Some(first) = written.insert(key.clone(), place) {
                self.slip(place, format!("{key} is written twice, in lines {} and {}", first.line, place.line));
            }
            put(&mut merged, Entry { key, place, value });
        }
        merged
    }

    fn brought_in(&mut self, place: Place, value: Node) -> Vec<Entry> {
        let no_fields = "`<<` brings in the fields of another map, as in `<<: *default`; this has none";
        match value.content {
            Content::Map(entries) => entries,
            Content::List(list) => {
                let mut entries = Vec::new();
                // The first wins.
                for node in list.into_iter().rev() {
                    match node.content {
                        Content::Map(more) => more.into_iter().for_each(|entry| put(&mut entries, entry)),
                        _ => self.slip(place, no_fields.to_owned()),
                    }
                }
                entries
            }
            _ => {
                self.slip(place, no_fields.to_owned());
                Vec::new()
            }
        }
    }

    /// Whether what stands at a place of the text stands there without quotes.
    fn is_bare(&self, place: Place) -> bool {
        let line = usize::try_from(place.line).ok().and_then(|line| self.lines.get(line.checked_sub(1)?));
        let column = usize::try_from(place.column).unwrap_or(usize::MAX);
        let first = line.and_then(|line| line.chars().nth(column.checked_sub(1)?));
        first.is_some_and(|c| !matches!(c, '"' | '\'' | '|' | '>' | '&' | '!'))
    }

    /// Once for each place: an alias repeats what is wrong with what it stands for.
    fn slip(&mut self, place: Place, message: String) {
        if !self.slips.iter().any(|(said, _)| *said == place) {
            self.slips.push((place, message));
        }
    }
}

fn put(entries: &mut Vec<Entry>, entry: Entry) {
    match entries.iter_mut().find(|there| there.key == entry.key) {
        Some(there) => *there = entry,
        None => entries.push(entry),
    }
}

/// The name of `:name`.
fn symbol(text: &str) -> Option<&str> {
    let name = text.strip_prefix(':')?;
    let is_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '?' | '!' | '=' | '*');
    (name.starts_with(|c: char| c.is_alphabetic() || c == '_') && name.chars().all(is_word)).then_some(name)
}

/// `2026-01-05`, `12:30:45` (which is 45,045), `1,000`: words that are text to us.
fn is_no_text_in_ruby(text: &str) -> bool {
    let mut date = text.splitn(3, '-');
    let (year, month, day) = (date.next().unwrap_or_default(), date.next(), date.next());
    let is_date = year.len() == 4
        && digits(year)
        && month.is_some_and(|month| (1..=2).contains(&month.len()) && digits(month))
        && day.is_some_and(|day| day.starts_with(|c: char| c.is_ascii_digit()));
    let number = text.strip_prefix(['-', '+']).unwrap_or(text);
    let is_by_sixties = number.contains(':') && number.split(':').all(|part| !part.is_empty() && digits(part));
    let begins = number.starts_with(|c: char| c.is_ascii_digit());
    is_date || is_by_sixties || begins && number.contains(',') && number.split(',').all(digits)
}

fn digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::yaml;

    fn read(text: &str) -> Result<Node, Vec<Slip>> {
        let mut documents = yaml::parse_unmerged(text).unwrap_or_else(|error| panic!("{error:?}"));
        tree(documents.remove(0), text)
    }

    fn at<'a>(root: &'a Node, keys: &[&str]) -> &'a Node {
        keys.iter().fold(root, |node, key| node.get(key).unwrap_or_else(|| panic!("{key} of {node:?}")))
    }

    #[test]
    fn merges_bring_in_fields_and_what_comes_later_wins() {
        let root = read(
            "default: &default {a: 1, b: 2}\nother: &other {b: 3, c: 3}\none:\n  <<: *default\n  b: 9\n\
             two:\n  b: 9\n  <<: *default\nthree:\n  <<: [*default, *other]\n",
        )
        .expect("a tree");
        for (keys, expected) in
            [(["one", "b"], 9), (["one", "a"], 1), (["two", "b"], 2), (["three", "b"], 2), (["three", "c"], 3)]
        {
            assert!(
                matches!(at(&root, &keys).content, Content::Unsigned(n) if n == expected),
                "{keys:?}: {:?}",
                at(&root, &keys)
            );
        }
        assert_eq!(at(&root, &["one", "a"]).place.line, 1);
    }

    #[test]
    fn symbols_are_names_and_words_in_quotes_are_not_symbols() {
        let root =
            read(":workers:\n  - :queues: :urgent\n    other: \":urgent\"\n    time: \"12:30\"\n").expect("a tree");
        let Content::List(list) = &at(&root, &["workers"]).content else { panic!("{root:?}") };
        let queues = at(&list[0], &["queues"]);
        assert_eq!((&queues.content, queues.tag.as_deref()), (&Content::Text("urgent".into()), Some(SYMBOL)));
        let other = at(&list[0], &["other"]);
        assert_eq!((&other.content, other.tag.as_deref()), (&Content::Text(":urgent".into()), None));
    }

    #[test]
    fn words_that_only_look_like_numbers_are_text() {
        for text in [
            "a: every day at 12:30\n",
            "a: a, b\n",
            "a: 0 9 * * 1-5\n",
            "a: 1,2 3\n",
            "a: \"12:30\"\n",
            "a: 10-20-30\n",
            "a: A::B\n",
        ] {
            assert!(read(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn slips_are_said_with_their_place() {
        for (text, line, expected) in [
            ("a: 1\nb: 2\na: 3\n", 3, "a is written twice, in lines 1 and 3"),
            (":a: 1\na: 3\n", 2, "a is written twice"),
            ("a: &a 1\nb:\n  <<: *a\n", 3, "brings in the fields of another map"),
            ("a: !ruby/object:Kernel {}\n", 1, "is a tag in YAML"),
            ("a: 12:30:45\n", 1, "Ruby reads 12:30:45 as a date, a time or a number"),
            ("a:\n  - 2026-01-05\n", 2, "put it in quotes"),
            ("a: 2026-01-05 10:00:00\n", 1, "put it in quotes"),
            ("a: 1,000\n", 1, "put it in quotes"),
        ] {
            let slips = read(text).expect_err(text);
            assert_eq!(slips.len(), 1, "{slips:?}");
            assert_eq!(slips[0].0.line, line, "{slips:?}");
            assert!(slips[0].1.contains(expected), "{slips:?}");
        }
    }
}
