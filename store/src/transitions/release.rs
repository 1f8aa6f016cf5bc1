//! Claims given back untouched.

use crate::error::Error;
use crate::job::{Finish, Verdict};
use crate::session::Session;

impl Session<'_> {
    /// Gives claims back: the jobs are ready again, keep their slots, and have used no attempt.
    ///
    /// # Errors
    /// Those of the database; then nothing was released.
    pub async fn release(&mut self, claims: &[(i64, i64)]) -> Result<(), Error> {
        let finishes: Vec<Finish> = claims
            .iter()
            .map(|(claim_id, job_id)| Finish {
                claim_id: *claim_id,
                job_id: *job_id,
                verdict: Verdict::Release { delay: None, envelope: None },
            })
            .collect();
        self.finish(&finishes, true).await.map(|_| ())
    }
}
