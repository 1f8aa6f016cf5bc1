//! Shorthand: what cases would otherwise repeat.

use super::Db;
use gritstone_store::{Finish, Session, Settled};
use gritstone_tests::jobs::new_process;

/// A registered worker whose jobs survive three of its deaths.
pub async fn start(db: &Db) -> i64 {
    db.session().await.register(&new_process(3)).await.unwrap().process_id
}

/// Finishes, and does what is to be done afterwards, as a worker does.
pub async fn finish(session: &mut Session<'_>, finishes: &[Finish]) -> Settled {
    let settled = session.finish(finishes, true).await.unwrap();
    if settled.signals {
        session.signal().await.unwrap();
    }
    session.complete_batches(&settled.batch_ids).await.unwrap();
    settled
}
