//! The servers that a test process shares.

use std::env;

use tokio::sync::OnceCell;
use url::Url;

use super::{PrivateServer, Result, Server, ServerError, ServerOptions};

/// The superuser's URL of the server that this process shares: the one that [`Server::variable`] names, or else one that is started
/// at the first call and ends with the process.
///
/// # Errors
/// [`ServerError::Variable`] when the variable holds no URL, [`ServerError::NotInstalled`] and what the server says when it can't be
/// started; the next call tries again.
pub async fn admin_url(server: Server) -> Result<Url> {
    let variable = server.variable();
    let url = match env::var(variable) {
        Ok(url) if !url.is_empty() => url,
        _ => started(server).await?.admin_url(),
    };
    Url::parse(&url).map_err(|source| ServerError::Variable { variable, source })
}

async fn started(server: Server) -> Result<&'static PrivateServer> {
    static POSTGRES: OnceCell<PrivateServer> = OnceCell::const_new();
    static MARIADB: OnceCell<PrivateServer> = OnceCell::const_new();
    static MYSQL: OnceCell<PrivateServer> = OnceCell::const_new();
    let cell = match server {
        Server::Postgres => &POSTGRES,
        Server::MariaDb => &MARIADB,
        Server::MySql => &MYSQL,
    };
    cell.get_or_try_init(|| PrivateServer::start(server, ServerOptions::default())).await
}
