//! What is measured: Gritstone beside raw SQL on the same server, in the same run, in alternating pairs.
//!
//! `cargo run --release -p gritstone-benches -- all` runs the standard set. Each measurement starts a PostgreSQL of its own in a temporary
//! folder, with every commit on the disk. See `benches/README.md`.

mod agenda;
mod all;
mod claim;
mod cpu;
mod drain;
mod enqueue;
mod figures;
mod filtered;
mod handlers;
mod http_server;
mod latency;
mod memory;
mod others;
mod peers;
mod resident;
mod schedule;
mod server;

use clap::{Parser, Subcommand};
use figures::Table;

/// Measures Gritstone against raw SQL.
#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// The standard set of all the others, in moderate sizes, and a table of their figures
    All,
    /// What a scheduler costs that has 10,000 recurring tasks, none of them due
    Agenda(agenda::Agenda),
    /// Jobs drained a second, by native handlers that do nothing, counted at durable completion
    Drain(drain::Drain),
    /// What a claim costs the server, with an empty and with a long queue
    Claim(claim::Claim),
    /// Jobs enqueued a second, in bulk, and the time of a single one
    Enqueue(enqueue::Enqueue),
    /// A worker of some classes beside a backlog of others
    Filtered(filtered::Filtered),
    /// Jobs drained a second by handlers outside of the engine: children, a server
    Handlers(handlers::Handlers),
    /// From the commit of an enqueue to the start of its handler, on an idle worker
    Latency(latency::Latency),
    /// A worker's memory over a million jobs
    Memory(memory::Memory),
    /// The same drain and enqueue on MariaDB, MySQL or SQLite
    Others(others::Others),
    /// Enqueue and drain beside other job systems: River, Solid Queue
    Peers(peers::Peers),
    /// Memory of an idle worker, and the time from its start to its first claim
    Resident(resident::Resident),
    /// The time that it takes to read a schedule, and to find its next run
    Schedule(schedule::Schedule),
    /// The server of `handlers http`
    #[command(hide = true)]
    Serve(http_server::Serve),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    gritstone::execute::launcher::intercept();
    let mut table = Table::default();
    let measured = measure(Cli::parse().what, &mut table).await;
    table.print();
    measured
}

/// Measures one thing; its figures go into the table.
async fn measure(what: What, table: &mut Table) -> anyhow::Result<()> {
    match what {
        What::All => all::run(table).await,
        What::Agenda(bench) => bench.run(table).await,
        What::Drain(bench) => bench.run(table).await,
        What::Claim(bench) => bench.run(table).await,
        What::Enqueue(bench) => bench.run(table).await,
        What::Filtered(bench) => bench.run(table).await,
        What::Handlers(bench) => bench.run(table).await,
        What::Latency(bench) => bench.run(table).await,
        What::Memory(bench) => bench.run(table).await,
        What::Others(bench) => bench.run(table).await,
        What::Peers(bench) => bench.run(table).await,
        What::Resident(bench) => bench.run(table).await,
        What::Schedule(bench) => bench.run(table),
        What::Serve(server) => server.run().await,
    }
}
