//! `examples/web-server`: the engine inside a web server, from its first order to its end.

use gritstone_store::{JobFilter, JobState, Store, StoreOptions};
use gritstone_tests::rig::{Running, Signal, built, until};
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;

struct Shop {
    folder: tempfile::TempDir,
    server: Running,
    address: String,
}

impl Shop {
    async fn open() -> Shop {
        let folder = tempfile::tempdir().unwrap();
        let (server, address) = serve(&folder).await;
        Shop { folder, server, address }
    }

    /// Starts it again, as whoever deploys a new version does.
    async fn reopen(&mut self) {
        (self.server, self.address) = serve(&self.folder).await;
    }

    fn receipt(&self, order: i64) -> PathBuf {
        self.folder.path().join(format!("outbox/{order}.txt"))
    }

    fn connect(&self) -> std::io::Result<TcpStream> {
        TcpStream::connect(&self.address)
    }

    fn post(&self, order: &Value) -> (u16, Value) {
        let mut stream = self.connect().unwrap();
        stream.write_all(request(order).as_bytes()).unwrap();
        answer(stream)
    }

    fn get(&self, path: &str) -> (u16, Value) {
        let mut stream = self.connect().unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n").unwrap();
        answer(stream)
    }

    async fn jobs(&self) -> Vec<JobState> {
        let store = Store::open(&url(&self.folder), StoreOptions::default()).unwrap();
        let page =
            store.session().await.unwrap().jobs(&JobFilter { limit: 100, ..JobFilter::default() }).await.unwrap();
        page.jobs.into_iter().map(|job| job.state).collect()
    }

    async fn sent(&self, order: i64) {
        let path = format!("/orders/{order}");
        until("the receipt is sent", async || (self.get(&path).1["receipt_sent"] == json!(true)).then_some(())).await;
    }
}

fn url(folder: &tempfile::TempDir) -> String {
    format!("sqlite://{}", folder.path().join("shop.db").display())
}

async fn serve(folder: &tempfile::TempDir) -> (Running, String) {
    let mut command = Command::new(built("web-server", "gritstone-example-web-server"));
    command.args(["--listen", "127.0.0.1:0"]).current_dir(folder.path()).env_remove("RUST_LOG");
    let log = tempfile::Builder::new().suffix(".log").tempfile_in(folder.path()).unwrap().keep().unwrap().1;
    let mut server = Running::start(command, &log).unwrap();
    let address = until("the server says where it listens", async || {
        assert!(server.ended().is_none(), "{}", server.log());
        let log = server.log();
        let line = log.lines().find_map(|line| line.strip_prefix("listening on http://"))?;
        log.contains(&format!("{line}\n")).then(|| line.to_owned())
    })
    .await;
    (server, address)
}

fn request(order: &Value) -> String {
    let body = order.to_string();
    format!(
        "POST /orders HTTP/1.1\r\nHost: shop\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn answer(mut stream: TcpStream) -> (u16, Value) {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("{text:?}"));
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_taken_and_its_receipt_sent_by_the_same_program() {
    let shop = Shop::open().await;
    assert_eq!(shop.post(&json!({"customer": "Ann", "items": 3})), (201, json!({"order": 1})));
    shop.sent(1).await;
    let receipt = std::fs::read_to_string(shop.receipt(1)).unwrap();
    assert_eq!(receipt, "Dear Ann, thank you for ordering 3 items.\n");
    assert_eq!(shop.get("/orders/2").0, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_order_leaves_neither_an_order_nor_a_job() {
    let shop = Shop::open().await;
    assert_eq!(shop.post(&json!({"customer": "Ann", "items": 0})).0, 422);
    assert_eq!(shop.post(&json!({"customer": "Ann"})).0, 422);
    assert_eq!(shop.get("/orders/1").0, 404);
    assert!(shop.jobs().await.is_empty());
}

/// The receipt's file is a pipe here: the job hangs in opening it until somebody reads.
#[tokio::test(flavor = "multi_thread")]
async fn told_to_stop_it_answers_what_was_asked_and_ends_the_job_that_runs() {
    let mut shop = Shop::open().await;
    nix::unistd::mkfifo(&shop.receipt(1), nix::sys::stat::Mode::S_IRWXU).unwrap();
    shop.post(&json!({"customer": "Ann", "items": 1}));
    until("the job runs", async || (shop.jobs().await == [JobState::Claimed]).then_some(())).await;
    // Half a request: the server knows that one is under way.
    let mut late = shop.connect().unwrap();
    let order = request(&json!({"customer": "Bob", "items": 2}));
    let (begin, rest) = order.split_at(order.len() - 5);
    late.write_all(begin.as_bytes()).unwrap();
    shop.server.signal(Signal::SIGTERM);
    until("nobody listens any more", async || shop.connect().is_err().then_some(())).await;
    late.write_all(rest.as_bytes()).unwrap();
    assert_eq!(answer(late), (201, json!({"order": 2})));
    let receipt = shop.receipt(1);
    let read = tokio::task::spawn_blocking(move || std::fs::read_to_string(receipt));
    assert_eq!(read.await.unwrap().unwrap(), "Dear Ann, thank you for ordering 1 items.\n");
    assert!(shop.server.end().await.success(), "{}", shop.server.log());
    assert!(shop.jobs().await.contains(&JobState::Finished));
    // What came too late for this one is for the next.
    shop.reopen().await;
    shop.sent(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_killed_leaves_its_orders_to_the_next_start() {
    let mut shop = Shop::open().await;
    nix::unistd::mkfifo(&shop.receipt(1), nix::sys::stat::Mode::S_IRWXU).unwrap();
    shop.post(&json!({"customer": "Ann", "items": 1}));
    until("the job runs", async || (shop.jobs().await == [JobState::Claimed]).then_some(())).await;
    shop.server.kill().await;
    std::fs::remove_file(shop.receipt(1)).unwrap();
    shop.reopen().await;
    shop.sent(1).await;
}
