//! The audit.

use std::ops::DerefMut;

use async_trait::async_trait;
use chapar_core::time::Timestamp;
use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};

use super::{Session, Writing, column, instant};
use crate::store::{
    error::StoreError,
    seam::{AUDIT_BEGINNING, AuditEntry, AuditFilter, AuditHead, AuditLine, HeadRow, ReadAudit, WriteAudit},
};

/// Longest object or reason that is kept, in bytes: both may hold what a stranger sent.
const TEXT_BYTES_MAX: usize = 512;

/// A query of signed heads, as [`head_of`] reads them.
macro_rules! select_heads {
    ($tail:literal) => {
        concat!(
            "SELECT audit_last, signed, signer, COALESCE(chain, x'') AS chain \
             FROM heads LEFT JOIN head_signers ON fingerprint = signer ",
            $tail
        )
    };
}

#[async_trait]
impl<C: DerefMut<Target = SqliteConnection> + Send> ReadAudit for Session<C> {
    async fn audit_lines(&mut self, filter: &AuditFilter, before: i64, limit: i64) -> Result<Vec<AuditLine>, StoreError> {
        let rows = sqlx::query(
            "SELECT * FROM audit WHERE id < $1 AND ($2 = '' OR actor = $2) \
             AND ($3 = '' OR substr(action, 1, length($3)) = $3) AND ($4 = '' OR object = $4) \
             AND at_ms >= $5 AND at_ms < $6 ORDER BY id DESC LIMIT $7",
        )
        .bind(before)
        .bind(&filter.actor)
        .bind(&filter.action_prefix)
        .bind(&filter.object)
        .bind(filter.from.unwrap_or(Timestamp::MIN).unix_ms())
        .bind(filter.until.unwrap_or(Timestamp::MAX).unix_ms())
        .bind(limit)
        .fetch_all(self.conn())
        .await?;
        rows.iter().map(line_of).collect()
    }

    async fn audit_lines_after(&mut self, after: u64, limit: i64) -> Result<Vec<AuditLine>, StoreError> {
        let rows = sqlx::query("SELECT * FROM audit WHERE id > $1 ORDER BY id LIMIT $2");
        rows.bind(column(after)).bind(limit).fetch_all(self.conn()).await?.iter().map(line_of).collect()
    }

    async fn heads_after(&mut self, after: u64, limit: i64) -> Result<Vec<HeadRow>, StoreError> {
        let rows = sqlx::query(select_heads!("WHERE audit_last > $1 ORDER BY audit_last LIMIT $2"));
        rows.bind(column(after)).bind(limit).fetch_all(self.conn()).await?.iter().map(head_of).collect()
    }

    async fn newest_head(&mut self) -> Result<Option<HeadRow>, StoreError> {
        let row = sqlx::query(select_heads!("ORDER BY audit_last DESC LIMIT 1"));
        row.fetch_optional(self.conn()).await?.as_ref().map(head_of).transpose()
    }

    async fn greatest_audit_detail(&mut self, actions: [&str; 2], key: &str) -> Result<Option<i64>, StoreError> {
        let greatest = sqlx::query_scalar(
            "SELECT MAX(CAST(json_extract(details, '$.' || $3) AS BIGINT)) FROM audit WHERE action IN ($1, $2)",
        );
        Ok(greatest.bind(actions[0]).bind(actions[1]).bind(key).fetch_one(self.conn()).await?)
    }
}

#[async_trait]
impl WriteAudit for Session<Writing> {
    async fn append_audit(&mut self, at: Timestamp, entry: &AuditEntry, head: AuditHead) -> Result<AuditHead, StoreError> {
        // A number that was ever given is not given again, whoever took its line away.
        let newest: i64 = sqlx::query_scalar("SELECT COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'audit'), 0)")
            .fetch_one(self.conn())
            .await?;
        let line = AuditLine {
            id: newest.unsigned_abs().max(head.id) + 1,
            at,
            actor: shortened(&entry.actor).to_owned(),
            action: entry.action.to_owned(),
            object: shortened(&entry.object).to_owned(),
            succeeded: entry.succeeded,
            reason: shortened(&entry.reason).to_owned(),
            details: entry.details.to_string(),
            hash: None,
        };
        let hash = line.linked(&head.hash);
        sqlx::query(
            "INSERT INTO audit (id, at_ms, actor, action, object, succeeded, reason, details, hash) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        )
        .bind(column(line.id))
        .bind(at.unix_ms())
        .bind(&line.actor)
        .bind(&line.action)
        .bind(&line.object)
        .bind(i64::from(line.succeeded))
        .bind(&line.reason)
        .bind(&line.details)
        .bind(hash.as_slice())
        .execute(self.conn())
        .await?;
        Ok(AuditHead { id: line.id, hash })
    }

    async fn keep_head(&mut self, head: &HeadRow) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO head_signers (fingerprint, chain) VALUES ($1, $2) ON CONFLICT (fingerprint) DO NOTHING")
            .bind(&head.signer)
            .bind(&head.chain)
            .execute(self.conn())
            .await?;
        sqlx::query("INSERT INTO heads (audit_last, signed, signer) VALUES ($1, $2, $3) ON CONFLICT (audit_last) DO NOTHING")
            .bind(column(head.audit_last))
            .bind(&head.signed)
            .bind(&head.signer)
            .execute(self.conn())
            .await?;
        Ok(())
    }
}

fn head_of(row: &SqliteRow) -> Result<HeadRow, StoreError> {
    Ok(HeadRow {
        audit_last: row.try_get::<i64, _>("audit_last")?.unsigned_abs(),
        signed: row.try_get("signed")?,
        signer: row.try_get("signer")?,
        chain: row.try_get("chain")?,
    })
}

fn line_of(row: &SqliteRow) -> Result<AuditLine, StoreError> {
    Ok(AuditLine {
        id: u64::try_from(row.try_get::<i64, _>("id")?).unwrap_or_default(),
        at: instant(row, "at_ms")?,
        actor: row.try_get("actor")?,
        action: row.try_get("action")?,
        object: row.try_get("object")?,
        succeeded: row.try_get::<i64, _>("succeeded")? != 0,
        reason: row.try_get("reason")?,
        details: row.try_get("details")?,
        // One of another length fits nothing, as it should.
        hash: row.try_get::<Option<Vec<u8>>, _>("hash")?.map(|hash| hash.try_into().unwrap_or(AUDIT_BEGINNING)),
    })
}

fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]
}
