//! Sums of hours: of the calls that are here, and of those that are gone.

use async_trait::async_trait;
use chapar_core::time::Timestamp;
use rusqlite::{Connection, Row, params_from_iter, types::Value};

use super::{
    SqliteLedger,
    dictionary::{Spelling, number_of},
};
use crate::{
    ledger::{
        key::CallKey,
        store::HourSums,
        sum::{HourSum, SumKey, SumQuery},
    },
    store::StoreError,
};

/// Calls of one hour that are summed in one go take a moment; this many hours are summed in one write.
const HOURS_AT_ONCE: i64 = 4;

/// Milliseconds of an hour.
const HOUR_MS: i64 = 3_600_000;

#[async_trait]
impl HourSums for SqliteLedger {
    async fn sum_up(&self, now: Timestamp) -> Result<bool, StoreError> {
        self.writer.write(move |conn| Ok(sum_up(conn, now)?)).await
    }

    async fn hour_sums(&self, query: SumQuery, after: Option<SumKey>, count: usize) -> Result<Vec<HourSum>, StoreError> {
        self.readers.read(move |conn| Ok(list(conn, &query, after, count)?)).await
    }
}

/// Sums some hours that have ended and changed since. Says whether there may be more.
///
/// # Errors
/// When the file cannot be written.
fn sum_up(conn: &Connection, now: Timestamp) -> rusqlite::Result<bool> {
    let hours: Vec<i64> = conn
        .prepare_cached("SELECT hour FROM unsummed WHERE hour < ?1 ORDER BY hour LIMIT ?2")?
        .query_map([now.unix_ms() / HOUR_MS, HOURS_AT_ONCE], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for hour in &hours {
        conn.prepare_cached("DELETE FROM sums WHERE hour = ?1 AND gone = 0")?.execute([hour])?;
        conn.prepare_cached(
            "INSERT INTO sums SELECT ?1, consumer, provider, inquiry, outcome, 0, COUNT(*), SUM(request_bytes), SUM(response_bytes), \
             SUM(duration_us), MAX(duration_us) FROM calls NOT INDEXED WHERE id >= ?2 AND id < ?3 \
             GROUP BY consumer, provider, inquiry, outcome",
        )?
        .execute([*hour, CallKey::first_of_hour(*hour).number(), CallKey::first_of_hour(hour + 1).number()])?;
        conn.prepare_cached("DELETE FROM unsummed WHERE hour = ?1")?.execute([hour])?;
    }
    Ok(i64::try_from(hours.len()).is_ok_and(|summed| summed == HOURS_AT_ONCE))
}

/// Moves a call that is about to be evicted from the sums of those that are here to the sums of those that were.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn move_to_gone(conn: &Connection, call: CallKey) -> rusqlite::Result<()> {
    let (call, hour) = (call.number(), call.hour());
    conn.prepare_cached(
        "INSERT INTO sums SELECT ?2, consumer, provider, inquiry, outcome, 1, 1, request_bytes, response_bytes, duration_us, duration_us \
         FROM calls WHERE id = ?1 \
         ON CONFLICT DO UPDATE SET calls = calls + 1, request_bytes = request_bytes + excluded.request_bytes, \
         response_bytes = response_bytes + excluded.response_bytes, duration_us = duration_us + excluded.duration_us, \
         duration_us_max = MAX(duration_us_max, excluded.duration_us_max)",
    )?
    .execute([call, hour])?;
    // An hour that will be summed again leaves it out by then.
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
fn list(conn: &Connection, query: &SumQuery, after: Option<SumKey>, count: usize) -> rusqlite::Result<Vec<HourSum>> {
    let mut sql = "SELECT hour, consumer, provider, inquiry, outcome, SUM(calls), SUM(request_bytes), SUM(response_bytes), \
                   SUM(duration_us), MAX(duration_us_max) FROM sums WHERE 1 = 1"
        .to_owned();
    let mut values = Vec::new();
    for (column, word) in [("consumer", &query.consumer), ("provider", &query.provider), ("inquiry", &query.inquiry)] {
        if let Some(word) = word {
            let Some(number) = number_of(conn, word)? else { return Ok(Vec::new()) };
            sql.push_str(&format!(" AND {column} = ?"));
            values.push(Value::Integer(number));
        }
    }
    for (text, bound) in [(" AND hour >= ?", query.from), (" AND hour < ?", query.until)] {
        if let Some(bound) = bound {
            sql.push_str(text);
            values.push(Value::Integer(first_hour_from(bound)));
        }
    }
    if let Some(after) = after {
        sql.push_str(" AND (hour, consumer, provider, inquiry, outcome) < (?, ?, ?, ?, ?)");
        values.extend(after.0.map(Value::Integer));
    }
    sql.push_str(
        " GROUP BY hour, consumer, provider, inquiry, outcome HAVING SUM(calls) > 0 \
         ORDER BY hour DESC, consumer DESC, provider DESC, inquiry DESC, outcome DESC LIMIT ?",
    );
    values.push(Value::Integer(i64::try_from(count).unwrap_or(i64::MAX)));
    let mut spelling = Spelling::default();
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut sums = Vec::new();
    while let Some(row) = rows.next()? {
        sums.push(sum_of(conn, row, &mut spelling)?);
    }
    Ok(sums)
}

/// The first hour that begins then or later.
fn first_hour_from(moment: Timestamp) -> i64 {
    let ms = moment.unix_ms();
    ms.div_euclid(HOUR_MS) + i64::from(ms.rem_euclid(HOUR_MS) > 0)
}

fn sum_of(conn: &Connection, row: &Row<'_>, spelling: &mut Spelling) -> rusqlite::Result<HourSum> {
    let key: [i64; 5] = [row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?];
    let mut word = |number| spelling.word(conn, number);
    Ok(HourSum {
        hour: Timestamp::from_unix_ms(key[0].saturating_mul(HOUR_MS)),
        consumer: word(key[1])?,
        provider: word(key[2])?,
        inquiry: word(key[3])?,
        outcome: word(key[4])?,
        calls: row.get(5)?,
        request_bytes: row.get(6)?,
        response_bytes: row.get(7)?,
        duration_us: row.get(8)?,
        duration_us_max: row.get(9)?,
        key: SumKey(key),
    })
}
