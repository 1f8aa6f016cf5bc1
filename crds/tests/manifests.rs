//! Good and bad manifests: `manifests/accepted` is read without a word, of `manifests/refused` every problem is said in the line
//! whose comment names it (`# ! path: the beginning of the message`, several with ` ! ` between) and nothing else is.
//!
//! `?` in place of `!` is for those who ask an API server the same (`tests/tests/cluster`): it has no rule for this.

use std::fs;
use std::path::{Path, PathBuf};

use gritstone_crds::kinds::{DeadWorkerPolicy, HandlerKind, QueueOrder, TaskRun};
use gritstone_crds::{Duration, Manifest, Problem, Spec, read_manifests, read_path};
use proptest::prelude::*;

fn fixtures(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manifests").join(folder);
    let mut files: Vec<_> =
        fs::read_dir(folder).expect("fixtures").map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

/// The name by which a fixture is read, the same wherever the repository is.
fn name(file: &Path) -> String {
    let tail: Vec<_> = file.iter().rev().take(2).map(|part| part.to_string_lossy()).collect();
    format!("{}/{}", tail[1], tail[0])
}

fn accepted(file: &str) -> Vec<Manifest> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/manifests/accepted").join(file);
    let text = fs::read_to_string(path).expect(file);
    read_manifests(&text, file).unwrap_or_else(|problems| panic!("{}", list(&problems)))
}

fn refused(text: &str) -> String {
    list(&read_manifests(text, "worker.yaml").expect_err(text))
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

#[test]
fn good_manifests_are_read_and_written_and_read_again() {
    for file in fixtures("accepted") {
        let manifests = accepted(&file.file_name().expect("a name").to_string_lossy());
        for manifest in manifests {
            let yaml = serde_saphyr::to_string(&manifest).expect("yaml");
            let again =
                read_manifests(&yaml, "again.yaml").unwrap_or_else(|problems| panic!("{}{yaml}", list(&problems)));
            assert_eq!((&again[0].metadata, &again[0].spec), (&manifest.metadata, &manifest.spec), "{yaml}");
            let json = serde_json::to_string(&manifest).expect("json");
            assert_eq!(read_manifests(&json, "again.json").expect(&json)[0].spec, manifest.spec);
        }
    }
}

#[test]
fn bad_manifests_are_refused_in_the_right_line_for_the_right_reason() {
    for file in fixtures("refused") {
        let (text, name) = (fs::read_to_string(&file).expect("text"), name(&file));
        let problems = read_manifests(&text, &name).expect_err(&name);
        let mut expected: Vec<(u64, &str)> = Vec::new();
        for (line, text) in (1..).zip(text.lines()) {
            let comment = text.split_once("# ! ").or_else(|| text.split_once("# ? ")).map(|(_, comment)| comment);
            let problems =
                comment.into_iter().flat_map(|comment| comment.split(" ! ")).flat_map(|text| text.split(" ? "));
            expected.extend(problems.map(|text| (line, text.trim())));
        }
        let mut unexpected = String::new();
        for problem in &problems {
            let line = problem.line.expect("a line");
            let said = problem.to_string();
            let found = expected
                .iter()
                .position(|(at, text)| *at == line && said.starts_with(&format!("{name}:{line}: {text}")));
            match found {
                Some(position) => drop(expected.remove(position)),
                None => unexpected += &format!("{said}\n"),
            }
        }
        assert!(unexpected.is_empty() && expected.is_empty(), "{name} unexpected:\n{unexpected}missing: {expected:#?}");
        assert!(problems.is_sorted_by_key(|problem| (
            problem.path == "metadata.name" && problem.message.contains("written twice"),
            problem.line
        )));
    }
}

#[test]
fn a_problem_reads_like_a_compilers() {
    let text = "apiVersion: gritstone.dev/v1alpha1\nkind: Dispatcher\nmetadata: {name: a}\nspec:\n  batchSise: 5\n";
    assert_eq!(refused(text), "worker.yaml:5: spec.batchSise: unknown field; did you mean batchSize?\n");
}

#[test]
fn text_that_is_not_yaml_names_the_line() {
    for (text, expected) in [
        ("a:\n  b: 1\n c: 2\n", "worker.yaml:3: is not YAML: "),
        ("a: 1\nb:\n\t- x\n", "worker.yaml:3: is not YAML: "),
        ("a: 1\nqueues: [*]\n", "worker.yaml:2: a word that begins with `*` is an alias in YAML"),
        ("a: 1\nb: 'open\n", "worker.yaml:"),
        ("{\"a\": 1,\n\"b\": }}", "worker.yaml:2: is not YAML: "),
        ("a: b\n---\n? [x]\n: y\n", "worker.yaml: is not YAML: a list or a map can't be a key, as in line 3"),
    ] {
        let said = refused(text);
        assert!(said.starts_with(expected), "{text}: {said}");
        assert_eq!(said.lines().count(), 1);
    }
    assert!(read_manifests("", "empty.yaml").is_ok_and(|manifests| manifests.is_empty()));
}

#[test]
fn aliases_that_explode_are_refused_at_once() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..30 {
        text += &format!("a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 10].join(", "));
    }
    let started = std::time::Instant::now();
    assert!(refused(&text).contains("aliases stand for more than"));
    assert!(started.elapsed().as_secs() < 5);
}

#[test]
fn a_thousand_mistakes_are_not_all_said() {
    let mut text = "apiVersion: gritstone.dev/v1alpha1\nkind: Dispatcher\nmetadata: {name: a}\nspec:\n".to_owned();
    for number in 0..1_000 {
        text += &format!("  field{number}: 1\n");
    }
    assert_eq!(refused(&text).lines().count(), 50);
}

#[test]
fn a_deep_template_is_read_on_a_small_stack() {
    let template = "{a: ".repeat(58) + "x" + &"}".repeat(58);
    let text = format!(
        "apiVersion: gritstone.dev/v1alpha1\nkind: QueueWorker\nmetadata: {{name: a}}\nspec: {{allowCommands: true, template: {template}}}\n"
    );
    assert!(read_manifests(&text, "deep.yaml").is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Whatever a person may have typed is read or refused in a line that exists.
    #[test]
    fn no_slip_of_the_hand_makes_the_reader_panic(
        from in 0..3_600_usize,
        length in 0..20_usize,
        typed in "[ \\-:{}\\[\\]\"'*&!<#a-z0-9\n\tü]{0,6}",
    ) {
        let text = include_str!("manifests/accepted/every-field.yaml");
        let kept = |position: &usize| text.is_char_boundary(*position);
        let start = (from.min(text.len())..=text.len()).find(kept).unwrap_or(text.len());
        let end = ((start + length).min(text.len())..=text.len()).find(kept).unwrap_or(text.len());
        let mangled = format!("{}{typed}{}", &text[..start], &text[end..]);
        for problem in read_manifests(&mangled, "mangled.yaml").err().unwrap_or_default() {
            let lines = mangled.split(['\n', '\r']).count() as u64;
            prop_assert!(problem.line.is_none_or(|line| (1..=lines).contains(&line)), "{}\n{}", problem, mangled);
        }
    }
}

#[test]
fn defaults_are_solid_queues() {
    let manifests = accepted("little.yaml");
    let Spec::QueueWorker(worker) = &manifests[0].spec else { panic!("{manifests:?}") };
    assert_eq!((worker.threads, worker.polling_interval), (3, Duration::from_millis(100)));
    assert_eq!((worker.queues.to_string().as_str(), worker.queue_order), ("*", QueueOrder::Listed));
    assert_eq!((worker.retry_policy("Any").attempts, worker.drain_timeout), (1, Duration::from_secs(5)));
    assert_eq!((worker.skip_locked, worker.dead_worker_policy), (true, DeadWorkerPolicy::Retry));
    assert!(matches!(worker.handler(), Some(HandlerKind::Command(command)) if command.command == ["./run-job"]));
    let dispatchers = manifests.iter().filter_map(|manifest| match &manifest.spec {
        Spec::Dispatcher(spec) => Some(spec),
        _ => None,
    });
    for dispatcher in dispatchers {
        assert_eq!((dispatcher.polling_interval, dispatcher.batch_size), (Duration::from_secs(1), 500));
        assert_eq!(dispatcher.concurrency_maintenance.interval, Duration::from_mins(10));
        assert_eq!(dispatcher.finished_jobs.clear_after, Duration::from_mins(24 * 60));
        assert_eq!(dispatcher.processes.heartbeat_interval, Duration::from_secs(15));
        assert_eq!(dispatcher.processes.alive_threshold, Duration::from_mins(2));
        assert!(dispatcher.migrate && dispatcher.scheduler.enabled && dispatcher.finished_jobs.preserve);
    }
}

#[test]
fn manifests_say_what_they_said() {
    let manifests = accepted("every-field.yaml");
    assert_eq!(manifests.len(), 6);
    assert_eq!((manifests[1].source.line, manifests[1].source.file.as_str()), (55, "every-field.yaml"));
    let Spec::QueueWorker(worker) = &manifests[0].spec else { panic!("{manifests:?}") };
    assert!(worker.queues.selects("mail_fast") && !worker.queues.selects("mail_slow"));
    let limit = worker.concurrency_limit("SyncAccount").expect("a limit");
    assert_eq!((limit.group(), limit.key.as_ref().map(ToString::to_string).as_deref()), ("accounts", Some("args[0]")));
    assert_eq!(worker.retry_policy("SendMail").attempts, 10);
    assert_eq!(worker.class_default("SendMail").and_then(|entry| entry.priority), Some(5));
    let Spec::RecurringTask(task) = &manifests[2].spec else { panic!("{manifests:?}") };
    assert!(matches!(task.run(), Some(TaskRun::Job(job)) if job.args.len() == 5));
    let Spec::RecurringTask(task) = &manifests[3].spec else { panic!("{manifests:?}") };
    assert_eq!(task.run(), Some(TaskRun::Command("bin/vacuum --all")));
    assert_eq!(accepted("from-kubectl.yaml").len(), 1);
    assert!(accepted("others.yaml").is_empty());
}

#[test]
fn a_folder_is_read_by_name_and_objects_written_twice_name_both_places() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).expect(name);
    let worker =
        "apiVersion: gritstone.dev/v1alpha1\nkind: QueueWorker\nmetadata: {name: mail}\nspec: {allowCommands: true}\n";
    write("b.yml", &worker.replace("mail", "second"));
    write("a.yaml", worker);
    write("c.json", r#"{"apiVersion": "gritstone.dev/v1alpha1", "kind": "Dispatcher", "metadata": {"name": "mail"}}"#);
    write("notes.txt", "not: [a manifest");
    fs::create_dir(folder.path().join("deeper.yaml")).expect("a folder");
    let names = |manifests: Vec<Manifest>| {
        manifests.iter().map(|m| format!("{} {}", m.kind(), m.metadata.name)).collect::<Vec<_>>()
    };
    let manifests = read_path(folder.path()).expect("three manifests");
    assert_eq!(names(manifests), ["QueueWorker mail", "QueueWorker second", "Dispatcher mail"]);
    assert_eq!(names(read_path(&folder.path().join("a.yaml")).expect("one")), ["QueueWorker mail"]);

    write("d.yaml", &format!("# again\n{worker}"));
    write("e.yaml", &worker.replace("name: mail", "name: mail, namespace: other"));
    fs::write(folder.path().join("f.yaml"), b"a: \xff\n").expect("f.yaml");
    let problems = read_path(folder.path()).expect_err("problems");
    let file = |name: &str| folder.path().join(name).display().to_string();
    assert_eq!(
        list(&problems),
        format!(
            "{}: is not UTF-8 text\n{}:2: metadata.name: QueueWorker mail is written twice, first at {}:1\n",
            file("f.yaml"),
            file("d.yaml"),
            file("a.yaml")
        )
    );
    assert_eq!(list(&read_path(Path::new("/nowhere.yaml")).expect_err("nothing")), "/nowhere.yaml: does not exist\n");
}
