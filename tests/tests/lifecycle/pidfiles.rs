//! One supervisor for each pidfile.

use gritstone_tests::rig::{Crew, Site};
use gritstone_tests::servers::Engine;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_supervisor_is_refused_until_the_first_is_gone_however_it_went() {
    let site = Site::new(Engine::Sqlite, &Crew::default()).await;
    let manifests = site.manifests();
    let arguments = ["start", "--file", &manifests, "--pidfile", "queue.pid"];
    let mut first = site.run(&arguments);
    site.listed("%", 3).await;

    let mut second = site.run(&arguments);
    assert_eq!(second.end().await.code(), Some(1));
    assert!(second.log().contains(&format!("pid {}", first.pid())), "{}", second.log());
    assert_eq!(site.count("processes").await, 3);

    first.kill().await;
    let mut third = site.run(&arguments);
    site.enqueue(&[0.01]).await;
    site.finished(1).await;
    assert!(third.stop().await.success());
    assert!(!site.folder().join("queue.pid").exists());
}
