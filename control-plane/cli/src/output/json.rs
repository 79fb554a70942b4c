//! Answers for programs: canonical proto3 JSON, with every field that cannot be absent written out, so that a script never
//! meets a missing key; and the same as YAML.

use std::sync::LazyLock;

use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use serde::{Serialize, Serializer};

use crate::failure::Failure;

/// An answer of the admin API, by its full name.
pub(crate) trait Answer: prost::Message {
    const NAME: &'static str;
}

macro_rules! answers {
    ($($message:ident)*) => {
        $(impl Answer for chapar_proto::admin::v1::$message {
            const NAME: &'static str = concat!("chapar.admin.v1.", stringify!($message));
        })*

        #[cfg(test)]
        const NAMES: &[&str] = &[$(concat!("chapar.admin.v1.", stringify!($message))),*];
    };
}

answers! {
    ListAgenciesResponse SuspendAgencyResponse ReinstateAgencyResponse ListSidecarsResponse
    CreateTokenResponse ListTokensResponse RevokeTokenResponse
    SubmitPassportResponse ApprovePassportResponse RetirePassportResponse ListPassportsResponse GetPassportResponse
    DiffPassportsResponse
    ApplyResponse ListResourcesResponse ListVersionsResponse GetVersionResponse DiffVersionsResponse RollbackResponse
    ExplainResponse ListGrantsResponse RevokeGrantResponse RestoreGrantResponse
    ListCertificatesResponse RevokeCertificateResponse GetAuthorityResponse RotateIssuerResponse RotateRootResponse
    RevokeSidecarResponse RevokeIssuerResponse
    RetireGenerationResponse IssueAdminCertificateResponse
    GetSelfResponse ListChangesResponse GetChangeResponse ApproveChangeResponse RejectChangeResponse
    VerifyAuditResponse CheckHeadsResponse VerifyLedgerResponse ExportEvidenceResponse Evidence FindCallsResponse RotateSubjectKeyResponse
    EndSharedSubjectKeyResponse
    ListTracesResponse ListUnpairedResponse ListSumsResponse GetTraceResponse ListAuditResponse
}

static POOL: LazyLock<Option<DescriptorPool>> = LazyLock::new(|| DescriptorPool::decode(chapar_proto::FILE_DESCRIPTOR_SET).ok());

pub(crate) fn to_json<A: Answer>(answer: &A) -> Result<String, Failure> {
    let json = Json(dynamic(answer)?);
    serde_json::to_string_pretty(&json).map_err(|_| Failure::Answer("a form in JSON"))
}

/// Reads back what [`to_json`] wrote.
pub(crate) fn from_json<A: Answer + Default>(text: &str) -> Result<A, Failure> {
    let pool = POOL.as_ref().ok_or(Failure::Answer("a description"))?;
    let descriptor = pool.get_message_by_name(A::NAME).ok_or(Failure::Answer("a description"))?;
    let mut from = serde_json::Deserializer::from_str(text);
    let malformed = |error: serde_json::Error| Failure::Input(format!("the file is no {}: {error}", A::NAME));
    let message = DynamicMessage::deserialize(descriptor, &mut from).map_err(malformed)?;
    from.end().map_err(malformed)?;
    A::decode(&*message.encode_to_vec()).map_err(|_| Failure::Input(format!("the file is no {}", A::NAME)))
}

pub(crate) fn to_yaml<A: Answer>(answer: &A) -> Result<String, Failure> {
    let json = Json(dynamic(answer)?);
    serde_saphyr::to_string(&json).map_err(|_| Failure::Answer("a form in YAML"))
}

fn dynamic<A: Answer>(answer: &A) -> Result<DynamicMessage, Failure> {
    let pool = POOL.as_ref().ok_or(Failure::Answer("a description"))?;
    let descriptor = pool.get_message_by_name(A::NAME).ok_or(Failure::Answer("a description"))?;
    DynamicMessage::decode(descriptor, &*answer.encode_to_vec()).map_err(|_| Failure::Answer("a form in JSON"))
}

struct Json(DynamicMessage);

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize_with_options(serializer, &SerializeOptions::new().skip_default_fields(false))
    }
}

#[cfg(test)]
mod tests {
    use chapar_proto::admin::v1::{EnrolmentToken, ExplainResponse, ListTokensResponse, TokenState};

    use super::*;

    #[test]
    fn knows_every_answer_of_the_api() {
        let pool = POOL.as_ref().unwrap();
        let services = pool.services().filter(|service| service.full_name().starts_with("chapar.admin.v1."));
        let answers = services.flat_map(|service| service.methods().collect::<Vec<_>>());
        for method in answers {
            assert!(NAMES.contains(&method.output().full_name()), "{}", method.full_name());
        }
    }

    #[test]
    fn writes_enums_by_name_and_fields_in_camel_case() {
        let token = EnrolmentToken {
            id: "tk-1".into(),
            agency: "ipm".into(),
            state: TokenState::Open.into(),
            expires_at: Some(prost_types::Timestamp { seconds: 1_673_303_400, nanos: 0 }),
            ..EnrolmentToken::default()
        };
        let answer = ListTokensResponse { tokens: vec![token], next_page_token: String::new() };
        insta::assert_snapshot!(to_json(&answer).unwrap(), @r#"
        {
          "tokens": [
            {
              "id": "tk-1",
              "agency": "ipm",
              "sidecar": "",
              "state": "TOKEN_STATE_OPEN",
              "expiresAt": "2023-01-09T22:30:00Z",
              "createdBy": ""
            }
          ],
          "nextPageToken": ""
        }
        "#);
        insta::assert_snapshot!(to_yaml(&answer).unwrap(), @r#"
        tokens:
        - id: tk-1
          agency: ipm
          sidecar: ""
          state: TOKEN_STATE_OPEN
          expiresAt: "2023-01-09T22:30:00Z"
          createdBy: ""
        nextPageToken: ""
        "#);
    }

    #[test]
    fn writes_out_what_is_false_or_empty() {
        let json: serde_json::Value = serde_json::from_str(&to_json(&ExplainResponse::default()).unwrap()).unwrap();
        assert_eq!(json["permitted"], false);
        assert_eq!(json["reason"], "");
        assert!(json.get("grant").is_none());
    }
}
