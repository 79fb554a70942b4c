//! Puts reported spans into the tables, once each.

mod calls;
mod chains;

use std::collections::{BTreeSet, HashMap};

use chapar_core::{
    record::{self, chain::ChainId},
    time::Timestamp,
};
use rusqlite::{Connection, Statement, params};

use self::{
    calls::{CallRow, CallStatements},
    chains::ChainRow,
};
use super::{dictionary::Dictionary, marks::newest_span};
use crate::ledger::{
    chain::Form,
    intake::{Export, Ingested},
    store::{number_of_form, signed},
    validation::{Account, ChainPlace, Content, Rejection, ReportedSpan},
};

/// Writes rows, and remembers from one write to the next what would have to be looked up again. All of that is in the file too.
#[derive(Debug)]
pub(super) struct Appender<'c> {
    conn: &'c Connection,
    calls: CallStatements<'c>,
    insert: Statement<'c>,
    dictionary: Dictionary,
    chains: HashMap<ChainId, ChainRow>,
    /// Calls that await an account, by their ID.
    awaiting: HashMap<[u8; 16], CallRow>,
    /// Number of the newest span.
    newest: Option<i64>,
    /// Hours in which something changed in this write.
    hours: BTreeSet<i64>,
    /// Room for the bytes of one record, and for its texts.
    body: Vec<u8>,
    room: String,
}

impl<'c> Appender<'c> {
    /// Writes to the file of this connection.
    ///
    /// # Errors
    /// When its tables are not the ledger's.
    pub(super) fn new(conn: &'c Connection) -> rusqlite::Result<Self> {
        let insert = conn.prepare(
            "INSERT INTO spans (id, reporter, call, chain, sequence, trace_id, span_id, received_at_ms, form, body) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?;
        Ok(Self {
            conn,
            calls: CallStatements::new(conn)?,
            insert,
            dictionary: Dictionary::default(),
            chains: HashMap::new(),
            awaiting: HashMap::new(),
            newest: None,
            hours: BTreeSet::new(),
            body: Vec::new(),
            room: String::new(),
        })
    }

    /// Drops all that is remembered: somebody else has written to the file, or a write was undone.
    pub(super) fn reset(&mut self) {
        self.dictionary = Dictionary::default();
        self.chains.clear();
        self.awaiting.clear();
        self.newest = None;
        self.hours.clear();
    }

    /// Takes the spans of one export. A span that may not be taken is told, and the rest is.
    ///
    /// # Errors
    /// When the file cannot be written; the whole write must then be undone, and [`Self::reset`] be called.
    pub(super) fn append(&mut self, export: &Export) -> rusqlite::Result<Ingested> {
        let mut ingested = Ingested::default();
        let reporter = self.dictionary.number(self.conn, &export.reporter())?;
        let mut room = std::mem::take(&mut self.room);
        let appended = export.each_span(&mut room, |validated| match validated {
            Ok(span) => self.append_span(reporter, &span, export.received_at(), &mut ingested),
            Err(why) => {
                ingested.rejected.push(why);
                Ok(())
            }
        });
        self.room = room;
        appended.map(|()| ingested)
    }

    /// Writes down what was only remembered; the last thing of a write.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn settle(&mut self) -> rusqlite::Result<()> {
        self.settle_chains()?;
        for hour in std::mem::take(&mut self.hours) {
            self.conn.prepare_cached("INSERT OR IGNORE INTO unsummed (hour) VALUES (?1)")?.execute([hour])?;
        }
        Ok(())
    }

    fn append_span(
        &mut self,
        reporter: i64,
        span: &ReportedSpan<'_>,
        received_at: Timestamp,
        ingested: &mut Ingested,
    ) -> rusqlite::Result<()> {
        if let Content::Checkpoint(signed) = &span.content {
            return self.append_checkpoint(reporter, signed, ingested);
        }
        let form = self.write_body(span);
        let place = match span.place {
            Some(place) => match self.chain_key(place.chain, reporter)? {
                Ok(chain) => Some((chain, signed(place.sequence))),
                Err(why) => {
                    ingested.rejected.push(why);
                    return Ok(());
                }
            },
            None => None,
        };
        if let Some(same) = self.is_known(reporter, span, place)? {
            match span.place {
                Some(ChainPlace { chain, sequence }) if !same => {
                    ingested.rejected.push(Rejection::Rewritten { chain, sequence });
                }
                _ => ingested.known += 1,
            }
            return Ok(());
        }
        let call = match &span.content {
            Content::Call(account) => {
                let ended_us = span.started_at_us.saturating_add(span.duration_us);
                ingested.oldest_ended_us = Some(ingested.oldest_ended_us.map_or(ended_us, |oldest| oldest.min(ended_us)));
                Some(self.append_account(span, account)?)
            }
            Content::Loss(loss) => {
                ingested.lost.push((loss.cause, loss.records));
                None
            }
            Content::Checkpoint(_) | Content::Other => None,
        };
        let id = self.next_number()?;
        let of_no_chain = place.is_none();
        self.insert.execute(params![
            id,
            reporter,
            call.map(|key| key.number()),
            place.map(|(chain, _)| chain),
            place.map(|(_, sequence)| sequence),
            of_no_chain.then_some(&span.trace_id[..]),
            of_no_chain.then_some(&span.span_id[..]),
            received_at.unix_ms(),
            number_of_form(form),
            self.body,
        ])?;
        self.newest = Some(id);
        if let (Some((_, sequence)), Some(place)) = (place, span.place) {
            self.raise_chain(place.chain, sequence);
        }
        ingested.stored += 1;
        Ok(())
    }

    /// Writes what is to be kept to `self.body`: the canonical bytes of an entry of a chain. What is in no chain, or says more than
    /// an entry can, is kept as it came.
    fn write_body(&mut self, span: &ReportedSpan<'_>) -> Form {
        self.body.clear();
        match &span.content {
            Content::Call(Account { record: Some(call), .. }) if span.place.is_some() => record::encode(call, &mut self.body),
            Content::Loss(loss) if span.place.is_some() => record::encode_loss(loss, &mut self.body),
            _ => {
                span.arrived.put_whole(&mut self.body);
                return Form::Otlp;
            }
        }
        Form::Entry
    }

    fn next_number(&self) -> rusqlite::Result<i64> {
        let newest = match self.newest {
            Some(newest) => newest,
            None => newest_span(self.conn)?,
        };
        Ok(newest + 1)
    }
}
