//! What an enqueuer left open is made out: jobs as they are written.

use crate::error::Error;
use crate::job::{ClassDefaults, DEFAULT_QUEUE, EnqueueError, NewJob, SHELL_CLASS, UseLimit, check_name};
use crate::transitions::COMMANDS_QUEUE;
use jiff::Timestamp;
use std::borrow::Cow;
use std::collections::HashMap;
use uuid::Uuid;

/// The defaults of classes, by class.
pub(crate) type Classes = HashMap<String, ClassDefaults>;

/// A job with its id, its envelope and all that its class decides, ready to be written.
pub(crate) struct Prepared<'j> {
    pub(crate) job: &'j NewJob,
    pub(crate) id: String,
    pub(crate) envelope: String,
    pub(crate) queue: Cow<'j, str>,
    pub(crate) priority: i32,
    pub(crate) attempts: Option<u32>,
    pub(crate) limit: Option<Cow<'j, UseLimit>>,
}

impl<'j> Prepared<'j> {
    /// Makes out what the job leaves open: what it says itself comes before what its class has.
    ///
    /// # Errors
    /// [`EnqueueError::Invalid`] when the job is none that can be written.
    pub(crate) fn of(job: &'j NewJob, classes: &'j Classes, now: Timestamp) -> Result<Self, EnqueueError> {
        job.check()?;
        let class = classes.get(&job.class);
        let queue = queue_of(job, class);
        let priority = job.priority.or(class.and_then(|class| class.priority)).unwrap_or(0);
        let limit = match (&job.limit, class.and_then(|class| class.limit.as_ref())) {
            (Some(own), _) => Some(Cow::Borrowed(own)),
            (None, Some(limit)) => {
                let limit = limit.of(&job.arguments).map_err(EnqueueError::Invalid)?;
                if let Some(limit) = &limit {
                    check_name("limit key", &limit.key).map_err(EnqueueError::Invalid)?;
                }
                limit.map(Cow::Owned)
            }
            (None, None) => None,
        };
        let id = job.id.clone().unwrap_or_else(|| Uuid::new_v4().to_string());
        let envelope = job.envelope(&id, queue, priority, now).to_string();
        let attempts = job.attempts.or(class.and_then(|class| class.attempts));
        Ok(Prepared { job, id, envelope, queue: Cow::Borrowed(queue), priority, attempts, limit })
    }

    /// Several, all or none.
    ///
    /// # Errors
    /// [`EnqueueError::Invalid`] for the first that can't be written.
    pub(crate) fn all(
        jobs: impl IntoIterator<Item = &'j NewJob>,
        classes: &'j Classes,
    ) -> Result<Vec<Self>, EnqueueError> {
        let now = Timestamp::now();
        jobs.into_iter().map(|job| Prepared::of(job, classes, now)).collect()
    }

    /// True when nothing but the job itself and its execution is to be written.
    pub(crate) fn is_plain(&self) -> bool {
        self.job.id.is_none() && self.limit.is_none() && self.job.batch.is_none() && self.attempts.is_none()
    }
}

fn queue_of<'j>(job: &'j NewJob, class: Option<&'j ClassDefaults>) -> &'j str {
    match (&job.queue, class.and_then(|class| class.queue.as_deref())) {
        (Some(own), _) => own,
        (None, Some(queue)) => queue,
        (None, None) if job.class == SHELL_CLASS => COMMANDS_QUEUE,
        (None, None) => DEFAULT_QUEUE,
    }
}

impl From<EnqueueError> for Error {
    fn from(error: EnqueueError) -> Self {
        match error {
            EnqueueError::Store(error) => error,
            EnqueueError::Invalid(_) => Error::Refused(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::LimitKey;
    use serde_json::json;

    fn classes() -> Classes {
        let mail = ClassDefaults::new("Mail").on("mail").priority(5).attempts(4);
        let mail = mail.limited("accounts", Some(LimitKey::argument(0)));
        [mail, ClassDefaults::new("Calm").priority(9)].map(|class| (class.class.clone(), class)).into()
    }

    #[test]
    fn what_a_job_leaves_open_its_class_decides() {
        let (classes, job) = (classes(), NewJob::new("Mail", vec![json!(7)]));
        let prepared = Prepared::of(&job, &classes, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!((prepared.queue.as_ref(), prepared.priority, prepared.attempts), ("mail", 5, Some(4)));
        assert_eq!(prepared.limit.as_ref().unwrap().key, "accounts/7");
        assert!(prepared.envelope.contains(r#""queue_name":"mail","priority":5"#), "{}", prepared.envelope);
        assert!(!prepared.is_plain());
    }

    #[test]
    fn what_a_job_says_itself_counts() {
        let limit = UseLimit { key: "mine".into(), declare: None };
        let job = NewJob::new("Mail", vec![json!([])]).on("urgent").priority(0).attempts(1).limited(limit);
        let classes = classes();
        let prepared = Prepared::of(&job, &classes, Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!((prepared.queue.as_ref(), prepared.priority, prepared.attempts), ("urgent", 0, Some(1)));
        assert_eq!(prepared.limit.as_ref().unwrap().key, "mine");
    }

    #[test]
    fn classes_that_nobody_declared_are_as_ever() {
        let classes = classes();
        for (class, arguments, queue, priority) in [
            ("Other", vec![], "default", 0),
            ("Calm", vec![], "default", 9),
            ("Command", vec![json!("true")], "gritstone_commands", 0),
        ] {
            let job = NewJob::new(class, arguments);
            let prepared = Prepared::of(&job, &classes, Timestamp::UNIX_EPOCH).unwrap();
            assert_eq!((prepared.queue.as_ref(), prepared.priority), (queue, priority));
            assert!(prepared.is_plain());
        }
    }

    #[test]
    fn a_job_whose_arguments_make_no_key_is_refused() {
        let classes = classes();
        for arguments in [vec![json!([1])], vec![json!("x".repeat(250))], vec![json!("a\0")]] {
            assert!(Prepared::all([&NewJob::new("Mail", arguments)], &classes).is_err());
        }
        let unlimited = NewJob::new("Mail", vec![]);
        assert!(Prepared::of(&unlimited, &classes, Timestamp::UNIX_EPOCH).unwrap().limit.is_none());
    }

    #[test]
    fn a_command_is_one_text() {
        for arguments in [vec![], vec![json!(1)], vec![json!("a"), json!("b")]] {
            let error = Prepared::all([&NewJob::new("Command", arguments)], &Classes::new()).err().unwrap();
            assert!(error.to_string().contains("a text for the shell"), "{error}");
        }
    }
}
