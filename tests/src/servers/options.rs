//! How a server is set.

/// How a [`PrivateServer`](super::PrivateServer) is set.
///
/// Whatever is chosen here, what was committed survives a killed server: the log is written to the operating system before a commit
/// returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerOptions {
    /// Whether commits wait for the disk, as they would in production. Off, they survive the server's death but not the machine's,
    /// and tests run several times as fast.
    pub durable: bool,
    /// How many connections it takes.
    pub max_connections: u32,
    /// Further settings of the server, by its own names for them; a later one wins over an earlier one, and over ours.
    pub settings: Vec<(String, String)>,
}

impl Default for ServerOptions {
    fn default() -> Self {
        ServerOptions { durable: false, max_connections: 300, settings: Vec::new() }
    }
}

impl ServerOptions {
    /// What production would run with: every commit waits for the disk.
    pub fn durable() -> Self {
        ServerOptions { durable: true, ..Self::default() }
    }

    /// Adds a setting of the server.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.push((name.into(), value.into()));
        self
    }
}
