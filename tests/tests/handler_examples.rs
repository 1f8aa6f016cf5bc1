//! `examples/handlers`: one job in each language and over each transport, run by the real engine out of SQLite.
//!
//! Needs Python, Node, Ruby and Go; `scripts/install-test-languages` installs them.

use boon::{Compiler, Schemas};
use gritstone_store::{JobState, JobView, NewJob};
use gritstone_tests::rig::{Crew, Running, Site, until};
use gritstone_tests::servers::Engine;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

/// How an example is run.
#[derive(Debug, Clone, Copy)]
enum Example {
    Command(&'static str),
    Process(&'static str),
    Http(&'static str),
}

use Example::{Command as ByCommand, Http, Process};

impl Example {
    fn file(self) -> &'static str {
        match self {
            ByCommand(file) | Process(file) | Http(file) => file,
        }
    }

    /// The words that start it.
    fn command(self) -> Vec<String> {
        let file = folder().join(self.file());
        let language = match file.extension().and_then(|extension| extension.to_str()) {
            Some("sh") => "sh",
            Some("py") => "python3",
            Some("js") => "node",
            Some("rb") => "ruby",
            Some("go") => return vec![text(&built(self.file()))],
            other => panic!("{} is in an unknown language: {other:?}", file.display()),
        };
        if language != "sh" {
            let found = Command::new(language).arg("--version").output();
            assert!(found.is_ok_and(|output| output.status.success()), "{language} is needed: {INSTALL}");
        }
        vec![language.to_owned(), text(&file)]
    }
}

const INSTALL: &str = "scripts/install-test-languages installs it";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("examples/handlers")
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// A program out of a file of Go, without a module and without a network.
fn built(file: &str) -> PathBuf {
    static PROGRAMS: [OnceLock<PathBuf>; 2] = [OnceLock::new(), OnceLock::new()];
    let place = &PROGRAMS[usize::from(file != "compress.go")];
    let build = || {
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("handlers").join(file.trim_end_matches(".go"));
        let mut go = Command::new("go");
        go.arg("build").arg("-o").arg(&program).arg(folder().join(file)).current_dir(env!("CARGO_TARGET_TMPDIR"));
        go.envs([("GOTOOLCHAIN", "local"), ("GOPROXY", "off"), ("GOFLAGS", "-mod=mod"), ("CGO_ENABLED", "0")]);
        let output = go.output().unwrap_or_else(|error| panic!("Go is needed ({error}): {INSTALL}"));
        assert!(output.status.success(), "go build {file}: {}", String::from_utf8_lossy(&output.stderr));
        program
    };
    place.get_or_init(build).clone()
}

/// A queue whose worker runs the example.
struct Started {
    site: Site,
    running: Running,
    _server: Option<Server>,
}

/// A server of the examples; ends with its value.
struct Server(Child, String);

impl Server {
    fn start(command: &[String]) -> Server {
        let mut server = Command::new(&command[0]);
        server.args(&command[1..]).env("PORT", "0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = server.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().strip_prefix("listening on ").unwrap_or_else(|| panic!("{command:?} says {line:?}"));
        Server(child, url.to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Started {
    async fn with(example: Example) -> Started {
        let site = Site::new(Engine::Sqlite, &Crew::default()).await;
        let command = example.command();
        let server = matches!(example, Http(_)).then(|| Server::start(&command));
        let handler = match (example, &server) {
            (ByCommand(_), _) => json!({"command": {"command": command}}),
            (_, Some(Server(_, url))) => json!({"http": {"url": format!("{url}/jobs"), "healthPath": "/healthz"}}),
            _ => json!({"process": {"command": command}}),
        };
        let manifests = format!(
            "apiVersion: gritstone.dev/v1alpha1\nkind: QueueWorker\nmetadata: {{name: compress}}\nspec:\n  \
             classes: [CompressFile]\n  drainTimeout: 10ms\n  retry: {{attempts: 2, backoff: {{initial: 1ms}}}}\n  handler: {handler}\n\
             ---\napiVersion: gritstone.dev/v1alpha1\nkind: Dispatcher\nmetadata: {{name: main}}\nspec: {{pollingInterval: 50ms}}\n"
        );
        std::fs::write(site.folder().join("jobs.yaml"), manifests).unwrap();
        let running = site.run(&["start", "-f", "jobs.yaml"]);
        Started { site, running, _server: server }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.site.folder().join(name)
    }

    async fn compress(&self, source: &str, target: &str) -> String {
        let files = vec![json!(self.path(source)), json!(self.path(target))];
        self.site.enqueue_jobs(&[NewJob::new("CompressFile", files)]).await.remove(0)
    }

    async fn reached(&self, id: &str, state: JobState) -> JobView {
        until(&format!("job {id} is {state:?}"), async || {
            let job = self.site.store.connect().await.unwrap().job(id).await.unwrap();
            job.filter(|job| job.state == state)
        })
        .await
    }

    /// Files that are being written in a folder.
    fn halves(&self, folder: &str) -> usize {
        let files = std::fs::read_dir(self.path(folder)).into_iter().flatten().flatten();
        files.filter(|file| file.path().extension().is_some_and(|extension| extension == "half")).count()
    }
}

fn executions(job: &JobView) -> Value {
    serde_json::from_str::<Value>(job.envelope.as_deref().unwrap()).unwrap()["executions"].clone()
}

async fn a_job_is_done(example: Example) {
    let started = Started::with(example).await;
    let source = "it's a \"näme\" with\nbreaks";
    std::fs::write(started.path(source), "hello ".repeat(100_000)).unwrap();
    let id = started.compress(source, "out/a.gz").await;
    started.reached(&id, JobState::Finished).await;
    let gunzipped = Command::new("gzip").args(["-dc"]).arg(started.path("out/a.gz")).output().unwrap();
    assert!(gunzipped.stdout == "hello ".repeat(100_000).into_bytes());
    assert_eq!(started.halves("out"), 0);
}

async fn what_will_never_work_fails_at_once(example: Example) {
    let started = Started::with(example).await;
    let id = started.compress("missing", "out/a.gz").await;
    let failed = started.reached(&id, JobState::Failed).await;
    assert_eq!(executions(&failed), 1);
    let error = failed.error.unwrap();
    assert!(error.message.contains("missing"), "{error:?}");
}

async fn what_may_work_later_is_tried_again(example: Example) {
    let started = Started::with(example).await;
    std::fs::write(started.path("a"), "hello").unwrap();
    std::fs::create_dir_all(started.path("out/a.gz/in-the-way")).unwrap();
    let id = started.compress("a", "out/a.gz").await;
    let failed = started.reached(&id, JobState::Failed).await;
    assert_eq!(executions(&failed), 2);
    assert_eq!(started.halves("out"), 0);
}

async fn told_to_stop_it_ends_and_leaves_nothing_behind(example: Example) {
    let mut started = Started::with(example).await;
    // Takes minutes to compress, and no room.
    File::create(started.path("large")).unwrap().set_len(200_000_000_000).unwrap();
    let id = started.compress("large", "out/large.gz").await;
    until("it is being written", async || (started.halves("out") > 0).then_some(())).await;
    assert!(started.running.stop().await.success());
    let job = started.reached(&id, JobState::Ready).await;
    assert_eq!(executions(&job), 0);
    until("nothing is left of it", async || (started.halves("out") == 0).then_some(())).await;
}

/// Makes a test of each case for each example.
macro_rules! examples {
    ($($module:ident: $example:expr;)*) => {
        $(mod $module {
            use super::*;

            #[tokio::test]
            async fn a_job_is_done() {
                super::a_job_is_done($example).await;
            }

            #[tokio::test]
            async fn what_will_never_work_fails_at_once() {
                super::what_will_never_work_fails_at_once($example).await;
            }

            #[tokio::test]
            async fn what_may_work_later_is_tried_again() {
                super::what_may_work_later_is_tried_again($example).await;
            }

            #[tokio::test]
            async fn told_to_stop_it_ends_and_leaves_nothing_behind() {
                super::told_to_stop_it_ends_and_leaves_nothing_behind($example).await;
            }
        })*

        /// None of the folder's files is left out.
        #[test]
        fn every_example_is_tested() {
            // Runs other jobs, and is run by the demo.
            let mut tested = vec!["errands.py".to_owned()];
            tested.extend([$($example),*].map(|example| example.file().to_owned()));
            tested.sort();
            let mut there: Vec<String> =
                std::fs::read_dir(folder()).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
            there.sort();
            assert_eq!(tested, there);
        }
    };
}

examples! {
    python: Process("compress.py");
    node: Process("compress.js");
    ruby: Process("compress.rb");
    go: Process("compress.go");
    shell: ByCommand("compress.sh");
    python_server: Http("compress_server.py");
    node_server: Http("compress_server.js");
    go_server: Http("compress_server.go");
}

/// What the schema has against `line` being a `kind`.
fn problem(kind: &str, line: &Value) -> Option<String> {
    const AT: &str = "file:///protocol.schema.json";
    let page = folder().join("../../docs/reference/protocol.schema.json");
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.add_resource(AT, serde_json::from_str(&std::fs::read_to_string(page).unwrap()).unwrap()).unwrap();
    let schema = compiler.compile(&format!("{AT}#/$defs/{kind}"), &mut schemas).unwrap();
    schemas.validate(line, schema).err().map(|error| error.to_string())
}

/// By itself: a child that is given jobs on its stdin ends when that ends, and says what the protocol knows.
#[test]
fn long_lived_examples_speak_the_protocol_and_end_with_their_input() {
    for example in ["compress.py", "compress.js", "compress.rb", "compress.go"] {
        let scratch = tempfile::tempdir().unwrap();
        let path = |name: &str| scratch.path().join(name);
        // Large enough to have its progress told.
        File::create(path("a")).unwrap().set_len(65 << 20).unwrap();
        std::fs::write(path("b"), "hello").unwrap();
        let jobs = [["a", "out/a.gz"], ["missing", "out/a.gz"], ["b", "out"]].map(|pair| json!(pair.map(path)));
        let command = Process(example).command();
        let mut child = Command::new(&command[0]);
        let child = child.args(&command[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child.unwrap();
        let (mut stdin, stdout) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut lines = stdout.lines();
        let (mut outcomes, mut notices) = (Vec::new(), Vec::new());
        for (claim, arguments) in (1..).zip(jobs) {
            writeln!(stdin, "{}", json!({"id": "x", "claim": claim, "class": "CompressFile", "arguments": arguments}))
                .unwrap();
            loop {
                let line: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
                assert_eq!(line["claim"], claim, "{example}");
                let Some(outcome) = line["outcome"].as_str() else {
                    assert_eq!(problem("notice", &line), None, "{example}: {line}");
                    notices.extend(line.as_object().unwrap().keys().filter(|key| *key != "claim").cloned());
                    continue;
                };
                assert_eq!(problem("answer", &line), None, "{example}: {line}");
                outcomes.push(outcome.to_owned());
                break;
            }
        }
        drop(stdin);
        assert!(child.wait().unwrap().success(), "{example}");
        assert_eq!(outcomes, ["done", "fail", "retry"], "{example}");
        assert_eq!(notices, ["progress", "log"], "{example}");
    }
}
