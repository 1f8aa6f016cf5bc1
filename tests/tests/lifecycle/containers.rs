//! In a container: as process number 1, in somebody else's image.

use gritstone_tests::rig::{Crew, Running, Signal, Site, gritstone, processes, until};
use gritstone_tests::servers::Engine;
use serde_json::json;
use std::process::Command;

/// The command as number 1 of a space of process ids of its own. None where the kernel lets nobody have one.
fn as_number_one(site: &Site, arguments: &[&str]) -> Option<Running> {
    let root = nix::unistd::geteuid().is_root();
    let mut space = vec!["--pid", "--fork", "--kill-child", "--mount-proc"];
    if !root {
        space.extend(["--user", "--map-root-user"]);
    }
    let can = Command::new("unshare").args(&space).arg("true").output().is_ok_and(|output| output.status.success());
    if !can {
        eprintln!("not tried: no process ids of its own are to be had here");
        return None;
    }
    let mut command = Command::new("unshare");
    command.args(&space).arg(gritstone()).args(arguments);
    command.env("DATABASE_URL", &site.url).env("GRITSTONE_LOG", "info").current_dir(site.folder());
    Some(Running::start(command, &site.folder().join("one.log")).expect("unshare"))
}

/// Number 1 and the engine, by the numbers that they have outside.
async fn number_one_and_engine(running: &Running) -> (i32, i32) {
    until("number 1 has started the engine", async || match processes::descendants(running.pid())[..] {
        [one, engine, ..] => Some((one, engine)),
        _ => None,
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn number_one_reaps_what_handlers_leave_behind_and_stops_in_order() {
    let site = Site::new(Engine::Sqlite, &Crew::default()).await;
    // Each run leaves an orphan in a session of its own, where nothing that ends the run reaches it, and ends once that is there.
    let script = "(setsid sh -c 'echo up; exec >/dev/null; sleep 0.1; echo gone >> orphans' &) | read up; exit 0";
    let file = site.folder().join("leaves.sh");
    std::fs::write(&file, script).unwrap();
    let command = format!("sh {}", file.display());
    let Some(mut running) = as_number_one(&site, &["start", "--command", &command]) else { return };
    let (one, _) = number_one_and_engine(&running).await;
    site.enqueue(&[0.0; 5]).await;
    site.finished(5).await;
    until("the orphans have ended", async || {
        let orphans = std::fs::read_to_string(site.folder().join("orphans")).unwrap_or_default();
        (orphans.lines().count() == 5).then_some(())
    })
    .await;
    until("nothing has ended without being reaped", async || {
        processes::descendants(one).into_iter().all(processes::is_alive).then_some(())
    })
    .await;

    processes::send(one, Signal::SIGTERM);
    assert!(running.end().await.success(), "{}", running.log());
    assert!(running.log().contains("TERM: stopping"), "{}", running.log());
    assert_eq!(site.count("processes").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn number_one_ends_as_its_engine_does_and_takes_all_with_it() {
    let site = Site::new(Engine::Sqlite, &Crew::default()).await;
    let Some(mut running) = as_number_one(&site, &["start", "--command", "sleep 600"]) else { return };
    let (one, engine) = number_one_and_engine(&running).await;
    site.enqueue(&[0.0]).await;
    let child = until("the job runs", async || {
        let of_engine = processes::descendants(engine);
        of_engine.into_iter().find(|pid| processes::is_alive(*pid))
    })
    .await;
    processes::send(engine, Signal::SIGKILL);
    assert_eq!(running.end().await.code(), Some(137), "{}", running.log());
    assert!(!processes::is_alive(one) && !processes::is_alive(child));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handlers_see_their_images_environment_and_nothing_of_the_engines() {
    let site = Site::new(Engine::Sqlite, &Crew::default()).await;
    let file = site.folder().join("env.sh");
    std::fs::write(&file, "env > environment.part; mv environment.part environment; cat").unwrap();
    let (command, ours) = (format!("sh {}", file.display()), "/gritstone/ca-certificates.crt");
    let given =
        [("PGPASSWORD", "hidden"), ("MYSQL_PWD", "hidden"), ("GRITSTONE_CA_FILE", ours), ("SHOP_SECRET", "theirs")];
    for (authorities, seen) in [(ours, false), ("/etc/shop/roots.pem", true)] {
        let mut given = given.to_vec();
        given.push(("SSL_CERT_FILE", authorities));
        let mut running = site.run_with(&["start", "--command", &command], &given);
        site.enqueue_one(vec![json!(0)]).await;
        let environment = until("the handler has written its environment", async || {
            std::fs::read_to_string(site.folder().join("environment")).ok()
        })
        .await;
        running.stop().await;
        std::fs::remove_file(site.folder().join("environment")).unwrap();
        let has = |name: &str| environment.lines().any(|line| line.starts_with(&format!("{name}=")));
        for hidden in ["DATABASE_URL", "PGPASSWORD", "MYSQL_PWD", "GRITSTONE_CA_FILE", "GRITSTONE_INIT"] {
            assert!(!has(hidden), "{hidden} in {environment}");
        }
        assert!(has("SHOP_SECRET") && has("PATH"), "{environment}");
        assert_eq!(has("SSL_CERT_FILE"), seen, "{environment}");
    }
}
