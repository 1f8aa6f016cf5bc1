//! What a handler runs, and a running child of it.

use super::group::{self, Group};
use super::launcher::{self, Launcher};
use super::{Exit, Stderr, environment};
use nix::unistd::{AccessFlags, access};
use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use tokio::net::unix::pipe;

/// A program and its arguments.
///
/// Written as one text it is split into words as a shell does (quotes and backslashes), and that is all: no variables, no
/// globs, no pipes, as there may be no shell where it runs. Where there is one, say so: `sh -c 'a | b'`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    program: String,
    arguments: Vec<String>,
}

/// Why a text or a list is no command line.
#[derive(Debug, thiserror::Error)]
pub enum CommandLineError {
    /// There is no program in it.
    #[error("the handler's command is empty: name a program, with its arguments if it takes any")]
    Empty,
    /// A quote is never closed.
    #[error("the handler's command {text:?} can't be split into words: {source}")]
    Quotes {
        /// The command.
        text: String,
        /// What is wrong with it.
        source: shell_words::ParseError,
    },
    /// It holds a NUL, which no program can be given.
    #[error("the handler's command {0:?} holds a NUL character")]
    Nul(String),
}

impl CommandLine {
    /// A program and its arguments, as a list.
    ///
    /// # Errors
    /// When the list or the program is empty, or one of them holds a NUL.
    pub fn new(words: impl IntoIterator<Item = impl Into<String>>) -> Result<Self, CommandLineError> {
        let mut words = words.into_iter().map(Into::into);
        let program = words.next().filter(|program| !program.is_empty()).ok_or(CommandLineError::Empty)?;
        let line = Self { program, arguments: words.collect() };
        if let Some(word) = line.words().find(|word| word.contains('\0')) {
            return Err(CommandLineError::Nul(word.to_owned()));
        }
        Ok(line)
    }

    /// A shell that takes its text as the next argument.
    pub(crate) fn shell() -> Self {
        Self { program: "sh".to_owned(), arguments: vec!["-c".to_owned()] }
    }

    /// The program and its arguments.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.program).chain(&self.arguments).map(String::as_str)
    }
}

impl FromStr for CommandLine {
    type Err = CommandLineError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let words =
            shell_words::split(text).map_err(|source| CommandLineError::Quotes { text: text.to_owned(), source })?;
        Self::new(words)
    }
}

impl fmt::Display for CommandLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shell_words::join(self.words()))
    }
}

/// How a handler's children are started.
#[derive(Debug, Clone)]
pub struct Program {
    /// What runs.
    pub command: CommandLine,
    /// What its environment holds besides what it inherits; stronger than the scrubbing.
    pub environment: Vec<(String, String)>,
    /// What ties its life to the engine's.
    pub launcher: Launcher,
}

/// Why a child could not be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error("the handler's program {program:?} is not there, or may not be run")]
    NotFound { program: String },
    #[error("could not start the handler's program {program:?}: {source}")]
    Spawn { program: String, source: io::Error },
    #[error("could not make the pipes for the handler's program: {0}")]
    Pipes(io::Error),
}

impl Program {
    /// The program with nothing added to its environment, and the launcher this process has.
    pub fn new(command: CommandLine) -> Self {
        Self { command, environment: Vec::new(), launcher: Launcher::default() }
    }

    /// The same program with more arguments.
    pub(crate) fn with_argument(&self, argument: &str) -> Result<Self, CommandLineError> {
        let command = CommandLine::new(self.command.words().chain(std::iter::once(argument)))?;
        Ok(Self { command, ..self.clone() })
    }

    /// Looks whether there is such a program, without running it.
    pub(crate) fn probe(&self) -> Result<(), StartError> {
        let program = &self.command.program;
        let found = if program.contains('/') {
            is_executable(Path::new(program))
        } else {
            let own = self.environment.iter().rev().find(|(name, _)| name == "PATH");
            let path = own.map_or_else(|| std::env::var_os("PATH"), |(_, path)| Some(path.into()));
            let path = path.unwrap_or_else(|| OsStr::new("/bin:/usr/bin").to_owned());
            std::env::split_paths(&path).map(|folder| folder.join(program)).any(|file: PathBuf| is_executable(&file))
        };
        if found { Ok(()) } else { Err(StartError::NotFound { program: program.clone() }) }
    }

    /// Starts a child with pipes to it.
    pub(crate) async fn start(&self) -> Result<Child, StartError> {
        let mark = format!("gritstone-{:016x}: ", rand::random::<u64>());
        let mut command = self.launcher.child(&self.command.program, &self.command.arguments, &mark);
        environment::scrub(&mut command);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));

        let (their_stdin, stdin) = io::pipe().map_err(StartError::Pipes)?;
        let (stdout, their_stdout) = io::pipe().map_err(StartError::Pipes)?;
        let (stderr, their_stderr) = io::pipe().map_err(StartError::Pipes)?;
        command.stdin(their_stdin).stdout(their_stdout).stderr(their_stderr);
        let stdin = pipe::Sender::from_owned_fd(stdin.into()).map_err(StartError::Pipes)?;
        let stdout = pipe::Receiver::from_owned_fd(stdout.into()).map_err(StartError::Pipes)?;
        let stderr = pipe::Receiver::from_owned_fd(stderr.into()).map_err(StartError::Pipes)?;
        let deaths = group::deaths().map_err(StartError::Pipes)?;

        // The command is dropped where it is started, and our copies of the child's ends with it.
        let leader = launcher::start(command)
            .await
            .map_err(|source| StartError::Spawn { program: self.command.program.clone(), source })?;
        let group = Group::new(leader, deaths);
        let stderr = Stderr::read(stderr, group.id());
        let mark = (self.launcher != Launcher::Direct).then_some(mark);
        let program = self.command.program.clone();
        Ok(Child { group, stdin: Some(stdin), stdout: Some(stdout), stderr, program, mark })
    }
}

fn is_executable(file: &Path) -> bool {
    file.is_file() && access(file, AccessFlags::X_OK).is_ok()
}

/// A running child and the pipes to it. Dropped, its group is killed.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) group: Group,
    pub(crate) stdin: Option<pipe::Sender>,
    pub(crate) stdout: Option<pipe::Receiver>,
    pub(crate) stderr: Stderr,
    program: String,
    /// What the launcher writes should it fail to become the program.
    mark: Option<String>,
}

/// How a child ended, and what it said last.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) exit: Exit,
    /// The last lines of its stderr.
    pub(crate) stderr: Vec<String>,
    /// Set when it never became the program: why.
    pub(crate) refusal: Option<StartError>,
}

impl Child {
    /// Whether it has become the program it was started for.
    pub(crate) fn has_become_program(&self) -> bool {
        let Some(mark) = &self.mark else { return true };
        // While it is the launcher, the mark is among its arguments.
        std::fs::read(format!("/proc/{}/cmdline", self.group.id()))
            .is_ok_and(|line| !line.is_empty() && !line.windows(mark.len()).any(|part| part == mark.as_bytes()))
    }

    /// Kills what is left of the group, waits for the leader, and says how it ended. `last` is given what was left in its
    /// stdout.
    pub(crate) async fn end(mut self, last: impl FnMut(&[u8])) -> End {
        let exit = self.group.end().await;
        if let Some(stdout) = self.stdout.take() {
            super::drain(stdout, last);
        }
        let mut stderr = self.stderr.finish().await;
        let refusal = match (&self.mark, exit, stderr.last()) {
            (Some(mark), Exit::Code(code), Some(line)) => launcher::refusal(code, line, mark).map(ToOwned::to_owned),
            _ => None,
        };
        let refusal = refusal.map(|reason| {
            stderr.pop();
            StartError::Spawn { program: self.program, source: io::Error::other(reason) }
        });
        End { exit, stderr, refusal }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.parse::<CommandLine>().unwrap().words().map(ToOwned::to_owned).collect()
    }

    #[test]
    fn a_text_is_split_into_words_and_nothing_else() {
        assert_eq!(words("python3 'my worker.py' --name=\"a b\""), ["python3", "my worker.py", "--name=a b"]);
        assert_eq!(words("sh -c 'a | b'"), ["sh", "-c", "a | b"]);
        assert_eq!(words("echo $HOME *"), ["echo", "$HOME", "*"]);
    }

    #[test]
    fn what_is_no_command_says_why() {
        let error = |text: &str| text.parse::<CommandLine>().unwrap_err().to_string();
        assert!(error("").contains("empty"));
        assert!(error("''").contains("empty"));
        assert!(error("sh 'x").contains("missing closing quote"));
        assert!(error("sh a\0b").contains("NUL"));
    }

    #[test]
    fn a_program_that_is_not_there_is_found_out() {
        let probe = |text: &str| Program::new(text.parse().unwrap()).probe();
        assert!(probe("sh").is_ok());
        assert!(probe("/bin/sh").is_ok());
        assert!(probe("no-such-program-anywhere").is_err());
        assert!(probe("/etc/passwd").is_err());
        let elsewhere =
            Program { environment: vec![("PATH".into(), "/nowhere".into())], ..Program::new("sh".parse().unwrap()) };
        assert!(elsewhere.probe().is_err());
    }
}
