//! Heads of requests and responses on their way through: what is stripped, what is put in place.
//!
//! Everything else passes as it came: repeated names in their order, `-bin` values, compression, `user-agent`.

use chapar_core::policy::{GrpcCode, Reason};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header, request, uri::PathAndQuery,
};

use crate::call::{CALL_ID_METADATA, Metadata, OWN_PREFIX, REFUSED_METADATA, forward::Way};

const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// Names that concern one connection only (RFC 9113, section 8.2.2; RFC 9110, section 7.6.1).
const OF_ONE_HOP: [HeaderName; 6] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::HOST,
];

/// The stages' view of a request's metadata.
pub(super) struct View<'h>(pub(super) &'h HeaderMap);

impl Metadata for View<'_> {
    fn first(&self, name: &str) -> Option<&[u8]> {
        self.0.get(name).map(HeaderValue::as_bytes)
    }

    fn repeats(&self, name: &str) -> bool {
        self.0.get_all(name).iter().nth(1).is_some()
    }
}

/// The head that goes on, but for its origin and timeout, which each attempt sets.
pub(super) fn onward(mut parts: request::Parts, way: &Way) -> Onward {
    let headers = &mut parts.headers;
    strip(headers);
    if !way.keeps_tracestate {
        headers.remove("tracestate");
    }
    for (name, value) in &way.metadata {
        // Values are made by the stages of printable characters; names of agencies and resolutions are ASCII too.
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    headers.remove(GRPC_TIMEOUT);
    let path = parts.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    Onward { headers: parts.headers, path }
}

/// A request's head, ready to be addressed.
#[derive(Debug)]
pub(super) struct Onward {
    headers: HeaderMap,
    path: PathAndQuery,
}

impl Onward {
    /// The request for one attempt. `None` when the origin is none, which its maker has ruled out.
    pub(super) fn request(&self, (scheme, authority): (&str, &str), timeout: Option<&str>) -> Option<Request<()>> {
        let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query(self.path.clone()).build().ok()?;
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = uri;
        *request.headers_mut() = self.headers.clone();
        if let Some(timeout) = timeout {
            request.headers_mut().insert(GRPC_TIMEOUT, HeaderValue::from_str(timeout).ok()?);
        }
        Some(request)
    }
}

/// What the end of a response says: its gRPC status, and whether the provider's sidecar was the one to refuse.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Verdict {
    pub(super) status: Option<GrpcCode>,
    pub(super) refused: Option<Reason>,
}

/// Reads the verdict from a head or trailers. `from_sidecar` says whether our own marks may be believed there.
pub(super) fn verdict(headers: &HeaderMap, from_sidecar: bool) -> Verdict {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let status = headers
        .get(GRPC_STATUS)
        .map(|value| value.to_str().ok().and_then(|text| text.parse().ok()).map_or(GrpcCode::Unknown, GrpcCode::from_number));
    let refused = text(REFUSED_METADATA)
        .filter(|_| from_sidecar)
        .and_then(|told| Reason::ALL.iter().copied().find(|reason| reason.as_str() == told));
    Verdict { status, refused }
}

/// The response's head on its way back, with the tracking ID.
pub(super) fn back(response: Response<()>, call_id: &str) -> Response<()> {
    let (mut parts, ()) = response.into_parts();
    strip(&mut parts.headers);
    with_call_id(&mut parts.headers, call_id);
    parts.extensions.clear();
    Response::from_parts(parts, ())
}

/// Names the tracking ID.
pub(super) fn with_call_id(headers: &mut HeaderMap, call_id: &str) {
    if let Ok(value) = HeaderValue::from_str(call_id) {
        headers.insert(CALL_ID_METADATA, value);
    }
}

/// Takes out what concerns one connection only, and everything of ours: from outside it proves nothing.
pub(super) fn strip(headers: &mut HeaderMap) {
    for name in &OF_ONE_HOP {
        headers.remove(name);
    }
    let ours: Vec<HeaderName> = headers.keys().filter(|name| name.as_str().starts_with(OWN_PREFIX)).cloned().collect();
    for name in ours {
        headers.remove(name);
    }
}

/// The gRPC status that an answer without one stands for (gRPC, http-grpc-status-mapping.md).
pub(super) const fn status_of_http(status: StatusCode) -> GrpcCode {
    match status.as_u16() {
        400 => GrpcCode::Internal,
        401 => GrpcCode::Unauthenticated,
        403 => GrpcCode::PermissionDenied,
        404 => GrpcCode::Unimplemented,
        429 | 502 | 503 | 504 => GrpcCode::Unavailable,
        _ => GrpcCode::Unknown,
    }
}

/// The gRPC status that a reset stands for (gRPC, PROTOCOL-HTTP2.md, "Errors").
pub(super) fn status_of_reset(reason: h2::Reason) -> GrpcCode {
    match reason {
        h2::Reason::REFUSED_STREAM => GrpcCode::Unavailable,
        h2::Reason::CANCEL => GrpcCode::Cancelled,
        h2::Reason::ENHANCE_YOUR_CALM => GrpcCode::ResourceExhausted,
        h2::Reason::INADEQUATE_SECURITY => GrpcCode::PermissionDenied,
        _ => GrpcCode::Internal,
    }
}
