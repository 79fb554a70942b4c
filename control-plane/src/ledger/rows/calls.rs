//! Rows of calls: each holds what both sides say of one call.

use chapar_core::policy::Side;
use rusqlite::{Connection, OptionalExtension as _, Statement, params};

use super::{Rows, signed};
use crate::ledger::judge::{Account, Reported};

/// Bits of a call's row number that are not its time; see `schema.sql`.
pub(in crate::ledger) const TIE_BITS: u32 = 11;

/// Microseconds of an hour.
pub(in crate::ledger) const HOUR_US: i64 = 3_600 * 1_000_000;

/// Finds a call. Left to itself SQLite goes by the provider, through all its calls: no index looks better to it than another.
const STANDING: &str = "SELECT id, sides, inquiry, kind, resolution, outcome, status, reason, duration_class FROM calls \
                        INDEXED BY calls_by_call WHERE call_id = ?1 AND consumer = ?2 AND provider = ?3";

/// Calls that are remembered because their other account has still to come; as a rule it comes within a second. When there are more,
/// all are forgotten, and found in the file.
const REMEMBERED_MAX: usize = 65_536;

/// The statements that every account of a call needs. Looking a statement up by its text costs as much as a step in an index.
#[derive(Debug)]
pub(super) struct Statements<'c> {
    standing: Statement<'c>,
    begin: Statement<'c>,
    /// The provider's account joins the consumer's.
    join: Statement<'c>,
    /// The consumer's account joins the provider's, with a duration of the same class or of another one.
    retell: Statement<'c>,
    retell_duration: Statement<'c>,
    subject: Statement<'c>,
}

impl<'c> Statements<'c> {
    pub(super) fn of(conn: &'c Connection) -> rusqlite::Result<Self> {
        // Each index that an update names is written anew: what does not change is not named.
        let retell = "UPDATE calls SET started_at_us = ?2, duration_us = ?3, request_bytes = ?4, response_bytes = ?5, reason = ?6, \
                      spans = spans + 1, sides = ?7, awaited = ?8";
        Ok(Self {
            standing: conn.prepare(STANDING)?,
            begin: conn.prepare(
                "INSERT OR IGNORE INTO calls (id, call_id, trace_id, consumer, provider, inquiry, kind, resolution, outcome, status, \
                 reason, started_at_us, duration_us, duration_class, request_bytes, response_bytes, spans, sides, awaited) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, 1, ?17, ?18)",
            )?,
            join: conn.prepare("UPDATE calls SET reason = ?2, spans = spans + 1, sides = ?3, awaited = ?4 WHERE id = ?1")?,
            retell: conn.prepare(&format!("{retell} WHERE id = ?1"))?,
            retell_duration: conn.prepare(&format!("{retell}, duration_class = ?9 WHERE id = ?1"))?,
            subject: conn.prepare("INSERT OR IGNORE INTO subjects (hash, call) VALUES (?1, ?2)")?,
        })
    }
}

/// A call as it stands in the file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    id: i64,
    sides: i64,
    numbers: Numbers,
    duration_class: i64,
    /// The hash that is on record with it for certain; `None`: the file may have one.
    subject: Option<[u8; 16]>,
}

/// The words of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

impl Rows<'_> {
    /// Adds one side's account to the call's row, and returns the row's number. What the consumer's side says of time, status and
    /// outcome holds, for it is what the caller saw; but a call that either side refused was refused.
    pub(super) fn call(&mut self, span: &Reported<'_>, account: &Account<'_>) -> rusqlite::Result<i64> {
        let numbers = self.numbers(account)?;
        let standing = match self.remembered.remove(&account.call_id) {
            Some(standing) if standing.is_of(&numbers) => Some(standing),
            _ => self.found(account, &numbers)?,
        };
        let hash = account.subject.as_ref().map(|subject| subject.hash);
        let id = match standing {
            Some(standing) => self.joined(span, account, &numbers, &standing)?,
            None => self.begun(span, account, &numbers, hash)?,
        };
        if let Some(hash) = hash
            && standing.is_none_or(|standing| standing.subject != Some(hash))
        {
            self.calls.subject.execute(params![&hash[..], id])?;
        }
        self.hours.insert((id >> TIE_BITS) / HOUR_US);
        Ok(id)
    }

    fn numbers(&mut self, account: &Account<'_>) -> rusqlite::Result<Numbers> {
        let mut number = |word| self.words.number(self.conn, word);
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

    fn found(&mut self, account: &Account<'_>, numbers: &Numbers) -> rusqlite::Result<Option<Standing>> {
        let standing = &mut self.calls.standing;
        let found = standing.query_row(params![&account.call_id[..], numbers.consumer, numbers.provider], |row| {
            let numbers = Numbers {
                inquiry: row.get(2)?,
                kind: row.get(3)?,
                resolution: row.get(4)?,
                outcome: row.get(5)?,
                status: row.get(6)?,
                reason: row.get(7)?,
                ..*numbers
            };
            Ok(Standing { id: row.get(0)?, sides: row.get(1)?, numbers, duration_class: row.get(8)?, subject: None })
        });
        found.optional()
    }

    fn joined(
        &mut self,
        span: &Reported<'_>,
        account: &Account<'_>,
        numbers: &Numbers,
        standing: &Standing,
    ) -> rusqlite::Result<i64> {
        let held = &standing.numbers;
        let none = self.words.number(self.conn, "")?;
        let refused = self.words.number(self.conn, "refused")?;
        let of_consumer = account.side == Side::Consumer;
        let first_told = |held: i64, told: i64| if held == none { told } else { held };
        let outcome = match (held.outcome == refused || numbers.outcome == refused, of_consumer) {
            (true, _) => refused,
            (false, true) => numbers.outcome,
            (false, false) => held.outcome,
        };
        let now = Numbers {
            inquiry: first_told(held.inquiry, numbers.inquiry),
            kind: first_told(held.kind, numbers.kind),
            resolution: first_told(held.resolution, numbers.resolution),
            outcome,
            status: if of_consumer { numbers.status } else { held.status },
            reason: first_told(held.reason, numbers.reason),
            ..*held
        };
        let sides = standing.sides | bit(account.side);
        let awaited = if sides == 3 { 0 } else { 3 & !sides };
        if (Numbers { reason: held.reason, ..now }) != *held {
            self.conn
                .prepare_cached(
                    "UPDATE calls SET inquiry = ?2, kind = ?3, resolution = ?4, outcome = ?5, status = ?6 WHERE id = ?1",
                )?
                .execute([standing.id, now.inquiry, now.kind, now.resolution, now.outcome, now.status])?;
        }
        if !of_consumer {
            self.calls.join.execute([standing.id, now.reason, sides, awaited])?;
            return Ok(standing.id);
        }
        let class = duration_class(span.duration_us);
        let (id, reason) = (standing.id, now.reason);
        let (request_bytes, response_bytes) = (signed(account.request_bytes), signed(account.response_bytes));
        let told = [id, span.started_at_us, span.duration_us, request_bytes, response_bytes, reason, sides, awaited];
        if class == standing.duration_class {
            self.calls.retell.execute(told)?;
        } else {
            let [id, start, duration, request, response, reason, sides, awaited] = told;
            let told = [id, start, duration, request, response, reason, sides, awaited, class];
            self.calls.retell_duration.execute(told)?;
        }
        Ok(standing.id)
    }

    fn begun(
        &mut self,
        span: &Reported<'_>,
        account: &Account<'_>,
        numbers: &Numbers,
        subject: Option<[u8; 16]>,
    ) -> rusqlite::Result<i64> {
        let sides = bit(account.side);
        let awaited = if account.awaits_other { 3 & !sides } else { 0 };
        let class = duration_class(span.duration_us);
        let mut id = row_of(span.started_at_us, &account.call_id);
        // Another call may have begun in the same microsecond, with the same eleven bits: the next number is as good.
        while self.calls.begin.execute(params![
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
            class,
            signed(account.request_bytes),
            signed(account.response_bytes),
            sides,
            awaited,
        ])? == 0
        {
            id += 1;
        }
        if awaited != 0 {
            if self.remembered.len() >= REMEMBERED_MAX {
                self.remembered.clear();
            }
            let standing = Standing { id, sides, numbers: *numbers, duration_class: class, subject };
            self.remembered.insert(account.call_id, standing);
        }
        Ok(id)
    }
}

impl Standing {
    /// Whether it is the call between these two: whoever names other parties makes a row of its own.
    fn is_of(&self, numbers: &Numbers) -> bool {
        (self.numbers.consumer, self.numbers.provider) == (numbers.consumer, numbers.provider)
    }
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
            let plan = statement.query_row(params![[0_u8; 16], 1, 2], |row| row.get::<_, String>("detail"));
            plan.unwrap()
        };
        assert_eq!(of(STANDING), "SEARCH calls USING INDEX calls_by_call (call_id=?)");
        assert!(!of(&STANDING.replace("INDEXED BY calls_by_call", "")).contains("calls_by_call"), "the hint is needed no more");
    }
}
