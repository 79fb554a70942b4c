//! Telling the caller that its call was not carried out: a gRPC status with `google.rpc.ErrorInfo`.

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use chapar_core::{
    policy::{GrpcCode, Refusal, Side},
    record::CallRecord,
};
use chapar_proto::rpc::{ErrorInfo, Status};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use prost::Message as _;

use super::caller::Caller;
use crate::call::{CALL_ID_METADATA, REFUSED_METADATA, Refused, record::Form};

/// The domain of our reasons (google.rpc.ErrorInfo).
const DOMAIN: &str = "chapar";
const ERROR_INFO_TYPE: &str = "type.googleapis.com/google.rpc.ErrorInfo";

/// Tells the caller, and closes the account.
pub(super) fn refuse(caller: &mut Caller, refused: Refused) {
    let record = &refused.account.so_far();
    let told = match (&caller, refused.form) {
        (Caller::Waiting(_), Form::UnsupportedMediaType) => caller.head(unsupported_media_type(record), true),
        (Caller::Waiting(_), Form::GrpcStatus) => {
            let mut head = Response::new(());
            *head.headers_mut() = trailers(record, &refused.refusal);
            head.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
            caller.head(head, true)
        }
        (Caller::Answering(_), _) => caller.trailers(trailers(record, &refused.refusal)),
        (Caller::Done, _) => Ok(()),
    };
    if let Err(error) = told {
        // The caller went away meanwhile; the account says what it would have been told.
        tracing::debug!(%error, "the refusal could not be sent");
    }
}

fn unsupported_media_type(record: &CallRecord<'_>) -> Response<()> {
    let mut head = Response::new(());
    *head.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
    insert(head.headers_mut(), CALL_ID_METADATA, &record.call_id.to_string());
    head
}

fn trailers(record: &CallRecord<'_>, refusal: &Refusal) -> HeaderMap {
    let code = refusal.reason.code();
    let mut trailers = HeaderMap::with_capacity(6);
    insert(&mut trailers, "grpc-status", &(code as u32).to_string());
    insert(&mut trailers, "grpc-message", &percent_encoded(&refusal.detail));
    insert(&mut trailers, "grpc-status-details-bin", &STANDARD_NO_PAD.encode(details(record, refusal, code)));
    insert(&mut trailers, CALL_ID_METADATA, &record.call_id.to_string());
    if record.side == Side::Provider {
        insert(&mut trailers, REFUSED_METADATA, refusal.reason.as_str());
    }
    trailers
}

fn details(record: &CallRecord<'_>, refusal: &Refusal, code: GrpcCode) -> Vec<u8> {
    let policy_version = match record.policy_version {
        0 => String::new(),
        version => version.to_string(),
    };
    let call_id = record.call_id.to_string();
    let metadata = [
        ("call_id", call_id.as_str()),
        ("consumer", record.consumer),
        ("provider", record.provider),
        ("inquiry", record.inquiry),
        ("grant", record.grant),
        ("resolution", record.resolution),
        ("policy_version", &policy_version),
        ("side", record.side.as_str()),
        ("who_must_act", refusal.reason.actor_at(record.side).as_str()),
    ];
    let known = metadata.iter().filter(|(_, value)| !value.is_empty());
    let info = ErrorInfo {
        reason: refusal.reason.as_str().to_owned(),
        domain: DOMAIN.to_owned(),
        metadata: known.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
    };
    let detail = prost_types::Any { type_url: ERROR_INFO_TYPE.to_owned(), value: info.encode_to_vec() };
    // gRPC numbers fit: the last is 16.
    let code = code as i32;
    Status { code, message: refusal.detail.clone(), details: vec![detail] }.encode_to_vec()
}

fn insert(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
}

/// As the gRPC protocol writes `Status-Message`: printable ASCII but for the percent sign, everything else as %XX.
fn percent_encoded(text: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if matches!(byte, 0x20..=0x7e) && byte != b'%' {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push(char::from(DIGITS[usize::from(byte >> 4)]));
            encoded.push(char::from(DIGITS[usize::from(byte & 0xf)]));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_percent_encoded() {
        assert_eq!(percent_encoded("100% of a\nب"), "100%25 of a%0A%D8%A8");
        assert_eq!(percent_encoded("plain"), "plain");
    }
}
