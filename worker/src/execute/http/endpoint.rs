//! Where requests go: a URL, taken apart once.

use percent_encoding::percent_decode_str;
use rustls::pki_types::ServerName;
use std::fmt;
use std::path::PathBuf;
use url::Url;

/// A server's address and the path on it: `http://`, `https://`, or `http+unix://` with the socket's path in the host's place,
/// its slashes written as `%2F`.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    url: Url,
    pub(super) place: Place,
}

/// What to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Tcp { host: String, port: u16, tls: Option<ServerName<'static>> },
    Unix(PathBuf),
}

/// Why a text is no [`Endpoint`].
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// It is no URL.
    #[error("{text:?} is not a URL ({source}): say http://127.0.0.1:8080/jobs")]
    NotAUrl {
        /// What was given.
        text: String,
        /// What its parser says.
        source: url::ParseError,
    },
    /// It has another scheme.
    #[error("{text:?} has the scheme {scheme}: use http, https or http+unix")]
    Scheme {
        /// What was given.
        text: String,
        /// Its scheme.
        scheme: String,
    },
    /// It has a user name or a password.
    #[error("the URL has a user name or a password, which logs and lists of processes would show: take it out")]
    Credentials,
    /// It names no host, or no socket.
    #[error(
        "{text:?} names no server: say http://127.0.0.1:8080/jobs, or http+unix://%2Frun%2Fjobs.sock/jobs for a socket"
    )]
    NoServer {
        /// What was given.
        text: String,
    },
}

impl std::str::FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let mut url = Url::parse(text).map_err(|source| EndpointError::NotAUrl { text: text.to_owned(), source })?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(EndpointError::Credentials);
        }
        let no_server = || EndpointError::NoServer { text: text.to_owned() };
        let place = match url.scheme() {
            "http" | "https" => {
                let (host, port) = (url.host_str().ok_or_else(no_server)?, url.port_or_known_default());
                // Brackets belong to the URL, not to the address.
                let host = host.trim_matches(['[', ']']).to_owned();
                let tls = match url.scheme() {
                    "https" => Some(ServerName::try_from(host.clone()).map_err(|_| no_server())?),
                    _ => None,
                };
                Place::Tcp { host, port: port.ok_or_else(no_server)?, tls }
            }
            "http+unix" => {
                let host = url.host_str().ok_or_else(no_server)?;
                let path = percent_decode_str(host).decode_utf8().map_err(|_| no_server())?;
                if !path.starts_with('/') || path.len() < 2 || path.contains('\0') {
                    return Err(no_server());
                }
                Place::Unix(PathBuf::from(path.into_owned()))
            }
            scheme => return Err(EndpointError::Scheme { text: text.to_owned(), scheme: scheme.to_owned() }),
        };
        url.set_fragment(None);
        Ok(Self { url, place })
    }
}

impl Endpoint {
    /// The same server, another path.
    pub(super) fn at(&self, path: &str) -> Self {
        let mut url = self.url.clone();
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        url.set_path(path);
        url.set_query(query);
        Self { url, place: self.place.clone() }
    }

    /// Where a response's `Location` points to, if that is on the same server: nobody may send us elsewhere.
    pub(super) fn join(&self, location: &str) -> Option<Self> {
        let url = self.url.join(location).ok()?;
        let same =
            |url: &Url| (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port_or_known_default());
        (same(&url) == same(&self.url) && url.username().is_empty()).then(|| Self { url, place: self.place.clone() })
    }

    /// Path and query, as a request's first line has them.
    pub(super) fn path(&self) -> String {
        let path = if self.url.path().is_empty() { "/" } else { self.url.path() };
        match self.url.query() {
            Some(query) => format!("{path}?{query}"),
            None => path.to_owned(),
        }
    }

    /// The header `Host`.
    pub(super) fn host(&self) -> String {
        match (&self.place, self.url.host_str(), self.url.port()) {
            (Place::Tcp { .. }, Some(host), Some(port)) => format!("{host}:{port}"),
            (Place::Tcp { .. }, Some(host), None) => host.to_owned(),
            _ => "localhost".to_owned(),
        }
    }

    /// Whether it takes TLS.
    pub(super) fn is_tls(&self) -> bool {
        matches!(&self.place, Place::Tcp { tls: Some(_), .. })
    }
}

impl fmt::Display for Endpoint {
    /// Without the query, which may hold a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut url = self.url.clone();
        url.set_query(None);
        f.write_str(url.as_str())
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(text: &str) -> Endpoint {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn urls_are_taken_apart() {
        let plain = endpoint("http://127.0.0.1:8080/jobs?x=1#top");
        assert_eq!((plain.host().as_str(), plain.path().as_str()), ("127.0.0.1:8080", "/jobs?x=1"));
        assert_eq!(plain.place, Place::Tcp { host: "127.0.0.1".into(), port: 8080, tls: None });
        let six = endpoint("https://[::1]");
        assert_eq!((six.host().as_str(), six.path().as_str()), ("[::1]", "/"));
        assert!(six.is_tls() && matches!(&six.place, Place::Tcp { host, port: 443, .. } if host == "::1"));
        let socket = endpoint("http+unix://%2Frun%2Fmy%20jobs.sock/jobs");
        assert_eq!((socket.host().as_str(), socket.path().as_str()), ("localhost", "/jobs"));
        assert_eq!(socket.place, Place::Unix("/run/my jobs.sock".into()));
        assert_eq!(endpoint("http+unix://%2Frun%2Fjobs.sock").path(), "/");
    }

    #[test]
    fn other_paths_are_on_the_same_server() {
        for url in ["http://a:1/jobs?x=1", "http+unix://%2Fa/jobs"] {
            assert_eq!(endpoint(url).at("/healthz?full=1").path(), "/healthz?full=1", "{url}");
            assert_eq!(endpoint(url).join("runs/7?y").unwrap().path(), "/runs/7?y", "{url}");
            assert_eq!(endpoint(url).join("http://elsewhere/x"), None, "{url}");
        }
        assert_eq!(endpoint("http://a:1/jobs").join("http://a:1/x").unwrap().path(), "/x");
        for elsewhere in ["http://a/x", "https://a:1/x", "//b/x", "http://u@a:1/x"] {
            assert_eq!(endpoint("http://a:1/jobs").join(elsewhere), None, "{elsewhere}");
        }
    }

    #[test]
    fn what_is_none_says_what_one_looks_like() {
        let error = |text: &str| text.parse::<Endpoint>().unwrap_err().to_string();
        assert!(error("jobs").contains("say http://127.0.0.1:8080/jobs"));
        assert!(error("localhost:8080").contains("the scheme localhost"));
        assert!(
            error("http://me:secret@a/").contains("take it out") && !error("http://me:secret@a/").contains("secret")
        );
        for text in ["http+unix://run/x", "http+unix:///run/x", "http+unix://%2F/x"] {
            assert!(error(text).contains("names no server"), "{text}");
        }
    }

    #[test]
    fn a_query_is_not_shown() {
        assert_eq!(endpoint("http://a/jobs?token=secret").to_string(), "http://a/jobs");
    }
}
