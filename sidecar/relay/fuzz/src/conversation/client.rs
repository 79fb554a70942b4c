//! The client of the reference.

use std::rc::Rc;

use bytes::Bytes;
use tokio::io::DuplexStream;

use super::plan::{Close, Plan};
use super::{Ending, Shared, fields, send_body, take_body};

pub async fn call_all(pipe: DuplexStream, plans: Rc<Vec<Plan>>, seen: Shared, shape: u8) {
    let mut builder = h2::client::Builder::new();
    // Not more calls than the least that the relay allows, before it could say so.
    builder.initial_max_send_streams(2);
    if shape & 8 == 8 {
        builder.initial_window_size(100).max_frame_size(16_384);
    }
    if shape & 16 == 16 {
        builder.header_table_size(0);
    }
    let Ok((sender, connection)) = builder.handshake::<_, Bytes>(pipe).await else { return };
    tokio::task::spawn_local(connection);
    let calls: Vec<_> = (0..plans.len())
        .map(|number| tokio::task::spawn_local(call(sender.clone(), Rc::clone(&plans), number, Rc::clone(&seen))))
        .collect();
    for call in calls {
        call.await.expect("a call does not panic");
    }
}

async fn call(sender: h2::client::SendRequest<Bytes>, plans: Rc<Vec<Plan>>, number: usize, seen: Shared) {
    let plan = &plans[number];
    let note = |ending: Ending| seen.borrow_mut().responses[number].ending = ending;
    let mut request = http::Request::builder().method("POST").uri(format!("http://here{}", plan.path));
    for (name, value) in &plan.request.fields {
        request = request.header(name, &value[..]);
    }
    let request = request.header("te", "trailers").header("plan", number).body(()).expect("a sound request");
    let Ok(mut sender) = sender.ready().await else { return note(Ending::Reset) };
    let message = &plan.request;
    let ends_at_once = message.close == Close::Data && message.pieces.is_empty();
    let Ok((response, stream)) = sender.send_request(request, ends_at_once) else { return note(Ending::Reset) };
    drop(sender);
    if !ends_at_once {
        tokio::task::spawn_local(send(stream, Rc::clone(&plans), number));
    }
    match response.await {
        Err(_) => note(Ending::Reset),
        Ok(response) => {
            let mut head = vec![(":status".to_owned(), response.status().as_str().as_bytes().to_vec())];
            head.extend(fields(response.headers()));
            seen.borrow_mut().responses[number].fields = head;
            let mut body = response.into_body();
            take_body(&mut body, |piece, ending| {
                let response = &mut seen.borrow_mut().responses[number];
                response.body.extend_from_slice(piece);
                response.ending = ending.unwrap_or_default();
            })
            .await;
        }
    }
}

/// Sends the rest of a request, whether its answer has come or not.
async fn send(mut stream: h2::SendStream<Bytes>, plans: Rc<Vec<Plan>>, number: usize) {
    let message = &plans[number].request;
    if !send_body(&mut stream, &message.pieces, message.close == Close::Data).await {
        return;
    }
    match message.close {
        Close::Data => {}
        Close::Trailers => {
            let mut trailers = http::HeaderMap::new();
            for (name, value) in &message.trailers {
                let (Ok(name), Ok(value)) = (http::HeaderName::try_from(name), http::HeaderValue::from_bytes(value)) else {
                    continue;
                };
                trailers.append(name, value);
            }
            let _ = stream.send_trailers(trailers);
        }
        Close::Reset(code) => stream.send_reset(code.into()),
    }
}
