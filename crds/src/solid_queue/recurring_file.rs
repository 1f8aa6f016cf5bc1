//! `config/recurring.yml`: what is enqueued by the clock.

use serde_json::{Map, Value, json};

use super::Settings;
use super::document::Document;
use super::environment::{self, Section};
use super::ruby::SYMBOL;
use crate::check::Violation;
use crate::kinds::{JobTemplate, RecurringTaskSpec, Schedule};
use crate::manifest::decode::{Findings, decode};
use crate::manifest::tree::{Content, Node};
use crate::manifest::{Problem, Source};
use crate::nearest::nearest;
use crate::path::Path;
use crate::text::QueueName;

/// A task of the file.
pub(super) type Task = (Source, RecurringTaskSpec);

/// Reads the file.
///
/// # Errors
/// Everything that is wrong in the part of the environment. What is left to Rails, or ignored, goes into `warnings`.
pub(super) fn read(
    document: &Document<'_>,
    settings: &Settings<'_>,
    warnings: &mut Vec<Problem>,
) -> Result<Vec<Task>, Vec<Problem>> {
    let section = environment::section(&document.root, &settings.environment.name);
    if environment::is_empty(section.node) {
        return Ok(Vec::new());
    }
    let findings = Findings::default();
    let Content::Map(entries) = &section.node.content else {
        findings.leave_out(section.path, "expected tasks, a key each".to_owned());
        return Err(document.problems(findings));
    };
    let mut reader = Reader { document, settings, findings: &findings, warnings };
    if !section.is_nested {
        reader.name_other_environments();
    }
    let tasks = entries.iter().filter_map(|entry| reader.task(&section, &entry.key, &entry.value)).collect();
    let problems = document.problems(findings);
    if problems.is_empty() { Ok(tasks) } else { Err(problems) }
}

struct Reader<'a> {
    document: &'a Document<'a>,
    settings: &'a Settings<'a>,
    findings: &'a Findings,
    warnings: &'a mut Vec<Problem>,
}

/// What a task may say. Its `args` are read apart.
#[derive(serde::Deserialize)]
struct Options {
    class: Option<String>,
    command: Option<String>,
    #[serde(rename = "args")]
    _args: Option<serde::de::IgnoredAny>,
    schedule: Option<String>,
    queue: Option<QueueName>,
    priority: Option<i32>,
    description: Option<String>,
}

impl Reader<'_> {
    fn warn(&mut self, path: &Path, message: impl Into<String>) {
        self.warnings.push(self.document.problem(path, message.into()));
    }

    fn name_other_environments(&mut self) {
        let others = environment::environments(&self.document.root, looks_like_an_environment);
        if !others.is_empty() {
            let name = &self.settings.environment.name;
            let message = format!("has nothing for the environment {name}, only for {}", others.join(", "));
            self.warn(&Path::root(), message);
        }
    }

    fn task(&mut self, section: &Section<'_>, key: &str, node: &Node) -> Option<Task> {
        let path = section.path.field(key);
        if !section.is_nested && looks_like_an_environment(node) || environment::is_empty(node) {
            return None;
        }
        let Content::Map(fields) = &node.content else {
            self.findings.leave_out(path, "is not a task: give it a class and a schedule".to_owned());
            return None;
        };
        let is_misspelt = || fields.iter().any(|field| nearest(&field.key, ["schedule"]).is_some());
        if node.get("schedule").is_none() && !is_misspelt() {
            self.warn(&path, "has no schedule and is left out, as Solid Queue does");
            return None;
        }
        let options = decode::<Options>(node, &path, self.findings)?;
        let Some(schedule) = options.schedule else {
            self.findings.leave_out(path.field("schedule"), "is missing".to_owned());
            return None;
        };
        let Some(class) = options.class.filter(|class| !class.trim().is_empty()) else {
            self.left_to_rails(&path, options.command);
            return None;
        };
        if options.command.is_some() {
            self.warn(&path.field("command"), "has no effect beside a class, as in Solid Queue");
        }
        let args = node.get("args").map(|args| self.arguments(args, &path.field("args"))).unwrap_or_default();
        let job = JobTemplate { class, args, queue: options.queue, priority: options.priority };
        let spec = RecurringTaskSpec {
            key: Some(key.to_owned()),
            time_zone: self.settings.time_zone.clone(),
            job: Some(job),
            description: options.description,
            ..RecurringTaskSpec::new(Schedule::Text(schedule))
        };
        self.report(spec.validate(), &path);
        Some((self.document.source(&path), spec))
    }

    /// A task without a class.
    fn left_to_rails(&mut self, path: &Path, command: Option<String>) {
        match command {
            None => self.findings.leave_out(path.clone(), "names neither a class nor a command".to_owned()),
            Some(command) if command.contains("clear_finished_in_batches") => {
                self.warn(
                    &path.field("command"),
                    "is Ruby and left to Rails; it isn't needed: dispatchers clear finished jobs by themselves",
                );
            }
            Some(_) => self.warn(
                &path.field("command"),
                "is Ruby, which only Rails runs, and is left to Rails: a class in its place would be run here",
            ),
        }
    }

    /// One argument, or a list of them.
    fn arguments(&self, node: &Node, path: &Path) -> Vec<Value> {
        match &node.content {
            Content::Null => Vec::new(),
            Content::List(list) => {
                list.iter().enumerate().map(|(index, node)| self.argument(node, &path.index(index))).collect()
            }
            _ => vec![self.argument(node, path)],
        }
    }

    /// A value as Active Job would get it: a symbol in its own marks.
    fn argument(&self, node: &Node, path: &Path) -> Value {
        match &node.content {
            Content::Null => Value::Null,
            Content::Bool(flag) => json!(flag),
            Content::Signed(number) => json!(number),
            Content::Unsigned(number) => json!(number),
            Content::Float(number) => json!(number),
            Content::Text(name) if node.tag.as_deref() == Some(SYMBOL) => {
                json!({"_aj_serialized": "ActiveJob::Serializers::SymbolSerializer", "value": name})
            }
            Content::Text(text) => json!(text),
            Content::List(list) => {
                list.iter().enumerate().map(|(index, node)| self.argument(node, &path.index(index))).collect()
            }
            Content::Map(entries) => {
                let field = |key: &str, value: &Node| (key.to_owned(), self.argument(value, &path.field(key)));
                Value::Object(entries.iter().map(|entry| field(&entry.key, &entry.value)).collect::<Map<_, _>>())
            }
        }
    }

    /// Says what is wrong with what was made of a task, in the file's own words.
    fn report(&self, violations: Vec<Violation>, path: &Path) {
        let spec = Path::root().field("spec");
        let job = spec.field("job");
        for Violation { path: at, message } in violations {
            let fields = [
                (job.field("class"), "class"),
                (job.field("args"), "args"),
                (spec.field("schedule"), "schedule"),
                (spec.field("description"), "description"),
            ];
            let field = fields.iter().find(|(ours, _)| at.is_within(ours)).map(|(_, field)| *field);
            // The key is wrong, or the time zone, which an option names.
            let path = field.map_or_else(|| path.clone(), |field| path.field(field));
            self.findings.add_violation(Violation { path, message });
        }
    }
}

/// Tasks, a key each, instead of a task.
fn looks_like_an_environment(node: &Node) -> bool {
    match &node.content {
        Content::Map(entries) if !entries.is_empty() => {
            entries.iter().all(|entry| matches!(entry.value.content, Content::Map(_))) && node.get("args").is_none()
        }
        _ => false,
    }
}
