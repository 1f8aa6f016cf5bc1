//! What every database must do alike: each case runs on PostgreSQL, MariaDB, MySQL and SQLite, in a database of its own.
//!
//! A case is one async function over [`support::Db`]; [`support::conformance`] makes a test of it for each database, so
//! that a failure's name says case and database: `claim::mysql::order_of_queues_beats_priority`.

mod support;

mod backlog;
mod batches;
mod claim;
mod claim_races;
mod claim_rows;
mod classes;
mod clear;
mod crashes;
mod deadlocks;
mod discard;
mod enqueue;
mod enqueue_within;
mod finish;
mod invariants;
mod limits;
mod limits_beside_rails;
mod limits_declared;
mod limits_sweep;
mod processes;
mod pruning;
mod queues;
mod rails_documents;
mod rails_rows;
mod recurring;
mod recurring_only;
mod retries_of_rails;
mod retry;
mod schedule;
mod schema;
mod schema_adoption;
mod unserved;
