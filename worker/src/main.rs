//! The `gritstone` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    // First of all: this process may have been started to become a handler's child.
    gritstone::execute::launcher::intercept();
    if let Some(code) = gritstone::init::look_after_engine() {
        return code;
    }
    gritstone::cli::main()
}
