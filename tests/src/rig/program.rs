//! Where the programs are that tests run.

use std::path::{Path, PathBuf};

/// The `gritstone` command, built from the same sources into the same folder as the running test.
///
/// # Panics
/// When it isn't there: `cargo build -p gritstone` makes it.
pub fn gritstone() -> PathBuf {
    built("gritstone", "gritstone")
}

/// The same for any program of the workspace, made by `cargo build -p PACKAGE`.
///
/// # Panics
/// When it isn't there.
pub fn built(name: &str, package: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap_or_default();
    let program = test.ancestors().nth(2).map(|folder| folder.join(name)).unwrap_or_default();
    assert!(program.is_file(), "{} is missing: build it with `cargo build -p {package}`", program.display());
    program
}

/// Python itself: what is first on the PATH may be a shell script that looks for it, and takes longer than a job.
pub(super) fn python() -> &'static str {
    let system = "/usr/bin/python3";
    if Path::new(system).is_file() { system } else { "python3" }
}
