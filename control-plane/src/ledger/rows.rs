//! Puts reported spans into the ledger's rows, once each.

mod calls;

use std::collections::{BTreeSet, HashMap};

use chapar_core::record::{self, chain};
use rusqlite::{Connection, OptionalExtension as _, Statement, params};

pub(super) use self::calls::{HOUR_US, TIE_BITS, duration_class};
use self::calls::{Standing, Statements};
use super::{
    Ingested,
    judge::{Account, Place, Rejection, Reported, Signed, What, judged},
    wire::Spans,
    words::Words,
};
use crate::caller::SidecarCaller;

/// What a span's body is; see `schema.sql`.
pub(super) const FORM_OTLP: i64 = 0;
pub(super) const FORM_ENTRY: i64 = 1;
pub(super) const FORM_DIGEST: i64 = 2;

/// Writes rows, and remembers from one write to the next what would have to be looked up again. All of that is in the file too.
#[derive(Debug)]
pub(super) struct Rows<'c> {
    conn: &'c Connection,
    calls: Statements<'c>,
    insert: Statement<'c>,
    words: Words,
    chains: HashMap<chain::ChainId, Chain>,
    /// Calls that await an account, by their ID.
    remembered: HashMap<[u8; 16], Standing>,
    /// Number of the newest span.
    newest: Option<i64>,
    /// Hours in which something changed in this write.
    hours: BTreeSet<i64>,
    /// Room for the bytes of one record, and for its texts.
    body: Vec<u8>,
    room: String,
}

#[derive(Clone, Copy, Debug)]
struct Chain {
    key: i64,
    reporter: i64,
    high: i64,
    /// As in the file.
    saved: i64,
}

impl<'c> Rows<'c> {
    /// Writes to the file of this connection.
    ///
    /// # Errors
    /// When its tables are not the ledger's.
    pub(super) fn of(conn: &'c Connection) -> rusqlite::Result<Self> {
        let insert = conn.prepare(
            "INSERT INTO spans (id, reporter, call, chain, sequence, trace_id, span_id, received_at_ms, form, body) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        )?;
        Ok(Self {
            conn,
            calls: Statements::of(conn)?,
            insert,
            words: Words::default(),
            chains: HashMap::new(),
            remembered: HashMap::new(),
            newest: None,
            hours: BTreeSet::new(),
            body: Vec::new(),
            room: String::new(),
        })
    }

    /// Forgets everything: somebody else has written to the file, or a write was undone.
    pub(super) fn forget(&mut self) {
        self.words = Words::default();
        self.chains.clear();
        self.remembered.clear();
        self.newest = None;
        self.hours.clear();
    }

    /// Takes the spans of one export. A span that may not be taken is told, and the rest is.
    ///
    /// # Errors
    /// When the file cannot be written; the whole write must then be undone, and [`Self::forget`] be called.
    pub(super) fn take(&mut self, reporter: &SidecarCaller, spans: &Spans<'_>, now_ms: i64) -> rusqlite::Result<Ingested> {
        let mut ingested = Ingested::default();
        let name = self.words.number(self.conn, &reporter.id.to_string())?;
        let mut room = std::mem::take(&mut self.room);
        for arrived in spans.iter() {
            match judged(arrived, &reporter.agency, now_ms, &mut room) {
                Ok(span) => self.span(name, &span, now_ms, &mut ingested)?,
                Err(why) => ingested.rejected.push(why),
            }
        }
        self.room = room;
        Ok(ingested)
    }

    /// Writes down what was only remembered; the last thing of a write.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn settle(&mut self) -> rusqlite::Result<()> {
        for chain in self.chains.values_mut().filter(|chain| chain.high != chain.saved) {
            self.conn.prepare_cached("UPDATE chains SET high = ?2 WHERE id = ?1")?.execute([chain.key, chain.high])?;
            chain.saved = chain.high;
        }
        for hour in std::mem::take(&mut self.hours) {
            self.conn.prepare_cached("INSERT OR IGNORE INTO unsummed (hour) VALUES (?1)")?.execute([hour])?;
        }
        Ok(())
    }

    fn span(&mut self, reporter: i64, span: &Reported<'_>, now_ms: i64, ingested: &mut Ingested) -> rusqlite::Result<()> {
        if let What::Checkpoint(signed) = &span.what {
            return self.checkpoint(reporter, signed, ingested);
        }
        let form = self.written(span);
        let chain = match span.place {
            Some(place) => match self.chain(place.chain, reporter)? {
                Ok(chain) => Some((chain, signed(place.sequence))),
                Err(why) => {
                    ingested.rejected.push(why);
                    return Ok(());
                }
            },
            None => None,
        };
        match self.known(reporter, span, chain)? {
            None => {}
            Some(same) => {
                match span.place {
                    Some(Place { chain, sequence }) if !same => {
                        ingested.rejected.push(Rejection::Rewritten { chain, sequence });
                    }
                    _ => ingested.known += 1,
                }
                return Ok(());
            }
        }
        let call = match &span.what {
            What::Call(account) => {
                let ended_us = span.started_at_us.saturating_add(span.duration_us);
                ingested.oldest_ended_us = Some(ingested.oldest_ended_us.map_or(ended_us, |oldest| oldest.min(ended_us)));
                Some(self.call(span, account)?)
            }
            What::Loss(loss) => {
                ingested.lost.push((loss.cause, loss.records));
                None
            }
            What::Checkpoint(_) | What::Other => None,
        };
        let id = self.next()?;
        let of_none = chain.is_none();
        self.insert.execute(params![
            id,
            reporter,
            call,
            chain.map(|(chain, _)| chain),
            chain.map(|(_, sequence)| sequence),
            of_none.then_some(&span.trace_id[..]),
            of_none.then_some(&span.span_id[..]),
            now_ms,
            form,
            self.body,
        ])?;
        self.newest = Some(id);
        if let (Some((_, sequence)), Some(place)) = (chain, span.place)
            && let Some(chain) = self.chains.get_mut(&place.chain)
        {
            chain.high = chain.high.max(sequence);
        }
        ingested.stored += 1;
        Ok(())
    }

    /// Writes what is to be kept to `self.body`: the canonical bytes of an entry of a chain. What is in no chain, or says more than
    /// an entry can, is kept as it came.
    fn written(&mut self, span: &Reported<'_>) -> i64 {
        self.body.clear();
        match &span.what {
            What::Call(Account { record: Some(call), .. }) if span.place.is_some() => record::encode(call, &mut self.body),
            What::Loss(loss) if span.place.is_some() => record::encode_loss(loss, &mut self.body),
            _ => {
                span.arrived.put_whole(&mut self.body);
                return FORM_OTLP;
            }
        }
        FORM_ENTRY
    }

    /// Whether the span is there already, and then, whether it is the same.
    fn known(&self, reporter: i64, span: &Reported<'_>, chain: Option<(i64, i64)>) -> rusqlite::Result<Option<bool>> {
        let Some((key, sequence)) = chain else {
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
            Some((FORM_DIGEST, digest)) => Some(digest == chain::digest(&self.body).0),
            Some((_, body)) => Some(body == self.body),
            // What was forgotten was known once.
            None => self.forgotten(key, sequence)?.then_some(true),
        })
    }

    fn forgotten(&self, chain: i64, sequence: i64) -> rusqlite::Result<bool> {
        self.conn.prepare_cached("SELECT 1 FROM chains WHERE id = ?1 AND forgotten >= ?2")?.exists([chain, sequence])
    }

    fn chain(&mut self, id: chain::ChainId, reporter: i64) -> rusqlite::Result<Result<i64, Rejection>> {
        let chain = match self.chains.get(&id) {
            Some(chain) => *chain,
            None => {
                let held = self
                    .conn
                    .prepare_cached("SELECT id, reporter, high FROM chains WHERE chain = ?1")?
                    .query_row([&id.0[..]], |row| {
                        let high = row.get(2)?;
                        Ok(Chain { key: row.get(0)?, reporter: row.get(1)?, high, saved: high })
                    })
                    .optional()?;
                let chain = match held {
                    Some(chain) => chain,
                    None => {
                        let key = self
                            .conn
                            .prepare_cached(
                                "INSERT INTO chains (chain, reporter, high, forgotten) VALUES (?1, ?2, 0, 0) RETURNING id",
                            )?
                            .query_row(params![&id.0[..], reporter], |row| row.get(0))?;
                        Chain { key, reporter, high: 0, saved: 0 }
                    }
                };
                self.chains.insert(id, chain);
                chain
            }
        };
        // A chain speaks for one sidecar only, for good.
        Ok(if chain.reporter == reporter { Ok(chain.key) } else { Err(Rejection::ForeignChain(id)) })
    }

    fn next(&self) -> rusqlite::Result<i64> {
        if let Some(newest) = self.newest {
            return Ok(newest + 1);
        }
        // A number is never given twice, also when the newest spans were forgotten: what was forwarded up to one stays true.
        let newest = "SELECT MAX(COALESCE((SELECT MAX(id) FROM spans), 0), \
                      COALESCE((SELECT value FROM marks WHERE name = 'span-newest'), 0)) + 1";
        self.conn.query_row(newest, [], |row| row.get(0))
    }

    fn checkpoint(&mut self, reporter: i64, signed_by: &Signed<'_>, ingested: &mut Ingested) -> rusqlite::Result<()> {
        let checkpoint = &signed_by.checkpoint;
        let chain = match self.chain(checkpoint.chain, reporter)? {
            Ok(chain) => chain,
            Err(why) => {
                ingested.rejected.push(why);
                return Ok(());
            }
        };
        let der = signed_by.certificate;
        let held: Option<i64> = self
            .conn
            .prepare_cached("SELECT id FROM certificates WHERE der = ?1")?
            .query_row([der], |row| row.get(0))
            .optional()?;
        let certificate: i64 = match held {
            Some(id) => id,
            None => self
                .conn
                .prepare_cached("INSERT INTO certificates (der) VALUES (?1) RETURNING id")?
                .query_row([der], |row| row.get(0))?,
        };
        let new = self
            .conn
            .prepare_cached(
                "INSERT OR IGNORE INTO checkpoints (chain, first, last, before, after, at_ms, certificate, scheme, serial, signature) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
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
            ])?;
        ingested.checkpoints += new;
        Ok(())
    }
}

/// Counts come from signed numbers of OTLP, so that none is lost here.
pub(super) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
