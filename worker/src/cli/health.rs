//! Where the health page is.

use super::exit::Exit;
use crate::health::{Health, Page};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// The variable that says the same as `--health`.
const VARIABLE: &str = "GRITSTONE_HEALTH_ADDRESS";

/// The page for probes and metrics.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct HealthOptions {
    /// Serve /livez, /readyz and /metrics there: `:9090` on all addresses, `127.0.0.1:9090` on one; nowhere unless given
    #[arg(long, value_name = "[ADDRESS]:PORT", env = VARIABLE, default_value = "", hide_default_value = true)]
    health: Listen,
}

/// The addresses to try in turn; none is no page.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Listen(Vec<SocketAddr>);

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Ok(Listen(Vec::new()));
        }
        if let Some(port) = text.strip_prefix(':').and_then(|port| port.parse().ok()) {
            // The first is both, but isn't there where the kernel has no IPv6.
            let all: [IpAddr; 2] = [Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into()];
            return Ok(Listen(all.map(|address| SocketAddr::new(address, port)).into()));
        }
        match text.parse() {
            Ok(address) => Ok(Listen(vec![address])),
            Err(_) => {
                Err("is not an address with a port: 0.0.0.0:9090, [::1]:9090, or :9090 for all addresses".to_owned())
            }
        }
    }
}

impl HealthOptions {
    /// Starts the page, if there is to be one. It is served until what is returned is dropped.
    pub(super) fn serve(&self, health: &Health) -> Result<Option<Page>, Exit> {
        match self.health.0.as_slice() {
            [] => Ok(None),
            addresses => {
                Page::serve(addresses, health.clone()).map(Some).map_err(|error| Exit::Refused(error.to_string()))
            }
        }
    }

    /// For children, which can't have the same port.
    pub(super) fn off() -> (std::ffi::OsString, std::ffi::OsString) {
        (VARIABLE.into(), "".into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_with_a_port_or_all_with_a_port() {
        let listen =
            |text: &str| text.parse::<Listen>().map(|listen| listen.0.iter().map(ToString::to_string).collect());
        let some = |addresses: &[&str]| Ok(addresses.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(listen(":9090"), some(&["[::]:9090", "0.0.0.0:9090"]));
        assert_eq!(listen("127.0.0.1:80"), some(&["127.0.0.1:80"]));
        assert_eq!(listen("[::1]:80"), some(&["[::1]:80"]));
        assert_eq!(listen(""), some(&[]));
        for wrong in ["9090", "localhost", "127.0.0.1", ":", ":99999"] {
            assert!(listen(wrong).is_err(), "{wrong}");
        }
    }
}
