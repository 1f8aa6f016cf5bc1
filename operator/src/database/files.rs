//! Which files of the operator's own pod the URL in a Secret may name.
//!
//! The operator opens them, and the files for all namespaces are in its one pod: clients' keys, above all. Where it looks after several, whoever
//! writes a Secret in one of them must not have it log in with the key of another, nor open whatever else is there. So the folder says whose a
//! file is.

use gritstone_store::DatabaseUrl;

use super::fault::DatabaseFault;
use super::secret::Source;
use crate::Scope;

/// Has a folder for each namespace, called like it.
const OF_NAMESPACES: &str = "/etc/databases";
/// Certificates of authorities, which are no secret: those that are given for all, and those that the image has.
const OF_ALL: [&str; 2] = ["/etc/authorities", "/etc/ssl/certs"];
/// The parameters that name them.
const AUTHORITY: [&str; 4] = ["sslrootcert", "ssl-root-cert", "ssl-ca", "sslca"];

/// Which may be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Files {
    /// Any: all that there are, are for the one namespace that is looked after.
    Any,
    /// Those in the folder of the Secret's own namespace; of authorities, those that are for all too.
    OfNamespace,
}

impl Files {
    /// What an operator that looks after these lets be named.
    pub(super) fn of(scopes: &[Scope]) -> Self {
        match scopes {
            [Scope::Namespace(_)] => Files::Any,
            _ => Files::OfNamespace,
        }
    }

    /// Refuses an address that names another file. It is the path that is looked at, not what is there: whoever mounts it may well
    /// mount a link, as the kubelet does, and nobody else can.
    pub(super) fn check(self, source: &Source, url: &DatabaseUrl) -> Result<(), DatabaseFault> {
        if self == Files::Any {
            return Ok(());
        }
        let own = format!("{OF_NAMESPACES}/{}", source.namespace);
        let is_allowed = |parameter: &str, file: &str| {
            let of_all = AUTHORITY.contains(&parameter) && OF_ALL.iter().any(|folder| is_in(folder, file));
            of_all || is_in(&own, file)
        };
        let Some((parameter, file)) = url.files().into_iter().find(|(parameter, file)| !is_allowed(parameter, file))
        else {
            return Ok(());
        };
        let folders = if AUTHORITY.contains(&&*parameter) { format!("{own}, {}", OF_ALL.join(", ")) } else { own };
        // What is no path may be the key itself.
        let what = if file.starts_with('/') { format!("the file {file}") } else { "no absolute path".to_owned() };
        let words = format!(
            "{what} as {parameter}: this operator looks after several namespaces, and opens for this one only files in {folders}"
        );
        Err(DatabaseFault::FileNotAllowed { name: source.name.clone(), key: source.key.clone(), words })
    }
}

/// Whether a file is in a folder, or one below it, by a path that never leaves it.
fn is_in(folder: &str, file: &str) -> bool {
    let below = file.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/'));
    below.is_some_and(|below| below.split('/').all(|part| !matches!(part, "" | "." | "..")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail() -> Source {
        Source { namespace: "mail".to_owned(), name: "app-db".to_owned(), key: "uri".to_owned() }
    }

    fn check(files: Files, url: &str) -> Result<(), DatabaseFault> {
        files.check(&mail(), &DatabaseUrl::parse(url).expect("a URL"))
    }

    /// Which of these parameters may name the file.
    fn may<'p>(scheme: &str, parameters: &[&'p str], file: &str) -> Vec<&'p str> {
        let named = |parameter: &&&str| check(Files::OfNamespace, &format!("{scheme}://db/app?{parameter}={file}"));
        parameters.iter().filter(|parameter| named(parameter).is_ok()).copied().collect()
    }

    #[test]
    fn of_several_namespaces_each_has_files_in_its_own_folder_alone() {
        let authorities =
            [("postgres", vec!["sslrootcert", "ssl-root-cert", "ssl-ca"]), ("mysql", vec!["sslca", "ssl-ca"])];
        let own = ["sslcert", "ssl-cert", "sslkey", "ssl-key"];
        for (scheme, authorities) in authorities {
            let all = [&authorities[..], &own].concat();
            for file in
                ["/etc/databases/mail/tls.key", "/etc/databases/mail/second/tls.key", "%2Fetc/databases%2Fmail/a"]
            {
                assert_eq!(may(scheme, &all, file), all, "{scheme} {file}");
            }
            for file in ["/etc/authorities/shop.crt", "/etc/ssl/certs/ca-certificates.crt"] {
                assert_eq!(may(scheme, &all, file), authorities, "{scheme} {file}");
            }
            for file in [
                "/etc/databases/shop/tls.key",
                "/etc/databases/mail",
                "/etc/databases/mail/",
                "/etc/databases/mailbox/tls.key",
                "/etc/databases/mail/../shop/tls.key",
                "/etc/databases/mail/..%2Fshop/tls.key",
                "/etc/databases/mail//etc/passwd",
                "/etc/databases/mail/./tls.key",
                "/etc/databases/mail/..",
                "/etc/databases//mail/tls.key",
                "//etc/databases/mail/tls.key",
                "etc/databases/mail/tls.key",
                "/etc/databases/tls.key",
                "/etc/authorities/../databases/shop/ca.crt",
                "/etc/authorities",
                "/var/run/secrets/kubernetes.io/serviceaccount/token",
                "/dev/zero",
                "",
            ] {
                assert!(may(scheme, &all, file).is_empty(), "{scheme} {file}");
            }
        }
    }

    #[test]
    fn each_of_the_files_has_to_be_its_own() {
        let url = "postgres://db/app?sslkey=/etc/databases/mail/tls.key&sslkey=/etc/databases/shop/tls.key";
        let fault = check(Files::OfNamespace, url).unwrap_err();
        assert_eq!(fault.reason(), "FileNotAllowed");
        let words = fault.to_string();
        assert!(words.contains("names under the key uri the file /etc/databases/shop/tls.key as sslkey: "), "{words}");
        assert!(words.contains("for this one only files in /etc/databases/mail; have it mounted there"), "{words}");
        let fault = check(Files::OfNamespace, "mysql://db/app?ssl-ca=/ca.crt").unwrap_err().to_string();
        assert!(fault.contains("in /etc/databases/mail, /etc/authorities, /etc/ssl/certs; have"), "{fault}");
        let fault = check(Files::OfNamespace, "postgres://db/app?sslkey=-----BEGIN").unwrap_err().to_string();
        assert!(fault.contains("no absolute path as sslkey: ") && !fault.contains("BEGIN"), "{fault}");
    }

    #[test]
    fn where_one_namespace_is_looked_after_all_files_are_its_own() {
        let one = Scope::Namespace("mail".to_owned());
        let files = Files::of(std::slice::from_ref(&one));
        assert_eq!(check(files, "postgres://db/app?sslkey=/srv/keys/../tls.key"), Ok(()));
        for several in [vec![one, Scope::Namespace("shop".to_owned())], vec![Scope::Everywhere]] {
            assert_eq!(Files::of(&several), Files::OfNamespace);
        }
    }
}
