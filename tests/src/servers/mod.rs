//! Throwaway database servers.
//!
//! [`TestDatabase`] gives a test a database of its own on a server that the whole test process shares (`shared`): one that an
//! environment variable names, or one started on first use. [`PrivateServer`] is a server of a test's own, to be stopped, killed,
//! frozen and started again.
//!
//! A started server lives in a `folder` that is swept up by the next run if this one is killed; runs as an `account` without
//! rights; and hangs on a `guard`, a small shell script that ends it when this process ends, however that ends. `programs`
//! finds what is installed; `postgres`, `mysql` and `mariadb` know the command lines and build them without touching anything;
//! `admin` knows the SQL. `scripts/install-test-servers` installs all of it.
//!
//! A test binary run by itself takes some five seconds to start the three. Under `with-servers COMMAND` they are started once for all
//! the binaries that the command runs, as `scripts/test` does.

pub(crate) mod account;
mod admin;
mod error;
pub(crate) mod folder;
pub(crate) mod guard;
mod kind;
mod mariadb;
mod mysql;
mod options;
pub(crate) mod ports;
mod postgres;
mod private;
mod processes;
pub(crate) mod programs;
mod recipe;
mod shared;
mod test_database;

pub use admin::TENANT;
pub use error::ServerError;
pub use kind::{Engine, Server};
pub use options::ServerOptions;
pub use private::PrivateServer;
pub use shared::admin_url;
pub use test_database::TestDatabase;
pub use url::Url;

/// What the functions of this module return.
pub type Result<T> = std::result::Result<T, ServerError>;
