#![allow(clippy::unwrap_used)]

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, Ordering},
};

use axum::{Router, body::Bytes as HttpBytes, http::StatusCode, routing::post};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceResponse,
    trace_service_server::{TraceService, TraceServiceServer},
};
use prost::Message as _;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, transport::Server};

use super::*;
use crate::{
    caller::SidecarCaller,
    clock::Clock,
    config::{Forward, ForwardProtocol},
    ledger::Metrics,
    store::Store,
};

/// Longest wait for something that must happen; a test that passes never waits so long.
const PATIENCE: Duration = Duration::from_secs(20);

/// A collector that keeps what it takes, and can be out of order.
#[derive(Clone, Default)]
struct Sink {
    taken: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
    broken: Arc<AtomicBool>,
}

impl Sink {
    fn take(&self, export: ExportTraceServiceRequest) -> bool {
        let works = !self.broken.load(Ordering::SeqCst);
        if works {
            self.taken.lock().unwrap().push(export);
        }
        works
    }

    /// Call IDs, in the order of arrival.
    fn calls(&self) -> Vec<String> {
        let taken = self.taken.lock().unwrap();
        let spans = taken
            .iter()
            .flat_map(|export| &export.resource_spans)
            .flat_map(|resource| &resource.scope_spans)
            .flat_map(|scope| &scope.spans);
        let told = spans.flat_map(|span| &span.attributes);
        let mut whom = told.clone().filter(|attribute| attribute.key.starts_with("chapar.subject"));
        assert!(whom.all(|attribute| attribute.key == "chapar.subject"), "a collector is no inspector");
        let attributes = told.filter(|attribute| attribute.key == "chapar.call_id");
        attributes
            .map(|attribute| match attribute.value.as_ref().unwrap().value.as_ref().unwrap() {
                Value::StringValue(id) => id.trim_start_matches('0').to_owned(),
                other => panic!("{other:?}"),
            })
            .collect()
    }

    async fn has(&self, calls: usize) {
        let came = async {
            while self.calls().len() < calls {
                sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, came).await.expect("the collector gets the spans");
    }
}

#[tonic::async_trait]
impl TraceService for Sink {
    async fn export(&self, request: Request<ExportTraceServiceRequest>) -> Result<Response<ExportTraceServiceResponse>, Status> {
        if self.take(request.into_inner()) {
            Ok(Response::new(ExportTraceServiceResponse::default()))
        } else {
            Err(Status::unavailable("out of order"))
        }
    }
}

async fn grpc(sink: Sink) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::builder().add_service(TraceServiceServer::new(sink));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    format!("http://{address}")
}

async fn http(sink: Sink) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let traces = post(move |body: HttpBytes| async move {
        let export = ExportTraceServiceRequest::decode(body).unwrap();
        if sink.take(export) { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
    });
    let app = Router::new().route("/v1/traces", traces);
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}")
}

fn config(endpoint: &str, protocol: ForwardProtocol) -> Forward {
    Forward {
        endpoint: endpoint.parse().unwrap(),
        protocol,
        sample_ratio: 1.0,
        ca_file: None,
        batch_spans: 2,
        timeout_s: 5,
        behind_spans_max: 1_000,
    }
}

async fn opened() -> (tempfile::TempDir, Ledger) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("chapar.db"), Clock::real()).await.unwrap();
    let metrics = Metrics::registered(&prometheus::Registry::new()).unwrap();
    let ledger = Ledger::open(&folder.path().join("ledger.db"), store, metrics).unwrap();
    (folder, ledger)
}

async fn called(ledger: &Ledger, number: u8) {
    let attributes = vec![
        text("chapar.call_id", format!("{number:032x}")),
        text("chapar.side", "consumer".into()),
        text("chapar.provider", "cra".into()),
        text("chapar.subject.hash", format!("{number:032x}")),
        KeyValue { value: Some(AnyValue { value: Some(Value::IntValue(1)) }), ..text("chapar.subject.key", String::new()) },
    ];
    let span = Span {
        trace_id: vec![number; 16],
        span_id: vec![number; 8],
        start_time_unix_nano: 1_700_000_000_000_000_000,
        end_time_unix_nano: 1_700_000_000_000_000_000,
        attributes,
        ..Span::default()
    };
    let caller = SidecarCaller {
        id: "spiffe://exchange.example/agency/ipm/sidecar/main".parse().unwrap(),
        agency: "ipm".parse().unwrap(),
        serial: "0a".into(),
        not_after: Timestamp::MAX,
    };
    let spans = BTreeMap::from([("x".to_owned(), vec![span])]);
    ledger.ingest(&caller, export(spans).encode_to_vec().into()).await.unwrap();
}

fn forward(ledger: &Ledger, config: Forward) -> (CancellationToken, tokio::task::JoinHandle<()>) {
    let stopping = CancellationToken::new();
    let forwarding = forwarder(ledger.clone(), config, stopping.clone()).unwrap();
    (stopping, tokio::spawn(forwarding))
}

/// Waits until the forwarder knows where to begin.
async fn begun(ledger: &Ledger) {
    called(ledger, 1).await;
    let mut forwarding = Forwarding {
        ledger: ledger.clone(),
        config: config("http://127.0.0.1:1", ForwardProtocol::Http),
        collector: Collector::new(&config("http://127.0.0.1:1", ForwardProtocol::Http)).unwrap(),
        position: 0,
        marked: 0,
        marked_at: Instant::now(),
    };
    forwarding.begin().await.unwrap();
}

#[tokio::test]
async fn calls_reach_a_collector_by_either_protocol_with_who_reported_them() {
    for protocol in [ForwardProtocol::Grpc, ForwardProtocol::Http] {
        let (_folder, ledger) = opened().await;
        begun(&ledger).await;
        let sink = Sink::default();
        let endpoint = if protocol == ForwardProtocol::Grpc { grpc(sink.clone()).await } else { http(sink.clone()).await };
        let (stopping, running) = forward(&ledger, config(&endpoint, protocol));
        for number in 2..=6 {
            called(&ledger, number).await;
        }
        sink.has(5).await;
        assert_eq!(sink.calls(), ["2", "3", "4", "5", "6"], "what came before forwarding began stays");
        let resource = sink.taken.lock().unwrap()[0].resource_spans[0].resource.clone().unwrap();
        assert!(resource.attributes.contains(&text("service.namespace", "ipm".into())), "{resource:?}");
        stopping.cancel();
        running.await.unwrap();
    }
}

#[tokio::test]
async fn a_collector_that_is_out_of_order_gets_everything_later() {
    let (_folder, ledger) = opened().await;
    begun(&ledger).await;
    let sink = Sink::default();
    sink.broken.store(true, Ordering::SeqCst);
    let endpoint = http(sink.clone()).await;
    let (stopping, running) = forward(&ledger, config(&endpoint, ForwardProtocol::Http));
    for number in 2..=4 {
        called(&ledger, number).await;
    }
    assert_eq!(sink.calls(), [""; 0]);
    sink.broken.store(false, Ordering::SeqCst);
    sink.has(3).await;
    assert_eq!(sink.calls(), ["2", "3", "4"]);
    stopping.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn too_slow_a_collector_misses_the_oldest_and_it_is_counted() {
    let (_folder, ledger) = opened().await;
    begun(&ledger).await;
    for number in 2..=9 {
        called(&ledger, number).await;
    }
    let sink = Sink::default();
    let endpoint = http(sink.clone()).await;
    let (stopping, running) = forward(&ledger, Forward { behind_spans_max: 3, ..config(&endpoint, ForwardProtocol::Http) });
    sink.has(3).await;
    assert_eq!(sink.calls(), ["7", "8", "9"]);
    assert_eq!(ledger.metrics.forward_dropped.with_label_values(&["behind"]).get(), 5);
    stopping.cancel();
    running.await.unwrap();
}

#[test]
fn a_sample_takes_whole_traces_in_proportion() {
    let of = |number: u64| [[0; 8], (number.wrapping_mul(0x9e37_79b9_7f4a_7c15)).to_be_bytes()].concat();
    let taken = (0..10_000).filter(|number| is_sampled(&of(*number), 0.25)).count();
    assert!((2_300..2_700).contains(&taken), "{taken}");
    assert!((0..100).all(|number| is_sampled(&of(number), 1.0) && !is_sampled(&of(number), 0.0)));
}
