//! Starting before the database does.

use gritstone_tests::rig::{Crew, Signal, Site};
use gritstone_tests::servers::{PrivateServer, Server, ServerOptions};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_waits_for_a_server_that_is_not_there_yet_and_can_be_stopped_meanwhile() {
    let mut server = PrivateServer::start(Server::Postgres, ServerOptions::default()).await.unwrap();
    let url = server.create_database("queue").await.unwrap();
    let site = Site::on(Server::Postgres, url, &Crew::default()).await;
    site.enqueue(&[0.01]).await;
    server.stop().await.unwrap();

    let mut early = [site.start("async"), site.start("fork"), site.work(), site.dispatch()];
    let mut hasty = [site.start("async"), site.start("fork"), site.work(), site.dispatch()];
    for running in &mut hasty {
        gritstone_tests::rig::until("it has said that it waits", async || {
            running.log().contains("waiting for it").then_some(())
        })
        .await;
        running.signal(Signal::SIGTERM);
        assert!(running.end().await.success(), "{}", running.log());
    }

    server.start_again().await.unwrap();
    site.finished(1).await;
    site.listed("%", 8).await;
    for running in &mut early {
        assert!(running.stop().await.success(), "{}", running.log());
    }
    assert_eq!(site.count("processes").await, 0);
}
