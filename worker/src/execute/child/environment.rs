//! What children must not inherit: the way into the queue's database.

use std::ffi::OsStr;
use std::process::Command;

/// Variables that no child inherits: where the queue's database is and how to log in, in our own terms and libpq's.
pub const SCRUBBED_VARIABLES: &[&str] = &[
    "DATABASE_URL",
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

/// Takes the queue's credentials out of what `command` will inherit.
pub(super) fn scrub(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if is_scrubbed(&name) {
            command.env_remove(name);
        }
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
