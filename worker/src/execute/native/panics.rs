//! Panics as errors: what was said, and where.
//!
//! `catch_unwind` knows what was said; only the panic hook knows where. So the hook is wrapped, once, by one that notes the
//! place for the thread that panics and then does what the old one did.

use crate::execute::JobError;
use crate::execute::errors::class;
use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::Cell;
use std::panic;
use std::sync::Once;

thread_local! {
    static LAST: Cell<Option<Vec<String>>> = const { Cell::new(None) };
}

/// From now on, panics' places are noted.
pub(super) fn note_places() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            let mut lines: Vec<String> = panic.location().map(ToString::to_string).into_iter().collect();
            let backtrace = Backtrace::capture();
            if backtrace.status() == BacktraceStatus::Captured {
                lines.extend(backtrace.to_string().lines().map(ToOwned::to_owned));
            }
            LAST.set(Some(lines));
            before(panic);
        }));
    });
}

/// The error for a panic that was just caught on this thread.
pub(super) fn error(payload: &(dyn Any + Send)) -> JobError {
    let said = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "the job panicked with something that is no text".to_owned());
    JobError::new(class::HANDLER_PANICKED, said).with_backtrace(LAST.take().unwrap_or_default())
}
