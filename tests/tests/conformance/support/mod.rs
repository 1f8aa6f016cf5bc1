//! What the cases stand on: a migrated database of their own, shorthand for jobs and processes, and raw SQL to look at what
//! was written.

mod catalogue;
mod check;
mod db;
mod rails;
mod raw;
mod short;

pub use catalogue::catalogue;
pub use check::{check_moment, run_to_the_end, sweep_and_check};
pub use db::Db;
pub use gritstone_tests::jobs::{Actor, claim_any, claim_from, done, fail, job, limit, new_process, polled, retry};
pub use rails::{load_rails_rows, rails_rows};
pub use raw::Raw;
pub use short::{finish, start};

/// Makes a test of each case for each database. `with path` says how the database is made; [`Db::new`] unless given.
macro_rules! conformance {
    (with $make:path; $($case:ident),* $(,)?) => {
        conformance!(@ postgres $make, gritstone_tests::servers::Engine::Server(gritstone_tests::servers::Server::Postgres), $($case)*);
        conformance!(@ mariadb $make, gritstone_tests::servers::Engine::Server(gritstone_tests::servers::Server::MariaDb), $($case)*);
        conformance!(@ mysql $make, gritstone_tests::servers::Engine::Server(gritstone_tests::servers::Server::MySql), $($case)*);
        conformance!(@ sqlite $make, gritstone_tests::servers::Engine::Sqlite, $($case)*);
    };
    (@ $module:ident $make:path, $engine:expr, $($case:ident)*) => {
        mod $module {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    super::$case($make($engine).await).await;
                }
            )*
        }
    };
    ($($case:ident),* $(,)?) => { conformance!(with Db::new; $($case),*); };
}
pub(crate) use conformance;
