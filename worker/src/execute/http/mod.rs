//! Posting jobs to a server.
//!
//! The document is posted, with the headers of a CloudEvent (`request`). An answer in the response's body counts; without one
//! the status does (`status`). A body may be one JSON document, or lines that come as the job goes on (`exchange`). A job that
//! takes longer is answered with 202, and calls back (`callback`).
//!
//! - Before anything was sent, a server that can't be reached uses no attempt: the job is released, and claiming waits (see
//!   `breaker`) until a health check works.
//! - After that, a connection that breaks is a run that broke: retry, `Gritstone::HandlerCrashed`.
//! - Silence beyond the timeout is a retry with `Gritstone::HandlerTimeout`.
//! - Redirects aren't followed, and no proxy is taken from the environment.
//! - Told to stop, the connection is closed. A job that goes on after a 202 is told by `DELETE` on the `Location` of that
//!   response, if it had one.

mod callback;
mod connection;
mod endpoint;
mod exchange;
mod request;
mod status;
mod tls;

pub use endpoint::{Endpoint, EndpointError};
pub use tls::TlsError;

use super::breaker::{Breaker, start_backoff};
use super::retry::Backoff;
use super::{Context, Handler, Job, Report};
use callback::Callbacks;
use connection::{Connection, Connector};
use futures::future::BoxFuture;
use hyper::Method;
use request::Target;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How jobs are posted.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where to.
    pub endpoint: Endpoint,
    /// The path that answers 2xx when jobs can be taken; `None`: that the server accepts connections is enough.
    pub health_path: Option<String>,
    /// How long the server may be silent: until it responds, and between the lines of its response.
    pub timeout: Duration,
    /// How long a job that was answered with 202 may be silent.
    pub heartbeat_timeout: Duration,
    /// Certificate authorities (PEM) in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// Where to listen for callbacks.
    pub listen: SocketAddr,
    /// How the server reaches that; `None`: under that address.
    pub callback_url: Option<String>,
    /// How long a job may take to hear that it is to stop.
    pub grace: Duration,
    /// How claiming waits while the server can't be reached.
    pub backoff: Backoff,
}

impl Settings {
    /// Five minutes of silence, callbacks on any free port of this host, 5 s of grace; claiming waits 1 s, doubling, at most a
    /// minute.
    pub fn new(endpoint: Endpoint) -> Self {
        const FIVE_MINUTES: Duration = Duration::from_secs(300);
        Self {
            endpoint,
            health_path: None,
            timeout: FIVE_MINUTES,
            heartbeat_timeout: FIVE_MINUTES,
            ca_file: None,
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            callback_url: None,
            grace: Duration::from_secs(5),
            backoff: start_backoff(),
        }
    }
}

/// Why settings can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// No TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A path or host that no request can hold.
    #[error("no request can be made to {endpoint}: {source}")]
    Request {
        /// Where to.
        endpoint: String,
        /// Why.
        source: hyper::http::Error,
    },
}

/// Runs jobs by posting them.
pub struct HttpHandler {
    settings: Settings,
    jobs: Target,
    health: Option<Target>,
    connector: Arc<Connector>,
    callbacks: Callbacks,
    breaker: Breaker,
    closing: CancellationToken,
}

impl fmt::Debug for HttpHandler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpHandler").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// How long a health check may take.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(5);
/// How old the answer to a health check may be when jobs are claimed.
const HEALTH_AGAIN: Duration = Duration::from_secs(5);

impl HttpHandler {
    /// A handler; nothing is connected or listened to before it is needed.
    ///
    /// # Errors
    /// When there are no certificate authorities for `https`, or no request can hold the paths.
    pub fn new(settings: Settings) -> Result<Self, SettingsError> {
        let tls = match settings.endpoint.is_tls() {
            true => Some(tls::client(settings.ca_file.as_deref())?),
            false => None,
        };
        let target = |endpoint: Endpoint| {
            let shown = endpoint.to_string();
            Target::try_from(endpoint).map_err(|source| SettingsError::Request { endpoint: shown, source })
        };
        let breaker = Breaker::new(settings.backoff);
        Ok(Self {
            jobs: target(settings.endpoint.clone())?,
            health: settings.health_path.as_deref().map(|path| target(settings.endpoint.at(path))).transpose()?,
            connector: Arc::new(Connector::new(tls)),
            callbacks: Callbacks::new(settings.listen, settings.callback_url.clone()),
            // Without a path to ask at, the jobs' own connections say as much.
            breaker: if settings.health_path.is_some() { breaker.looking_again(HEALTH_AGAIN) } else { breaker },
            closing: CancellationToken::new(),
            settings,
        })
    }

    async fn connect(&self) -> Result<Connection, String> {
        self.connector.connect(&self.settings.endpoint).await.map_err(|error| error.to_string())
    }

    /// Looks whether jobs can be run.
    async fn probe(&self) -> Result<(), String> {
        self.callbacks.listen().await.map_err(|error| error.to_string())?;
        self.ask_for_health().await
    }

    async fn ask_for_health(&self) -> Result<(), String> {
        let mut connection = self.connect().await?;
        if let Some(health) = &self.health {
            let at = &health.endpoint;
            let asked = connection.send(health.request(Method::GET, hyper::body::Bytes::new()));
            return match timeout(HEALTH_TIMEOUT, asked).await {
                Ok(Ok(response)) if response.status().is_success() => Ok(()),
                Ok(Ok(response)) => Err(format!("the handler's health check {at} answered {}", response.status())),
                Ok(Err(error)) => Err(format!("the handler's health check {at} failed: {}", error.error())),
                Err(_) => Err(format!("the handler's health check {at} did not answer within {HEALTH_TIMEOUT:?}")),
            };
        }
        self.connector.keep(connection);
        Ok(())
    }
}

/// Why a server isn't healthy, in a sentence.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unhealthy(String);

/// Asks the server once at this path whether it is healthy, as a handler is asked before jobs are claimed for it.
///
/// # Errors
/// When it can't be reached, or answers anything but 2xx.
pub async fn check(health: Endpoint) -> Result<(), Unhealthy> {
    let settings = Settings { health_path: Some(health.path()), ..Settings::new(health) };
    let server = HttpHandler::new(settings).map_err(|error| Unhealthy(error.to_string()))?;
    server.ask_for_health().await.map_err(Unhealthy)
}

impl Handler for HttpHandler {
    fn run(&self, job: Arc<Job>, context: Context) -> BoxFuture<'_, Report> {
        Box::pin(async move { exchange::run(self, &job, &context).await })
    }

    /// Waits while the server can't be reached or is not healthy.
    fn ready(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.breaker.passable(|| self.probe()))
    }

    /// Cancels the jobs under way, and listens no more.
    fn shutdown(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            self.closing.cancel();
            self.callbacks.close();
            self.connector.close();
        })
    }
}
