//! Finds what was tampered with in the ledger: every signed piece of every evidence chain is recomputed, and every call compared with the
//! records that it is made of.

use chapar_core::{
    policy::Side,
    record::{
        self, ChainEntry, LossCause,
        chain::{self, ChainId, Checkpoint, Hash},
    },
    time::Timestamp,
};
use chapar_proto::evidence::{NotSigned, certified, signed_by};
use rusqlite::{Connection, OptionalExtension as _};
use rustls_pki_types::{CertificateDer, TrustAnchor};

use super::{
    evidence::digest_of,
    rows::{FORM_DIGEST, FORM_ENTRY, FORM_OTLP},
    words::Spelling,
};

/// Findings of one chain that are told; what is beyond says no more.
const FINDINGS_MAX: usize = 1_000;

/// How long after its calls a piece may be signed, in milliseconds: a sidecar that is cut off signs when it is back. Of an entry that
/// is forgotten nothing but its piece tells the time.
const SIGNED_LATE_MS_MAX: i64 = 24 * 3_600 * 1_000;

/// What certificates are judged by.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// Roots that are or were trusted, DER.
    pub roots: Vec<Vec<u8>>,
    /// Issuing CAs, present and former, DER.
    pub issuers: Vec<Vec<u8>>,
}

/// One sign of tampering.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finding {
    /// Stable: "ENTRY_MISSING", "ENTRY_ALTERED", "CHAIN_BROKEN", "CHECKPOINT_FORGED", "CALL_ALTERED", "FORGOTTEN_EARLY".
    pub kind: &'static str,
    pub reporter: String,
    pub chain: String,
    pub first: i64,
    pub last: i64,
    pub call_id: String,
    pub told: String,
}

/// How far the verification is, and what it found lately.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub chains: u64,
    pub entries: u64,
    pub checkpoints: u64,
    /// Entries that no signature covers yet.
    pub unsigned: u64,
    /// Entries of which only the digest is left.
    pub forgotten: u64,
    pub findings: Vec<Finding>,
}

/// A chain as the ledger knows it.
struct Held {
    key: i64,
    id: ChainId,
    reporter: String,
    forgotten: i64,
}

/// A signed piece as the ledger knows it.
struct Piece {
    first: i64,
    last: i64,
    before: Hash,
    after: Hash,
    at_ms: i64,
    scheme: String,
    signature: Vec<u8>,
    certificate: Vec<u8>,
}

/// Goes through all chains, or one reporter's. `forgotten_before_ms`: what began before then may have been forgotten. `tell` is given
/// the progress now and then; false ends it.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn verify(
    conn: &Connection,
    reporter: &str,
    trust: &Trust,
    forgotten_before_ms: i64,
    mut tell: impl FnMut(&mut Progress) -> bool,
) -> rusqlite::Result<()> {
    let roots: Vec<CertificateDer<'_>> = trust.roots.iter().map(|der| der.as_slice().into()).collect();
    let anchors: Vec<TrustAnchor<'_>> = roots.iter().filter_map(|root| webpki::anchor_from_trusted_cert(root).ok()).collect();
    let issuers: Vec<CertificateDer<'_>> = trust.issuers.iter().map(|der| der.as_slice().into()).collect();
    let mut progress = Progress::default();
    for held in chains(conn, reporter)? {
        let mut one =
            Chain { conn, held: &held, anchors: &anchors, issuers: &issuers, forgotten_before_ms, progress: &mut progress };
        // One state of the file for one chain, whatever is written meanwhile.
        let tx = conn.unchecked_transaction()?;
        one.verify()?;
        tx.finish()?;
        progress.chains += 1;
        if !tell(&mut progress) {
            return Ok(());
        }
    }
    if reporter.is_empty() {
        calls_without_records(conn, &mut progress)?;
        tell(&mut progress);
    }
    Ok(())
}

fn chains(conn: &Connection, reporter: &str) -> rusqlite::Result<Vec<Held>> {
    let mut spelling = Spelling::default();
    let rows: Vec<(i64, [u8; 16], i64, i64)> = conn
        .prepare("SELECT id, chain, reporter, forgotten FROM chains ORDER BY id")?
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?
        .collect::<Result<_, _>>()?;
    let mut chains = Vec::new();
    for (key, id, by, forgotten) in rows {
        let named = spelling.word(conn, by)?;
        if reporter.is_empty() || reporter == named {
            chains.push(Held { key, id: ChainId(id), reporter: named, forgotten });
        }
    }
    Ok(chains)
}

struct Chain<'v> {
    conn: &'v Connection,
    held: &'v Held,
    anchors: &'v [TrustAnchor<'v>],
    issuers: &'v [CertificateDer<'v>],
    forgotten_before_ms: i64,
    progress: &'v mut Progress,
}

impl Chain<'_> {
    fn verify(&mut self) -> rusqlite::Result<()> {
        let pieces = self.pieces()?;
        let mut covered = self.held.forgotten;
        let mut head = (covered == 0).then(|| chain::beginning(self.held.id));
        for piece in &pieces {
            self.progress.checkpoints += 1;
            if piece.first > covered + 1 {
                self.find(
                    "CHAIN_BROKEN",
                    covered + 1,
                    piece.first - 1,
                    "no signature covers these entries, though a later one is there",
                );
                head = None;
            }
            // Pieces may overlap where one was sent again: only those that end to end follow one another must fit.
            if piece.first == covered + 1 && head.is_some_and(|head| head != piece.before) {
                self.find("CHAIN_BROKEN", piece.first, piece.last, "the piece does not follow from the one before it");
            }
            self.verify_piece(piece)?;
            if piece.last > covered {
                covered = piece.last;
                head = Some(piece.after);
            }
        }
        let (unsigned, gap): (i64, Option<i64>) = self.conn.query_row(
            "SELECT COUNT(*), MIN(sequence) FROM spans WHERE chain = ?1 AND sequence > ?2",
            [self.held.key, covered],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        self.progress.unsigned += u64::try_from(unsigned).unwrap_or_default();
        self.progress.entries += u64::try_from(unsigned).unwrap_or_default();
        if gap.is_some_and(|first| first > covered + 1) && unsigned > 0 {
            let first = gap.unwrap_or_default();
            let damage =
                self.entry(first)?.is_some_and(|(form, body)| began_at(form, &body).is_some_and(|number| number <= covered + 1));
            if !damage {
                self.find("ENTRY_MISSING", covered + 1, first - 1, "these entries are missing, though later ones are there");
            }
        }
        Ok(())
    }

    fn pieces(&self) -> rusqlite::Result<Vec<Piece>> {
        self.conn
            .prepare_cached(
                "SELECT p.first, p.last, p.before, p.after, p.at_ms, p.scheme, p.signature, c.der FROM checkpoints p \
                 JOIN certificates c ON c.id = p.certificate WHERE p.chain = ?1 ORDER BY p.first, p.last",
            )?
            .query_map([self.held.key], |row| {
                Ok(Piece {
                    first: row.get(0)?,
                    last: row.get(1)?,
                    before: Hash(row.get(2)?),
                    after: Hash(row.get(3)?),
                    at_ms: row.get(4)?,
                    scheme: row.get(5)?,
                    signature: row.get(6)?,
                    certificate: row.get(7)?,
                })
            })?
            .collect()
    }

    fn verify_piece(&mut self, piece: &Piece) -> rusqlite::Result<()> {
        let number = |number: i64| u64::try_from(number).unwrap_or_default();
        let at = Timestamp::from_unix_ms(piece.at_ms);
        let checkpoint = Checkpoint {
            chain: self.held.id,
            first: number(piece.first),
            last: number(piece.last),
            before: piece.before,
            after: piece.after,
            at,
        };
        let leaf = CertificateDer::from(piece.certificate.as_slice());
        if signed_by(&checkpoint, &leaf, &piece.scheme, &piece.signature) == Err(NotSigned) {
            self.find("CHECKPOINT_FORGED", piece.first, piece.last, "the signature is not over this checkpoint");
            return Ok(());
        }
        let signer = certified(&leaf, self.issuers, self.anchors, at).map(|id| id.to_string());
        if signer.as_deref() != Some(self.held.reporter.as_str()) {
            self.find("CHECKPOINT_FORGED", piece.first, piece.last, "its signer's certificate is not the reporter's");
            return Ok(());
        }
        self.verify_entries(piece)
    }

    fn verify_entries(&mut self, piece: &Piece) -> rusqlite::Result<()> {
        let mut head = piece.before;
        let mut expected = piece.first;
        let mut missing = false;
        let conn = self.conn;
        let mut entries = conn.prepare_cached(
            "SELECT sequence, form, body, call FROM spans WHERE chain = ?1 AND sequence >= ?2 AND sequence <= ?3 ORDER BY sequence",
        )?;
        let mut rows = entries.query([self.held.key, piece.first, piece.last])?;
        while let Some(row) = rows.next()? {
            let (sequence, form, call): (i64, i64, Option<i64>) = (row.get(0)?, row.get(1)?, row.get(3)?);
            let body = row.get_ref(2)?.as_blob()?;
            let stands_since = began_at(form, body).unwrap_or(sequence);
            if stands_since > expected {
                missing = true;
                self.find("ENTRY_MISSING", expected, stands_since - 1, "these entries are missing");
            }
            expected = sequence + 1;
            head = chain::next(head, Hash(digest_of(form, body)));
            self.progress.entries += 1;
            self.verify_entry(piece, sequence, form, body, call)?;
        }
        if expected <= piece.last {
            missing = true;
            self.find("ENTRY_MISSING", expected, piece.last, "these entries are missing");
        }
        if !missing && head != piece.after {
            self.find("ENTRY_ALTERED", piece.first, piece.last, "an entry among these is not what its sidecar signed");
        }
        Ok(())
    }

    fn verify_entry(&mut self, piece: &Piece, sequence: i64, form: i64, body: &[u8], call: Option<i64>) -> rusqlite::Result<()> {
        match form {
            FORM_DIGEST => {
                self.progress.forgotten += 1;
                if piece.at_ms >= self.forgotten_before_ms.saturating_add(SIGNED_LATE_MS_MAX) {
                    self.find("FORGOTTEN_EARLY", sequence, sequence, "the entry was removed, and retention did not ask for it");
                }
            }
            FORM_ENTRY => match record::decode_entry(body) {
                Ok(ChainEntry::Call(record)) => {
                    if let Some(problem) = unlike(self.conn, call, &record)? {
                        self.find_call("CALL_ALTERED", sequence, &record.call_id.to_string(), problem);
                    }
                }
                Ok(ChainEntry::Loss(_)) => {}
                Err(_) => self.find("ENTRY_ALTERED", sequence, sequence, "the entry is not readable"),
            },
            FORM_OTLP => {}
            _ => self.find("ENTRY_ALTERED", sequence, sequence, "the entry has no form that this software writes"),
        }
        Ok(())
    }

    fn entry(&self, sequence: i64) -> rusqlite::Result<Option<(i64, Vec<u8>)>> {
        self.conn
            .prepare_cached("SELECT form, body FROM spans WHERE chain = ?1 AND sequence = ?2")?
            .query_row([self.held.key, sequence], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()
    }

    fn find(&mut self, kind: &'static str, first: i64, last: i64, told: &str) {
        self.found(Finding { kind, first, last, told: told.to_owned(), ..Finding::default() });
    }

    fn find_call(&mut self, kind: &'static str, sequence: i64, call_id: &str, told: &str) {
        let (call_id, told) = (call_id.to_owned(), told.to_owned());
        self.found(Finding { kind, first: sequence, last: sequence, call_id, told, ..Finding::default() });
    }

    fn found(&mut self, finding: Finding) {
        if self.progress.findings.len() < FINDINGS_MAX {
            let (reporter, chain) = (self.held.reporter.clone(), self.held.id.to_string());
            self.progress.findings.push(Finding { reporter, chain, ..finding });
        }
    }
}

/// The first place that an entry of damage stands for.
fn began_at(form: i64, body: &[u8]) -> Option<i64> {
    if form != FORM_ENTRY {
        return None;
    }
    match record::decode_entry(body) {
        Ok(ChainEntry::Loss(loss)) if loss.cause == LossCause::Damaged => i64::try_from(loss.number).ok(),
        _ => None,
    }
}

/// What the call's row says otherwise than the record.
fn unlike(conn: &Connection, call: Option<i64>, record: &record::CallRecord<'_>) -> rusqlite::Result<Option<&'static str>> {
    let Some(call) = call else { return Ok(Some("the record was taken away from its call")) };
    let mut statement = conn.prepare_cached(
        "SELECT k.call_id, c.word, p.word, i.word, s.word, o.word, k.duration_us, k.started_at_us, r.word FROM calls k \
         JOIN words c ON c.id = k.consumer JOIN words p ON p.id = k.provider JOIN words i ON i.id = k.inquiry \
         JOIN words s ON s.id = k.status JOIN words o ON o.id = k.outcome JOIN words r ON r.id = k.resolution WHERE k.id = ?1",
    )?;
    let mut rows = statement.query([call])?;
    let Some(row) = rows.next()? else { return Ok(Some("the record's call was removed")) };
    let same = |column: usize, told: &str| Ok::<_, rusqlite::Error>(told.is_empty() || row.get_ref(column)?.as_str()? == told);
    if row.get_ref(0)?.as_blob()? != record.call_id.as_bytes() {
        return Ok(Some("the call has another ID than its record"));
    }
    if !same(1, record.consumer)? || !same(2, record.provider)? || !same(3, record.inquiry)? || !same(8, record.resolution)? {
        return Ok(Some("the call names other parties, another inquiry or another resolution than its record"));
    }
    // Of these the consumer's side has the say.
    if record.side == Side::Consumer {
        let (duration_us, started_at_us): (i64, i64) = (row.get(6)?, row.get(7)?);
        let outcome = row.get_ref(5)?.as_str()?;
        let ended_alike = outcome == record.outcome.as_str() || outcome == "refused";
        let timed_alike = u64::try_from(duration_us).ok() == Some(record.duration_us)
            && started_at_us == record.started_at.unix_ms().saturating_mul(1_000);
        if !same(4, record.status.as_str())? || !ended_alike || !timed_alike {
            return Ok(Some("the call has another end or another time than its record"));
        }
    }
    Ok(None)
}

/// Calls that somebody made up: fewer records are there than the row tells.
fn calls_without_records(conn: &Connection, progress: &mut Progress) -> rusqlite::Result<()> {
    let mut statement = conn.prepare(
        "SELECT k.call_id FROM calls k NOT INDEXED WHERE k.spans <> (SELECT COUNT(*) FROM spans s WHERE s.call = k.id) LIMIT ?1",
    )?;
    let mut rows = statement.query([i64::try_from(FINDINGS_MAX).unwrap_or(i64::MAX)])?;
    while let Some(row) = rows.next()? {
        let call_id = super::stored::hex(row.get_ref(0)?.as_blob()?);
        let told = "the call counts other records than there are".to_owned();
        progress.findings.push(Finding { kind: "CALL_ALTERED", call_id, told, ..Finding::default() });
    }
    Ok(())
}
