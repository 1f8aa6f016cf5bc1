//! How Kubernetes sees whether a pod lives and is ready.
//!
//! The engine's page answers for its own loops and for its handler. A database that is away makes no pod unready, and restarts none; one
//! whose tables are still to come keeps a new pod from being ready.

use std::net::IpAddr;

use gritstone_crds::kinds::HttpHandler;
use serde_json::{Value, json};

/// Where the engine serves `/livez`, `/readyz` and `/metrics`.
pub(super) const PORT: u16 = 9_090;
/// What that port is called.
pub(super) const PORT_NAME: &str = "metrics";

/// The engine's probes, unless its container says otherwise itself.
pub(super) fn of_engine() -> Value {
    let page = |path: &str| json!({"path": path, "port": PORT_NAME});
    json!({
        "startupProbe": {"httpGet": page("/livez"), "periodSeconds": 1, "timeoutSeconds": 5, "failureThreshold": 60},
        "livenessProbe": {"httpGet": page("/livez"), "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 3},
        "readinessProbe": {"httpGet": page("/readyz"), "periodSeconds": 5, "timeoutSeconds": 5, "failureThreshold": 3},
    })
}

/// The startup probe of a server in the same pod: two minutes for its health path to answer. None where it has no such path, or is
/// elsewhere.
///
/// Asked from inside, by the program that is brought along: such a server may well listen on 127.0.0.1 alone, where a kubelet can't reach
/// it and other pods can't either, and its image may have nothing that could ask.
pub(super) fn of_server(handler: &HttpHandler, program: &str) -> Option<Value> {
    let path = handler.health_path.as_ref()?;
    let uri: http::Uri = handler.url.parse().ok()?;
    // The authorities of https are the engine's own.
    let is_askable = is_here(&uri)? && uri.scheme_str() == Some("http");
    let url = format!("http://{}{path}", uri.authority()?);
    let ask = json!({"command": [program, "probe", url]});
    is_askable.then(|| json!({"exec": ask, "periodSeconds": 1, "timeoutSeconds": 10, "failureThreshold": 120}))
}

/// Whether a server that is to be in the same pod is asked where the engine itself listens.
pub(super) fn is_of_engine(handler: &HttpHandler) -> bool {
    let uri = handler.url.parse::<http::Uri>().ok();
    uri.is_some_and(|uri| uri.port_u16() == Some(PORT) && is_here(&uri) == Some(true))
}

/// Whether a host is the pod itself; none where there is no host.
fn is_here(uri: &http::Uri) -> Option<bool> {
    let host = uri.host()?.trim_matches(['[', ']']);
    let is_own = |address: IpAddr| address.is_loopback() || address.is_unspecified();
    Some(host == "localhost" || host.parse().is_ok_and(is_own))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_in_the_pod_is_asked_from_inside_where_the_engine_asks_it() {
        let probe = |url: &str, path: Option<&str>| {
            let mut spec = json!({"url": url});
            if let Some(path) = path {
                spec["healthPath"] = json!(path);
            }
            let handler = serde_json::from_value(spec).expect("a handler");
            of_server(&handler, "/g").map(|probe| probe["exec"]["command"].clone())
        };
        let here = json!(["/g", "probe", "http://127.0.0.1:8080/healthz"]);
        assert_eq!(probe("http://127.0.0.1:8080/jobs?x", Some("/healthz")), Some(here));
        assert_eq!(probe("http://[::1]/jobs", Some("/up")), Some(json!(["/g", "probe", "http://[::1]/up"])));
        assert_eq!(probe("http://127.0.0.1:8080/jobs", None), None);
        assert_eq!(probe("http://jobs.shop.svc:8080/jobs", Some("/up")), None);
        assert_eq!(probe("https://localhost/jobs", Some("/up")), None);
        assert_eq!(probe("http+unix://%2Frun%2Fjobs.sock/jobs", Some("/up")), None);
    }
}
