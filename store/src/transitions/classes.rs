//! The defaults of classes, which are rows in the database: whoever enqueues goes by them, whoever declared them.
//!
//! A class has one row, written by whoever declared it last. Enqueuers keep what they read for a few seconds ([`KNOWN_FOR`]).

use super::prepare::Classes;
use crate::error::Error;
use crate::job::{ClassDefaults, ClassLimit, KeyPart, LimitKey};
use crate::session::{Session, transaction};
use crate::sql::{Row, Value, values};
use crate::store::Store;
use jiff::Timestamp;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long an enqueuer goes by what it has read.
const KNOWN_FOR: Duration = Duration::from_secs(5);

/// What a store's sessions have read of the defaults, and when.
#[derive(Default)]
pub(crate) struct KnownClasses(Mutex<Option<(Instant, Arc<Classes>)>>);

impl KnownClasses {
    fn get(&self) -> Option<Arc<Classes>> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().filter(|(read_at, _)| read_at.elapsed() < KNOWN_FOR).map(|(_, classes)| Arc::clone(classes))
    }

    fn set(&self, classes: Option<Arc<Classes>>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = classes.map(|classes| (Instant::now(), classes));
    }
}

/// A class's defaults, and who declared them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredClass {
    /// What its jobs have.
    pub defaults: ClassDefaults,
    /// Who said so last.
    pub declared_by: String,
    /// When that changed.
    pub updated_at: Timestamp,
}

/// What declaring has changed that somebody may not expect.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RedeclaredClasses {
    /// Classes that another one had declared otherwise, as they were.
    pub taken_over: Vec<DeclaredClass>,
    /// Classes that the declarer had declared before and doesn't any more.
    pub dropped: Vec<String>,
}

impl Store {
    /// Declares the defaults of classes, from now on and for whoever enqueues, as [`Session::declare_classes`] says.
    ///
    /// # Errors
    /// [`Error::Refused`] when one makes no sense; those of the database. Nothing is changed then.
    pub async fn declare_classes(&self, declarer: &str, classes: &[ClassDefaults]) -> Result<RedeclaredClasses, Error> {
        self.session().await?.declare_classes(declarer, classes).await
    }
}

impl Session<'_> {
    /// Makes these the defaults that `declarer` declares, and no others. A class that another one has declared otherwise is taken over, and
    /// comes back as it was: two that don't agree are a mistake that somebody should hear of.
    ///
    /// Enqueuers elsewhere go by them within five seconds.
    ///
    /// # Errors
    /// [`Error::Refused`] when one makes no sense; those of the database. Nothing is changed then.
    pub async fn declare_classes(
        &mut self,
        declarer: &str,
        classes: &[ClassDefaults],
    ) -> Result<RedeclaredClasses, Error> {
        for class in classes {
            class.check().map_err(|fault| Error::Refused(format!("the defaults of {}: {fault}", class.class)))?;
        }
        // In the order of their names, so that two who declare the same lock rows in one order.
        let mut wanted: Vec<&ClassDefaults> = classes.iter().collect();
        wanted.sort_by(|a, b| a.class.cmp(&b.class));
        let found = self.declared_classes().await?;
        if as_wanted(&found, declarer, &wanted) {
            return Ok(RedeclaredClasses::default());
        }
        let redeclared = transaction!(self, self.declare_script(declarer, &wanted).await)?;
        self.known_classes.set(None);
        Ok(redeclared)
    }

    async fn declare_script(&mut self, declarer: &str, wanted: &[&ClassDefaults]) -> Result<RedeclaredClasses, Error> {
        let lock = self.dialect.for_update(false);
        let rows = self.query(&format!("{READ} order by class_name{lock}"), &[]).await?;
        let found = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let dropped = found.iter().filter(|row| row.declared_by == declarer);
        let dropped = dropped.filter(|row| wanted.iter().all(|class| class.class != row.defaults.class));
        let dropped: Vec<String> = dropped.map(|row| row.defaults.class.clone()).collect();
        if !dropped.is_empty() {
            self.execute("delete from gritstone_class_defaults where class_name in ?", &values![&dropped]).await?;
        }
        let mut taken_over = Vec::new();
        for class in wanted {
            let before = found.iter().find(|row| row.defaults.class == class.class);
            if before.is_some_and(|row| row.declared_by == declarer && row.defaults == **class) {
                continue;
            }
            self.write_class(declarer, class).await?;
            let other = before.filter(|row| row.declared_by != declarer && row.defaults != **class);
            taken_over.extend(other.cloned());
        }
        Ok(RedeclaredClasses { taken_over, dropped })
    }

    async fn write_class(&mut self, declarer: &str, class: &ClassDefaults) -> Result<(), Error> {
        let columns = ["declared_by", "queue_name", "priority", "attempts", "limit_group", "limit_key", "updated_at"];
        let sql = format!(
            "insert into gritstone_class_defaults (class_name, declared_by, queue_name, priority, attempts, limit_group, limit_key, \
             created_at, updated_at) values (?, ?, ?, ?, ?, ?, ?, ?, ?){}",
            self.dialect.upsert("class_name", &columns)
        );
        let limit = class.limit.as_ref();
        let key = limit.and_then(|limit| limit.key.as_ref()).map(serde_json::to_string).transpose();
        let key = key.map_err(|error| Error::Refused(format!("the limit's key of {}: {error}", class.class)))?;
        let values = [
            (&class.class).into(),
            declarer.into(),
            (&class.queue).into(),
            class.priority.map(i64::from).into(),
            class.attempts.map(i64::from).into(),
            limit.map(|limit| limit.group.as_str()).into(),
            (&key).into(),
            Value::NOW,
            Value::NOW,
        ];
        self.execute(&sql, &values).await?;
        Ok(())
    }

    /// All defaults that are declared, by class.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn declared_classes(&mut self) -> Result<Vec<DeclaredClass>, Error> {
        self.query(&format!("{READ} order by class_name"), &[]).await?.iter().map(read).collect()
    }

    /// Takes back what was declared of a class, whoever did. False when nothing was. Whoever declares it may do so again.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn forget_class(&mut self, class: &str) -> Result<bool, Error> {
        let sql = "delete from gritstone_class_defaults where class_name = ?";
        let forgotten = self.write(sql, &values![class]).await? > 0;
        self.known_classes.set(None);
        Ok(forgotten)
    }

    /// The defaults to enqueue by, no older than a few seconds.
    pub(super) async fn class_defaults(&mut self) -> Result<Arc<Classes>, Error> {
        if let Some(known) = self.known_classes.get() {
            return Ok(known);
        }
        let read = match self.is_borrowed() {
            // The savepoint keeps an error from spoiling the caller's transaction.
            true => transaction!(self, self.declared_classes().await),
            false => self.declared_classes().await,
        };
        let read = match read {
            // Whoever enqueues may be upgraded before the tables are; nobody has declared anything then.
            Err(Error::Schema(missing)) => {
                tracing::debug!(missing, "there are no defaults of classes");
                Vec::new()
            }
            read => read?,
        };
        let classes = read.into_iter().map(|row| (row.defaults.class.clone(), row.defaults)).collect();
        let classes = Arc::new(classes);
        self.known_classes.set(Some(Arc::clone(&classes)));
        Ok(classes)
    }
}

/// True when nothing is to be written.
fn as_wanted(found: &[DeclaredClass], declarer: &str, wanted: &[&ClassDefaults]) -> bool {
    let own: Vec<&ClassDefaults> =
        found.iter().filter(|row| row.declared_by == declarer).map(|row| &row.defaults).collect();
    own.len() == wanted.len() && wanted.iter().all(|class| own.contains(class))
}

const READ: &str = "select class_name, declared_by, queue_name, priority, attempts, limit_group, limit_key, updated_at \
                    from gritstone_class_defaults";

fn read(row: &Row) -> Result<DeclaredClass, Error> {
    let class = row.text(0)?;
    let limit = match row.opt_text(5)? {
        None => None,
        Some(group) => Some(ClassLimit { group, key: row.opt_text(6)?.map(key_of) }),
    };
    let defaults = ClassDefaults {
        class,
        queue: row.opt_text(2)?,
        priority: row.opt_int(3)?.map(|priority| priority as i32),
        attempts: row.opt_int(4)?.map(|attempts| attempts.clamp(1, i64::from(u32::MAX)) as u32),
        limit,
    };
    Ok(DeclaredClass { defaults, declared_by: row.text(1)?, updated_at: row.time(7)? })
}

/// A text that is no key stands for a part that nobody can read: the jobs of this class are refused, and no others.
fn key_of(stored: String) -> LimitKey {
    serde_json::from_str(&stored).unwrap_or_else(|_| LimitKey::new(vec![KeyPart::Unknown(stored.into())]))
}
