//! `gritstone clear`: deletes finished jobs.

use super::Global;
use super::database::{Queue, with_queue};
use super::exit::Exit;
use super::output::{self, Progress, count};
use gritstone_crds::Duration;
use gritstone_store::ClearOptions;
use serde_json::json;

/// Delete finished jobs
///
/// Dispatchers do this by themselves, as their manifest says. Failed jobs stay (see `gritstone jobs discard`), and so do those of
/// failed batches.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  gritstone clear
  gritstone clear --older-than 7d --class SendMail
  gritstone clear --keep 10000 --batch-size 1000 --pause 0s")]
pub(super) struct Clear {
    /// Those that finished so long ago; 1d unless --keep is given
    #[arg(long, value_name = "DURATION")]
    older_than: Option<Duration>,
    /// Those beyond the N that finished last; together with --older-than, those that are both
    #[arg(long, value_name = "N", conflicts_with = "class")]
    keep: Option<u64>,
    /// Only jobs of this class
    #[arg(long, value_name = "NAME")]
    class: Option<String>,
    /// How many to delete in one transaction
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    batch_size: u32,
    /// How long to leave the database alone in between
    #[arg(long, value_name = "DURATION", default_value = "300ms")]
    pause: Duration,
}

impl Clear {
    pub(super) fn run(self, global: &Global) -> Result<(), Exit> {
        let age = match (self.older_than, self.keep) {
            (None, None) => Some(Duration::from_secs(86_400)),
            (age, _) => age,
        };
        let options = ClearOptions {
            finished_before: age.map(Duration::as_std),
            keep_at_most: self.keep,
            class: self.class.clone(),
            batch_size: self.batch_size,
        };
        let mut cleared = 0;
        let done = with_queue(global, "clearing finished jobs", async |queue: &mut Queue| {
            let progress = Progress::new(None, "clearing finished jobs");
            loop {
                let deleted = queue.session.clear_finished(&options).await?;
                cleared += deleted;
                progress.add(deleted);
                match deleted {
                    0 => return Ok(()),
                    full if full >= u64::from(self.batch_size) => tokio::time::sleep(self.pause.as_std()).await,
                    _ => {}
                }
            }
        });
        if done.is_err() && cleared > 0 {
            output::note(format!("{} cleared; then:", count(cleared, "finished job")));
        }
        done?;
        match global.json {
            true => output::json(&json!({ "cleared": cleared })),
            false => output::line(format!("{} cleared", count(cleared, "finished job"))),
        }
    }
}
