//! A child's stderr: logged line by line, and its tail kept for the day the child dies.

use super::{LineBuffer, Text, drain};
use crate::execute::Job;
use crate::execute::errors::shortened;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Longest line that is read; of a longer one only that it was there is known.
const LONGEST_LINE: usize = 64 * 1024;
/// Lines kept.
const KEPT_LINES: usize = 50;
/// Bytes kept of each.
const KEPT_BYTES: usize = 1024;

/// A task that reads a child's stderr for as long as the child lives.
#[derive(Debug)]
pub(crate) struct Stderr {
    shared: Arc<Mutex<Shared>>,
    ended: CancellationToken,
    task: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    pid: i32,
    job: Option<Arc<Job>>,
    tail: VecDeque<String>,
    /// How many more lines go into the log, when not all do.
    logged: Option<u32>,
}

impl Stderr {
    pub(super) fn read(pipe: pipe::Receiver, pid: i32) -> Self {
        let shared = Arc::new(Mutex::new(Shared { pid, job: None, tail: VecDeque::new(), logged: None }));
        let ended = CancellationToken::new();
        let task = tokio::spawn(follow(pipe, Arc::clone(&shared), ended.clone()));
        Self { shared, ended, task: Some(task) }
    }

    /// From here on, lines are this job's. What the child said before its first job is kept: it may be why it never got to it.
    pub(crate) fn begin(&self, job: &Arc<Job>) {
        lock(&self.shared).begin(job);
    }

    /// Only so many more lines go into the log; the tail is kept all the same.
    pub(crate) fn log_at_most(&self, lines: u32) {
        lock(&self.shared).logged = Some(lines);
    }

    /// The last lines, once the child has ended.
    pub(super) async fn finish(&mut self) -> Vec<String> {
        self.ended.cancel();
        if let Some(task) = self.task.take() {
            let _ = task.await;
        }
        std::mem::take(&mut lock(&self.shared).tail).into()
    }
}

impl Drop for Stderr {
    fn drop(&mut self) {
        self.ended.cancel();
    }
}

async fn follow(mut pipe: pipe::Receiver, shared: Arc<Mutex<Shared>>, ended: CancellationToken) {
    let mut lines = LineBuffer::new(LONGEST_LINE);
    loop {
        tokio::select! {
            biased;
            () = ended.cancelled() => {
                drain(pipe, |bytes| {
                    lines.space().extend_from_slice(bytes);
                    take(&mut lines, &shared);
                });
                break;
            }
            read = pipe.read_buf(lines.space()) => match read {
                Ok(0) | Err(_) => break,
                Ok(_) => take(&mut lines, &shared),
            },
        }
    }
    if let Some(text) = lines.rest() {
        lock(&shared).keep(text);
    }
}

fn take(lines: &mut LineBuffer, shared: &Mutex<Shared>) {
    while let Some(text) = lines.next() {
        lock(shared).keep(text);
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn begin(&mut self, job: &Arc<Job>) {
        if self.job.replace(Arc::clone(job)).is_some() {
            self.tail.clear();
        }
    }

    fn keep(&mut self, text: Text<'_>) {
        let line = match text {
            Text::Whole(line) if line.trim_ascii().is_empty() => return,
            Text::Whole(line) => String::from_utf8_lossy(line),
            Text::TooLong => "(a line too long to read)".into(),
        };
        if self.logged != Some(0) {
            crate::execute::log_output(self.job.as_deref(), Some(self.pid), &line);
        }
        self.logged = self.logged.map(|left| left.saturating_sub(1));
        if self.tail.len() == KEPT_LINES {
            self.tail.pop_front();
        }
        self.tail.push_back(shortened(line.into_owned(), KEPT_BYTES));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_tail_is_kept() {
        let mut shared = Shared { pid: 1, job: None, tail: VecDeque::new(), logged: None };
        for n in 0..1000 {
            shared.keep(Text::Whole(format!("line {n}").as_bytes()));
        }
        shared.keep(Text::Whole(b"  "));
        shared.keep(Text::Whole(&[b'x'; 5000]));
        assert_eq!(shared.tail.len(), KEPT_LINES);
        assert_eq!(shared.tail[KEPT_LINES - 2], "line 999");
        assert!(shared.tail.iter().all(|line| line.len() <= KEPT_BYTES));
    }

    #[test]
    fn what_a_child_said_before_its_first_job_stays_until_its_second() {
        let mut shared = Shared { pid: 1, job: None, tail: VecDeque::new(), logged: None };
        let job = Arc::new(crate::execute::sample_job());
        shared.keep(Text::Whole(b"no such file"));
        shared.begin(&job);
        assert_eq!(shared.tail, ["no such file"]);
        shared.begin(&job);
        assert!(shared.tail.is_empty());
    }
}
