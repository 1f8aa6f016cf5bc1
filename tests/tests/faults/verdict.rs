//! What must hold when everything is over.

use gritstone_tests::rig::{Run, Site};
use std::collections::HashMap;

/// What was found.
#[derive(Debug, Default)]
pub struct Tally {
    pub jobs: usize,
    pub runs: usize,
    /// Runs beyond each job's first.
    pub extra_runs: usize,
    /// Interruptions recorded. More than extra runs when a claim was taken away before its handler had begun.
    pub interruptions: u32,
    /// Jobs out of interruptions, each with its error.
    pub failed: Vec<(String, String)>,
}

/// A job as the database has it.
struct Row {
    finished: bool,
    /// Rows in the tables of all states but finished.
    executions: u32,
    interruptions: u32,
    error: String,
    /// Empty when it has no limit.
    key: String,
}

/// How many jobs may run at a time that share a key.
pub const LIMIT: u32 = 2;

const STATES: [&str; 5] = ["ready", "scheduled", "claimed", "blocked", "failed"];

/// Checks every job against the ledger: in one state, over, run to its end, each extra run explained by a recorded
/// interruption, no two runs at once; and nothing left behind.
///
/// # Panics
/// When any of that doesn't hold, with all that is wrong.
pub async fn check(site: &Site, jobs: &[String]) -> Tally {
    let rows = rows(site).await;
    let runs = site.ledger.runs_by_job();
    let mut wrong = Vec::new();
    let mut tally = Tally { jobs: jobs.len(), ..Tally::default() };
    if rows.len() != jobs.len() {
        wrong.push(format!("{} jobs were enqueued, {} are in the database", jobs.len(), rows.len()));
    }
    for job in jobs {
        let Some(row) = rows.get(job) else {
            wrong.push(format!("{job} is gone"));
            continue;
        };
        let runs = runs.get(job).map_or(&[][..], Vec::as_slice);
        wrong.extend(faults(row, runs).into_iter().map(|fault| format!("{job} {fault}: {runs:?}")));
        tally.runs += runs.len();
        tally.extra_runs += runs.len().saturating_sub(1);
        tally.interruptions += row.interruptions;
        if !row.finished {
            tally.failed.push((job.clone(), row.error.clone()));
        }
    }
    wrong.extend(crowds(&rows, &site.ledger.runs()));
    let slots = "select count(*) from solid_queue_semaphores";
    let free = format!("{slots} where value = {LIMIT}");
    if site.int(slots).await != site.int(&free).await {
        wrong.push(format!("slots are held by nobody: {:?}", site.rows("select * from solid_queue_semaphores").await));
    }
    for table in ["claimed_executions", "processes"] {
        let left = site.count(table).await;
        if left > 0 {
            wrong.push(format!("{left} rows are left in {table}"));
        }
    }
    assert!(wrong.is_empty(), "{} faults:\n{}", wrong.len(), wrong[..wrong.len().min(20)].join("\n"));
    tally
}

/// What is wrong with one job.
fn faults(row: &Row, runs: &[Run]) -> Vec<String> {
    let mut wrong = Vec::new();
    let states = row.executions + u32::from(row.finished);
    if states != 1 {
        wrong.push(format!("is in {states} states"));
    }
    let died = ["ProcessExitError", "ProcessPrunedError"].iter().any(|name| row.error.contains(name));
    match (row.finished, row.error.is_empty()) {
        (true, _) if !runs.iter().any(|run| run.ended) => {
            wrong.push("is finished, and no run of it came to its end".into())
        }
        (false, true) => wrong.push("is not over".into()),
        (false, false) if !died => wrong.push(format!("failed: {}", row.error)),
        _ => {}
    }
    if runs.len().saturating_sub(1) > row.interruptions as usize {
        wrong.push(format!("ran {} times with {} interruptions", runs.len(), row.interruptions));
    }
    if runs.windows(2).any(|pair| pair[0].overlaps(&pair[1])) {
        wrong.push("ran twice at once".into());
    }
    wrong
}

/// Moments when more jobs with one key ran than may.
fn crowds(rows: &HashMap<String, Row>, runs: &[Run]) -> Vec<String> {
    let mut by_key: HashMap<&str, Vec<&Run>> = HashMap::new();
    for run in runs {
        if let Some(row) = rows.get(&run.job).filter(|row| !row.key.is_empty()) {
            by_key.entry(&row.key).or_default().push(run);
        }
    }
    let mut crowds = Vec::new();
    for (key, runs) in by_key {
        for (position, run) in runs.iter().enumerate() {
            let beside = runs[..position].iter().filter(|earlier| earlier.overlaps(run)).count();
            if beside >= LIMIT as usize {
                crowds.push(format!("{key}: {run:?} began beside {beside} others"));
            }
        }
    }
    crowds
}

async fn rows(site: &Site) -> HashMap<String, Row> {
    let counts =
        STATES.map(|state| format!("(select count(*) from solid_queue_{state}_executions e where e.job_id = j.id)"));
    let sql = format!(
        "select j.active_job_id, case when j.finished_at is null then 0 else 1 end, {}, coalesce(g.interruptions, 0), f.error, j.concurrency_key \
         from solid_queue_jobs j left join gritstone_jobs g on g.job_id = j.id \
         left join solid_queue_failed_executions f on f.job_id = j.id",
        counts.join(" + ")
    );
    let rows = site.rows(&sql).await.into_iter().map(|row| {
        let number = |text: &str| text.parse::<u32>().unwrap_or_else(|error| panic!("{text}: {error}"));
        let read = Row {
            finished: row[1] == "1",
            executions: number(&row[2]),
            interruptions: number(&row[3]),
            error: row[4].clone(),
            key: row[5].clone(),
        };
        (row[0].clone(), read)
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use gritstone_tests::rig::Ledger;

    /// Runs out of lines like `start 7`, of one job under the claim 7.
    fn runs(lines: &[&str]) -> Vec<Run> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        let entries = lines.iter().enumerate().map(|(at, line)| {
            let (what, claim) = line.split_once(' ').unwrap();
            format!(r#"{{"what":"{what}","id":"job","claim":{claim},"attempt":1,"interruptions":0,"pid":1,"at":{at}}}"#)
                + "\n"
        });
        std::fs::write(&path, entries.collect::<String>()).unwrap();
        Ledger::at(path).runs()
    }

    fn finished(interruptions: u32) -> Row {
        Row { finished: true, executions: 0, interruptions, error: String::new(), key: "key".into() }
    }

    #[test]
    fn a_job_that_ran_once_is_in_order() {
        assert!(faults(&finished(0), &runs(&["start 1", "tick 1", "end 1"])).is_empty());
    }

    #[test]
    fn a_job_that_was_interrupted_and_ran_again_is_in_order() {
        assert!(faults(&finished(1), &runs(&["start 1", "tick 1", "start 2", "end 2"])).is_empty());
    }

    #[test]
    fn an_extra_run_that_nothing_explains_is_noticed() {
        assert_eq!(faults(&finished(0), &runs(&["start 1", "end 1", "start 2", "end 2"])).len(), 1);
    }

    #[test]
    fn two_runs_at_once_are_noticed() {
        assert_eq!(faults(&finished(1), &runs(&["start 1", "start 2", "tick 1", "end 2"])).len(), 1);
    }

    #[test]
    fn a_job_in_no_state_in_two_or_without_a_run_is_noticed() {
        assert!(!faults(&Row { finished: false, ..finished(0) }, &[]).is_empty());
        assert!(!faults(&Row { executions: 1, ..finished(0) }, &runs(&["start 1", "end 1"])).is_empty());
        assert!(!faults(&finished(0), &[]).is_empty());
    }

    #[test]
    fn a_job_that_failed_of_anything_but_its_workers_deaths_is_noticed() {
        let failed = |error: &str| Row { finished: false, executions: 1, error: error.into(), ..finished(4) };
        assert!(faults(&failed("SolidQueue::Processes::ProcessExitError"), &[]).is_empty());
        assert!(!faults(&failed("Gritstone::HandlerCrashed"), &[]).is_empty());
    }

    #[test]
    fn more_jobs_at_once_than_the_limit_allows_are_noticed() {
        let rows = HashMap::from([("job".to_owned(), finished(9))]);
        let two = runs(&["start 1", "start 2", "end 1", "start 3", "end 2", "end 3"]);
        assert!(crowds(&rows, &two).is_empty());
        let three = runs(&["start 1", "start 2", "start 3", "end 1", "end 2", "end 3"]);
        assert_eq!(crowds(&rows, &three).len(), 1);
    }
}
