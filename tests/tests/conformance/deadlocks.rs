//! Mixed load from many at once: transactions that meet are run again, and no caller hears of it.

use crate::support::{Actor, Db, conformance, run_to_the_end};
use std::sync::{Arc, Mutex};
use tokio::task::JoinSet;

conformance!(no_conflict_reaches_a_caller,);

const ACTORS: u64 = 8;
const STEPS: usize = 100;

async fn no_conflict_reaches_a_caller(db: Db) {
    let batches = Arc::new(Mutex::new(Vec::new()));
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut actors = JoinSet::new();
    for n in 0..ACTORS {
        let mut actor = Actor::new(db.store.clone(), seed.wrapping_add(n), Arc::clone(&batches)).await;
        actors.spawn(async move {
            for _ in 0..STEPS {
                actor.step(0.0).await;
            }
        });
    }
    while let Some(ended) = actors.join_next().await {
        ended.unwrap();
    }
    run_to_the_end(&db).await;
}
