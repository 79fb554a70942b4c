//! How a list of calls is read.

use chapar_core::record::CallId;
use rusqlite::{Connection, types::Value};

use super::{
    super::{dictionary::number_of, rows::CALL_COLUMNS},
    condition::{Column, Condition},
};
use crate::ledger::{
    call::{CallQuery, Ending, Missing},
    key::CallKey,
    pairing::Marks,
    store::duration_class,
};

/// How a list is read: along one index from the newest call down, or along several whose calls are merged; every other condition is
/// checked of each call that is met on the way. So a page costs what it takes to find its calls, wherever in the list it is.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// The indexes to read along. None: all calls are read, in the order of their keys.
    along: Vec<Condition>,
    /// SQL of what is checked, each with one place for its value.
    checks: Vec<(String, Value)>,
}

impl Plan {
    /// Chooses. What is added first is read along: the conditions that fewest calls meet come first. `None`: nothing can be found,
    /// since the ledger has never heard some word.
    pub(super) fn new(conn: &Connection, query: &CallQuery) -> rusqlite::Result<Option<Self>> {
        let mut plan = Self::default();
        for (column, id) in [(Column::CallId, &query.call_id), (Column::TraceId, &query.trace_id)] {
            if let Some(id) = id {
                let Ok(id) = CallId::parse(id.as_bytes()) else { return Ok(None) };
                plan.add(Condition { column, value: Value::Blob(id.as_bytes().to_vec()) });
            }
        }
        if let Some(missing) = query.missing {
            plan.add_missing(missing);
        }
        if let Some(marks) = query.marked {
            let with = (1..=Marks::ALL).filter(|bits| Marks::from_bits(*bits).has(marks));
            let conditions = with.map(|bits| Condition::number(Column::Marks, bits)).collect();
            plan.add_any_of(conditions, "(marks & ?) <> 0", marks.bits());
        }
        let (outcome, status) = match &query.ending {
            Some(Ending::Outcome(outcome)) => (Some(outcome), None),
            Some(Ending::Status(status)) => (None, Some(status)),
            None => (None, None),
        };
        let words = [
            (Column::Reason, query.reason.as_ref()),
            (Column::Resolution, query.resolution.as_ref()),
            (Column::Inquiry, query.inquiry.as_ref()),
            (Column::Provider, query.provider.as_ref()),
            (Column::Consumer, query.consumer.as_ref()),
        ];
        for (column, word) in words {
            if let Some(word) = word {
                let Some(number) = number_of(conn, word)? else { return Ok(None) };
                plan.add(Condition::number(column, number));
            }
        }
        if let Some(agency) = &query.agency {
            let Some(number) = number_of(conn, agency)? else { return Ok(None) };
            let parties = [Column::Consumer, Column::Provider].map(|column| Condition::number(column, number));
            plan.add_any_of(parties.into(), "? IN (consumer, provider)", number);
        }
        for (column, word) in [(Column::Outcome, outcome), (Column::Status, status)] {
            if let Some(word) = word {
                let Some(number) = number_of(conn, word)? else { return Ok(None) };
                plan.add(Condition::number(column, number));
            }
        }
        if let Some(permitted) = query.permitted {
            plan.add_decision(conn, permitted)?;
        }
        if plan.along.is_empty() && (query.duration_us_min.is_some() || query.duration_us_max.is_some()) {
            plan.read_along_durations(conn, query)?;
        }
        Ok(Some(plan))
    }

    fn add(&mut self, condition: Condition) {
        if self.along.is_empty() {
            self.along.push(condition);
        } else {
            self.checks.push((condition.sql_of_found(), condition.value));
        }
    }

    /// One of several. `check`: the same as one condition on a call, with a place for `value`.
    fn add_any_of(&mut self, conditions: Vec<Condition>, check: &str, value: i64) {
        if self.along.is_empty() {
            self.along = conditions;
        } else {
            self.checks.push((check.to_owned(), Value::Integer(value)));
        }
    }

    /// Few calls are unpaired, and their index holds no others.
    fn add_missing(&mut self, missing: Missing) {
        let awaited = |side| Condition::number(Column::Awaited, side);
        match missing {
            Missing::Consumers => self.add(awaited(1)),
            Missing::Providers => self.add(awaited(2)),
            Missing::Either => self.add_any_of(vec![awaited(1), awaited(2)], "+awaited <> ?", 0),
        }
    }

    fn add_decision(&mut self, conn: &Connection, permitted: bool) -> rusqlite::Result<()> {
        let outcomes: &[&str] = if permitted { &["served", "failed", "abandoned"] } else { &["refused"] };
        let mut conditions = Vec::new();
        for outcome in outcomes {
            // A number that no word has finds nothing.
            let number = number_of(conn, outcome)?.unwrap_or(-1);
            conditions.push(Condition::number(Column::Outcome, number));
        }
        let refused = number_of(conn, "refused")?.unwrap_or(-1);
        self.add_any_of(conditions, if permitted { "+outcome <> ?" } else { "+outcome = ?" }, refused);
        Ok(())
    }

    /// Reads along every class of durations that may hold wanted calls.
    fn read_along_durations(&mut self, conn: &Connection, query: &CallQuery) -> rusqlite::Result<()> {
        let longest: Option<i64> = conn.query_row("SELECT MAX(duration_class) FROM calls", [], |row| row.get(0))?;
        let from = duration_class(query.duration_us_min.unwrap_or(0));
        let until = query.duration_us_max.map_or(i64::MAX, duration_class).min(longest.unwrap_or(0));
        self.along = (from..=until).map(|class| Condition::number(Column::DurationClass, class)).collect();
        if self.along.is_empty() {
            // No call has this class: nothing is found.
            self.along.push(Condition::number(Column::DurationClass, -1));
        }
        Ok(())
    }

    /// SQL of one page, and the values for its places.
    pub(super) fn statement(&self, query: &CallQuery, before: Option<CallKey>, count: usize) -> (String, Vec<Value>) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let page = Page { query, before, count };
        let mut values = Vec::new();
        let sql = match self.along.as_slice() {
            [] => self.one_run(None, CALL_COLUMNS, &page, &mut values),
            [only] => self.one_run(Some(only), CALL_COLUMNS, &page, &mut values),
            several => {
                let runs: Vec<String> = several
                    .iter()
                    .map(|condition| format!("SELECT id FROM ({})", self.one_run(Some(condition), "id", &page, &mut values)))
                    .collect();
                values.push(Value::Integer(count));
                let found = format!("{} ORDER BY id DESC LIMIT ?", runs.join(" UNION "));
                format!("SELECT {CALL_COLUMNS} FROM calls WHERE id IN ({found}) ORDER BY id DESC")
            }
        };
        (sql, values)
    }

    /// Reads along one index.
    fn one_run(&self, along: Option<&Condition>, columns: &str, page: &Page<'_>, values: &mut Vec<Value>) -> String {
        let mut sql = match along {
            Some(condition) => {
                values.push(condition.value.clone());
                let index = condition.column.index();
                format!("SELECT {columns} FROM calls INDEXED BY {index} WHERE {}", condition.sql_on("calls"))
            }
            None => format!("SELECT {columns} FROM calls NOT INDEXED WHERE 1 = 1"),
        };
        for (condition, value) in &self.checks {
            sql.push_str(" AND ");
            sql.push_str(condition);
            values.push(value.clone());
        }
        for (text, value) in page.bounds() {
            if let Some(value) = value {
                sql.push_str(text);
                values.push(Value::Integer(value));
            }
        }
        sql.push_str(" ORDER BY id DESC LIMIT ?");
        values.push(Value::Integer(page.count));
        sql
    }
}

/// The part of a list that is asked for.
struct Page<'q> {
    query: &'q CallQuery,
    before: Option<CallKey>,
    count: i64,
}

impl Page<'_> {
    /// Conditions in SQL, as far as there is a value for their one place.
    fn bounds(&self) -> [(&'static str, Option<i64>); 4] {
        let key = |us: Option<i64>| us.map(CallKey::first_at_us);
        // One upper bound: of two, SQLite begins at the first and checks the other row by row, on every page anew.
        let until = [key(self.query.until_us), self.before].into_iter().flatten().min();
        [
            (" AND duration_us >= ?", self.query.duration_us_min),
            (" AND duration_us <= ?", self.query.duration_us_max),
            (" AND id >= ?", key(self.query.from_us).map(CallKey::number)),
            (" AND id < ?", until.map(CallKey::number)),
        ]
    }
}
