//! A client and a server of the reference library, once directly and once through the relay: what is delivered directly is delivered
//! alike through it.

mod client;
mod plan;
mod server;

use std::{cell::RefCell, rc::Rc, time::Duration};

use chapar_relay::Limits;
use tokio::{io::duplex, task::LocalSet, time::timeout};

use super::{hub::Hub, input::Input, trace};
use plan::Plan;

/// A message as it was taken in: fields, the body as far as it came, and how it ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    /// Pseudo-header fields and fields, of the head.
    fields: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    ending: Ending,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Ending {
    /// It goes on, or never began.
    #[default]
    Open,
    Ended,
    Trailers(Vec<(String, Vec<u8>)>),
    Reset,
}

/// What each side took in, by the number of the call.
#[derive(Debug, Default)]
struct Seen {
    requests: Vec<Taken>,
    responses: Vec<Taken>,
}

type Shared = Rc<RefCell<Seen>>;

pub fn run(input: &mut Input<'_>) {
    let shape = input.byte();
    let plans: Rc<Vec<Plan>> = Rc::new((0..1 + input.byte() % 4).map(|_| Plan::new(input)).collect());
    // Not too small, or an input takes long.
    let pipe_bytes = 64 + usize::from(input.byte()) * 64;
    let read_bytes = 32 + usize::from(input.byte()) * 8;
    let limits = Limits {
        first_message_bytes_max: 1_000,
        transformed_message_bytes_max: 1_000,
        call_window_bytes: 65_535,
        connection_window_bytes: 65_535,
        output_bytes_soft_max: if shape & 1 == 0 { 1_000 } else { 1 << 16 },
        calls_per_connection_max: if shape & 2 == 0 { 100 } else { 2 },
        replay_bytes_max: if shape & 4 == 0 { 0 } else { 1_000 },
        ..Limits::default()
    };
    trace!("{plans:#?}");
    let direct = converse(&plans, shape, None);
    let relayed = converse(&plans, shape, Some((limits, pipe_bytes, read_bytes)));
    for (number, plan) in plans.iter().enumerate() {
        trace!("{number} directly {:?}", (&direct.requests[number], &direct.responses[number]));
        trace!("{number} relayed {:?}", (&relayed.requests[number], &relayed.responses[number]));
        plan.compare_requests(&direct.requests[number], &relayed.requests[number]);
        plan.compare_responses(&direct.responses[number], &relayed.responses[number]);
    }
}

/// Lets the plans happen, and tells what was seen.
fn converse(plans: &Rc<Vec<Plan>>, shape: u8, through: Option<(Limits, usize, usize)>) -> Seen {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
    let empty = vec![Taken::default(); plans.len()];
    let seen: Shared = Rc::new(RefCell::new(Seen { requests: empty.clone(), responses: empty }));
    let local = LocalSet::new();
    local.block_on(&runtime, async {
        let serve = {
            let (plans, seen) = (Rc::clone(plans), Rc::clone(&seen));
            move |pipe| {
                tokio::task::spawn_local(server::serve(pipe, Rc::clone(&plans), Rc::clone(&seen), shape));
            }
        };
        let pipe = match through {
            None => {
                let (near, far) = duplex(1 << 16);
                serve(far);
                near
            }
            Some((limits, pipe_bytes, read_bytes)) => {
                let (hub, near) = Hub::new(limits, pipe_bytes, read_bytes, serve);
                tokio::task::spawn_local(hub);
                near
            }
        };
        // Time only passes when nothing else can happen: then whoever still waits waits in vain.
        let _ = timeout(Duration::from_secs(1), client::call_all(pipe, Rc::clone(plans), Rc::clone(&seen), shape)).await;
    });
    drop(local);
    Rc::try_unwrap(seen).expect("all tasks have ended").into_inner()
}

/// Fields as they are compared: without what the relay writes for itself.
fn fields(map: &http::HeaderMap) -> Vec<(String, Vec<u8>)> {
    let ours = |name: &str| name.starts_with("chapar-") || name == "te";
    map.iter()
        .filter(|(name, _)| !ours(name.as_str()))
        .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
        .collect()
}

/// Takes in a body to its end.
async fn take_body(body: &mut h2::RecvStream, mut note: impl FnMut(&[u8], Option<Ending>)) {
    while let Some(piece) = body.data().await {
        match piece {
            Ok(piece) => {
                let _ = body.flow_control().release_capacity(piece.len());
                note(&piece, None);
            }
            Err(_) => return note(&[], Some(Ending::Reset)),
        }
    }
    let ending = match body.trailers().await {
        Ok(None) => Ending::Ended,
        // A section without fields says no more than the end of the stream.
        Ok(Some(trailers)) if fields(&trailers).is_empty() => Ending::Ended,
        Ok(Some(trailers)) => Ending::Trailers(fields(&trailers)),
        Err(_) => Ending::Reset,
    };
    note(&[], Some(ending));
}

/// Sends a body piece by piece, as windows allow. False: the stream is gone.
async fn send_body(stream: &mut h2::SendStream<bytes::Bytes>, pieces: &[Vec<u8>], end: bool) -> bool {
    for (at, piece) in pieces.iter().enumerate() {
        let mut rest = bytes::Bytes::copy_from_slice(piece);
        let last = end && at + 1 == pieces.len();
        if rest.is_empty() && stream.send_data(rest.clone(), last).is_err() {
            return false;
        }
        while !rest.is_empty() {
            stream.reserve_capacity(rest.len());
            let Some(Ok(capacity)) = std::future::poll_fn(|context| stream.poll_capacity(context)).await else { return false };
            let part = rest.split_to(capacity.min(rest.len()));
            let is_last = last && rest.is_empty();
            if stream.send_data(part, is_last).is_err() {
                return false;
            }
        }
    }
    true
}
