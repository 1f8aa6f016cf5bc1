//! helm, and the files that it reads and is held to.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs};

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Runs helm at the repository's root, with nothing of the user's own.
pub fn helm(arguments: &[&str]) -> Output {
    let home = env::temp_dir().join("gritstone-helm");
    let mut helm = Command::new(gritstone_tests::cluster::helm().unwrap());
    helm.current_dir(root()).args(arguments).env_clear().env("HOME", home).output().unwrap()
}

/// What it printed, without the lines that tell of symbolic links.
pub fn printed(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    let said: Vec<_> = said.lines().filter(|line| !line.contains("symbolic link")).collect();
    assert!(output.status.success(), "{}", said.join("\n"));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The files of values, sorted by name.
pub fn value_files() -> Vec<PathBuf> {
    let folder = root().join("tests/tests/charts/values");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// What the chart `gritstone` makes of a file of values, without the definitions of the kinds.
pub fn render(release: &str, namespace: &str, values: &Path) -> String {
    let values = values.display().to_string();
    let rest = ["--namespace", namespace, "--set", "gritstone-crds.enabled=false", "--values", &values];
    printed(&helm(&[&["template", release, "charts/gritstone"], &rest[..]].concat()))
}

/// Holds a file of the repository to what it should be, or writes it where that is asked for.
pub fn hold_to(file: &Path, wanted: &str) {
    if env::var_os("GRITSTONE_WRITE_SNAPSHOTS").is_some() {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, wanted).unwrap();
        return;
    }
    let found = fs::read_to_string(file).unwrap_or_default();
    let differs = found.lines().zip(wanted.lines()).position(|(found, wanted)| found != wanted);
    let line = differs.unwrap_or_else(|| found.lines().count().min(wanted.lines().count()));
    assert!(
        found == wanted,
        "{}:{}: has {:?}, should have {:?}; see tests/tests/charts/main.rs",
        file.display(),
        line + 1,
        found.lines().nth(line),
        wanted.lines().nth(line)
    );
}
