//! The service of gRPC's own interoperability tests, as an agency offers it: other projects' clients and servers speak it.

use crate::sidecar::Offer;

/// The passport that an agency hands in for it.
pub const DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/grpc_testing.binpb"));
/// Full name of the gRPC service.
pub const GRPC_SERVICE: &str = "grpc.testing.TestService";

/// Grants the asker every method of it.
pub const GRANTS: &str = "
apiVersion: chapar/v1
kind: Resolution
metadata: {name: test-1}
spec:
  title: {fa: مصوبه سازگاری, en: Interoperability}
  session: 1
  date: 1401-10-20
  grants:
    - clause: '1'
      consumers: [asker]
      inquiries: [interop-empty, interop-unary, interop-output, interop-input, interop-full-duplex, interop-half-duplex, interop-unimplemented]
";

/// The service at `upstream`, as a provider's sidecar offers it.
#[must_use]
pub fn offer(upstream: &str) -> Offer {
    Offer { grpc_service: GRPC_SERVICE.to_owned(), descriptor_set: DESCRIPTOR_SET.to_vec(), upstreams: vec![upstream.to_owned()] }
}
