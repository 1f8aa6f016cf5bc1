//! From a statement with `?` to what each database expects.

use super::Value;
use crate::clock;
use jiff::Timestamp;
use sqlx::Arguments as _;
use sqlx::mysql::MySqlArguments;
use sqlx::postgres::PgArguments;
use sqlx::sqlite::SqliteArguments;
use std::borrow::Cow;
use std::fmt::Write as _;

/// A statement ready for one database: its text, and its values in the driver's own form.
pub(crate) struct Statement<A> {
    pub(crate) sql: String,
    pub(crate) arguments: A,
}

/// One database's placeholders and values.
pub(crate) trait Render: Default {
    /// Appends what stands for `value` to `sql` and binds it. `now` is the same for all values of a statement, for the database
    /// that has no clock of its own.
    fn place(&mut self, sql: &mut String, value: &Value<'_>, now: Timestamp) -> Result<(), sqlx::error::BoxDynError>;
}

/// Puts `values` in place of the `?` of `sql`.
///
/// A `?` never stands inside a quoted text in our statements, so none is looked for.
pub(crate) fn render<A: Render>(sql: &str, values: &[Value<'_>]) -> Result<Statement<A>, sqlx::Error> {
    let mut rendered = String::with_capacity(sql.len() + values.len() * 2);
    let mut arguments = A::default();
    let now = Timestamp::now();
    let mut values = values.iter();
    let mut pieces = sql.split('?');
    rendered.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let value =
            values.next().ok_or_else(|| sqlx::Error::Configuration(format!("a value is missing for: {sql}").into()))?;
        arguments.place(&mut rendered, value, now).map_err(sqlx::Error::Encode)?;
        rendered.push_str(piece);
    }
    if values.next().is_some() {
        return Err(sqlx::Error::Configuration(format!("a value is left over for: {sql}").into()));
    }
    Ok(Statement { sql: rendered, arguments })
}

impl Render for PgArguments {
    fn place(&mut self, sql: &mut String, value: &Value<'_>, _: Timestamp) -> Result<(), sqlx::error::BoxDynError> {
        let number = self.len() + 1;
        match value {
            Value::Int(v) => self.add(*v)?,
            Value::Text(v) => self.add(v.as_deref())?,
            Value::Bool(v) => self.add(*v)?,
            Value::Time(v) => self.add(v.map(clock::to_naive))?,
            Value::Now(micros) => {
                self.add(*micros)?;
                let _ = write!(sql, "((clock_timestamp() at time zone 'utc') + ${number} * interval '1 microsecond')");
                return Ok(());
            }
            Value::Ints(v) => {
                self.add(v.as_ref())?;
                return list(sql, number);
            }
            Value::Texts(v) => {
                self.add(v.iter().map(|t| t.as_ref()).collect::<Vec<&str>>())?;
                return list(sql, number);
            }
        }
        let _ = write!(sql, "${number}");
        return Ok(());

        /// `x in ?` is `x = any($1)` here: one value however long the list, so one prepared statement.
        fn list(sql: &mut String, number: usize) -> Result<(), sqlx::error::BoxDynError> {
            let before = sql.trim_end().len();
            let Some(kept) = sql[..before].strip_suffix(" in").map(str::len) else {
                return Err("a list may only stand after `in`".into());
            };
            let negated = sql[..kept].strip_suffix(" not").map(str::len);
            sql.truncate(negated.unwrap_or(kept));
            let _ = match negated {
                Some(_) => write!(sql, " <> all(${number})"),
                None => write!(sql, " = any(${number})"),
            };
            Ok(())
        }
    }
}

/// Longer lists of numbers are written into the statement: MySQL takes 65,535 values, SQLite 32,766.
const MOST_PLACEHOLDERS: usize = 8_192;

fn inline(sql: &mut String, numbers: &[i64]) {
    sql.push('(');
    for (index, number) in numbers.iter().enumerate() {
        let _ = write!(sql, "{}{number}", if index == 0 { "" } else { "," });
    }
    sql.push(')');
}

/// A list's members as placeholders. Lengths are rounded up to a power of two by repeating the last member, so that
/// a few statements serve all lengths; an empty list is `(null)`, which nothing is in.
macro_rules! place_list {
    ($self:ident, $sql:ident, $items:expr) => {{
        let items = $items;
        match items.last() {
            None => $sql.push_str("(null)"),
            Some(last) => {
                let padding = items.len().next_power_of_two() - items.len();
                for item in items.iter().chain(std::iter::repeat_n(last, padding)) {
                    $self.add(item.to_owned())?;
                }
                let marks = vec!["?"; items.len() + padding].join(",");
                let _ = write!($sql, "({marks})");
            }
        }
        return Ok(());
    }};
}

impl Render for MySqlArguments {
    fn place(&mut self, sql: &mut String, value: &Value<'_>, _: Timestamp) -> Result<(), sqlx::error::BoxDynError> {
        match value {
            Value::Int(v) => self.add(*v)?,
            Value::Text(v) => self.add(v.as_deref())?,
            Value::Bool(v) => self.add(*v)?,
            Value::Time(v) => self.add(v.map(clock::to_naive))?,
            Value::Now(micros) => {
                self.add(*micros)?;
                sql.push_str("(utc_timestamp(6) + interval ? microsecond)");
                return Ok(());
            }
            Value::Ints(v) if v.len() > MOST_PLACEHOLDERS => {
                inline(sql, v);
                return Ok(());
            }
            Value::Ints(v) => place_list!(self, sql, v),
            Value::Texts(v) => place_list!(self, sql, v.iter().map(Cow::as_ref).collect::<Vec<&str>>()),
        }
        sql.push('?');
        Ok(())
    }
}

impl Render for SqliteArguments {
    fn place(&mut self, sql: &mut String, value: &Value<'_>, now: Timestamp) -> Result<(), sqlx::error::BoxDynError> {
        match value {
            Value::Int(v) => self.add(*v)?,
            Value::Text(v) => self.add(v.as_deref().map(str::to_owned))?,
            Value::Bool(v) => self.add(*v)?,
            Value::Time(v) => self.add(v.map(clock::to_sqlite))?,
            // SQLite is a library: its clock is this process's, but its own formatting stops at milliseconds.
            Value::Now(micros) => self.add(clock::to_sqlite(clock::plus_micros(now, *micros)))?,
            Value::Ints(v) if v.len() > MOST_PLACEHOLDERS => {
                inline(sql, v);
                return Ok(());
            }
            Value::Ints(v) => place_list!(self, sql, v),
            Value::Texts(v) => {
                place_list!(self, sql, v.iter().map(|t| t.as_ref().to_owned()).collect::<Vec<String>>())
            }
        }
        sql.push('?');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::values;

    fn postgres(sql: &str, values: &[Value<'_>]) -> String {
        render::<PgArguments>(sql, values).unwrap().sql
    }

    fn mysql(sql: &str, values: &[Value<'_>]) -> String {
        render::<MySqlArguments>(sql, values).unwrap().sql
    }

    #[test]
    fn postgres_gets_numbers_and_one_array_for_a_list() {
        let ids = [1i64, 2, 3];
        assert_eq!(
            postgres("delete from a where id in ? and n = ?", &values![&ids[..], 5i64]),
            "delete from a where id = any($1) and n = $2"
        );
        assert_eq!(postgres("select x not in ?", &values![&ids[..]]), "select x <> all($1)");
    }

    #[test]
    fn others_get_a_list_of_a_power_of_two() {
        let ids = [1i64, 2, 3];
        assert_eq!(mysql("id in ?", &values![&ids[..]]), "id in (?,?,?,?)");
        assert_eq!(mysql("id in ?", &values![&ids[..0]]), "id in (null)");
    }

    #[test]
    fn a_list_longer_than_a_statement_may_have_values_is_written_out() {
        let ids: Vec<i64> = (-1..70_000).collect();
        let statement = render::<MySqlArguments>("id in ? and n = ?", &values![&ids, 5i64]).unwrap();
        assert!(statement.sql.starts_with("id in (-1,0,1,") && statement.sql.ends_with(",69999) and n = ?"));
    }

    #[test]
    fn the_present_is_the_databases() {
        assert!(postgres("t < ?", &[Value::NOW]).contains("clock_timestamp()"));
        assert!(mysql("t < ?", &[Value::NOW]).contains("utc_timestamp(6)"));
    }

    #[test]
    fn a_wrong_number_of_values_is_an_error() {
        assert!(render::<MySqlArguments>("?", &[]).is_err());
        assert!(render::<MySqlArguments>("", &values![1i64]).is_err());
    }
}
