//! A condition on one column of the calls.

use rusqlite::types::Value;

/// That a column has this value.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    pub(super) column: Column,
    pub(super) value: Value,
}

/// A column that calls are looked for by. Each has an index, which lists what has one value in the order of the calls' keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    CallId,
    TraceId,
    Consumer,
    Provider,
    Inquiry,
    Resolution,
    Outcome,
    Status,
    Reason,
    Awaited,
    Marks,
    DurationClass,
}

impl Column {
    /// Its name in the table.
    const fn name(self) -> &'static str {
        match self {
            Self::CallId => "call_id",
            Self::TraceId => "trace_id",
            Self::Consumer => "consumer",
            Self::Provider => "provider",
            Self::Inquiry => "inquiry",
            Self::Resolution => "resolution",
            Self::Outcome => "outcome",
            Self::Status => "status",
            Self::Reason => "reason",
            Self::Awaited => "awaited",
            Self::Marks => "marks",
            Self::DurationClass => "duration_class",
        }
    }

    /// Its index.
    pub(super) const fn index(self) -> &'static str {
        match self {
            Self::CallId => "calls_by_call",
            Self::TraceId => "calls_by_trace",
            Self::Consumer => "calls_by_consumer",
            Self::Provider => "calls_by_provider",
            Self::Inquiry => "calls_by_inquiry",
            Self::Resolution => "calls_by_resolution",
            Self::Outcome => "calls_by_outcome",
            Self::Status => "calls_by_status",
            Self::Reason => "calls_by_reason",
            Self::Awaited => "calls_awaiting",
            Self::Marks => "calls_marked",
            Self::DurationClass => "calls_by_duration",
        }
    }
}

impl Condition {
    pub(super) fn number(column: Column, number: i64) -> Self {
        Self { column, value: Value::Integer(number) }
    }

    /// The condition in SQL, on the table that goes by this name, with one place for the value.
    pub(super) fn sql_on(&self, table: &str) -> String {
        let column = format!("{table}.{}", self.column.name());
        // These indexes leave out most calls. SQLite uses such an index only where the statement itself leaves them out, too.
        match self.column {
            Column::Awaited | Column::Marks => format!("{column} = ? AND {column} <> 0"),
            Column::Reason => format!("{column} = ? AND {column} <> 1"),
            _ => format!("{column} = ?"),
        }
    }

    /// The same for a call that another index has found: looked up in this column's own index, where the entries of one value lie
    /// together, so that the rows of calls that are not wanted are never read.
    pub(super) fn sql_of_found(&self) -> String {
        let condition = self.sql_on("other");
        format!(
            "EXISTS (SELECT 1 FROM calls AS other INDEXED BY {} WHERE {condition} AND other.id = calls.id)",
            self.column.index()
        )
    }
}
