//! MySQL's command lines.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;

use super::account::Account;
use super::programs::{caches, entries, on_path};
use super::recipe::{Recipe, path_argument};
use super::{Result, Server, ServerError};

pub(super) fn recipe(folder: &Path) -> Result<Recipe> {
    let mut run = mysqld()?;
    run.extend(common_arguments(folder));
    let mut initialise = run.clone();
    initialise.extend(
        ["--initialize-insecure", "--innodb_flush_method=nosync", "--auto_generate_certs=OFF"].map(OsString::from),
    );
    run.extend(
        [
            "--mysqlx=OFF",
            "--secure_file_priv=NULL",
            "--innodb_redo_log_capacity=64M",
            // Drivers that find TLS use it: on a loopback port it only slows every connection down.
            "--tls_version=",
            "--auto_generate_certs=OFF",
        ]
        .map(OsString::from),
    );
    Ok(Recipe { initialise, run, stop: Signal::SIGTERM, orphaned: Signal::SIGKILL })
}

/// What MySQL and MariaDB are both told.
pub(super) fn common_arguments(folder: &Path) -> Vec<OsString> {
    vec![
        path_argument("datadir", &folder.join("data")),
        path_argument("socket", &folder.join("socket")),
        path_argument("pid_file", &folder.join("pid")),
        "--bind_address=127.0.0.1".into(),
        "--skip_log_bin".into(),
        // Debian's configuration of MariaDB says the same; the server's own default is latin1.
        "--character_set_server=utf8mb4".into(),
        "--innodb_buffer_pool_size=64M".into(),
    ]
}

/// `2` hands the log to the operating system at each commit, and `nosync` leaves it there.
pub(super) fn durability(durable: bool) -> &'static [(&'static str, &'static str)] {
    if durable {
        &[("innodb_flush_log_at_trx_commit", "1")]
    } else {
        &[("innodb_flush_log_at_trx_commit", "2"), ("innodb_flush_method", "nosync")]
    }
}

/// How to call mysqld: the tree that `scripts/install-test-servers` unpacked, or an installed one that isn't MariaDB's.
fn mysqld() -> Result<Vec<OsString>> {
    let trees: Vec<PathBuf> = caches().into_iter().map(|cache| cache.join("mysql-9")).collect();
    if let Some(tree) = trees.iter().find_map(|tree| tree.canonicalize().ok()) {
        Account::for_servers()?.check_reach(
            &tree,
            "MySQL",
            "XDG_CACHE_HOME (and run scripts/install-test-servers again)",
        )?;
        return from_tree(&tree);
    }
    let searched = trees.iter().map(|tree| tree.display().to_string()).collect::<Vec<_>>().join(", ");
    match on_path(Server::MySql, "mysqld") {
        Ok(mysqld) if !is_mariadb(&mysqld) => Ok(vec![mysqld.into(), "--no-defaults".into()]),
        _ => Err(ServerError::NotInstalled {
            server: Server::MySql,
            program: "mysqld".into(),
            searched: format!("{searched}, PATH"),
        }),
    }
}

/// Calls the tree's mysqld with the tree's own C library, which is newer than the machine's: needs neither a chroot nor root.
fn from_tree(tree: &Path) -> Result<Vec<OsString>> {
    let usr = tree.join("usr");
    let missing = |program: &str| ServerError::NotInstalled {
        server: Server::MySql,
        program: program.to_owned(),
        searched: usr.display().to_string(),
    };
    let libraries = entries(&usr.join("lib"), |name| name.contains("-linux-")).pop().ok_or_else(|| missing("libc"))?;
    let loaders = ["lib64", "lib"].map(|lib| entries(&usr.join(lib), |name| name.starts_with("ld-linux")));
    let loader = loaders.into_iter().flatten().next().ok_or_else(|| missing("ld-linux.so"))?;
    let mut path = OsString::from(&libraries);
    path.push(":");
    path.push(usr.join("lib/mysql/private"));
    Ok(vec![
        loader.into(),
        "--library-path".into(),
        path,
        usr.join("sbin/mysqld").into(),
        "--no-defaults".into(),
        path_argument("basedir", &usr),
        path_argument("lc_messages_dir", &usr.join("share/mysql")),
        path_argument("character_sets_dir", &usr.join("share/mysql/charsets")),
        path_argument("plugin_dir", &usr.join("lib/mysql/plugin")),
    ])
}

fn is_mariadb(mysqld: &Path) -> bool {
    let version = Command::new(mysqld).arg("--version").output();
    version.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("MariaDB"))
}
