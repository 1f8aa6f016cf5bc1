//! A server of a test's own.

use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use tokio::time::{Instant, sleep, timeout};

use super::account::Account;
use super::admin::{Admin, TENANT};
use super::folder::Folder;
use super::guard::Guard;
use super::recipe::Recipe;
use super::{Result, Server, ServerError, ServerOptions, ports, processes};

/// Starting takes a second; recovering after a kill, on a busy machine, more.
const START: Duration = Duration::from_secs(90);
/// A clean stop writes everything down.
const END: Duration = Duration::from_secs(60);
/// How often we look whether something has happened that nobody tells us of.
const LOOK: Duration = Duration::from_millis(10);

/// A server that only one test uses, and may treat badly.
///
/// Dropped, it ends at once and its folder goes. It keeps its port and its data as long as it lives.
#[derive(Debug)]
pub struct PrivateServer {
    server: Server,
    options: ServerOptions,
    account: Account,
    recipe: Recipe,
    port: u16,
    // Dropped before the folder that its server writes to.
    guard: Option<Guard>,
    folder: Folder,
}

impl PrivateServer {
    /// Starts a new, empty server and waits until it takes connections.
    ///
    /// # Errors
    /// [`ServerError::NotInstalled`] when it isn't on this machine; what the server says when it doesn't start.
    pub async fn start(server: Server, options: ServerOptions) -> Result<Self> {
        let account = Account::for_servers()?;
        let folder = Folder::create(server, account)?;
        let recipe = Recipe::find(server, folder.path())?;
        let mut started = PrivateServer { server, options, account, recipe, port: 0, guard: None, folder };
        started.initialise().await?;
        started.run_on_a_free_port().await?;
        started.admin().await?.create_tenant().await?;
        Ok(started)
    }

    /// Which kind of server this is.
    pub fn server(&self) -> Server {
        self.server
    }

    /// The loopback port it listens on, the same each time it is started.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The URL of a database, for an ordinary account that owns it: unlike a superuser it is bound by read-only mode and limits.
    pub fn url(&self, database: &str) -> String {
        self.server.url(TENANT, self.port, database)
    }

    /// The URL of the server's superuser.
    pub fn admin_url(&self) -> String {
        self.server.url(self.server.superuser(), self.port, self.server.home_database())
    }

    /// Makes an empty database and returns its [`url`](Self::url).
    ///
    /// # Errors
    /// What the server says.
    pub async fn create_database(&self, name: &str) -> Result<String> {
        self.admin().await?.create_database(name, Some(TENANT)).await?;
        Ok(self.url(name))
    }

    /// Stops it cleanly, as an upgrade would: sessions are ended, everything is written.
    ///
    /// # Errors
    /// [`ServerError::NotRunning`]; [`ServerError::NotEnded`] when it doesn't.
    pub async fn stop(&mut self) -> Result<()> {
        processes::signal(&[self.process()?], self.recipe.stop);
        self.wait_for_the_end(&[]).await
    }

    /// Ends it as a crash would: `kill -9` to all its processes.
    ///
    /// # Errors
    /// [`ServerError::NotRunning`].
    pub async fn kill(&mut self) -> Result<()> {
        self.pause()?;
        let family = processes::family(self.process()?);
        processes::signal(&family, Signal::SIGKILL);
        self.wait_for_the_end(&family).await
    }

    /// Starts it again, on the same port and the same data.
    ///
    /// # Errors
    /// [`ServerError::Running`]; what the server says when it doesn't start.
    pub async fn start_again(&mut self) -> Result<()> {
        match self.guard {
            Some(_) => Err(ServerError::Running(self.server)),
            None => self.run().await,
        }
    }

    /// Changes a setting, by the server's name for it, from the next start on.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.options.settings.push((name.into(), value.into()));
    }

    /// Freezes it: connections stay open, and nothing answers from now on. What a lost network or a hanging disk look like to its clients.
    ///
    /// # Errors
    /// [`ServerError::NotRunning`].
    pub fn pause(&self) -> Result<()> {
        processes::freeze(self.process()?);
        Ok(())
    }

    /// Lets it go on after [`pause`](Self::pause).
    ///
    /// # Errors
    /// [`ServerError::NotRunning`].
    pub fn resume(&self) -> Result<()> {
        processes::signal(&processes::family(self.process()?), Signal::SIGCONT);
        Ok(())
    }

    /// Ends every session, as an administrator or a proxy might.
    ///
    /// # Errors
    /// What the server says.
    pub async fn disconnect_everyone(&self) -> Result<()> {
        self.admin().await?.disconnect_everyone().await
    }

    /// Makes it refuse writes, as a standby or a full disk does, or take them again.
    ///
    /// # Errors
    /// What the server says.
    pub async fn set_read_only(&self, read_only: bool) -> Result<()> {
        self.admin().await?.set_read_only(read_only).await
    }

    async fn admin(&self) -> Result<Admin> {
        self.process()?;
        Admin::connect(self.server, &self.admin_url()).await
    }

    fn process(&self) -> Result<Pid> {
        self.guard.as_ref().map(Guard::server).ok_or(ServerError::NotRunning(self.server))
    }

    async fn initialise(&self) -> Result<()> {
        let line = self.account.command(None, &self.recipe.initialise);
        let output = tokio::process::Command::new(&line[0])
            .args(&line[1..])
            .current_dir(self.folder.path())
            .env("TMPDIR", self.folder.path())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .map_err(ServerError::io(format!("running {}", line[0].display())))?;
        if output.status.success() {
            return Ok(());
        }
        let output = [output.stdout, output.stderr].concat();
        Err(ServerError::Initialise { server: self.server, output: String::from_utf8_lossy(&output).into_owned() })
    }

    /// Another process may take the port between our look at it and the server's: then another one is tried.
    async fn run_on_a_free_port(&mut self) -> Result<()> {
        let mut tries = 0;
        loop {
            self.port = ports::free().map_err(ServerError::io("looking for a free port"))?;
            tries += 1;
            match self.run().await {
                Err(ServerError::Ended { log, .. }) if tries < 5 && log.contains("in use") => {}
                outcome => return outcome,
            }
        }
    }

    async fn run(&mut self) -> Result<()> {
        let line = self.recipe.run_on(self.server, self.port, &self.options);
        let line = self.account.command(Some(self.recipe.orphaned), &line);
        let guard = Guard::start(self.folder.path(), self.recipe.orphaned, &line)
            .map_err(ServerError::io(format!("starting {}", self.server)))?;
        self.guard = Some(guard);
        let outcome = self.wait_until_ready().await;
        if let Err(ServerError::Ended { .. }) = outcome {
            self.guard = None;
        }
        outcome
    }

    async fn wait_until_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + START;
        loop {
            if self.has_ended()? {
                return Err(ServerError::Ended { server: self.server, log: self.folder.end_of_log() });
            }
            let last = match timeout(Duration::from_secs(5), self.is_ours()).await {
                Ok(Ok(true)) => return Ok(()),
                Ok(Ok(false)) => "another server has its port".to_owned(),
                Ok(Err(ServerError::Sql { source, .. })) => source.to_string(),
                Ok(Err(other)) => return Err(other),
                Err(_) => "it doesn't answer".to_owned(),
            };
            if Instant::now() > deadline {
                let log = self.folder.end_of_log();
                return Err(ServerError::NotReady { server: self.server, seconds: START.as_secs(), last, log });
            }
            sleep(LOOK).await;
        }
    }

    async fn is_ours(&self) -> Result<bool> {
        let folder = self.admin().await?.data_folder().await?;
        Ok(std::path::Path::new(&folder) == self.folder.data())
    }

    /// Waits for the server's end, and for that of its `family`, which can outlive it by a moment and still hold its memory.
    async fn wait_for_the_end(&mut self, family: &[Pid]) -> Result<()> {
        let pid = self.process()?;
        let deadline = Instant::now() + END;
        while !self.has_ended()? || family.iter().any(|member| processes::is_alive(*member)) {
            if Instant::now() > deadline {
                let (seconds, log) = (END.as_secs(), self.folder.end_of_log());
                return Err(ServerError::NotEnded { server: self.server, pid: pid.as_raw(), seconds, log });
            }
            sleep(LOOK).await;
        }
        self.guard = None;
        Ok(())
    }

    fn has_ended(&mut self) -> Result<bool> {
        let Some(guard) = &mut self.guard else { return Ok(true) };
        guard.has_ended().map_err(ServerError::io(format!("looking whether {} has ended", self.server)))
    }
}

impl Drop for PrivateServer {
    fn drop(&mut self) {
        // Frozen, it couldn't end.
        let _ = self.resume();
    }
}
