//! The job that sends an order's receipt.

use crate::orders::Shop;
use anyhow::Context as _;
use std::path::Path;

/// Its class; the argument is the order's number.
pub const CLASS: &str = "SendReceipt";

/// Writes the receipt. A run that was cut short may be followed by another: it writes the same again.
pub async fn send(shop: &Shop, outbox: &Path, number: i64) -> anyhow::Result<()> {
    let order = shop.order(number).await?.with_context(|| format!("there is no order {number}"))?;
    let file = outbox.join(format!("{number}.txt"));
    let text = format!("Dear {}, thank you for ordering {} items.\n", order.customer, order.items);
    tokio::fs::write(&file, text).await.with_context(|| format!("writing {}", file.display()))?;
    shop.mark_sent(number).await
}
