//! Whom accounts are about: by which key, between whom, and whether that can be.

use std::collections::HashSet;

use chapar_core::{subject::SubjectHash, time::Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Statement};

use crate::{ledger::key::CallKey, subject_keys::SubjectKeyRing};

/// Pairs that are remembered as written down: a year's of 3,000 agencies. When there are more, all are dropped, and written once more.
const PAIRS_MAX: usize = 262_144;

/// Finds whom a call is about.
pub(super) const ABOUT: &str = "SELECT key, hash FROM subjects WHERE call = ?1 ORDER BY key DESC LIMIT 1";

/// Whom the accounts so far are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    Nobody,
    /// By a key that is not on record with it.
    Somebody,
    /// The hash that is on record with it.
    Known(SubjectHash),
}

/// Whom the accounts of a call that are in the file are about, by the statement [`ABOUT`].
pub(super) fn about_whom(about: &mut Statement<'_>, call: CallKey) -> rusqlite::Result<About> {
    let held = about.query_row([call.number()], |row| {
        Ok(match row.get(0)? {
            0 => About::Somebody,
            key => About::Known(SubjectHash { key, hash: row.get(1)? }),
        })
    });
    Ok(held.optional()?.unwrap_or(About::Nobody))
}

/// The keys that an export is judged by, and the pairs that are in the file.
#[derive(Debug, Default)]
pub(super) struct Subjects {
    ring: Option<SubjectKeyRing>,
    /// Key, consumer, provider; the last two as words.
    pairs: HashSet<(u32, i64, i64)>,
    /// Pairs of keys below this number were removed.
    pruned_below: u32,
}

impl Subjects {
    /// Judges by these keys from now on. Pairs of keys that are gone leave the file: no record bears them.
    pub(super) fn judge_by(&mut self, conn: &Connection, ring: Option<&SubjectKeyRing>) -> rusqlite::Result<()> {
        if self.ring.as_ref() != ring {
            self.ring = ring.cloned();
        }
        let oldest = ring.and_then(SubjectKeyRing::oldest).unwrap_or_default();
        if oldest > self.pruned_below {
            conn.prepare_cached("DELETE FROM subject_pairs WHERE key < ?1")?.execute([i64::from(oldest)])?;
            self.pruned_below = oldest;
        }
        Ok(())
    }

    /// Whether an account bears a key that its sidecar cannot have used when it says that the call began.
    pub(super) fn doubts(&self, subject: Option<&SubjectHash>, began: Timestamp) -> bool {
        self.ring.as_ref().zip(subject).is_some_and(|(ring, subject)| !ring.may_be_used(subject.key, began))
    }

    /// Whether two accounts of one call, which began when each of them says, are about two people. Hashes of two keys cannot be compared;
    /// where both sides should have used the same, that alone contradicts.
    pub(super) fn contradict(&self, held: (&SubjectHash, Timestamp), told: (&SubjectHash, Timestamp)) -> bool {
        let ((held, held_began), (told, told_began)) = (held, told);
        if held.key == told.key {
            return held.hash != told.hash;
        }
        self.ring.as_ref().is_some_and(|ring| !ring.may_differ([held.key, told.key], [held_began, told_began]))
    }

    /// Puts down between whom somebody was asked about, for whoever searches. What no key has made nobody finds, and is left out.
    pub(super) fn put_pair(&mut self, conn: &Connection, key: u32, consumer: i64, provider: i64) -> rusqlite::Result<()> {
        if self.ring.as_ref().is_some_and(|ring| !ring.is_of_pairs(key)) || !self.pairs.insert((key, consumer, provider)) {
            return Ok(());
        }
        if self.pairs.len() > PAIRS_MAX {
            self.pairs.clear();
        }
        let sql = "INSERT OR IGNORE INTO subject_pairs (key, consumer, provider) VALUES (?1, ?2, ?3)";
        conn.prepare_cached(sql)?.execute([i64::from(key), consumer, provider])?;
        Ok(())
    }
}
