//! How far the ledger has got: the number of its newest span, and a hash over everything that ever came in.

use async_trait::async_trait;
use aws_lc_rs::digest::{Context, SHA256};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{SqliteLedger, marks::newest_span};
use crate::{
    ledger::store::{HeadThen, LedgerHeads},
    store::{AuditHead, StoreError},
};

/// Begins what is hashed, so that it can pass for nothing else.
const PREFIX: &[u8] = b"chapar ledger v1\n";

/// Signed heads that are kept. One that was signed before them is compared by its number alone.
const SIGNED_MAX: i64 = 1_000_000;

/// What came in within one write.
pub(super) struct Arrivals(Option<Context>);

impl std::fmt::Debug for Arrivals {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Arrivals").field("any", &self.0.is_some()).finish()
    }
}

impl Arrivals {
    /// Nothing yet.
    pub(super) const fn none() -> Self {
        Self(None)
    }

    /// One span more.
    pub(super) fn add(&mut self, number: i64, reporter: i64, body: &[u8]) {
        let context = self.0.get_or_insert_with(|| Context::new(&SHA256));
        context.update(&number.to_be_bytes());
        context.update(&reporter.to_be_bytes());
        context.update(&u64::try_from(body.len()).unwrap_or(u64::MAX).to_be_bytes());
        context.update(body);
    }

    /// Moves the head on by what came in, up to the span `newest`; nothing came: it stays.
    pub(super) fn settle(&mut self, conn: &Connection, newest: i64) -> rusqlite::Result<()> {
        let Some(context) = self.0.take() else { return Ok(()) };
        let head = stored(conn)?;
        let linked = [PREFIX, &head.hash, &newest.to_be_bytes(), context.finish().as_ref()].concat();
        conn.prepare_cached(
            "INSERT INTO head (one, number, hash) VALUES (1, ?1, ?2) ON CONFLICT DO UPDATE SET number = ?1, hash = ?2",
        )?
        .execute(params![newest, crate::authority::sha256(&linked)])?;
        Ok(())
    }
}

/// The head as it stands. A ledger from before there were heads begins with the number that it had reached.
fn stored(conn: &Connection) -> rusqlite::Result<AuditHead> {
    let head = conn
        .prepare_cached("SELECT number, hash FROM head")?
        .query_row([], |row| Ok(AuditHead { id: row.get::<_, i64>(0)?.unsigned_abs(), hash: row.get(1)? }))
        .optional()?;
    if let Some(head) = head {
        return Ok(head);
    }
    let newest = newest_span(conn)?;
    let hash = crate::authority::sha256(&[PREFIX, &newest.to_be_bytes()].concat());
    Ok(AuditHead { id: newest.unsigned_abs(), hash })
}

#[async_trait]
impl LedgerHeads for SqliteLedger {
    async fn head(&self) -> Result<AuditHead, StoreError> {
        self.writer
            .write(|conn| {
                let head = stored(conn)?;
                let number = i64::try_from(head.id).unwrap_or(i64::MAX);
                conn.execute("INSERT INTO signed_heads (number, hash) VALUES (?1, ?2) ON CONFLICT DO NOTHING", params![
                    number, head.hash
                ])?;
                conn.execute(
                    "DELETE FROM signed_heads WHERE number <= (SELECT number FROM signed_heads ORDER BY number DESC LIMIT 1 OFFSET ?1)",
                    [SIGNED_MAX],
                )?;
                Ok(head)
            })
            .await
    }

    async fn head_then(&self, number: u64) -> Result<HeadThen, StoreError> {
        self.readers
            .read(move |conn| {
                let number = i64::try_from(number).unwrap_or(i64::MAX);
                if newest_span(conn)?.unsigned_abs().min(stored(conn)?.id) < number.unsigned_abs() {
                    return Ok(HeadThen::Gone);
                }
                let sql = "SELECT hash FROM signed_heads WHERE number = ?1";
                let hash = conn.query_row(sql, [number], |row| row.get(0)).optional()?;
                Ok(hash.map_or(HeadThen::Forgotten, HeadThen::Was))
            })
            .await
    }
}
