//! `scripts/demo`, the first thing that people run: what it shows, and what it says when something is in its way.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Where the programs are that were built with this test.
fn programs() -> PathBuf {
    let here = std::env::current_exe().unwrap();
    let folder = here.parent().and_then(Path::parent).unwrap().to_owned();
    for program in ["gritstone", "hash-folder", "watch-jobs"] {
        assert!(folder.join(program).exists(), "build the workspace first: {program} is not in {}", folder.display());
    }
    folder
}

fn demo(temporary: &Path) -> Command {
    // What runs the tests in the background may ignore interrupts, and no shell can trap a signal that was ignored before it.
    let mut command = Command::new("env");
    command.arg("--default-signal=INT").arg(root().join("scripts/demo"));
    command.env("GRITSTONE_BIN_DIR", programs()).env("TMPDIR", temporary).env_remove("DATABASE_URL");
    command
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A few files, of the kinds that are easy to get wrong.
fn folder_of_files() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("inner")).unwrap();
    for (name, content) in
        [("empty", ""), ("inner/with space", "a\nb\n"), ("-dash", "x"), ("new\nline", "y"), ("ü", "z")]
    {
        fs::write(folder.path().join(name), content).unwrap();
    }
    folder
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().next().is_none()
}

/// Processes whose environment or arguments name this folder.
fn processes_of(folder: &Path) -> Vec<String> {
    let name = folder.to_str().unwrap();
    let processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let own = PathBuf::from(format!("/proc/{}", std::process::id()));
    processes
        .filter(|process| *process != own)
        .filter(|process| {
            ["environ", "cmdline"].iter().any(|file| {
                fs::read(process.join(file)).is_ok_and(|text| String::from_utf8_lossy(&text).contains(name))
            })
        })
        .map(|process| fs::read_to_string(process.join("cmdline")).unwrap_or_default().replace('\0', " "))
        .collect()
}

/// The row of a class in the table: done, retried, scheduled, limited.
fn row(text: &str, class: &str) -> Vec<u32> {
    let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
    let row = lines.iter().find(|words| words.first() == Some(&class) && words.len() == 6);
    let row = row.unwrap_or_else(|| panic!("no row for {class} in:\n{text}"));
    row[1..5].iter().map(|number| number.parse().unwrap()).collect()
}

#[test]
fn it_shows_work_done_retried_scheduled_and_limited_and_leaves_nothing_behind() {
    let temporary = tempfile::tempdir().unwrap();
    let output = demo(temporary.path()).output().unwrap();
    let text = text(&output);
    assert!(output.status.success(), "{text}");
    let files = row(&text, "HashFile")[0];
    assert!(files > 30, "{text}");
    assert_eq!(row(&text, "HashFile"), [files, 0, 0, 0], "{text}");
    assert_eq!(row(&text, "CompressFile"), [files, 0, 0, 0], "{text}");
    assert_eq!(row(&text, "WriteSums"), [1, 0, 0, 0], "{text}");
    assert_eq!(row(&text, "WriteReport"), [1, 0, 1, 0], "{text}");
    assert_eq!(row(&text, "CallPrinter"), [1, 1, 0, 0], "{text}");
    assert_eq!(row(&text, "UpdateLedger"), [5, 0, 0, 5], "{text}");
    assert_eq!(text.lines().filter(|line| line.starts_with("  ok ")).count(), 5, "{text}");
    assert!(text.contains("all checked in"), "{text}");
    assert!(is_empty(temporary.path()), "{text}");
    assert_eq!(processes_of(temporary.path()), Vec::<String>::new());
}

#[test]
fn two_at_once_do_not_meet() {
    let (temporary, folder) = (tempfile::tempdir().unwrap(), folder_of_files());
    let start = || demo(temporary.path()).arg(folder.path()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let both = [start().unwrap(), start().unwrap()];
    for one in both {
        let output = one.wait_with_output().unwrap();
        let text = text(&output);
        assert!(output.status.success(), "{text}");
        assert_eq!(row(&text, "HashFile")[0], 5, "{text}");
    }
    assert!(is_empty(temporary.path()));
}

#[test]
fn kept_folders_have_what_the_jobs_wrote() {
    let (temporary, folder) = (tempfile::tempdir().unwrap(), folder_of_files());
    let output = demo(temporary.path()).arg("--keep").arg(folder.path()).output().unwrap();
    let text = text(&output);
    assert!(output.status.success(), "{text}");
    let kept = text.lines().find_map(|line| line.strip_prefix("kept: ")).unwrap_or_else(|| panic!("{text}"));
    let sums = fs::read_to_string(Path::new(kept).join("out/SHA256SUMS")).unwrap();
    assert_eq!(sums.lines().count(), 5, "{sums}");
    assert!(Path::new(kept).join("compressed/inner/with space.gz").exists());
}

#[test]
fn told_to_stop_it_ends_what_it_started() {
    let temporary = tempfile::tempdir().unwrap();
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut running = demo(temporary.path()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(running.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains(" HashFile ")), "no job was ever done");
        kill(Pid::from_raw(running.id().cast_signed()), signal).unwrap();
        lines.for_each(drop);
        let code = running.wait().unwrap().code();
        assert_eq!(code, Some(128 + signal as i32));
        assert!(is_empty(temporary.path()));
        assert_eq!(processes_of(temporary.path()), Vec::<String>::new());
    }
}

#[test]
fn wrong_usage_is_said_before_anything_is_built() {
    let (temporary, empty) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let empty = empty.path().to_str().unwrap();
    for (arguments, says) in [
        (vec!["--nonsense"], "no option --nonsense"),
        (vec!["/dev/null"], "/dev/null is no folder"),
        (vec!["/dev/null/x"], "is no folder that can be read"),
        (vec![empty], "has no files"),
        (vec![empty, empty], "one folder is enough"),
    ] {
        let output = demo(temporary.path()).args(&arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output).contains(says), "{}", text(&output));
    }
    assert!(is_empty(temporary.path()));
}

#[test]
fn where_no_folder_can_be_made_it_says_what_to_set() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let output = demo(&file).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("set TMPDIR"), "{}", text(&output));
}

#[test]
fn without_python_and_without_apt_it_says_what_is_needed() {
    let (temporary, tools) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let path = std::env::var("PATH").unwrap();
    for tool in ["bash", "env", "dirname", "mktemp", "find", "head", "tr", "wc", "id", "rm", "timeout", "tail"] {
        let found = std::env::split_paths(&path).map(|folder| folder.join(tool)).find(|file| file.exists());
        symlink(found.unwrap_or_else(|| panic!("no {tool}")), tools.path().join(tool)).unwrap();
    }
    let output = demo(temporary.path()).env("PATH", tools.path()).output().unwrap();
    let text = text(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("python3") && text.contains("apt-get install"), "{text}");
    assert!(is_empty(temporary.path()));
}

#[test]
fn a_job_that_fails_fails_the_demo() {
    let (temporary, folder, programs_of_ours) =
        (tempfile::tempdir().unwrap(), folder_of_files(), tempfile::tempdir().unwrap());
    for program in ["gritstone", "watch-jobs"] {
        symlink(programs().join(program), programs_of_ours.path().join(program)).unwrap();
    }
    // Enqueues what can't be done, under the name of one of the demo's jobs.
    let breaks = "#!/bin/sh\nexec gritstone enqueue CompressFile --args '[\"/dev/null/x\", \"/dev/null/x.gz\"]'\n";
    let program = programs_of_ours.path().join("hash-folder");
    fs::write(&program, breaks).unwrap();
    fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let began = Instant::now();
    let output =
        demo(temporary.path()).env("GRITSTONE_BIN_DIR", programs_of_ours.path()).arg(folder.path()).output().unwrap();
    let text = text(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("CompressFile") && text.contains("failed"), "{text}");
    assert!(began.elapsed() < Duration::from_secs(60), "it was found out by waiting");
    assert!(is_empty(temporary.path()));
}
