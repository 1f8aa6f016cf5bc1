//! Connections: made within a time limit, kept between jobs, closed by being dropped.

use super::endpoint::{Endpoint, Place};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::AbortHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// How long a server may take to accept a connection, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a connection is kept without a job. Servers close idle ones (Node after 5 s, gunicorn after 2 s), and a job that
/// meets such a close on its way counts as broken off: so ours is shorter.
const IDLE: Duration = Duration::from_secs(1);

/// The longest head of a response.
const LONGEST_HEAD: usize = 64 * 1024;

/// Why there is no connection. Nothing was sent.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("the handler at {endpoint} can't be reached: {source}")]
    Unreachable { endpoint: String, source: io::Error },
    #[error("the handler at {endpoint} accepted no connection within {CONNECT_TIMEOUT:?}")]
    Slow { endpoint: String },
    #[error("the handler at {endpoint} and this worker can't agree on TLS: {source}")]
    Tls { endpoint: String, source: io::Error },
    #[error("the handler at {endpoint} closed the connection before anything was sent: {source}")]
    Closed { endpoint: String, source: hyper::Error },
}

/// A connection to the handler. Dropped, it is closed.
#[derive(Debug)]
pub(super) struct Connection {
    sender: SendRequest<Full<Bytes>>,
    driver: AbortHandle,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Connection {
    /// Sends a request and waits for the head of its response. The request comes back in the error when none of it was sent.
    pub(super) async fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Full<Bytes>>>> {
        self.sender.try_send_request(request).await
    }

    async fn over<I>(io: I) -> hyper::Result<Self>
    where
        I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, driver) = http1::Builder::new().max_header_size(LONGEST_HEAD).handshake(TokioIo::new(io)).await?;
        // How it ends is told by the requests on it.
        let driver = tokio::spawn(async move { drop(driver.await) }).abort_handle();
        Ok(Self { sender, driver })
    }

    /// Whether another request can go over it.
    async fn is_good(&mut self) -> bool {
        if self.sender.is_ready() {
            return true;
        }
        // Its task may be a moment behind whoever read the end of the response.
        !self.sender.is_closed() && matches!(timeout(Duration::from_millis(20), self.sender.ready()).await, Ok(Ok(())))
    }
}

/// Makes connections to one server and keeps those that are idle.
pub(super) struct Connector {
    tls: Option<Arc<ClientConfig>>,
    /// The last one used is used first.
    idle: Mutex<Vec<(Connection, Instant)>>,
}

impl Connector {
    pub(super) fn new(tls: Option<Arc<ClientConfig>>) -> Self {
        Self { tls, idle: Mutex::default() }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(Connection, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that is there, if one is good.
    pub(super) async fn kept(&self) -> Option<Connection> {
        loop {
            let mut connection = {
                let mut idle = self.idle();
                idle.retain(|(_, since)| since.elapsed() < IDLE);
                idle.pop()?.0
            };
            if connection.is_good().await {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection whose response has been read to its end.
    pub(super) fn keep(&self, connection: Connection) {
        if !connection.sender.is_closed() {
            self.idle().push((connection, Instant::now()));
        }
    }

    /// Closes all idle connections.
    pub(super) fn close(&self) {
        self.idle().clear();
    }

    /// A new connection.
    pub(super) async fn connect(&self, to: &Endpoint) -> Result<Connection, ConnectError> {
        match timeout(CONNECT_TIMEOUT, self.open(to)).await {
            Ok(opened) => opened,
            Err(_) => Err(ConnectError::Slow { endpoint: to.to_string() }),
        }
    }

    async fn open(&self, to: &Endpoint) -> Result<Connection, ConnectError> {
        let endpoint = || to.to_string();
        let unreachable = |source| ConnectError::Unreachable { endpoint: endpoint(), source };
        let opened = match &to.place {
            Place::Unix(path) => Connection::over(UnixStream::connect(path).await.map_err(unreachable)?).await,
            Place::Tcp { host, port, tls } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(unreachable)?;
                stream.set_nodelay(true).map_err(unreachable)?;
                match (tls, &self.tls) {
                    (Some(name), Some(config)) => {
                        let connector = TlsConnector::from(Arc::clone(config));
                        let stream = connector
                            .connect(name.clone(), stream)
                            .await
                            .map_err(|source| ConnectError::Tls { endpoint: endpoint(), source })?;
                        Connection::over(stream).await
                    }
                    _ => Connection::over(stream).await,
                }
            }
        };
        opened.map_err(|source| ConnectError::Closed { endpoint: endpoint(), source })
    }
}
