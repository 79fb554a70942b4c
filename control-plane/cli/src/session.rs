//! One connection to the control plane, and the output that its answers go to.

use std::{future::Future, time::Duration};

use tonic::{Code, Response, Status, transport::Channel};

use crate::{
    connect::{self, ConnectionArgs},
    failure::Failure,
    output::{Output, Style, json::Answer},
    paging::{Page, PageRequest, collect},
    verdict::Verdict,
};

/// Largest answer taken: a policy version as one text is a few megabytes at most.
pub(crate) const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

pub(crate) struct Session {
    pub(crate) channel: Channel,
    pub(crate) output: Output,
    endpoint: String,
    timeout: Duration,
}

impl Session {
    pub(crate) async fn open(connection: &ConnectionArgs, output: Output) -> Result<Self, Failure> {
        let channel = connect::open(connection).await?;
        Ok(Self { channel, output, endpoint: connection.endpoint.clone(), timeout: connection.timeout.0 })
    }

    /// Waits for one answer, no longer than `--timeout`.
    pub(crate) async fn call<T>(&self, answer: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, Failure> {
        self.call_waiting(Duration::ZERO, answer).await
    }

    /// As [`Session::call`], for a request that itself asks the control plane to wait.
    pub(crate) async fn call_waiting<T>(
        &self,
        wait: Duration,
        answer: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Failure> {
        match tokio::time::timeout(self.timeout.saturating_add(wait), answer).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(self.failure(status)),
            Err(_) => Err(Failure::Unreachable {
                endpoint: self.endpoint.clone(),
                cause: format!("no answer within {} s", self.timeout.saturating_add(wait).as_secs_f32()),
                hint: "the request may have taken effect: look before you repeat it; --timeout allows a longer wait",
            }),
        }
    }

    /// Fetches a list page by page, as far as `limit` goes, and shows it. `ask` sends one request, `draw` draws the answer for people.
    pub(crate) async fn list<R: PageRequest, A: Page + Answer>(
        &self,
        limit: u32,
        request: R,
        ask: impl AsyncFn(R) -> Result<Response<A>, Status>,
        draw: impl FnOnce(&Style, &A) -> String,
    ) -> Result<Verdict, Failure> {
        let ask = &ask;
        let answer: A = collect(limit, |size, token| {
            let request = request.for_page(size, token);
            async move { self.call(ask(request)).await }
        })
        .await?;
        self.output.show_list(&answer, |style| draw(style, &answer))?;
        Ok(Verdict::Yes)
    }

    /// A status that no control plane sent, but the connection's own end made, is no refusal.
    fn failure(&self, status: Status) -> Failure {
        let is_local = std::error::Error::source(&status).is_some();
        if status.code() == Code::Unavailable && status.details().is_empty() || is_local {
            return Failure::Unreachable {
                endpoint: self.endpoint.clone(),
                cause: status.message().to_owned(),
                hint: "the request may have taken effect: look before you repeat it",
            };
        }
        Failure::Refused(Box::new(status.into()))
    }
}

/// A client of a service over the session's connection.
macro_rules! client {
    ($session:expr, $module:ident :: $client:ident) => {
        chapar_proto::admin::v1::$module::$client::new($session.channel.clone())
            .max_decoding_message_size($crate::session::ANSWER_BYTES_MAX)
    };
}
pub(crate) use client;
