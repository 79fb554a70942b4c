//! Evidence chains, shown one after the other.

use std::cell::RefCell;

use async_trait::async_trait;
use chapar_core::{
    record::{CallId, chain::ChainId},
    time::Timestamp,
};
use data_encoding::HEXLOWER;
use rusqlite::{Connection, Statement};

use super::{
    SqliteLedger,
    dictionary::Spelling,
    evidence::records_of_call,
    rows::{CALL_COLUMNS, PIECE_COLUMNS, call_of, piece_of},
};
use crate::{
    ledger::{
        call::Call,
        chain::{ChainRecord, HeldChain, HeldEntry, SignedPiece, UnsignedEntries},
        key::CallKey,
        store::{ChainView, ChainVisitor, EvidenceChains, form_of_number},
    },
    store::StoreError,
};

#[async_trait]
impl EvidenceChains for SqliteLedger {
    async fn records_of_call(&self, call_id: CallId) -> Result<Vec<ChainRecord>, StoreError> {
        self.readers.read(move |conn| Ok(records_of_call(conn, call_id)?)).await
    }

    async fn visit_chains(&self, reporter: String, visitor: ChainVisitor) -> Result<(), StoreError> {
        self.readers.read(move |conn| visit_chains(conn, &reporter, visitor)).await
    }

    async fn miscounted_calls(&self, count_max: usize) -> Result<Vec<String>, StoreError> {
        self.readers.read(move |conn| Ok(miscounted_calls(conn, count_max)?)).await
    }
}

fn visit_chains(conn: &Connection, reporter: &str, mut visitor: ChainVisitor) -> Result<(), StoreError> {
    for chain in chains(conn, reporter)? {
        // One state of the file for one chain, whatever is written meanwhile.
        let tx = conn.unchecked_transaction()?;
        let view = View::new(conn, chain.key)?;
        let seen = visitor(&chain, &view)?;
        drop(view);
        tx.finish()?;
        if seen.is_break() {
            break;
        }
    }
    Ok(())
}

fn chains(conn: &Connection, reporter: &str) -> rusqlite::Result<Vec<HeldChain>> {
    let mut spelling = Spelling::default();
    let mut chains = Vec::new();
    let mut statement = conn.prepare("SELECT id, chain, reporter, forgotten FROM chains ORDER BY id")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let named = spelling.word(conn, row.get(2)?)?;
        if reporter.is_empty() || reporter == named {
            chains.push(HeldChain { key: row.get(0)?, id: ChainId(row.get(1)?), reporter: named, evicted_until: row.get(3)? });
        }
    }
    Ok(chains)
}

/// One chain within a transaction.
struct View<'c> {
    conn: &'c Connection,
    chain: i64,
    call: RefCell<Statement<'c>>,
    spelling: RefCell<Spelling>,
}

impl<'c> View<'c> {
    fn new(conn: &'c Connection, chain: i64) -> rusqlite::Result<Self> {
        let call = conn.prepare(&format!("SELECT {} FROM calls WHERE id = ?1", CALL_COLUMNS))?;
        Ok(Self { conn, chain, call: RefCell::new(call), spelling: RefCell::default() })
    }
}

impl ChainView for View<'_> {
    fn pieces(&self) -> Result<Vec<SignedPiece>, StoreError> {
        let sql = format!(
            "SELECT {PIECE_COLUMNS} FROM checkpoints p JOIN certificates c ON c.id = p.certificate \
             WHERE p.chain = ?1 ORDER BY p.first, p.last"
        );
        let mut statement = self.conn.prepare_cached(&sql)?;
        let pieces = statement.query_map([self.chain], piece_of)?.collect::<Result<_, _>>()?;
        Ok(pieces)
    }

    fn entries(
        &self,
        first: i64,
        last: i64,
        show: &mut dyn FnMut(HeldEntry<'_>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut entries = self.conn.prepare_cached(
            "SELECT sequence, form, body, call, received_at_ms FROM spans WHERE chain = ?1 AND sequence >= ?2 AND sequence <= ?3 ORDER BY sequence",
        )?;
        let mut rows = entries.query([self.chain, first, last])?;
        while let Some(row) = rows.next()? {
            show(HeldEntry {
                sequence: row.get(0)?,
                form: form_of_number(row.get(1)?),
                body: row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?,
                call: row.get::<_, Option<i64>>(3)?.map(CallKey::from_number),
                received_at: Timestamp::from_unix_ms(row.get(4)?),
            })?;
        }
        Ok(())
    }

    fn unsigned_after(&self, last: i64) -> Result<UnsignedEntries, StoreError> {
        let (count, first): (i64, Option<i64>) = self.conn.query_row(
            "SELECT COUNT(*), MIN(sequence) FROM spans WHERE chain = ?1 AND sequence > ?2",
            [self.chain, last],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        Ok(UnsignedEntries { count: u64::try_from(count).unwrap_or_default(), first })
    }

    fn call(&self, key: CallKey) -> Result<Option<Call>, StoreError> {
        let mut statement = self.call.borrow_mut();
        let mut rows = statement.query([key.number()])?;
        let Some(row) = rows.next()? else { return Ok(None) };
        Ok(Some(call_of(self.conn, row, &mut self.spelling.borrow_mut())?))
    }
}

fn miscounted_calls(conn: &Connection, count_max: usize) -> rusqlite::Result<Vec<String>> {
    let mut statement = conn.prepare(
        "SELECT k.call_id FROM calls k NOT INDEXED WHERE k.spans <> (SELECT COUNT(*) FROM spans s WHERE s.call = k.id) LIMIT ?1",
    )?;
    let mut rows = statement.query([i64::try_from(count_max).unwrap_or(i64::MAX)])?;
    let mut ids = Vec::new();
    while let Some(row) = rows.next()? {
        ids.push(HEXLOWER.encode(row.get_ref(0)?.as_blob()?));
    }
    Ok(ids)
}
