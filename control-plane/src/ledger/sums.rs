//! What passed between whom in an hour: kept when the calls themselves are forgotten.

use rusqlite::{Connection, Row, params, params_from_iter, types::Value};

use super::{
    rows::{HOUR_US, TIE_BITS},
    words::{Spelling, number_of},
};

/// Calls of one hour that are summed in one go take a moment; this many hours are summed in one write.
const HOURS_AT_ONCE: i64 = 4;

/// Milliseconds of an hour.
const HOUR_MS: i64 = 3_600_000;

/// Which sums are wanted. What is unset does not narrow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    pub consumer: Option<String>,
    pub provider: Option<String>,
    pub inquiry: Option<String>,
    /// Hours that begin then or later; and before. Unix milliseconds.
    pub from_ms: Option<i64>,
    pub until_ms: Option<i64>,
}

/// The calls of one consumer, provider and inquiry that ended alike, within an hour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sum {
    /// When the hour began, Unix milliseconds.
    pub hour_ms: i64,
    pub consumer: String,
    pub provider: String,
    pub inquiry: String,
    pub outcome: String,
    pub calls: i64,
    pub request_bytes: i64,
    pub response_bytes: i64,
    /// Of all calls together, and of the longest.
    pub duration_us: i64,
    pub duration_us_max: i64,
    /// Where it stands in the list.
    pub key: [i64; 5],
}

/// First row of an hour's calls.
fn first_row(hour: i64) -> i64 {
    hour.saturating_mul(HOUR_US).min(i64::MAX >> TIE_BITS) << TIE_BITS
}

/// Sums some hours that have ended and changed since. Says whether there may be more.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn sum_up(conn: &Connection, now_ms: i64) -> rusqlite::Result<bool> {
    let hours: Vec<i64> = conn
        .prepare_cached("SELECT hour FROM unsummed WHERE hour < ?1 ORDER BY hour LIMIT ?2")?
        .query_map([now_ms / HOUR_MS, HOURS_AT_ONCE], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for hour in &hours {
        conn.prepare_cached("DELETE FROM sums WHERE hour = ?1 AND gone = 0")?.execute([hour])?;
        conn.prepare_cached(
            "INSERT INTO sums SELECT ?1, consumer, provider, inquiry, outcome, 0, COUNT(*), SUM(request_bytes), SUM(response_bytes), \
             SUM(duration_us), MAX(duration_us) FROM calls NOT INDEXED WHERE id >= ?2 AND id < ?3 \
             GROUP BY consumer, provider, inquiry, outcome",
        )?
        .execute([*hour, first_row(*hour), first_row(hour + 1)])?;
        conn.prepare_cached("DELETE FROM unsummed WHERE hour = ?1")?.execute([hour])?;
    }
    Ok(i64::try_from(hours.len()).is_ok_and(|summed| summed == HOURS_AT_ONCE))
}

/// Moves a call that is about to be forgotten from the sums of those that are here to the sums of those that were.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn let_go(conn: &Connection, call: i64) -> rusqlite::Result<()> {
    let hour = (call >> TIE_BITS) / HOUR_US;
    conn.prepare_cached(
        "INSERT INTO sums SELECT ?2, consumer, provider, inquiry, outcome, 1, 1, request_bytes, response_bytes, duration_us, duration_us \
         FROM calls WHERE id = ?1 \
         ON CONFLICT DO UPDATE SET calls = calls + 1, request_bytes = request_bytes + excluded.request_bytes, \
         response_bytes = response_bytes + excluded.response_bytes, duration_us = duration_us + excluded.duration_us, \
         duration_us_max = MAX(duration_us_max, excluded.duration_us_max)",
    )?
    .execute([call, hour])?;
    // An hour that will be summed again forgets it by then.
    if conn.prepare_cached("SELECT 1 FROM unsummed WHERE hour = ?1")?.exists([hour])? {
        return Ok(());
    }
    conn.prepare_cached(
        "UPDATE sums SET calls = calls - 1, request_bytes = sums.request_bytes - c.request_bytes, \
         response_bytes = sums.response_bytes - c.response_bytes, duration_us = sums.duration_us - c.duration_us \
         FROM (SELECT * FROM calls WHERE id = ?1) AS c WHERE sums.hour = ?2 AND sums.gone = 0 AND sums.consumer = c.consumer \
         AND sums.provider = c.provider AND sums.inquiry = c.inquiry AND sums.outcome = c.outcome",
    )?
    .execute([call, hour])?;
    Ok(())
}

/// Sums, the newest hour first.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn list(conn: &Connection, wanted: &Wanted, after: Option<[i64; 5]>, count: i64) -> rusqlite::Result<Vec<Sum>> {
    let mut sql = "SELECT hour, consumer, provider, inquiry, outcome, SUM(calls), SUM(request_bytes), SUM(response_bytes), \
                   SUM(duration_us), MAX(duration_us_max) FROM sums WHERE 1 = 1"
        .to_owned();
    let mut values = Vec::new();
    for (column, word) in [("consumer", &wanted.consumer), ("provider", &wanted.provider), ("inquiry", &wanted.inquiry)] {
        if let Some(word) = word {
            let Some(number) = number_of(conn, word)? else { return Ok(Vec::new()) };
            sql.push_str(&format!(" AND {column} = ?"));
            values.push(Value::Integer(number));
        }
    }
    let beginning = |ms: i64| ms.div_euclid(HOUR_MS) + i64::from(ms.rem_euclid(HOUR_MS) > 0);
    for (text, ms) in [(" AND hour >= ?", wanted.from_ms), (" AND hour < ?", wanted.until_ms)] {
        if let Some(ms) = ms {
            sql.push_str(text);
            values.push(Value::Integer(beginning(ms)));
        }
    }
    if let Some(after) = after {
        sql.push_str(" AND (hour, consumer, provider, inquiry, outcome) < (?, ?, ?, ?, ?)");
        values.extend(after.map(Value::Integer));
    }
    sql.push_str(
        " GROUP BY hour, consumer, provider, inquiry, outcome HAVING SUM(calls) > 0 \
         ORDER BY hour DESC, consumer DESC, provider DESC, inquiry DESC, outcome DESC LIMIT ?",
    );
    values.push(Value::Integer(count));
    let mut spelling = Spelling::default();
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut sums = Vec::new();
    while let Some(row) = rows.next()? {
        sums.push(sum_of(conn, row, &mut spelling)?);
    }
    Ok(sums)
}

fn sum_of(conn: &Connection, row: &Row<'_>, spelling: &mut Spelling) -> rusqlite::Result<Sum> {
    let key: [i64; 5] = [row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?];
    let mut word = |number| spelling.word(conn, number);
    Ok(Sum {
        hour_ms: key[0].saturating_mul(HOUR_MS),
        consumer: word(key[1])?,
        provider: word(key[2])?,
        inquiry: word(key[3])?,
        outcome: word(key[4])?,
        calls: row.get(5)?,
        request_bytes: row.get(6)?,
        response_bytes: row.get(7)?,
        duration_us: row.get(8)?,
        duration_us_max: row.get(9)?,
        key,
    })
}

/// Sets a mark: a number of the whole ledger.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn set_mark(conn: &Connection, name: &str, value: i64) -> rusqlite::Result<()> {
    conn.prepare_cached("INSERT INTO marks VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value")?
        .execute(params![name, value])?;
    Ok(())
}

/// A mark; 0 when it was never set.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn mark(conn: &Connection, name: &str) -> rusqlite::Result<i64> {
    use rusqlite::OptionalExtension as _;
    let value = conn.prepare_cached("SELECT value FROM marks WHERE name = ?1")?.query_row([name], |row| row.get(0)).optional()?;
    Ok(value.unwrap_or_default())
}
