//! What holds for every subcommand: pipes, colours, passwords, help.

use super::support::{Home, Ran};
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

/// Every subcommand.
pub const SUBCOMMANDS: [&[&str]; 34] = [
    &["start"],
    &["work"],
    &["dispatch"],
    &["migrate"],
    &["enqueue"],
    &["jobs", "list"],
    &["jobs", "show"],
    &["jobs", "retry"],
    &["jobs", "discard"],
    &["jobs", "run-now"],
    &["queues", "list"],
    &["queues", "pause"],
    &["queues", "resume"],
    &["processes", "list"],
    &["processes", "prune"],
    &["batches", "list"],
    &["batches", "show"],
    &["limits", "list"],
    &["limits", "set"],
    &["limits", "unset"],
    &["classes", "list"],
    &["classes", "unset"],
    &["schedule", "next"],
    &["recurring", "list"],
    &["recurring", "show"],
    &["recurring", "run"],
    &["recurring", "suspend"],
    &["recurring", "resume"],
    &["recurring", "remove"],
    &["check"],
    &["install"],
    &["probe"],
    &["convert"],
    &["clear"],
];

#[test]
fn help_has_examples_everywhere() {
    let home = Home::empty();
    for subcommand in SUBCOMMANDS {
        let arguments: Vec<&str> = subcommand.iter().copied().chain(["--help"]).collect();
        home.run(&arguments).ok().prints("Examples:").prints("gritstone ");
    }
    home.run(&["--version"]).ok().prints("gritstone 0.");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let home = Home::new();
    home.enqueue("A", 5_000);
    for arguments in
        [["jobs", "list", "--all"].as_slice(), &["jobs", "list", "--all", "--json"], &["completions", "zsh"]]
    {
        let mut child = home.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut first = String::new();
        BufReader::with_capacity(1, child.stdout.take().unwrap()).read_line(&mut first).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            (output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()),
            (Some(0), ""),
            "{arguments:?}"
        );
    }
}

#[test]
fn errors_that_nobody_reads_are_no_panic() {
    let home = Home::empty();
    let mut command = home.command(&["jobs", "list"]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    command.stderr(writer);
    Ran::of(command).code(3);
}

#[test]
fn no_colour_where_none_is_wanted() {
    let home = Home::new();
    home.enqueue("A", 1);
    let mut command = home.command(&["jobs", "list", "--log", "debug"]);
    command.env("NO_COLOR", "1");
    let ran = Ran::of(command).ok();
    assert!(!ran.out.contains('\u{1b}') && !ran.err.contains('\u{1b}'), "{ran:#?}");
}

#[test]
fn a_password_is_never_printed() {
    let home = Home::empty();
    for url in [
        "postgres://joe:s3cret@127.0.0.1:1/app",
        "mysql://joe:s3cret@127.0.0.1:1/app",
        "postgres://joe:s3cret@127.0.0.1",
    ] {
        for arguments in [["queues", "list"], ["migrate", "--log=debug"]] {
            let ran = home.run(&[&["--database", url], arguments.as_slice()].concat());
            assert_ne!(ran.code, Some(0));
            assert!(!ran.out.contains("s3cret") && !ran.err.contains("s3cret"), "{ran:#?}");
        }
    }
    let mut command = home.command(&["--help"]);
    command.env("DATABASE_URL", "postgres://joe:s3cret@127.0.0.1/app");
    assert!(!Ran::of(command).ok().out.contains("s3cret"));
}

#[test]
fn what_a_terminal_would_obey_is_shown_instead() {
    let home = Home::new();
    home.run_with(&["enqueue"], b"{\"class\": \"A\\u001b[2J\", \"args\": [\"\\u001b[2J\"]}\n").ok();
    for arguments in [["jobs", "list"].as_slice(), &["jobs", "show", "1"]] {
        let ran = home.run(arguments).ok();
        assert!(!ran.out.contains('\u{1b}'), "{ran:#?}");
    }
}
