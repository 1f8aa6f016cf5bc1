//! What a response's status says when there is no answer in its body.

use crate::execute::retry::LONGEST_DELAY;
use hyper::StatusCode;
use hyper::header::{HeaderMap, RETRY_AFTER};
use std::time::{Duration, SystemTime};

/// What a status says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// 2xx but 202.
    Done,
    /// 202: it goes on, and calls back.
    GoesOn,
    /// 429, 503.
    Later(Option<Duration>),
    /// 410, 422.
    Fail,
    /// 3xx: a redirect that nobody follows.
    Elsewhere,
    /// Anything else.
    Retry,
}

/// What this status says.
pub(super) fn meaning(status: StatusCode, headers: &HeaderMap) -> Meaning {
    match status {
        StatusCode::ACCEPTED => Meaning::GoesOn,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            let after = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
            Meaning::Later(after.and_then(|text| retry_after(text, SystemTime::now())))
        }
        StatusCode::GONE | StatusCode::UNPROCESSABLE_ENTITY => Meaning::Fail,
        status if status.is_success() => Meaning::Done,
        status if status.is_redirection() => Meaning::Elsewhere,
        _ => Meaning::Retry,
    }
}

/// `Retry-After`: seconds, or a moment as HTTP writes it. None when it is neither.
fn retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(text.parse().map_or(LONGEST_DELAY, Duration::from_secs).min(LONGEST_DELAY));
    }
    let moment = httpdate::parse_http_date(text).ok()?;
    Some(moment.duration_since(now).unwrap_or(Duration::ZERO).min(LONGEST_DELAY))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(status: u16) -> Meaning {
        meaning(StatusCode::from_u16(status).unwrap(), &HeaderMap::new())
    }

    #[test]
    fn statuses_mean_what_the_page_says() {
        for done in [200, 201, 203, 204, 299] {
            assert_eq!(of(done), Meaning::Done, "{done}");
        }
        assert_eq!(of(202), Meaning::GoesOn);
        assert_eq!((of(429), of(503)), (Meaning::Later(None), Meaning::Later(None)));
        assert_eq!((of(410), of(422)), (Meaning::Fail, Meaning::Fail));
        for elsewhere in [300, 301, 302, 303, 304, 307, 308] {
            assert_eq!(of(elsewhere), Meaning::Elsewhere, "{elsewhere}");
        }
        for other in [400, 401, 404, 405, 409, 413, 500, 502, 504, 599, 999] {
            assert_eq!(of(other), Meaning::Retry, "{other}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_moment() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        let seconds = |text: &str| retry_after(text, now).map(|wait| wait.as_secs());
        assert_eq!(seconds("120"), Some(120));
        assert_eq!(seconds(" 0 "), Some(0));
        assert_eq!(seconds("Sun, 09 Sep 2001 01:46:50 GMT"), Some(10));
        assert_eq!(seconds("Sun, 09 Sep 2001 01:46:30 GMT"), Some(0));
        assert_eq!(seconds(&"9".repeat(40)), Some(LONGEST_DELAY.as_secs()));
        for none in ["", "soon", "-1", "1.5"] {
            assert_eq!(seconds(none), None, "{none}");
        }
    }
}
