//! Removes rows. What an evidence chain needs of an evicted entry, its digest, stays until the whole piece that one signature covers
//! has gone.

mod excess;

use std::collections::BTreeSet;

use async_trait::async_trait;
use chapar_core::{record::chain, time::Timestamp};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    SqliteLedger,
    dictionary::number_of,
    marks::{keep_span_number, mark, set_mark},
    sums,
};
use crate::{
    ledger::{
        chain::Form,
        key::CallKey,
        retention::{Evicted, Eviction, Kinds},
        store::{Retention, number_of_form},
    },
    store::StoreError,
};

/// Calls, or spans of no call, that one write looks at: reporters wait for some milliseconds, not for minutes.
const ROWS_AT_ONCE: i64 = 500;

/// Name of the mark: number of the last span that was looked at as one of no call.
const SWEPT: &str = "swept";

const DIGEST: i64 = number_of_form(Form::Digest);

#[async_trait]
impl Retention for SqliteLedger {
    async fn evict_calls(&self, which: &Eviction) -> Result<Evicted, StoreError> {
        let which = which.clone();
        self.writer.write(move |conn| Ok(evict_calls(conn, &which)?)).await
    }

    async fn evict_other_spans(&self, before: Timestamp) -> Result<Evicted, StoreError> {
        self.writer.write(move |conn| Ok(evict_other_spans(conn, before)?)).await
    }

    async fn evict_excess(&self, spans_max: u64, bytes_max: u64) -> Result<Evicted, StoreError> {
        self.writer.write(move |conn| Ok(excess::evict_excess(conn, spans_max, bytes_max)?)).await
    }
}

fn evict_calls(conn: &Connection, which: &Eviction) -> rusqlite::Result<Evicted> {
    let ids = calls_to_evict(conn, which)?;
    evict_calls_at(conn, &ids)
}

/// Evicts these calls, in one step.
fn evict_calls_at(conn: &Connection, ids: &[i64]) -> rusqlite::Result<Evicted> {
    let mut gone = Gone::default();
    for id in ids {
        sums::move_to_gone(conn, CallKey::from_number(*id))?;
        excess::discharge(conn, *id)?;
        evict_spans(conn, "call = ?1", *id, &mut gone)?;
        conn.prepare_cached("DELETE FROM subjects WHERE call = ?1")?.execute([id])?;
        conn.prepare_cached("DELETE FROM calls WHERE id = ?1")?.execute([id])?;
    }
    gone.evicted(conn, is_full(ids.len()))
}

/// What one step has evicted so far.
#[derive(Debug, Default)]
struct Gone {
    spans: u64,
    newest: Timestamp,
    /// Chains that lost entries.
    chains: BTreeSet<i64>,
}

impl Gone {
    /// Shortens the chains; the last thing of a step.
    fn evicted(self, conn: &Connection, more: bool) -> rusqlite::Result<Evicted> {
        for chain in self.chains {
            shorten(conn, chain)?;
        }
        Ok(Evicted { spans: self.spans, newest: self.newest, more })
    }
}

fn calls_to_evict(conn: &Connection, which: &Eviction) -> rusqlite::Result<Vec<i64>> {
    let before = which.before.number();
    match &which.kinds {
        Kinds::Only(kind) => {
            let Some(kind) = number_of(conn, kind)? else { return Ok(Vec::new()) };
            conn.prepare_cached("SELECT id FROM calls NOT INDEXED WHERE id < ?1 AND kind = ?2 ORDER BY id LIMIT ?3")?
                .query_map([before, kind, ROWS_AT_ONCE], |row| row.get(0))?
                .collect()
        }
        Kinds::AllBut(kinds) => {
            let mut but = Vec::new();
            for kind in kinds {
                but.extend(number_of(conn, kind)?.map(|number| number.to_string()));
            }
            let sql = format!(
                "SELECT id FROM calls NOT INDEXED WHERE id < ?1 AND kind NOT IN ({}) ORDER BY id LIMIT ?2",
                but.join(", ")
            );
            conn.prepare_cached(&sql)?.query_map([before, ROWS_AT_ONCE], |row| row.get(0))?.collect()
        }
    }
}

fn evict_other_spans(conn: &Connection, before: Timestamp) -> rusqlite::Result<Evicted> {
    let found: Vec<(i64, bool)> = conn
        .prepare_cached(
            "SELECT id, call IS NULL AND form <> ?3 FROM spans WHERE id > ?1 AND received_at_ms < ?2 ORDER BY id LIMIT ?4",
        )?
        .query_map([mark(conn, SWEPT)?, before.unix_ms(), DIGEST, ROWS_AT_ONCE], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let mut gone = Gone::default();
    for (id, due) in &found {
        if *due {
            excess::discharge_other(conn, *id)?;
            evict_spans(conn, "id = ?1", *id, &mut gone)?;
        }
    }
    if let Some((last, _)) = found.last() {
        set_mark(conn, SWEPT, *last)?;
    }
    gone.evicted(conn, is_full(found.len()))
}

fn is_full(rows: usize) -> bool {
    i64::try_from(rows).is_ok_and(|rows| rows >= ROWS_AT_ONCE)
}

/// Evicts spans: those of a chain but for their digest.
fn evict_spans(conn: &Connection, which: &str, value: i64, gone: &mut Gone) -> rusqlite::Result<()> {
    let held: Vec<(i64, Option<i64>, Vec<u8>, i64)> = conn
        .prepare_cached(&format!("SELECT id, chain, body, received_at_ms FROM spans WHERE {which}"))?
        .query_map([value], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
        .collect::<Result<_, _>>()?;
    for (id, chain, body, received_at_ms) in &held {
        gone.newest = gone.newest.max(Timestamp::from_unix_ms(*received_at_ms));
        match chain {
            Some(key) => {
                gone.chains.insert(*key);
                conn.prepare_cached("UPDATE spans SET call = NULL, form = ?2, body = ?3 WHERE id = ?1")?.execute(params![
                    id,
                    DIGEST,
                    &chain::digest(body).0[..]
                ])?;
            }
            None => {
                keep_span_number(conn, *id)?;
                conn.prepare_cached("DELETE FROM spans WHERE id = ?1")?.execute([id])?;
            }
        }
    }
    gone.spans += held.len() as u64;
    Ok(())
}

/// Takes off the beginning of a chain as far as everything there is evicted, up to the end of a signed piece.
fn shorten(conn: &Connection, chain: i64) -> rusqlite::Result<()> {
    let first_kept: Option<i64> = conn
        .prepare_cached("SELECT MIN(sequence) FROM spans WHERE chain = ?1 AND form <> ?2")?
        .query_row([chain, DIGEST], |row| row.get(0))?;
    // Pieces may overlap, since what was not acknowledged is sent again: the cut goes through none of them.
    let signed: Option<i64> = conn
        .prepare_cached(
            "SELECT MAX(c.last) FROM checkpoints c WHERE c.chain = ?1 AND c.last < ?2 AND NOT EXISTS \
             (SELECT 1 FROM checkpoints o WHERE o.chain = ?1 AND o.first <= c.last AND o.last > c.last)",
        )?
        .query_row([chain, first_kept.unwrap_or(i64::MAX)], |row| row.get(0))
        .optional()?
        .flatten();
    let cut = match unsigned_cut(conn, chain, first_kept)? {
        Some(unsigned) => Some(unsigned),
        None => signed,
    };
    let Some(cut) = cut else { return Ok(()) };
    let newest: Option<i64> = conn
        .prepare_cached("SELECT MAX(id) FROM spans WHERE chain = ?1 AND sequence <= ?2")?
        .query_row([chain, cut], |row| row.get(0))?;
    if let Some(newest) = newest {
        keep_span_number(conn, newest)?;
    }
    conn.prepare_cached("DELETE FROM spans WHERE chain = ?1 AND sequence <= ?2")?.execute([chain, cut])?;
    conn.prepare_cached("DELETE FROM checkpoints WHERE chain = ?1 AND last <= ?2")?.execute([chain, cut])?;
    conn.prepare_cached("UPDATE chains SET forgotten = MAX(forgotten, ?2) WHERE id = ?1")?.execute([chain, cut])?;
    Ok(())
}

/// The last entry before which everything is evicted, if no signature covers it: digests that nobody signed prove nothing, and whoever
/// never signs must not have them stay for ever.
fn unsigned_cut(conn: &Connection, chain: i64, first_kept: Option<i64>) -> rusqlite::Result<Option<i64>> {
    let last_evicted: Option<i64> = conn
        .prepare_cached("SELECT MAX(sequence) FROM spans WHERE chain = ?1 AND sequence < ?2")?
        .query_row([chain, first_kept.unwrap_or(i64::MAX)], |row| row.get(0))?;
    let Some(last_evicted) = last_evicted else { return Ok(None) };
    let is_signed =
        conn.prepare_cached("SELECT 1 FROM checkpoints WHERE chain = ?1 AND last >= ?2")?.exists([chain, last_evicted])?;
    Ok((!is_signed).then_some(last_evicted))
}
