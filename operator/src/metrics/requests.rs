//! Calls to the API server.

use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use http::{Request, Response};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tower::{Layer, Service};

/// How many calls were made, by the answer's status and the method.
#[derive(Clone, Debug)]
pub struct Requests(Family<Labels, Counter>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    /// The status, or `<error>` where there was no answer, as client-go says it.
    code: String,
    method: String,
}

impl Requests {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let family = Family::<Labels, Counter>::default();
        registry.register("rest_client_requests", "Calls to the API server, by status and method", family.clone());
        Self(family)
    }

    fn count(&self, method: &http::Method, code: String) {
        self.0.get_or_create(&Labels { code, method: method.to_string() }).inc();
    }
}

/// Counts a client's calls.
#[derive(Clone, Debug)]
pub struct RequestsLayer(pub Requests);

impl<S> Layer<S> for RequestsLayer {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted { inner, requests: self.0.clone() }
    }
}

/// What [`RequestsLayer`] makes.
#[derive(Clone, Debug)]
pub struct Counted<S> {
    inner: S,
    requests: Requests,
}

impl<S, In, Out> Service<Request<In>> for Counted<S>
where
    S: Service<Request<In>, Response = Response<Out>>,
    S::Future: Send + 'static,
{
    type Response = Response<Out>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Out>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<In>) -> Self::Future {
        let (requests, method) = (self.requests.clone(), request.method().clone());
        let count = move |answer: &Result<Response<Out>, S::Error>| {
            let code =
                answer.as_ref().map_or_else(|_| "<error>".to_owned(), |answer| answer.status().as_str().to_owned());
            requests.count(&method, code);
        };
        self.inner.call(request).inspect(count).boxed()
    }
}
