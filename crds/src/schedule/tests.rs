//! Every schedule of two samples, as fugit reads it: what its own tests and documentation have, and what a generator drew.

use std::str::FromStr as _;

use jiff::Timestamp;
use proptest::prelude::*;
use serde::Deserialize;

use super::Timetable;

#[derive(Deserialize)]
struct Case {
    input: String,
    cron: Option<String>,
    #[serde(default)]
    next: Vec<Timestamp>,
}

/// Fugit accepts these and means something else than they say.
const MEANT_OTHERWISE: [(&str, Option<&str>); 5] = [
    ("every 90 minutes", None),
    ("every 61 minutes", None),
    ("every 13 months", None),
    ("every hour on the hour", Some("0 * * * *")),
    ("0 24 * * *", None),
];

#[test]
fn what_fugit_accepts_means_the_same() {
    let mut cases = Vec::new();
    for sample in [include_str!("../../tests/schedules/fugit.json"), include_str!("../../tests/schedules/more.json")] {
        cases.extend(serde_json::from_str::<Vec<Case>>(sample).expect("a sample"));
    }
    let from: Timestamp = "2026-03-01T00:00:00Z".parse().expect("a time");
    let mut wrong = Vec::new();
    for case in cases {
        let read = Timetable::parse(&case.input, "UTC");
        let cron = read.as_ref().ok().and_then(Timetable::cron);
        if let Some((_, meant)) = MEANT_OTHERWISE.iter().find(|(input, _)| *input == case.input) {
            assert_eq!(cron, *meant, "{}", case.input);
            continue;
        }
        let Some(expected) = case.cron else { continue };
        let mut now = from;
        let next: Vec<_> = read
            .iter()
            .flat_map(|timetable| {
                (0..5).map_while(|_| timetable.next_after(now).inspect(|time| now = *time)).collect::<Vec<_>>()
            })
            .collect();
        if cron != Some(&expected) || next != case.next {
            wrong.push(format!("{}: {read:?}, {next:?} instead of {expected}, {:?}", case.input, case.next));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn runs(schedule: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
    let timetable = Timetable::parse(schedule, zone).expect(schedule);
    let mut now: Timestamp = from.parse().expect("a time");
    (0..count)
        .map_while(|_| timetable.next_after(now).inspect(|time| now = *time))
        .map(|time| time.to_string())
        .collect()
}

#[test]
fn a_daily_run_in_the_gap_comes_right_after_it_and_a_repeated_one_once() {
    let new_york = "America/New_York";
    assert_eq!(
        runs("30 2 * * *", new_york, "2026-03-07T12:00:00Z", 2),
        ["2026-03-08T07:00:00Z", "2026-03-09T06:30:00Z"]
    );
    assert_eq!(
        runs("30 1 * * *", new_york, "2026-10-31T12:00:00Z", 2),
        ["2026-11-01T05:30:00Z", "2026-11-02T06:30:00Z"]
    );
    assert_eq!(runs("30 1 * * *", new_york, "2026-11-01T05:45:00Z", 1), ["2026-11-02T06:30:00Z"]);
}

#[test]
fn hourly_runs_follow_real_time_through_both_changes() {
    for from in ["2026-03-08T04:30:00Z", "2026-11-01T03:30:00Z"] {
        let times: Vec<Timestamp> =
            runs("0 * * * *", "America/New_York", from, 8).iter().map(|time| time.parse().expect("a time")).collect();
        assert!(times.windows(2).all(|pair| pair[1].as_second() - pair[0].as_second() == 3_600), "{times:?}");
    }
}

#[test]
fn zones_that_shift_by_half_an_hour_at_midnight_or_not_at_all() {
    let (lord_howe, cairo) = ("Australia/Lord_Howe", "Africa/Cairo");
    assert_eq!(runs("15 2 * * *", lord_howe, "2026-10-03T00:00:00Z", 1), ["2026-10-03T15:30:00Z"]);
    assert_eq!(runs("30 0 * * *", cairo, "2026-04-23T12:00:00Z", 1), ["2026-04-23T22:00:00Z"]);
    // From 02:00 back to 01:30: a time of the day runs once, what runs every so often keeps its distance.
    assert_eq!(
        runs("45 1 * * *", lord_howe, "2026-04-04T00:00:00Z", 2),
        ["2026-04-04T14:45:00Z", "2026-04-05T15:15:00Z"]
    );
    assert_eq!(
        runs("*/15 1 * * *", lord_howe, "2026-04-04T14:20:00Z", 5),
        [
            "2026-04-04T14:30:00Z",
            "2026-04-04T14:45:00Z",
            "2026-04-04T15:00:00Z",
            "2026-04-04T15:15:00Z",
            "2026-04-05T14:30:00Z"
        ]
    );
    // From midnight back to 23:00 of the day before.
    assert_eq!(runs("30 23 * * *", cairo, "2026-10-29T12:00:00Z", 2), ["2026-10-29T20:30:00Z", "2026-10-30T21:30:00Z"]);
    assert_eq!(
        runs("0,30 23 * * *", cairo, "2026-10-29T12:00:00Z", 5),
        [
            "2026-10-29T20:00:00Z",
            "2026-10-29T20:30:00Z",
            "2026-10-29T21:00:00Z",
            "2026-10-29T21:30:00Z",
            "2026-10-30T21:00:00Z"
        ]
    );
    assert_eq!(runs("0 9 * * *", "Asia/Seoul", "2026-03-08T00:00:00Z", 1), ["2026-03-09T00:00:00Z"]);
}

#[test]
fn every_range_of_every_field_is_the_list_of_its_values() {
    // Seconds, minutes, hours, days, months; around the end, too.
    for (field, (min, max)) in [(0, 59), (0, 59), (0, 23), (1, 31), (1, 12)].into_iter().enumerate() {
        let with = |value: &str| {
            let mut fields = ["*"; 6];
            fields[field] = value;
            let text = fields.join(" ");
            Timetable::parse(&text, "UTC").unwrap_or_else(|error| panic!("{text}: {error}")).cron().map(str::to_owned)
        };
        for (from, to) in (min..=max).flat_map(|from| (min..=max).map(move |to| (from, to))) {
            for step in [1, 2, 7] {
                let length = (to - from + max - min + 1) % (max - min + 1);
                let values = (0..=length).step_by(step).map(|index| (from - min + index) % (max - min + 1) + min);
                let list = values.map(|value: i32| value.to_string()).collect::<Vec<_>>().join(",");
                // All there are is `*`.
                let list = if (from, to, step) == (min, max, 1) { "*" } else { &list };
                let (range, step) =
                    (format!("{from}-{to}"), if step == 1 { String::new() } else { format!("/{step}") });
                assert_eq!(with(&format!("{range}{step}")), with(list), "{range}{step} in field {field}");
            }
        }
    }
}

#[test]
fn what_no_one_cron_says_is_refused_with_the_place_and_a_hint() {
    for (text, said) in [
        ("every 25 minutes", "say {every: 25m}"),
        ("every day at 8:30 and 17:45", "make it a task each"),
        ("every mondey", "did you mean monday?"),
        ("0 9 * * * Europe/Pariss", "did you mean Europe/Paris?"),
        ("tomorrow", "a schedule says how often"),
        ("5 minutes", "put \"every\" in front"),
        ("every 15 minutes every month", "leave one out, or name the day"),
        ("every month every 15 minutes", "leave one out, or name the day"),
        ("0 0 30 2 *", "so it would never run"),
        ("0 0 30 2 mon", "say so with * in its place"),
        ("0 0 30 2 mon&", "so it would never run"),
        ("every weekday or saturday at 9am", "or \"from monday to saturday\""),
    ] {
        let error = Timetable::parse(text, "UTC").expect_err(text);
        assert!(error.to_string().contains(said), "{text}: {error}");
        assert!(text.get(error.place.clone()).is_some(), "{text}: {error:?}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "((every|at|on|from|to|and|the|of|month|day|monday|1st|last|9am|5|,|:|-|m|second|\\*|/2|[0-9]{1,3}|ü|#|L|%|~|&|@daily|\\+|mon|Europe/Paris) ?){0,9}") {
        if let Ok(timetable) = Timetable::parse(&text, "America/New_York") {
            let cron = timetable.cron().expect("a cron").to_owned();
            let again = Timetable::parse(&cron, "America/New_York").expect("its own cron");
            proptest::prop_assert_eq!(again.cron(), Some(cron.as_str()));
            let now = Timestamp::UNIX_EPOCH;
            proptest::prop_assert_eq!(timetable.next_after(now), again.next_after(now));
        }
    }
}

/// A field as every cron has it.
fn field(min: u8, max: u8) -> impl Strategy<Value = String> {
    let value = move || min..=max;
    prop_oneof![
        Just("*".to_owned()),
        value().prop_map(|value| value.to_string()),
        (value(), value()).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
        prop::collection::vec(value(), 1..4).prop_map(|values| values
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(",")),
        (2..=max / 2).prop_map(|step| format!("*/{step}")),
        (value(), value(), 1..=max / 2).prop_map(|(a, b, step)| format!("{}-{}/{step}", a.min(b), a.max(b))),
    ]
}

/// Days, one of the two fields `*`: what both mean together is told differently from cron to cron.
fn days() -> impl Strategy<Value = (String, String)> {
    let nth = (0_u8..7, 1_u8..6).prop_map(|(day, nth)| format!("{day}#{nth}"));
    let of_month = prop_oneof![4 => field(1, 31), 1 => Just("L".to_owned())].prop_map(|day| (day, "*".to_owned()));
    let of_week = prop_oneof![3 => field(0, 6), 1 => nth].prop_map(|day| ("*".to_owned(), day));
    prop_oneof![of_month, of_week]
}

proptest::proptest! {
    #[test]
    fn what_every_cron_has_runs_as_in_another_implementation(
        second in prop::option::of(field(0, 59)),
        (minute, hour, (day, weekday), month) in (field(0, 59), field(0, 23), days(), field(1, 12)),
        start in 0_i64..4_000_000_000,
    ) {
        let second = second.map(|second| format!("{second} ")).unwrap_or_default();
        let text = format!("{second}{minute} {hour} {day} {month} {weekday}");
        let Ok(timetable) = Timetable::parse(&text, "UTC") else { return Err(TestCaseError::reject("no such day")) };
        let other = croner::Cron::from_str(&text).expect(&text);
        let mut now = Timestamp::from_second(start).expect("a time");
        for _ in 0..3 {
            let zoned = now.to_zoned(jiff::tz::TimeZone::UTC);
            let expected = other.find_next_occurrence(&zoned, false).ok().map(|time| time.timestamp());
            let next = timetable.next_after(now);
            proptest::prop_assert_eq!(next, expected, "{} after {}", &text, now);
            let Some(next) = next else { break };
            now = next;
        }
    }
}
