//! `gritstone migrate`: makes and upgrades the tables.

use super::database::Patience;
use super::exit::Exit;
use super::{Global, database, output, runtime};
use crate::health::Health;
use crate::process::Stop;
use gritstone_store::{Action, Error, MigrateOptions, Step, Store};
use serde_json::json;

/// Make or upgrade the tables
///
/// A database that Rails made is adopted: its own tables stay as they are, only gritstone_* tables are added. Two at once are
/// safe.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  gritstone migrate --dry-run\n  gritstone migrate --database postgres://app@db/app"
)]
pub(super) struct Migrate {
    /// Only say what would be done, with the SQL
    #[arg(long)]
    dry_run: bool,
    /// Also change tables that Rails made: add the batch tables of Solid Queue 1.7
    #[arg(long)]
    alter_solid_queue: bool,
}

impl Migrate {
    pub(super) fn run(self, global: &Global) -> Result<(), Exit> {
        let options = MigrateOptions { dry_run: self.dry_run, alter_solid_queue: self.alter_solid_queue };
        let url = database::address(global)?;
        if self.dry_run && !global.json && database::refuse_missing_file(&url).is_err() {
            output::note(format!("{url} does not exist yet: `gritstone migrate` makes it"));
        }
        let steps = runtime::block_on(async { Ok(database::open(global).await?.migrate(options).await?) })
            .map_err(|exit: Exit| exit.during("making the tables", &url))?;
        print(&steps, self.dry_run, global.json)
    }
}

fn print(steps: &[Step], dry_run: bool, as_json: bool) -> Result<(), Exit> {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    if as_json {
        let steps: Vec<_> = steps
            .iter()
            .map(|step| json!({"version": step.version, "name": step.name, "action": word(step.action, dry_run), "sql": step.sql}))
            .collect();
        writeln!(out, "{}", json!({"dry_run": dry_run, "steps": steps}))?;
        return Ok(());
    }
    // A dry run is SQL, as a whole.
    let comment = if dry_run { "-- " } else { "" };
    for step in steps {
        writeln!(out, "{comment}{:<28} {}", step.name, word(step.action, dry_run))?;
    }
    if dry_run {
        for step in steps.iter().filter(|step| !step.sql.is_empty()) {
            writeln!(out, "\n-- {}\n{}", step.name, step.sql.trim_end())?;
        }
    }
    Ok(())
}

fn word(action: Action, dry_run: bool) -> &'static str {
    match (action, dry_run) {
        (Action::Applied, _) => "there already",
        (Action::Adopt, false) => "adopted: Rails made these tables",
        (Action::Adopt, true) => "would be adopted: Rails made these tables",
        (Action::Apply, false) => "applied",
        (Action::Apply, true) => "would be applied",
        (Action::Withheld, _) => "left out: it changes tables that Rails made (--alter-solid-queue)",
    }
}

/// Brings the schema up before a process starts, waiting for a database that is away. False when told to stop meanwhile. While a database
/// that answers is brought up the process is not ready: see [`wait_until_usable`](super::database::wait_until_usable).
pub(super) async fn bring_up(store: &Store, stop: &Stop, health: &Health) -> Result<bool, Exit> {
    let mut patience = Patience::default();
    loop {
        match store.migrate(MigrateOptions::default()).await {
            Ok(_) => {
                health.goes_on();
                return Ok(true);
            }
            Err(error @ (Error::Unavailable(_) | Error::Conflict(_))) => {
                if error.is_unavailable() {
                    health.goes_on();
                }
                if !patience.wait(store, &error, stop).await {
                    return Ok(false);
                }
            }
            Err(error) => return Err(Exit::from(error).during("making the tables", store.url())),
        }
    }
}
