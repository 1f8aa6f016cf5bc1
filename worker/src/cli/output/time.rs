//! Moments for people: RFC 3339 in UTC, and how long ago that is.

use super::table::terminal_width;
use jiff::Timestamp;

/// `2026-01-02T03:04:05Z (5m ago)`, or `(in 5m)`.
pub(crate) fn when(time: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(time).as_secs();
    let relation = match seconds {
        ..0 => format!("in {}", age(seconds.unsigned_abs())),
        0.. => format!("{} ago", age(seconds.unsigned_abs())),
    };
    format!("{} ({relation})", time.strftime("%Y-%m-%dT%H:%M:%SZ"))
}

/// The same for a column of a table: on a narrow terminal only how long ago it is.
pub(crate) fn when_briefly(time: Timestamp, now: Timestamp) -> String {
    let whole = when(time, now);
    match terminal_width() {
        Some(..WIDE) => {
            whole.split_once('(').map(|(_, relation)| relation.trim_end_matches(')').to_owned()).unwrap_or(whole)
        }
        _ => whole,
    }
}

/// A terminal that has room for whole moments in tables.
const WIDE: u16 = 140;

/// So many seconds in the largest unit that fits twice: `90s`, `5m`, `3h`, `12d`.
pub(crate) fn age(seconds: u64) -> String {
    match seconds {
        ..120 => format!("{seconds}s"),
        120..7_200 => format!("{}m", seconds / 60),
        7_200..172_800 => format!("{}h", seconds / 3_600),
        172_800.. => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_says_how_far_away_it_is() {
        let now: Timestamp = "2026-01-02T03:04:05.678Z".parse().unwrap();
        let at = |text: &str| when(text.parse().unwrap(), now);
        assert_eq!(at("2026-01-02T03:04:05Z"), "2026-01-02T03:04:05Z (0s ago)");
        assert_eq!(at("2026-01-02T02:59:05Z"), "2026-01-02T02:59:05Z (5m ago)");
        assert_eq!(at("2026-01-05T03:04:06Z"), "2026-01-05T03:04:06Z (in 3d)");
        assert_eq!(at("2025-12-01T00:00:00Z"), "2025-12-01T00:00:00Z (32d ago)");
    }
}
