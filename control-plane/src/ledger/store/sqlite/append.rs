//! Puts reported spans into the tables, once each.

mod calls;
mod chains;
mod shares;
mod subjects;

use std::collections::{BTreeSet, HashMap};

use chapar_core::{
    record::{self, chain::ChainId},
    time::Timestamp,
};
use rusqlite::{Connection, Statement, params};

use self::{
    calls::{CallRow, CallStatements},
    chains::ChainRow,
    shares::Shares,
    subjects::Subjects,
};
use super::{dictionary::Dictionary, head::Arrivals, marks::newest_span};
use crate::ledger::{
    chain::Form,
    intake::{Export, Ingested},
    key::CallKey,
    pairing::{Known, Marks},
    store::{number_of_form, signed},
    validation::{Account, ChainPlace, Content, Rejection, ReportedSpan},
};

/// What a span takes in the file besides its body: its own row, its entries in indexes, and half the row of its call.
pub(super) const ROW_BYTES: i64 = 400;

/// Who sent an export, and when it came.
#[derive(Clone, Copy, Debug)]
pub(super) struct From {
    /// Words: the sidecar's SPIFFE ID, and its agency.
    reporter: i64,
    agency: i64,
    received_at: Timestamp,
    /// End of the certificate that it was sent with.
    not_after: Timestamp,
}

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
    /// Numbers of the words that mean something.
    known: Option<Known<i64>>,
    /// Highest key that a call ever got.
    newest_call: Option<CallKey>,
    /// What agencies take of the file.
    shares: Shares,
    /// Who asks whom under which key, and the keys that the export under way is judged by.
    subjects: Subjects,
    /// Hours in which something changed in this write.
    hours: BTreeSet<i64>,
    /// What came in within this write.
    arrivals: Arrivals,
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
            known: None,
            newest_call: None,
            shares: Shares::default(),
            subjects: Subjects::default(),
            hours: BTreeSet::new(),
            arrivals: Arrivals::none(),
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
        self.known = None;
        self.newest_call = None;
        self.shares = Shares::default();
        self.subjects = Subjects::default();
        self.hours.clear();
        self.arrivals = Arrivals::none();
    }

    /// Takes the spans of one export. A span that may not be taken is told, and the rest is.
    ///
    /// # Errors
    /// When the file cannot be written; the whole write must then be undone, and [`Self::reset`] be called.
    pub(super) fn append(&mut self, export: &Export) -> rusqlite::Result<Ingested> {
        let mut ingested = Ingested::default();
        let from = From {
            reporter: self.dictionary.number(self.conn, &export.reporter())?,
            agency: self.dictionary.number(self.conn, export.agency())?,
            received_at: export.received_at(),
            not_after: export.not_after(),
        };
        self.subjects.judge_by(self.conn, export.subject_keys())?;
        let mut room = std::mem::take(&mut self.room);
        let appended = export.each_span(&mut room, |validated| match validated {
            Ok(ReportedSpan { content: Content::Checkpoint(signed), .. }) => {
                self.append_checkpoint(&from, &signed, export.receipt(signed.signature), &mut ingested)
            }
            Ok(span) => self.append_span(&from, &span, &mut ingested),
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
        self.shares.settle(self.conn)?;
        self.arrivals.settle(self.conn, self.newest.unwrap_or_default())?;
        for hour in std::mem::take(&mut self.hours) {
            self.conn.prepare_cached("INSERT OR IGNORE INTO unsummed (hour) VALUES (?1)")?.execute([hour])?;
        }
        Ok(())
    }

    fn append_span(&mut self, from: &From, span: &ReportedSpan<'_>, ingested: &mut Ingested) -> rusqlite::Result<()> {
        let form = self.write_body(span);
        let place = match span.place {
            Some(place) => match self.chain_key(place.chain, from)? {
                Ok(chain) => Some((chain, signed(place.sequence))),
                Err(why) => {
                    ingested.rejected.push(why);
                    return Ok(());
                }
            },
            None => None,
        };
        if let Some(same) = self.is_known(from.reporter, span, place)? {
            match span.place {
                Some(ChainPlace { chain, sequence }) if !same => {
                    ingested.rejected.push(Rejection::Rewritten { chain, sequence });
                }
                _ => ingested.known += 1,
            }
            return Ok(());
        }
        let Ok(call) = self.append_content(from, span, ingested)? else { return Ok(()) };
        let id = self.next_number()?;
        let of_no_chain = place.is_none();
        self.insert.execute(params![
            id,
            from.reporter,
            call.map(|key| key.number()),
            place.map(|(chain, _)| chain),
            place.map(|(_, sequence)| sequence),
            of_no_chain.then_some(&span.trace_id[..]),
            of_no_chain.then_some(&span.span_id[..]),
            from.received_at.unix_ms(),
            number_of_form(form),
            self.body,
        ])?;
        self.newest = Some(id);
        self.arrivals.add(id, from.reporter, &self.body);
        if call.is_none() {
            self.shares.charge_other(from.agency, self.row_bytes());
        }
        if let (Some((_, sequence)), Some(place)) = (place, span.place) {
            self.raise_chain(place.chain, sequence);
        }
        ingested.stored += 1;
        Ok(())
    }

    /// What a span tells: the call that it accounts for. `Err`: it is not taken, and that is told.
    fn append_content(
        &mut self,
        from: &From,
        span: &ReportedSpan<'_>,
        ingested: &mut Ingested,
    ) -> rusqlite::Result<Result<Option<CallKey>, ()>> {
        match &span.content {
            Content::Call(account) => {
                let ended_us = span.started_at_us.saturating_add(span.duration_us);
                ingested.oldest_ended_us = Some(ingested.oldest_ended_us.map_or(ended_us, |oldest| oldest.min(ended_us)));
                let Some((key, marks)) = self.append_account(from, span, account)? else {
                    ingested.rejected.push(Rejection::NewWords);
                    return Ok(Err(()));
                };
                ingested.disagreeing += u64::from(marks.has(Marks::DISAGREES));
                ingested.times_doubted += u64::from(marks.has(Marks::TIME));
                ingested.subjects_doubted += u64::from(marks.has(Marks::SUBJECT));
                return Ok(Ok(Some(key)));
            }
            Content::Loss(loss) => ingested.lost.push((loss.cause, loss.records)),
            Content::Checkpoint(_) | Content::Other => {}
        }
        Ok(Ok(None))
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

    /// About what a span takes in the file with the body that was written last.
    fn row_bytes(&self) -> i64 {
        i64::try_from(self.body.len()).unwrap_or(i64::MAX).saturating_add(ROW_BYTES)
    }

    fn next_number(&self) -> rusqlite::Result<i64> {
        let newest = match self.newest {
            Some(newest) => newest,
            None => newest_span(self.conn)?,
        };
        Ok(newest + 1)
    }
}
