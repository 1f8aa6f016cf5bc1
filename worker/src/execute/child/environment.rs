//! What children must not inherit: the way into the queue's database, and what was brought along for the engine alone.

use std::ffi::OsStr;
use std::process::Command;

/// Names a file of certificate authorities for the engine, in case its image has none.
pub(crate) const CA_FILE: &str = "GRITSTONE_CA_FILE";

/// Where libraries look first for certificate authorities.
const CERTIFICATES: &str = "SSL_CERT_FILE";

/// Variables that no child inherits: where the queue's database is and how to log in, in our own terms and libpq's.
pub const SCRUBBED_VARIABLES: &[&str] = &[
    "DATABASE_URL",
    CA_FILE,
    crate::init::UNDER_INIT,
    "PGDATABASE",
    "PGHOST",
    "PGHOSTADDR",
    "PGPASSFILE",
    "PGPASSWORD",
    "PGPORT",
    "PGREQUIREAUTH",
    "PGSERVICE",
    "PGSERVICEFILE",
    "PGSSLCERT",
    "PGSSLKEY",
    "PGSYSCONFDIR",
    "PGUSER",
];

/// Beginnings of the names of variables that no child inherits (MySQL's clients and images have no closed list).
pub const SCRUBBED_PREFIXES: &[&str] = &["MYSQL_", "MARIADB_"];

fn is_scrubbed(name: &OsStr) -> bool {
    let Some(name) = name.to_str() else { return false };
    SCRUBBED_VARIABLES.contains(&name) || SCRUBBED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Whether the engine's certificate authorities are those that were brought along for it. Children go by their image.
fn engine_has_authorities_of_its_own() -> bool {
    std::env::var_os(CA_FILE).is_some_and(|own| std::env::var_os(CERTIFICATES).is_some_and(|file| file == own))
}

/// Takes the queue's credentials out of what `command` will inherit.
pub(super) fn scrub(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if is_scrubbed(&name) {
            command.env_remove(name);
        }
    }
    if engine_has_authorities_of_its_own() {
        command.env_remove(CERTIFICATES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_scrubbed_and_the_rest_is_not() {
        for name in ["DATABASE_URL", "PGPASSWORD", "MYSQL_PWD", "MYSQL_ROOT_PASSWORD", "MARIADB_USER"] {
            assert!(is_scrubbed(OsStr::new(name)), "{name}");
        }
        for name in ["PATH", "PGP_KEY", "MY_DATABASE_URL", "HOME"] {
            assert!(!is_scrubbed(OsStr::new(name)), "{name}");
        }
    }
}
