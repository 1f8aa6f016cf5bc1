//! `docs/reference` says what the command says.

use super::output::SUBCOMMANDS;
use super::support::Home;
use std::path::Path;

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_option_of_every_subcommand_is_in_the_reference() {
    let home = Home::empty();
    let page = page("command.md");
    for subcommand in SUBCOMMANDS {
        let arguments: Vec<&str> = subcommand.iter().copied().chain(["--help"]).collect();
        let help = home.run(&arguments).ok().out;
        let heading = format!("\n### `gritstone {}`", subcommand.join(" "));
        let section = page.split(&heading).nth(1).unwrap_or_else(|| panic!("command.md has no{heading}"));
        let section = section.split("\n### ").next().unwrap_or_default();
        let global = ["--database", "--json", "--log", "--log-format", "--help", "--version"];
        let options = help.lines().filter_map(|line| line.split_whitespace().find(|word| word.starts_with("--")));
        for option in options.filter(|option| !global.contains(option)) {
            let is_option_line =
                help.lines().any(|line| line.trim_start().trim_start_matches("-f, ").starts_with(option));
            assert!(!is_option_line || section.contains(option), "{heading} lacks {option}");
        }
    }
}

/// Each row of the table names its test.
#[test]
fn every_row_of_bad_input_is_tested() {
    let tests = concat!(
        include_str!("bad_input/values.rs"),
        include_str!("bad_input/commands.rs"),
        include_str!("bad_input/typed.rs"),
        include_str!("bad_input/database.rs"),
        include_str!("bad_input/rows.rs"),
        include_str!("bad_input/server.rs"),
        include_str!("bad_input/handlers.rs"),
        include_str!("bad_input/http.rs"),
        include_str!("rails_files.rs"),
        include_str!("recurring.rs"),
        include_str!("start.rs"),
    );
    let page = page("bad-input.md");
    let mut rows = 0;
    for row in page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| Input")) {
        let name = row.trim_end_matches('|').rsplit('|').next().unwrap_or_default().trim().trim_matches('`');
        assert!(tests.contains(&format!("fn {name}(")), "{row}");
        rows += 1;
    }
    assert!(rows > 30, "{rows}");
}
