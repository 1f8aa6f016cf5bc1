//! Settings that all processes of a database share.

use crate::error::Error;
use crate::session::{Session, transaction};
use crate::sql::Value;
use std::time::Duration;

/// How processes of this database tell that one of them is dead, and what becomes of finished jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// How often a process says that it lives.
    pub heartbeat_interval: Duration,
    /// How long after its last word a process counts as dead.
    pub alive_threshold: Duration,
    /// Keep finished jobs' rows.
    pub preserve_finished_jobs: bool,
    /// Delete kept ones after this long; never, when absent.
    pub clear_finished_after: Option<Duration>,
    /// Keep at most so many finished jobs.
    pub keep_at_most: Option<u64>,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            heartbeat_interval: Duration::from_secs(15),
            alive_threshold: Duration::from_secs(120),
            preserve_finished_jobs: true,
            clear_finished_after: Some(Duration::from_secs(86_400)),
            keep_at_most: None,
        }
    }
}

impl Settings {
    fn to_rows(&self) -> [(&'static str, String); 5] {
        let optional = |value: Option<u64>| value.map_or_else(|| "never".to_owned(), |value| value.to_string());
        [
            ("heartbeat_interval_ms", self.heartbeat_interval.as_millis().to_string()),
            ("alive_threshold_ms", self.alive_threshold.as_millis().to_string()),
            ("preserve_finished_jobs", self.preserve_finished_jobs.to_string()),
            ("clear_finished_after_ms", optional(self.clear_finished_after.map(|d| d.as_millis() as u64))),
            ("keep_at_most", optional(self.keep_at_most)),
        ]
    }

    fn read(&mut self, name: &str, value: &str) {
        let number = value.parse::<u64>().ok();
        match name {
            "heartbeat_interval_ms" => {
                self.heartbeat_interval = number.map_or(self.heartbeat_interval, Duration::from_millis)
            }
            "alive_threshold_ms" => self.alive_threshold = number.map_or(self.alive_threshold, Duration::from_millis),
            "preserve_finished_jobs" => self.preserve_finished_jobs = value != "false",
            "clear_finished_after_ms" => self.clear_finished_after = number.map(Duration::from_millis),
            "keep_at_most" => self.keep_at_most = number,
            // A newer program's.
            _ => {}
        }
    }
}

impl Session<'_> {
    /// Reads the settings; what nobody has set is the default.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn settings(&mut self) -> Result<Settings, Error> {
        let mut settings = Settings::default();
        for row in self.query("select name, value from gritstone_settings", &[]).await? {
            settings.read(&row.text(0)?, &row.text(1)?);
        }
        Ok(settings)
    }

    /// Writes the settings, where they differ.
    ///
    /// # Errors
    /// Those of the database; then none was written.
    pub async fn write_settings(&mut self, settings: &Settings) -> Result<(), Error> {
        let before = self.settings().await?.to_rows();
        // Only what changes: how old a row is says who may not know of it yet.
        let changed: Vec<_> = settings.to_rows().into_iter().filter(|row| !before.contains(row)).collect();
        if changed.is_empty() {
            return Ok(());
        }
        let sql = format!(
            "insert into gritstone_settings (name, value, updated_at) values (?, ?, ?){}",
            self.dialect.upsert("name", &["value", "updated_at"])
        );
        transaction!(
            self,
            async {
                for (name, value) in &changed {
                    self.execute(&sql, &[(*name).into(), value.into(), Value::NOW]).await?;
                }
                Ok(())
            }
            .await
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_survive_their_rows() {
        let settings = Settings {
            clear_finished_after: None,
            keep_at_most: Some(7),
            preserve_finished_jobs: false,
            ..Settings::default()
        };
        let mut read = Settings::default();
        for (name, value) in settings.to_rows() {
            read.read(name, &value);
        }
        assert_eq!(read, settings);
    }
}
