//! What is too much: taken from the agency that takes most of the file.

use chapar_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{
    super::dictionary::{Spelling, number_of},
    DIGEST, Gone, ROWS_AT_ONCE, evict_calls_at, evict_spans,
};
use crate::ledger::{pairing::bit, retention::Evicted};

/// Whom a call is charged to, in SQL; as [`crate::ledger::pairing::charged`]. `?2`: the empty word.
const CHARGED: &str = "CASE WHEN sides & 1 OR consumer = ?2 THEN consumer ELSE provider END";

/// What an agency takes of the file.
struct Share {
    agency: i64,
    bytes: i64,
    other_bytes: i64,
    swept: i64,
}

/// One step; see [`crate::ledger::store::Retention::evict_excess`].
pub(super) fn evict_excess(conn: &Connection, spans_max: u64, bytes_max: u64) -> rusqlite::Result<Evicted> {
    let nothing = Evicted { spans: 0, newest: Timestamp::from_unix_ms(0), more: false };
    let Some(rows) = rows_too_many(conn, spans_max, bytes_max)? else { return Ok(nothing) };
    // The fullest share may be wrong where somebody went past the program; then the next one is looked at.
    for share in fullest(conn)? {
        let evicted = if share.other_bytes > share.bytes {
            evict_others_of(conn, share.agency, rows)?
        } else {
            evict_calls_of(conn, &share, rows)?
        };
        if evicted.spans > 0 {
            return Ok(Evicted { more: true, ..evicted });
        }
    }
    Ok(nothing)
}

/// How many rows the next step takes; `None`: all fits.
fn rows_too_many(conn: &Connection, spans_max: u64, bytes_max: u64) -> rusqlite::Result<Option<i64>> {
    let limit = |max: u64| i64::try_from(max).unwrap_or(i64::MAX);
    let spans: i64 = conn.query_row("SELECT IFNULL(SUM(spans), 0) FROM shares", [], |row| row.get(0))?;
    if spans > limit(spans_max) {
        // A call has one span or two.
        return Ok(Some(((spans - limit(spans_max) + 1) / 2).min(ROWS_AT_ONCE)));
    }
    let pragma = |name: &str| conn.query_row(name, [], |row| row.get::<_, i64>(0));
    let pages = pragma("PRAGMA page_count")? - pragma("PRAGMA freelist_count")?;
    Ok((pages * pragma("PRAGMA page_size")? > limit(bytes_max)).then_some(ROWS_AT_ONCE))
}

fn fullest(conn: &Connection) -> rusqlite::Result<Vec<Share>> {
    conn.prepare_cached("SELECT agency, bytes, other_bytes, swept FROM shares ORDER BY bytes + other_bytes DESC")?
        .query_map([], |row| Ok(Share { agency: row.get(0)?, bytes: row.get(1)?, other_bytes: row.get(2)?, swept: row.get(3)? }))?
        .collect()
}

/// The oldest calls that are charged to an agency.
fn evict_calls_of(conn: &Connection, share: &Share, rows: i64) -> rusqlite::Result<Evicted> {
    let none = number_of(conn, "")?.unwrap_or(-1);
    let mut ids: Vec<i64> = conn
        .prepare_cached(
            "SELECT id FROM calls INDEXED BY calls_by_consumer WHERE consumer = ?1 AND (sides & ?4 OR consumer = ?2) ORDER BY id LIMIT ?3",
        )?
        .query_map(params![share.agency, none, rows, bit(chapar_core::policy::Side::Consumer)], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    // What only the provider has reported cannot come to be below what was looked through once.
    let claimed: Vec<i64> = conn
        .prepare_cached(
            "SELECT id FROM calls INDEXED BY calls_by_provider WHERE provider = ?1 AND id >= ?3 AND sides & 1 = 0 AND consumer <> ?2 \
             ORDER BY id LIMIT ?4",
        )?
        .query_map([share.agency, none, share.swept, rows], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let swept = claimed.last().copied().unwrap_or(share.swept);
    ids.extend(claimed);
    ids.sort_unstable();
    ids.truncate(usize::try_from(rows).unwrap_or(usize::MAX));
    // What was found and is not evicted now is found again.
    let swept = ids.last().map_or(swept, |last| swept.min(*last));
    conn.prepare_cached("UPDATE shares SET swept = ?2 WHERE agency = ?1")?.execute([share.agency, swept])?;
    evict_calls_at(conn, &ids)
}

/// The oldest spans of no call that an agency's sidecars have reported.
fn evict_others_of(conn: &Connection, agency: i64, rows: i64) -> rusqlite::Result<Evicted> {
    let name = Spelling::default().word(conn, agency)?;
    // Names of agencies have no character that GLOB knows.
    let ids: Vec<i64> = conn
        .prepare_cached(
            "SELECT id FROM spans NOT INDEXED WHERE call IS NULL AND form <> ?2 AND reporter IN \
             (SELECT id FROM words WHERE word GLOB 'spiffe://*/agency/' || ?1 || '/sidecar/*') ORDER BY id LIMIT ?3",
        )?
        .query_map(params![name, DIGEST, rows], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let mut gone = Gone::default();
    for id in &ids {
        discharge_other(conn, *id)?;
        evict_spans(conn, "id = ?1", *id, &mut gone)?;
    }
    if ids.is_empty() {
        conn.prepare_cached("UPDATE shares SET other_bytes = 0 WHERE agency = ?1")?.execute([agency])?;
    }
    gone.evicted(conn, true)
}

/// Takes a call that is about to be evicted off the share of whom it is charged to.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn discharge(conn: &Connection, call: i64) -> rusqlite::Result<()> {
    let none = number_of(conn, "")?.unwrap_or(-1);
    conn.prepare_cached(&format!(
        "UPDATE shares SET spans = MAX(0, shares.spans - c.spans), bytes = MAX(0, shares.bytes - c.bytes) \
         FROM (SELECT {CHARGED} AS agency, spans, bytes FROM calls WHERE id = ?1) AS c WHERE shares.agency = c.agency"
    ))?
    .execute([call, none])?;
    Ok(())
}

/// The same for a span of no call.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn discharge_other(conn: &Connection, span: i64) -> rusqlite::Result<()> {
    let found: Option<(String, i64)> = conn
        .prepare_cached("SELECT w.word, LENGTH(s.body) FROM spans s JOIN words w ON w.id = s.reporter WHERE s.id = ?1")?
        .query_row([span], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let agency = found.as_ref().and_then(|(reporter, _)| reporter.split("/agency/").nth(1)?.split('/').next());
    if let (Some(agency), Some((_, bytes))) = (agency, &found)
        && let Some(agency) = number_of(conn, agency)?
    {
        conn.prepare_cached("UPDATE shares SET other_bytes = MAX(0, other_bytes - ?2) WHERE agency = ?1")?
            .execute([agency, bytes + super::super::append::ROW_BYTES])?;
    }
    Ok(())
}
