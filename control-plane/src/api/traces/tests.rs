#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn a_status_is_an_outcome_or_the_name_of_a_grpc_status() {
    assert_eq!(ending("refused".into()).unwrap(), Ending::Outcome("refused".into()));
    assert_eq!(ending("PERMISSION_DENIED".into()).unwrap(), Ending::Status("PERMISSION_DENIED".into()));
    assert_eq!(ending("OK".into()).unwrap(), Ending::Status("OK".into()));
    for unknown in ["REFUSED", "ok", "17", "' OR 1 = 1"] {
        assert_eq!(ending(unknown.into()).unwrap_err().reason(), "STATUS_UNKNOWN", "{unknown}");
    }
}

#[test]
fn times_keep_their_microseconds() {
    for us in [-1, 0, 1, 1_700_000_000_123_456] {
        assert_eq!(us_of_timestamp(timestamp_of_us(us)), us);
    }
}
