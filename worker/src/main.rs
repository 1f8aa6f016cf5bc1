//! The `gritstone` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    // First of all: this process may have been started to become a handler's child.
    gritstone::execute::launcher::intercept();
    gritstone::cli::main()
}
