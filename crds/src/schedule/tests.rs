//! Every schedule of a sample, as fugit reads it.

use jiff::Timestamp;
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
    let cases: Vec<Case> = serde_json::from_str(include_str!("../../tests/schedules/fugit.json")).expect("the sample");
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
