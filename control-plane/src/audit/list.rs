//! Reading the audit, newest first.

use sqlx::{Row as _, sqlite::SqliteRow};

use crate::{
    page::Page,
    problem::Problem,
    store::{Store, StoreError},
};

/// Which entries are wanted; empty and `None` leave none out.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub actor: String,
    /// What the action begins with, such as "policy.".
    pub action_prefix: String,
    pub object: String,
    /// Unix milliseconds; from then on.
    pub from_ms: Option<i64>,
    /// Unix milliseconds; before then.
    pub until_ms: Option<i64>,
}

/// One line of the audit, as it was written.
#[derive(Clone, Debug)]
pub struct Written {
    pub id: u64,
    pub at_ms: i64,
    pub actor: String,
    pub action: String,
    pub object: String,
    pub succeeded: bool,
    pub reason: String,
    /// A JSON object.
    pub details: String,
}

/// Entries, newest first.
///
/// # Errors
/// `PAGE_TOKEN_MALFORMED`, or when the store cannot be read.
pub async fn list(store: &Store, filter: &Filter, page: &Page) -> Result<(Vec<Written>, String), Problem> {
    let rows = sqlx::query(
        "SELECT * FROM audit WHERE id < $1 AND ($2 = '' OR actor = $2) \
         AND ($3 = '' OR substr(action, 1, length($3)) = $3) AND ($4 = '' OR object = $4) \
         AND at_ms >= $5 AND at_ms < $6 ORDER BY id DESC LIMIT $7",
    )
    .bind(page.after_number()?.unwrap_or(i64::MAX))
    .bind(&filter.actor)
    .bind(&filter.action_prefix)
    .bind(&filter.object)
    .bind(filter.from_ms.unwrap_or(i64::MIN))
    .bind(filter.until_ms.unwrap_or(i64::MAX))
    .bind(page.limit())
    .fetch_all(store.read())
    .await?;
    let mut entries = rows.iter().map(written).collect::<Result<Vec<_>, sqlx::Error>>()?;
    let next = page.cut(&mut entries, |entry| entry.id.to_string());
    Ok((entries, next))
}

/// The greatest number that the details of one of these two actions hold under this key. `None`: neither was ever done.
///
/// # Errors
/// When the store cannot be read.
pub async fn greatest_detail(store: &Store, actions: [&str; 2], key: &str) -> Result<Option<i64>, StoreError> {
    let greatest =
        sqlx::query_scalar("SELECT MAX(CAST(json_extract(details, '$.' || $3) AS BIGINT)) FROM audit WHERE action IN ($1, $2)");
    Ok(greatest.bind(actions[0]).bind(actions[1]).bind(key).fetch_one(store.read()).await?)
}

fn written(row: &SqliteRow) -> Result<Written, sqlx::Error> {
    Ok(Written {
        id: u64::try_from(row.try_get::<i64, _>("id")?).unwrap_or_default(),
        at_ms: row.try_get("at_ms")?,
        actor: row.try_get("actor")?,
        action: row.try_get("action")?,
        object: row.try_get("object")?,
        succeeded: row.try_get::<i64, _>("succeeded")? != 0,
        reason: row.try_get("reason")?,
        details: row.try_get("details")?,
    })
}
