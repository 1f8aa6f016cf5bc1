//! Changing all jobs that match, in batches, however many there are.

use super::BATCH;
use super::change::{Change, Which};
use crate::cli::Global;
use crate::cli::database::{Queue, with_queue};
use crate::cli::exit::Exit;
use crate::cli::output::{self, Progress, count};
use serde::Serialize;

/// How many jobs became what.
#[derive(Debug, Default, Serialize)]
struct Totals {
    selected: u64,
    ready: u64,
    blocked: u64,
    discarded: u64,
    skipped: u64,
}

pub(super) fn run(which: &Which, change: Change, global: &Global) -> Result<(), Exit> {
    let mut totals = Totals::default();
    let done =
        with_queue(global, change.doing(), async |queue: &mut Queue| all(queue, which, change, &mut totals).await);
    if done.is_err() && totals.selected > 0 {
        output::note(format!("{}; then:", totals.sentence()));
    }
    done?;
    if global.json {
        return output::json(&totals);
    }
    output::line(totals.sentence())
}

async fn all(queue: &mut Queue, which: &Which, change: Change, totals: &mut Totals) -> Result<(), Exit> {
    let states = which.filter.state.map_or_else(|| change.default_states(), |state| vec![state]);
    let most = which.limit.unwrap_or(u64::MAX);
    let mut matching = 0;
    for state in &states {
        let filter = which.filter.page(Some(*state), which.filter.after, 0);
        matching += queue.session.count_jobs(&filter).await?;
    }
    let progress = Progress::new(Some(matching.min(most)), change.doing());
    for state in states {
        // By id, and never back: what changes into the state again meanwhile is not caught a second time.
        let mut after = which.filter.after;
        while totals.selected < most {
            let size = (most - totals.selected).min(u64::from(BATCH)) as u32;
            let ids = queue.session.job_ids(&which.filter.page(Some(state), after, size)).await?;
            let Some(last) = ids.last().copied() else { break };
            let tally = queue.change(change, &ids).await?;
            let selected = ids.len() as u64;
            let changed = tally.ready.len() + tally.blocked.len() + tally.discarded.len();
            totals.selected += selected;
            totals.ready += tally.ready.len() as u64;
            totals.blocked += tally.blocked.len() as u64;
            totals.discarded += tally.discarded.len() as u64;
            totals.skipped += selected.saturating_sub(changed as u64);
            progress.add(selected);
            after = Some(last);
        }
    }
    Ok(())
}

impl Totals {
    fn sentence(&self) -> String {
        let became = [
            (self.ready, "ready"),
            (self.blocked, "blocked (they wait for a slot of their limit)"),
            (self.discarded, "discarded"),
            (self.skipped, "skipped (they changed meanwhile)"),
        ];
        let parts: Vec<String> = became
            .iter()
            .filter(|(number, _)| *number > 0)
            .map(|(number, what)| format!("{} {what}", indicatif::HumanCount(*number)))
            .collect();
        match parts.is_empty() {
            true => "no jobs match: nothing was changed".into(),
            false => format!("{}: {}", count(self.selected, "job"), parts.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_say_what_became_of_the_jobs() {
        let totals = Totals { selected: 1_203, ready: 1_200, skipped: 3, ..Totals::default() };
        assert_eq!(totals.sentence(), "1,203 jobs: 1,200 ready, 3 skipped (they changed meanwhile)");
        assert_eq!(Totals::default().sentence(), "no jobs match: nothing was changed");
    }
}
