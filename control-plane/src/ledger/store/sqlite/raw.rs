//! The file as somebody finds it who goes past the program; for tests.

use std::path::Path;

use rusqlite::Connection;

/// The ledger in this folder.
pub(in crate::ledger) fn opened(folder: &Path) -> Connection {
    Connection::open(folder.join("ledger.db")).expect("the ledger's file")
}

/// Runs statements.
pub(in crate::ledger) fn execute(folder: &Path, sql: &str) {
    opened(folder).execute_batch(sql).expect("sound statements");
}

/// Sequence number, form and body of every entry of a chain.
pub(in crate::ledger) fn entries(folder: &Path) -> Vec<(i64, i64, Vec<u8>)> {
    let conn = opened(folder);
    let mut statement = conn.prepare("SELECT sequence, form, body FROM spans ORDER BY sequence").expect("a sound statement");
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).expect("rows");
    rows.collect::<Result<_, _>>().expect("rows of three columns")
}

/// Keys of all calls, in their order.
pub(in crate::ledger) fn keys(folder: &Path) -> Vec<i64> {
    let conn = opened(folder);
    let mut statement = conn.prepare("SELECT id FROM calls ORDER BY id").expect("a sound statement");
    let rows = statement.query_map([], |row| row.get(0)).expect("rows");
    rows.collect::<Result<_, _>>().expect("rows of one column")
}
