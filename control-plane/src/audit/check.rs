//! Finds what was removed from the audit, altered in it, or put into it, by anybody who could write its file.

use std::collections::BTreeMap;

use crate::store::{AUDIT_BEGINNING, AuditHead, AuditLine, HeadRow, Store, StoreError};

/// Findings that are told; what is beyond says no more.
const FINDINGS_MAX: usize = 1_000;

/// Lines, and signed heads, that are read at once.
const LINES_AT_ONCE: i64 = 1_000;

/// Tells what a signed head bears witness to, or what is wrong with it.
pub type Judge<'j> = dyn Fn(&HeadRow) -> Result<Witness, String> + Send + Sync + 'j;

/// One sign of tampering.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Stable: "ENTRY_MISSING", "ENTRY_ALTERED", "ENTRY_CUT_OFF", "HEAD_FORGED", "HEAD_DISAGREES".
    pub kind: &'static str,
    /// First of the entries in question.
    pub first: u64,
    /// Last of the entries in question.
    pub last: u64,
    /// What is wrong, for a person.
    pub told: String,
}

/// Somebody remembers how far the audit had got, and with which hash.
#[derive(Clone, Debug)]
pub struct Witness {
    /// Who, for a person.
    pub who: String,
    /// What is remembered.
    pub head: AuditHead,
}

/// What going through the audit told.
#[derive(Clone, Debug, Default)]
pub struct Checked {
    /// Entries that are there.
    pub entries: u64,
    /// Signed heads that were judged.
    pub heads: u64,
    /// The newest.
    pub head: AuditHead,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// Goes through the whole audit as it was at one moment, and through all signed heads, each judged by `judge`.
///
/// # Errors
/// When the store cannot be read.
pub async fn check(store: &Store, witnesses: Vec<Witness>, judge: &Judge<'_>) -> Result<Checked, StoreError> {
    let mut chain = ChainCheck::new(witnesses);
    let mut reader = store.snapshot().await?;
    let mut judged = 0;
    loop {
        let lines = reader.audit_lines_after(chain.checked.head.id, LINES_AT_ONCE).await?;
        // The heads up to the last of these lines; after the last line of all, the others.
        let until = lines.last().map_or(u64::MAX, |line| line.id);
        while judged < until {
            let heads = reader.heads_after(judged, LINES_AT_ONCE).await?;
            judged = heads.last().map_or(u64::MAX, |head| head.audit_last);
            heads.iter().for_each(|head| chain.signed(head, judge));
        }
        if lines.is_empty() {
            return Ok(chain.ended());
        }
        lines.iter().for_each(|line| chain.line(line));
    }
}

struct ChainCheck {
    checked: Checked,
    /// Lines have hashes from here on.
    hashed: bool,
    /// What is still to be met, by number.
    witnesses: BTreeMap<u64, Vec<Witness>>,
}

impl ChainCheck {
    fn new(witnesses: Vec<Witness>) -> Self {
        let mut by_number: BTreeMap<u64, Vec<Witness>> = BTreeMap::new();
        for witness in witnesses.into_iter().filter(|witness| witness.head.id > 0) {
            by_number.entry(witness.head.id).or_default().push(witness);
        }
        Self { checked: Checked::default(), hashed: false, witnesses: by_number }
    }

    fn signed(&mut self, head: &HeadRow, judge: &Judge<'_>) {
        self.checked.heads += 1;
        match judge(head) {
            Ok(witness) => self.witnesses.entry(witness.head.id).or_default().push(witness),
            Err(told) => self.find("HEAD_FORGED", head.audit_last, head.audit_last, &told),
        }
    }

    fn line(&mut self, line: &AuditLine) {
        let before = self.checked.head;
        let whole = line.id == before.id + 1;
        if !whole {
            self.find("ENTRY_MISSING", before.id + 1, line.id - 1, "these entries are no longer there");
        }
        let computed = line.linked(&before.hash);
        let hash = match line.hash {
            // What follows a gap cannot be told from what was there before it: its own hash is taken, and the next one must fit.
            Some(held) if held != computed && whole => {
                self.find("ENTRY_ALTERED", line.id, line.id, "the entry is not the one that was written after the one before it");
                held
            }
            Some(held) => held,
            None if self.hashed => {
                self.find("ENTRY_ALTERED", line.id, line.id, "the entry has lost its hash");
                AUDIT_BEGINNING
            }
            None => computed,
        };
        self.hashed |= line.hash.is_some();
        self.checked.entries += 1;
        self.checked.head = AuditHead { id: line.id, hash };
        while let Some(first) = self.witnesses.first_entry()
            && *first.key() <= line.id
        {
            let (number, remembered) = first.remove_entry();
            if number < line.id {
                continue; // Missing, and found so.
            }
            for witness in remembered.into_iter().filter(|witness| witness.head.hash != hash) {
                let told =
                    format!("{} remembers another audit up to this entry: it or some before it were exchanged", witness.who);
                self.find("HEAD_DISAGREES", number, number, &told);
            }
        }
    }

    fn ended(mut self) -> Checked {
        let last = self.checked.head.id;
        if let Some((newest, remembered)) = self.witnesses.pop_last() {
            let who = remembered.first().map_or("", |witness| witness.who.as_str());
            let told = format!("the audit ends before these entries, which {who} remembers");
            self.find("ENTRY_CUT_OFF", last + 1, newest, &told);
        }
        self.checked
    }

    fn find(&mut self, kind: &'static str, first: u64, last: u64, told: &str) {
        if self.checked.findings.len() < FINDINGS_MAX {
            self.checked.findings.push(Finding { kind, first, last, told: told.to_owned() });
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
