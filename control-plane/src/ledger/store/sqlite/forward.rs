//! Spans in the order of their rows.

use async_trait::async_trait;
use chapar_core::time::Timestamp;

use super::{
    SqliteLedger,
    dictionary::Spelling,
    marks::{mark, newest_span, set_mark},
    rows::{SPAN_COLUMNS, span_of},
};
use crate::{
    ledger::store::{ForwardQueue, QueuedSpan},
    store::StoreError,
};

/// Name of the mark: number of the last span that is done with.
const FORWARDED: &str = "forwarded";

#[async_trait]
impl ForwardQueue for SqliteLedger {
    async fn forwarded(&self) -> Result<i64, StoreError> {
        self.readers.read(|conn| Ok(mark(conn, FORWARDED)?)).await
    }

    async fn set_forwarded(&self, position: i64) -> Result<(), StoreError> {
        self.writer.write(move |conn| Ok(set_mark(conn, FORWARDED, position)?)).await
    }

    async fn newest_position(&self) -> Result<i64, StoreError> {
        self.readers.read(|conn| Ok(newest_span(conn)?)).await
    }

    async fn spans_after(&self, position: i64, count: u32) -> Result<Vec<QueuedSpan>, StoreError> {
        self.readers.read(move |conn| Ok(spans_after(conn, position, count)?)).await
    }
}

fn spans_after(conn: &rusqlite::Connection, position: i64, count: u32) -> rusqlite::Result<Vec<QueuedSpan>> {
    let sql = format!(
        "SELECT {SPAN_COLUMNS}, s.received_at_ms FROM spans s LEFT JOIN chains c ON c.id = s.chain WHERE s.id > ?1 ORDER BY s.id LIMIT ?2"
    );
    let mut spelling = Spelling::default();
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query([position, i64::from(count)])?;
    let mut spans = Vec::new();
    while let Some(row) = rows.next()? {
        spans.push(QueuedSpan {
            position: row.get(0)?,
            reporter: spelling.word(conn, row.get(1)?)?,
            received_at: Timestamp::from_unix_ms(row.get(6)?),
            span: span_of(row)?,
        });
    }
    Ok(spans)
}
