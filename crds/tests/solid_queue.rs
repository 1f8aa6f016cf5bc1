//! Solid Queue's own files: what its generator writes, and those of a shop that has been around for a while.

use std::path::Path;

use gritstone_crds::kinds::{Handler, ProcessHandler, Schedule};
use gritstone_crds::solid_queue::{self, Application, Environment, File, Origin, Recurring, Settings};
use gritstone_crds::{
    DispatcherSpec, Duration, Manifest, Problem, QueueWorkerSpec, RecurringTaskSpec, Spec, read_manifests,
};
use serde_json::json;

fn file(name: &str) -> File {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/solid_queue").join(name);
    File { name: name.to_owned(), text: std::fs::read_to_string(path).expect(name) }
}

fn text(text: &str) -> File {
    File { name: "queue.yml".to_owned(), text: text.to_owned() }
}

fn no_variables(_: &str) -> Option<String> {
    None
}

fn settings(environment: &str) -> Settings<'static> {
    let command = ["ruby", "gritstone_rails.rb"].map(str::to_owned).to_vec();
    let process = Some(ProcessHandler { command, recycle_after: None });
    Settings {
        environment: Environment { name: environment.to_owned(), origin: Origin::Variable("RAILS_ENV") },
        variables: &no_variables,
        time_zone: "UTC".to_owned(),
        worker: QueueWorkerSpec {
            handler: Some(Handler { process, ..Handler::default() }),
            ..QueueWorkerSpec::default()
        },
        recurring: Recurring::default(),
    }
}

fn read(queue: Option<&File>, recurring: Option<&File>, settings: &Settings<'_>) -> Application {
    solid_queue::read(queue, recurring, settings).unwrap_or_else(|problems| panic!("{}", lines(&problems)))
}

fn refused(queue: &str, environment: &str) -> String {
    lines(&solid_queue::read(Some(&text(queue)), None, &settings(environment)).expect_err(queue))
}

fn refused_task(recurring: &str) -> String {
    let file = File { name: "recurring.yml".to_owned(), text: recurring.to_owned() };
    lines(&solid_queue::read(None, Some(&file), &settings("production")).expect_err(recurring))
}

fn lines(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

fn workers(manifests: &[Manifest]) -> Vec<(&str, &QueueWorkerSpec)> {
    let mut found = Vec::new();
    for Manifest { metadata, spec, .. } in manifests {
        if let Spec::QueueWorker(spec) = spec {
            found.push((metadata.name.as_str(), &**spec));
        }
    }
    found
}

fn dispatchers(manifests: &[Manifest]) -> Vec<(&str, &DispatcherSpec)> {
    let mut found = Vec::new();
    for Manifest { metadata, spec, .. } in manifests {
        if let Spec::Dispatcher(spec) = spec {
            found.push((metadata.name.as_str(), spec));
        }
    }
    found
}

fn tasks(manifests: &[Manifest]) -> Vec<(&str, &RecurringTaskSpec)> {
    let mut found = Vec::new();
    for Manifest { metadata, spec, .. } in manifests {
        if let Spec::RecurringTask(spec) = spec {
            found.push((metadata.name.as_str(), spec));
        }
    }
    found
}

#[test]
fn what_the_generator_writes_is_one_worker_and_one_dispatcher() {
    let (queue, recurring) = (file("generated-queue.yml"), file("generated-recurring.yml"));
    let application = read(Some(&queue), Some(&recurring), &settings("production"));
    let [(worker_name, worker)] = workers(&application.manifests).try_into().expect("one worker");
    let [(dispatcher_name, dispatcher)] = dispatchers(&application.manifests).try_into().expect("one dispatcher");
    assert_eq!((worker_name, dispatcher_name), ("all", "dispatcher"));
    assert_eq!(*worker, settings("production").worker, "all of it is Solid Queue's default");
    assert!(!dispatcher.scheduler.enabled);
    assert_eq!(tasks(&application.manifests), []);
    assert_eq!(application.variables, ["JOB_CONCURRENCY"]);
    let warning = lines(&application.warnings);
    let place = "generated-recurring.yml:10: production.clear_solid_queue_finished_jobs.command: ";
    assert!(warning.starts_with(place) && warning.ends_with("clear finished jobs by themselves\n"), "{warning}");

    let variables = |name: &str| (name == "JOB_CONCURRENCY").then(|| "4".to_owned());
    let application = read(Some(&queue), None, &Settings { variables: &variables, ..settings("test") });
    assert_eq!(workers(&application.manifests)[0].1.replicas, 4);
}

#[test]
fn a_shop_has_its_workers_its_dispatcher_and_its_tasks() {
    let (queue, recurring) = (file("shop-queue.yml"), file("shop-recurring.yml"));
    let settings = Settings { time_zone: "Asia/Seoul".to_owned(), ..settings("production") };
    let application = read(Some(&queue), Some(&recurring), &settings);
    let [(first_name, first), (second_name, second)] = workers(&application.manifests).try_into().expect("two");
    assert_eq!((first_name, second_name), ("real-time-mail-default", "newsletters-surveys"));
    assert_eq!(first.queues.to_string(), "real_time,mail*,default");
    assert_eq!(second.queues.to_string(), "newsletters,surveys");
    assert_eq!((first.threads, first.replicas, second.threads, second.replicas), (5, 2, 1, 1));
    assert_eq!([first.polling_interval, second.polling_interval], [Duration::from_millis(200); 2]);
    assert_eq!(first.handler, settings.worker.handler);

    let [(_, dispatcher)] = dispatchers(&application.manifests).try_into().expect("one dispatcher");
    assert_eq!((dispatcher.polling_interval, dispatcher.batch_size), (Duration::from_millis(500), 1_000));
    assert_eq!(dispatcher.concurrency_maintenance.interval, Duration::from_mins(5));
    assert!(dispatcher.scheduler.enabled && dispatcher.scheduler.dynamic_tasks);

    let [daily, weekly, carts] = tasks(&application.manifests).try_into().expect("three tasks");
    assert_eq!((daily.0, weekly.0, carts.0), ("daily-report", "reports-weekly", "expire-carts"));
    assert_eq!((daily.1.key.as_deref(), weekly.1.key.as_deref()), (Some("daily_report"), Some("Reports/Weekly")));
    assert_eq!(daily.1.schedule, Schedule::Text("every weekday at 9am".into()));
    assert_eq!(daily.1.time_zone, "Asia/Seoul");
    assert_eq!(daily.1.description.as_deref(), Some("What was sold: per country, the day before"));
    let job = |task: &RecurringTaskSpec| serde_json::to_value(task.job.as_ref().expect("a job")).expect("json");
    let symbol = json!({"_aj_serialized": "ActiveJob::Serializers::SymbolSerializer", "value": "open"});
    let args = json!([42, {"status": symbol, "since": "12:30:45", "answer": "yes"}]);
    assert_eq!(job(daily.1), json!({"class": "Reports::DailyJob", "args": args, "queue": "reports", "priority": -5}));
    assert_eq!(job(weekly.1)["args"], json!([{"format": "on", "week": "2026-01-05"}]), "a hash is one argument");
    assert_eq!(job(carts.1), json!({"class": "ExpireCartsJob", "args": [1_000]}));

    let warnings = lines(&application.warnings);
    assert_eq!(warnings.lines().count(), 2, "{warnings}");
    assert!(warnings.contains("shop-recurring.yml:26: production.purge.command: is Ruby, which only Rails runs"));
    assert!(warnings.contains("shop-recurring.yml:28: production.paused_for_now: has no schedule"), "{warnings}");
}

#[test]
fn other_environments_have_what_they_say_and_nothing_else() {
    let queue = file("shop-queue.yml");
    let of = |environment: &str| read(Some(&queue), None, &settings(environment)).manifests;
    assert_eq!(workers(&of("development"))[0].1.queues.to_string(), "*");
    assert_eq!(dispatchers(&of("development")).len(), 1);
    let imports = of("imports");
    assert_eq!((workers(&imports)[0].0, workers(&imports)[0].1.threads), ("imports", 10));
    assert_eq!(dispatchers(&imports).len(), 0);
    let test = of("test");
    assert_eq!((workers(&test).len(), dispatchers(&test).len()), (1, 1), "an empty part is none: the defaults hold");
}

#[test]
fn an_environment_that_the_file_does_not_know_is_said() {
    let queue = file("shop-queue.yml");
    let application = read(Some(&queue), None, &settings("staging"));
    assert_eq!(workers(&application.manifests)[0].1.queues.to_string(), "*");
    let warning = lines(&application.warnings);
    let said = "has nothing for the environment staging, only for development, production, imports: a worker on all";
    assert!(warning.contains(said), "{warning}");
    for (name, meant) in [("prodcution", "production"), ("prod", "production"), ("import", "imports")] {
        let environment = Environment { name: name.to_owned(), origin: Origin::Option };
        let settings = Settings { environment, ..settings("") };
        let problems = lines(&solid_queue::read(Some(&queue), None, &settings).expect_err(name));
        assert!(problems.contains(&format!("did you mean {meant}?")), "{problems}");
    }
}

#[test]
fn a_file_without_environments_holds_in_all_of_them() {
    let queue = text("workers:\n  - queues: [a, b]\n    processes: 0\n    threads: 0\n  - {}\n");
    let application = read(Some(&queue), None, &settings("anything"));
    let workers = workers(&application.manifests);
    assert_eq!((workers[0].1.replicas, workers[1].1.queues.to_string().as_str()), (0, "*"));
    assert_eq!(workers[0].1.validate(), []);
    assert!(dispatchers(&application.manifests).is_empty() && application.warnings.is_empty());
}

#[test]
fn what_says_nothing_is_a_worker_and_a_dispatcher() {
    for nothing in ["", "# nothing\n", "production: []\n", "random: value\n", "--- {}\n", "production:\n"] {
        let application = read(Some(&text(nothing)), None, &settings("production"));
        let crew = (workers(&application.manifests).len(), dispatchers(&application.manifests).len());
        assert_eq!(crew, (1, 1), "{nothing}");
    }
    assert_eq!(read(None, None, &settings("production")).manifests.len(), 2);
}

#[test]
fn recurring_tasks_alone_need_a_dispatcher_for_their_scheduler() {
    let (queue, recurring) = (text("workers: [{queues: a}]\n"), file("shop-recurring.yml"));
    let of = |recurring_too| {
        let settings = Settings { recurring: recurring_too, ..settings("staging") };
        read(Some(&queue), Some(&recurring), &settings)
    };
    assert!(dispatchers(&of(Recurring::WithTheRest).manifests)[0].1.scheduler.enabled);
    let only = of(Recurring::Only).manifests;
    assert_eq!((workers(&only).len(), dispatchers(&only).len(), tasks(&only).len()), (0, 1, 3));
    let without = of(Recurring::Skip);
    assert_eq!((without.manifests.len(), without.warnings.len()), (1, 0));
}

#[test]
fn one_of_several_dispatchers_schedules() {
    let queue = "dispatchers: [{batch_size: 1}, {batch_size: 2, batch_maintenance: false}]\n\
                 scheduler: {dynamic_tasks_enabled: true}\n";
    let application = read(Some(&text(queue)), None, &settings("production"));
    let dispatchers = dispatchers(&application.manifests).into_iter();
    let schedules: Vec<_> = dispatchers.map(|(name, spec)| (name, spec.scheduler.enabled)).collect();
    assert_eq!(schedules, [("dispatcher", true), ("dispatcher-2", false)]);
    assert!(application.warnings[0].message.contains("batches are always looked after"));
}

#[test]
fn what_is_wrong_with_queue_yml_is_said_by_its_line_in_its_own_words() {
    for (queue, expected) in [
        ("workers:\n  - thread: 3\n", "queue.yml:2: workers[0].thread: unknown field; did you mean threads?"),
        ("worker:\n  - threads: 3\n", "queue.yml:1: worker: unknown field; did you mean workers?"),
        ("test:\n  workerz: []\n", "queue.yml:2: test.workerz: unknown field; did you mean workers?"),
        ("workers:\n  - threads: 0\n", "queue.yml:2: workers[0].threads: 0 is out of range: choose 1 to 1000"),
        ("workers:\n  - processes: -1\n", "queue.yml:2: workers[0].processes: -1 is out of range"),
        ("workers:\n  - polling_interval: -1\n", "queue.yml:2: workers[0].polling_interval: -1 seconds are no"),
        ("workers:\n  - polling_interval: 1s\n", "queue.yml:2: workers[0].polling_interval: expected a number of"),
        ("workers:\n  - {}\n  - threads: many\n", "queue.yml:3: workers[1].threads: expected a whole number"),
        ("workers:\n  queues: a\n", "queue.yml:1: workers: expected a list: put `- ` in front of each"),
        ("workers:\n  - queues: [a, \"*b\"]\n", "queue.yml:2: workers[0].queues[1]: `*b` has a `*`"),
        ("workers:\n  - queues: [*]\n", "queue.yml:2: a word that begins with `*` is an alias in YAML"),
        ("dispatchers:\n  - batch_size: 0\n", "queue.yml:2: dispatchers[0].batch_size: 0 is out of range"),
        (
            "dispatchers:\n  - concurrency_maintenance_interval: 0.1\n",
            "queue.yml:2: dispatchers[0].concurrency_maintenance_interval: 100ms is out of range",
        ),
        (
            "dispatchers:\n  - recurring_tasks: {}\n",
            "queue.yml:2: dispatchers[0].recurring_tasks: belongs into config/recurring.yml",
        ),
        (
            "scheduler:\n  dynamic_task_enabled: true\n",
            "queue.yml:2: scheduler.dynamic_task_enabled: unknown field; did you mean dynamic_tasks_enabled?",
        ),
        ("test: nonsense\n", "queue.yml:1: test: expected workers, dispatchers, scheduler"),
        ("workers: []\nworkers: []\n", "queue.yml:2: workers is written twice, in lines 1 and 2"),
        ("a: [\n", "queue.yml:"),
    ] {
        let problems = refused(queue, "test");
        assert!(problems.contains(expected), "{queue}: {problems}");
        assert_eq!(problems.lines().count(), 1, "{problems}");
    }
}

#[test]
fn ruby_is_refused_by_its_line_and_column_and_all_of_it_is_said() {
    let file = text("workers:\n<% 2.times do %>\n  - threads: <%= Etc.nprocessors %>\n<% end %>\n");
    let problems = solid_queue::read(Some(&file), None, &settings("test")).expect_err("refused");
    let places: Vec<_> = problems.iter().map(|problem| (problem.line, problem.column)).collect();
    assert_eq!(places, [(Some(2), Some(1)), (Some(3), Some(14)), (Some(4), Some(1))]);
    let said = "`<%= Etc.nprocessors %>` is Ruby, which is not run here";
    assert!(problems[1].message.contains(said), "{}", problems[1]);
    let missing = refused("workers:\n  - threads: <%= ENV.fetch('NONE') %>\n", "test");
    assert!(missing.contains("queue.yml:2: the environment has no NONE"), "{missing}");
}

#[test]
fn what_a_value_of_the_environment_gets_wrong_is_said_where_its_tag_stands() {
    let variables = |_: &str| Some("many".to_owned());
    let file = text("<%# one\ntwo %>workers:\n  - threads: <%= ENV['T'] %>\n");
    let settings = Settings { variables: &variables, ..settings("test") };
    let problems = solid_queue::read(Some(&file), None, &settings).expect_err("refused");
    assert_eq!((problems[0].line, problems[0].column), (Some(3), Some(14)), "{}", lines(&problems));
}

#[test]
fn a_file_made_to_explode_is_refused() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb += &format!("a{level}: &a{level} [{aliases}]\n");
    }
    assert!(refused(&bomb, "test").contains("aliases stand for more than"));
    assert!(refused(&"a: [".repeat(10_000), "test").contains("queue.yml:"));
}

#[test]
fn what_is_wrong_with_recurring_yml_is_said_by_its_line_in_its_own_words() {
    for (recurring, expected) in [
        ("a:\n  class: A\n  schedule: every 9 monkeys\n", "recurring.yml:3: a.schedule: "),
        ("a:\n  schedule: every hour\n", "recurring.yml:1: a: names neither a class nor a command"),
        (
            "a:\n  class: A\n  shedule: every hour\n",
            "recurring.yml:3: a.shedule: unknown field; did you mean schedule?",
        ),
        ("a:\n  class: A\n  schedule: every hour\n  prio: 3\n", "recurring.yml:4: a.prio: unknown field"),
        ("a:\n  class: A\n  schedule: every hour\n  priority: high\n", "recurring.yml:4: a.priority: expected a whole"),
        ("a:\n  class: A\n  schedule: every hour\n  queue: \"a*\"\n", "recurring.yml:4: a.queue: `a*` has a `*`"),
        ("a:\n  class: A\n  schedule:\n", "recurring.yml:3: a.schedule: is missing"),
        ("a: every hour\n", "recurring.yml:1: a: is not a task"),
        ("[a]\n", "recurring.yml:1: expected tasks, a key each"),
        ("production:\n  a:\n    class: A\n    schedule: every whenever\n", "recurring.yml:4: production.a.schedule: "),
    ] {
        let problems = refused_task(recurring);
        assert!(problems.contains(expected), "{recurring}: {problems}");
        assert_eq!(problems.lines().count(), 1, "{problems}");
    }
}

#[test]
fn a_class_beside_a_command_is_what_runs() {
    let text = "a: {class: A, command: b, schedule: every hour}\n".to_owned();
    let file = File { name: "recurring.yml".to_owned(), text };
    let application = read(None, Some(&file), &settings("production"));
    assert_eq!(tasks(&application.manifests).len(), 1);
    assert!(lines(&application.warnings).contains("a.command: has no effect beside a class"));
}

/// What other readers of YAML take for something else than text.
const AWKWARD: &[&str] = &[
    "yes",
    "no",
    "on",
    "off",
    "y",
    "n",
    "null",
    "~",
    "true",
    "12:30:45",
    "1_000",
    "0x1F",
    "010",
    "0o10",
    "1e3",
    ".inf",
    "2026-01-05",
    "2026-01-05T00:00:00Z",
    "=",
    "<<",
    "- a",
    "a: b",
    "a #b",
    "#",
    "&a",
    "*",
    "!a",
    "|",
    "%",
    "@a",
    "`a",
    "'",
    "\"",
    "[a",
    "{a",
    " a ",
    "a\tb",
    "\\n",
    "\u{fc}\u{1f600}",
    "",
    ":open",
    "one\ntwo\n",
    "a\u{85}b",
    "\u{7}",
];

#[test]
fn what_is_written_is_read_again_the_same_by_every_reader() {
    let (queue, recurring) = (file("shop-queue.yml"), file("shop-recurring.yml"));
    let mut application = read(Some(&queue), Some(&recurring), &settings("production"));
    for manifest in &mut application.manifests {
        if let Spec::RecurringTask(spec) = &mut manifest.spec {
            let job = spec.job.as_mut().expect("a job");
            let fields = json!({"yes": "no", "1": 1, "a b": [], "c": {}, "d": null, "e": 1.5, "": "x"});
            job.args = vec![json!(AWKWARD), fields];
            spec.description = Some("it's: 50% \"off\" #today".to_owned());
        }
    }
    let yaml = application.to_yaml("two\nlines");
    assert!(yaml.starts_with("# two\n# lines\n# shop-recurring.yml:26: production.purge"), "{yaml}");
    let again = read_manifests(&yaml, "again.yaml").unwrap_or_else(|problems| panic!("{}{yaml}", lines(&problems)));
    for (again, manifest) in again.iter().zip(&application.manifests) {
        assert_eq!((&again.metadata, &again.spec), (&manifest.metadata, &manifest.spec), "{yaml}");
    }
    assert_eq!(again.len(), application.manifests.len());

    for (text, manifest) in yaml.split("---\n").skip(1).zip(&application.manifests) {
        let value: serde_json::Value = serde_yaml::from_str(text).expect(text);
        if let Spec::RecurringTask(spec) = &manifest.spec {
            assert_eq!(value["spec"]["job"]["args"], json!(spec.job.as_ref().expect("a job").args), "{text}");
        }
    }
}

proptest::proptest! {
    #[test]
    fn no_file_makes_the_reader_panic(
        queue in "((workers|dispatchers|scheduler|test|threads|queues|<<|&a|\\*a|<%=?|%>|<%#|ENV|\\[|\\]|\\{|\\}|\"|'|:|,|-|#|ü|3|~|!t|\\n|  ) ?){0,20}",
        recurring in "((test|a|class|schedule|args|every hour|command|<%= ENV\\['A'\\] %>|:|-|&a|\\*a|\\[|\\]|2026-01-01|:b|ü|\\n|  ) ?){0,20}",
    ) {
        let (queue, recurring) = (text(&queue), text(&recurring));
        if let Ok(application) = solid_queue::read(Some(&queue), Some(&recurring), &settings("test")) {
            let yaml = application.to_yaml("");
            let again = read_manifests(&yaml, "again.yaml");
            proptest::prop_assert_eq!(again.map(|again| again.len()), Ok(application.manifests.len()), "{}", yaml);
        }
    }
}
