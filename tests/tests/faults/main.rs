//! What the engine survives: `kill -9` of any of its processes at any moment, and whatever happens to its database.
//!
//! `docs/reference/faults.md` says what is promised and how to run the long version of these tests.

mod fleet;
mod kills;
mod server_faults;
mod sqlite_locks;
mod verdict;
