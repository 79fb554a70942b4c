//! The enrolment token: what an admin hands to an agency's operator, once.
//!
//! Text form: `chapar1.` followed by base64url without padding of the protobuf below. The sidecar reads the trust domain, the
//! agency and the root's fingerprint from it. The control plane puts its roots at the end of the chain it presents, so that a
//! sidecar that knows only the fingerprint finds its trust anchor there: a certificate of the chain with exactly that SHA-256.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use prost::Message as _;

/// What every token of this version starts with.
const PREFIX: &str = "chapar1.";

/// Longest text that is looked at, in bytes.
const TEXT_BYTES_MAX: usize = 1_024;

/// Bytes of the secret.
pub const SECRET_BYTES: usize = 32;

/// Bytes of the root's fingerprint: SHA-256 of its DER.
pub const FINGERPRINT_BYTES: usize = 32;

/// What an enrolment token says.
#[derive(Clone, PartialEq, Eq)]
pub struct EnrolmentToken {
    /// Trust domain of the exchange that made it.
    pub trust_domain: String,
    /// Agency that it enrols a sidecar of.
    pub agency: String,
    /// The only sidecar that may use it. `None`: any one of the agency's.
    pub sidecar: Option<String>,
    /// SHA-256 of the root certificate that the control plane proves itself by.
    pub root_sha256: [u8; FINGERPRINT_BYTES],
    /// Public name of the token, as in lists and in the audit.
    pub id: String,
    /// What only the maker and the receiver know.
    pub secret: [u8; SECRET_BYTES],
}

/// The text is no enrolment token; the agency's operator must ask the admin for one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It begins as no token does.
    #[error("an enrolment token starts with \"chapar1.\"")]
    Prefix,
    /// It is longer than any token.
    #[error("an enrolment token is at most {TEXT_BYTES_MAX} bytes long")]
    TooLong,
    /// It was cut or mistyped.
    #[error("the enrolment token is damaged: was it copied in full?")]
    Damaged,
    /// It lacks what a token must say.
    #[error("the enrolment token lacks its {0}")]
    Incomplete(&'static str),
}

impl EnrolmentToken {
    /// Reads the text form; white space around it is ignored.
    ///
    /// # Errors
    /// When it is no complete token. Whether it is a valid one, only the control plane knows.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        if text.len() > TEXT_BYTES_MAX {
            return Err(TokenError::TooLong);
        }
        let body = text.strip_prefix(PREFIX).ok_or(TokenError::Prefix)?;
        let bytes = URL_SAFE_NO_PAD.decode(body).map_err(|_| TokenError::Damaged)?;
        let content = Content::decode(bytes.as_slice()).map_err(|_| TokenError::Damaged)?;
        content.checked()
    }
}

/// The text form: secret.
impl fmt::Display for EnrolmentToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let content = Content {
            trust_domain: self.trust_domain.clone(),
            agency: self.agency.clone(),
            sidecar: self.sidecar.clone().unwrap_or_default(),
            root_sha256: self.root_sha256.to_vec(),
            id: self.id.clone(),
            secret: self.secret.to_vec(),
        };
        write!(f, "{PREFIX}{}", URL_SAFE_NO_PAD.encode(content.encode_to_vec()))
    }
}

/// Without the secret, so that it does not reach a log.
impl fmt::Debug for EnrolmentToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EnrolmentToken")
            .field("trust_domain", &self.trust_domain)
            .field("agency", &self.agency)
            .field("sidecar", &self.sidecar)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// The bytes within the text form. Not in a .proto file: nobody but this codec reads or writes them.
#[derive(Clone, PartialEq, prost::Message)]
struct Content {
    #[prost(string, tag = "1")]
    trust_domain: String,
    #[prost(string, tag = "2")]
    agency: String,
    #[prost(string, tag = "3")]
    sidecar: String,
    #[prost(bytes = "vec", tag = "4")]
    root_sha256: Vec<u8>,
    #[prost(string, tag = "5")]
    id: String,
    #[prost(bytes = "vec", tag = "6")]
    secret: Vec<u8>,
}

impl Content {
    fn checked(self) -> Result<EnrolmentToken, TokenError> {
        let named = |text: String, what| if text.is_empty() { Err(TokenError::Incomplete(what)) } else { Ok(text) };
        Ok(EnrolmentToken {
            trust_domain: named(self.trust_domain, "trust domain")?,
            agency: named(self.agency, "agency")?,
            sidecar: Some(self.sidecar).filter(|sidecar| !sidecar.is_empty()),
            root_sha256: self.root_sha256.try_into().map_err(|_| TokenError::Incomplete("root fingerprint"))?,
            id: named(self.id, "name")?,
            secret: self.secret.try_into().map_err(|_| TokenError::Incomplete("secret"))?,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn token() -> EnrolmentToken {
        EnrolmentToken {
            trust_domain: "exchange.example".into(),
            agency: "civil-registration".into(),
            sidecar: None,
            root_sha256: [7; 32],
            id: "t1".into(),
            secret: [9; 32],
        }
    }

    #[test]
    fn text_and_back() {
        for token in [token(), EnrolmentToken { sidecar: Some("main".into()), ..token() }] {
            assert_eq!(EnrolmentToken::parse(&format!(" {token}\n")).unwrap(), token);
        }
    }

    #[test]
    fn what_is_no_token_is_refused_for_its_own_reason() {
        let text = token().to_string();
        assert_eq!(EnrolmentToken::parse("").unwrap_err(), TokenError::Prefix);
        assert_eq!(EnrolmentToken::parse("chapar2.AAAA").unwrap_err(), TokenError::Prefix);
        assert_eq!(EnrolmentToken::parse(&"x".repeat(2_000)).unwrap_err(), TokenError::TooLong);
        assert_eq!(EnrolmentToken::parse("chapar1.!!").unwrap_err(), TokenError::Damaged);
        assert!(EnrolmentToken::parse(&text[..text.len() - 3]).is_err());
        assert_eq!(EnrolmentToken::parse("chapar1.").unwrap_err(), TokenError::Incomplete("trust domain"));
        let content = Content { trust_domain: "a".into(), agency: "b".into(), id: "c".into(), ..Content::default() };
        let without_root = format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(content.encode_to_vec()));
        assert_eq!(EnrolmentToken::parse(&without_root).unwrap_err(), TokenError::Incomplete("root fingerprint"));
    }

    #[test]
    fn the_secret_is_not_in_what_is_logged() {
        let logged = format!("{:?}", token());
        assert!(!logged.contains('9') && !logged.contains("secret"), "{logged}");
    }
}
