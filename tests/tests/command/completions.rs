//! `gritstone completions`.

use super::support::Home;

#[test]
fn every_shell_gets_a_script() {
    let home = Home::empty();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        home.run(&["completions", shell]).ok().prints("run-now");
    }
    home.run(&["completions", "bsh"]).code(2).says("'bash'");
}
