//! Which fields of a request name the data subject, as the approved passport says.

use chapar_core::{
    passport::{Inquiry, SubjectKind},
    subject::SubjectField,
};
use chapar_proto::v1;
use serde::{Deserialize, Serialize};

use super::{RegistryError, passports};
use crate::store::{Store, StoreError};

/// A field as it is stored.
#[derive(Serialize, Deserialize)]
struct Stored {
    kind: i32,
    path: Vec<u32>,
}

/// The inquiry's subject fields as stored text.
pub(super) fn written(inquiry: &Inquiry) -> String {
    let stored: Vec<Stored> = inquiry
        .subjects()
        .filter_map(|item| item.subject.map(|kind| Stored { kind: kind.number(), path: item.numbers.clone() }))
        .collect();
    // Numbers always have a JSON form.
    serde_json::to_string(&stored).unwrap_or_default()
}

/// Reads the stored text.
pub(super) fn read(text: Option<String>) -> Result<Vec<SubjectField>, StoreError> {
    let Some(text) = text else { return Ok(Vec::new()) };
    let broken = |why: String| StoreError::Broken { what: "subject fields of an inquiry".into(), why };
    let stored: Vec<Stored> = serde_json::from_str(&text).map_err(|error| broken(error.to_string()))?;
    let field = |stored: Stored| match SubjectKind::try_from(stored.kind) {
        Ok(kind) => Ok(SubjectField { path: stored.path, kind }),
        Err(unknown) => Err(broken(unknown.to_string())),
    };
    stored.into_iter().map(field).collect()
}

/// The field as sidecars get it.
pub(super) fn wire_of(field: &SubjectField) -> v1::SubjectField {
    v1::SubjectField { path: field.path.clone(), kind: field.kind.number() }
}

/// Reads passports again that were stored before subject fields were.
///
/// # Errors
/// When the store cannot be read or written, or holds a passport that is none.
pub async fn fill_in_subjects(store: &Store) -> Result<(), RegistryError> {
    let mut tx = store.write().await?;
    let unread: Vec<(String, String)> =
        sqlx::query_as("SELECT DISTINCT version, grpc_service FROM passport_inquiries WHERE subjects IS NULL")
            .fetch_all(tx.conn())
            .await
            .map_err(StoreError::from)?;
    if unread.is_empty() {
        return Ok(());
    }
    for (version, grpc_service) in unread {
        let service = passports::read_stored(tx.conn(), &version, &grpc_service).await?;
        for inquiry in &service.inquiries {
            sqlx::query("UPDATE passport_inquiries SET subjects = $1 WHERE version = $2 AND grpc_service = $3 AND method = $4")
                .bind(written(inquiry))
                .bind(&version)
                .bind(&grpc_service)
                .bind(&inquiry.method)
                .execute(tx.conn())
                .await
                .map_err(StoreError::from)?;
        }
    }
    tx.next_revision().await?;
    tx.commit().await?;
    Ok(())
}
