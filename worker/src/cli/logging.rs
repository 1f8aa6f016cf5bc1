//! Logs, on stderr.

use std::io::IsTerminal as _;
use tracing_subscriber::EnvFilter;

/// How logs look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    /// For people.
    Plain,
    /// A JSON object a line.
    Json,
}

/// Starts logging. A filter that can't be read is `info`, and said so.
pub(super) fn init(filter: &str, format: Format) {
    let (parsed, wrong) = match EnvFilter::try_new(filter) {
        Ok(parsed) => (parsed, None),
        Err(error) => (EnvFilter::new("info"), Some(error)),
    };
    // Its own errors go to `eprintln!`, which panics once nobody reads stderr: `gritstone start 2>&1 | head`.
    let builder =
        tracing_subscriber::fmt().with_env_filter(parsed).with_writer(std::io::stderr).log_internal_errors(false);
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    // A second subscriber, in a program that embeds the command, is no reason to stop.
    let _ = match format {
        Format::Plain => builder.with_ansi(colour).try_init(),
        Format::Json => builder.json().flatten_event(true).try_init(),
    };
    if let Some(error) = wrong {
        tracing::warn!(filter, %error, "--log can't be read; logging at info");
    }
}

impl Format {
    /// As `--log-format` takes it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Format::Plain => "plain",
            Format::Json => "json",
        }
    }
}
