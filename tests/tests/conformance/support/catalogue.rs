//! What a database says of its own tables: a line for each column, index and key, sorted.

use super::{Db, Raw};
use gritstone_tests::servers::{Engine, Server};

/// The catalogue of the tables whose names begin so.
pub async fn catalogue(db: &Db, tables: &str) -> Vec<String> {
    let mut raw = db.raw().await;
    let mut lines = match db.engine {
        Engine::Sqlite => sqlite(&mut raw, tables).await,
        Engine::Server(Server::Postgres) => gather(&mut raw, &POSTGRES, tables).await,
        Engine::Server(_) => gather(&mut raw, &MYSQL, tables).await,
    };
    lines.sort();
    assert!(!lines.is_empty());
    lines
}

async fn gather(raw: &mut Raw, queries: &[&str], tables: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for sql in queries {
        for row in raw.rows(&sql.replace("TABLES", &format!("'{tables}%'"))).await {
            lines.push(row.into_iter().map(|text| text.unwrap_or_else(|| "null".into())).collect::<Vec<_>>().join(" "));
        }
    }
    lines
}

const POSTGRES: [&str; 3] = [
    "select table_name, column_name, data_type, character_maximum_length, datetime_precision, is_nullable, column_default \
     from information_schema.columns where table_schema = 'public' and table_name like TABLES",
    "select replace(indexdef, ' ONLY ', ' ') from pg_indexes where schemaname = 'public' and tablename like TABLES",
    "select conrelid::regclass, conname, pg_get_constraintdef(oid) from pg_constraint \
     where conrelid::regclass::text like TABLES and contype <> 'n'",
];

const MYSQL: [&str; 3] = [
    "select table_name, column_name, column_type, is_nullable, column_default, extra, character_set_name \
     from information_schema.columns where table_schema = database() and table_name like TABLES",
    "select table_name, index_name, seq_in_index, column_name, non_unique, sub_part, index_type \
     from information_schema.statistics where table_schema = database() and table_name like TABLES",
    "select r.table_name, r.constraint_name, r.referenced_table_name, r.delete_rule, r.update_rule, k.column_name, \
     k.referenced_column_name from information_schema.referential_constraints r join information_schema.key_column_usage k \
     on k.constraint_schema = r.constraint_schema and k.constraint_name = r.constraint_name and k.table_name = r.table_name \
     where r.constraint_schema = database() and r.table_name like TABLES",
];

/// SQLite has what it was told, and the pragmas to read it by; the names of keys are only in the text.
async fn sqlite(raw: &mut Raw, tables: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let names = format!("select name from sqlite_master where type = 'table' and name like '{tables}%'");
    for table in raw.texts(&names).await {
        let queries = [
            format!("select '{table}', name, type, \"notnull\", dflt_value, pk from pragma_table_info('{table}')"),
            format!(
                "select '{table}', l.name, l.\"unique\", l.origin, i.seqno, i.name from pragma_index_list('{table}') l, \
                 pragma_index_info(l.name) i"
            ),
            format!(
                "select '{table}', \"from\", \"table\", \"to\", on_delete, on_update from pragma_foreign_key_list('{table}')"
            ),
        ];
        lines.extend(gather(raw, &queries.each_ref().map(String::as_str), tables).await);
        let sql = raw.text(&format!("select sql from sqlite_master where name = '{table}'")).await.replace('"', "");
        let words: Vec<&str> = sql.split_whitespace().collect();
        for pair in words.windows(2).filter(|pair| pair[0].eq_ignore_ascii_case("constraint")) {
            lines.push(format!("{table} constraint {}", pair[1]));
        }
        lines.push(format!("{table} autoincrement {}", sql.to_lowercase().contains("autoincrement")));
    }
    lines
}
