//! `gritstone schedule`.

use super::support::Home;
use serde_json::json;

const FROM: [&str; 2] = ["--from", "2026-03-01T00:00:00Z"];

fn next(schedule: &str, options: &[&str]) -> serde_json::Value {
    let arguments = [&["schedule", "next", schedule, "--json"], &FROM[..], options].concat();
    Home::empty().run(&arguments).ok().json()
}

#[test]
fn words_cron_and_intervals_say_when_they_run() {
    assert_eq!(
        next("every weekday at 9am", &["-n", "2"]),
        json!({"cron": "0 9 * * 1,2,3,4,5", "time_zone": "UTC", "next": ["2026-03-02T09:00:00Z", "2026-03-03T09:00:00Z"]})
    );
    assert_eq!(next("*/30 * * * *", &["-n", "1"])["next"], json!(["2026-03-01T00:30:00Z"]));
    let interval = next("{every: 90m, offset: 5m}", &["-n", "2"]);
    assert_eq!(interval["cron"], json!(null));
    assert_eq!(interval["next"], json!(["2026-03-01T00:05:00Z", "2026-03-01T01:35:00Z"]));
    assert_eq!(next("every hour", &[])["next"].as_array().map(Vec::len), Some(5));
}

#[test]
fn the_zone_of_the_text_wins_over_the_option() {
    let seoul = next("every day at 9am", &["--time-zone", "Asia/Seoul", "-n", "1"]);
    assert_eq!((&seoul["time_zone"], &seoul["next"][0]), (&json!("Asia/Seoul"), &json!("2026-03-02T00:00:00Z")));
    let berlin = next("every day at 9am in Europe/Berlin", &["--time-zone", "Asia/Seoul", "-n", "1"]);
    assert_eq!(
        (&berlin["cron"], &berlin["next"][0]),
        (&json!("0 9 * * * Europe/Berlin"), &json!("2026-03-01T08:00:00Z"))
    );
}

#[test]
fn people_see_utc_and_local_time() {
    let home = Home::empty();
    let arguments = [&["schedule", "next", "every day at 9am", "--time-zone", "Asia/Seoul"], &FROM[..]].concat();
    let ran = home.run(&arguments).ok().prints("cron: 0 9 * * *\n").prints("ASIA/SEOUL");
    ran.prints("2026-03-02T00:00:00Z  Mon 2026-03-02 09:00:00 +09:00\n");
}

#[test]
fn it_opens_no_database() {
    let home = Home::empty();
    home.run(&["schedule", "next", "every day", "--database", "nonsense://"]).ok();
    home.run(&["schedule", "next", "every day"]).ok();
    assert!(!home.path("queue.db").exists());
}
