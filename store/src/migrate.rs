//! Making and upgrading the tables.
//!
//! Numbered SQL files, each applied once and noted in `gritstone_migrations` together with the oldest version of
//! the program that can live with the result (`min_compatible`). A database that Rails made is adopted: its own tables stay as they
//! are, only `gritstone_*` is added.

use crate::error::Error;
use crate::session::{Session, pause_before_retry, transaction};
use crate::sql::{Dialect, Value, values};
use crate::store::Store;
use crate::url::DatabaseUrl;
use std::collections::BTreeMap;

/// What a migration is about, which decides whether it runs on tables that Rails made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// The tables of Solid Queue that every version has.
    Core,
    /// The batch tables, newer than many a Rails database.
    Batches,
    /// Our own tables.
    Ours,
}

struct Migration {
    version: i32,
    name: &'static str,
    scope: Scope,
    /// The oldest schema version whose programs still work after this migration.
    min_compatible: i32,
    postgres: &'static str,
    mysql: &'static str,
    sqlite: &'static str,
}

impl Migration {
    fn step(&self, action: Action, dialect: Dialect) -> Step {
        let sql = match (action, dialect) {
            (Action::Applied | Action::Adopt | Action::Withheld, _) => "",
            (Action::Apply, Dialect::Postgres) => self.postgres,
            (Action::Apply, Dialect::MySql | Dialect::MariaDb) => self.mysql,
            (Action::Apply, Dialect::Sqlite) => self.sqlite,
        };
        Step { version: self.version, name: self.name, action, sql }
    }
}

macro_rules! migration {
    ($version:literal, $name:literal, $scope:expr, min_compatible: $min:literal) => {
        Migration {
            version: $version,
            name: $name,
            scope: $scope,
            min_compatible: $min,
            postgres: include_str!(concat!("../../migrations/postgres/", $name, ".sql")),
            mysql: include_str!(concat!("../../migrations/mysql/", $name, ".sql")),
            sqlite: include_str!(concat!("../../migrations/sqlite/", $name, ".sql")),
        }
    };
}

const MIGRATIONS: &[Migration] = &[
    migration!(1, "0001_solid_queue", Scope::Core, min_compatible: 1),
    migration!(2, "0002_solid_queue_batches", Scope::Batches, min_compatible: 1),
    migration!(3, "0003_gritstone", Scope::Ours, min_compatible: 1),
    migration!(4, "0004_schedule", Scope::Ours, min_compatible: 1),
    migration!(5, "0005_class_defaults", Scope::Ours, min_compatible: 1),
    migration!(6, "0006_schedule_time_zone", Scope::Ours, min_compatible: 1),
];

/// The schema version that this program makes.
pub const SCHEMA_VERSION: i32 = 6;

/// What to do with one migration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its number.
    pub version: i32,
    /// Its file's name, without `.sql`.
    pub name: &'static str,
    /// Whether it runs.
    pub action: Action,
    /// The SQL, for `--dry-run`. Empty when nothing runs.
    pub sql: &'static str,
}

/// Whether a migration runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It ran before.
    Applied,
    /// The tables are there already, made by Rails; only noted.
    Adopt,
    /// It runs now.
    Apply,
    /// It would change tables that Rails made, and wasn't asked to.
    Withheld,
}

/// How to migrate.
#[derive(Debug, Clone, Copy, Default)]
pub struct MigrateOptions {
    /// Only say what would be done.
    pub dry_run: bool,
    /// Also change tables that Rails made: add the batch tables and `batch_id`.
    pub alter_solid_queue: bool,
}

impl Store {
    /// Brings the schema up to [`SCHEMA_VERSION`], under a lock, so that two at once are safe. Returns every step.
    ///
    /// # Errors
    /// [`Error::TooOld`] when the database belongs to a newer program that no longer gets along with this one.
    pub async fn migrate(&self, options: MigrateOptions) -> Result<Vec<Step>, Error> {
        if options.dry_run
            && let DatabaseUrl::Sqlite { path, .. } = self.url()
            && !path.exists()
        {
            // Opening it would make it.
            return Ok(MIGRATIONS.iter().map(|migration| migration.step(Action::Apply, Dialect::Sqlite)).collect());
        }
        let mut session = self.connect().await?;
        let steps = session.migrate(options).await?;
        self.forget_schema();
        Ok(steps)
    }

    /// Checks that the schema is one that this program can work with.
    ///
    /// # Errors
    /// [`Error::Schema`] when tables are missing, [`Error::TooOld`] when they are too new.
    pub async fn check_schema(&self) -> Result<(), Error> {
        self.session().await?.check_schema().await
    }
}

impl Session<'_> {
    /// The same as [`Store::check_schema`], on this connection.
    ///
    /// # Errors
    /// [`Error::Schema`] when tables are missing, [`Error::TooOld`] when they are too new.
    pub async fn check_schema(&mut self) -> Result<(), Error> {
        if !has_column(self, "gritstone_migrations", "version").await? {
            return Err(Error::Schema("the database has no Gritstone tables".into()));
        }
        let applied = self.applied().await?;
        self.refuse_if_too_old(&applied)?;
        let missing = |m: &&Migration| m.scope != Scope::Batches && applied.iter().all(|row| row.version != m.version);
        match MIGRATIONS.iter().find(missing) {
            Some(missing) => Err(Error::Schema(format!("the tables of {} are missing", missing.name))),
            None => Ok(()),
        }
    }

    async fn migrate(&mut self, options: MigrateOptions) -> Result<Vec<Step>, Error> {
        if options.dry_run {
            return self.plan(options).await;
        }
        match self.dialect {
            Dialect::Postgres => transaction!(self, self.migrate_under_transaction_lock(options).await),
            // BEGIN IMMEDIATE is the lock.
            Dialect::Sqlite => transaction!(self, self.apply(options).await),
            // MySQL commits at each CREATE TABLE: the lock is the session's, and every statement may run twice.
            Dialect::MySql | Dialect::MariaDb => {
                let name = "concat('gritstone_migrate:', database())";
                let row = self.query_one(&format!("select get_lock(left({name}, 64), 60)"), &[]).await?;
                if row.map(|row| row.opt_int(0)).transpose()?.flatten() != Some(1) {
                    return Err(Error::Conflict("another migration has been running for a minute".into()));
                }
                let steps = self.apply_on_mysql(options).await;
                self.query(&format!("select release_lock(left({name}, 64))"), &[]).await?;
                steps
            }
        }
    }

    /// A migration whose session was cut off holds no lock any more, and may still be at its last statement, which gets in the
    /// way of the same one here. Every statement may run again.
    async fn apply_on_mysql(&mut self, options: MigrateOptions) -> Result<Vec<Step>, Error> {
        const TRIES: u32 = 6;
        let mut tries = 1;
        loop {
            match self.apply(options).await {
                Err(error @ (Error::Other(_) | Error::Conflict(_))) if tries < TRIES => {
                    tracing::debug!(tries, %error, "running the migration again");
                    tries += 1;
                    pause_before_retry(tries).await;
                }
                result => break result,
            }
        }
    }

    async fn migrate_under_transaction_lock(&mut self, options: MigrateOptions) -> Result<Vec<Step>, Error> {
        // Any number will do, as long as nobody else uses it: these are the letters "gritston".
        self.query("select pg_advisory_xact_lock(7454126125402648430)::text", &[]).await?;
        self.apply(options).await
    }

    async fn apply(&mut self, options: MigrateOptions) -> Result<Vec<Step>, Error> {
        self.run(bookkeeping(self.dialect).into()).await?;
        let steps = self.plan(options).await?;
        for (step, migration) in steps.iter().zip(MIGRATIONS) {
            match step.action {
                Action::Apply if self.dialect.is_mysql() => {
                    // Cut off halfway, it must not be taken for tables that Rails made. A mark that is there stays there: cut off in a
                    // moment without it, it would be.
                    self.note(-step.version, &format!("{BEGUN} {}", step.name), migration).await?;
                    self.run_file(step.sql).await?;
                    self.note(step.version, step.name, migration).await?;
                    self.forget(-step.version).await?;
                }
                Action::Apply => {
                    self.run_file(step.sql).await?;
                    self.note(step.version, step.name, migration).await?;
                }
                Action::Adopt => self.note(step.version, &format!("{ADOPTED} {}", step.name), migration).await?,
                // Cut off just before its end.
                Action::Applied if self.dialect.is_mysql() => self.forget(-step.version).await?,
                Action::Applied | Action::Withheld => {}
            }
        }
        Ok(steps)
    }

    async fn note(&mut self, version: i32, name: &str, migration: &Migration) -> Result<(), Error> {
        let sql = format!(
            "insert into gritstone_migrations (version, name, min_compatible, applied_at) values (?, ?, ?, ?){}",
            self.dialect.unless_there("version")
        );
        self.execute(&sql, &[version.into(), name.into(), migration.min_compatible.into(), Value::NOW]).await?;
        Ok(())
    }

    async fn forget(&mut self, version: i32) -> Result<(), Error> {
        self.execute("delete from gritstone_migrations where version = ?", &values![version]).await?;
        Ok(())
    }

    async fn run_file(&mut self, sql: &str) -> Result<(), Error> {
        if !self.dialect.is_mysql() {
            return self.run(sql.into()).await;
        }
        let code: String =
            sql.lines().filter(|line| !line.trim_start().starts_with("--")).map(|l| format!("{l}\n")).collect();
        for statement in code.split(";\n").filter(|statement| !statement.trim().is_empty()) {
            match self.run(statement.to_owned()).await {
                // A migration that was cut off halfway runs again from the start: 1060 and 1061 say that a column
                // or an index is there already.
                Err(Error::Other(text)) if text.contains("(error 1060)") || text.contains("(error 1061)") => {}
                result => result?,
            }
        }
        Ok(())
    }

    async fn plan(&mut self, options: MigrateOptions) -> Result<Vec<Step>, Error> {
        let applied = match has_column(self, "gritstone_migrations", "version").await? {
            true => self.applied().await?,
            false => Vec::new(),
        };
        self.refuse_if_too_old(&applied)?;
        let applied: BTreeMap<i32, String> = applied.into_iter().map(|row| (row.version, row.name)).collect();
        let begun = |version: i32| applied.contains_key(&-version);
        let has_core = has_column(self, "solid_queue_jobs", "id").await? && !begun(1);
        let has_batches = has_column(self, "solid_queue_batches", "id").await? && !begun(2);
        // Tables that exist although we never made them are Rails' own.
        let rails = has_core && applied.get(&1).is_none_or(|name| name.starts_with(ADOPTED));
        let step = |migration: &Migration| {
            let action = match migration.scope {
                _ if applied.contains_key(&migration.version) => Action::Applied,
                Scope::Core if has_core => Action::Adopt,
                Scope::Batches if has_batches => Action::Adopt,
                Scope::Batches if rails && !options.alter_solid_queue && !begun(2) => Action::Withheld,
                _ => Action::Apply,
            };
            migration.step(action, self.dialect)
        };
        Ok(MIGRATIONS.iter().map(step).collect())
    }

    async fn applied(&mut self) -> Result<Vec<Applied>, Error> {
        let sql = "select version, name, min_compatible from gritstone_migrations order by version";
        let rows = self.query(sql, &[]).await?;
        rows.iter()
            .map(|row| {
                Ok(Applied { version: row.int(0)? as i32, name: row.text(1)?, min_compatible: row.int(2)? as i32 })
            })
            .collect()
    }

    fn refuse_if_too_old(&self, applied: &[Applied]) -> Result<(), Error> {
        match applied.iter().map(|row| row.min_compatible).max() {
            Some(min) if min > SCHEMA_VERSION => Err(Error::TooOld { min_compatible: min, known: SCHEMA_VERSION }),
            _ => Ok(()),
        }
    }
}

/// A row of `gritstone_migrations`.
struct Applied {
    version: i32,
    name: String,
    min_compatible: i32,
}

/// Before the name of a migration whose tables were there already, and are Rails' own.
const ADOPTED: &str = "adopted";

/// Before the name, at the negated version, of a migration that is under way or was cut off (MySQL only: it commits
/// at each `create table`).
const BEGUN: &str = "begun";

fn bookkeeping(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Postgres => {
            "create table if not exists gritstone_migrations (version integer primary key, name varchar not null, min_compatible integer not null, applied_at timestamp(6) not null)"
        }
        Dialect::MySql | Dialect::MariaDb => {
            "create table if not exists gritstone_migrations (version int not null primary key, name varchar(255) not null, min_compatible int not null, applied_at datetime(6) not null) engine=InnoDB default charset=utf8mb4"
        }
        Dialect::Sqlite => {
            "create table if not exists gritstone_migrations (version integer primary key not null, name varchar not null, min_compatible integer not null, applied_at datetime(6) not null)"
        }
    }
}

/// True when the table that an unqualified name means has the column.
pub(crate) async fn has_column(session: &mut Session<'_>, table: &str, column: &str) -> Result<bool, Error> {
    let sql = match session.dialect {
        Dialect::Postgres => {
            "select 1 from pg_attribute where attrelid = to_regclass(?) and attname = ? and not attisdropped"
        }
        Dialect::MySql | Dialect::MariaDb => {
            "select 1 from information_schema.columns where table_schema = database() and table_name = ? and column_name = ?"
        }
        Dialect::Sqlite => "select 1 from pragma_table_info(?) where name = ?",
    };
    Ok(session.query_one(sql, &values![table, column]).await?.is_some())
}
