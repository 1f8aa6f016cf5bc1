//! Database URLs as people and Rails write them.

use percent_encoding::percent_decode_str;
use std::fmt;
use std::path::PathBuf;

/// Which database a URL names, with what its driver needs to connect.
///
/// `Display` and `Debug` never show a password.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum DatabaseUrl {
    /// PostgreSQL, or something that speaks its protocol.
    Postgres(url::Url),
    /// MySQL or MariaDB.
    MySql(url::Url),
    /// A SQLite file. `synchronous` is `full` unless the URL says otherwise.
    Sqlite {
        /// The file; relative paths are relative to the working directory.
        path: PathBuf,
        /// SQLite's `synchronous` pragma: `full` makes a finished job survive a power cut, `normal` does not.
        synchronous: Synchronous,
    },
}

/// How far SQLite goes to make a commit last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Synchronous {
    /// Every commit is on the disk before it returns.
    Full,
    /// Commits survive a crash of the process, the latest may be lost with the power.
    Normal,
}

/// Why a URL names no database.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum UrlError {
    /// The scheme is none that we know.
    #[error(
        "{scheme:?} is no database we know: use postgres://, mysql:// or sqlite:// (postgresql://, mysql2://, trilogy:// and sqlite3: are understood too)"
    )]
    Scheme {
        /// What stands before the colon.
        scheme: String,
    },
    /// It isn't a URL at all.
    #[error("the database URL can't be read ({reason}); it should look like postgres://user:password@host:5432/name")]
    Unreadable {
        /// What the URL parser says.
        reason: String,
    },
    /// A server's URL without a database.
    #[error("the database URL names no database: end it with /NAME")]
    NoDatabase,
    /// A query parameter of a SQLite URL that we don't know.
    #[error("the SQLite URL has the parameter {0:?}; known is synchronous=full or synchronous=normal")]
    Parameter(String),
    /// `:memory:`: every process would see a queue of its own.
    #[error("an in-memory SQLite database can't be a queue: no other process would see it; name a file")]
    InMemory,
}

impl DatabaseUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// [`UrlError`], which never repeats the URL, since that may hold a password.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let text = text.trim();
        let scheme = text.split(':').next().unwrap_or_default();
        match scheme {
            "sqlite" | "sqlite3" => sqlite(&text[scheme.len() + 1..]),
            "postgres" | "postgresql" => Ok(DatabaseUrl::Postgres(server(text, scheme, "postgres")?)),
            "mysql" | "mysql2" | "trilogy" | "mariadb" => {
                let mut url = server(text, scheme, "mysql")?;
                keep_known_mysql_parameters(&mut url);
                Ok(DatabaseUrl::MySql(url))
            }
            _ if !text.contains(':') => Err(UrlError::Unreadable { reason: "it has no scheme".into() }),
            other => Err(UrlError::Scheme { scheme: other.to_owned() }),
        }
    }

    /// The name or number of the server's host; none for a file, and for a server that is reached as the driver likes.
    pub fn host(&self) -> Option<String> {
        let (DatabaseUrl::Postgres(url) | DatabaseUrl::MySql(url)) = self else { return None };
        let parameter = || url.query_pairs().find(|(name, _)| name == "host").map(|(_, host)| host.into_owned());
        let host = parameter().or_else(|| url.host_str().map(str::to_owned));
        host.filter(|host| !host.is_empty())
    }

    /// The Unix socket that the server is reached at: the parameter that names it, and its path (PostgreSQL: its folder's).
    fn socket(&self) -> Option<(&'static str, String)> {
        match self {
            DatabaseUrl::Postgres(_) => {
                let host = percent_decode_str(&self.host()?).decode_utf8_lossy().into_owned();
                host.starts_with('/').then_some(("host", host))
            }
            DatabaseUrl::MySql(url) => {
                let path = url.query_pairs().find(|(name, _)| name == "socket")?.1.into_owned();
                Some(("socket", path))
            }
            DatabaseUrl::Sqlite { .. } => None,
        }
    }

    /// The same database by another name of its host. None when that can be no host's name, or there is no server.
    pub fn at_host(&self, host: &str) -> Option<Self> {
        let mut other = self.clone();
        let (DatabaseUrl::Postgres(url) | DatabaseUrl::MySql(url)) = &mut other else { return None };
        // PostgreSQL's driver takes the parameter's before the URL's own.
        keep_parameters(url, |name| name != "host");
        url.set_host(Some(host)).ok()?;
        Some(other)
    }

    /// The files of certificates and keys that its parameters name, each after its parameter: `("sslrootcert", "/path/ca.crt")`.
    pub fn files(&self) -> Vec<(String, String)> {
        let (DatabaseUrl::Postgres(url) | DatabaseUrl::MySql(url)) = self else { return Vec::new() };
        let of_files = url.query_pairs().filter(|(name, _)| name.starts_with("ssl") && !name.ends_with("mode"));
        of_files.map(|(name, file)| (name.into_owned(), file.into_owned())).collect()
    }

    /// The first of those files that can't be opened now, in a sentence.
    pub(crate) fn unreadable_file(&self) -> Option<String> {
        self.files().into_iter().find_map(|(name, file)| {
            let why = std::fs::File::open(&file).err()?;
            Some(format!("the file {file}, which its URL names as {name}, can't be read: {why}"))
        })
    }

    /// `words`, which somebody else said about this database, without its password.
    pub fn hide_password(&self, words: &str) -> String {
        let (DatabaseUrl::Postgres(url) | DatabaseUrl::MySql(url)) = self else { return words.to_owned() };
        let encoded = url.password().unwrap_or_default();
        let decoded = percent_decode_str(encoded).decode_utf8_lossy().into_owned();
        let parameters = url.query_pairs().filter(|(name, _)| name == "password").map(|(_, value)| value.into_owned());
        let passwords = [encoded.to_owned(), decoded].into_iter().chain(parameters).filter(|text| !text.is_empty());
        passwords.fold(words.to_owned(), |words, password| words.replace(&password, "***"))
    }
}

fn server(text: &str, scheme: &str, wanted: &str) -> Result<url::Url, UrlError> {
    let text = format!("{wanted}{}", &text[scheme.len()..]);
    let mut url = url::Url::parse(&text).map_err(|e| UrlError::Unreadable { reason: e.to_string() })?;
    if url.path().trim_matches('/').is_empty() {
        return Err(UrlError::NoDatabase);
    }
    if wanted == "postgres" {
        keep_known_postgres_parameters(&mut url);
    }
    Ok(url)
}

/// Rails puts its own settings (`pool`, `prepared_statements`, `reaping_frequency`, ...) into the URL;
/// the drivers would send them on to the server, which refuses to start a session with them.
fn keep_known_postgres_parameters(url: &mut url::Url) {
    keep_parameters(url, |name| {
        matches!(
            name,
            "sslmode"
                | "ssl-mode"
                | "sslrootcert"
                | "ssl-root-cert"
                | "ssl-ca"
                | "sslcert"
                | "ssl-cert"
                | "sslkey"
                | "ssl-key"
                | "host"
                | "hostaddr"
                | "port"
                | "dbname"
                | "user"
                | "password"
                | "options"
        ) || name.starts_with("options[")
    });
}

fn keep_known_mysql_parameters(url: &mut url::Url) {
    keep_parameters(url, |name| {
        matches!(
            name,
            "sslmode" | "ssl-mode" | "sslca" | "ssl-ca" | "sslcert" | "ssl-cert" | "sslkey" | "ssl-key" | "socket"
        )
    });
}

fn keep_parameters(url: &mut url::Url, known: impl Fn(&str) -> bool) {
    let kept: Vec<(String, String)> =
        url.query_pairs().filter(|(name, _)| known(name)).map(|(n, v)| (n.into_owned(), v.into_owned())).collect();
    url.set_query(None);
    if !kept.is_empty() {
        url.query_pairs_mut().extend_pairs(kept);
    }
}

fn sqlite(rest: &str) -> Result<DatabaseUrl, UrlError> {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    // sqlite:file, sqlite://file and sqlite3:file are relative, sqlite:///file and sqlite:/file absolute.
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() || path.contains(":memory:") {
        return Err(if path.is_empty() { UrlError::NoDatabase } else { UrlError::InMemory });
    }
    let mut synchronous = Synchronous::Full;
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match (&*name, &*value) {
            ("synchronous", "full") => synchronous = Synchronous::Full,
            ("synchronous", "normal") => synchronous = Synchronous::Normal,
            ("mode", "rwc" | "rw") | ("pool" | "timeout", _) => {}
            ("mode", "memory") => return Err(UrlError::InMemory),
            _ => return Err(UrlError::Parameter(format!("{name}={value}"))),
        }
    }
    Ok(DatabaseUrl::Sqlite { path: PathBuf::from(path), synchronous })
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DatabaseUrl::Postgres(url) | DatabaseUrl::MySql(url) => {
                if let Some((name, path)) = self.socket() {
                    return write!(f, "{}://{}?{name}={path}", url.scheme(), url.path());
                }
                write!(f, "{}://{}", url.scheme(), self.host().as_deref().unwrap_or("localhost"))?;
                if let Some(port) = url.port() {
                    write!(f, ":{port}")?;
                }
                f.write_str(url.path())
            }
            DatabaseUrl::Sqlite { path, .. } => write!(f, "sqlite://{}", path.display()),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DatabaseUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rails_spellings_are_understood() {
        for text in ["postgres://u:p@h/db", "postgresql://h/db?pool=5&sslmode=require"] {
            assert!(matches!(DatabaseUrl::parse(text), Ok(DatabaseUrl::Postgres(_))), "{text}");
        }
        for text in ["mysql2://u:p@h/db?encoding=utf8mb4", "trilogy://h/db", "mysql://h:3307/db"] {
            assert!(matches!(DatabaseUrl::parse(text), Ok(DatabaseUrl::MySql(_))), "{text}");
        }
        for (text, path) in
            [("sqlite://a.db", "a.db"), ("sqlite3:db/q.sqlite3", "db/q.sqlite3"), ("sqlite:///var/q.db", "/var/q.db")]
        {
            let Ok(DatabaseUrl::Sqlite { path: got, .. }) = DatabaseUrl::parse(text) else { panic!("{text}") };
            assert_eq!(got, PathBuf::from(path));
        }
    }

    #[test]
    fn rails_own_settings_are_not_sent_to_the_server() {
        let Ok(DatabaseUrl::Postgres(url)) = DatabaseUrl::parse("postgres://h/db?pool=5&sslmode=require") else {
            panic!()
        };
        assert_eq!(url.query(), Some("sslmode=require"));
    }

    #[test]
    fn a_password_is_never_shown() {
        let url = DatabaseUrl::parse("postgres://joe:s3cret@db:5433/app").unwrap();
        assert_eq!(format!("{url}"), "postgres://db:5433/app");
        assert!(!format!("{url:?}").contains("s3cret"));
    }

    #[test]
    fn a_socket_is_shown() {
        for (text, shown) in [
            ("postgres:///app?host=/run/postgresql&sslmode=disable", "postgres:///app?host=/run/postgresql"),
            ("postgres://joe:s3cret@%2Frun%2Fpostgresql/app", "postgres:///app?host=/run/postgresql"),
            ("mysql2://joe:s3cret@localhost/app?socket=/run/mysqld.sock", "mysql:///app?socket=/run/mysqld.sock"),
            ("postgres:///app", "postgres://localhost/app"),
            ("postgres://ignored/app?host=db", "postgres://db/app"),
        ] {
            assert_eq!(DatabaseUrl::parse(text).unwrap().to_string(), shown, "{text}");
        }
    }

    #[test]
    fn a_password_is_taken_out_of_what_others_say() {
        let url = DatabaseUrl::parse("postgres://joe:s3%2Fcret@db/app").unwrap();
        assert_eq!(url.hide_password("no s3/cret (s3%2Fcret) for joe"), "no *** (***) for joe");
        let url = DatabaseUrl::parse("postgres://db/app?password=hush").unwrap();
        assert_eq!(url.hide_password("hush is wrong"), "*** is wrong");
        assert_eq!(DatabaseUrl::parse("mysql://db/app").unwrap().hide_password("no route"), "no route");
    }

    #[test]
    fn a_host_may_get_another_name() {
        let named = |text: &str| DatabaseUrl::parse(text).unwrap().at_host("db.shop.svc").map(|url| url.to_string());
        assert_eq!(named("postgres://joe:x@db:5433/app").as_deref(), Some("postgres://db.shop.svc:5433/app"));
        assert_eq!(named("mysql://db/app").as_deref(), Some("mysql://db.shop.svc/app"));
        assert_eq!(named("sqlite://a.db"), None);
        let url = DatabaseUrl::parse("postgres://ignored/app?host=db&sslmode=require").unwrap();
        assert_eq!(url.host().as_deref(), Some("db"));
        let DatabaseUrl::Postgres(moved) = url.at_host("db.shop.svc").unwrap() else { panic!() };
        assert_eq!((moved.host_str(), moved.query()), (Some("db.shop.svc"), Some("sslmode=require")));
        assert_eq!(DatabaseUrl::parse("postgres:///app").unwrap().host(), None);
    }

    #[test]
    fn each_file_is_told_by_whichever_name_its_parameter_has() {
        let files = |url: &str| DatabaseUrl::parse(url).unwrap().files();
        let told = |pairs: &[(&str, &str)]| -> Vec<_> {
            pairs.iter().map(|(name, file)| ((*name).to_owned(), (*file).to_owned())).collect()
        };
        for name in ["sslrootcert", "ssl-root-cert", "ssl-ca", "sslcert", "ssl-cert", "sslkey", "ssl-key"] {
            let url = format!("postgres://db/app?sslmode=require&{name}=/one&ssl-mode=require&{name}=%2Ftwo");
            assert_eq!(files(&url), told(&[(name, "/one"), (name, "/two")]));
        }
        for name in ["sslca", "ssl-ca", "sslcert", "ssl-cert", "sslkey", "ssl-key"] {
            let url = format!("mysql://db/app?sslmode=REQUIRED&{name}=/one&{name}=/two");
            assert_eq!(files(&url), told(&[(name, "/one"), (name, "/two")]));
        }
        assert_eq!(files("postgres://db/app?sslmode=require"), []);
        assert_eq!(files("sqlite://a.db"), []);
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let url = DatabaseUrl::parse("postgres://db/app?sslmode=verify-full&sslrootcert=/nowhere/ca.crt").unwrap();
        let said = url.unreadable_file().unwrap();
        assert!(
            said.starts_with("the file /nowhere/ca.crt, which its URL names as sslrootcert, can't be read: "),
            "{said}"
        );
        let there = std::env::current_exe().unwrap();
        let url = DatabaseUrl::parse(&format!("mysql://db/app?ssl-ca={}", there.display())).unwrap();
        assert_eq!(url.unreadable_file(), None);
    }

    #[test]
    fn wrong_urls_say_what_would_be_right() {
        assert!(DatabaseUrl::parse("redis://h/0").unwrap_err().to_string().contains("postgres://"));
        assert_eq!(DatabaseUrl::parse("postgres://h"), Err(UrlError::NoDatabase));
        assert_eq!(DatabaseUrl::parse("sqlite::memory:"), Err(UrlError::InMemory));
        assert!(DatabaseUrl::parse("nonsense").is_err());
        assert!(matches!(DatabaseUrl::parse("sqlite://a.db?x=1"), Err(UrlError::Parameter(_))));
    }
}
