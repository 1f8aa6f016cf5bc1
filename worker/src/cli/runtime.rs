//! The Tokio runtime that commands run on.

use super::exit::Exit;
use std::future::Future;

/// Runs a command's future to its end.
pub(super) fn block_on<T>(work: impl Future<Output = Result<T, Exit>>) -> Result<T, Exit> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_name("gritstone")
        .build()
        .map_err(|error| Exit::Refused(format!("no threads can be started: {error}")))?;
    let done = runtime.block_on(work);
    // What still runs in the background must not keep the command from ending.
    runtime.shutdown_background();
    done
}
