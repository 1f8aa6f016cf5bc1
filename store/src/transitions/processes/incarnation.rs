//! What tells one start of a program from every other.

use jiff::Timestamp;
use std::fmt;
use std::str::FromStr;

/// A start of a program on a host whose /proc tells its story: `host:<boot id>:<PID namespace>:<pid>:<start>:<when>`.
///
/// The text is in the database and read by others than who wrote it, so it is made and read in one place. What isn't of this form
/// (`random:...`, where /proc doesn't tell) is an incarnation too, of which nobody can prove anything.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incarnation {
    /// The boot of the machine and the PID namespace, which is a container's own: what shares both can be looked up in /proc.
    pub host: String,
    /// The process, as that namespace numbers it.
    pub pid: u32,
    /// When it started, in ticks of the kernel's since boot.
    pub start: u64,
    /// When it started by the machine's clock, to milliseconds: the clock that Kubernetes tells the start and end of containers by. Rows
    /// that an older version wrote don't say.
    pub at: Option<Timestamp>,
}

impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "host:{}:{}:{}", self.host, self.pid, self.start)?;
        match self.at {
            Some(at) => write!(f, ":{}", at.as_millisecond()),
            None => Ok(()),
        }
    }
}

/// Not the text of an incarnation that says where it ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this says nothing about where the process ran")]
pub struct Anonymous;

impl FromStr for Incarnation {
    type Err = Anonymous;

    fn from_str(text: &str) -> Result<Self, Anonymous> {
        let rest = text.strip_prefix("host:").ok_or(Anonymous)?;
        // The namespace is written `pid:[4026531836]`.
        let (host, numbers) = rest.split_once("]:").ok_or(Anonymous)?;
        let mut numbers = numbers.split(':');
        let mut number = || numbers.next().map(str::parse::<u64>);
        let (Some(Ok(pid)), Some(Ok(start)), at) = (number(), number(), number()) else { return Err(Anonymous) };
        let at = at.transpose().map_err(|_| Anonymous)?;
        let at =
            at.map(|at| i64::try_from(at).ok().and_then(|at| Timestamp::from_millisecond(at).ok()).ok_or(Anonymous));
        let pid = pid.try_into().map_err(|_| Anonymous)?;
        Ok(Incarnation { host: format!("{host}]"), pid, start, at: at.transpose()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read() {
        let at = Some(Timestamp::from_millisecond(1_764_093_600_123).unwrap());
        for at in [None, at] {
            let incarnation = Incarnation { host: "b007:pid:[4026531836]".to_owned(), pid: 7, start: 12_345, at };
            assert_eq!(incarnation.to_string().parse(), Ok(incarnation));
        }
    }

    #[test]
    fn what_says_nothing_about_where_it_ran_is_told() {
        for text in ["", "random:abc", "host:b:pid:[1]", "host:b:pid:[1]:x:1", "host:b:pid:[1]:1:1:x", "host:b:1:1"] {
            assert_eq!(text.parse::<Incarnation>(), Err(Anonymous), "{text}");
        }
    }
}
