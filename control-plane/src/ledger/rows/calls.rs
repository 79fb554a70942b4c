//! Rows of calls: each holds what both sides say of one call.

use chapar_core::policy::Side;
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{Rows, signed};
use crate::ledger::judge::{Account, Reported};

/// Bits of a call's row number that are not its time; see `schema.sql`.
pub(in crate::ledger) const TIE_BITS: u32 = 11;

/// Microseconds of an hour.
pub(in crate::ledger) const HOUR_US: i64 = 3_600 * 1_000_000;

/// Finds a call. Left to itself SQLite goes by the provider, through all its calls: no index looks better to it than another.
const STANDING: &str = "SELECT id, sides, inquiry, kind, resolution, outcome, status, reason, duration_class FROM calls \
                        INDEXED BY calls_by_call WHERE call_id = ?1 AND consumer = ?2 AND provider = ?3";

/// A call as it stands in the file.
struct Standing {
    id: i64,
    sides: i64,
    inquiry: i64,
    kind: i64,
    resolution: i64,
    outcome: i64,
    status: i64,
    reason: i64,
    duration_class: i64,
}

/// The words of an account.
struct Numbers {
    consumer: i64,
    provider: i64,
    inquiry: i64,
    kind: i64,
    resolution: i64,
    outcome: i64,
    status: i64,
    reason: i64,
}

impl Rows {
    /// Adds one side's account to the call's row, and returns the row's number. What the consumer's side says of time, status and
    /// outcome holds, for it is what the caller saw; but a call that either side refused was refused.
    pub(super) fn call(&mut self, conn: &Connection, span: &Reported<'_>, account: &Account<'_>) -> rusqlite::Result<i64> {
        let numbers = self.numbers(conn, account)?;
        let standing = conn
            .prepare_cached(STANDING)?
            .query_row(params![&account.call_id[..], numbers.consumer, numbers.provider], |row| {
                Ok(Standing {
                    id: row.get(0)?,
                    sides: row.get(1)?,
                    inquiry: row.get(2)?,
                    kind: row.get(3)?,
                    resolution: row.get(4)?,
                    outcome: row.get(5)?,
                    status: row.get(6)?,
                    reason: row.get(7)?,
                    duration_class: row.get(8)?,
                })
            })
            .optional()?;
        let id = match standing {
            Some(standing) => self.joined(conn, span, account, &numbers, &standing)?,
            None => begun(conn, span, account, &numbers)?,
        };
        if let Some(subject) = &account.subject {
            conn.prepare_cached("INSERT OR IGNORE INTO subjects (hash, call) VALUES (?1, ?2)")?
                .execute(params![&subject.hash[..], id])?;
        }
        self.hours.insert((id >> TIE_BITS) / HOUR_US);
        Ok(id)
    }

    fn numbers(&mut self, conn: &Connection, account: &Account<'_>) -> rusqlite::Result<Numbers> {
        let mut number = |word| self.words.number(conn, word);
        Ok(Numbers {
            consumer: number(account.consumer)?,
            provider: number(account.provider)?,
            inquiry: number(account.inquiry)?,
            kind: number(account.kind)?,
            resolution: number(account.resolution)?,
            outcome: number(account.outcome)?,
            status: number(account.status)?,
            reason: number(account.reason)?,
        })
    }

    fn joined(
        &mut self,
        conn: &Connection,
        span: &Reported<'_>,
        account: &Account<'_>,
        numbers: &Numbers,
        standing: &Standing,
    ) -> rusqlite::Result<i64> {
        let none = self.words.number(conn, "")?;
        let refused = self.words.number(conn, "refused")?;
        let of_consumer = account.side == Side::Consumer;
        let first_told = |held: i64, told: i64| if held == none { told } else { held };
        let outcome = match (standing.outcome == refused || numbers.outcome == refused, of_consumer) {
            (true, _) => refused,
            (false, true) => numbers.outcome,
            (false, false) => standing.outcome,
        };
        let status = if of_consumer { numbers.status } else { standing.status };
        let (inquiry, kind) = (first_told(standing.inquiry, numbers.inquiry), first_told(standing.kind, numbers.kind));
        let resolution = first_told(standing.resolution, numbers.resolution);
        let reason = first_told(standing.reason, numbers.reason);
        let sides = standing.sides | bit(account.side);
        let awaited = if sides == 3 { 0 } else { 3 & !sides };
        // Each index that a statement names is written anew: what did not change is not named.
        let texts_changed = (inquiry, kind, resolution, outcome, status)
            != (standing.inquiry, standing.kind, standing.resolution, standing.outcome, standing.status);
        if texts_changed {
            conn.prepare_cached(
                "UPDATE calls SET inquiry = ?2, kind = ?3, resolution = ?4, outcome = ?5, status = ?6 WHERE id = ?1",
            )?
            .execute([standing.id, inquiry, kind, resolution, outcome, status])?;
        }
        if of_consumer {
            let class = duration_class(span.duration_us);
            if class != standing.duration_class {
                conn.prepare_cached("UPDATE calls SET duration_class = ?2 WHERE id = ?1")?.execute([standing.id, class])?;
            }
            conn.prepare_cached(
                "UPDATE calls SET started_at_us = ?2, duration_us = ?3, request_bytes = ?4, response_bytes = ?5, reason = ?6, \
                 spans = spans + 1, sides = ?7, awaited = ?8 WHERE id = ?1",
            )?
            .execute([
                standing.id,
                span.started_at_us,
                span.duration_us,
                signed(account.request_bytes),
                signed(account.response_bytes),
                reason,
                sides,
                awaited,
            ])?;
        } else {
            conn.prepare_cached("UPDATE calls SET reason = ?2, spans = spans + 1, sides = ?3, awaited = ?4 WHERE id = ?1")?
                .execute([standing.id, reason, sides, awaited])?;
        }
        Ok(standing.id)
    }
}

fn begun(conn: &Connection, span: &Reported<'_>, account: &Account<'_>, numbers: &Numbers) -> rusqlite::Result<i64> {
    let mut insert = conn.prepare_cached(
        "INSERT OR IGNORE INTO calls (id, call_id, trace_id, consumer, provider, inquiry, kind, resolution, outcome, status, reason, \
         started_at_us, duration_us, duration_class, request_bytes, response_bytes, spans, sides, awaited) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, 1, ?17, ?18)",
    )?;
    let side = bit(account.side);
    let mut id = row_of(span.started_at_us, &account.call_id);
    // Another call may have begun in the same microsecond, with the same eleven bits: the next number is as good.
    while insert.execute(params![
        id,
        &account.call_id[..],
        &span.trace_id[..],
        numbers.consumer,
        numbers.provider,
        numbers.inquiry,
        numbers.kind,
        numbers.resolution,
        numbers.outcome,
        numbers.status,
        numbers.reason,
        span.started_at_us,
        span.duration_us,
        duration_class(span.duration_us),
        signed(account.request_bytes),
        signed(account.response_bytes),
        side,
        if account.awaits_other { 3 & !side } else { 0 },
    ])? == 0
    {
        id += 1;
    }
    Ok(id)
}

/// The row number of a call that began then. The year 2112 is the last whose microseconds fit.
fn row_of(started_at_us: i64, call_id: &[u8; 16]) -> i64 {
    let tie = i64::from(u16::from_be_bytes([call_id[14], call_id[15]])) & ((1 << TIE_BITS) - 1);
    started_at_us.min(i64::MAX >> TIE_BITS) << TIE_BITS | tie
}

/// Four steps an octave: from one to the next a duration grows by a fifth.
pub(in crate::ledger) fn duration_class(duration_us: i64) -> i64 {
    let Some(log2) = u64::try_from(duration_us).ok().and_then(u64::checked_ilog2) else { return 0 };
    let quarter = if log2 >= 2 { duration_us >> (log2 - 2) & 3 } else { 0 };
    i64::from(log2) * 4 + quarter + 1
}

fn bit(side: Side) -> i64 {
    match side {
        Side::Consumer => 1,
        Side::Provider => 2,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_found_by_its_id_and_not_among_all_of_its_provider() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(include_str!("../schema.sql")).unwrap();
        let of = |sql: &str| {
            let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let plan = statement.query_row(params![[0; 16], 1, 2], |row| row.get::<_, String>("detail"));
            plan.unwrap()
        };
        assert_eq!(of(STANDING), "SEARCH calls USING INDEX calls_by_call (call_id=?)");
        assert!(!of(&STANDING.replace("INDEXED BY calls_by_call", "")).contains("calls_by_call"), "the hint is needed no more");
    }
}
