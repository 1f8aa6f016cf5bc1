//! Servers that are down, full, read-only or strangers.

use crate::support::Home;
use gritstone_store::JobState;
use gritstone_tests::rig::{Sql, until};
use gritstone_tests::servers::{Engine, PrivateServer, Server, ServerOptions};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::File;
use std::time::{Duration, Instant};

#[test]
fn a_server_that_is_down() {
    for url in ["postgres://joe@127.0.0.1:1/app", "mysql://joe@127.0.0.1:1/app"] {
        let home = Home::at(url);
        let began = Instant::now();
        let ran = home.run(&["enqueue", "A"]).code(3);
        assert!(began.elapsed() < Duration::from_secs(15));
        ran.says(&format!("enqueuing jobs in {}: the database is away", url.replace("joe@", "")))
            .says("See that the database runs");
    }
}

#[tokio::test]
async fn starting_before_the_server() {
    let mut server = PrivateServer::start(Server::Postgres, ServerOptions::default()).await.unwrap();
    let home = Home::at(&server.create_database("app").await.unwrap());
    server.stop().await.unwrap();
    let log = home.path("log");
    let mut command = home.command(&["start", "--command", "/bin/true"]);
    let mut running = command.stderr(File::create(&log).unwrap()).spawn().unwrap();
    until("it waits for the server", async || {
        std::fs::read_to_string(&log).ok().filter(|text| text.contains("waiting for it"))
    })
    .await;
    server.start_again().await.unwrap();
    until("the tables are there", async || home.run(&["enqueue", "A"]).code.filter(|code| *code == 0)).await;
    until("the job is done", async || home.state(1).await.filter(|state| *state == JobState::Finished)).await;
    kill(Pid::from_raw(running.id() as i32), Signal::SIGTERM).unwrap();
    assert!(running.wait().unwrap().success());
}

#[tokio::test]
async fn a_server_that_does_not_answer() {
    let server = PrivateServer::start(Server::Postgres, ServerOptions::default()).await.unwrap();
    let home = Home::at(&server.create_database("app").await.unwrap());
    server.pause().unwrap();
    let began = Instant::now();
    let ran = home.run(&["enqueue", "A"]);
    server.resume().unwrap();
    assert!(began.elapsed() < Duration::from_secs(25));
    ran.code(3).says("did not answer within 10s");
}

#[tokio::test]
async fn a_database_that_does_not_exist() {
    for server in [Server::Postgres, Server::MariaDb] {
        let mut url = gritstone_tests::servers::admin_url(server).await.unwrap();
        url.set_path("gritstone_never_made");
        Home::at(url.as_str()).run(&["migrate"]).code(3).says("gritstone_never_made").says("CREATE DATABASE");
    }
}

#[tokio::test]
async fn a_user_that_does_not_exist() {
    let mut url = gritstone_tests::servers::admin_url(Server::Postgres).await.unwrap();
    url.set_username("gritstone_nobody").unwrap();
    url.set_password(Some("s3cret")).unwrap();
    let ran = Home::at(url.as_str()).run(&["queues", "list"]).code(3).says("See that the user and the password");
    assert!(!ran.err.contains("s3cret"));
    let mut url = gritstone_tests::servers::admin_url(Server::MariaDb).await.unwrap();
    url.set_username("gritstone_nobody").unwrap();
    url.set_password(Some("s3cret")).unwrap();
    let ran = Home::at(url.as_str()).run(&["queues", "list"]).code(3).says("permission denied by the database");
    assert!(!ran.err.contains("s3cret"));
}

#[tokio::test]
async fn a_server_that_may_only_be_read() {
    let home = Home::on(Engine::Server(Server::Postgres)).await;
    let url = format!("{}?options=-c%20default_transaction_read_only%3Don", home.url());
    let ran = home.run(&["enqueue", "A", "--database", &url]).code(3);
    ran.says("the database can't be written to").says("read-only transaction").says("name the primary");
    home.run(&["queues", "list", "--database", &url]).ok();
    home.run(&["jobs", "list"]).ok().says("no jobs match");
}

#[tokio::test]
async fn a_server_without_free_connections() {
    // PostgreSQL keeps three of them for superusers.
    let options = ServerOptions { max_connections: 5, ..ServerOptions::default() };
    let server = PrivateServer::start(Server::Postgres, options).await.unwrap();
    let home = Home::at(&server.create_database("app").await.unwrap());
    let engine = Engine::Server(Server::Postgres);
    let mut held = Vec::new();
    while let Ok(connection) = Sql::connect(engine, home.url()).await {
        held.push(connection);
    }
    home.run(&["queues", "list"]).code(3).says("the database is away").says("raise its limit (max_connections)");
    drop(held);
    until("a connection is free again", async || home.run(&["migrate"]).code.filter(|code| *code == 0)).await;
}
