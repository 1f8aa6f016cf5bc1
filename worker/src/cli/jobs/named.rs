//! Changing jobs that are named by their ids.

use super::change::Change;
use super::hint;
use crate::cli::Global;
use crate::cli::database::{Queue, with_queue};
use crate::cli::exit::Exit;
use crate::cli::output::{self, Align, Table};
use serde::Serialize;
use serde_json::json;

/// What became of one job.
#[derive(Debug, Serialize)]
struct Fate {
    /// As it was named.
    id: String,
    job_id: Option<i64>,
    /// `ready`, `blocked`, `discarded` or `skipped`.
    became: &'static str,
    /// Why it was skipped.
    reason: Option<String>,
}

pub(super) fn run(ids: &[String], change: Change, global: &Global) -> Result<(), Exit> {
    let fates = with_queue(global, change.doing(), async |queue: &mut Queue| fates(queue, ids, change).await)?;
    print(&fates, global)?;
    // In full above: a script wants to know that not everything was done.
    match fates.iter().any(|fate| fate.reason.is_some()) {
        true => Err(Exit::Said),
        false => Ok(()),
    }
}

async fn fates(queue: &mut Queue, ids: &[String], change: Change) -> Result<Vec<Fate>, Exit> {
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        found.push((id, queue.session.job(id).await?));
    }
    let job_ids: Vec<i64> = found.iter().filter_map(|(_, job)| Some(job.as_ref()?.job_id)).collect();
    let tally = queue.change(change, &job_ids).await?;
    let fate = |(id, job): (&String, Option<gritstone_store::JobView>)| {
        let became = job.as_ref().and_then(|job| tally.of(job.job_id));
        let reason = match (became, &job) {
            (Some(_), _) => None,
            (None, Some(job)) => Some(change.refusal(job.state)),
            (None, None) => Some(format!("there is no such job in {}{}", queue.url, hint(id))),
        };
        Fate { id: id.clone(), job_id: job.map(|job| job.job_id), became: became.unwrap_or("skipped"), reason }
    };
    Ok(found.into_iter().map(fate).collect())
}

fn print(fates: &[Fate], global: &Global) -> Result<(), Exit> {
    if global.json {
        let of = |word: &str| fates.iter().filter(|fate| fate.became == word).count();
        return output::json(&json!({
            "selected": fates.len(), "ready": of("ready"), "blocked": of("blocked"), "discarded": of("discarded"),
            "skipped": of("skipped"), "jobs": fates,
        }));
    }
    let mut table = Table::new(&[("JOB", Align::Left), ("IS NOW", Align::Left), ("", Align::Left)]);
    for fate in fates {
        table.row(vec![fate.id.clone(), fate.became.into(), fate.reason.clone().unwrap_or_default()]);
    }
    table.print()
}
