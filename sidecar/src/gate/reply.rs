//! Telling the caller that its call was not carried out: a gRPC status with `google.rpc.ErrorInfo`.

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use chapar_core::{
    metadata,
    policy::{GrpcCode, Refusal, Side},
    record::CallRecord,
};
use chapar_proto::rpc::{ErrorInfo, Status};
use chapar_relay::Reply;
use prost::Message as _;

use crate::call::record::Form;

/// The domain of our reasons (google.rpc.ErrorInfo).
const DOMAIN: &str = "chapar";
const ERROR_INFO_TYPE: &str = "type.googleapis.com/google.rpc.ErrorInfo";
/// "Unsupported Media Type" (RFC 9110, section 15.5.16): what gRPC asks of servers where the content type is another.
const UNSUPPORTED_MEDIA_TYPE: u16 = 415;

/// Writes what the caller is told of the call that `record` is of. Refusals are rare: here, text is made as it is needed.
pub(super) fn put(record: &CallRecord<'_>, refusal: &Refusal, form: Form, reply: &mut Reply) {
    if form == Form::UnsupportedMediaType {
        reply.http_status(UNSUPPORTED_MEDIA_TYPE);
    } else {
        let code = refusal.reason.code();
        reply.field(b"grpc-status", (code as u32).to_string().as_bytes());
        reply.field(b"grpc-message", percent_encoded(&refusal.detail).as_bytes());
        reply.field(b"grpc-status-details-bin", STANDARD_NO_PAD.encode(details(record, refusal, code)).as_bytes());
        if record.side == Side::Provider {
            reply.field(metadata::REFUSED.as_bytes(), refusal.reason.as_str().as_bytes());
        }
    }
    reply.field(metadata::CALL_ID.as_bytes(), &record.call_id.hex());
}

fn details(record: &CallRecord<'_>, refusal: &Refusal, code: GrpcCode) -> Vec<u8> {
    let policy_version = match record.policy_version {
        0 => String::new(),
        version => version.to_string(),
    };
    let call_id = record.call_id.to_string();
    let metadata = [
        ("call_id", &*call_id),
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
