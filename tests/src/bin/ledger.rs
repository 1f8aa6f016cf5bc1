//! A handler for the tests of a whole cluster: `ledger LISTEN`, or `ledger job` for the one on standard input, with the ledger's database
//! in `LEDGER_URL`.
//!
//! Writes when each run began and ended, and in which pod, so that afterwards every job can be accounted for: whether it ran to its
//! end, and never twice at once. The first argument of a job is how many milliseconds it takes; the second, if there is one, how much memory
//! its first run takes, to hold it until it is killed.

use std::net::SocketAddr;
use std::os::unix::process::parent_id;
use std::time::Duration;
use std::{env, fs, io, process};

use anyhow::{Context as _, bail};
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::Value;
use sqlx::{MySqlPool, PgPool};
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let [_, listen] = env::args().collect::<Vec<_>>().try_into().ok().context("usage: ledger LISTEN|job")?;
    let url = env::var("LEDGER_URL").context("LEDGER_URL names no database")?;
    let pod = env::var("POD").or_else(|_| env::var("HOSTNAME")).unwrap_or_default();
    let ledger = Ledger { pool: Pool::open(&url).await?, pod };
    if listen == "job" {
        let job = io::read_to_string(io::stdin()).context("reading a job")?;
        return ledger.run(&serde_json::from_str(&job).context("reading a job")?).await;
    }
    let listen: SocketAddr = listen.parse().context("LISTEN is an address and a port")?;
    let routes = Router::new().route("/jobs", post(run)).route("/healthz", get(async || "fine")).with_state(ledger);
    let listener = tokio::net::TcpListener::bind(listen).await.with_context(|| format!("listening on {listen}"))?;
    let mut terminate = signal(SignalKind::terminate())?;
    axum::serve(listener, routes)
        .with_graceful_shutdown(async move {
            terminate.recv().await;
        })
        .await?;
    Ok(())
}

async fn run(State(ledger): State<Ledger>, Json(job): Json<Value>) -> Result<(), (StatusCode, String)> {
    // Anything wrong here is the test's own trouble: the job is tried again, and the ledger shows both runs.
    ledger.run(&job).await.map_err(|error| (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}")))
}

#[derive(Clone)]
struct Ledger {
    pool: Pool,
    pod: String,
}

impl Ledger {
    async fn run(&self, job: &Value) -> anyhow::Result<()> {
        let id = job["id"].as_str().context("a job without an id")?;
        let claim = job["claim"].as_i64().context("a job without a claim")?;
        let time = Duration::from_millis(job["arguments"][0].as_u64().unwrap_or_default());
        self.pool.begin(id, claim, &self.pod).await?;
        let is_first = job["attempt"] == 1 && job["interruptions"] == 0;
        if let Some(wanted) = job["arguments"].get(1).filter(|_| is_first) {
            let _held = take(wanted)?;
            return std::future::pending().await;
        }
        tokio::time::sleep(time).await;
        self.pool.end(id, claim).await
    }
}

/// Memory, written to: so many megabytes, or by a text such as `60%` what brings this process to that share of its parent, the engine.
fn take(wanted: &Value) -> anyhow::Result<Vec<u8>> {
    let bytes = match wanted.as_str() {
        Some(text) => {
            let share: usize = text.trim_end_matches('%').parse().context("a share in percent")?;
            (resident(parent_id())? * share / 100).saturating_sub(resident(process::id())?)
        }
        None => wanted.as_u64().context("a number of megabytes")? as usize * 1_000_000,
    };
    Ok(vec![1; bytes])
}

/// What a process has of the machine's memory, in bytes.
fn resident(process: u32) -> anyhow::Result<usize> {
    let file = format!("/proc/{process}/status");
    let status = fs::read_to_string(&file).with_context(|| format!("reading {file}"))?;
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
    Ok(kilobytes.context("no VmRSS")?.parse::<usize>()? * 1024)
}

#[derive(Clone)]
enum Pool {
    Postgres(PgPool),
    MySql(MySqlPool),
}

impl Pool {
    async fn open(url: &str) -> anyhow::Result<Self> {
        match url.split("://").next() {
            Some("postgres" | "postgresql") => Ok(Self::Postgres(PgPool::connect(url).await?)),
            Some("mysql") => Ok(Self::MySql(MySqlPool::connect(url).await?)),
            _ => bail!("LEDGER_URL is no URL of PostgreSQL or MySQL"),
        }
    }

    async fn begin(&self, job: &str, claim: i64, pod: &str) -> anyhow::Result<()> {
        const POSTGRES: &str = "insert into ledger (job, claim, pod, began) values ($1, $2, $3, clock_timestamp())";
        const MYSQL: &str = "insert into ledger (job, claim, pod, began) values (?, ?, ?, now(6))";
        match self {
            Self::Postgres(pool) => {
                sqlx::query(POSTGRES).bind(job).bind(claim).bind(pod).execute(pool).await?;
            }
            Self::MySql(pool) => {
                sqlx::query(MYSQL).bind(job).bind(claim).bind(pod).execute(pool).await?;
            }
        }
        Ok(())
    }

    async fn end(&self, job: &str, claim: i64) -> anyhow::Result<()> {
        const POSTGRES: &str =
            "update ledger set ended = clock_timestamp() where job = $1 and claim = $2 and ended is null";
        const MYSQL: &str = "update ledger set ended = now(6) where job = ? and claim = ? and ended is null";
        match self {
            Self::Postgres(pool) => {
                sqlx::query(POSTGRES).bind(job).bind(claim).execute(pool).await?;
            }
            Self::MySql(pool) => {
                sqlx::query(MYSQL).bind(job).bind(claim).execute(pool).await?;
            }
        }
        Ok(())
    }
}
