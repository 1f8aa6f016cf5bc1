//! What a scheduler costs that has many tasks and nothing to do.

use crate::cpu;
use crate::figures::Table;
use crate::server::Bench;
use anyhow::{Context as _, Result, bail};
use gritstone::store::{NewTask, TaskSchedule};
use sqlx::{Connection as _, PgConnection};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;
use tokio::time::sleep;

/// Starts the command's dispatcher, whose scheduler has so many recurring tasks that aren't due, and reads the time it computes.
#[derive(Debug, clap::Args)]
pub(crate) struct Agenda {
    /// The command; target/release/gritstone beside this program unless given
    #[arg(long)]
    gritstone: Option<PathBuf>,
    /// Recurring tasks
    #[arg(long, default_value_t = 10_000)]
    tasks: u32,
    /// How long to watch, in seconds
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

impl Agenda {
    pub(crate) async fn run(&self, table: &mut Table) -> Result<()> {
        let gritstone = match &self.gritstone {
            Some(path) => path.clone(),
            None => std::env::current_exe()?.with_file_name("gritstone"),
        };
        if !gritstone.exists() {
            bail!("{} is not there: cargo build --release -p gritstone", gritstone.display());
        }
        let mut bench = Bench::start().await?;
        bench.count_statements().await?;
        for tasks in [0, self.tasks] {
            let queue = bench.queue().await?;
            // In a month that the bench doesn't see, each at a moment of its own.
            let month = jiff::Zoned::now().month() % 12 + 1;
            let task = |number: u32| {
                let (minute, hour, day) = (number % 60, number / 60 % 24, number % 28 + 1);
                let cron = format!("{minute} {hour} {day} {month} * UTC");
                NewTask::new(format!("task-{number}"), TaskSchedule::Cron(cron), "Hello")
            };
            let new: Vec<NewTask> = (0..tasks).map(task).collect();
            queue.store.connect().await?.replace_tasks("bench", &new).await?;
            let mut child = Command::new(&gritstone)
                .args(["dispatch", "--log", "warn", "--database", &queue.url])
                .stdin(Stdio::null())
                .kill_on_drop(true)
                .spawn()?;
            let pid = child.id().context("the dispatcher has ended")?;
            let listed = format!(
                "select count(*) from solid_queue_processes where kind = '{}'",
                if tasks == 0 { "Dispatcher" } else { "Scheduler" }
            );
            while queue.psql(&listed).await? != "1" {
                sleep(Duration::from_millis(100)).await;
            }
            sleep(Duration::from_secs(2)).await;
            let (before, server_before) = (cpu::seconds(pid)?, server_seconds(&bench).await?);
            sleep(Duration::from_secs(self.seconds)).await;
            let share = |seconds: f64| 100.0 * seconds / self.seconds as f64;
            let engine = share(cpu::seconds(pid)? - before);
            let server = share(server_seconds(&bench).await? - server_before);
            table.figure(
                &format!("a scheduler's {tasks} tasks, none due for {} s", self.seconds),
                format!("{engine:.2} % of a core, and {server:.2} % in the server's statements"),
            );
            child.kill().await?;
        }
        Ok(())
    }
}

/// The time that all statements took.
async fn server_seconds(bench: &Bench) -> Result<f64> {
    let mut admin = PgConnection::connect(&bench.server.admin_url()).await?;
    let sql = "select coalesce(sum(total_exec_time), 0) / 1000 from pg_stat_statements";
    Ok(sqlx::query_scalar(sql).fetch_one(&mut admin).await?)
}
