//! `gritstone batches`.

use super::support::Home;
use gritstone_store::{NewBatch, NewJob};

#[tokio::test]
async fn batches_show_how_far_they_are() {
    let home = Home::new();
    home.run(&["batches", "list"]).ok().says("there are no batches");
    let mut session = home.session().await;
    let new = NewBatch { description: Some("nightly import".into()), ..NewBatch::default() };
    let batch = session.create_batch(&new).await.unwrap();
    let member = NewJob { batch: Some(batch.clone()), ..NewJob::new("Import", vec![]) };
    session.enqueue(&[member.clone(), member]).await.unwrap();
    session.start_batch(batch.id).await.unwrap();
    home.run(&["batches", "list"]).ok().prints("running").prints("nightly import");
    home.fail(1).await;
    let shown = home.run(&["batches", "show", &batch.active_job_batch_id, "--json"]).ok().json();
    assert_eq!(
        (&shown["total_jobs"], &shown["failed_jobs"], &shown["pending_jobs"]),
        (&2.into(), &1.into(), &1.into())
    );
    // Discarding the last member ends the batch.
    home.run(&["jobs", "discard", "--state", "ready", "--all"]).ok();
    home.run(&["batches", "show", &batch.id.to_string()]).ok().prints("state").prints("failed");
    assert_eq!(home.run(&["batches", "list", "--json"]).ok().json()["batches"][0]["pending_jobs"], 0);
}
