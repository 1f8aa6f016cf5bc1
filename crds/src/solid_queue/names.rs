//! Names of manifests, made of what the files call things.

use std::collections::{BTreeMap, BTreeSet};

/// The longest name that Kubernetes takes for an object whose pods are named after it.
const MAX_CHARS: usize = 63;
/// A dash and eight digits.
const MARK_CHARS: usize = 9;

/// A name for each of these texts: DNS labels, all different, and the same ones again as long as the texts are the same.
///
/// A text that is no label by a mere change of its letters, and texts that would come to one label, get a mark of eight digits that
/// depends on the text alone; so what else is in the file, and in which order, moves no name.
pub(super) fn names(texts: &[String], otherwise: &str) -> Vec<String> {
    let labels: Vec<String> = texts.iter().map(|text| label(text, otherwise)).collect();
    let mut texts_of: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (text, label) in texts.iter().zip(&labels) {
        texts_of.entry(label).or_default().insert(text);
    }
    let mut taken = BTreeSet::new();
    let name = |(text, label): (&String, &String)| {
        let is_shared = texts_of.get(label.as_str()).is_some_and(|texts| texts.len() > 1);
        let name = match label.len() > MAX_CHARS || is_shared && text != label {
            true => shortened(label, MARK_CHARS) + &format!("-{:08x}", hash(text)),
            false => label.clone(),
        };
        // The same text twice: only their order tells them apart.
        let numbered = (2..).map(|number| shortened(&name, MARK_CHARS) + &format!("-{number}"));
        let free = std::iter::once(name.clone()).chain(numbered).find(|name| taken.insert(name.clone()));
        free.unwrap_or(name)
    };
    texts.iter().zip(&labels).map(name).collect()
}

/// Lower case letters, digits, and a dash for any run of other characters.
fn label(text: &str, otherwise: &str) -> String {
    let mut label = String::new();
    for c in text.chars() {
        match c.to_ascii_lowercase() {
            c if c.is_ascii_lowercase() || c.is_ascii_digit() => label.push(c),
            _ if !label.is_empty() && !label.ends_with('-') => label.push('-'),
            _ => {}
        }
    }
    let label = label.trim_end_matches('-');
    if label.is_empty() { otherwise.to_owned() } else { label.to_owned() }
}

/// With room left for so many characters.
fn shortened(label: &str, room: usize) -> String {
    label[..label.len().min(MAX_CHARS - room)].trim_end_matches('-').to_owned()
}

/// FNV-1a: the standard library's own hashes may change from one version to the next.
fn hash(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn named(texts: &[&str]) -> Vec<String> {
        names(&texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>(), "all")
    }

    #[test]
    fn names_read_like_what_they_are_made_of() {
        assert_eq!(
            named(&["default,mailers", "*", "Reports/Daily", "mail*"]),
            ["default-mailers", "all", "reports-daily", "mail"]
        );
    }

    #[test]
    fn what_would_be_one_name_is_told_apart_whatever_the_order() {
        let [one, other, third] = named(&["a_b", "a.b", "c"]).try_into().expect("three");
        assert!(one.starts_with("a-b-") && other.starts_with("a-b-") && one != other, "{one} {other}");
        assert_eq!(named(&["c", "a.b", "a_b"]), [third, other, one.clone()]);
        assert_eq!(named(&["a-b", "a_b"]), ["a-b".to_owned(), one]);
        assert_eq!(named(&["*", "*", "*"]), ["all", "all-2", "all-3"]);
    }

    proptest! {
        #[test]
        fn names_are_different_labels(texts in proptest::collection::vec("[-A-Ca-c2_* ü]{0,4}|[a-z]{60,70}", 0..8)) {
            let names = names(&texts, "all");
            let is_label = |name: &String| {
                (1..=63).contains(&name.len()) && !name.starts_with('-') && !name.ends_with('-')
                    && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            };
            prop_assert!(names.iter().all(is_label), "{names:?}");
            let different: std::collections::BTreeSet<_> = names.iter().collect();
            prop_assert_eq!(different.len(), names.len());
        }
    }
}
