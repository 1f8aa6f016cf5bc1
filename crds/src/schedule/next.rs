//! The next run of a cron in a time zone.
//!
//! Between two changes of a zone's offset, local time is UTC plus a constant, so a cron is asked stretch by stretch: times that the
//! clocks skip don't come up, and those that they repeat come up twice. A cron with one time of the day is meant to run once on
//! each of its days: its skipped time runs at the first instant after the gap, and its repeated time the first time only.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};

use super::cron::Cron;

/// The first run after `now`. `None` when there is none within some decades.
pub(super) fn next_after(cron: &Cron, zone: &TimeZone, now: Timestamp) -> Option<Timestamp> {
    let start = Timestamp::from_second(now.as_second())
        .ok()?
        .checked_add(jiff::SignedDuration::from_secs(i64::from(now >= Timestamp::from_second(now.as_second()).ok()?)));
    let start = start.ok()?;
    if cron.has_one_time() { once(cron, zone, now, start) } else { stretch_by_stretch(cron, zone, start) }
}

fn once(cron: &Cron, zone: &TimeZone, now: Timestamp, start: Timestamp) -> Option<Timestamp> {
    let mut local = zone.to_datetime(start);
    loop {
        let found = cron.from(local)?;
        let run = first_instant(zone, found)?;
        if run > now {
            return Some(run);
        }
        local = found.checked_add(jiff::SignedDuration::from_secs(1)).ok()?;
    }
}

fn first_instant(zone: &TimeZone, local: DateTime) -> Option<Timestamp> {
    match zone.to_ambiguous_timestamp(local).offset() {
        AmbiguousOffset::Unambiguous { offset } | AmbiguousOffset::Fold { before: offset, .. } => {
            instant(local, offset)
        }
        AmbiguousOffset::Gap { before, .. } => {
            let within = instant(local, before)?.checked_add(jiff::SignedDuration::from_secs(1)).ok()?;
            zone.preceding(within).next().map(|change| change.timestamp())
        }
    }
}

fn instant(local: DateTime, offset: Offset) -> Option<Timestamp> {
    offset.to_timestamp(local).ok()
}

fn stretch_by_stretch(cron: &Cron, zone: &TimeZone, start: Timestamp) -> Option<Timestamp> {
    let mut start = start;
    let mut changes = zone.following(Timestamp::from_second(start.as_second()).ok()?);
    loop {
        let offset = zone.to_offset(start);
        let end = changes.next().map(|change| change.timestamp());
        let run = instant(cron.from(offset.to_datetime(start))?, offset)?;
        match end {
            Some(end) if run >= end => start = end,
            _ => return Some(run),
        }
    }
}
