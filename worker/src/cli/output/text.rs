//! Text from the database, made fit for a terminal.

/// Makes control characters visible: a queue's name must not move the cursor. Line breaks stay.
pub(crate) fn clean(text: &str) -> String {
    text.chars()
        .flat_map(|c| match c {
            '\n' => vec![c],
            '\t' => vec![' '; 4],
            c if c.is_control() => c.escape_default().collect(),
            c => vec![c],
        })
        .collect()
}

/// The beginning of a text on one line, at most so many characters.
pub(crate) fn one_line(text: &str, most: usize) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(most) {
        None => words,
        Some((end, _)) => format!("{}…", &words[..end]),
    }
}

/// `1 job`, `12,345 jobs`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", indicatif::HumanCount(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_on_its_line_and_within_its_length() {
        assert_eq!(one_line("two\nlines", 20), "two lines");
        assert_eq!(one_line("émoji 🦀🦀", 7), "émoji 🦀…");
        assert_eq!(clean("a\u{1b}[2Jb\r"), "a\\u{1b}[2Jb\\r");
        assert_eq!(count(1, "job"), "1 job");
        assert_eq!(count(12_345, "job"), "12,345 jobs");
    }
}
