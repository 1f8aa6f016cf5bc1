//! A dedicated connection that comes back.

use super::hooks::Reporter;
use crate::health::metrics::{Connection, Connections};
use gritstone_store::{Error, Session, Store};
use std::future::Future;
use std::time::{Duration, Instant};

/// A connection of its own for one loop, made again when it breaks.
///
/// The pool won't do for hot loops: it costs three round trips a query, and a peer that dies silently takes its place for ever.
pub(super) struct Link {
    store: Store,
    session: Option<Session<'static>>,
    /// For the log: who waits for the database.
    who: &'static str,
    away: Option<Away>,
    reporter: Reporter,
    counted: Option<Connection>,
    was_connected: bool,
}

struct Away {
    since: Instant,
    tries: u32,
}

/// The longest that one statement of a loop may take. A server that went away silently answers nothing, and the kernel
/// notices only after a quarter of an hour.
pub(super) const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);

impl Link {
    pub(super) fn new(store: &Store, who: &'static str) -> Self {
        Link {
            store: store.clone(),
            session: None,
            who,
            away: None,
            reporter: Reporter::default(),
            counted: None,
            was_connected: false,
        }
    }

    /// The same, which tells hooks of its errors.
    pub(super) fn reporting(mut self, reporter: &Reporter) -> Self {
        self.reporter = reporter.clone();
        self
    }

    /// The same, whose reconnects and errors are counted.
    pub(super) fn counted(mut self, connections: &Connections) -> Self {
        self.counted = Some(connections.of(self.who));
        self
    }

    /// The connection, made anew if need be.
    pub(super) async fn session(&mut self) -> Result<&mut Session<'static>, Error> {
        if self.session.as_ref().is_none_or(Session::is_broken) {
            self.session = None;
            let session = self.store.connect().await?;
            if let Some(counted) = self.counted.as_ref().filter(|_| self.was_connected) {
                counted.reconnected();
            }
            self.was_connected = true;
            return Ok(self.session.insert(session));
        }
        match &mut self.session {
            Some(session) => Ok(session),
            None => Err(Error::Unavailable("there is no connection".into())),
        }
    }

    /// Notes that the database answered.
    pub(super) fn answered(&mut self) {
        if let Some(away) = self.away.take() {
            let seconds = away.since.elapsed().as_secs_f32();
            tracing::info!(loop_ = self.who, seconds, "the database is back");
        }
    }

    /// Notes an error, and waits a little longer each time before the next try. An error that waiting does not help is logged as one.
    pub(super) async fn wait_after(&mut self, error: &Error) {
        self.session = None;
        if let Some(counted) = &self.counted {
            counted.failed();
        }
        let url = self.store.url();
        let away = self.away.get_or_insert_with(|| Away { since: Instant::now(), tries: 0 });
        if away.tries == 0 || !error.is_unavailable() {
            tracing::error!(loop_ = self.who, database = %url, %error, "the database can't be used; waiting for it");
            self.reporter.engine(self.who, error);
        }
        let pause = pause(away.tries, rand::random());
        away.tries = away.tries.saturating_add(1);
        tokio::time::sleep(pause).await;
    }
}

/// 50 ms, doubling, at most 3 s, of which up to half is taken off at random so that many processes don't come back as one.
fn pause(tries: u32, random: f64) -> Duration {
    let longest = Duration::from_millis(50 << tries.min(6)).min(Duration::from_secs(3));
    longest.mul_f64(1.0 - random.clamp(0.0, 1.0) / 2.0)
}

/// A statement that gets [`STATEMENT_TIMEOUT`] to answer.
pub(super) async fn in_time<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    within(STATEMENT_TIMEOUT, work).await
}

/// A statement that gets so long to answer.
pub(super) async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::time::timeout(limit, work)
        .await
        .unwrap_or_else(|_| Err(Error::Unavailable(format!("the database did not answer within {limit:?}"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_three_seconds_and_are_spread() {
        assert_eq!(pause(0, 0.0), Duration::from_millis(50));
        assert_eq!(pause(3, 0.0), Duration::from_millis(400));
        assert_eq!(pause(60, 0.0), Duration::from_secs(3));
        assert_eq!(pause(60, 1.0), Duration::from_millis(1_500));
    }
}
