//! Why a job failed, as its row keeps it.

/// An error as Solid Queue keeps it and mission_control-jobs shows it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct JobError {
    /// The full name of the exception's class.
    #[serde(default)]
    pub exception_class: String,
    /// What it says.
    #[serde(default)]
    pub message: String,
    /// Where it came from, innermost first.
    #[serde(default)]
    pub backtrace: Option<Vec<String>>,
}

impl JobError {
    /// An error without a backtrace.
    pub fn new(exception_class: impl Into<String>, message: impl Into<String>) -> Self {
        JobError { exception_class: exception_class.into(), message: message.into(), backtrace: Some(Vec::new()) }
    }

    /// The JSON for the `error` column. With a limit in bytes the backtrace is cut by lines, then the message.
    pub(crate) fn to_column(&self, limit: Option<usize>) -> String {
        let mut error = self.clone();
        // PostgreSQL's text takes no NUL, and its JSON functions no escaped one.
        error.message = error.message.replace('\0', "\u{FFFD}");
        error.exception_class = error.exception_class.replace('\0', "\u{FFFD}");
        for line in error.backtrace.iter_mut().flatten() {
            *line = line.replace('\0', "\u{FFFD}");
        }
        let text = |error: &JobError| serde_json::to_string(error).unwrap_or_else(|_| "{}".into());
        let Some(limit) = limit else { return text(&error) };
        while text(&error).len() > limit {
            let lines = error.backtrace.get_or_insert_default();
            if lines.is_empty() {
                let keep = error.message.len() / 2;
                let cut = (0..=keep).rev().find(|i| error.message.is_char_boundary(*i)).unwrap_or(0);
                error.message.truncate(cut);
                if cut == 0 {
                    break;
                }
            } else {
                lines.truncate(lines.len() / 2);
            }
        }
        text(&error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_cut_to_the_column_from_its_backtrace_first() {
        let error = JobError {
            exception_class: "E".into(),
            message: "m".repeat(100),
            backtrace: Some(vec!["l".repeat(50); 100]),
        };
        let text = error.to_column(Some(600));
        assert!(text.len() <= 600);
        let read: JobError = serde_json::from_str(&text).unwrap();
        assert_eq!(read.message.len(), 100);
        assert!(JobError { message: "é".repeat(1000), ..error }.to_column(Some(600)).len() <= 600);
    }
}
