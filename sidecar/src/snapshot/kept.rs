//! The snapshot on disk: a full update with its signature, verified again whenever it is read.

use chapar_core::{policy::CertificateRevocation, time::Timestamp};
use chapar_proto::{convert::snapshot::Contents, v1};
use prost::Message as _;

use super::verify::{VerifiedSet, verified};
use crate::{
    state::{StateError, StateFolder},
    trust::Trust,
};

/// Holds a `chapar.v1.Update` with `full` set.
const FILE: &str = "snapshot.binpb";
/// Holds the serial number of a certificate that the control plane refused as revoked.
const REFUSED_FILE: &str = "refused-serial";

/// What an earlier run kept, if it still verifies. One that does not is set aside under another name for whoever looks into
/// it, since it can only come from damage or from tampering.
///
/// # Errors
/// When the state folder cannot be used.
pub(super) fn load(state: &StateFolder, trust: &Trust, now: Timestamp) -> Result<Option<(VerifiedSet, Contents)>, StateError> {
    let Some(bytes) = state.read(FILE)? else { return Ok(None) };
    let judged = v1::Update::decode(bytes.as_slice())
        .map_err(|error| error.to_string())
        .and_then(|update| verified(update, None, trust, now).map_err(|problem| problem.to_string()));
    match judged {
        Ok(good) => Ok(Some(good)),
        Err(error) => {
            state.write(&format!("{FILE}.refused"), &bytes)?;
            tracing::error!(%error, file = %state.file(FILE).display(), "the kept snapshot is refused; waiting for the control plane");
            Ok(None)
        }
    }
}

/// What the kept snapshot says of the revocation of the sidecar's own certificate, if it does.
///
/// # Errors
/// When the state folder cannot be used.
pub fn revocation_of_own(
    state: &StateFolder,
    trust: &Trust,
    now: Timestamp,
) -> Result<Option<CertificateRevocation>, StateError> {
    let Some((_, contents)) = load(state, trust, now)? else { return Ok(None) };
    Ok(contents.snapshot().revocation(&trust.own().serial).cloned())
}

/// Keeps for the next start that the control plane refused this certificate as revoked: it may have turned the sidecar away
/// before an update could say so.
///
/// # Errors
/// When the state folder cannot be written.
pub(super) fn keep_refused(state: &StateFolder, serial: &str) -> Result<(), StateError> {
    state.write(REFUSED_FILE, serial.as_bytes())
}

/// Whether the control plane refused the certificate with this serial number as revoked.
///
/// # Errors
/// When the state folder cannot be used.
pub fn was_refused(state: &StateFolder, serial: &str) -> Result<bool, StateError> {
    Ok(state.read(REFUSED_FILE)?.is_some_and(|refused| refused == serial.as_bytes()))
}

/// Keeps `held` for the next start.
///
/// # Errors
/// When the state folder cannot be written.
pub(super) fn keep(state: &StateFolder, held: &VerifiedSet) -> Result<(), StateError> {
    let changed = held.set.iter().map(|(key, body)| {
        // The number came from this very field of the wire.
        let kind = i32::try_from(key.kind).unwrap_or_default();
        let key = v1::ResourceKey { kind, name: key.name.to_string() };
        v1::Resource { key: Some(key), body: body.bytes().to_vec() }
    });
    let update = v1::Update {
        full: true,
        changed: changed.collect(),
        removed: Vec::new(),
        signed_manifest: Some(held.signed.clone()),
        heads: None,
    };
    state.write(FILE, &update.encode_to_vec())
}
