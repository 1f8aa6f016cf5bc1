//! Crashes at any point: a future that is polled so often and then dropped, as if its process had died there.

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll};

/// Runs `future` for at most `polls` polls; None when it was dropped before its end.
pub async fn polled<F: Future>(future: F, polls: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    std::future::poll_fn(move |context: &mut Context<'_>| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            // The last poll has sent what it had to send.
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
