//! What each agency takes of the ledger: counted as it is written, so that retention knows who takes most.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension as _};

/// Words that one agency may be the first to name, and evidence chains that its sidecars may begin. Neither is ever removed. The names
/// in a nation's policy are some thousands; a sidecar begins a few chains whenever it loses its spool.
pub(super) const WORDS_MAX: i64 = 20_000;
pub(super) const CHAINS_MAX: i64 = 65_536;

/// Changes of a write that have not been written down yet, by agency, and what was looked up. All words are numbers.
#[derive(Debug, Default)]
pub(super) struct Shares {
    changed: HashMap<i64, Share>,
    /// Words and chains that agencies have named, changes included.
    named: HashMap<i64, (i64, i64)>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Share {
    spans: i64,
    bytes: i64,
    other_bytes: i64,
    words: i64,
    chains: i64,
}

impl Shares {
    /// Charges accounts of calls to an agency; less than nothing takes them off.
    pub(super) fn charge(&mut self, agency: i64, spans: i64, bytes: i64) {
        let share = self.changed.entry(agency).or_default();
        share.spans += spans;
        share.bytes = share.bytes.saturating_add(bytes);
    }

    /// Charges a span of no call.
    pub(super) fn charge_other(&mut self, agency: i64, bytes: i64) {
        let share = self.changed.entry(agency).or_default();
        share.other_bytes = share.other_bytes.saturating_add(bytes);
    }

    /// Counts words that the agency was the first to name.
    pub(super) fn count_words(&mut self, conn: &Connection, agency: i64, words: i64) -> rusqlite::Result<()> {
        self.named(conn, agency)?.0 += words;
        self.changed.entry(agency).or_default().words += words;
        Ok(())
    }

    /// Counts a chain that the agency began.
    pub(super) fn count_chain(&mut self, conn: &Connection, agency: i64) -> rusqlite::Result<()> {
        self.named(conn, agency)?.1 += 1;
        self.changed.entry(agency).or_default().chains += 1;
        Ok(())
    }

    /// Words and chains that the agency has named.
    pub(super) fn named(&mut self, conn: &Connection, agency: i64) -> rusqlite::Result<&mut (i64, i64)> {
        Ok(match self.named.entry(agency) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(unknown) => {
                let held = conn
                    .prepare_cached("SELECT words, chains FROM shares WHERE agency = ?1")?
                    .query_row([agency], |row| Ok((row.get(0)?, row.get(1)?)))
                    .optional()?;
                unknown.insert(held.unwrap_or_default())
            }
        })
    }

    /// Writes the changes down.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn settle(&mut self, conn: &Connection) -> rusqlite::Result<()> {
        for (agency, share) in self.changed.drain() {
            conn.prepare_cached(
                "INSERT INTO shares VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0) ON CONFLICT DO UPDATE SET spans = spans + ?2, \
                 bytes = bytes + ?3, other_bytes = other_bytes + ?4, words = words + ?5, chains = chains + ?6",
            )?
            .execute([agency, share.spans, share.bytes, share.other_bytes, share.words, share.chains])?;
        }
        Ok(())
    }
}
