//! Rows of calls: each holds what both sides say of one call.

use chapar_core::policy::Side;
use rusqlite::{Connection, OptionalExtension as _, Statement, params};

use super::Appender;
use crate::ledger::{
    key::CallKey,
    pairing::{CallWords, awaited_after, bit},
    store::{duration_class, signed},
    validation::{Account, ReportedSpan},
};

/// Finds a call. Left to itself SQLite goes by the provider, through all its calls: no index looks better to it than another.
const FIND: &str = "SELECT id, sides, inquiry, kind, resolution, outcome, status, reason, duration_class FROM calls \
                    INDEXED BY calls_by_call WHERE call_id = ?1 AND consumer = ?2 AND provider = ?3";

/// Calls that are remembered because their other account has still to come; as a rule it comes within a second. When there are more,
/// all are dropped, and found in the file.
const AWAITING_MAX: usize = 65_536;

/// The statements that every account of a call needs. Looking a statement up by its text costs as much as a step in an index.
#[derive(Debug)]
pub(super) struct CallStatements<'c> {
    find: Statement<'c>,
    begin: Statement<'c>,
    /// The provider's account joins the consumer's.
    join: Statement<'c>,
    /// The consumer's account joins the provider's, with a duration of the same class or of another one.
    retell: Statement<'c>,
    retell_duration: Statement<'c>,
    subject: Statement<'c>,
}

impl<'c> CallStatements<'c> {
    pub(super) fn new(conn: &'c Connection) -> rusqlite::Result<Self> {
        // Each index that an update names is written anew: what does not change is not named.
        let retell = "UPDATE calls SET started_at_us = ?2, duration_us = ?3, request_bytes = ?4, response_bytes = ?5, reason = ?6, \
                      spans = spans + 1, sides = ?7, awaited = ?8";
        Ok(Self {
            find: conn.prepare(FIND)?,
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

/// A call as its row holds it.
#[derive(Clone, Copy, Debug)]
pub(super) struct CallRow {
    key: CallKey,
    sides: i64,
    words: CallWords<i64>,
    duration_class: i64,
    /// The hash that is on record with it for certain; `None`: the file may have one.
    subject: Option<[u8; 16]>,
}

impl Appender<'_> {
    /// Adds one side's account to the call's row, or begins one.
    pub(super) fn append_account(&mut self, span: &ReportedSpan<'_>, account: &Account<'_>) -> rusqlite::Result<CallKey> {
        let words = self.numbers_of(account)?;
        let row = match self.awaiting.remove(&account.call_id) {
            Some(row) if row.words.has_parties_of(&words) => Some(row),
            _ => self.find_call(account, &words)?,
        };
        let hash = account.subject.as_ref().map(|subject| subject.hash);
        let key = match row {
            Some(row) => {
                self.join_call(span, account, &words, &row)?;
                row.key
            }
            None => self.begin_call(span, account, &words, hash)?,
        };
        if let Some(hash) = hash
            && row.is_none_or(|row| row.subject != Some(hash))
        {
            self.calls.subject.execute(params![&hash[..], key.number()])?;
        }
        self.hours.insert(key.hour());
        Ok(key)
    }

    fn numbers_of(&mut self, account: &Account<'_>) -> rusqlite::Result<CallWords<i64>> {
        let mut number = |word| self.dictionary.number(self.conn, word);
        Ok(CallWords {
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

    fn find_call(&mut self, account: &Account<'_>, words: &CallWords<i64>) -> rusqlite::Result<Option<CallRow>> {
        let found = self.calls.find.query_row(params![&account.call_id[..], words.consumer, words.provider], |row| {
            let words = CallWords {
                inquiry: row.get(2)?,
                kind: row.get(3)?,
                resolution: row.get(4)?,
                outcome: row.get(5)?,
                status: row.get(6)?,
                reason: row.get(7)?,
                ..*words
            };
            let key = CallKey::from_number(row.get(0)?);
            Ok(CallRow { key, sides: row.get(1)?, words, duration_class: row.get(8)?, subject: None })
        });
        found.optional()
    }

    fn join_call(
        &mut self,
        span: &ReportedSpan<'_>,
        account: &Account<'_>,
        told: &CallWords<i64>,
        row: &CallRow,
    ) -> rusqlite::Result<()> {
        let none = self.dictionary.number(self.conn, "")?;
        let refused = self.dictionary.number(self.conn, "refused")?;
        let now = row.words.joined_by(told, account.side, none, refused);
        let id = row.key.number();
        if (CallWords { reason: row.words.reason, ..now }) != row.words {
            self.conn
                .prepare_cached(
                    "UPDATE calls SET inquiry = ?2, kind = ?3, resolution = ?4, outcome = ?5, status = ?6 WHERE id = ?1",
                )?
                .execute([id, now.inquiry, now.kind, now.resolution, now.outcome, now.status])?;
        }
        let sides = row.sides | bit(account.side);
        let awaited = awaited_after(sides);
        if account.side == Side::Provider {
            self.calls.join.execute([id, now.reason, sides, awaited])?;
            return Ok(());
        }
        let (request_bytes, response_bytes) = (signed(account.request_bytes), signed(account.response_bytes));
        let told = [id, span.started_at_us, span.duration_us, request_bytes, response_bytes, now.reason, sides, awaited];
        let class = duration_class(span.duration_us);
        if class == row.duration_class {
            self.calls.retell.execute(told)?;
        } else {
            let [id, start, duration, request, response, reason, sides, awaited] = told;
            self.calls.retell_duration.execute([id, start, duration, request, response, reason, sides, awaited, class])?;
        }
        Ok(())
    }

    fn begin_call(
        &mut self,
        span: &ReportedSpan<'_>,
        account: &Account<'_>,
        words: &CallWords<i64>,
        subject: Option<[u8; 16]>,
    ) -> rusqlite::Result<CallKey> {
        let sides = bit(account.side);
        let awaited = if account.awaits_other { awaited_after(sides) } else { 0 };
        let class = duration_class(span.duration_us);
        let mut key = CallKey::new(span.started_at_us, &account.call_id);
        // Another call may have begun in the same microsecond, with the same eleven bits: the next number is as good.
        while self.calls.begin.execute(params![
            key.number(),
            &account.call_id[..],
            &span.trace_id[..],
            words.consumer,
            words.provider,
            words.inquiry,
            words.kind,
            words.resolution,
            words.outcome,
            words.status,
            words.reason,
            span.started_at_us,
            span.duration_us,
            class,
            signed(account.request_bytes),
            signed(account.response_bytes),
            sides,
            awaited,
        ])? == 0
        {
            key = key.next();
        }
        if awaited != 0 {
            if self.awaiting.len() >= AWAITING_MAX {
                self.awaiting.clear();
            }
            self.awaiting.insert(account.call_id, CallRow { key, sides, words: *words, duration_class: class, subject });
        }
        Ok(key)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_found_by_its_id_and_not_among_all_of_its_provider() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(include_str!("../migrations/0001_ledger.sql")).unwrap();
        conn.execute_batch(include_str!("../migrations/0002_calls_by_reason.sql")).unwrap();
        let plan_of = |sql: &str| {
            let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let plan = statement.query_row(params![[0_u8; 16], 1, 2], |row| row.get::<_, String>("detail"));
            plan.unwrap()
        };
        assert_eq!(plan_of(FIND), "SEARCH calls USING INDEX calls_by_call (call_id=?)");
        assert!(!plan_of(&FIND.replace("INDEXED BY calls_by_call", "")).contains("calls_by_call"), "the hint is needed no more");
    }
}
