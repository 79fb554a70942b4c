//! What the control plane's traces say about the calls that were made.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result};
use chapar_proto::admin::v1::{GetTraceRequest, ListTracesRequest, Span, TraceSummary, trace_service_client::TraceServiceClient};
use chapar_tests::{control_plane::spelled_out, wait};
use tonic::transport::Channel;

use crate::{
    catalogue::{Catalogue, Grant},
    decision::{Decision, Made},
};

/// How long the traces of calls may take to arrive.
const ARRIVAL_LIMIT: Duration = Duration::from_secs(30);
/// The most that the admin API gives at once.
const PAGE_SIZE: u32 = 1_000;

/// The traces of the calls, each by its call ID.
pub struct Ledger {
    client: TraceServiceClient<Channel>,
    by_call: BTreeMap<String, TraceSummary>,
}

impl Ledger {
    /// Waits until the control plane holds a trace of every call, with both halves of those that were answered.
    /// What has not arrived in time is missing, which [`Ledger::deviations`] then tells.
    ///
    /// # Errors
    /// When the control plane does not answer.
    pub async fn read(channel: Channel, made: &[Made]) -> Result<Self> {
        let client = TraceServiceClient::new(channel);
        let complete = wait::until("the traces of all calls", ARRIVAL_LIMIT, || async {
            let by_call = list(&client).await.ok()?;
            made.iter().all(|m| arrived(&by_call, m)).then_some(by_call)
        })
        .await;
        let by_call = match complete {
            Ok(by_call) => by_call,
            Err(_) => list(&client).await?,
        };
        Ok(Self { client, by_call })
    }

    /// How many traces there are, of any call.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_call.len()
    }

    /// Whether the control plane holds no trace.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_call.is_empty()
    }

    /// The trace of a call.
    #[must_use]
    pub fn summary(&self, made: &Made) -> Option<&TraceSummary> {
        self.by_call.get(made.call_id.as_deref()?)
    }

    /// All spans of a call's trace.
    ///
    /// # Errors
    /// When the control plane holds none.
    pub async fn spans(&self, made: &Made) -> Result<Vec<Span>> {
        let id = made.call_id.clone().with_context(|| format!("{} → {} has no call ID", made.consumer, made.inquiry))?;
        let answer = self.client.clone().get_trace(GetTraceRequest { id }).await.map_err(spelled_out)?;
        Ok(answer.into_inner().spans)
    }

    /// One line for each call whose trace is missing, or says otherwise than what the caller saw.
    ///
    /// # Errors
    /// When the control plane does not answer.
    pub async fn deviations(&self, catalogue: &Catalogue, made: &[Made]) -> Result<Vec<String>> {
        let mut deviations = Vec::new();
        for call in made {
            let name = format!("trace of {} → {}", call.consumer, call.inquiry);
            let Some(summary) = self.summary(call) else {
                deviations.push(format!("{name}: missing (call ID {:?})", call.call_id));
                continue;
            };
            let grant = catalogue.grant(&call.consumer, call.inquiry);
            let mut problems = summary_problems(catalogue, call, grant, summary);
            if call.decision == Decision::Answered {
                problems.extend(span_problems(grant, &self.spans(call).await?));
            }
            deviations.extend(problems.into_iter().map(|problem| format!("{name}: {problem}")));
        }
        Ok(deviations)
    }
}

async fn list(client: &TraceServiceClient<Channel>) -> Result<BTreeMap<String, TraceSummary>> {
    let mut client = client.clone();
    let mut by_call = BTreeMap::new();
    let mut page_token = String::new();
    loop {
        let request = ListTracesRequest { page_size: PAGE_SIZE, page_token, ..Default::default() };
        let page = client.list_traces(request).await.map_err(spelled_out)?.into_inner();
        by_call.extend(page.traces.into_iter().map(|t| (t.call_id.clone(), t)));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(by_call);
        }
    }
}

fn arrived(by_call: &BTreeMap<String, TraceSummary>, made: &Made) -> bool {
    let wanted = if made.decision == Decision::Answered { 2 } else { 1 };
    let trace = made.call_id.as_ref().and_then(|id| by_call.get(id));
    trace.is_some_and(|t| t.spans >= wanted)
}

fn summary_problems(catalogue: &Catalogue, call: &Made, grant: Option<&Grant>, trace: &TraceSummary) -> Vec<String> {
    let (outcome, reason) = match &call.decision {
        Decision::Answered => ("served", ""),
        Decision::Refused(reason) => ("refused", reason.as_str()),
        Decision::Failed(_) => ("failed", ""),
    };
    let mut wanted = vec![
        ("consumer", trace.consumer.as_str(), call.consumer.as_str()),
        ("provider", trace.provider.as_str(), catalogue.provider_of(call.inquiry).unwrap_or_default()),
        ("inquiry", trace.inquiry.as_str(), call.inquiry),
        ("outcome", trace.outcome.as_str(), outcome),
        ("reason", trace.reason.as_str(), reason),
    ];
    if let Some(grant) = grant.filter(|_| call.decision == Decision::Answered) {
        wanted.push(("resolution", trace.resolution.as_str(), grant.resolution.as_str()));
    }
    let wrong = wanted.into_iter().filter(|(_, seen, wanted)| seen != wanted);
    wrong.map(|(what, seen, wanted)| format!("{what} is {seen:?}, must be {wanted:?}")).collect()
}

/// A served call has exactly a client's span and a server's below it, both naming the grant.
fn span_problems(grant: Option<&Grant>, spans: &[Span]) -> Vec<String> {
    let mut problems = Vec::new();
    let client = spans.iter().find(|s| s.kind == "client");
    let server = spans.iter().find(|s| s.kind == "server");
    let (Some(client), Some(server)) = (client, server) else {
        let kinds: Vec<&str> = spans.iter().map(|s| s.kind.as_str()).collect();
        return vec![format!("has spans {kinds:?}, must have a client's and a server's")];
    };
    if spans.len() != 2 {
        problems.push(format!("has {} spans, must have 2", spans.len()));
    }
    if server.parent_span_id != client.span_id {
        problems.push(format!("server's parent is {:?}, must be {:?}", server.parent_span_id, client.span_id));
    }
    let name = grant.map(Grant::name);
    for span in [client, server] {
        let seen = span.attributes.get("chapar.grant");
        if seen != name.as_ref() {
            problems.push(format!("{}'s grant is {seen:?}, must be {name:?}", span.kind));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant() -> Grant {
        let text = ToOwned::to_owned;
        let (resolution, clause) = (text("38-1"), text("4"));
        Grant { resolution, clause, consumer: text("ipm"), inquiry: text("shahkar"), in_force: true }
    }

    fn call(decision: Decision) -> Made {
        let (consumer, call_id) = ("ipm".to_owned(), Some("c1".to_owned()));
        Made { consumer, inquiry: "shahkar", decision, call_id, detail: String::new(), took: Duration::ZERO }
    }

    fn served() -> TraceSummary {
        TraceSummary {
            consumer: "ipm".to_owned(),
            provider: "cra".to_owned(),
            inquiry: "shahkar".to_owned(),
            outcome: "served".to_owned(),
            resolution: "38-1".to_owned(),
            spans: 2,
            ..Default::default()
        }
    }

    fn pair() -> [Span; 2] {
        let attributes = [("chapar.grant".to_owned(), grant().name())].into();
        let client = Span { kind: "client".to_owned(), span_id: "a".to_owned(), attributes, ..Default::default() };
        let mut server = client.clone();
        (server.kind, server.span_id, server.parent_span_id) = ("server".into(), "b".into(), "a".into());
        [client, server]
    }

    #[test]
    fn a_served_call_told_by_both_sides_is_right() {
        let catalogue = Catalogue::read().expect("the embedded files are whole");
        let grant = grant();
        assert!(summary_problems(&catalogue, &call(Decision::Answered), Some(&grant), &served()).is_empty());
        assert!(span_problems(Some(&grant), &pair()).is_empty());
    }

    #[test]
    fn tells_a_trace_that_says_otherwise_than_the_caller_saw() {
        let catalogue = Catalogue::read().expect("the embedded files are whole");
        let refused = call(Decision::Refused("NO_GRANT".to_owned()));
        let problems = summary_problems(&catalogue, &refused, None, &served());
        assert_eq!(problems.len(), 2, "outcome and reason: {problems:?}");
        let wrong = TraceSummary { resolution: "38-5".to_owned(), provider: "post".to_owned(), ..served() };
        assert_eq!(summary_problems(&catalogue, &call(Decision::Answered), Some(&grant()), &wrong).len(), 2);
    }

    #[test]
    fn tells_a_missing_half_a_wrong_parent_and_a_wrong_grant() {
        let grant = grant();
        assert_eq!(span_problems(Some(&grant), &pair()[..1]).len(), 1);
        let mut orphan = pair();
        orphan[1].parent_span_id.clear();
        assert_eq!(span_problems(Some(&grant), &orphan).len(), 1);
        let mut other = pair();
        other[0].attributes.clear();
        assert_eq!(span_problems(Some(&grant), &other).len(), 1);
    }
}
