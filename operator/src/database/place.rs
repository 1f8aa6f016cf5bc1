//! Whether two addresses are one database.

use gritstone_store::DatabaseUrl;

/// What the addresses of one database have in common: everything, but for how its host and its usual port are written.
///
/// User, password and TLS are part of it. Who can't get in with what it gives must not be let in with what another gave.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place(DatabaseUrl);

impl Place {
    /// Where this address leads.
    pub(super) fn of(url: &DatabaseUrl) -> Self {
        let host = url.host().map(|host| if checks_name(url) { host } else { service(&host).unwrap_or(host) });
        let mut place = host.and_then(|host| url.at_host(&host)).unwrap_or_else(|| url.clone());
        let (url, usual) = match &mut place {
            DatabaseUrl::Postgres(url) => (url, 5432),
            DatabaseUrl::MySql(url) => (url, 3306),
            DatabaseUrl::Sqlite { .. } => return Place(place),
        };
        if url.port() == Some(usual) {
            // Only fails where there is no host.
            let _ = url.set_port(None);
        }
        Place(place)
    }
}

/// Whether the server's certificate has to have the host's name: then another name may be let in where this one isn't.
fn checks_name(url: &DatabaseUrl) -> bool {
    let (DatabaseUrl::Postgres(url) | DatabaseUrl::MySql(url)) = url else { return false };
    url.query_pairs().any(|(name, value)| {
        let mode = matches!(&*name, "sslmode" | "ssl-mode");
        mode && (value.eq_ignore_ascii_case("verify-full") || value.eq_ignore_ascii_case("verify_identity"))
    })
}

/// One of the names of a Service: `db.shop` for `db.shop.svc.cluster.local` too, as pods find it by either. None of any other host.
fn service(host: &str) -> Option<String> {
    let lower = host.to_ascii_lowercase();
    let full = lower.trim_end_matches('.');
    let short = full.strip_suffix(".svc.cluster.local").or_else(|| full.strip_suffix(".svc"));
    let short = short.unwrap_or(full);
    let (name, namespace) = short.split_once('.')?;
    let is_label =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    (is_label(name) && is_label(namespace)).then(|| short.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(url: &str) -> Place {
        Place::of(&DatabaseUrl::parse(url).expect("a URL"))
    }

    #[test]
    fn a_service_is_the_same_by_each_of_its_names() {
        let own = place("postgres://joe:x@db.shop.svc/app");
        for url in [
            "postgresql://joe:x@db.shop.svc:5432/app",
            "postgres://joe:x@DB.shop/app",
            "postgres://joe:x@db.shop.svc.cluster.local/app",
            "postgres://joe:x@db.shop.svc.cluster.local.:5432/app?pool=5",
            "postgres://joe:x@ignored/app?host=db.shop",
        ] {
            assert_eq!(place(url), own, "{url}");
        }
        assert_eq!(place("mysql://db.shop.svc:3306/app"), place("mysql2://db.shop/app"));
    }

    #[test]
    fn who_comes_in_otherwise_comes_to_another_place() {
        let own = place("postgres://joe:x@db.shop.svc/app");
        for url in [
            "postgres://joe:y@db.shop.svc/app",
            "postgres://jim:x@db.shop.svc/app",
            "postgres://joe:x@db.shop.svc/other",
            "postgres://joe:x@db.shop.svc:5433/app",
            "postgres://joe:x@db.mall.svc/app",
            "postgres://joe:x@db.shop.example.com/app",
            "postgres://joe:x@db.shop.svc/app?sslmode=require",
        ] {
            assert_ne!(place(url), own, "{url}");
        }
        let verified = |host: &str| place(&format!("postgres://joe:x@{host}/app?sslmode=verify-full"));
        assert_ne!(verified("db.shop"), verified("db.shop.svc"), "a certificate may have one of these names alone");
        assert_eq!(verified("db.shop"), verified("db.shop"));
        assert_ne!(place("postgres://10.0.0.1/app"), place("postgres://10.0.0.2/app"));
    }
}
