//! One attempt: a call on the wire, from the request's head to the last of the response.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use chapar_core::policy::{GrpcCode, Reason, Refusal};
use futures_util::FutureExt as _;
use h2::{RecvStream, SendStream, client::ResponseFuture};
use http::{HeaderMap, StatusCode};
use tokio::time::Sleep;

use super::{
    caller::Caller,
    heads::{self, Verdict},
    pump::{Broken, Ended, Pump},
};
use crate::live::Pass;

/// How an attempt ended.
#[derive(Debug)]
pub(super) enum Landing {
    /// The response is out: the server's status, or the reason for which the provider's sidecar refused.
    Answered { status: GrpcCode, refused: Option<Reason> },
    /// The other side broke the stream off.
    Reset(h2::Reason),
    /// The connection broke.
    Lost(h2::Error),
    /// The other side provably did not take the call on.
    NotTaken(h2::Error),
    /// The policy no longer allows the call.
    Cut(Refusal),
    /// The caller's deadline passed.
    TooLate,
    /// The caller went away.
    Abandoned,
}

/// A call's own end, the same for all its attempts.
#[derive(Debug)]
pub(super) struct Near {
    pub(super) caller: Caller,
    pub(super) body: RecvStream,
    pub(super) request: Pump,
    pub(super) response: Pump,
    pub(super) pass: Pass,
    pub(super) deadline: Option<Pin<Box<Sleep>>>,
    pub(super) call_id: Box<str>,
}

/// The other end of one attempt.
#[derive(Debug)]
pub(super) struct Flight<'n> {
    near: &'n mut Near,
    sink: SendStream<Bytes>,
    answer: Answer,
    request_done: bool,
    from_sidecar: bool,
}

#[derive(Debug)]
enum Answer {
    Awaited(ResponseFuture),
    Coming { body: RecvStream, http: StatusCode, verdict: Verdict },
}

impl Near {
    /// Ready when the call must end whatever the other side does.
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<Landing> {
        if let Poll::Ready(refusal) = self.pass.poll_cut(cx) {
            return Poll::Ready(Landing::Cut(refusal));
        }
        if self.caller.poll_gone(cx).is_ready() {
            return Poll::Ready(Landing::Abandoned);
        }
        match &mut self.deadline {
            Some(deadline) => deadline.as_mut().poll(cx).map(|()| Landing::TooLate),
            None => Poll::Pending,
        }
    }
}

impl<'n> Flight<'n> {
    /// A request whose head is out. `request_done` when it has no body.
    pub(super) const fn new(
        near: &'n mut Near,
        response: ResponseFuture,
        sink: SendStream<Bytes>,
        request_done: bool,
        from_sidecar: bool,
    ) -> Self {
        Self { near, sink, answer: Answer::Awaited(response), request_done, from_sidecar }
    }

    /// Carries both directions until one of them, or the call itself, is over.
    pub(super) async fn land(mut self) -> Landing {
        let landing = std::future::poll_fn(|cx| self.poll(cx)).await;
        if !matches!(landing, Landing::Answered { .. } | Landing::Reset(_)) {
            // The other side learns at once that nobody waits any more. After an answer, dropping the stream says so where
            // it needs saying.
            self.sink.send_reset(h2::Reason::CANCEL);
        }
        landing
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Landing> {
        if let Poll::Ready(landing) = self.near.poll_over(cx) {
            return Poll::Ready(landing);
        }
        if !self.request_done {
            match self.near.request.poll(&mut self.near.body, &mut self.sink, cx) {
                Poll::Ready(Ok(ended)) => {
                    self.request_done = true;
                    self.end_request(ended);
                }
                // What it wants no more of is told by its answer, which is still awaited.
                Poll::Ready(Err(Broken::Sink)) => self.request_done = true,
                Poll::Ready(Err(Broken::Source(_))) => return Poll::Ready(Landing::Abandoned),
                Poll::Pending => {}
            }
        }
        self.poll_answer(cx)
    }

    fn end_request(&mut self, ended: Ended) {
        let sent = match ended {
            Ended::WithData => Ok(()),
            Ended::WithTrailers(None) => self.sink.send_data(Bytes::new(), true),
            Ended::WithTrailers(Some(mut trailers)) => {
                heads::strip(&mut trailers);
                self.sink.send_trailers(trailers)
            }
        };
        if let Err(error) = sent {
            // As above: the answer tells.
            tracing::debug!(%error, "the end of a request could not be sent");
        }
    }

    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<Landing> {
        loop {
            match &mut self.answer {
                Answer::Awaited(response) => match ready!(response.poll_unpin(cx)) {
                    Ok(response) => {
                        if let Some(landing) = self.begin(response) {
                            return Poll::Ready(landing);
                        }
                    }
                    Err(error) => return Poll::Ready(untaken_or_broken(error)),
                },
                Answer::Coming { body, http, verdict } => {
                    let Caller::Answering(stream) = &mut self.near.caller else {
                        return Poll::Ready(Landing::Abandoned);
                    };
                    return Poll::Ready(match ready!(self.near.response.poll(body, stream, cx)) {
                        Ok(Ended::WithData) => answered(*http, *verdict),
                        Ok(Ended::WithTrailers(trailers)) => {
                            let (http, before) = (*http, *verdict);
                            self.finish(http, before, trailers)
                        }
                        Err(Broken::Sink) => Landing::Abandoned,
                        Err(Broken::Source(error)) => broken(error),
                    });
                }
            }
        }
    }

    /// The response's head has come.
    fn begin(&mut self, response: http::Response<RecvStream>) -> Option<Landing> {
        // From here on the other side has taken the call, and nothing will be sent again.
        self.near.request.forget();
        let (parts, body) = response.into_parts();
        let http = parts.status;
        let verdict = heads::verdict(&parts.headers, self.from_sidecar);
        let end = body.is_end_stream();
        let head = heads::back(http::Response::from_parts(parts, ()), &self.near.call_id);
        if self.near.caller.head(head, end).is_err() {
            return Some(Landing::Abandoned);
        }
        if end {
            return Some(answered(http, verdict));
        }
        self.answer = Answer::Coming { body, http, verdict };
        None
    }

    /// The response's data are out, its trailers have come.
    fn finish(&mut self, http: StatusCode, before: Verdict, trailers: Option<HeaderMap>) -> Landing {
        let mut trailers = trailers.unwrap_or_default();
        let after = heads::verdict(&trailers, self.from_sidecar);
        let verdict = Verdict { status: after.status.or(before.status), refused: after.refused.or(before.refused) };
        heads::strip(&mut trailers);
        if verdict.refused.is_some() {
            // The other sidecar cut a call that it had begun to answer. Many a library shows of such a call the trailers alone.
            heads::with_call_id(&mut trailers, &self.near.call_id);
        }
        match self.near.caller.trailers(trailers) {
            Ok(()) => answered(http, verdict),
            Err(_) => Landing::Abandoned,
        }
    }
}

fn answered(http: StatusCode, verdict: Verdict) -> Landing {
    let status = verdict.status.unwrap_or_else(|| heads::status_of_http(http));
    Landing::Answered { status, refused: verdict.refused }
}

/// No head has come. A refused stream, and one above the last that a GOAWAY names, were not taken on (RFC 9113, section 8.7).
fn untaken_or_broken(error: h2::Error) -> Landing {
    let refused = error.is_reset() && error.is_remote() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
    let gone = error.is_go_away() && error.is_remote();
    if refused || gone { Landing::NotTaken(error) } else { broken(error) }
}

fn broken(error: h2::Error) -> Landing {
    match error.reason() {
        Some(reason) if error.is_reset() && error.is_remote() => Landing::Reset(reason),
        _ => Landing::Lost(error),
    }
}
