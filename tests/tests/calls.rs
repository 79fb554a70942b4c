//! What an agency's application sees of the mesh when all is well, and what the exchange keeps of it.

use std::time::Duration;

use anyhow::Result;
use chapar_proto::admin::v1 as admin;
use chapar_tests::{behaviours, echo::pb::EchoRequest, mesh::Mesh, refusal, wait};
use tokio_stream::StreamExt as _;
use tonic::{Code, Request, metadata::MetadataValue};

/// How long spans may take to reach the ledger on a loaded machine.
const SPANS_LIMIT: Duration = Duration::from_secs(20);

fn ask(payload: &[u8]) -> EchoRequest {
    EchoRequest { payload: payload.to_vec(), ..Default::default() }
}

behaviours!(Mesh::start:
    all_four_kinds_are_served,
    metadata_and_status_are_kept,
    exact_window_size_is_no_trap,
    forged_metadata_is_stripped,
    what_is_not_granted_is_refused,
    each_call_is_traced_by_both_sides,
    traces_are_listed_by_status_and_agency,
);

async fn all_four_kinds_are_served(mesh: &mut Mesh) -> Result<()> {
    let mut client = mesh.client()?;
    assert_eq!(client.unary(ask(b"one")).await?.into_inner().payload, b"one");
    let many = tokio_stream::iter([ask(b"a"), ask(b"b"), ask(b"c")]);
    assert_eq!(client.client_stream(many).await?.into_inner().payload, b"abc");
    let answers = EchoRequest { answers: 5, ..ask(b"x") };
    let got: Vec<_> = client.server_stream(answers).await?.into_inner().collect::<Result<_, _>>().await?;
    assert_eq!(got.iter().map(|answer| answer.sequence).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
    let both = client.bidi_stream(tokio_stream::iter([ask(b"1"), ask(b"2")])).await?.into_inner();
    let got: Vec<_> = both.collect::<Result<_, _>>().await?;
    assert_eq!(got.iter().map(|answer| answer.payload.as_slice()).collect::<Vec<_>>(), [b"1", b"2"]);
    Ok(())
}

async fn metadata_and_status_are_kept(mesh: &mut Mesh) -> Result<()> {
    let mut request = Request::new(ask(b""));
    request.metadata_mut().insert("echo-text", "hello: no, twice".parse()?);
    request.metadata_mut().insert_bin("echo-bin", MetadataValue::from_bytes(&[0, 255, 1]));
    let response = mesh.client()?.unary(request).await?;
    assert_eq!(response.metadata().get("echo-text").map(|v| v.as_bytes()), Some(&b"hello: no, twice"[..]));
    let bin = response.metadata().get_bin("echo-bin").and_then(|value| value.to_bytes().ok());
    assert_eq!(bin.as_deref(), Some(&[0, 255, 1][..]));

    let failing = EchoRequest {
        status: Code::DataLoss as u32,
        status_message: "register on fire".to_owned(),
        status_details: b"details".to_vec(),
        ..Default::default()
    };
    let status = mesh.client()?.unary(failing).await.expect_err("the server fails it");
    assert_eq!((status.code(), status.message(), status.details()), (Code::DataLoss, "register on fire", &b"details"[..]));
    Ok(())
}

/// The body of one of these answers is exactly as long as HTTP/2's first window.
async fn exact_window_size_is_no_trap(mesh: &mut Mesh) -> Result<()> {
    let mut client = mesh.client()?;
    for filler_bytes in (65_535 - 400)..=(65_535 + 4) {
        let answer = client.unary(EchoRequest { filler_bytes, ..Default::default() }).await?.into_inner();
        assert_eq!(answer.filler.len() as u64, filler_bytes);
    }
    Ok(())
}

async fn forged_metadata_is_stripped(mesh: &mut Mesh) -> Result<()> {
    let forged_id = "00000000000000000000000000000001";
    let mut request = Request::new(ask(b""));
    request.metadata_mut().insert("chapar-consumer", "stranger".parse()?);
    request.metadata_mut().insert("chapar-call-id", forged_id.parse()?);
    let answer = mesh.client()?.unary(request).await?.into_inner();
    let arrived = |text: &str| answer.metadata.iter().any(|line| line.contains(text));
    assert!(!arrived("stranger") && !arrived(forged_id), "{:?}", answer.metadata);
    Ok(())
}

async fn what_is_not_granted_is_refused(mesh: &mut Mesh) -> Result<()> {
    let mut client = mesh.client()?;
    let unlisted = client.unlisted(ask(b"")).await.expect_err("no passport holds it");
    let refused = refusal::of(&unlisted).expect("refused by the exchange");
    assert_eq!((refused.code, refused.reason.as_str()), (Code::Unimplemented, "UNKNOWN_INQUIRY"));
    assert_eq!(refused.call_id.len(), 32, "{refused:?}");

    let pushed = client.pushed(ask(b"")).await.expect_err("its kind is not in force");
    assert_eq!(refusal::reason(&pushed), "INQUIRY_NOT_YET_IN_FORCE");
    Ok(())
}

async fn each_call_is_traced_by_both_sides(mesh: &mut Mesh) -> Result<()> {
    let trace_id = "0af7651916cd43dd8448eb211c80319c";
    let mut request = Request::new(ask(b"traced"));
    request.metadata_mut().insert("traceparent", format!("00-{trace_id}-b7ad6b7169203331-01").parse()?);
    let response = mesh.client()?.unary(request).await?;
    let call_id = response.metadata().get("chapar-call-id").expect("every call has an ID").to_str()?.to_owned();
    let upstream = response.into_inner().metadata;

    let traces = admin::trace_service_client::TraceServiceClient::new(mesh.control_plane.channel());
    let spans = wait::until("both spans of the call", SPANS_LIMIT, || {
        let mut traces = traces.clone();
        async move {
            let request = admin::GetTraceRequest { id: trace_id.to_owned() };
            let spans = traces.get_trace(request).await.ok()?.into_inner().spans;
            (spans.len() == 2).then_some(spans)
        }
    })
    .await?;
    let client = spans.iter().find(|span| span.kind == "client").expect("the consumer's side");
    let server = spans.iter().find(|span| span.kind == "server").expect("the provider's side");
    assert_eq!(client.parent_span_id, "b7ad6b7169203331");
    assert_eq!(server.parent_span_id, client.span_id);
    let onward = format!("traceparent: 00-{trace_id}-{}-01", server.span_id);
    assert!(upstream.contains(&onward), "the server joins the trace: {upstream:?}");
    holds_the_account(client, "consumer", &call_id);
    holds_the_account(server, "provider", &call_id);
    assert!(client.reporter.ends_with("/agency/asker/sidecar/main"), "{}", client.reporter);
    assert!(server.reporter.ends_with("/agency/answerer/sidecar/main"), "{}", server.reporter);
    Ok(())
}

fn holds_the_account(span: &admin::Span, side: &str, call_id: &str) {
    for (key, value) in [
        ("chapar.call_id", call_id),
        ("chapar.side", side),
        ("chapar.consumer", "asker"),
        ("chapar.provider", "answerer"),
        ("chapar.inquiry", "echo-unary"),
        ("chapar.resolution", "test-1"),
        ("chapar.clause", "1"),
        ("chapar.decision", "permitted"),
        ("chapar.outcome", "served"),
        ("rpc.response.status_code", "OK"),
        ("chapar.request.messages", "1"),
        ("chapar.response.messages", "1"),
    ] {
        assert_eq!(span.attributes.get(key).map(String::as_str), Some(value), "{key} of the {side}'s span");
    }
}

async fn traces_are_listed_by_status_and_agency(mesh: &mut Mesh) -> Result<()> {
    mesh.client()?.pushed(ask(b"")).await.expect_err("its kind is not in force");
    let traces = admin::trace_service_client::TraceServiceClient::new(mesh.control_plane.channel());
    let listed = wait::until("the refused call to be listed", SPANS_LIMIT, || {
        let mut traces = traces.clone();
        async move {
            let refused =
                admin::ListTracesRequest { status: "refused".to_owned(), agency: "asker".to_owned(), ..Default::default() };
            let listed = traces.list_traces(refused).await.ok()?.into_inner().traces;
            listed.iter().any(|trace| trace.reason == "INQUIRY_NOT_YET_IN_FORCE").then_some(listed)
        }
    })
    .await?;
    assert!(listed.iter().all(|trace| trace.outcome == "refused"), "{listed:?}");
    let nobody = admin::ListTracesRequest { agency: "stranger".to_owned(), ..Default::default() };
    assert_eq!(traces.clone().list_traces(nobody).await?.into_inner().traces, []);
    Ok(())
}
