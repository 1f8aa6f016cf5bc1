//! Databases that are not what they should be: wrong addresses, SQLite files, schemas.

use crate::support::{Home, Ran};
use gritstone_tests::rig::{Sql, gritstone};
use gritstone_tests::servers::Engine;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

#[test]
fn a_url_that_is_none() {
    let home = Home::empty();
    for (url, says) in [
        ("garbage", "it should look like postgres://user:password@host:5432/name"),
        ("redis://host/0", "use postgres://, mysql:// or sqlite://"),
        ("postgres://host", "end it with /NAME"),
        ("sqlite::memory:", "an in-memory SQLite database can't be a queue"),
        ("sqlite://q.db?x=1", "known is synchronous=full"),
        ("", "is empty"),
    ] {
        home.run(&["queues", "list", "--database", url]).code(2).says("--database").says(says);
        home.run(&["start", "--command", "x", "--database", url]).code(2).says(says);
        Home::at(url).run(&["queues", "list"]).code(2).says("the environment's DATABASE_URL").says(says);
    }
}

#[test]
fn a_file_that_is_not_there() {
    let home = Home::empty();
    for arguments in [["queues", "list"].as_slice(), &["enqueue", "A"], &["work", "--command", "x"], &["clear"]] {
        home.run(arguments).code(3).says("there is no database").says("run `gritstone migrate`");
    }
    assert!(!home.path("queue.db").exists());
}

#[test]
fn a_folder_that_is_not_there() {
    let home = Home::empty();
    let folder = home.path("nowhere");
    let url = format!("sqlite://{}/queue.db", folder.display());
    let says = format!("mkdir -p {}", folder.display());
    for arguments in [["migrate"].as_slice(), &["enqueue", "A"], &["start", "--command", "x"], &["dispatch"]] {
        home.run(&[arguments, &["--database", &url]].concat()).code(1).says("does not exist").says(&says);
    }
    assert!(!folder.exists());
}

#[test]
fn a_folder_in_place_of_a_file() {
    let home = Home::empty();
    home.run(&["migrate", "--database", "sqlite://."]).code(1).says("is a folder: name a file in it");
}

#[test]
fn a_file_that_is_no_database() {
    let home = Home::empty();
    let text = "this is no database, but long enough to be looked at as if it were one\n".repeat(20);
    home.write("queue.db", &text);
    home.run(&["migrate"]).code(3).says("file is not a database").says("Name another file");
    assert_eq!(std::fs::read_to_string(home.path("queue.db")).unwrap(), text);
}

#[test]
fn no_tables() {
    let home = Home::empty();
    home.write("queue.db", "");
    for arguments in [["queues", "list"].as_slice(), &["enqueue", "A"], &["jobs", "retry", "1"]] {
        home.run(arguments)
            .code(3)
            .says("the database has no Gritstone tables; run `gritstone migrate` on this database");
    }
}

#[tokio::test]
async fn a_newer_schema() {
    let home = Home::new();
    let mut sql = Sql::connect(Engine::Sqlite, home.url()).await.unwrap();
    let newer = "insert into gritstone_migrations (version, name, min_compatible, applied_at) \
                 values (99, '0099_future', 99, '2030-01-01 00:00:00')";
    sql.run(newer).await.unwrap();
    for arguments in [
        ["queues", "list"].as_slice(),
        &["migrate"],
        &["start", "--command", "x"],
        &["work", "--command", "x"],
        &["dispatch"],
    ] {
        home.run(arguments).code(3).says("needs at least schema version 99").says("use a newer gritstone");
    }
    sql.run("update gritstone_migrations set min_compatible = 1 where version = 99").await.unwrap();
    home.run(&["queues", "list"]).ok();
}

/// What the command says as someone who may only read the folder and the file.
fn without_rights(home: &Home, arguments: &[&str]) -> Ran {
    let mut command = home.command(arguments);
    if nix::unistd::geteuid().is_root() {
        // Root may write anywhere; nobody may not, and may not even look into the build's folder.
        let program = home.path("gritstone");
        if !program.exists() {
            std::fs::copy(gritstone(), &program).unwrap();
        }
        command = Command::new(program);
        command.args(arguments).env("DATABASE_URL", home.url()).current_dir(home.path("")).uid(65_534).gid(65_534);
    }
    Ran::of(command)
}

#[tokio::test]
async fn a_file_that_may_only_be_read() {
    let home = Home::new();
    home.enqueue("A", 1);
    let mode = |name: &str, mode: u32| {
        std::fs::set_permissions(home.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode("queue.db", 0o444);
    mode("", 0o555);
    let ran = without_rights(&home, &["enqueue", "A"]).code(3);
    mode("", 0o755);
    mode("queue.db", 0o644);
    ran.says("enqueuing jobs in sqlite://").says("can't be written to").says("make it writable");
    assert_eq!(home.run(&["jobs", "list", "--json"]).ok().json()["jobs"].as_array().unwrap().len(), 1);
}

/// Linux alone lets a test have a disk of a megabyte, and some containers forbid even that.
#[tokio::test]
async fn a_full_disk() {
    let home = Home::empty();
    std::fs::create_dir(home.path("disk")).unwrap();
    let script = "mount -t tmpfs -o size=1m tmpfs disk || exit 77
        export DATABASE_URL=sqlite://disk/queue.db
        \"$0\" migrate >/dev/null || exit 78
        printf '{\"class\": \"A\", \"args\": [\"%02000000d\"]}\\n' 0 | \"$0\" enqueue
        echo \"exit $?\"
        \"$0\" enqueue A >/dev/null
        \"$0\" jobs list --json || exit 79";
    let mut command = Command::new("unshare");
    command
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script])
        .arg(gritstone())
        .current_dir(home.path(""));
    let ran = match command.output() {
        Ok(output) if output.status.code() == Some(77) || output.status.code() == Some(1) => return,
        Ok(output) => Ran::new(output).ok(),
        // There is no such program.
        Err(_) => return,
    };
    let (code, jobs) = ran.out.split_once('\n').unwrap();
    assert_eq!(code, "exit 3", "{ran:#?}");
    let jobs: serde_json::Value = serde_json::from_str(jobs).unwrap();
    assert_eq!(jobs["jobs"].as_array().unwrap().len(), 1, "the small one alone");
    ran.says("enqueuing jobs in sqlite://disk/queue.db").says("full").says("Make room on its disk");
}

#[tokio::test]
async fn two_supervisors_with_one_pidfile() {
    let home = Home::new();
    let pidfile = home.path("g.pid");
    let mut first = home
        .command(&["start", "--command", "/bin/true", "--pidfile", "g.pid"])
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let pid = first.id().to_string();
    gritstone_tests::rig::until("the pidfile is written", async || {
        std::fs::read_to_string(&pidfile).ok().filter(|text| text.trim() == pid)
    })
    .await;
    let second = home.run(&["start", "--command", "/bin/true", "--pidfile", "g.pid"]);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(first.id() as i32), nix::sys::signal::Signal::SIGTERM).unwrap();
    assert!(first.wait().unwrap().success());
    second.code(1).says(&format!("another supervisor (pid {pid}) holds g.pid"));
    assert!(!pidfile.exists());
    home.run(&["start", "--command", "/bin/true", "--pidfile", "nowhere/g.pid"])
        .code(1)
        .says("the pidfile nowhere/g.pid can't be written");
}
