use super::*;
use std::sync::Mutex;

fn process() -> ProcessInfo {
    ProcessInfo {
        kind: "Worker".into(),
        process_id: Some(7),
        name: Some("worker-1".into()),
        pid: 1,
        hostname: "here".into(),
    }
}

#[tokio::test]
async fn hooks_run_in_their_order_and_each_once() {
    let ran = Arc::new(Mutex::new(Vec::new()));
    let note = |what: &'static str| {
        let ran = Arc::clone(&ran);
        move |process: ProcessInfo| {
            ran.lock().unwrap().push(format!("{what} {}", process.kind));
            std::future::ready(())
        }
    };
    let hooks =
        Hooks::new().on_stop(note("stop")).on_start(note("first")).on_start(note("second")).on_exit(note("exit"));
    let (life, stop) = (Life::new(&hooks), Stop::new());
    life.start(&process(), &stop).await.unwrap();
    life.start(&process(), &stop).await.unwrap();
    life.stop(&process(), &stop).await;
    life.exit(&process()).await;
    assert_eq!(*ran.lock().unwrap(), ["first Worker", "second Worker", "stop Worker", "exit Worker"]);
}

#[tokio::test]
async fn a_start_hook_that_fails_stops_the_process_and_says_which() {
    for (hooks, expected) in [
        (Hooks::new().on_start(|_| async { Err::<(), _>("no licence") }), "start hook 1 failed: no licence"),
        (
            Hooks::new().on_start(|_| async {}).on_start(|_| std::future::poll_fn::<(), _>(|_| panic!("oh"))),
            "start hook 2 failed: it panicked",
        ),
        (
            Hooks::new().with_timeout(Duration::from_millis(1)).on_start(|_| std::future::pending::<()>()),
            "it took longer than 1ms",
        ),
    ] {
        let (life, stop) =
            (Life::new(&hooks.on_stop(|_| std::future::poll_fn::<(), _>(|_| panic!("it never started")))), Stop::new());
        let error = life.start(&process(), &stop).await.unwrap_err().to_string();
        assert!(error.starts_with("the Worker stops") && error.contains(expected), "{error}");
        life.stop(&process(), &stop).await;
    }
}

#[tokio::test]
async fn told_to_stop_at_once_a_stop_hook_is_not_waited_for() {
    let (life, stop) = (Life::new(&Hooks::new().on_stop(|_| std::future::pending::<()>())), Stop::new());
    life.start(&process(), &stop).await.unwrap();
    stop.at_once();
    life.stop(&process(), &stop).await;
}

#[tokio::test]
async fn errors_that_come_too_fast_are_counted_and_dropped_and_nobody_waits() {
    let (heard, gate) = (Arc::new(Mutex::new(Vec::new())), Arc::new(tokio::sync::Semaphore::new(0)));
    let hooks = Hooks::new().on_error({
        let (heard, gate) = (Arc::clone(&heard), Arc::clone(&gate));
        move |error: EngineError| {
            let (heard, gate) = (Arc::clone(&heard), Arc::clone(&gate));
            async move {
                gate.acquire().await.unwrap().forget();
                heard.lock().unwrap().push(error);
            }
        }
    });
    let (reporter, reporting) = Reporter::start(&hooks, process());
    reporter.engine("claims", "first");
    for _ in 0..1_000 {
        reporter.engine("claims", "more");
    }
    assert!(!reporter.hears_of_jobs());
    gate.add_permits(10_000);
    reporting.close().await;
    let heard = heard.lock().unwrap();
    assert_eq!(heard.len() as u64 + heard.iter().map(|error| error.dropped).sum::<u64>(), 1_001);
    assert!(heard.len() <= 102, "{}", heard.len());
    assert_eq!((heard[0].message.as_str(), heard[0].process.process_id), ("first", Some(7)));
}
