//! How processes start, stop and die, and what becomes of their jobs.
//!
//! The cases of Solid Queue's own lifecycle tests, under a supervisor with child processes and under one that has everything
//! inside, and those that its users asked for. Where a case says nothing else, processes count as dead only after two
//! minutes of silence: what is recovered sooner, was recovered by proof.

mod claiming_ahead;
mod clocks;
mod commands;
mod containers;
mod deaths;
mod events;
mod health;
mod heartbeats;
mod hooks;
mod interruptions;
mod pausing;
mod pidfiles;
mod recurring;
mod recycling;
mod starting;
mod stopping;

/// Makes a test of each case for each way of running things.
macro_rules! under_every_supervisor {
    ($($case:ident),* $(,)?) => {
        crate::under_every_supervisor!(@ sqlite_async, gritstone_tests::servers::Engine::Sqlite, "async", $($case)*);
        crate::under_every_supervisor!(@ sqlite_fork, gritstone_tests::servers::Engine::Sqlite, "fork", $($case)*);
        crate::under_every_supervisor!(@ postgres_fork, gritstone_tests::servers::Server::Postgres.into(), "fork", $($case)*);
    };
    (@ $module:ident, $engine:expr, $mode:literal, $($case:ident)*) => {
        mod $module {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    super::$case($engine, $mode).await;
                }
            )*
        }
    };
}

/// Makes a test of each case for SQLite and for a server.
macro_rules! on_a_file_and_a_server {
    ($($case:ident),* $(,)?) => {
        crate::on_a_file_and_a_server!(@ sqlite, gritstone_tests::servers::Engine::Sqlite, $($case)*);
        crate::on_a_file_and_a_server!(@ postgres, gritstone_tests::servers::Server::Postgres.into(), $($case)*);
    };
    (@ $module:ident, $engine:expr, $($case:ident)*) => {
        mod $module {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    super::$case($engine).await;
                }
            )*
        }
    };
}

pub(crate) use {on_a_file_and_a_server, under_every_supervisor};

/// Waits until workers have said so often that they live: they poll many times between two heartbeats.
async fn heartbeats_of_workers(site: &gritstone_tests::rig::Site, times: usize) {
    let look = "select last_heartbeat_at from solid_queue_processes where kind = 'Worker'";
    let mut last = site.rows(look).await;
    for _ in 0..times {
        last =
            gritstone_tests::rig::until("a heartbeat", async || Some(site.rows(look).await).filter(|now| *now != last))
                .await;
    }
}
