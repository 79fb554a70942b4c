//! Enrolment tokens: made by an admin, used once.

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use chapar_core::identity::{AgencyName, WorkloadName};
use chapar_core::time::Timestamp;
use chapar_proto::token::{EnrolmentToken, SECRET_BYTES};
use data_encoding::HEXLOWER;
use subtle::ConstantTimeEq as _;

use crate::{
    authority::{self, Authority, AuthorityError, sha256},
    page::Page,
    problem::Problem,
    store::{AuditEntry, Store, StoreError, TokenRow, Transaction},
};

/// Life of a token when none is asked for, in seconds.
const LIFE_S_DEFAULT: u32 = 3_600;

/// Longest life of a token, in seconds: 30 days. What lies about longer is found by others.
const LIFE_S_MAX: u32 = 30 * 86_400;

/// Bytes of a token's public name.
const ID_BYTES: usize = 8;

/// Whether a token can still be used, at some instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenState {
    /// It can be used.
    Open,
    /// It was.
    Used,
    /// Its time is over.
    Expired,
    /// An admin took it back.
    Revoked,
}

impl TokenRow {
    /// Its state at that instant, in Unix milliseconds.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> TokenState {
        if self.used_at.is_some() {
            TokenState::Used
        } else if self.revoked_at.is_some() {
            TokenState::Revoked
        } else if self.expires_at <= now {
            TokenState::Expired
        } else {
            TokenState::Open
        }
    }
}

/// Makes a token for an agency. `sidecar`: empty for any; `life_s`: 0 for an hour. The text form is returned here, once.
///
/// # Errors
/// `AGENCY_UNKNOWN`, `AGENCY_SUSPENDED`, `TOKEN_LIFE_TOO_LONG`, `SIDECAR_NAME_MALFORMED`, or when the store fails.
pub async fn create(
    store: &Store,
    authority: &Authority,
    actor: &str,
    agency: &str,
    sidecar: &str,
    life_s: u32,
) -> Result<(EnrolmentToken, TokenRow), Problem> {
    let (agency, sidecar) = names(agency, sidecar)?;
    let life_s = life_of(life_s)?;
    let current = authority.current();
    let root = current
        .active_root()
        .ok_or_else(|| Problem::internal(&AuthorityError::StoredCertificate("no root is active".to_owned())))?;
    let (mut id, mut secret) = ([0; ID_BYTES], [0; SECRET_BYTES]);
    let random = SystemRandom::new();
    random.fill(&mut id).and_then(|()| random.fill(&mut secret)).map_err(|_| Problem::internal(&AuthorityError::NoRandomness))?;

    let mut tx = store.write().await?;
    if let Some(reason) = authority::require_agency(tx.read(), agency.as_str()).await?.suspension {
        return Err(Problem::precondition("AGENCY_SUSPENDED", format!("agency {agency} is suspended: {reason}"))
            .with("agency", agency.as_str()));
    }
    let now = tx.now();
    let kept = TokenRow {
        id: HEXLOWER.encode(&id),
        agency: agency.to_string(),
        sidecar: sidecar.map(|name| name.to_string()),
        created_at: now,
        expires_at: now.plus_ms(i64::from(life_s) * 1_000),
        created_by: actor.to_owned(),
        used_at: None,
        revoked_at: None,
    };
    tx.insert_token(&kept, &sha256(&secret)).await?;
    let details = serde_json::json!({ "agency": kept.agency, "sidecar": kept.sidecar, "valid_for_s": life_s });
    tx.audit(AuditEntry::done(actor, "token.create", &kept.id).with(details)).await?;
    tx.commit().await?;
    let token = EnrolmentToken {
        trust_domain: authority.trust_domain().to_string(),
        agency: kept.agency.clone(),
        sidecar: kept.sidecar.clone(),
        root_sha256: sha256(&root.certificate),
        id: kept.id.clone(),
        secret,
    };
    Ok((token, kept))
}

/// Tokens, newest first. `agency`: empty for all.
///
/// # Errors
/// `PAGE_TOKEN_MALFORMED`, or when the store cannot be read.
pub async fn list(store: &Store, agency: &str, page: &Page) -> Result<(Vec<TokenRow>, String), Problem> {
    let (after_ms, after_id) = match &page.after {
        None => (i64::MAX, String::new()),
        Some(key) => key
            .split_once(':')
            .and_then(|(ms, id)| Some((ms.parse().ok()?, id.to_owned())))
            .ok_or_else(|| Problem::invalid("PAGE_TOKEN_MALFORMED", "page_token is not one of this list"))?,
    };
    let mut tokens = store.reader().await?.tokens(agency, (after_ms, &after_id), page.limit()).await?;
    let next = page.cut(&mut tokens, |token| format!("{}:{}", token.created_at.unix_ms(), token.id));
    Ok((tokens, next))
}

/// Voids a token that was not used.
///
/// # Errors
/// `TOKEN_UNKNOWN`, `TOKEN_USED`, or when the store fails. Revoking twice is no error.
pub async fn revoke(store: &Store, actor: &str, id: &str) -> Result<(), Problem> {
    let mut tx = store.write().await?;
    let unknown =
        || Problem::not_found("TOKEN_UNKNOWN", format!("there is no token {id}; see `chapar token list`")).with("token", id);
    let token = tx.token(id).await?.ok_or_else(unknown)?;
    if token.used_at.is_some() {
        let message = format!("token {id} was used already; revoke the certificate that it was exchanged for");
        return Err(Problem::precondition("TOKEN_USED", message).with("token", id));
    }
    if token.revoked_at.is_some() {
        return Ok(());
    }
    let now = tx.now();
    tx.revoke_token(id, now).await?;
    tx.audit(AuditEntry::done(actor, "token.revoke", id).with(serde_json::json!({ "agency": token.agency }))).await?;
    Ok(tx.commit().await?)
}

/// The open token with this name and secret.
///
/// # Errors
/// `TOKEN_UNKNOWN`, `TOKEN_USED`, `TOKEN_REVOKED`, `TOKEN_EXPIRED`: the state of a token is told only to who knows its secret.
pub(super) async fn open(tx: &mut Transaction, id: &str, secret: &[u8; SECRET_BYTES]) -> Result<TokenRow, Problem> {
    let kept = tx.token_secret_sha256(id).await?.ok_or_else(|| unknown(id))?;
    if !bool::from(sha256(secret).as_slice().ct_eq(&kept)) {
        return Err(unknown(id));
    }
    let token = tx.token(id).await?.ok_or_else(|| unknown(id))?;
    let refuse = |reason, what: &str| {
        let message = format!("enrolment token {id} {what}; ask an admin of the exchange for a new one");
        Err(Problem::unauthenticated(reason, message).with("token", id))
    };
    match token.state(tx.now()) {
        TokenState::Open => Ok(token),
        TokenState::Used => refuse("TOKEN_USED", "was used already"),
        TokenState::Expired => refuse("TOKEN_EXPIRED", "has expired"),
        TokenState::Revoked => refuse("TOKEN_REVOKED", "was revoked"),
    }
}

/// Marks the token used, within the write that opened it.
pub(super) async fn use_up(tx: &mut Transaction, id: &str, serial: &str) -> Result<(), StoreError> {
    let now = tx.now();
    tx.use_token(id, serial, now).await
}

/// The refusal of a token that this exchange never made, or whose secret is wrong: nobody learns which.
pub(super) fn unknown(id: &str) -> Problem {
    Problem::unauthenticated(
        "TOKEN_UNKNOWN",
        "the enrolment token is none of this exchange's; check the control plane's address, or ask for a new token",
    )
    .with("token", id)
}

fn names(agency: &str, sidecar: &str) -> Result<(AgencyName, Option<WorkloadName>), Problem> {
    let agency = agency.parse().map_err(|error| {
        Problem::not_found("AGENCY_UNKNOWN", format!("no agency can have that name: {error}")).with("agency", agency)
    })?;
    if sidecar.is_empty() {
        return Ok((agency, None));
    }
    let sidecar = sidecar
        .parse()
        .map_err(|error| Problem::invalid("SIDECAR_NAME_MALFORMED", format!("{error}")).field("sidecar", format!("{error}")))?;
    Ok((agency, Some(sidecar)))
}

fn life_of(asked_s: u32) -> Result<u32, Problem> {
    match asked_s {
        0 => Ok(LIFE_S_DEFAULT),
        1..=LIFE_S_MAX => Ok(asked_s),
        _ => {
            let message = format!("a token lives at most 30 days ({LIFE_S_MAX} s), not {asked_s} s");
            Err(Problem::invalid("TOKEN_LIFE_TOO_LONG", message).field("valid_for_s", format!("at most {LIFE_S_MAX}")))
        }
    }
}
