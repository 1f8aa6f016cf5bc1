//! The reference agrees with the program: its table of options has all of them. That of metrics is held to a running operator in
//! tests/program.

use std::collections::BTreeSet;
use std::path::Path;

use clap::CommandFactory;
use gritstone_operator::Arguments;

/// What stands first in the rows of the table that begins with this.
fn table(head: &str) -> Vec<Vec<String>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/operator.md");
    let page = std::fs::read_to_string(path).unwrap();
    let rows = page.lines().skip_while(|line| !line.starts_with(head)).skip(2).take_while(|line| line.starts_with('|'));
    let cells = |row: &str| row.split('|').map(|cell| cell.trim().trim_matches('`').to_owned()).collect::<Vec<_>>();
    rows.map(|row| cells(row)[1..].to_vec()).collect()
}

#[test]
fn every_option_is_in_the_table_with_its_variable_and_default() {
    let documented: BTreeSet<_> = table("| Option |").into_iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    let command = Arguments::command();
    let options: Vec<_> = command.get_arguments().filter(|option| option.get_env().is_some()).collect();
    let written = |option: &clap::Arg| {
        let variable = option.get_env().unwrap().to_string_lossy().into_owned();
        (format!("--{}", option.get_long().unwrap()), variable)
    };
    assert_eq!(documented, options.iter().map(|option| written(option)).collect());
    for row in table("| Option |") {
        let option = options.iter().find(|option| format!("--{}", option.get_long().unwrap()) == row[0]).unwrap();
        if let [default] = option.get_default_values() {
            assert_eq!(default.to_string_lossy(), row[2], "{}", row[0]);
        }
    }
}

#[test]
fn the_chart_sets_only_what_the_program_reads() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/gritstone/templates/deployment.yaml");
    let chart = std::fs::read_to_string(path).unwrap();
    let command = Arguments::command();
    let read: Vec<_> = command.get_arguments().filter_map(|option| option.get_env()?.to_str()).collect();
    let set: Vec<_> = chart.split("{name: GRITSTONE_").skip(1).map(|rest| rest.split(',').next().unwrap()).collect();
    assert!(set.len() > 5);
    for name in set {
        assert!(read.contains(&format!("GRITSTONE_{name}").as_str()), "nothing reads GRITSTONE_{name}");
    }
}
