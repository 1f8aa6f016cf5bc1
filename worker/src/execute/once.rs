//! A program that is run once, for what it does and not for a job: a hook's.

use super::child::{Exit, LineBuffer, Program, Text, read, write};
use super::protocol::LONGEST_LINE;

/// The most lines of one run that go into the log; a run that says more is cut short there, not in what it does.
pub(crate) const LOGGED_LINES: u32 = 200;

/// Runs the program to its end, with `document` on its stdin; what it writes goes into the log. Dropped, its whole process group
/// is killed; so is what it leaves behind when it ends.
///
/// # Errors
/// A text that says how it went wrong: it can't be started, or didn't end with code 0.
pub(crate) async fn run(program: &Program, document: &[u8]) -> Result<(), String> {
    let mut child = program.start().await.map_err(|error| error.to_string())?;
    child.stderr.log_at_most(LOGGED_LINES);
    let pid = child.group.id();
    let mut lines = LineBuffer::new(LONGEST_LINE);
    let mut log = Log { pid, left: LOGGED_LINES };
    let mut unwritten = document;
    loop {
        let (stdin, stdout) = (child.stdin.as_ref(), child.stdout.as_mut());
        tokio::select! {
            biased;
            () = child.group.exited() => break,
            written = write(stdin, unwritten) => {
                unwritten = &unwritten[written..];
                if written == 0 || unwritten.is_empty() {
                    child.stdin = None;
                }
            }
            got = read(stdout, &mut lines) => {
                if got == 0 {
                    child.stdout = None;
                }
                log.take(&mut lines);
            }
        }
    }
    let end = child.end(|bytes| {
        lines.space().extend_from_slice(bytes);
        log.take(&mut lines);
    });
    let end = end.await;
    match (&end.refusal, end.exit) {
        (Some(refusal), _) => Err(refusal.to_string()),
        (None, Exit::Code(0)) => Ok(()),
        (None, exit) => Err(match end.stderr.last() {
            Some(line) => format!("it {exit}: {line}"),
            None => format!("it {exit}"),
        }),
    }
}

/// Its stdout in the log, as far as it goes.
struct Log {
    pid: i32,
    left: u32,
}

impl Log {
    fn take(&mut self, lines: &mut LineBuffer) {
        while let Some(text) = lines.next() {
            let Text::Whole(line) = text else { continue };
            if self.left > 0 && !line.trim_ascii().is_empty() {
                self.left -= 1;
                super::log_output(None, Some(self.pid), &String::from_utf8_lossy(line));
            }
        }
    }
}
