//! MariaDB's command lines.

use std::path::Path;

use nix::sys::signal::Signal;

use super::programs::on_path;
use super::recipe::{Recipe, path_argument};
use super::{Result, Server, mysql};

pub(super) fn recipe(folder: &Path) -> Result<Recipe> {
    let server = on_path(Server::MariaDb, "mariadbd")?;
    let initialise = vec![
        on_path(Server::MariaDb, "mariadb-install-db")?.into(),
        "--no-defaults".into(),
        path_argument("datadir", &folder.join("data")),
        // Without this, root is whoever is root of the machine, and through a socket only.
        "--auth-root-authentication-method=normal".into(),
        "--skip-test-db".into(),
        "--innodb_log_file_size=16M".into(),
    ];
    let mut run = vec![server.into(), "--no-defaults".into(), "--innodb_log_file_size=16M".into()];
    run.extend(mysql::common_arguments(folder));
    Ok(Recipe { initialise, run, stop: Signal::SIGTERM, orphaned: Signal::SIGKILL })
}
