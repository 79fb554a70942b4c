//! The server of the reference.

use std::rc::Rc;

use bytes::Bytes;
use tokio::io::DuplexStream;

use super::plan::{Close, Plan};
use super::{Shared, Taken, fields, send_body, take_body};

pub async fn serve(pipe: DuplexStream, plans: Rc<Vec<Plan>>, seen: Shared, shape: u8) {
    let mut builder = h2::server::Builder::new();
    // Not a small window: the reference does not open it again where data came before its SETTINGS were acknowledged.
    if shape & 32 == 32 {
        builder.initial_window_size(1 << 20).max_frame_size(1 << 15);
    }
    // Not fewer calls at a time than may come: the reference takes it amiss when the rest of a request that it refused is under way.
    if shape & 64 == 64 {
        builder.max_concurrent_streams(100);
    }
    let Ok(mut connection) = builder.handshake::<_, Bytes>(pipe).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        let number = request.headers().get("plan").and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        let number = number.expect("a request names its plan");
        tokio::task::spawn_local(answer(request, respond, Rc::clone(&plans), number, Rc::clone(&seen)));
    }
}

async fn answer(
    request: http::Request<h2::RecvStream>,
    respond: h2::server::SendResponse<Bytes>,
    plans: Rc<Vec<Plan>>,
    number: usize,
    seen: Shared,
) {
    let (head, mut body) = request.into_parts();
    let mut taken = Taken::default();
    taken.fields.push((head.method.as_str().to_owned(), head.uri.path().as_bytes().to_vec()));
    taken.fields.extend(fields(&head.headers));
    seen.borrow_mut().requests[number] = taken;
    let take = {
        let seen = Rc::clone(&seen);
        async move {
            take_body(&mut body, |piece, ending| {
                let request = &mut seen.borrow_mut().requests[number];
                request.body.extend_from_slice(piece);
                request.ending = ending.unwrap_or_default();
            })
            .await;
        }
    };
    if plans[number].is_early {
        tokio::task::spawn_local(take);
    } else {
        take.await;
    }
    send(respond, &plans[number]).await;
}

async fn send(mut respond: h2::server::SendResponse<Bytes>, plan: &Plan) {
    let message = &plan.response;
    let mut response = http::Response::builder().status(plan.status);
    for (name, value) in &message.fields {
        response = response.header(name, &value[..]);
    }
    let response = response.body(()).expect("a sound response");
    if let (Close::Reset(code), true) = (message.close, message.pieces.is_empty()) {
        return respond.send_reset(code.into());
    }
    let ends_at_once = message.close == Close::Data && message.pieces.is_empty();
    let Ok(mut stream) = respond.send_response(response, ends_at_once) else { return };
    if ends_at_once || !send_body(&mut stream, &message.pieces, message.close == Close::Data).await {
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
