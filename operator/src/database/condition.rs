//! `DatabaseReachable`, the same on every kind that names a database.

use gritstone_crds::kinds::Condition;
use jiff::Timestamp;

use super::fault::DatabaseFault;
use super::known::Standing;
use crate::conditions::Saying;

const KIND: &str = "DatabaseReachable";

/// The condition, with the time of the one before if that said the same. Before the first look it is what it was: an operator that
/// starts knows no better yet.
pub(crate) fn condition(
    standing: &Standing,
    before: &[Condition],
    generation: Option<i64>,
    now: Timestamp,
) -> Option<Condition> {
    let saying = match &standing.reachable {
        Ok(url) => Saying::new(KIND, true, "Reachable", format!("{url} answers")),
        Err(DatabaseFault::Connecting) => return before.iter().find(|condition| condition.r#type == KIND).cloned(),
        Err(fault) => Saying::new(KIND, false, fault.reason(), fault.to_string()),
    };
    Some(saying.since(before, generation, now))
}

#[cfg(test)]
mod tests {
    use super::*;
    use gritstone_crds::kinds::ConditionStatus;

    fn standing(reachable: Result<String, DatabaseFault>) -> Standing {
        Standing { reachable, digest: None }
    }

    #[test]
    fn what_was_said_stays_until_something_is_known() {
        let now = Timestamp::UNIX_EPOCH;
        let unknown = standing(Err(DatabaseFault::Connecting));
        assert_eq!(condition(&unknown, &[], None, now), None);
        let reached = condition(&standing(Ok("postgres://db/app".to_owned())), &[], Some(1), now).unwrap();
        assert_eq!((reached.status, reached.message.as_str()), (ConditionStatus::True, "postgres://db/app answers"));
        assert_eq!(condition(&unknown, std::slice::from_ref(&reached), Some(2), now), Some(reached));
    }
}
