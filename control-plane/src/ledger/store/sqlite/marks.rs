//! Numbers of the whole ledger, such as how far it was forwarded.

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::store::StoreError;

/// Counts how often the file was tried.
const TRIED: &str = "tried";

/// The highest number that a span which is gone had.
const NEWEST_SPAN: &str = "span-newest";

/// Sets a mark.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn set_mark(conn: &Connection, name: &str, value: i64) -> rusqlite::Result<()> {
    conn.prepare_cached("INSERT INTO marks VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value")?
        .execute(params![name, value])?;
    Ok(())
}

/// Changes something that means nothing, to see whether it can be made durable.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn touch(conn: &Connection) -> Result<(), StoreError> {
    // A value that stays would not be written.
    Ok(set_mark(conn, TRIED, mark(conn, TRIED)?.wrapping_add(1))?)
}

/// A mark; 0 when it was never set.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn mark(conn: &Connection, name: &str) -> rusqlite::Result<i64> {
    let value = conn.prepare_cached("SELECT value FROM marks WHERE name = ?1")?.query_row([name], |row| row.get(0)).optional()?;
    Ok(value.unwrap_or_default())
}

/// The highest number that a span has or had. None is given twice: what was forwarded up to one stays true.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn newest_span(conn: &Connection) -> rusqlite::Result<i64> {
    let newest: Option<i64> = conn.query_row("SELECT MAX(id) FROM spans", [], |row| row.get(0))?;
    Ok(newest.unwrap_or(0).max(mark(conn, NEWEST_SPAN)?))
}

/// Keeps the number of a span that goes, if it is the highest of those that went.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn keep_span_number(conn: &Connection, id: i64) -> rusqlite::Result<()> {
    conn.prepare_cached("INSERT INTO marks VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = MAX(value, excluded.value)")?
        .execute(params![NEWEST_SPAN, id])?;
    Ok(())
}
