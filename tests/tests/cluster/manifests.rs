//! The table of good and bad manifests (`crds/tests/manifests`), asked of the API server.
//!
//! What the pure validation accepts, it accepts; each problem that the validation finds, it finds too, and at the same field. To know
//! that of each, a problem is sent alone: in its document, without the fields that have the other problems. `# ?` in place of
//! `# !` marks what a schema can't say, or says otherwise; the API server must take those, so that a mark can't outlive its reason.

use std::fs;

use gritstone_crds::{Problem, read_manifests};
use kube::core::Status;
use serde_json::{Value, json};

use crate::support::{client, crds, namespace};

/// A document of a file, as the API server is sent it.
struct Document {
    /// Where it is: the file, and the line before it.
    place: (String, u64),
    text: String,
    object: Value,
}

/// The documents of a folder that are YAML at all and one object of ours: the rest no API server gets to see.
fn documents(folder: &str) -> Vec<Document> {
    let mut files: Vec<_> =
        fs::read_dir(crds().join("tests/manifests").join(folder)).unwrap().map(Result::unwrap).collect();
    files.sort_by_key(fs::DirEntry::file_name);
    let mut found = Vec::new();
    for file in files {
        let name = format!("{folder}/{}", file.file_name().display());
        let (text, mut line) = (fs::read_to_string(file.path()).unwrap(), 0);
        for text in text.split_inclusive("---\n") {
            let document = text.trim_end_matches("---\n");
            for object in objects(document) {
                found.push(Document { place: (name.clone(), line), text: document.to_owned(), object });
            }
            line += text.lines().count() as u64;
        }
    }
    found
}

fn objects(text: &str) -> Vec<Value> {
    let Ok(object) = serde_saphyr::from_str::<Value>(text) else { return Vec::new() };
    let items = object["items"].as_array().cloned().unwrap_or_else(|| vec![object]);
    let kinds = ["QueueWorker", "Dispatcher", "RecurringTask", "CronSchedule"];
    let ours = |object: &Value| {
        object["apiVersion"] == "gritstone.dev/v1alpha1" && kinds.iter().any(|kind| object["kind"] == *kind)
    };
    items.into_iter().filter(ours).collect()
}

/// Asks the API server whether it would take an object. What it says of fields, each with its path.
async fn ask(namespace: &str, object: &Value) -> Result<(), Vec<(String, String)>> {
    let mut object = object.clone();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        // Every test has a namespace of its own, and the others are the server's to write.
        let dropped =
            ["namespace", "creationTimestamp", "finalizers", "generation", "managedFields", "ownerReferences"];
        metadata.retain(|name, _| !dropped.contains(&name.as_str()) && name != "resourceVersion" && name != "uid");
    }
    let plural = format!("{}s", object["kind"].as_str().unwrap_or_default().to_lowercase());
    let path =
        format!("/apis/gritstone.dev/v1alpha1/namespaces/{namespace}/{plural}?dryRun=All&fieldValidation=Strict");
    let request = http::Request::post(path).header("content-type", "application/json");
    let request = request.body(object.to_string().into_bytes()).unwrap();
    match client().await.request::<Value>(request).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) => Err(said(&status)),
        Err(error) => panic!("{error}"),
    }
}

/// The fields at fault and what is wrong with them.
fn said(status: &Status) -> Vec<(String, String)> {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    // One of them only says that there may be more.
    let causes = causes.filter(|cause| cause.field != "<nil>");
    let mut said: Vec<_> = causes.map(|cause| (plain(&cause.field), cause.message.clone())).collect();
    if said.is_empty() {
        // Unknown fields and values of other types come as a text that names them.
        said.push((plain(&status.message), status.message.clone()));
    }
    said
}

/// A path without positions, which shift when fields are taken out, and as the API server writes it.
fn plain(path: &str) -> String {
    let mut plain = String::new();
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('[') {
        plain += before;
        let Some((inside, after)) = after.split_once(']') else { break };
        if inside.parse::<u32>().is_err() {
            plain += &format!(".{inside}");
        }
        rest = after;
    }
    plain + rest
}

/// A copy of an object without the fields at these paths.
fn without(object: &Value, paths: &[&str]) -> Value {
    let mut object = object.clone();
    // Positions from the back, so that those in front stay right.
    let mut paths = paths.to_vec();
    paths.sort_by_key(|path| std::cmp::Reverse(steps(path)));
    for path in paths {
        let steps = steps(path);
        let Some((last, way)) = steps.split_last() else { continue };
        let mut place = Some(&mut object);
        for step in way {
            place = place.and_then(|value| step.in_value(value));
        }
        match (place, last) {
            (Some(Value::Object(fields)), Step::Field(name)) => drop(fields.remove(name)),
            (Some(Value::Array(list)), Step::Index(index)) if *index < list.len() => drop(list.remove(*index)),
            _ => {}
        }
    }
    object
}

/// Puts in what an object can't do without, so that only one problem is left: not at `problem`, though, whatever that is about.
fn complete(object: &mut Value, problem: &str) {
    let command = || json!(["./x"]);
    let problem = problem.replace('[', ".").replace(']', "");
    let mut need = |way: &str, field: &str, value: Value| {
        let place = way.trim_start_matches('/').replace('/', ".");
        if let Some(Value::Object(fields)) = object.pointer_mut(way)
            && problem != place
            && problem != format!("{place}.{field}")
        {
            fields.entry(field).or_insert(value);
        }
    };
    need("/metadata", "name", json!("a"));
    need("/spec/database/secretRef", "name", json!("a"));
    need("/spec/handler/http", "url", json!("http://localhost/"));
    need("/spec/handler/process", "command", command());
    need("/spec/handler/command", "command", command());
    need("/spec/job", "class", json!("A"));
    for hook in ["onStart", "onStop"] {
        need(&format!("/spec/hooks/{hook}/0"), "command", command());
    }
    for position in 0..10 {
        for list in ["concurrencyLimits", "classDefaults"] {
            need(&format!("/spec/{list}/{position}"), "class", json!(format!("Class{position}")));
        }
        need(&format!("/spec/classDefaults/{position}"), "priority", json!(1));
    }
    let has = |field: &str| object["spec"].get(field).is_some();
    let missing: &[(&str, Value)] = match object["kind"].as_str().unwrap_or_default() {
        "QueueWorker" if object["spec"]["allowCommands"] == true => &[],
        "QueueWorker" => &[("handler", json!({"command": {"command": command()}}))],
        "RecurringTask" if has("command") => &[("schedule", json!("every day"))],
        "RecurringTask" => &[("schedule", json!("every day")), ("job", json!({"class": "A"}))],
        "CronSchedule" if has("interval") => &[("key", json!("a")), ("job", json!({"class": "A"}))],
        "CronSchedule" => &[("key", json!("a")), ("job", json!({"class": "A"})), ("cron", json!("0 9 * * *"))],
        _ => &[],
    };
    for (field, value) in missing {
        if let Some(spec) = object["spec"].as_object_mut()
            && problem != format!("spec.{field}")
        {
            spec.entry(*field).or_insert_with(|| value.clone());
        }
    }
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Field(String),
    Index(usize),
}

impl Step {
    fn in_value<'a>(&self, value: &'a mut Value) -> Option<&'a mut Value> {
        match self {
            Self::Field(name) => value.get_mut(name),
            Self::Index(index) => value.get_mut(index),
        }
    }
}

fn steps(path: &str) -> Vec<Step> {
    let words = path.split(['.', '[', ']']).filter(|word| !word.is_empty());
    words.map(|word| word.parse().map_or_else(|_| Step::Field(word.to_owned()), Step::Index)).collect()
}

/// Whether the line of a problem marks it as one that no schema says.
fn is_marked(document: &Document, problem: &Problem) -> bool {
    let line = problem.line.and_then(|line| document.text.lines().nth(line as usize - 1)).unwrap_or_default();
    line.split_once("# ").is_some_and(|(_, comment)| {
        let mut marks = format!(" {comment}");
        marks = marks.replace(" ! ", "\n!").replace(" ? ", "\n?");
        marks.lines().any(|mark| {
            mark.strip_prefix('?')
                .is_some_and(|text| format!("{}: {}", problem.path, problem.message).starts_with(text.trim()))
        })
    })
}

#[tokio::test]
async fn what_the_validation_accepts_the_api_server_accepts() {
    let namespace = namespace("accepted").await;
    let mut wrong = String::new();
    for document in documents("accepted") {
        let (place, line) = &document.place;
        let marked = document.text.lines().find_map(|line| line.split_once("# ? ")).map(|(_, path)| path.to_owned());
        match (ask(&namespace, &document.object).await, marked) {
            (Ok(()), None) => {}
            (Ok(()), Some(path)) => wrong += &format!("{place}:{line}: accepted in spite of {path}\n"),
            (Err(said), Some(path)) if said.iter().all(|(field, _)| path.starts_with(field.as_str())) => {}
            (Err(said), _) => wrong += &format!("{place}:{line}: {said:?}\n"),
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[tokio::test]
async fn what_the_validation_refuses_the_api_server_refuses_at_the_same_field() {
    let namespace = namespace("refused").await;
    let (mut wrong, mut asked) = (String::new(), 0);
    for document in documents("refused") {
        let (place, line) = &document.place;
        // Some are wrong only beside others of their file.
        let Err(problems) = read_manifests(&document.text, "document") else { continue };
        for problem in &problems {
            let others: Vec<_> = problems
                .iter()
                .map(|other| other.path.as_str())
                .filter(|other| !problem.path.starts_with(other))
                .collect();
            let mut alone = without(&document.object, &others);
            complete(&mut alone, &problem.path);
            let at = format!("{place}:{}: {}", line + problem.line.unwrap_or_default(), problem.path);
            asked += 1;
            match (ask(&namespace, &alone).await, is_marked(&document, problem)) {
                (Ok(()), true) => {}
                (Ok(()), false) => wrong += &format!("{at}: accepted, but {}\n", problem.message),
                (Err(said), true) => wrong += &format!("{at}: marked as one that no schema says, but {said:?}\n"),
                (Err(said), false) => {
                    let path = plain(&problem.path);
                    let last = path.rsplit('.').next().unwrap_or_default();
                    let near = |field: &String| {
                        path.starts_with(field.as_str())
                            || field.contains(&path)
                            || field.contains(&format!(".{last} "))
                    };
                    if !said.iter().any(|(field, _)| near(field)) {
                        wrong += &format!("{at}: refused for something else: {said:?}\n");
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(asked > 80, "{asked} problems were asked about");
}
