//! ERB, as far as these files have it: values out of the environment. Any other Ruby is refused, and never run.
//!
//! What comes out is text that knows where each part of it comes from, so that what is wrong with it is said by the line
//! and column of the file.

mod expression;

use crate::manifest::tree::Place;
use expression::Expression;

/// The environment's variables.
pub type Variables<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// A file with its ERB worked out.
#[derive(Debug)]
pub(super) struct Rendered<'a> {
    source: &'a str,
    /// The YAML.
    pub(super) text: String,
    pieces: Vec<Piece>,
    /// The variables that were asked for, each once.
    pub(super) variables: Vec<String>,
}

/// A stretch of the text.
#[derive(Debug)]
struct Piece {
    /// The byte of the text that it begins at.
    begins: usize,
    /// The byte of the file that it comes from.
    from: usize,
    /// Whether it is what a tag came to, instead of a copy.
    is_value: bool,
}

/// Ruby that is not read, and other reasons not to take a file: where, and what to do.
pub(super) type Refusal = (Place, String);

const HINT: &str = "is Ruby, which is not run here: only values of the environment are read, as in \
                    <%= ENV.fetch(\"JOB_CONCURRENCY\", 1) %>. Write the value itself, or have Ruby work the file out: \
                    ruby -rerb -e 'puts ERB.new(File.read(ARGV[0])).result' FILE";

/// Works out the ERB of `source`.
///
/// # Errors
/// Every tag that is anything else than a comment or a value of the environment, or whose value can't be had.
pub(super) fn render<'a>(source: &'a str, variables: &Variables<'_>) -> Result<Rendered<'a>, Vec<Refusal>> {
    let mut rendered = Rendered { source, text: String::new(), pieces: Vec::new(), variables: Vec::new() };
    let mut refusals = Vec::new();
    let mut at = 0;
    while let Some(tag) = source[at..].find("<%").map(|found| at + found) {
        rendered.copy(at, tag);
        let inside = tag + "<%".len();
        if source[inside..].starts_with('%') {
            // `<%%` stands for `<%`.
            rendered.value(tag, "<%");
            at = inside + 1;
            continue;
        }
        let Some(end) = source[inside..].find("%>").map(|found| inside + found) else {
            refusals.push((place(source, tag), "`<%` is not closed: its `%>` is missing".to_owned()));
            at = source.len();
            break;
        };
        match rendered.tag(tag, &source[inside..end], variables) {
            Ok(()) => {}
            Err(message) => refusals.push((place(source, tag), message)),
        }
        at = end + "%>".len();
    }
    rendered.copy(at, source.len());
    if refusals.is_empty() { Ok(rendered) } else { Err(refusals) }
}

impl Rendered<'_> {
    fn copy(&mut self, from: usize, to: usize) {
        self.pieces.push(Piece { begins: self.text.len(), from, is_value: false });
        self.text.push_str(&self.source[from..to]);
    }

    fn value(&mut self, from: usize, value: &str) {
        self.pieces.push(Piece { begins: self.text.len(), from, is_value: true });
        self.text.push_str(value);
    }

    fn tag(&mut self, from: usize, inside: &str, variables: &Variables<'_>) -> Result<(), String> {
        if inside.starts_with('#') {
            return Ok(());
        }
        let Some(code) = inside.strip_prefix('=') else {
            return Err(format!("`<%{}%>` {HINT}", on_one_line(inside)));
        };
        if self.is_in_a_comment() {
            // It makes no difference there.
            return Ok(());
        }
        let expression = Expression::parse(code).ok_or_else(|| format!("`<%={}%>` {HINT}", on_one_line(code)))?;
        let mut used = Vec::new();
        let value = expression.value(variables, &mut |name| used.push(name.to_owned()))?.to_string();
        if let Some(control) = value.chars().find(|c| c.is_control()) {
            return Err(format!("the value of {} has the control character {control:?}", used.join(" or ")));
        }
        used.retain(|name| !self.variables.contains(name));
        self.variables.extend(used);
        self.value(from, &value);
        Ok(())
    }

    /// Whether the line that is being written is a comment of YAML.
    fn is_in_a_comment(&self) -> bool {
        let line = self.text.rfind('\n').map_or(self.text.as_str(), |end| &self.text[end + 1..]);
        line.trim_start().starts_with('#')
    }

    /// The place in the file that a place in the text comes from.
    pub(super) fn source_place(&self, place: Place) -> Place {
        let offset = offset(&self.text, place);
        // The last that begins there is the one that has something there.
        let position = self.pieces.partition_point(|piece| piece.begins <= offset);
        let Some(piece) = position.checked_sub(1).and_then(|position| self.pieces.get(position)) else { return place };
        let from = if piece.is_value { piece.from } else { piece.from + (offset - piece.begins) };
        self::place(self.source, from)
    }
}

/// The byte at a place of a text, or the last one of its line.
fn offset(text: &str, place: Place) -> usize {
    let lines = usize::try_from(place.line.saturating_sub(1)).unwrap_or(usize::MAX);
    let columns = usize::try_from(place.column.saturating_sub(1)).unwrap_or(usize::MAX);
    let mut begins = 0;
    for line in text.split_inclusive('\n').take(lines) {
        begins += line.len();
    }
    let line = text[begins..].lines().next().unwrap_or_default();
    begins + line.char_indices().nth(columns).map_or(line.len(), |(at, _)| at)
}

fn place(text: &str, offset: usize) -> Place {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.rfind('\n').map_or(before, |end| &before[end + 1..]);
    Place { line: 1 + before.matches('\n').count() as u64, column: 1 + line.chars().count() as u64 }
}

/// Long enough to be recognized.
const SHOWN_CHARS: usize = 60;

fn on_one_line(code: &str) -> String {
    let words = code.split_whitespace().collect::<Vec<_>>().join(" ");
    match words.chars().count() > SHOWN_CHARS {
        true => format!(" {}... ", words.chars().take(SHOWN_CHARS).collect::<String>()),
        false => format!(" {words} "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(name: &str) -> Option<String> {
        match name {
            "JOB_CONCURRENCY" => Some("12".to_owned()),
            "LINES" => Some("1\nworkers: []".to_owned()),
            _ => None,
        }
    }

    fn rendered(source: &str) -> String {
        render(source, &variables).unwrap_or_else(|refusals| panic!("{refusals:?}")).text
    }

    fn refused(source: &str) -> Vec<(u64, u64, String)> {
        let refusals = render(source, &variables).expect_err(source);
        refusals.into_iter().map(|(place, message)| (place.line, place.column, message)).collect()
    }

    #[test]
    fn values_stand_where_their_tags_stood() {
        assert_eq!(
            rendered("processes: <%= ENV.fetch(\"JOB_CONCURRENCY\", 1) %> # so many\n"),
            "processes: 12 # so many\n"
        );
        assert_eq!(rendered("a: <%= ENV[\"A\"] || 3 %>, b: <%=ENV[\"JOB_CONCURRENCY\"]%>"), "a: 3, b: 12");
        assert_eq!(rendered("a<%# no\nbody %>b"), "ab");
        assert_eq!(rendered("a: <%%= b %>"), "a: <%= b %>");
        assert_eq!(rendered("plain: text"), "plain: text");
    }

    #[test]
    fn each_variable_is_named_once() {
        let source = "a: <%= ENV[\"B\"] || ENV[\"A\"] %>\nb: <%= ENV[\"A\"] %>\n";
        assert_eq!(render(source, &variables).expect("text").variables, ["B", "A"]);
    }

    #[test]
    fn other_ruby_is_refused_by_its_line_and_column_all_of_it() {
        let found = refused("workers:\n  <% 3.times do |i| %>\n  - threads: <%= i + 1 %>\n  <% end %>\n");
        let places: Vec<_> = found.iter().map(|(line, column, _)| (*line, *column)).collect();
        assert_eq!(places, [(2, 3), (3, 14), (4, 3)]);
        assert!(found[0].2.starts_with("`<% 3.times do |i| %>` is Ruby, which is not run here"), "{found:?}");
        assert!(found[1].2.starts_with("`<%= i + 1 %>` is Ruby"), "{found:?}");
        assert_eq!(refused("a: <%= ENV[\"A\"]"), [(1, 4, "`<%` is not closed: its `%>` is missing".to_owned())]);
    }

    #[test]
    fn a_value_stays_one_value() {
        let [(line, column, message)] = refused("\u{e9}: <%= ENV['LINES'] %>").try_into().expect("one");
        assert_eq!((line, column), (1, 4));
        assert!(message.contains("LINES has the control character"), "{message}");
        assert!(!message.contains("workers"), "{message}");
    }

    #[test]
    fn what_stands_in_a_comment_makes_no_difference() {
        assert_eq!(rendered("  # threads: <%= Etc.nprocessors %>\na: 1\n"), "  # threads: \na: 1\n");
        assert_eq!(refused("# <% if true %>\n").len(), 1);
    }

    #[test]
    fn places_are_those_of_the_file() {
        let source = "<%# two\nlines %>a: <%= ENV['JOB_CONCURRENCY'] %> # \u{fc}\nb: 1\n";
        let rendered = render(source, &variables).expect("text");
        assert_eq!(rendered.text, "a: 12 # \u{fc}\nb: 1\n");
        for (text, file) in
            [((1, 1), (2, 9)), ((1, 4), (2, 12)), ((1, 5), (2, 12)), ((1, 9), (2, 44)), ((2, 4), (3, 4))]
        {
            let place = rendered.source_place(Place { line: text.0, column: text.1 });
            assert_eq!((place.line, place.column), file, "{text:?}");
        }
    }
}
