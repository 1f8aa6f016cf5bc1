//! What jobs of a class have in common.

use super::new::{NewJob, UseLimit, check_name};
use super::{EnqueueError, LimitKey};
use serde::Serialize;
use serde_json::Value;

/// What jobs of a class have unless whoever enqueues them says otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassDefaults {
    /// The class.
    pub class: String,
    /// Its queue.
    pub queue: Option<String>,
    /// Its priority, smaller first.
    pub priority: Option<i32>,
    /// How many runs its jobs have in all.
    pub attempts: Option<u32>,
    /// The limit that its jobs run under.
    pub limit: Option<ClassLimit>,
}

/// Under which limit the jobs of a class run. How many jobs that lets run is declared by the group's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassLimit {
    /// The limit's name, without a `/`.
    pub group: String,
    /// What tells jobs apart; those with one key count together. Absent: the whole group does.
    pub key: Option<LimitKey>,
}

impl ClassDefaults {
    /// Nothing yet.
    pub fn new(class: impl Into<String>) -> Self {
        ClassDefaults { class: class.into(), queue: None, priority: None, attempts: None, limit: None }
    }

    /// On a queue.
    pub fn on(mut self, queue: impl Into<String>) -> Self {
        self.queue = Some(queue.into());
        self
    }

    /// With a priority.
    pub fn priority(mut self, priority: i32) -> Self {
        self.priority = Some(priority);
        self
    }

    /// With so many runs in all.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = Some(attempts);
        self
    }

    /// Under the limit of a group, told apart by a key.
    pub fn limited(mut self, group: impl Into<String>, key: Option<LimitKey>) -> Self {
        self.limit = Some(ClassLimit { group: group.into(), key });
        self
    }

    /// Refuses what no database should be given; says why.
    pub(crate) fn check(&self) -> Result<(), String> {
        let group = self.limit.as_ref().map(|limit| &limit.group);
        for (what, text) in [("class", Some(&self.class)), ("queue", self.queue.as_ref()), ("limit's group", group)] {
            text.map_or(Ok(()), |text| check_name(what, text))?;
        }
        match group {
            Some(group) if group.contains('/') => {
                Err(format!("the limit's group {group:?} has a `/`, which is where keys begin"))
            }
            _ => Ok(()),
        }
    }
}

impl ClassLimit {
    /// The limit of a job with these arguments, if it has any.
    pub(crate) fn of(&self, arguments: &[Value]) -> Result<Option<UseLimit>, String> {
        let key = match &self.key {
            None => Some(self.group.clone()),
            Some(key) => key.of(arguments)?.map(|key| format!("{}/{key}", self.group)),
        };
        Ok(key.map(|key| UseLimit { key, declare: None }))
    }
}

/// A class of jobs as a type of Rust: a value is the arguments of one job, and says what else it has, as a function of them.
///
/// What it leaves open, the database's defaults for the class decide.
///
/// ```
/// use gritstone_store::{JobClass, Limit, NewJob, UseLimit};
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct SyncAccount {
///     account: i64,
///     urgent: bool,
/// }
///
/// impl JobClass for SyncAccount {
///     const CLASS: &'static str = "SyncAccount";
///
///     fn queue(&self) -> Option<String> {
///         self.urgent.then(|| "urgent".into())
///     }
///
///     fn limit(&self) -> Option<UseLimit> {
///         Some(UseLimit { key: format!("accounts/{}", self.account), declare: Some(Limit::default()) })
///     }
/// }
///
/// let job = NewJob::of(&SyncAccount { account: 7, urgent: true })?;
/// assert_eq!(job.queue.as_deref(), Some("urgent"));
/// # Ok::<(), gritstone_store::EnqueueError>(())
/// ```
pub trait JobClass: Serialize {
    /// The class's name.
    const CLASS: &'static str;

    /// The job's queue.
    fn queue(&self) -> Option<String> {
        None
    }

    /// Its priority, smaller first.
    fn priority(&self) -> Option<i32> {
        None
    }

    /// How many runs it has in all.
    fn attempts(&self) -> Option<u32> {
        None
    }

    /// The limit that it runs under.
    fn limit(&self) -> Option<UseLimit> {
        None
    }
}

impl NewJob {
    /// The job that a value describes. A struct with named fields becomes one object, which is how it is read back; a tuple or a list becomes
    /// the arguments one by one, `()` none.
    ///
    /// # Errors
    /// [`EnqueueError::Invalid`] when the value can't be written as JSON.
    pub fn of<C: JobClass>(value: &C) -> Result<Self, EnqueueError> {
        let invalid = |error| EnqueueError::Invalid(format!("{} can't be written as JSON: {error}", C::CLASS));
        let arguments = match serde_json::to_value(value).map_err(invalid)? {
            Value::Array(arguments) => arguments,
            Value::Null => Vec::new(),
            other => vec![other],
        };
        Ok(NewJob {
            queue: value.queue(),
            priority: value.priority(),
            attempts: value.attempts(),
            limit: value.limit(),
            ..NewJob::new(C::CLASS, arguments)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(Serialize)]
    struct Pair(u8, &'static str);

    impl JobClass for Pair {
        const CLASS: &'static str = "Pair";

        fn priority(&self) -> Option<i32> {
            Some(self.0.into())
        }
    }

    #[derive(Serialize)]
    struct Named {
        to: &'static str,
    }

    impl JobClass for Named {
        const CLASS: &'static str = "Named";
    }

    #[test]
    fn values_become_arguments_that_are_read_back() {
        let job = NewJob::of(&Pair(3, "a")).unwrap();
        assert_eq!((job.arguments, job.priority, job.queue), (vec![json!(3), json!("a")], Some(3), None));
        assert_eq!(NewJob::of(&Named { to: "ann" }).unwrap().arguments, [json!({"to": "ann"})]);
    }

    #[test]
    fn a_limit_of_a_class_has_its_group_in_front() {
        let limit = |key| ClassLimit { group: "accounts".into(), key };
        let key = |limit: ClassLimit, arguments: &[Value]| limit.of(arguments).unwrap().map(|limit| limit.key);
        assert_eq!(key(limit(Some(LimitKey::argument(0))), &[json!(7)]).as_deref(), Some("accounts/7"));
        assert_eq!(key(limit(None), &[]).as_deref(), Some("accounts"));
        assert_eq!(key(limit(Some(LimitKey::argument(0))), &[]), None);
    }

    #[test]
    fn defaults_that_no_database_holds_are_refused() {
        let long = "x".repeat(256);
        for bad in
            [ClassDefaults::new(""), ClassDefaults::new("A").on(long), ClassDefaults::new("A").limited("a/b", None)]
        {
            assert!(bad.check().is_err(), "{bad:?}");
        }
        assert!(ClassDefaults::new("A").on("q").limited("a", None).check().is_ok());
    }
}
