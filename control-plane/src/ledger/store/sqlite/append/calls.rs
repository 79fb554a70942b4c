//! Rows of calls: each holds what both sides say of one call.

use chapar_core::{policy::Side, subject::SubjectHash, time::Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Statement, params};

use super::{
    Appender, From,
    shares::WORDS_MAX,
    subjects::{ABOUT, About, about_whom},
};
use crate::ledger::{
    key::CallKey,
    pairing::{CallWords, Known, Marks, awaited_after, bit, charged},
    store::{duration_class, signed},
    validation::{Account, ReportedSpan},
};

/// Finds a call. Left to itself SQLite goes by the provider, through all its calls: no index looks better to it than another.
const FIND: &str = "SELECT id, sides, inquiry, kind, resolution, outcome, status, reason, duration_class, marks, bytes, \
                    consumer_outcome, provider_outcome, spans, started_at_us \
                    FROM calls INDEXED BY calls_by_call WHERE call_id = ?1 AND consumer = ?2 AND provider = ?3";

/// How far a claimed time may be ahead of this machine's clock, and how far behind: a sidecar that is cut off reports what lies in its
/// spool when it is back. What claims another time is marked.
const AHEAD_US_MAX: i64 = 5 * 60 * 1_000_000;
const BEHIND_US_MAX: i64 = 7 * 24 * 3_600 * 1_000_000;

/// An account that comes so long after the call's first one moves the call to where it came in, in microseconds: whoever reports a
/// call long before making it must not have the other side's account evicted with its own.
const LATE_US: i64 = 24 * 3_600 * 1_000_000;

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
    about: Statement<'c>,
}

impl<'c> CallStatements<'c> {
    pub(super) fn new(conn: &'c Connection) -> rusqlite::Result<Self> {
        // Each index that an update names is written anew: what does not change is not named.
        let retell = "UPDATE calls SET started_at_us = ?2, duration_us = ?3, request_bytes = ?4, response_bytes = ?5, reason = ?6, \
                      spans = spans + 1, sides = ?7, awaited = ?8, bytes = bytes + ?9, consumer_outcome = ?10";
        Ok(Self {
            find: conn.prepare(FIND)?,
            begin: conn.prepare(
                "INSERT INTO calls (id, call_id, trace_id, consumer, provider, inquiry, kind, resolution, outcome, status, \
                 reason, started_at_us, duration_us, duration_class, request_bytes, response_bytes, spans, sides, awaited, marks, bytes, \
                 consumer_outcome, provider_outcome) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, 1, ?17, ?18, ?19, ?20, ?21, ?22)",
            )?,
            join: conn.prepare(
                "UPDATE calls SET reason = ?2, spans = spans + 1, sides = ?3, awaited = ?4, bytes = bytes + ?5, \
                 provider_outcome = ?6 WHERE id = ?1",
            )?,
            retell: conn.prepare(&format!("{retell} WHERE id = ?1"))?,
            retell_duration: conn.prepare(&format!("{retell}, duration_class = ?11 WHERE id = ?1"))?,
            subject: conn.prepare("INSERT OR IGNORE INTO subjects (hash, call, key) VALUES (?1, ?2, ?3)")?,
            about: conn.prepare(ABOUT)?,
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
    marks: Marks,
    spans: i64,
    bytes: i64,
    /// As the consumer's side told, and the provider's; 0: it has not.
    outcomes: [i64; 2],
    /// As an account says.
    started_at_us: i64,
    about: About,
}

fn began(started_at_us: i64) -> Timestamp {
    Timestamp::from_unix_ms(started_at_us / 1_000)
}

impl From {
    /// Whether an account's time cannot be.
    fn doubts(&self, started_at_us: i64) -> bool {
        let us = |then: Timestamp| then.unix_ms().saturating_mul(1_000);
        let now_us = us(self.received_at);
        started_at_us > now_us.saturating_add(AHEAD_US_MAX).min(us(self.not_after))
            || started_at_us < now_us.saturating_sub(BEHIND_US_MAX)
    }
}

impl Appender<'_> {
    /// Adds one side's account to the call's row, or begins one. Answers what it is marked as now and was not before. `None`: it names what is new, and its agency may not any more.
    pub(super) fn append_account(
        &mut self,
        from: &From,
        span: &ReportedSpan<'_>,
        account: &Account<'_>,
    ) -> rusqlite::Result<Option<(CallKey, Marks)>> {
        let Some(words) = self.numbers_of(from, account)? else { return Ok(None) };
        let known = self.known_words()?;
        let row = match self.awaiting.remove(&account.call_id) {
            Some(row) if row.words.has_parties_of(&words) => Some(row),
            _ => self.find_call(account, &words)?,
        };
        let began = began(span.started_at_us);
        let doubted = Marks::TIME
            .when(from.doubts(span.started_at_us))
            .and(Marks::SUBJECT.when(self.subjects.doubts(account.subject.as_ref(), began)));
        let (key, marks) = match &row {
            Some(row) => {
                let otherwise = row.contradicted(account, &words, &known, |held| {
                    account.subject.as_ref().is_some_and(|told| self.subjects.contradict(held, (told, began)))
                });
                let marks = row.marks.and(doubted).and(otherwise);
                (self.join_call(from, span, account, &words, row, marks, &known)?, marks.without(row.marks))
            }
            None => (self.begin_call(from, span, account, &words, doubted, &known)?, doubted),
        };
        if let Some(subject) = &account.subject
            && row.is_none_or(|row| row.about != About::Known(*subject))
        {
            self.calls.subject.execute(params![&subject.hash[..], key.number(), subject.key])?;
            self.subjects.put_pair(self.conn, subject.key, words.consumer, words.provider)?;
        }
        self.hours.insert(key.hour());
        Ok(Some((key, marks)))
    }

    fn numbers_of(&mut self, from: &From, account: &Account<'_>) -> rusqlite::Result<Option<CallWords<i64>>> {
        let texts = [
            account.consumer,
            account.provider,
            account.inquiry,
            account.kind,
            account.resolution,
            account.outcome,
            account.status,
            account.reason,
        ];
        let mut numbers = [0; 8];
        for (number, text) in numbers.iter_mut().zip(texts) {
            *number = match self.dictionary.held(self.conn, text)? {
                Some(held) => held,
                None if self.shares.named(self.conn, from.agency)?.0 >= WORDS_MAX => return Ok(None),
                None => {
                    self.shares.count_words(self.conn, from.agency, 1)?;
                    self.dictionary.number(self.conn, text)?
                }
            };
        }
        let [consumer, provider, inquiry, kind, resolution, outcome, status, reason] = numbers;
        Ok(Some(CallWords { consumer, provider, inquiry, kind, resolution, outcome, status, reason }))
    }

    fn known_words(&mut self) -> rusqlite::Result<Known<i64>> {
        if let Some(known) = self.known {
            return Ok(known);
        }
        let mut number = |word| self.dictionary.number(self.conn, word);
        let known = Known { none: number("")?, refused: number("refused")?, served: number("served")?, ok: number("OK")? };
        self.known = Some(known);
        Ok(known)
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
            Ok(CallRow {
                key: CallKey::from_number(row.get(0)?),
                sides: row.get(1)?,
                words,
                duration_class: row.get(8)?,
                marks: Marks::from_bits(row.get(9)?),
                bytes: row.get(10)?,
                outcomes: [row.get(11)?, row.get(12)?],
                spans: row.get(13)?,
                started_at_us: row.get(14)?,
                about: About::Nobody,
            })
        });
        let Some(row) = found.optional()? else { return Ok(None) };
        Ok(Some(CallRow { about: about_whom(&mut self.calls.about, row.key)?, ..row }))
    }

    /// Adds an account to the row of its call. Returns the call's key, which may be another one now.
    #[allow(clippy::too_many_arguments)] // What is told, by whom, of what, and what follows.
    fn join_call(
        &mut self,
        from: &From,
        span: &ReportedSpan<'_>,
        account: &Account<'_>,
        told: &CallWords<i64>,
        row: &CallRow,
        marks: Marks,
        known: &Known<i64>,
    ) -> rusqlite::Result<CallKey> {
        let now = row.words.joined_by(told, account.side, known);
        let key = self.moved_if_late(from, row.key)?;
        let id = key.number();
        if (CallWords { reason: row.words.reason, ..now }) != row.words {
            self.conn
                .prepare_cached(
                    "UPDATE calls SET inquiry = ?2, kind = ?3, resolution = ?4, outcome = ?5, status = ?6 WHERE id = ?1",
                )?
                .execute([id, now.inquiry, now.kind, now.resolution, now.outcome, now.status])?;
        }
        if marks != row.marks {
            self.conn.prepare_cached("UPDATE calls SET marks = ?2 WHERE id = ?1")?.execute([id, marks.bits()])?;
        }
        let sides = row.sides | bit(account.side);
        let awaited = awaited_after(sides);
        let bytes = self.row_bytes();
        self.shares.charge(charged(row.sides, &row.words, known.none), -row.spans, -row.bytes);
        self.shares.charge(charged(sides, &row.words, known.none), row.spans + 1, row.bytes.saturating_add(bytes));
        if account.side == Side::Provider {
            self.calls.join.execute([id, now.reason, sides, awaited, bytes, told.outcome])?;
            return Ok(key);
        }
        let (request_bytes, response_bytes) = (signed(account.request_bytes), signed(account.response_bytes));
        let (start, duration) = (span.started_at_us, span.duration_us);
        let class = duration_class(duration);
        let (reason, outcome) = (now.reason, told.outcome);
        if class == row.duration_class {
            let told = [id, start, duration, request_bytes, response_bytes, reason, sides, awaited, bytes, outcome];
            self.calls.retell.execute(told)?;
        } else {
            let told = [id, start, duration, request_bytes, response_bytes, reason, sides, awaited, bytes, outcome, class];
            self.calls.retell_duration.execute(told)?;
        }
        Ok(key)
    }

    /// Gives a call that began long ago, by receipt, the key of one that comes in now.
    fn moved_if_late(&mut self, from: &From, key: CallKey) -> rusqlite::Result<CallKey> {
        if from.received_at.unix_ms().saturating_mul(1_000).saturating_sub(key.received_at_us()) < LATE_US {
            return Ok(key);
        }
        let moved = self.next_key(from)?;
        for sql in [
            "UPDATE calls SET id = ?2 WHERE id = ?1",
            "UPDATE spans SET call = ?2 WHERE call = ?1",
            "UPDATE subjects SET call = ?2 WHERE call = ?1",
        ] {
            self.conn.prepare_cached(sql)?.execute([key.number(), moved.number()])?;
        }
        self.hours.insert(key.hour());
        Ok(moved)
    }

    fn begin_call(
        &mut self,
        from: &From,
        span: &ReportedSpan<'_>,
        account: &Account<'_>,
        words: &CallWords<i64>,
        marks: Marks,
        known: &Known<i64>,
    ) -> rusqlite::Result<CallKey> {
        let key = self.next_key(from)?;
        let sides = bit(account.side);
        let row = CallRow {
            key,
            sides,
            words: *words,
            duration_class: duration_class(span.duration_us),
            marks,
            spans: 1,
            bytes: self.row_bytes(),
            outcomes: if account.side == Side::Consumer { [words.outcome, 0] } else { [0, words.outcome] },
            started_at_us: span.started_at_us,
            about: account.subject.map_or(About::Nobody, About::Known),
        };
        let awaited = if account.awaits_other { awaited_after(sides) } else { 0 };
        self.calls.begin.execute(params![
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
            row.duration_class,
            signed(account.request_bytes),
            signed(account.response_bytes),
            sides,
            awaited,
            row.marks.bits(),
            row.bytes,
            row.outcomes[0],
            row.outcomes[1],
        ])?;
        self.shares.charge(charged(sides, words, known.none), 1, row.bytes);
        if awaited != 0 {
            if self.awaiting.len() >= AWAITING_MAX {
                self.awaiting.clear();
            }
            self.awaiting.insert(account.call_id, row);
        }
        Ok(key)
    }

    /// The key of a call that comes in now.
    fn next_key(&mut self, from: &From) -> rusqlite::Result<CallKey> {
        let newest = match self.newest_call {
            Some(newest) => newest,
            None => {
                let highest: Option<i64> = self.conn.query_row("SELECT MAX(id) FROM calls", [], |row| row.get(0))?;
                CallKey::from_number(highest.unwrap_or_default())
            }
        };
        let key = CallKey::received(from.received_at, newest);
        self.newest_call = Some(key);
        Ok(key)
    }
}

impl CallRow {
    /// Whether an account says otherwise than those before it: the other side's, or its own side's once more.
    /// `about_two`: whether who is on record with it is another than the account says.
    fn contradicted(
        &self,
        account: &Account<'_>,
        told: &CallWords<i64>,
        known: &Known<i64>,
        about_two: impl FnOnce((&SubjectHash, Timestamp)) -> bool,
    ) -> Marks {
        let own = self.outcomes[usize::from(account.side == Side::Provider)];
        let told_otherwise = own != 0 && own != told.outcome;
        let others = self.sides & !bit(account.side) != 0;
        let about_otherwise = match (self.about, account.subject) {
            (About::Nobody, None) | (About::Somebody, Some(_)) => false,
            // A call that a side refused may never have been looked into, and a key comes to one side before the other.
            (About::Nobody, Some(_)) | (About::Somebody | About::Known(_), None) => {
                self.words.outcome == known.served && told.outcome == known.served
            }
            (About::Known(held), Some(_)) => about_two((&held, began(self.started_at_us))),
        };
        Marks::DISAGREES.when(told_otherwise || (others && (about_otherwise || self.words.disagrees_with(told, known))))
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
        conn.execute_batch(include_str!("../migrations/0003_receipt.sql")).unwrap();
        let plan_of = |sql: &str| {
            let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
            let plan = statement.query_row(params![[0_u8; 16], 1, 2], |row| row.get::<_, String>("detail"));
            plan.unwrap()
        };
        assert_eq!(plan_of(FIND), "SEARCH calls USING INDEX calls_by_call (call_id=?)");
        assert!(!plan_of(&FIND.replace("INDEXED BY calls_by_call", "")).contains("calls_by_call"), "the hint is needed no more");
    }
}
