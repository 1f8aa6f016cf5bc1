//! `gritstone completions`: for the shell.

use super::exit::Exit;
use clap::CommandFactory as _;
use clap_complete::Shell;
use std::io::Write as _;

/// Print completions for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  source <(gritstone completions bash)
  gritstone completions zsh > ~/.zfunc/_gritstone
  gritstone completions fish > ~/.config/fish/completions/gritstone.fish")]
pub(super) struct Completions {
    /// Which shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self) -> Result<(), Exit> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut super::Cli::command(), "gritstone", &mut script);
        Ok(std::io::stdout().lock().write_all(&script)?)
    }
}
