//! `gritstone limits`: how many jobs with one key may run at a time.

use super::Global;
use super::database::{Queue, with_queue};
use super::exit::Exit;
use super::names::name;
use super::output::{self, Align, Table};
use gritstone_crds::{Duration, nearest};
use gritstone_store::{DeclaredBy, DeclaredLimit, Limit, OnConflict, UnsetLimit};
use serde_json::{Value, json};

/// List concurrency limits, set them and take them back
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  gritstone limits list
  gritstone limits set account --to 2
  gritstone limits set account/7 --to 1 --duration 5m --on-conflict discard
  gritstone limits unset account")]
pub(super) struct Limits {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the limits that are declared, and the keys in use
    #[command(after_help = "Examples:\n  gritstone limits list\n  gritstone limits list --json")]
    List(List),
    /// Declare a limit for a key, or for a group of keys: those that begin with NAME/
    ///
    /// It takes effect with the next change under a key, or within seconds where a dispatcher runs, and holds until it is unset, whatever
    /// manifests and programs declare. What isn't given stays as it was declared before.
    #[command(
        after_help = "Examples:\n  gritstone limits set account --to 2\n  gritstone limits set report/daily --to 1 --on-conflict discard"
    )]
    Set(Set),
    /// Take a limit back: what a manifest declares holds again, else nothing does
    #[command(after_help = "Examples:\n  gritstone limits unset account")]
    Unset(Unset),
}

#[derive(Debug, clap::Args)]
struct Unset {
    /// The key or the group
    #[arg(value_parser = name)]
    name: String,
}

#[derive(Debug, clap::Args)]
struct List {
    /// At most so many keys
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

#[derive(Debug, clap::Args)]
struct Set {
    /// The key, or its group: the text before the first /
    #[arg(value_parser = name)]
    name: String,
    /// So many jobs at a time
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    to: u32,
    /// How long a slot is good for without a sign of its holder; 3m unless declared otherwise
    #[arg(long, value_name = "DURATION")]
    duration: Option<Duration>,
    /// What happens to a job that finds no free slot
    #[arg(long)]
    on_conflict: Option<Conflict>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Conflict {
    /// It waits
    Block,
    /// It is dropped
    Discard,
}

impl Limits {
    pub(super) fn run(self, global: &Global) -> Result<(), Exit> {
        match self.command {
            Command::List(list) => list.run(global),
            Command::Set(set) => set.run(global),
            Command::Unset(unset) => unset.run(global),
        }
    }
}

fn word(conflict: OnConflict) -> &'static str {
    match conflict {
        OnConflict::Block => "block",
        OnConflict::Discard => "discard",
    }
}

/// A declared limit, as JSON.
fn declared(declared: &DeclaredLimit) -> Value {
    let mut value = shape(&declared.name, &declared.limit);
    value["by"] = json!(declared.by);
    value["manifest"] = match &declared.manifest {
        None => Value::Null,
        Some((manifest, limit)) => shape(manifest, limit),
    };
    value
}

/// Who says so, for people.
fn by(declared: &DeclaredLimit) -> String {
    match (declared.by, &declared.manifest) {
        (DeclaredBy::Hand, None) => "by hand".into(),
        (DeclaredBy::Hand, Some((manifest, limit))) => format!("by hand ({manifest} says {})", limit.to),
        (DeclaredBy::Manifest, Some((manifest, _))) => manifest.clone(),
        (DeclaredBy::Manifest | DeclaredBy::Program, _) => "an enqueuer".into(),
    }
}

fn shape(name: &str, limit: &Limit) -> Value {
    json!({
        "name": name, "to": limit.to, "duration_seconds": limit.duration.as_secs_f64(), "on_conflict": word(limit.on_conflict),
    })
}

impl List {
    fn run(self, global: &Global) -> Result<(), Exit> {
        let (limits, keys) = with_queue(global, "listing limits", async |queue: &mut Queue| {
            Ok((queue.session.declared_limits(self.limit).await?, queue.session.limits(self.limit).await?))
        })?;
        if global.json {
            let declared: Vec<Value> = limits.iter().map(declared).collect();
            return output::json(&json!({ "declared": declared, "keys": keys }));
        }
        if limits.is_empty() && keys.is_empty() {
            output::note("there are no limits: declare one with `gritstone limits set NAME --to N`");
            return Ok(());
        }
        if !limits.is_empty() {
            let columns = [
                ("LIMIT", Align::Left),
                ("TO", Align::Right),
                ("DURATION", Align::Right),
                ("ON CONFLICT", Align::Left),
                ("DECLARED", Align::Left),
            ];
            let mut table = Table::new(&columns);
            for declared in limits {
                let (limit, by) = (declared.limit, by(&declared));
                let duration = Duration::from_millis(limit.duration.as_millis().try_into().unwrap_or(u64::MAX));
                let (to, on_conflict) = (limit.to.to_string(), word(limit.on_conflict).to_owned());
                table.row(vec![declared.name, to, duration.to_string(), on_conflict, by]);
            }
            table.print()?;
        }
        if keys.is_empty() {
            return Ok(());
        }
        output::line("")?;
        let numbers = ["TO", "FREE", "HELD", "BLOCKED"].map(|name| (name, Align::Right));
        let mut columns = vec![("KEY", Align::Left)];
        columns.extend(numbers);
        let mut table = Table::new(&columns);
        for key in keys {
            let to = key.to.map_or_else(|| "-".into(), |to| to.to_string());
            table.row(vec![key.key, to, key.free.to_string(), key.held.to_string(), key.blocked.to_string()]);
        }
        table.print()
    }
}

impl Set {
    fn run(self, global: &Global) -> Result<(), Exit> {
        let limit = with_queue(global, "declaring a limit", async |queue: &mut Queue| {
            let declared = queue.session.declared_limits(u32::MAX >> 1).await?;
            let before =
                declared.into_iter().find(|declared| declared.name == self.name).map(|declared| declared.limit);
            let before = before.unwrap_or_default();
            let limit = Limit {
                to: self.to,
                duration: self.duration.map_or(before.duration, Duration::as_std),
                on_conflict: match self.on_conflict {
                    None => before.on_conflict,
                    Some(Conflict::Block) => OnConflict::Block,
                    Some(Conflict::Discard) => OnConflict::Discard,
                },
            };
            queue.session.set_limit(&self.name, limit).await?;
            Ok(limit)
        })?;
        if global.json {
            return output::json(&shape(&self.name, &limit));
        }
        output::line(format!("{}: {}", self.name, sentence(&limit)))
    }
}

fn sentence(limit: &Limit) -> String {
    let jobs = if limit.to == 1 { "1 job".into() } else { format!("{} jobs", limit.to) };
    let otherwise = match limit.on_conflict {
        OnConflict::Block => "others wait",
        OnConflict::Discard => "others are dropped",
    };
    format!("{jobs} at a time, {otherwise}")
}

impl Unset {
    fn run(self, global: &Global) -> Result<(), Exit> {
        let unset = with_queue(global, "taking a limit back", async |queue: &mut Queue| {
            match queue.session.unset_limit(&self.name).await? {
                UnsetLimit::None => {
                    let limits = queue.session.declared_limits(u32::MAX >> 1).await?;
                    let names = limits.iter().map(|limit| limit.name.as_str());
                    let nearest = nearest(&self.name, names).map(|name| format!("; did you mean `{name}`?"));
                    let (name, url) = (&self.name, &queue.url);
                    Err(Exit::Refused(format!("no limit `{name}` is declared in {url}{}", nearest.unwrap_or_default())))
                }
                unset => Ok(unset),
            }
        })?;
        let manifest = match &unset {
            UnsetLimit::Manifest(manifest, limit) => Some((manifest, limit)),
            UnsetLimit::None | UnsetLimit::Gone => None,
        };
        match (global.json, manifest) {
            (true, manifest) => {
                let manifest = manifest.map(|(manifest, limit)| shape(manifest, limit));
                output::json(&json!({ "name": self.name, "manifest": manifest }))
            }
            (false, Some((manifest, limit))) => {
                output::line(format!("{}: {} again, as {manifest} says", self.name, sentence(limit)))
            }
            (false, None) => output::line(format!("{}: no limit is declared any more", self.name)),
        }
    }
}
