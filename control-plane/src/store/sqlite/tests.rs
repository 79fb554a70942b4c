//! What only this database can be asked.

#![allow(clippy::unwrap_used)]

use sqlx::{Column as _, Row as _, TypeInfo as _, ValueRef as _, sqlite::SqliteRow};

use super::*;

/// A row of any statement, each column as text.
pub(super) fn texts(row: &SqliteRow) -> Vec<String> {
    let text = |index: usize| {
        let value = row.try_get_raw(index).unwrap();
        if value.is_null() {
            return String::new();
        }
        match value.type_info().name() {
            "INTEGER" => row.try_get_unchecked::<i64, _>(index).unwrap().to_string(),
            "BLOB" => row.try_get_unchecked::<Vec<u8>, _>(index).unwrap().iter().map(|byte| format!("{byte:02x}")).collect(),
            _ => row.try_get_unchecked(index).unwrap(),
        }
    };
    row.columns().iter().map(|column| text(column.ordinal())).collect()
}

#[tokio::test]
async fn readers_cannot_write() {
    let folder = tempfile::tempdir().unwrap();
    let database = SqliteDatabase::open(&folder.path().join("chapar.db")).await.unwrap();
    assert!(sqlx::query("UPDATE meta SET value = 7").execute(&database.readers).await.is_err());
}
