//! How calls end, in the words of records.

use chapar_core::{
    policy::{GrpcCode, Reason, Side},
    record::{Flow, Outcome},
};
use chapar_relay::{Ending, Flows, frame::ErrorCode};

use crate::call::record::Account;

/// Puts down how a call ended.
pub(super) fn put(account: &mut Account, ending: &Ending<'_>, flows: &Flows) {
    account.flowed(flow(flows.request), flow(flows.response));
    match *ending {
        Ending::Answered { http_status, grpc_status, refused } => {
            let status = grpc_status.map_or_else(|| status_of_http(http_status), GrpcCode::from_number);
            // An agency's own server has no say in who refused.
            let refused = refused.filter(|_| account.side() == Side::Consumer).and_then(reason);
            match refused {
                Some(reason) => account.end(Outcome::Refused, Some(reason), status),
                None => account.end(Outcome::Served, None, status),
            }
        }
        Ending::Reset { code } => account.end(Outcome::Failed, None, status_of_reset(code)),
        // What the caller was told was put down when it was written.
        Ending::Told => {}
        Ending::Abandoned => account.end(Outcome::Abandoned, None, GrpcCode::Cancelled),
    }
}

fn flow(flow: chapar_relay::Flow) -> Flow {
    Flow { messages: flow.messages, bytes: flow.bytes }
}

fn reason(told: &[u8]) -> Option<Reason> {
    Reason::ALL.iter().copied().find(|reason| reason.as_str().as_bytes() == told)
}

/// The gRPC status that an answer without one stands for (gRPC, http-grpc-status-mapping.md).
const fn status_of_http(status: u16) -> GrpcCode {
    match status {
        400 => GrpcCode::Internal,
        401 => GrpcCode::Unauthenticated,
        403 => GrpcCode::PermissionDenied,
        404 => GrpcCode::Unimplemented,
        429 | 502 | 503 | 504 => GrpcCode::Unavailable,
        _ => GrpcCode::Unknown,
    }
}

/// The gRPC status that a reset stands for (gRPC, PROTOCOL-HTTP2.md, "Errors").
const fn status_of_reset(code: ErrorCode) -> GrpcCode {
    match code {
        ErrorCode::REFUSED_STREAM => GrpcCode::Unavailable,
        ErrorCode::CANCEL => GrpcCode::Cancelled,
        ErrorCode::ENHANCE_YOUR_CALM => GrpcCode::ResourceExhausted,
        ErrorCode::INADEQUATE_SECURITY => GrpcCode::PermissionDenied,
        _ => GrpcCode::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_known_by_its_name_and_nothing_else_is_one() {
        for known in Reason::ALL {
            assert_eq!(reason(known.as_str().as_bytes()), Some(*known));
        }
        assert_eq!((reason(b""), reason(b"no_grant"), reason(b"\xff")), (None, None, None));
    }

    #[test]
    fn resets_and_http_answers_stand_for_the_status_that_grpc_says() {
        assert_eq!(status_of_reset(ErrorCode::CANCEL), GrpcCode::Cancelled);
        assert_eq!(status_of_reset(ErrorCode::REFUSED_STREAM), GrpcCode::Unavailable);
        assert_eq!(status_of_reset(ErrorCode(99)), GrpcCode::Internal);
        assert_eq!((status_of_http(200), status_of_http(503)), (GrpcCode::Unknown, GrpcCode::Unavailable));
    }
}
