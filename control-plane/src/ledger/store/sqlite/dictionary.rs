//! The dictionary: names that recur, and the numbers that stand for them in the ledger's rows.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension as _};

/// Names that are remembered; when there are more, all are dropped and looked up again. A nation's agencies, inquiries and
/// resolutions are far fewer.
const REMEMBERED_MAX: usize = 65_536;

/// The writer's side: finds a word's number, or gives it one.
#[derive(Debug, Default)]
pub(super) struct Dictionary(HashMap<Box<str>, i64>);

impl Dictionary {
    /// The number of this word.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn number(&mut self, conn: &Connection, word: &str) -> rusqlite::Result<i64> {
        if let Some(number) = self.held(conn, word)? {
            return Ok(number);
        }
        let number =
            conn.prepare_cached("INSERT INTO words (word) VALUES (?1) RETURNING id")?.query_row([word], |row| row.get(0))?;
        self.remember(word, number);
        Ok(number)
    }

    /// The number of this word, if it has one.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn held(&mut self, conn: &Connection, word: &str) -> rusqlite::Result<Option<i64>> {
        if let Some(number) = self.0.get(word) {
            return Ok(Some(*number));
        }
        let number = number_of(conn, word)?;
        if let Some(number) = number {
            self.remember(word, number);
        }
        Ok(number)
    }

    fn remember(&mut self, word: &str, number: i64) {
        if self.0.len() >= REMEMBERED_MAX {
            self.0.clear();
        }
        self.0.insert(word.into(), number);
    }
}

/// The number of a word; `None`: no row has it.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn number_of(conn: &Connection, word: &str) -> rusqlite::Result<Option<i64>> {
    conn.prepare_cached("SELECT id FROM words WHERE word = ?1")?.query_row([word], |row| row.get(0)).optional()
}

/// The reader's side: words of numbers, each looked up once an answer.
#[derive(Debug, Default)]
pub(super) struct Spelling(HashMap<i64, String>);

impl Spelling {
    /// The word with this number.
    ///
    /// # Errors
    /// When the file cannot be read, or has no such word.
    pub(super) fn word(&mut self, conn: &Connection, number: i64) -> rusqlite::Result<String> {
        if let Some(word) = self.0.get(&number) {
            return Ok(word.clone());
        }
        let word: String = conn.prepare_cached("SELECT word FROM words WHERE id = ?1")?.query_row([number], |row| row.get(0))?;
        self.0.insert(number, word.clone());
        Ok(word)
    }
}
