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

/// Made by a control plane that numbered its migrations with gaps.
const NUMBERED_WITH_GAPS: &str = include_str!("tests/numbered_with_gaps.sql");

#[tokio::test]
async fn a_database_whose_migrations_had_gaps_opens_and_keeps_what_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("chapar.db");
    let options = SqliteConnectOptions::new().filename(&file).create_if_missing(true).foreign_keys(false);
    let before = SqlitePool::connect_with(options).await.unwrap();
    sqlx::raw_sql(NUMBERED_WITH_GAPS).execute(&before).await.unwrap();
    before.close().await;
    for _ in 0..2 {
        let database = SqliteDatabase::open(&file).await.unwrap();
        let versions = database.sql("SELECT version FROM _sqlx_migrations ORDER BY version").await.unwrap().concat();
        assert_eq!(versions, (1..=versions.len()).map(|number| number.to_string()).collect::<Vec<_>>());
        let mut reader = database.reader().await.unwrap();
        assert_eq!(reader.policy_version().await.unwrap(), 1);
        assert_eq!(reader.generations().await.unwrap().len(), 2, "the root and the issuing CA that it was founded with");
        assert!(reader.revision().await.unwrap() > 0);
        drop(reader);
        database.close().await;
    }
}
