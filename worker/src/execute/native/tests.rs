use super::*;
use crate::execute::{Arguments, Notices, UNSAID_RELEASE_DELAY, sample_job};
use serde_json::json;
use std::sync::Mutex;
use tokio::sync::Notify;

const LONG: Duration = Duration::from_secs(3600);

async fn run(native: &Native, job: Job) -> Report {
    native.run(Arc::new(job), Context::default()).await
}

fn with(arguments: serde_json::Value) -> Job {
    Job { arguments: Arguments::from_json(arguments.to_string()).unwrap(), ..sample_job() }
}

fn error(report: Report) -> JobError {
    match report.outcome {
        Outcome::Retry { error, .. } | Outcome::Fail { error } => error,
        other => panic!("{other:?}"),
    }
}

fn due_in(wait: Duration) -> Option<jiff::Timestamp> {
    Some(jiff::Timestamp::now() + wait)
}

#[tokio::test]
async fn a_function_gets_its_arguments_and_its_result_is_kept() {
    let native = Native::new().on("SendMail", |(to, copies): (String, u8), job: JobContext| async move {
        Ok::<_, Stop>(format!("{copies} to {to} in attempt {}", job.attempt))
    });
    let report = run(&native, with(json!(["ann", 2]))).await;
    assert_eq!(report.outcome, Outcome::Done);
    assert_eq!(report.result.unwrap().get(), r#""2 to ann in attempt 1""#);
    assert_eq!(native.classes().unwrap(), ["SendMail"]);
}

#[tokio::test]
async fn nothing_is_no_result() {
    let native = Native::new().on("SendMail", |(): (), _| async { Ok::<_, Stop>(()) });
    assert!(run(&native, sample_job()).await.result.is_none());
}

#[tokio::test]
async fn arguments_that_do_not_fit_fail_for_good() {
    let native = Native::new().on("SendMail", |_: (String, u8), _| async { Ok::<_, Stop>(()) });
    let report = run(&native, with(json!(["ann", "many"]))).await;
    assert!(matches!(report.outcome, Outcome::Fail { .. }));
    let error = error(report);
    assert_eq!(error.exception_class(), class::INVALID_ARGUMENTS);
    assert!(
        error.message().starts_with("SendMail takes (alloc::string::String, u8): invalid type"),
        "{}",
        error.message()
    );
}

#[tokio::test]
async fn an_unknown_class_fails_for_good() {
    let report = run(&Native::new(), sample_job()).await;
    assert!(matches!(report.outcome, Outcome::Fail { .. }));
    assert_eq!(error(report).exception_class(), class::UNKNOWN_JOB_CLASS);
}

#[tokio::test]
async fn an_error_leaves_it_to_the_policy_and_a_stop_does_not() {
    let native = Native::new()
        .on("Error", |(): (), _| async { "x".parse::<u8>().map(drop) })
        .on("Fail", |(): (), _| async { Err::<(), _>(Stop::fail("never")) })
        .on("Later", |(): (), _| async { Err::<(), _>(Stop::retry_in(LONG, "later")) })
        .on("Release", |(): (), _| async { Err::<(), _>(Stop::release()) })
        .on("ReleaseIn", |(): (), _| async { Err::<(), _>(Stop::release_in(LONG)) });
    let outcome = async |class: &str| run(&native, Job { class: class.into(), ..sample_job() }).await.outcome;
    assert!(
        matches!(outcome("Error").await, Outcome::Retry { delay: None, error } if error.exception_class().contains("ParseIntError"))
    );
    assert!(matches!(outcome("Fail").await, Outcome::Fail { error } if error.message() == "never"));
    assert!(matches!(outcome("Later").await, Outcome::Retry { delay: Some(LONG), .. }));
    assert_eq!(outcome("Release").await, Outcome::Release { delay: Some(UNSAID_RELEASE_DELAY) });
    assert_eq!(outcome("ReleaseIn").await, Outcome::Release { delay: Some(LONG) });
}

#[tokio::test]
async fn panics_are_contained_wherever_they_happen() {
    let native = Native::new()
        .on("Early", |(): (), _| -> std::future::Ready<Result<(), Stop>> { panic!("{} early", "too") })
        .on("Late", |(): (), _| async {
            tokio::task::yield_now().await;
            if true {
                panic!("too late");
            }
            Ok::<_, Stop>(())
        });
    for (class, said) in [("Early", "too early"), ("Late", "too late")] {
        let report = run(&native, Job { class: class.into(), ..sample_job() }).await;
        assert!(matches!(report.outcome, Outcome::Retry { .. }));
        let error = error(report);
        assert_eq!((error.exception_class(), error.message()), (class::HANDLER_PANICKED, said));
        assert!(error.backtrace()[0].contains("native/tests.rs:"), "{:?}", error.backtrace());
    }
}

#[tokio::test]
async fn layers_run_around_the_job_in_order() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let layer = |name: &'static str| {
        let seen = Arc::clone(&seen);
        move |job: JobContext, next: Next| {
            let seen = Arc::clone(&seen);
            async move {
                seen.lock().unwrap().push(format!("{name} before {}", job.class));
                let answer = next.run(job).await;
                seen.lock().unwrap().push(format!("{name} after, {}", answer.is_ok()));
                answer
            }
        }
    };
    let native = Native::new()
        .around(layer("outer"))
        .around(layer("inner"))
        .on("SendMail", |(): (), _| async { Ok::<_, Stop>(()) });
    assert_eq!(run(&native, sample_job()).await.outcome, Outcome::Done);
    let expected = ["outer before SendMail", "inner before SendMail", "inner after, true", "outer after, true"];
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[tokio::test]
async fn a_layer_may_end_the_job_itself() {
    let native = Native::new()
        .around(|_, _| async { Err(Stop::fail("not today")) })
        .on("SendMail", |(): (), _| async { Ok::<_, Stop>(()) });
    assert!(matches!(run(&native, sample_job()).await.outcome, Outcome::Fail { .. }));
}

#[tokio::test]
async fn a_cancelled_job_may_finish_within_its_grace() {
    let native = Native::new().with_grace(LONG).on("SendMail", |(): (), job: JobContext| async move {
        job.cancel_token().cancelled().await;
        Ok::<_, Stop>("just in time")
    });
    let context = Context::default();
    let run = native.run(Arc::new(sample_job()), context.clone());
    let (report, ()) = tokio::join!(run, async { context.cancel.cancel() });
    assert_eq!(report.outcome, Outcome::Done);
    assert!(report.result.is_some());
}

#[tokio::test]
async fn a_cancelled_job_that_fails_or_goes_on_is_released() {
    let native = Native::new()
        .with_grace(Duration::ZERO)
        .on("Fails", |(): (), job: JobContext| async move {
            job.cancel_token().cancelled().await;
            Err::<(), _>("interrupted")
        })
        .on("GoesOn", |(): (), _| std::future::pending::<Result<(), Stop>>());
    for class in ["Fails", "GoesOn"] {
        let context = Context::default();
        let run = native.run(Arc::new(Job { class: class.into(), ..sample_job() }), context.clone());
        let (report, ()) = tokio::join!(run, async {
            tokio::task::yield_now().await;
            context.cancel.cancel();
        });
        assert_eq!(report.outcome, Outcome::Release { delay: None }, "{class}");
    }
}

#[tokio::test]
async fn a_late_job_is_told_then_dropped_and_counts_as_a_timeout() {
    let told = Arc::new(Notify::new());
    let native = Native::new().with_grace(Duration::from_millis(10)).on("SendMail", {
        let told = Arc::clone(&told);
        move |(): (), job: JobContext| {
            let told = Arc::clone(&told);
            async move {
                job.cancel_token().cancelled().await;
                told.notify_one();
                std::future::pending::<Result<(), Stop>>().await
            }
        }
    });
    let context = Context::default();
    let job = Job { deadline: due_in(Duration::from_millis(10)), ..sample_job() };
    let report = native.run(Arc::new(job), context.clone()).await;
    told.notified().await;
    assert!(matches!(report.outcome, Outcome::Retry { .. }));
    assert_eq!(error(report).exception_class(), class::JOB_TIMEOUT);
    assert!(!context.cancel.is_cancelled());
}

#[tokio::test]
async fn a_job_tells_how_far_it_is() {
    #[derive(Default)]
    struct Kept(Mutex<Vec<String>>);
    impl Notices for Kept {
        fn heartbeat(&self, job: &Job) {
            self.0.lock().unwrap().push(format!("{} lives", job.claim));
        }
        fn progress(&self, _: &Job, progress: &RawValue) {
            self.0.lock().unwrap().push(progress.get().to_owned());
        }
        fn log(&self, _: &Job, line: &str) {
            self.0.lock().unwrap().push(line.to_owned());
        }
    }
    let native = Native::new().on("SendMail", |(): (), job: JobContext| async move {
        job.heartbeat();
        job.progress(&json!({"half": true}))?;
        job.log("hello");
        Ok::<_, Stop>(())
    });
    let kept = Arc::new(Kept::default());
    let context = Context { notices: Some(kept.clone()), ..Context::default() };
    native.run(Arc::new(sample_job()), context).await;
    assert_eq!(*kept.0.lock().unwrap(), ["7 lives", r#"{"half":true}"#, "hello"]);
}

#[derive(serde::Serialize, serde::Deserialize)]
struct SendMail {
    to: String,
}

impl JobClass for SendMail {
    const CLASS: &'static str = "SendMail";
}

#[tokio::test]
async fn a_class_that_is_a_type_comes_back_as_it_was_enqueued() {
    let native = Native::new().on_class(|mail: SendMail, _: JobContext| async move { Ok::<_, Stop>(mail.to) });
    let job = gritstone_store::NewJob::of(&SendMail { to: "ann".into() }).unwrap();
    let report = run(&native, with(job.arguments.into())).await;
    assert_eq!(report.result.unwrap().get(), r#""ann""#);
    assert_eq!(native.classes().unwrap(), [SendMail::CLASS]);
}
