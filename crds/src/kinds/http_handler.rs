//! A server that jobs are posted to.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::check::Violations;
use crate::path::Path;
use crate::text::Duration;

/// A server that is posted each job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema), schemars(transform = crate::schema::http_handler))]
#[serde(rename_all = "camelCase")]
pub struct HttpHandler {
    /// Where to post: `http://`, `https://`, or `http+unix://` with the socket's path in the host's place, its slashes written
    /// as `%2F` (`http+unix://%2Frun%2Fjobs.sock/jobs`). In a pod usually 127.0.0.1 and the port of the container `handler`.
    /// Required.
    #[cfg_attr(feature = "kube", schemars(transform = crate::schema::handler_url()))]
    pub url: String,
    /// The path that answers 2xx when the server can take jobs; nothing is claimed until then. Default none: that the port
    /// accepts connections is enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "kube", schemars(transform = crate::schema::path()))]
    pub health_path: Option<String>,
    /// How long the server may be silent: until it responds, and then between the lines of its response. A longer job answers
    /// 202 and calls back. 1ms to 1d, default 5m.
    #[serde(default = "HttpHandler::default_timeout")]
    #[cfg_attr(feature = "kube", schemars(transform = crate::schema::duration("1ms", "1d")))]
    pub timeout: Duration,
    /// How long a job that was answered with 202 may be silent: a heartbeat, progress or log line is a sign of life. After that
    /// it counts as lost. 1ms to 7d, default 5m.
    #[serde(default = "HttpHandler::default_timeout")]
    #[cfg_attr(feature = "kube", schemars(transform = crate::schema::duration("1ms", "7d")))]
    pub heartbeat_timeout: Duration,
    /// A file with the certificates (PEM) of the authorities that the server's certificate is checked against, for `https`.
    /// Default those that the system trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "kube", schemars(transform = crate::schema::matches(r"\S", 4096, "must not be empty: name a file, or leave it out")))]
    pub ca_file: Option<String>,
    /// Where jobs that were answered with 202 report. Default this host alone, any free port.
    #[serde(default, skip_serializing_if = "HttpCallback::is_default")]
    pub callback: HttpCallback,
}

/// Where the worker hears of jobs that were answered with 202.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "kube", derive(schemars::JsonSchema), schemars(transform = crate::schema::http_callback))]
#[serde(rename_all = "camelCase")]
pub struct HttpCallback {
    /// The address and port to listen on; port 0 is any that is free. Default 127.0.0.1:0.
    #[serde(default = "HttpCallback::default_listen")]
    #[cfg_attr(feature = "kube", schemars(schema_with = "crate::schema::listen_address"))]
    pub listen: SocketAddr,
    /// How the server reaches that: `http://10.1.2.3:7433`. Needed when `listen` is every address (0.0.0.0, `[::]`), or something
    /// stands between. Default `http://` and the address listened on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "kube", schemars(transform = crate::schema::callback_url()))]
    pub url: Option<String>,
}

impl Default for HttpCallback {
    fn default() -> Self {
        Self { listen: Self::default_listen(), url: None }
    }
}

impl HttpCallback {
    const fn default_listen() -> SocketAddr {
        SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0)
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }

    fn check(&self, at: &Path, found: &mut Violations) {
        match &self.url {
            None if self.listen.ip().is_unspecified() => found.add(
                at.field("url"),
                format!(
                    "is missing: {} is every address of this host, so say which one the handler calls, as in http://10.1.2.3:7433",
                    self.listen
                ),
            ),
            None => {}
            Some(text) => check_url(&at.field("url"), text, &["http", "https"], "http://10.1.2.3:7433", found),
        }
    }
}

impl HttpHandler {
    /// A handler at this address, with all defaults.
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            health_path: None,
            timeout: Self::default_timeout(),
            heartbeat_timeout: Self::default_timeout(),
            ca_file: None,
            callback: HttpCallback::default(),
        }
    }

    const fn default_timeout() -> Duration {
        Duration::from_mins(5)
    }

    pub(super) fn check(&self, at: &Path, found: &mut Violations) {
        const DAY: u64 = 24 * 60;
        check_url(&at.field("url"), &self.url, &["http", "https", "http+unix"], "http://127.0.0.1:8080/jobs", found);
        if let Some(path) = &self.health_path
            && (!path.starts_with('/') || path.contains(|c: char| c.is_whitespace() || c.is_control()))
        {
            found.add(at.field("healthPath"), format!("`{path}` is not a path: it begins with `/` and has no spaces"));
        }
        let shortest = Duration::from_millis(1);
        found.duration(at.field("timeout"), self.timeout, shortest..=Duration::from_mins(DAY));
        found.duration(at.field("heartbeatTimeout"), self.heartbeat_timeout, shortest..=Duration::from_mins(7 * DAY));
        match &self.ca_file {
            Some(file) if file.trim().is_empty() => {
                found.add(at.field("caFile"), "is empty: name a file, or leave it out")
            }
            Some(_) if !self.url.starts_with("https:") => {
                found.add(at.field("caFile"), "has no effect without https: say https:// in url, or leave it out");
            }
            _ => {}
        }
        self.callback.check(&at.field("callback"), found);
    }
}

/// A URL of one of these schemes, without anything secret, that requests can go to.
fn check_url(at: &Path, text: &str, schemes: &[&str], example: &str, found: &mut Violations) {
    // What may hold a password is not repeated.
    let shown = if text.contains('@') { "this".to_owned() } else { format!("`{text}`") };
    let problem = match Url::parse(text) {
        Err(error) => Some(format!("{shown} is not a URL ({error}): say {example}")),
        Ok(url) if !schemes.contains(&url.scheme()) => {
            let (last, others) = schemes.split_last().unwrap_or((&"", &[]));
            Some(format!("{shown} has the scheme {}: use {} or {last}", url.scheme(), others.join(", ")))
        }
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            Some("has a user name or password, which anyone who may read this would see: take it out".to_owned())
        }
        Ok(url) if url.scheme() == "http+unix" && !url.host_str().is_some_and(is_socket) => {
            Some(format!("`{text}` names no socket: say http+unix://%2Frun%2Fjobs.sock/jobs"))
        }
        Ok(url) if url.fragment().is_some() => {
            Some(format!("`{text}` has a `#`, which no server is sent: take it out"))
        }
        Ok(_) => None,
    };
    if let Some(problem) = problem {
        found.add(at.clone(), problem);
    }
}

/// Whether a URL's host is the path of a socket.
fn is_socket(host: &str) -> bool {
    host.len() > 3 && host.get(..3).is_some_and(|start| start.eq_ignore_ascii_case("%2f"))
}
