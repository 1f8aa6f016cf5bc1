//! The pages that people begin with, run as they stand.
//!
//! A block ```` ```sh NAME ```` (any language, and a file's name) writes that file. A block ```` ```console ```` is a session: lines after `$ ` are typed
//! into a shell, what follows is the output that the page promises; `...` stands for anything within a line, and alone
//! for any number of lines. Commands that only look (`cat`, `grep`, `tail`, `gritstone jobs`) are repeated until the page is right.

use gritstone_tests::servers::{Server, TestDatabase};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// How long a page may take to become right.
const PATIENCE: Duration = Duration::from_secs(60);

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

enum Piece {
    File { name: String, text: String },
    Command { text: String, output: Vec<String> },
}

/// What a page says to do, in order.
fn pieces(page: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(info) = line.strip_prefix("```") else { continue };
        let block: Vec<&str> = lines.by_ref().take_while(|line| !line.starts_with("```")).collect();
        if info == "console" {
            pieces.extend(session(&block));
        } else if let Some((_, name)) = info.split_once(' ') {
            pieces.push(Piece::File { name: name.to_owned(), text: block.join("\n") + "\n" });
        }
    }
    pieces
}

fn session(block: &[&str]) -> Vec<Piece> {
    let mut commands: Vec<Piece> = Vec::new();
    for line in block {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(text), _) => commands.push(Piece::Command { text: text.to_owned(), output: Vec::new() }),
            (None, Some(Piece::Command { output, .. })) => output.push((*line).to_owned()),
            (None, _) => panic!("a session begins with a command, not with {line:?}"),
        }
    }
    commands
}

/// Whether lines are what a page promises.
fn is_promised(promised: &[String], lines: &[String]) -> bool {
    match promised.split_first() {
        None => lines.is_empty(),
        Some((first, rest)) if first == "..." => (0..=lines.len()).any(|skipped| is_promised(rest, &lines[skipped..])),
        Some((first, rest)) => {
            lines.split_first().is_some_and(|(line, others)| line_is(first, line) && is_promised(rest, others))
        }
    }
}

fn line_is(promised: &str, line: &str) -> bool {
    let (promised, line) = (promised.trim_end(), line.trim_end());
    let Some((start, rest)) = promised.split_once("...") else { return promised == line };
    let Some(line) = line.strip_prefix(start) else { return false };
    (0..=line.len()).filter(|at| line.is_char_boundary(*at)).any(|at| line_is(rest, &line[at..]))
}

/// A shell that is typed into.
struct Shell {
    bash: Child,
    lines: Receiver<String>,
}

const END: &str = "-- end of output --";

impl Shell {
    fn start(folder: &Path) -> Self {
        let here = std::env::current_exe().unwrap();
        let programs = here.parent().and_then(Path::parent).unwrap().to_owned();
        assert!(
            programs.join("gritstone").exists(),
            "build the workspace first: there is no {}/gritstone",
            programs.display()
        );
        let path = std::env::join_paths(
            [programs].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
        );
        let mut bash = Command::new("bash")
            .current_dir(folder)
            .env("PATH", path.unwrap())
            .env_remove("DATABASE_URL")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(bash.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        let mut shell = Shell { bash, lines };
        shell.run("exec 2>&1");
        shell
    }

    /// Types a command; its output and exit code.
    fn run(&mut self, command: &str) -> (Vec<String>, i32) {
        let stdin = self.bash.stdin.as_mut().unwrap();
        writeln!(stdin, "{command}\nprintf '\\n%s %s\\n' '{END}' $?").unwrap();
        let mut output: Vec<String> = Vec::new();
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|_| panic!("{command:?} did not end; it has said:\n{}", output.join("\n")));
            if let Some(code) = line.strip_prefix(END) {
                // The line break before the mark.
                if output.last().is_some_and(String::is_empty) {
                    output.pop();
                }
                return (output, code.trim().parse().unwrap());
            }
            output.push(line);
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // What the page started and didn't stop ends with it.
        let _ = killpg(Pid::from_raw(self.bash.id().cast_signed()), Signal::SIGKILL);
        let _ = self.bash.wait();
    }
}

fn only_looks(command: &str) -> bool {
    ["cat ", "grep ", "tail ", "gritstone jobs list", "gritstone jobs show"]
        .iter()
        .any(|start| command.starts_with(start))
}

/// Does what a page says, with this database where it names one of its own.
fn follow(page: &str, database: Option<&str>) {
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(root().join("docs").join(page)).unwrap();
    let mut shell = Shell::start(folder.path());
    if let Some(url) = database {
        shell.run(&format!("export DATABASE_URL='{url}'"));
    }
    for piece in pieces(&text) {
        match piece {
            Piece::File { name, text } => fs::write(folder.path().join(name), text).unwrap(),
            Piece::Command { text, .. } if text.starts_with("export DATABASE_URL=") && database.is_some() => {}
            Piece::Command { text, output } => {
                let began = Instant::now();
                loop {
                    let (said, code) = shell.run(&text);
                    let right = if output.is_empty() { code == 0 } else { is_promised(&output, &said) };
                    if right {
                        break;
                    }
                    let log = fs::read_to_string(folder.path().join("gritstone.log")).unwrap_or_default();
                    assert!(
                        only_looks(&text) && began.elapsed() < PATIENCE,
                        "{page}: $ {text}\n{}\n(exit code {code})\nwhere the page says\n{}\nthe log:\n{log}",
                        said.join("\n"),
                        output.join("\n")
                    );
                    std::thread::sleep(Duration::from_millis(50));
                }
            }
        }
    }
}

#[test]
fn the_first_five_minutes() {
    follow("start/five-minutes.md", None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_queue_on_postgresql() {
    let database = TestDatabase::create(Server::Postgres).await.unwrap();
    let url = database.url.clone();
    tokio::task::spawn_blocking(move || follow("start/postgresql.md", Some(&url))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn adopting_a_database_of_rails() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rails.sqlite3");
    let schema = fs::read_to_string(root().join("tests/fixtures/rails/schema.sqlite.sql")).unwrap();
    let mut rails: SqliteConnection =
        SqliteConnectOptions::new().filename(&file).create_if_missing(true).connect().await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(schema)).execute(&mut rails).await.unwrap();
    rails.close().await.unwrap();
    let url = format!("sqlite3:{}", file.display());
    tokio::task::spawn_blocking(move || follow("start/rails.md", Some(&url))).await.unwrap();
}

#[test]
fn handlers_of_both_kinds() {
    follow("guides/handlers.md", None);
}

#[test]
fn commands_and_classes() {
    follow("guides/commands.md", None);
    follow("guides/classes.md", None);
}

#[test]
fn dots_stand_for_anything() {
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert!(is_promised(&lines("...\nb...d\n..."), &lines("a\nbcd")));
    assert!(is_promised(&lines("a"), &lines("a  ")));
    assert!(!is_promised(&lines("a"), &lines("a\nb")));
    assert!(!is_promised(&lines("b...d"), &lines("bc")));
}

/// Every link of the pages leads to a file that is there, and to a heading that it has.
#[test]
fn links_lead_somewhere() {
    let mut open = vec![
        root().join("README.md"),
        root().join("CHANGELOG.md"),
        root().join("examples/README.md"),
        root().join("docs"),
    ];
    let mut broken = Vec::new();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.contains("://") || target.contains(' ') {
                continue;
            }
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let linked = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            let has_heading = || {
                let text = fs::read_to_string(&linked).unwrap_or_default();
                text.lines().filter(|line| line.starts_with('#')).any(|line| anchor(line) == heading)
            };
            if !linked.exists() || !(heading.is_empty() || has_heading()) {
                broken.push(format!("{}: {target}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

/// A heading as links name it.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
    text.chars().filter(|c| c.is_alphanumeric() || "-_".contains(*c)).collect()
}
