//! A request under way: within the share of whoever asks, as long as it comes in and is answered.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use prometheus::{IntGauge, IntGaugeVec, Opts, Registry};
use tokio::time::{Sleep, sleep};
use tonic::{Code, Status, body::Body};

use super::activity::{Activity, UnderWay};
use crate::{
    audit::Holder,
    limit::{Held, RateMetrics, Shares},
    problem::Problem,
};

/// The one method whose request does not end; its messages are small, and its silences bounded by what is expected on it.
const FOLLOW_PATH: &str = "/chapar.v1.SnapshotService/Follow";

/// Gauges of the requests of all listeners. Clones count together.
#[derive(Clone, Debug)]
pub struct FlightMetrics {
    requests: IntGaugeVec,
    bytes: IntGaugeVec,
    spent: RateMetrics,
}

impl FlightMetrics {
    /// Registers the gauges.
    ///
    /// # Errors
    /// When something else was registered under one of the names.
    pub fn registered(registry: &Registry, spent: RateMetrics) -> prometheus::Result<Self> {
        let gauge = |name: &str, about: &str| {
            let made = IntGaugeVec::new(Opts::new(name, about), &["listener"])?;
            registry.register(Box::new(made.clone())).map(|()| made)
        };
        Ok(Self {
            requests: gauge("chapar_control_plane_requests_open", "Requests under way, snapshot streams included")?,
            bytes: gauge("chapar_control_plane_request_bytes", "Bytes of messages of requests under way")?,
            spent,
        })
    }
}

/// What all requests of a listener share.
#[derive(Clone, Debug)]
pub(super) struct Airspace {
    requests: Shares<Holder>,
    bytes: Shares<Holder>,
    time_max: Duration,
    spent: RateMetrics,
}

impl Airspace {
    pub(super) fn new(listener: &str, requests_max: u32, bytes_max: u64, time_max: Duration, metrics: FlightMetrics) -> Self {
        let gauge = |of: &IntGaugeVec| -> IntGauge { of.with_label_values(&[listener]) };
        Self {
            requests: Shares::new(requests_max.into(), gauge(&metrics.requests)),
            bytes: Shares::new(bytes_max, gauge(&metrics.bytes)),
            time_max,
            spent: metrics.spent,
        }
    }

    /// Begins a request of `holder`.
    ///
    /// # Errors
    /// `SHARE_SPENT`.
    pub(super) fn begun(
        &self,
        holder: &Holder,
        activity: &Activity,
        request: Request<Incoming>,
    ) -> Result<(Request<Counted>, Arc<Flight>), Problem> {
        let spent = |share, bound| {
            self.spent.spent(share);
            spent(holder, bound)
        };
        let place = self.requests.take(holder, 1).ok_or_else(|| spent("requests", "shares.requestsMax"))?;
        let bytes = self.bytes.take(holder, 0).ok_or_else(|| spent("requestBytes", "shares.requestBytesMax"))?;
        let follows = request.uri().path() == FOLLOW_PATH;
        let flight = Arc::new(Flight { bytes: Mutex::new(bytes), _place: place, _under_way: activity.begins() });
        let (metered, holder, spent) = (flight.clone(), holder.clone(), self.spent.clone());
        let meter = (!follows).then(|| Meter { flight: metered, holder, spent, until: Box::pin(sleep(self.time_max)) });
        Ok((request.map(|body| Counted { body, meter }), flight))
    }
}

/// Why a request of `holder` is not taken, for any bound on what one holds at a time.
pub(super) fn spent(holder: &Holder, bound: &'static str) -> Problem {
    /// It may be free again at any moment.
    const WAIT_S: u32 = 5;
    let told = format!("{} has spent its share of {bound}; try again in {WAIT_S} s", told(holder));
    Problem::new(Code::ResourceExhausted, "SHARE_SPENT", told).with("bound", bound).retry_after(WAIT_S)
}

fn told(holder: &Holder) -> String {
    match holder {
        Holder::Admin(name) => name.clone(),
        Holder::Agency(name) => format!("the agency {name}"),
        Holder::Stranger(network) => network.to_string(),
    }
}

/// Held until a request was read, carried out and answered.
#[derive(Debug)]
pub(super) struct Flight {
    bytes: Mutex<Held<Holder>>,
    _place: Held<Holder>,
    _under_way: UnderWay,
}

/// A request's body, each byte of which is charged to whoever sends it until the request is answered.
pub(super) struct Counted {
    body: Incoming,
    /// `None`: a stream.
    meter: Option<Meter>,
}

struct Meter {
    flight: Arc<Flight>,
    holder: Holder,
    spent: RateMetrics,
    until: Pin<Box<Sleep>>,
}

impl Meter {
    fn charge(&self, bytes: usize) -> Result<(), Status> {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        if self.flight.bytes.lock().unwrap_or_else(PoisonError::into_inner).more(bytes) {
            return Ok(());
        }
        self.spent.spent("requestBytes");
        Err(spent(&self.holder, "shares.requestBytesMax").into())
    }
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Self { body, meter } = self.get_mut();
        match Pin::new(body).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                let charged = meter.as_ref().map_or(Ok(()), |meter| meter.charge(bytes));
                Poll::Ready(Some(charged.map(|()| frame)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(Status::from_error(error.into())))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                let late = meter.as_mut().is_some_and(|meter| meter.until.as_mut().poll(context).is_ready());
                if !late {
                    return Poll::Pending;
                }
                let told = "the request did not come in whole in time; the bound is shares.requestTimeoutS";
                Poll::Ready(Some(Err(Problem::new(Code::DeadlineExceeded, "REQUEST_TOO_SLOW", told).into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The response, whose end is the end of the flight.
pub(super) fn answered(response: Response<Body>, flight: Arc<Flight>) -> Response<Body> {
    response.map(|body| Body::new(Answer { body, _flight: flight }))
}

struct Answer {
    body: Body,
    _flight: Arc<Flight>,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
