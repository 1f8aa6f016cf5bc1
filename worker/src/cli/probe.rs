//! `gritstone probe`: whether a server is healthy.

use super::exit::Exit;
use super::runtime;
use crate::execute::http::{self, Endpoint};

/// Ask a server once whether it is healthy
///
/// Ends with 0 when it answers 2xx. For a probe in a container whose image has no program that could ask, and whose server listens on
/// 127.0.0.1 alone, where nobody outside of its pod can.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  gritstone probe http://127.0.0.1:8080/healthz
  gritstone probe http+unix://%2Frun%2Fjobs.sock/healthz")]
pub(super) struct Probe {
    /// `http://`, `https://`, or `http+unix://` with the socket's path as the host
    #[arg(value_name = "URL")]
    url: String,
}

impl Probe {
    pub(super) fn run(self) -> Result<(), Exit> {
        let endpoint: Endpoint =
            self.url.parse().map_err(|error: http::EndpointError| Exit::Usage(error.to_string()))?;
        runtime::block_on(async { http::check(endpoint).await.map_err(|error| Exit::Refused(error.to_string())) })
    }
}
