//! A job as a request: the document as its body, and what routers, tracers and deduplicators read in headers.
//!
//! The headers are those of a CloudEvent in binary mode, whose data is the document.

use super::callback::Ticket;
use super::endpoint::Endpoint;
use crate::execute::Job;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Method, Request};
use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

/// What CloudEvents' binding to HTTP encodes in headers; beyond ASCII all is.
const IN_HEADER: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');

/// What a segment of a URI's path can't hold as it is.
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

const AGENT: &str = concat!("gritstone/", env!("CARGO_PKG_VERSION"));

/// The request that asks the handler to run `job`.
pub(super) fn of_job(
    job: &Job,
    document: Bytes,
    to: &Target,
    ticket: &Ticket,
) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
    let mut request = to.request(Method::POST, document);
    let headers = request.headers_mut();
    let mut put = |name: &'static str, value: Result<HeaderValue, _>| match value {
        Ok(value) => {
            headers.insert(HeaderName::from_static(name), value);
            Ok(())
        }
        Err(error) => Err(hyper::http::Error::from(error)),
    };
    put("content-type", Ok(HeaderValue::from_static("application/json")))?;
    put("accept", Ok(HeaderValue::from_static("application/json, application/x-ndjson")))?;
    put("ce-specversion", Ok(HeaderValue::from_static("1.0")))?;
    put("ce-id", encoded(&job.id))?;
    put("ce-source", encoded(&format!("/gritstone/queues/{}", utf8_percent_encode(&job.queue, IN_PATH))))?;
    put("ce-type", encoded(&format!("dev.gritstone.job.{}", job.class)))?;
    if let Some(time) = job.enqueued_at {
        put("ce-time", HeaderValue::try_from(time.to_string()))?;
    }
    put("idempotency-key", encoded(&job.id))?;
    put("gritstone-claim", Ok(HeaderValue::from(job.claim)))?;
    put("gritstone-attempt", Ok(HeaderValue::from(job.attempt)))?;
    if let Some(deadline) = job.deadline {
        put("gritstone-deadline", HeaderValue::try_from(deadline.to_string()))?;
    }
    put("gritstone-callback", HeaderValue::try_from(ticket.url()))?;
    let mut token = HeaderValue::try_from(ticket.token())?;
    token.set_sensitive(true);
    put("gritstone-callback-token", Ok(token))?;
    // It came with the job, and is none of our making: one that is no header's value isn't passed on.
    if let Some(Ok(trace)) = job.traceparent.as_deref().map(HeaderValue::try_from) {
        put("traceparent", Ok(trace))?;
    }
    Ok(request)
}

fn encoded(text: &str) -> Result<HeaderValue, hyper::header::InvalidHeaderValue> {
    HeaderValue::try_from(utf8_percent_encode(text, IN_HEADER).to_string())
}

/// An endpoint, ready for requests.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) endpoint: Endpoint,
    path: hyper::Uri,
    host: HeaderValue,
}

impl TryFrom<Endpoint> for Target {
    type Error = hyper::http::Error;

    fn try_from(endpoint: Endpoint) -> Result<Self, Self::Error> {
        let path = endpoint.path().parse::<hyper::Uri>()?;
        let host = HeaderValue::try_from(endpoint.host())?;
        Ok(Self { endpoint, path, host })
    }
}

impl Target {
    pub(super) fn request(&self, method: Method, body: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = self.path.clone();
        let headers = request.headers_mut();
        headers.insert(hyper::header::HOST, self.host.clone());
        headers.insert(hyper::header::USER_AGENT, HeaderValue::from_static(AGENT));
        request
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execute::sample_job;

    fn header(job: &Job, name: &str) -> Option<String> {
        let to = Target::try_from("http://localhost:8080/jobs".parse::<Endpoint>().unwrap()).unwrap();
        let request = of_job(job, Bytes::new(), &to, &Ticket::sample()).unwrap();
        request.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn is_a_cloud_event() {
        let job =
            Job { enqueued_at: Some("2026-01-02T03:04:05Z".parse().unwrap()), queue: "a/b c".into(), ..sample_job() };
        let is = |name: &str, value: &str| assert_eq!(header(&job, name).as_deref(), Some(value), "{name}");
        is("host", "localhost:8080");
        is("content-type", "application/json");
        is("ce-specversion", "1.0");
        is("ce-id", "6f9619ff-8b86-4011-b42d-00c04fc964ff");
        is("ce-source", "/gritstone/queues/a%252Fb%2520c");
        is("ce-type", "dev.gritstone.job.SendMail");
        is("ce-time", "2026-01-02T03:04:05Z");
        is("idempotency-key", "6f9619ff-8b86-4011-b42d-00c04fc964ff");
        is("gritstone-claim", "7");
        is("gritstone-attempt", "1");
        assert_eq!(header(&job, "gritstone-deadline"), None);
    }

    #[test]
    fn no_name_is_too_odd_for_a_header() {
        let odd = "a\r\nb: 1 日本 \"%\"";
        let job =
            Job { id: odd.into(), class: odd.into(), queue: odd.into(), traceparent: Some(odd.into()), ..sample_job() };
        assert_eq!(header(&job, "ce-id").unwrap(), "a%0D%0Ab:%201%20%E6%97%A5%E6%9C%AC%20%22%25%22");
        assert_eq!(header(&job, "traceparent"), None);
        assert_eq!(
            header(&Job { traceparent: Some("00-a-b-01".into()), ..sample_job() }, "traceparent").unwrap(),
            "00-a-b-01"
        );
    }
}
