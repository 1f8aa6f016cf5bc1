//! How a handler in Rust says that its job is not done.

use crate::execute::errors::class;
use crate::execute::{JobError, Outcome};
use std::any::{TypeId, type_name};
use std::fmt::{Debug, Display};
use std::time::Duration;

/// What a handler returns instead of its result. Any error becomes one by `?`: the job is then retried as the policy has it.
/// To decide for itself a handler returns [`Stop::fail`], [`Stop::release`], [`Stop::release_in`], [`Stop::retry`] or
/// [`Stop::retry_in`].
///
/// An error's type is its exception class, its `Display` the message (`{:#}`, so that `anyhow` tells its causes), its
/// `Debug` the backtrace. [`Stop::named`] gives another class.
#[derive(Debug)]
pub struct Stop(Kind);

#[derive(Debug)]
enum Kind {
    /// An error that says nothing about what should become of the job.
    Error(JobError),
    Said(Outcome),
}

impl Stop {
    /// Never again: the job fails, whatever attempts it has left.
    pub fn fail<E: Display + Debug + 'static>(error: E) -> Self {
        Self(Kind::Said(Outcome::Fail { error: describe(&error) }))
    }

    /// Again, after the policy's backoff, if there are attempts left.
    pub fn retry<E: Display + Debug + 'static>(error: E) -> Self {
        Self(Kind::Said(Outcome::Retry { delay: None, error: describe(&error) }))
    }

    /// Again, after this delay, if there are attempts left.
    pub fn retry_in<E: Display + Debug + 'static>(delay: Duration, error: E) -> Self {
        Self(Kind::Said(Outcome::Retry { delay: Some(delay), error: describe(&error) }))
    }

    /// Back, without having used an attempt: at once if the job was told to stop, else after a few seconds.
    pub fn release() -> Self {
        Self(Kind::Said(Outcome::Release { delay: None }))
    }

    /// Back, without having used an attempt, after this delay.
    pub fn release_in(delay: Duration) -> Self {
        Self(Kind::Said(Outcome::Release { delay: Some(delay) }))
    }

    /// The same with an exception class of your own choice, such as `Payments::Declined`. A release has none.
    pub fn named(mut self, exception_class: &str) -> Self {
        match &mut self.0 {
            Kind::Error(error)
            | Kind::Said(Outcome::Retry { error, .. } | Outcome::Fail { error } | Outcome::Interrupted { error }) => {
                *error = JobError::new(exception_class, error.message()).with_backtrace(error.backtrace().to_vec());
            }
            Kind::Said(Outcome::Done | Outcome::Release { .. }) => {}
        }
        self
    }

    /// An outcome that a handler can't choose: the engine's own.
    pub(super) fn outcome(outcome: Outcome) -> Self {
        Self(Kind::Said(outcome))
    }

    /// What becomes of the job: `otherwise` decides about an error that says nothing.
    pub(super) fn into_outcome(self, otherwise: impl FnOnce(JobError) -> Outcome) -> Outcome {
        match self.0 {
            Kind::Error(error) => otherwise(error),
            Kind::Said(outcome) => outcome,
        }
    }
}

// `Stop` has no `Display` itself, or this would say that it converts into itself twice.
impl<E: Display + Debug + 'static> From<E> for Stop {
    fn from(error: E) -> Self {
        Self(Kind::Error(describe(&error)))
    }
}

fn describe<E: Display + Debug + 'static>(error: &E) -> JobError {
    let text = [TypeId::of::<&str>(), TypeId::of::<String>()].contains(&TypeId::of::<E>());
    let class = if text { class::HANDLER_ERROR } else { type_name::<E>() };
    let error_text = JobError::new(class, format!("{error:#}"));
    if text {
        return error_text;
    }
    error_text.with_backtrace(format!("{error:?}").lines().map(ToOwned::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("no answer from {host}")]
    struct NoAnswer {
        host: &'static str,
    }

    fn error(stop: Stop) -> JobError {
        match stop.into_outcome(|error| Outcome::Retry { delay: None, error }) {
            Outcome::Retry { error, .. } | Outcome::Fail { error } => error,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn any_error_becomes_one() {
        let plain = error(NoAnswer { host: "db" }.into());
        assert!(plain.exception_class().ends_with("::NoAnswer"));
        assert_eq!(plain.message(), "no answer from db");
        assert_eq!(plain.backtrace(), [r#"NoAnswer { host: "db" }"#]);
        let wrapped = error(anyhow::Error::from(NoAnswer { host: "db" }).context("while paying").into());
        assert_eq!(wrapped.message(), "while paying: no answer from db");
        assert_eq!(error("too bad".into()).exception_class(), class::HANDLER_ERROR);
        assert_eq!(error(format!("{} bad", 2).into()).message(), "2 bad");
    }

    #[test]
    fn a_class_may_be_given() {
        let named = error(Stop::fail(NoAnswer { host: "db" }).named("Net::ReadTimeout"));
        assert_eq!((named.exception_class(), named.message()), ("Net::ReadTimeout", "no answer from db"));
    }
}
