//! Finds calls and traces again.

use chapar_core::record::CallId;
use rusqlite::{Connection, Row, params_from_iter, types::Value};

use super::{
    rows::{TIE_BITS, duration_class},
    stored::{StoredSpan, hex, span_of, spans_of_call, told},
    words::{Spelling, number_of},
};

/// Calls of one trace, and spans of no call, that are shown at most: one that long is no trace of a call, and an answer is bounded.
const TRACE_CALLS_MAX: i64 = 2_500;
const TRACE_SPANS_MAX: i64 = 5_000;

/// Which calls are wanted. What is unset does not narrow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Either party.
    pub agency: Option<String>,
    pub consumer: Option<String>,
    pub provider: Option<String>,
    pub inquiry: Option<String>,
    pub resolution: Option<String>,
    pub ending: Option<Wanted>,
    /// Whether both sidecars let it pass.
    pub permitted: Option<bool>,
    pub reason: Option<String>,
    pub call_id: Option<String>,
    pub trace_id: Option<String>,
    /// At least, and at most, so long.
    pub duration_us_min: Option<i64>,
    pub duration_us_max: Option<i64>,
    /// First reported to have started at or after; and before. Unix microseconds.
    pub from_us: Option<i64>,
    pub until_us: Option<i64>,
    /// Only calls of which a side's account is missing.
    pub missing: Option<Missing>,
}

/// How the wanted calls ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// "served", "refused", "failed" or "abandoned".
    Outcome(String),
    /// Name of a gRPC status.
    Status(String),
}

/// Whose account is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    Consumers,
    Providers,
    Either,
}

/// A call, of what both sides reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its row: the order of the list.
    pub id: i64,
    pub call_id: String,
    pub trace_id: String,
    pub consumer: String,
    pub provider: String,
    pub inquiry: String,
    pub kind: String,
    pub resolution: String,
    pub outcome: String,
    pub status: String,
    pub reason: String,
    pub started_at_us: i64,
    pub duration_us: i64,
    pub spans: i64,
    /// Whose account has still to come: 1 the consumer's, 2 the provider's, 0 nobody's.
    pub awaited: i64,
}

const COLUMNS: &str = "id, call_id, trace_id, consumer, provider, inquiry, kind, resolution, outcome, status, reason, started_at_us, \
                       duration_us, spans, awaited";

/// A condition on one column.
struct Equal {
    column: &'static str,
    /// The index that lists what it finds newest first.
    index: &'static str,
    value: Value,
}

impl Equal {
    /// SQL of the condition on the table that goes by this name, with one place for the value.
    fn on(&self, table: &str) -> String {
        let column = format!("{table}.{}", self.column);
        // An index that leaves out most calls is used where the statement says that it asks for none of them.
        match self.index {
            "calls_awaiting" => format!("{column} = ? AND {column} <> 0"),
            "calls_by_reason" => format!("{column} = ? AND {column} <> 1"),
            _ => format!("{column} = ?"),
        }
    }

    /// The same, to be looked up in its index for a call that was found by another one: its entries lie together, and the rows
    /// of calls that are not wanted are never read.
    fn checked(&self) -> String {
        let condition = self.on("other");
        format!("EXISTS (SELECT 1 FROM calls AS other INDEXED BY {} WHERE {condition} AND other.id = calls.id)", self.index)
    }
}

/// Calls, newest first, from `before` down.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn calls(conn: &Connection, query: &Query, before: Option<i64>, count: i64) -> rusqlite::Result<Vec<Call>> {
    let Some(plan) = Plan::of(conn, query)? else { return Ok(Vec::new()) };
    let mut values = Vec::new();
    let sql = plan.sql(query, before, count, &mut values);
    let mut spelling = Spelling::default();
    let mut statement = conn.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut calls = Vec::new();
    while let Some(row) = rows.next()? {
        calls.push(call_of(conn, row, &mut spelling)?);
    }
    Ok(calls)
}

/// How a list is read: down one index, or down several that are merged; everything else is checked row by row.
struct Plan {
    /// Each is a run of its own. Empty: all calls, in the order of their rows.
    runs: Vec<Equal>,
    /// SQL of a condition, with one place for a value.
    checked: Vec<(String, Value)>,
}

impl Plan {
    /// `None`: nothing can be found, since some word is in no row.
    fn of(conn: &Connection, query: &Query) -> rusqlite::Result<Option<Self>> {
        let mut plan = Self { runs: Vec::new(), checked: Vec::new() };
        for (column, index, id) in [("call_id", "calls_by_call", &query.call_id), ("trace_id", "calls_by_trace", &query.trace_id)]
        {
            if let Some(id) = id {
                let Ok(id) = CallId::parse(id.as_bytes()) else { return Ok(None) };
                plan.add(Equal { column, index, value: Value::Blob(id.as_bytes().to_vec()) });
            }
        }
        if let Some(missing) = query.missing {
            let awaited = |side| Equal { column: "awaited", index: "calls_awaiting", value: Value::Integer(side) };
            match missing {
                Missing::Consumers => plan.add(awaited(1)),
                Missing::Providers => plan.add(awaited(2)),
                // Few calls are unpaired, and this index holds no others.
                Missing::Either => plan.add_any(vec![awaited(1), awaited(2)], "+awaited <> ?", 0),
            }
        }
        let ending = query.ending.as_ref().map(|ending| match ending {
            Wanted::Outcome(outcome) => ("outcome", "calls_by_outcome", outcome),
            Wanted::Status(status) => ("status", "calls_by_status", status),
        });
        let words = [
            query.reason.as_ref().map(|word| ("reason", "calls_by_reason", word)),
            query.resolution.as_ref().map(|word| ("resolution", "calls_by_resolution", word)),
            query.inquiry.as_ref().map(|word| ("inquiry", "calls_by_inquiry", word)),
            query.provider.as_ref().map(|word| ("provider", "calls_by_provider", word)),
            query.consumer.as_ref().map(|word| ("consumer", "calls_by_consumer", word)),
        ];
        for (column, index, word) in words.into_iter().flatten() {
            let Some(number) = number_of(conn, word)? else { return Ok(None) };
            plan.add(Equal { column, index, value: Value::Integer(number) });
        }
        if let Some(agency) = &query.agency {
            let Some(number) = number_of(conn, agency)? else { return Ok(None) };
            let of = |column, index| Equal { column, index, value: Value::Integer(number) };
            let parties = vec![of("consumer", "calls_by_consumer"), of("provider", "calls_by_provider")];
            plan.add_any(parties, "? IN (consumer, provider)", number);
        }
        if let Some((column, index, word)) = ending {
            let Some(number) = number_of(conn, word)? else { return Ok(None) };
            plan.add(Equal { column, index, value: Value::Integer(number) });
        }
        if let Some(permitted) = query.permitted {
            plan.decided(conn, permitted)?;
        }
        if plan.runs.is_empty() && (query.duration_us_min.is_some() || query.duration_us_max.is_some()) {
            plan.lasted(conn, query)?;
        }
        Ok(Some(plan))
    }

    /// The first condition is run down; the others are checked.
    fn add(&mut self, condition: Equal) {
        if self.runs.is_empty() {
            self.runs.push(condition);
        } else {
            self.checked.push((condition.checked(), condition.value));
        }
    }

    /// One of several: run down if nothing else is, or checked as `otherwise`.
    fn add_any(&mut self, conditions: Vec<Equal>, otherwise: &str, value: i64) {
        if self.runs.is_empty() {
            self.runs = conditions;
        } else {
            self.checked.push((otherwise.to_owned(), Value::Integer(value)));
        }
    }

    fn decided(&mut self, conn: &Connection, permitted: bool) -> rusqlite::Result<()> {
        let outcomes: &[&str] = if permitted { &["served", "failed", "abandoned"] } else { &["refused"] };
        let mut runs = Vec::new();
        for outcome in outcomes {
            // A number that no word has finds nothing.
            let number = number_of(conn, outcome)?.unwrap_or(-1);
            runs.push(Equal { column: "outcome", index: "calls_by_outcome", value: Value::Integer(number) });
        }
        let refused = number_of(conn, "refused")?.unwrap_or(-1);
        self.add_any(runs, if permitted { "+outcome <> ?" } else { "+outcome = ?" }, refused);
        Ok(())
    }

    fn lasted(&mut self, conn: &Connection, query: &Query) -> rusqlite::Result<()> {
        let longest: Option<i64> = conn.query_row("SELECT MAX(duration_class) FROM calls", [], |row| row.get(0))?;
        let from = duration_class(query.duration_us_min.unwrap_or(0));
        let until = query.duration_us_max.map_or(i64::MAX, duration_class).min(longest.unwrap_or(0));
        let class = |class| Equal { column: "duration_class", index: "calls_by_duration", value: Value::Integer(class) };
        self.runs = (from..=until).map(class).collect();
        if self.runs.is_empty() {
            self.runs.push(class(-1));
        }
        Ok(())
    }

    fn sql(&self, query: &Query, before: Option<i64>, count: i64, values: &mut Vec<Value>) -> String {
        match self.runs.as_slice() {
            [] => self.run(None, COLUMNS, query, before, count, values),
            [only] => self.run(Some(only), COLUMNS, query, before, count, values),
            several => {
                let runs: Vec<String> = several
                    .iter()
                    .map(|run| format!("SELECT id FROM ({})", self.run(Some(run), "id", query, before, count, values)))
                    .collect();
                values.push(Value::Integer(count));
                format!(
                    "SELECT {COLUMNS} FROM calls WHERE id IN ({} ORDER BY id DESC LIMIT ?) ORDER BY id DESC",
                    runs.join(" UNION ")
                )
            }
        }
    }

    fn run(
        &self,
        run: Option<&Equal>,
        columns: &str,
        query: &Query,
        before: Option<i64>,
        count: i64,
        values: &mut Vec<Value>,
    ) -> String {
        let mut sql = match run {
            Some(run) => {
                values.push(run.value.clone());
                format!("SELECT {columns} FROM calls INDEXED BY {} WHERE {}", run.index, run.on("calls"))
            }
            None => format!("SELECT {columns} FROM calls NOT INDEXED WHERE 1 = 1"),
        };
        for (condition, value) in &self.checked {
            sql.push_str(" AND ");
            sql.push_str(condition);
            values.push(value.clone());
        }
        let row = |us: i64| us.clamp(0, i64::MAX >> TIE_BITS) << TIE_BITS;
        // One upper bound: of two, SQLite begins at the first and checks the other row by row, on every page anew.
        let until = [query.until_us.map(row), before].into_iter().flatten().min();
        for (text, value) in [
            (" AND duration_us >= ?", query.duration_us_min),
            (" AND duration_us <= ?", query.duration_us_max),
            (" AND id >= ?", query.from_us.map(row)),
            (" AND id < ?", until),
        ] {
            if let Some(value) = value {
                sql.push_str(text);
                values.push(Value::Integer(value));
            }
        }
        sql.push_str(" ORDER BY id DESC LIMIT ?");
        values.push(Value::Integer(count));
        sql
    }
}

fn call_of(conn: &Connection, row: &Row<'_>, spelling: &mut Spelling) -> rusqlite::Result<Call> {
    let mut word = |column: usize| spelling.word(conn, row.get(column)?);
    Ok(Call {
        id: row.get(0)?,
        call_id: hex(row.get_ref(1)?.as_blob()?),
        trace_id: hex(row.get_ref(2)?.as_blob()?),
        consumer: word(3)?,
        provider: word(4)?,
        inquiry: word(5)?,
        kind: word(6)?,
        resolution: word(7)?,
        outcome: word(8)?,
        status: word(9)?,
        reason: word(10)?,
        started_at_us: row.get(11)?,
        duration_us: row.get(12)?,
        spans: row.get(13)?,
        awaited: row.get(14)?,
    })
}

/// The calls with these row numbers, as far as they are still there.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn calls_at(conn: &Connection, ids: &[i64]) -> rusqlite::Result<Vec<Call>> {
    let sql = format!("SELECT {COLUMNS} FROM calls WHERE id = ?1");
    let mut statement = conn.prepare_cached(&sql)?;
    let mut spelling = Spelling::default();
    let mut calls = Vec::with_capacity(ids.len());
    for id in ids {
        let mut rows = statement.query([id])?;
        if let Some(row) = rows.next()? {
            calls.push(call_of(conn, row, &mut spelling)?);
        }
    }
    Ok(calls)
}

/// The spans of a trace, by its ID or by that of a call in it, oldest first.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn trace(conn: &Connection, id: &str) -> rusqlite::Result<Vec<StoredSpan>> {
    let Ok(id) = CallId::parse(id.as_bytes()) else { return Ok(Vec::new()) };
    let of_trace = spans_of_trace(conn, id.as_bytes())?;
    if !of_trace.is_empty() {
        return Ok(of_trace);
    }
    let mut found = conn.prepare_cached("SELECT trace_id FROM calls WHERE call_id = ?1 ORDER BY sides DESC, id LIMIT 1")?;
    let mut rows = found.query([&id.as_bytes()[..]])?;
    match rows.next()? {
        Some(row) => spans_of_trace(conn, &row.get::<_, [u8; 16]>(0)?),
        None => Ok(Vec::new()),
    }
}

/// Of two that began in the same instant the longer one first: as a rule it is the other's parent.
fn spans_of_trace(conn: &Connection, trace_id: &[u8; 16]) -> rusqlite::Result<Vec<StoredSpan>> {
    let mut spelling = Spelling::default();
    let mut spans = Vec::new();
    let mut calls = conn.prepare_cached("SELECT id FROM calls WHERE trace_id = ?1 ORDER BY id LIMIT ?2")?;
    let mut rows = calls.query((&trace_id[..], TRACE_CALLS_MAX))?;
    while let Some(row) = rows.next()? {
        for (_, reporter, span) in spans_of_call(conn, row.get(0)?)? {
            spans.push(told(span, spelling.word(conn, reporter)?));
        }
    }
    let sql = format!(
        "SELECT {} FROM spans s LEFT JOIN chains c ON c.id = s.chain \
         WHERE s.trace_id = ?1 AND s.chain IS NULL AND s.call IS NULL LIMIT ?2",
        super::stored::COLUMNS
    );
    let mut others = conn.prepare_cached(&sql)?;
    let mut rows = others.query((&trace_id[..], TRACE_SPANS_MAX))?;
    while let Some(row) = rows.next()? {
        if let Some(span) = span_of(row)? {
            spans.push(told(span, spelling.word(conn, row.get(1)?)?));
        }
    }
    spans.sort_by(|a, b| {
        let order = |span: &StoredSpan| (span.started_at_us, -span.duration_us);
        order(a).cmp(&order(b)).then_with(|| (&a.span_id, &a.reporter).cmp(&(&b.span_id, &b.reporter)))
    });
    Ok(spans)
}

/// How SQLite goes about a list, for tests.
#[cfg(test)]
pub(super) fn plan(conn: &Connection, query: &Query) -> rusqlite::Result<Vec<String>> {
    let mut values = Vec::new();
    let Some(plan) = Plan::of(conn, query)? else { return Ok(Vec::new()) };
    let sql = format!("EXPLAIN QUERY PLAN {}", plan.sql(query, Some(i64::MAX), 10, &mut values));
    let mut statement = conn.prepare(&sql)?;
    statement.query_map(params_from_iter(values), |row| row.get(3))?.collect()
}

/// The rows of a page, and how many steps SQLite's machine takes for it: what the page costs, whatever a clock says. For tests.
#[cfg(test)]
pub(super) fn steps(conn: &Connection, query: &Query, before: Option<i64>, count: i64) -> rusqlite::Result<(Vec<i64>, i32)> {
    let mut values = Vec::new();
    let Some(plan) = Plan::of(conn, query)? else { return Ok((Vec::new(), 0)) };
    let mut statement = conn.prepare(&plan.sql(query, before, count, &mut values))?;
    let ids = statement.query_map(params_from_iter(values), |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok((ids, statement.get_status(rusqlite::StatementStatus::VmStep)))
}
