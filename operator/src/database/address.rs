//! A Secret's value as the address of a database, as the operator has to write it.

use std::net::IpAddr;

use gritstone_store::{DatabaseUrl, UrlError};

use super::fault::DatabaseFault;
use super::files::Files;
use super::secret::Source;

/// Reads the value that was found at `source`.
///
/// Pods find a Service of their own namespace by its bare name. The operator runs in another one, so such a name gets the namespace: `db`
/// becomes `db.shop.svc`. `files` says which files it may name.
pub(super) fn address(source: &Source, value: &[u8], files: Files) -> Result<DatabaseUrl, DatabaseFault> {
    let (name, key) = (source.name.clone(), source.key.clone());
    let text = match std::str::from_utf8(value) {
        Ok(text) if text.trim().is_empty() => return Err(DatabaseFault::NoKey { name, key }),
        Ok(text) => text,
        Err(_) => return Err(DatabaseFault::NotAUrl { name, key, why: "it is no text".to_owned() }),
    };
    let url = match DatabaseUrl::parse(text) {
        Ok(DatabaseUrl::Sqlite { .. }) | Err(UrlError::InMemory | UrlError::Parameter(_)) => {
            return Err(DatabaseFault::AFile { name, key });
        }
        Ok(url) => url,
        Err(error) => return Err(DatabaseFault::NotAUrl { name, key, why: why(error) }),
    };
    files.check(source, &url)?;
    match url.host() {
        None => Err(DatabaseFault::NotAUrl { name, key, why: "it names no host".to_owned() }),
        Some(host) if is_short(&host) => {
            let full = format!("{host}.{}.svc", source.namespace);
            url.at_host(&full).ok_or(DatabaseFault::NotAUrl { name, key, why: "its host is none".to_owned() })
        }
        Some(_) => Ok(url),
    }
}

fn why(error: UrlError) -> String {
    match error {
        // What stands before the first colon of something that is no URL may be a part of a password.
        UrlError::Scheme { .. } => "it begins with none of postgres://, mysql://".to_owned(),
        UrlError::NoDatabase => "it names no database: end it with /NAME".to_owned(),
        UrlError::Unreadable { reason } => reason,
        other => other.to_string(),
    }
}

/// A name that only the search list of a pod's own namespace finds.
fn is_short(host: &str) -> bool {
    let number = host.trim_start_matches('[').trim_end_matches(']');
    // A path is the folder of a socket.
    !host.contains(['.', '/']) && number.parse::<IpAddr>().is_err() && !host.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: &str) -> Result<String, DatabaseFault> {
        let source = Source { namespace: "shop".to_owned(), name: "app-db".to_owned(), key: "uri".to_owned() };
        address(&source, value.as_bytes(), Files::Any).map(|url| url.to_string())
    }

    #[test]
    fn a_short_name_of_a_host_gets_the_namespace_and_no_other_does() {
        for (value, expected) in [
            ("postgres://joe:x@db/app", "postgres://db.shop.svc/app"),
            ("postgresql://db:5433/app?sslmode=require\n", "postgres://db.shop.svc:5433/app"),
            ("mysql2://db/app", "mysql://db.shop.svc/app"),
            ("postgres://localhost/app", "postgres://localhost/app"),
            ("postgres://127.0.0.1/app", "postgres://127.0.0.1/app"),
            ("postgres://[::1]:5432/app", "postgres://[::1]:5432/app"),
            ("postgres://db.other/app", "postgres://db.other/app"),
            ("postgres://db.example.com./app", "postgres://db.example.com./app"),
        ] {
            assert_eq!(read(value).as_deref(), Ok(expected));
        }
    }

    #[test]
    fn what_is_no_address_is_told_without_repeating_it() {
        let reason = |value| read(value).unwrap_err().reason();
        assert_eq!(reason(" \n"), "NoKey");
        for value in ["hunter2:secret", "nonsense", "postgres:///app", "postgres://db", "redis://db/0"] {
            let fault = read(value).unwrap_err();
            assert_eq!(fault.reason(), "NotAUrl", "{value}");
            let words = fault.to_string();
            assert!(words.starts_with("what the Secret app-db has under the key uri is no URL"), "{words}");
            assert!(!words.contains("hunter2") && !words.contains("nonsense"), "{words}");
        }
        assert_eq!(reason("sqlite://queue.db"), "FileInCluster");
        assert_eq!(reason("sqlite::memory:"), "FileInCluster");
    }
}
