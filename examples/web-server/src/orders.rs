//! Orders: their table, and what is asked about them over HTTP.

use crate::receipts;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use gritstone::store::{NewJob, Store};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use sqlx::{Row as _, SqlitePool};

/// The application: its own pool of connections, and the queue in the same database.
#[derive(Clone)]
pub struct Shop {
    pool: SqlitePool,
    queue: Store,
}

/// What is ordered.
#[derive(Debug, Deserialize)]
struct NewOrder {
    customer: String,
    items: u32,
}

/// An order as it is kept.
#[derive(Debug, Serialize)]
pub struct Order {
    pub customer: String,
    pub items: u32,
    receipt_sent: bool,
}

impl Shop {
    /// Opens the application's own table.
    pub async fn open(database: &std::path::Path, queue: Store) -> anyhow::Result<Shop> {
        let options = SqliteConnectOptions::new().filename(database).journal_mode(SqliteJournalMode::Wal);
        let pool = SqlitePool::connect_with(options).await?;
        let table = "create table if not exists orders (number integer primary key, customer text not null, \
                     items integer not null, receipt_sent integer not null default 0)";
        sqlx::query(table).execute(&pool).await?;
        Ok(Shop { pool, queue })
    }

    /// Writes an order and enqueues its receipt: both or neither.
    async fn place(&self, order: &NewOrder) -> anyhow::Result<i64> {
        // SQLite has one writer at a time: asking for that at once waits in line, where a lock taken halfway may be refused.
        let mut transaction = self.pool.begin_with("begin immediate").await?;
        let insert = sqlx::query("insert into orders (customer, items) values (?, ?)").bind(&order.customer);
        let number = insert.bind(order.items).execute(&mut *transaction).await?.last_insert_rowid();
        let job = NewJob::new(receipts::CLASS, vec![number.into()]);
        let (_, wake) = self.queue.enqueue_within(&mut *transaction, &[job]).await?;
        transaction.commit().await?;
        wake.send();
        Ok(number)
    }

    /// An order, if there is one of this number.
    pub async fn order(&self, number: i64) -> anyhow::Result<Option<Order>> {
        let sql = "select customer, items, receipt_sent from orders where number = ?";
        let Some(row) = sqlx::query(sql).bind(number).fetch_optional(&self.pool).await? else { return Ok(None) };
        Ok(Some(Order { customer: row.try_get(0)?, items: row.try_get(1)?, receipt_sent: row.try_get(2)? }))
    }

    /// Notes that the receipt is out.
    pub async fn mark_sent(&self, number: i64) -> anyhow::Result<()> {
        sqlx::query("update orders set receipt_sent = 1 where number = ?").bind(number).execute(&self.pool).await?;
        Ok(())
    }
}

/// `POST /orders`, `GET /orders/NUMBER`.
pub fn routes(shop: Shop) -> Router {
    Router::new().route("/orders", post(create)).route("/orders/{number}", get(show)).with_state(shop)
}

async fn create(State(shop): State<Shop>, Json(order): Json<NewOrder>) -> Result<Response, Failure> {
    if order.items == 0 {
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, Json(json!({"error": "an order has items"}))).into_response());
    }
    let number = shop.place(&order).await?;
    Ok((StatusCode::CREATED, Json(json!({"order": number}))).into_response())
}

async fn show(State(shop): State<Shop>, Path(number): Path<i64>) -> Result<Response, Failure> {
    Ok(match shop.order(number).await? {
        Some(order) => Json(order).into_response(),
        None => (StatusCode::NOT_FOUND, Json(json!({"error": "there is no such order"}))).into_response(),
    })
}

/// What went wrong is for the log, not for whoever asked.
struct Failure(anyhow::Error);

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Failure(error.into())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        tracing::error!("{:#}", self.0);
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }
}
