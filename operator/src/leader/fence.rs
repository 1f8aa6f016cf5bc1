//! No call to the API server after the term.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::future::Either;
use tower::{BoxError, Layer, Service};

/// Until when calls may be made. Clones share it.
#[derive(Clone, Debug)]
pub struct Fence {
    start: Instant,
    /// Milliseconds after the start.
    until: Arc<AtomicU64>,
}

/// The term is over: someone else may be at work.
#[derive(Debug, thiserror::Error)]
#[error("not sent: this operator no longer holds the Lease")]
struct Over;

impl Default for Fence {
    /// One that lets nothing out yet.
    fn default() -> Self {
        Self { start: Instant::now(), until: Arc::default() }
    }
}

impl Fence {
    /// One that lets everything out: without an election nobody else is at work.
    pub fn open() -> Self {
        Self { start: Instant::now(), until: Arc::new(AtomicU64::new(u64::MAX)) }
    }

    /// Calls may be made until then.
    pub(super) fn extend(&self, until: Instant) {
        let after = until.saturating_duration_since(self.start).as_millis();
        self.until.store(after.try_into().unwrap_or(u64::MAX), Ordering::Release);
    }

    /// Nothing goes out any more.
    pub(super) fn close(&self) {
        self.until.store(0, Ordering::Release);
    }

    /// Whether a call may be made now.
    pub fn is_open(&self) -> bool {
        self.start.elapsed() < Duration::from_millis(self.until.load(Ordering::Acquire))
    }
}

/// Puts a [`Fence`] before a client's calls.
#[derive(Clone, Debug)]
pub struct FenceLayer(pub Fence);

impl<S> Layer<S> for FenceLayer {
    type Service = Fenced<S>;

    fn layer(&self, inner: S) -> Fenced<S> {
        Fenced { inner, fence: self.0.clone() }
    }
}

/// What [`FenceLayer`] makes.
#[derive(Clone, Debug)]
pub struct Fenced<S> {
    inner: S,
    fence: Fence,
}

impl<S, Request> Service<Request> for Fenced<S>
where
    S: Service<Request>,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future =
        Either<futures::future::ErrInto<S::Future, BoxError>, futures::future::Ready<Result<S::Response, BoxError>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        if self.fence.is_open() {
            Either::Left(futures::TryFutureExt::err_into(self.inner.call(request)))
        } else {
            Either::Right(futures::future::err(Over.into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tower::{ServiceExt, service_fn};

    #[tokio::test]
    async fn nothing_goes_out_before_the_term_and_after_it() {
        let fence = Fence::default();
        let echo =
            || FenceLayer(fence.clone()).layer(service_fn(async |text: &str| Ok::<_, BoxError>(text.to_owned())));
        assert!(echo().oneshot("early").await.is_err());
        fence.extend(Instant::now() + Duration::from_secs(3_600));
        assert_eq!(echo().oneshot("in time").await.unwrap(), "in time");
        fence.extend(Instant::now());
        assert!(echo().oneshot("late").await.is_err());
        fence.extend(Instant::now() + Duration::from_secs(3_600));
        fence.close();
        assert!(echo().oneshot("closed").await.is_err());
        assert!(Fence::open().is_open());
    }
}
