//! Many who do anything at any time and vanish in the middle of it: no slot is leaked or doubled, no job is in two states or in none,
//! no batch ends twice or never.

use crate::support::{Actor, Db, check_moment, conformance, run_to_the_end};
use std::sync::{Arc, Mutex};
use tokio::task::JoinSet;

conformance!(whoever_vanishes_leaves_everything_in_order,);

const ACTORS: u64 = 6;
const STEPS: usize = 60;

async fn whoever_vanishes_leaves_everything_in_order(db: Db) {
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let batches = Arc::new(Mutex::new(Vec::new()));
    let mut raw = db.raw().await;
    let mut actors = JoinSet::new();
    for n in 0..ACTORS {
        let mut actor = Actor::new(db.other_store(), seed.wrapping_add(n), Arc::clone(&batches)).await;
        actors.spawn(async move {
            for _ in 0..STEPS {
                actor.step(0.25).await;
            }
        });
    }
    let mut watcher = db.raw().await;
    while !actors.is_empty() {
        check_moment(&mut watcher).await;
        while let Some(ended) = actors.try_join_next() {
            ended.unwrap();
        }
    }
    drop(watcher);
    db.wait_to_be_alone(&mut raw).await;
    run_to_the_end(&db).await;
    let finished = db.count("batches where finished_at is not null").await;
    assert_eq!(db.count("jobs where class_name = 'Finish'").await, finished);
    let twice = "select count(*) from (select active_job_id from solid_queue_jobs where class_name = 'Finish' \
                 group by active_job_id having count(*) > 1) t";
    assert_eq!(db.int(twice).await, 0);
}
