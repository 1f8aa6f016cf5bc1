//! Whose a Lease is.

use std::time::{Duration, Instant};

/// What a Lease says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    /// Who holds it; nobody after it was given back.
    pub(super) holder: Option<String>,
    /// For how long after its last renewal nobody else may take it.
    pub(super) duration: Duration,
    /// When it was last renewed, by the holder's clock: only ever compared with itself.
    pub(super) renewed: String,
    /// How often it has changed hands.
    pub(super) transitions: i32,
}

/// What a standby has seen.
#[derive(Debug, Default)]
pub(super) struct Seen(Option<(Record, Instant)>);

/// What a standby does next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It may take the Lease.
    Take,
    /// Another holds it, for at least so long.
    Wait(Duration),
}

impl Seen {
    /// The Lease was read at `now`, and says this.
    ///
    /// The time of a holder counts from when its last renewal was first seen here, never by its own clock, which may be wrong.
    pub(super) fn look(&mut self, record: &Record, own: &str, now: Instant) -> Next {
        match &record.holder {
            None => return Next::Take,
            // Our own try, whose answer was lost.
            Some(holder) if holder == own => return Next::Take,
            Some(_) => {}
        }
        let since = match &self.0 {
            Some((known, since)) if known == record => *since,
            _ => {
                self.0 = Some((record.clone(), now));
                now
            }
        };
        let left = (since + record.duration).saturating_duration_since(now);
        if left.is_zero() { Next::Take } else { Next::Wait(left) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(renewed: &str) -> Record {
        let duration = Duration::from_secs(12);
        Record { holder: Some("other".to_owned()), duration, renewed: renewed.to_owned(), transitions: 3 }
    }

    #[test]
    fn a_lease_is_free_when_it_was_given_back_or_not_renewed_for_its_duration() {
        let (mut seen, start) = (Seen::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(seen.look(&held("1"), "me", at(0)), Next::Wait(Duration::from_secs(12)));
        assert_eq!(seen.look(&held("1"), "me", at(11)), Next::Wait(Duration::from_secs(1)));
        assert_eq!(seen.look(&held("2"), "me", at(11)), Next::Wait(Duration::from_secs(12)));
        assert_eq!(seen.look(&held("2"), "me", at(23)), Next::Take);
        assert_eq!(seen.look(&Record { holder: None, ..held("2") }, "me", at(11)), Next::Take);
    }

    #[test]
    fn a_standby_that_just_came_waits_a_whole_term_however_old_the_lease_says_it_is() {
        let waits = Seen::default().look(&held("2001-01-01T00:00:00Z"), "me", Instant::now());
        assert_eq!(waits, Next::Wait(Duration::from_secs(12)));
    }

    #[test]
    fn what_we_took_without_hearing_of_it_is_ours() {
        let record = Record { holder: Some("me".to_owned()), ..held("1") };
        assert_eq!(Seen::default().look(&record, "me", Instant::now()), Next::Take);
    }
}
