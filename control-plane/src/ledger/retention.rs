//! Forgets what is older, or more, than the ledger keeps. What an evidence chain needs of a forgotten entry, its digest, stays until
//! the whole piece of the chain that one signature covers is forgotten.

use std::collections::BTreeSet;

use chapar_core::record::chain;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    Ledger,
    rows::{FORM_DIGEST, TIE_BITS},
    sums,
    words::number_of,
};
use crate::{
    config,
    store::StoreError,
    store::{AuditEntry, SYSTEM},
};

/// Calls that one write forgets at most: reporters wait for some milliseconds, not for minutes.
const CALLS_AT_ONCE: i64 = 500;

/// Microseconds and milliseconds of a day.
const DAY_US: i64 = 86_400 * 1_000_000;
const DAY_MS: i64 = 86_400_000;

/// Which calls are to be forgotten: those before a row, of a kind or of all but some.
#[derive(Clone, Debug)]
struct Cut {
    before: i64,
    /// Number of the kind; None: of all kinds but these.
    kind: Option<i64>,
    but: Vec<i64>,
}

impl Ledger {
    /// Removes what is too old, and then the oldest of what is too much. Returns the number of spans removed.
    ///
    /// # Errors
    /// When the ledger cannot be read or written.
    pub async fn forget_old(&self, bounds: &config::Ledger) -> Result<u64, StoreError> {
        let now_ms = self.store.clock().now_ms();
        let by_age = bounds.clone();
        let cuts = self.readers.read(move |conn| Ok(cuts(conn, &by_age, now_ms.saturating_mul(1_000))?)).await?;
        let mut forgotten = 0;
        let mut before = 0;
        for cut in cuts {
            let cut_before = cut.before;
            let spans = self.forget(cut).await?;
            forgotten += spans;
            if spans > 0 {
                before = before.max(cut_before);
            }
        }
        let sweep_before_ms = now_ms.saturating_sub(i64::from(bounds.retention_days_max()).saturating_mul(DAY_MS));
        let swept = self.sweep(sweep_before_ms).await?;
        while let Some(excess_before) = self.excess(bounds).await? {
            let more = self.forget(Cut { before: excess_before, kind: None, but: Vec::new() }).await?;
            if more == 0 {
                break;
            }
            forgotten += more;
            before = before.max(excess_before);
        }
        let before_ms = (before >> TIE_BITS) / 1_000;
        let before_ms = if swept > 0 { before_ms.max(sweep_before_ms) } else { before_ms };
        let forgotten = forgotten + swept;
        if forgotten > 0 {
            // So that what retention removed can be told from what somebody else did.
            let details = serde_json::json!({ "spans": forgotten, "beforeMs": before_ms });
            self.store.audit(AuditEntry::done(SYSTEM, "ledger.forget", "spans").with(details)).await?;
            tracing::info!(spans = forgotten, "removed records that are older, or more, than the ledger keeps");
            self.metrics.forgotten.inc_by(forgotten);
        }
        Ok(forgotten)
    }

    async fn excess(&self, bounds: &config::Ledger) -> Result<Option<i64>, StoreError> {
        let bounds = bounds.clone();
        self.readers.read(move |conn| Ok(excess(conn, &bounds)?)).await
    }

    async fn forget(&self, cut: Cut) -> Result<u64, StoreError> {
        let mut forgotten = 0;
        loop {
            let cut = cut.clone();
            let (calls, spans) = self.writer.write(move |conn| Ok(forget_some(conn, &cut)?)).await?;
            forgotten += spans;
            if calls < CALLS_AT_ONCE {
                return Ok(forgotten);
            }
        }
    }

    /// Forgets spans of no call that came before then.
    async fn sweep(&self, before_ms: i64) -> Result<u64, StoreError> {
        let mut forgotten = 0;
        loop {
            let (looked_at, spans) = self.writer.write(move |conn| Ok(sweep_some(conn, before_ms)?)).await?;
            forgotten += spans;
            if looked_at < CALLS_AT_ONCE {
                return Ok(forgotten);
            }
        }
    }
}

fn cuts(conn: &Connection, bounds: &config::Ledger, now_us: i64) -> rusqlite::Result<Vec<Cut>> {
    let before = |days: u32| (now_us - i64::from(days) * DAY_US).max(0) << TIE_BITS;
    let mut cuts = Vec::new();
    let mut own = Vec::new();
    for (kind, days) in &bounds.retention_days_by_kind {
        if let Some(kind) = number_of(conn, kind)? {
            cuts.push(Cut { before: before(*days), kind: Some(kind), but: Vec::new() });
            own.push(kind);
        }
    }
    cuts.push(Cut { before: before(bounds.retention_days), kind: None, but: own });
    Ok(cuts)
}

/// The row before which calls must go for the rest to fit; `None`: all fit.
fn excess(conn: &Connection, bounds: &config::Ledger) -> rusqlite::Result<Option<i64>> {
    let spans_max = i64::try_from(bounds.spans_max).unwrap_or(i64::MAX);
    let newest_less_oldest: Option<i64> = conn.query_row("SELECT MAX(id) - MIN(id) + 1 FROM spans", [], |row| row.get(0))?;
    let mut too_many = 0;
    if newest_less_oldest.unwrap_or(0) > spans_max {
        let held: i64 = conn.query_row("SELECT COUNT(*) FROM spans WHERE form <> ?1", [FORM_DIGEST], |row| row.get(0))?;
        too_many = held - spans_max;
    }
    let of = |pragma: &str| conn.query_row(pragma, [], |row| row.get::<_, i64>(0));
    let pages = of("PRAGMA page_count")? - of("PRAGMA freelist_count")?;
    let bytes = pages * of("PRAGMA page_size")?;
    if bytes > i64::try_from(bounds.bytes_max).unwrap_or(i64::MAX) {
        // A fiftieth at a time, and then it is looked at again.
        too_many = too_many.max(newest_less_oldest.unwrap_or(0) / 50).max(1);
    }
    if too_many <= 0 {
        return Ok(None);
    }
    // A call has one span or two: halves are counted by the calls themselves.
    conn.query_row(
        "SELECT MAX(id) + 1 FROM (SELECT id, SUM(spans) OVER (ORDER BY id) - spans AS before FROM \
         (SELECT id, spans FROM calls NOT INDEXED ORDER BY id LIMIT ?1)) WHERE before < ?1",
        [too_many],
        |row| row.get(0),
    )
}

fn forget_some(conn: &Connection, cut: &Cut) -> rusqlite::Result<(i64, u64)> {
    let ids: Vec<i64> = match cut.kind {
        Some(kind) => conn
            .prepare_cached("SELECT id FROM calls NOT INDEXED WHERE id < ?1 AND kind = ?2 ORDER BY id LIMIT ?3")?
            .query_map([cut.before, kind, CALLS_AT_ONCE], |row| row.get(0))?
            .collect::<Result<_, _>>()?,
        None => {
            let but = cut.but.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            conn.prepare_cached(&format!(
                "SELECT id FROM calls NOT INDEXED WHERE id < ?1 AND kind NOT IN ({but}) ORDER BY id LIMIT ?2"
            ))?
            .query_map([cut.before, CALLS_AT_ONCE], |row| row.get(0))?
            .collect::<Result<_, _>>()?
        }
    };
    let mut chains = BTreeSet::new();
    let mut spans = 0;
    for id in &ids {
        sums::let_go(conn, *id)?;
        spans += let_go_of(conn, "call = ?1", *id, &mut chains)?;
        conn.prepare_cached("DELETE FROM subjects WHERE call = ?1")?.execute([id])?;
        conn.prepare_cached("DELETE FROM calls WHERE id = ?1")?.execute([id])?;
    }
    for chain in chains {
        shorten(conn, chain)?;
    }
    Ok((i64::try_from(ids.len()).unwrap_or(i64::MAX), spans))
}

fn sweep_some(conn: &Connection, before_ms: i64) -> rusqlite::Result<(i64, u64)> {
    let swept = sums::mark(conn, "swept")?;
    let found: Vec<(i64, bool)> = conn
        .prepare_cached("SELECT id, received_at_ms < ?2 AND call IS NULL AND form <> 2 FROM spans WHERE id > ?1 AND received_at_ms < ?2 ORDER BY id LIMIT ?3")?
        .query_map([swept, before_ms, CALLS_AT_ONCE], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let mut chains = BTreeSet::new();
    let mut spans = 0;
    for (id, due) in &found {
        if *due {
            spans += let_go_of(conn, "id = ?1", *id, &mut chains)?;
        }
    }
    for chain in chains {
        shorten(conn, chain)?;
    }
    if let Some((last, _)) = found.last() {
        sums::set_mark(conn, "swept", *last)?;
    }
    Ok((i64::try_from(found.len()).unwrap_or(i64::MAX), spans))
}

/// Forgets spans: those of a chain but for their digest.
fn let_go_of(conn: &Connection, which: &str, value: i64, chains: &mut BTreeSet<i64>) -> rusqlite::Result<u64> {
    let held: Vec<(i64, Option<i64>, Vec<u8>)> = conn
        .prepare_cached(&format!("SELECT id, chain, body FROM spans WHERE {which}"))?
        .query_map([value], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    for (id, chain, body) in &held {
        match chain {
            Some(key) => {
                chains.insert(*key);
                conn.prepare_cached("UPDATE spans SET call = NULL, form = ?2, body = ?3 WHERE id = ?1")?.execute(params![
                    id,
                    FORM_DIGEST,
                    &chain::digest(body).0[..]
                ])?;
            }
            None => {
                remember_newest(conn, *id)?;
                conn.prepare_cached("DELETE FROM spans WHERE id = ?1")?.execute([id])?;
            }
        }
    }
    Ok(held.len() as u64)
}

/// A number is never given twice: the highest that was ever given is kept when its span goes.
fn remember_newest(conn: &Connection, id: i64) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT INTO marks VALUES ('span-newest', ?1) ON CONFLICT DO UPDATE SET value = MAX(value, excluded.value)",
    )?
    .execute([id])?;
    Ok(())
}

/// Takes off the beginning of a chain as far as everything there is forgotten, up to the end of a signed piece.
fn shorten(conn: &Connection, chain: i64) -> rusqlite::Result<()> {
    let first_kept: Option<i64> = conn
        .prepare_cached("SELECT MIN(sequence) FROM spans WHERE chain = ?1 AND form <> ?2")?
        .query_row([chain, FORM_DIGEST], |row| row.get(0))?;
    // Pieces may overlap, since what was not acknowledged is sent again: the cut goes through none of them.
    let cut: Option<i64> = conn
        .prepare_cached(
            "SELECT MAX(c.last) FROM checkpoints c WHERE c.chain = ?1 AND c.last < ?2 AND NOT EXISTS \
             (SELECT 1 FROM checkpoints o WHERE o.chain = ?1 AND o.first <= c.last AND o.last > c.last)",
        )?
        .query_row([chain, first_kept.unwrap_or(i64::MAX)], |row| row.get(0))
        .optional()?
        .flatten();
    let Some(cut) = cut else { return Ok(()) };
    let newest: Option<i64> = conn
        .prepare_cached("SELECT MAX(id) FROM spans WHERE chain = ?1 AND sequence <= ?2")?
        .query_row([chain, cut], |row| row.get(0))?;
    if let Some(newest) = newest {
        remember_newest(conn, newest)?;
    }
    conn.prepare_cached("DELETE FROM spans WHERE chain = ?1 AND sequence <= ?2")?.execute([chain, cut])?;
    conn.prepare_cached("DELETE FROM checkpoints WHERE chain = ?1 AND last <= ?2")?.execute([chain, cut])?;
    conn.prepare_cached("UPDATE chains SET forgotten = MAX(forgotten, ?2) WHERE id = ?1")?.execute([chain, cut])?;
    Ok(())
}
