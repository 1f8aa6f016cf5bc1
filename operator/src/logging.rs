//! The log: lines for people or JSON for machines, on standard error.

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// How a line of the log is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A JSON document a line
    #[default]
    Json,
    /// Words
    Plain,
}

/// Begins logging what `filter` lets through.
///
/// # Errors
/// A filter that can't be read.
pub fn start(filter: &str, format: LogFormat) -> Result<(), ParseError> {
    let builder = tracing_subscriber::fmt().with_env_filter(EnvFilter::try_new(filter)?).with_writer(std::io::stderr);
    match format {
        // The innermost span has the trace id, the controller and the object.
        LogFormat::Json => builder.json().flatten_event(true).with_span_list(false).init(),
        LogFormat::Plain => builder.init(),
    }
    Ok(())
}
