//! `gritstone classes`: what jobs of a class have unless whoever enqueues them says otherwise.

use super::Global;
use super::database::{Queue, with_queue};
use super::exit::Exit;
use super::names::name;
use super::output::{self, Align, Table};
use gritstone_crds::nearest;
use gritstone_store::DeclaredClass;
use serde_json::{Value, json};

/// List the defaults of classes, and take them back
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  gritstone classes list
  gritstone classes unset SendMail")]
pub(super) struct Classes {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List what is declared: queue, priority, attempts, limit, and by whom
    #[command(after_help = "Examples:\n  gritstone classes list\n  gritstone classes list --json")]
    List,
    /// Take back what is declared of classes
    ///
    /// For those whose manifest is gone: a manifest that still declares a class does so again when a worker starts.
    #[command(after_help = "Examples:\n  gritstone classes unset SendMail")]
    Unset(Unset),
}

#[derive(Debug, clap::Args)]
struct Unset {
    /// The classes
    #[arg(required = true, value_name = "CLASS", value_parser = name)]
    classes: Vec<String>,
}

impl Classes {
    pub(super) fn run(self, global: &Global) -> Result<(), Exit> {
        match self.command {
            Command::List => list(global),
            Command::Unset(unset) => unset.run(global),
        }
    }
}

fn list(global: &Global) -> Result<(), Exit> {
    let classes =
        with_queue(global, "listing classes", async |queue: &mut Queue| Ok(queue.session.declared_classes().await?))?;
    if global.json {
        return output::json(&json!({ "classes": classes.iter().map(shape).collect::<Vec<Value>>() }));
    }
    if classes.is_empty() {
        output::note("no class has defaults: a QueueWorker declares them with classDefaults and concurrencyLimits");
        return Ok(());
    }
    let mut table = Table::new(&[
        ("CLASS", Align::Left),
        ("QUEUE", Align::Left),
        ("PRIORITY", Align::Right),
        ("ATTEMPTS", Align::Right),
        ("LIMIT", Align::Left),
        ("DECLARED", Align::Left),
    ]);
    for DeclaredClass { defaults, declared_by, .. } in classes {
        let number = |number: Option<i64>| number.map_or_else(|| "-".into(), |number| number.to_string());
        let limit = defaults.limit.map_or_else(
            || "-".into(),
            |limit| match limit.key {
                Some(key) => format!("{}/{key}", limit.group),
                None => limit.group,
            },
        );
        table.row(vec![
            defaults.class,
            defaults.queue.unwrap_or_else(|| "-".into()),
            number(defaults.priority.map(i64::from)),
            number(defaults.attempts.map(i64::from)),
            limit,
            declared_by,
        ]);
    }
    table.print()
}

fn shape(class: &DeclaredClass) -> Value {
    let defaults = &class.defaults;
    let limit = defaults.limit.as_ref();
    let limit = limit.map(|limit| json!({"group": limit.group, "key": limit.key.as_ref().map(ToString::to_string)}));
    json!({
        "class": defaults.class, "queue": defaults.queue, "priority": defaults.priority, "attempts": defaults.attempts,
        "limit": limit, "declared_by": class.declared_by, "updated_at": class.updated_at,
    })
}

impl Unset {
    fn run(self, global: &Global) -> Result<(), Exit> {
        with_queue(global, "taking back what is declared of classes", async |queue: &mut Queue| {
            let declared = queue.session.declared_classes().await?;
            // All of them first: a misspelt one changes nothing.
            for class in &self.classes {
                let mut names = declared.iter().map(|declared| declared.defaults.class.as_str());
                if !names.clone().any(|name| name == class) {
                    let nearest = nearest(class, names.by_ref()).map(|name| format!("; did you mean `{name}`?"));
                    let (url, nearest) = (&queue.url, nearest.unwrap_or_default());
                    return Err(Exit::Refused(format!("the class `{class}` has no defaults in {url}{nearest}")));
                }
            }
            for class in &self.classes {
                queue.session.forget_class(class).await?;
            }
            Ok(())
        })?;
        if global.json {
            return output::json(&json!({ "classes": self.classes }));
        }
        self.classes.iter().try_for_each(|class| output::line(format!("{class}: no defaults any more")))
    }
}
