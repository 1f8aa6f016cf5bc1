//! "Did you mean": the known name that a misspelt one was probably meant to be.

/// The name among `known` nearest to `word`, if one is near enough to be worth suggesting.
///
/// Case, `_` and `-` count for nothing, so that `polling_interval` finds `pollingInterval`; of the rest, a third of the letters
/// may be wrong, two neighbours swapped counting as one.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = plain(word);
    let allowed = (word.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|name| (strsim::osa_distance(&word, &plain(name)), name))
        .filter(|(distance, name)| *distance <= allowed && *distance < plain(name).chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// What to say after "unknown ...": the nearest name, else what there is to choose from when that is not too much to read.
pub(crate) fn suggestion(word: &str, known: &[&str]) -> String {
    match nearest(word, known.iter().copied()) {
        Some(name) => format!("did you mean {name}?"),
        None if known.is_empty() => "nothing is known here".to_owned(),
        None => format!("known here: {}", known.join(", ")),
    }
}

fn plain(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '_' | '-')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: [&str; 5] = ["queues", "queueOrder", "pollingInterval", "threads", "to"];

    #[test]
    fn a_slip_of_the_finger_finds_its_name() {
        for (word, name) in [
            ("pollingIntervall", "pollingInterval"),
            ("polling_interval", "pollingInterval"),
            ("poolingInterval", "pollingInterval"),
            ("thraeds", "threads"),
            ("queue", "queues"),
            ("Threads", "threads"),
        ] {
            assert_eq!(nearest(word, FIELDS), Some(name), "{word}");
        }
    }

    #[test]
    fn another_word_finds_nothing() {
        for word in ["colour", "x", "", "日本"] {
            assert_eq!(nearest(word, FIELDS), None, "{word}");
        }
        assert_eq!(suggestion("colour", &["to", "class"]), "known here: to, class");
    }
}
