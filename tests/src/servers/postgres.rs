//! PostgreSQL's command lines.

use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;

use super::programs::{entries, on_path};
use super::recipe::{Recipe, path_argument};
use super::{Result, Server, ServerError};

/// Where Debian keeps each version's programs, off the PATH.
const VERSIONS: &str = "/usr/lib/postgresql";

pub(super) fn recipe(folder: &Path) -> Result<Recipe> {
    let programs = programs()?;
    let data = folder.join("data");
    let initialise = vec![
        programs.join("initdb").into(),
        path_argument("pgdata", &data),
        format!("--username={}", Server::Postgres.superuser()).into(),
        "--auth=trust".into(),
        "--encoding=UTF8".into(),
        // Not C: with that, LIKE uses indexes that it can't use in most production databases.
        "--locale=C.UTF-8".into(),
        "--no-sync".into(),
    ];
    let mut run = vec![
        programs.join("postgres").into(),
        "-D".into(),
        data.into(),
        "--listen_addresses=127.0.0.1".into(),
        "--unix_socket_directories=".into(),
    ];
    if has_statement_statistics(&programs) {
        run.push("--shared_preload_libraries=pg_stat_statements".into());
    }
    Ok(Recipe { initialise, run, stop: Signal::SIGINT, orphaned: Signal::SIGQUIT })
}

/// Without fsync a commit still reaches the operating system before it returns.
pub(super) fn durability(durable: bool) -> &'static [(&'static str, &'static str)] {
    if durable { &[("fsync", "on")] } else { &[("fsync", "off")] }
}

/// The folder of the newest version's programs.
fn programs() -> Result<PathBuf> {
    let mut versions = entries(Path::new(VERSIONS), |name| name.parse::<u32>().is_ok());
    versions.sort_by_key(|path| path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok()));
    let newest =
        versions.into_iter().rev().map(|version| version.join("bin")).find(|bin| bin.join("postgres").is_file());
    newest
        .or_else(|| Some(on_path(Server::Postgres, "postgres").ok()?.canonicalize().ok()?.parent()?.to_owned()))
        .ok_or_else(|| ServerError::NotInstalled {
            server: Server::Postgres,
            program: "postgres".to_owned(),
            searched: format!("{VERSIONS}/*/bin, PATH"),
        })
}

/// The server doesn't start when told to load a library that isn't there.
fn has_statement_statistics(programs: &Path) -> bool {
    ["../lib", "../lib/postgresql"].iter().any(|lib| programs.join(lib).join("pg_stat_statements.so").is_file())
}
