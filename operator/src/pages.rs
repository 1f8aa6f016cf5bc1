//! The pages for Kubernetes and Prometheus: `/livez`, `/readyz`, `/metrics`.

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;

use crate::Instruments;

/// The type of Prometheus' text, so that it reads `_total` and exemplars as OpenMetrics means them.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves them until the future is dropped. To be run on a thread that the controllers' work doesn't hold up.
///
/// # Errors
/// Those of listening.
pub async fn serve(listener: TcpListener, instruments: Instruments) -> std::io::Result<()> {
    let pages = Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(instruments);
    axum::serve(listener, pages).await
}

async fn livez(State(instruments): State<Instruments>) -> Response {
    answer(&instruments.health.ails())
}

async fn readyz(State(instruments): State<Instruments>) -> Response {
    answer(&instruments.health.waits_for())
}

fn answer(problems: &[String]) -> Response {
    match problems {
        [] => "ok\n".into_response(),
        problems => (StatusCode::SERVICE_UNAVAILABLE, problems.join("\n") + "\n").into_response(),
    }
}

async fn metrics(State(instruments): State<Instruments>) -> Response {
    ([(header::CONTENT_TYPE, OPEN_METRICS)], instruments.metrics.text()).into_response()
}
