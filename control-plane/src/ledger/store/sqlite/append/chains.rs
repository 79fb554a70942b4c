//! Rows of evidence chains, and of what sidecars signed of them.

use chapar_core::record::chain::{self, ChainId, Checkpoint};
use rusqlite::{Connection, OptionalExtension as _, params};

use super::{Appender, From, shares::CHAINS_MAX};
use crate::ledger::{
    chain::Form,
    intake::Ingested,
    notary::Receipt,
    store::{form_of_number, signed},
    validation::{Rejection, ReportedSpan, SignedCheckpoint},
};

/// Entries at the end of a signed piece that need not have come: those that were rejected.
const UNSEEN_MAX: i64 = 4_096;

/// Signatures that end at the same entry: what was not acknowledged is sent again in other cuts.
const AGAIN_MAX: i64 = 8;

/// A chain as its row holds it.
#[derive(Clone, Copy, Debug)]
pub(super) struct ChainRow {
    key: i64,
    reporter: i64,
    /// Highest sequence number that was stored.
    high: i64,
    /// As in the file.
    saved: i64,
}

impl Appender<'_> {
    /// Writes down how far each chain has come.
    pub(super) fn settle_chains(&mut self) -> rusqlite::Result<()> {
        for chain in self.chains.values_mut().filter(|chain| chain.high != chain.saved) {
            self.conn.prepare_cached("UPDATE chains SET high = ?2 WHERE id = ?1")?.execute([chain.key, chain.high])?;
            chain.saved = chain.high;
        }
        Ok(())
    }

    /// Notes that the chain has an entry with this number.
    pub(super) fn raise_chain(&mut self, id: ChainId, sequence: i64) {
        if let Some(chain) = self.chains.get_mut(&id) {
            chain.high = chain.high.max(sequence);
        }
    }

    /// The number of a chain's row; a new chain gets one. A chain speaks for one sidecar only, for good.
    pub(super) fn chain_key(&mut self, id: ChainId, from: &From) -> rusqlite::Result<Result<i64, Rejection>> {
        let chain = match self.chains.get(&id) {
            Some(chain) => *chain,
            None => {
                let chain = match self.held_chain(id)? {
                    Some(chain) => chain,
                    None if self.shares.named(self.conn, from.agency)?.1 >= CHAINS_MAX => return Ok(Err(Rejection::NewChains)),
                    None => {
                        self.shares.count_chain(self.conn, from.agency)?;
                        self.new_chain(id, from.reporter)?
                    }
                };
                self.chains.insert(id, chain);
                chain
            }
        };
        Ok(if chain.reporter == from.reporter { Ok(chain.key) } else { Err(Rejection::ForeignChain(id)) })
    }

    fn held_chain(&self, id: ChainId) -> rusqlite::Result<Option<ChainRow>> {
        self.conn
            .prepare_cached("SELECT id, reporter, high FROM chains WHERE chain = ?1")?
            .query_row([&id.0[..]], |row| {
                let high = row.get(2)?;
                Ok(ChainRow { key: row.get(0)?, reporter: row.get(1)?, high, saved: high })
            })
            .optional()
    }

    fn new_chain(&self, id: ChainId, reporter: i64) -> rusqlite::Result<ChainRow> {
        let key = self
            .conn
            .prepare_cached("INSERT INTO chains (chain, reporter, high, forgotten) VALUES (?1, ?2, 0, 0) RETURNING id")?
            .query_row(params![&id.0[..], reporter], |row| row.get(0))?;
        Ok(ChainRow { key, reporter, high: 0, saved: 0 })
    }

    /// Whether the span is there already, and then, whether it is the same. `place`: the chain's number, and the entry's.
    pub(super) fn is_known(
        &self,
        reporter: i64,
        span: &ReportedSpan<'_>,
        place: Option<(i64, i64)>,
    ) -> rusqlite::Result<Option<bool>> {
        let Some((key, sequence)) = place else {
            let mut same = self
                .conn
                .prepare_cached("SELECT 1 FROM spans WHERE trace_id = ?1 AND span_id = ?2 AND reporter = ?3 AND chain IS NULL")?;
            return same.exists(params![&span.trace_id[..], &span.span_id[..], reporter]).map(|known| known.then_some(true));
        };
        // Beyond the highest that was stored nothing is known: the usual case costs no look at the file.
        if let Some(place) = span.place
            && self.chains.get(&place.chain).is_some_and(|chain| sequence > chain.high)
        {
            return Ok(None);
        }
        let held: Option<(i64, Vec<u8>)> = self
            .conn
            .prepare_cached("SELECT form, body FROM spans WHERE chain = ?1 AND sequence = ?2")?
            .query_row([key, sequence], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        Ok(match held {
            Some((form, digest)) if form_of_number(form) == Form::Digest => Some(digest == chain::digest(&self.body).0),
            Some((_, body)) => Some(body == self.body),
            // What was evicted was known once.
            None => self.was_evicted(key, sequence)?.then_some(true),
        })
    }

    fn was_evicted(&self, chain: i64, sequence: i64) -> rusqlite::Result<bool> {
        self.conn.prepare_cached("SELECT 1 FROM chains WHERE id = ?1 AND forgotten >= ?2")?.exists([chain, sequence])
    }

    /// Keeps a signature under a piece of a chain, once.
    pub(super) fn append_checkpoint(
        &mut self,
        from: &From,
        signed_by: &SignedCheckpoint<'_>,
        receipt: Result<Option<&Receipt>, &'static str>,
        ingested: &mut Ingested,
    ) -> rusqlite::Result<()> {
        let checkpoint = &signed_by.checkpoint;
        let chain = match self.chain_key(checkpoint.chain, from)? {
            Ok(chain) => chain,
            Err(why) => {
                ingested.rejected.push(why);
                return Ok(());
            }
        };
        let receipt = match receipt {
            Ok(receipt) => receipt,
            Err(why) => {
                ingested.rejected.push(Rejection::Unproven(why));
                return Ok(());
            }
        };
        let high = self.chains.get(&checkpoint.chain).map_or(0, |chain| chain.high);
        if !covers_what_is_here(self.conn, chain, high, checkpoint)? {
            ingested.rejected.push(Rejection::Unproven("it covers entries that are not here, or were signed often enough"));
            return Ok(());
        }
        let certificate = certificate_key(self.conn, signed_by.certificate)?;
        let notary = match receipt {
            Some(receipt) => certificate_key(self.conn, &receipt.certificate)?,
            None => 0,
        };
        let new = self
            .conn
            .prepare_cached(
                "INSERT OR IGNORE INTO checkpoints (chain, first, last, before, after, at_ms, certificate, scheme, serial, signature, \
                 received_at_ms, receipt, notary) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
            )?
            .execute(params![
                chain,
                signed(checkpoint.first),
                signed(checkpoint.last),
                &checkpoint.before.0[..],
                &checkpoint.after.0[..],
                checkpoint.at.unix_ms(),
                certificate,
                signed_by.scheme,
                signed_by.serial,
                signed_by.signature,
                from.received_at.unix_ms(),
                receipt.map_or(&[][..], |receipt| &receipt.signature),
                notary,
            ])?;
        ingested.checkpoints += new;
        Ok(())
    }
}

/// Whether a checkpoint is of entries that came, and not one more of what was signed often enough: signatures take room as well.
fn covers_what_is_here(conn: &Connection, chain: i64, high: i64, checkpoint: &Checkpoint) -> rusqlite::Result<bool> {
    if signed(checkpoint.first) > high || signed(checkpoint.last).saturating_sub(high) > UNSEEN_MAX {
        return Ok(false);
    }
    let again: i64 = conn
        .prepare_cached("SELECT COUNT(*) FROM checkpoints WHERE chain = ?1 AND last = ?2 AND NOT (first = ?3 AND after = ?4)")?
        .query_row(params![chain, signed(checkpoint.last), signed(checkpoint.first), &checkpoint.after.0[..]], |row| {
            row.get(0)
        })?;
    Ok(again < AGAIN_MAX)
}

fn certificate_key(conn: &Connection, der: &[u8]) -> rusqlite::Result<i64> {
    let held =
        conn.prepare_cached("SELECT id FROM certificates WHERE der = ?1")?.query_row([der], |row| row.get(0)).optional()?;
    match held {
        Some(id) => Ok(id),
        None => {
            conn.prepare_cached("INSERT INTO certificates (der) VALUES (?1) RETURNING id")?.query_row([der], |row| row.get(0))
        }
    }
}
