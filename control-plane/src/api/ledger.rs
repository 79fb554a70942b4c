//! `chapar.admin.v1.LedgerService`: whether the account of calls is complete, and what it adds up to.

use std::pin::Pin;

use chapar_core::record::CallId;
use chapar_proto::{
    admin::v1::{
        Evidence, ExportEvidenceRequest, ExportEvidenceResponse, HourSum, LedgerFinding, ListSumsRequest, ListSumsResponse,
        ListUnpairedRequest, ListUnpairedResponse, RecordEvidence, UnpairedCall, VerifyLedgerRequest, VerifyLedgerResponse,
        ledger_service_server::{LedgerService, LedgerServiceServer},
    },
    evidence::EVIDENCE_VERSION,
};
use tokio_stream::{Stream, StreamExt as _, wrappers::ReceiverStream};
use tonic::{Request, Response, Status};

use super::traces::{side_name, summary_of, us_of_timestamp};
use crate::{
    access::Role,
    authority::{Authority, Kind},
    caller::Caller,
    clock::{instant_of, wire_of},
    ledger::{
        Call, CallKey, CallQuery, Finding, HourSum as Sum, Ledger, Missing, NoEvidence, Notary, Progress, ProvenRecord, SumQuery,
        Trust,
    },
    page::Page,
    problem::{Problem, WithSources},
};

/// The service, for the admins' listeners.
#[must_use]
pub fn service(ledger: Ledger, authority: Authority, pairing_grace_s: u32) -> LedgerServiceServer<Ledgers> {
    LedgerServiceServer::new(Ledgers { ledger, authority, pairing_grace_s })
}

/// Serves [`LedgerService`].
pub struct Ledgers {
    ledger: Ledger,
    authority: Authority,
    pairing_grace_s: u32,
}

impl Ledgers {
    fn trust(&self) -> Trust {
        trust_of(&self.authority)
    }
}

/// Every certificate that one of a sidecar may lead to, or may have.
#[must_use]
pub fn trust_of(authority: &Authority) -> Trust {
    let current = authority.current();
    let of = |kind: Kind| current.generations.iter().filter(move |generation| generation.kind == kind);
    let crossed = of(Kind::Root).filter_map(|root| root.cross_certificate.clone());
    Trust {
        roots: of(Kind::Root).map(|root| root.certificate.clone()).collect(),
        issuers: of(Kind::Issuing).map(|issuing| issuing.certificate.clone()).chain(crossed).collect(),
    }
}

/// Verifies signatures of sidecars when they come in, and signs their receipt with the control plane's own key.
#[must_use]
pub fn notary(authority: &Authority) -> Notary {
    let (signer, authority) = (authority.signer(), authority.clone());
    let seal = move |bytes: &[u8]| {
        let signature = signer.sign(bytes).map_err(|error| WithSources(&error).to_string())?;
        let certificate = signature.chain.into_iter().next().ok_or("the control plane has no certificate")?;
        Ok((signature.der, certificate))
    };
    Notary::new(move || trust_of(&authority), seal)
}

#[tonic::async_trait]
impl LedgerService for Ledgers {
    type VerifyLedgerStream = Pin<Box<dyn Stream<Item = Result<VerifyLedgerResponse, Status>> + Send>>;

    async fn verify_ledger(&self, request: Request<VerifyLedgerRequest>) -> Result<Response<Self::VerifyLedgerStream>, Status> {
        Caller::from_request(&request)?.require_admin()?;
        let told = self.ledger.verify(request.into_inner().reporter, self.trust(), self.pairing_grace_s);
        let mut last = VerifyLedgerResponse { done: true, ..VerifyLedgerResponse::default() };
        let mut failed = false;
        let steps = ReceiverStream::new(told).map(Some).chain(tokio_stream::once(None)).filter_map(move |step| match step {
            Some(Ok(progress)) => {
                let step = step_of(progress);
                last = VerifyLedgerResponse { findings: Vec::new(), done: true, ..step.clone() };
                Some(Ok(step))
            }
            Some(Err(error)) => {
                failed = true;
                Some(Err(Problem::from(error).into()))
            }
            None if failed => None,
            None => Some(Ok(last.clone())),
        });
        Ok(Response::new(Box::pin(steps)))
    }

    async fn export_evidence(&self, request: Request<ExportEvidenceRequest>) -> Result<Response<ExportEvidenceResponse>, Status> {
        let caller = Caller::from_request(&request)?;
        caller.require_admin()?;
        let asked = request.into_inner().call_id;
        let unknown = |told: &str| Problem::not_found("CALL_UNKNOWN", told);
        let call_id = CallId::parse(asked.as_bytes()).map_err(|error| unknown(&error.to_string()))?;
        let (recorded, unsigned) = self.ledger.evidence(call_id).await.map_err(|none| match none {
            NoEvidence::Unknown => unknown(&none.to_string()),
            NoEvidence::NotYetSigned(_) => Problem::precondition("EVIDENCE_NOT_YET_SIGNED", none.to_string()),
            NoEvidence::Store(error) => Problem::from(error),
        })?;
        if !caller.powers().has(&Role::Inspector) && recorded.iter().any(ProvenRecord::may_tell_subject) {
            return Err(only_for_inspectors().into());
        }
        let mut evidence = evidence_of(self.authority.trust_domain().as_str(), call_id, recorded, &self.trust().issuers);
        evidence.unsigned = unsigned;
        Ok(Response::new(ExportEvidenceResponse { evidence: Some(evidence) }))
    }

    async fn list_unpaired(&self, request: Request<ListUnpairedRequest>) -> Result<Response<ListUnpairedResponse>, Status> {
        Caller::from_request(&request)?.require_admin()?;
        let asked = request.into_inner();
        let page = Page::asked(asked.page_size, &asked.page_token)?;
        let query = CallQuery {
            missing: Some(missing(&asked.missing)?),
            agency: set(asked.agency),
            from_us: asked.from.map(us_of_timestamp),
            until_us: asked.until.map(us_of_timestamp),
            ..CallQuery::default()
        };
        let (calls, next_page_token) = self.ledger.unpaired(query, self.pairing_grace_s, &page).await?;
        let due = self.ledger.unpaired_before(self.pairing_grace_s);
        Ok(Response::new(ListUnpairedResponse {
            calls: calls.into_iter().map(|call| unpaired(call, due)).collect(),
            next_page_token,
        }))
    }

    async fn list_sums(&self, request: Request<ListSumsRequest>) -> Result<Response<ListSumsResponse>, Status> {
        Caller::from_request(&request)?.require_admin()?;
        let asked = request.into_inner();
        let page = Page::asked(asked.page_size, &asked.page_token)?;
        let wanted = SumQuery {
            consumer: set(asked.consumer),
            provider: set(asked.provider),
            inquiry: set(asked.inquiry),
            from: asked.from.as_ref().map(instant_of),
            until: asked.until.as_ref().map(instant_of),
        };
        let (sums, next_page_token) = self.ledger.sums(&wanted, &page).await?;
        Ok(Response::new(ListSumsResponse { sums: sums.into_iter().map(hour_sum).collect(), next_page_token }))
    }
}

fn step_of(progress: Progress) -> VerifyLedgerResponse {
    let count = |number: i64| u64::try_from(number).unwrap_or_default();
    let finding = |found: Finding| LedgerFinding {
        kind: found.kind.to_owned(),
        reporter: found.reporter,
        chain: found.chain,
        first: count(found.first),
        last: count(found.last),
        call_id: found.call_id,
        told: found.told,
    };
    VerifyLedgerResponse {
        chains: progress.chains,
        entries: progress.entries,
        checkpoints: progress.checkpoints,
        unsigned_entries: progress.unsigned,
        forgotten_entries: progress.evicted,
        findings: progress.findings.into_iter().map(finding).collect(),
        done: false,
    }
}

fn only_for_inspectors() -> Problem {
    let told = "this call is about somebody, and its records, which are proven as they are, say about whom by a hash; only an inspector may \
                export them";
    Problem::denied("INSPECTOR_REQUIRED", told)
}

/// The file of what proves a call. `issuers` are whatever may lead to a root.
pub(crate) fn evidence_of(trust_domain: &str, call_id: CallId, recorded: Vec<ProvenRecord>, issuers: &[Vec<u8>]) -> Evidence {
    let count = |number: i64| u64::try_from(number).unwrap_or_default();
    let with_issuers = |leaf: Vec<u8>| std::iter::once(leaf).chain(issuers.iter().cloned()).collect::<Vec<_>>();
    let record = |recorded: ProvenRecord| {
        let received = recorded.signed.received;
        RecordEvidence {
            reporter: recorded.reporter,
            record: recorded.record,
            chain: recorded.chain.0.to_vec(),
            sequence: count(recorded.sequence),
            first: count(recorded.signed.first),
            before: recorded.signed.before.0.to_vec(),
            digests: recorded.digests.iter().map(|digest| digest.to_vec()).collect(),
            position: u32::try_from(recorded.position).unwrap_or(u32::MAX),
            last: count(recorded.signed.last),
            signed_at: Some(wire_of(recorded.signed.signed_at)),
            scheme: recorded.signed.scheme,
            signature: recorded.signed.signature,
            chain_der: with_issuers(recorded.signed.certificate),
            received_at: received.as_ref().map(|received| wire_of(received.at)),
            receipt: received.as_ref().map(|received| received.receipt.clone()).unwrap_or_default(),
            receipt_chain_der: received.map(|received| with_issuers(received.certificate)).unwrap_or_default(),
        }
    };
    Evidence {
        version: EVIDENCE_VERSION,
        trust_domain: trust_domain.to_owned(),
        call_id: call_id.to_string(),
        records: recorded.into_iter().map(record).collect(),
        unsigned: Vec::new(),
    }
}

fn set(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

fn missing(side: &str) -> Result<Missing, Problem> {
    match side {
        "" => Ok(Missing::Either),
        "consumer" => Ok(Missing::Consumers),
        "provider" => Ok(Missing::Providers),
        _ => {
            let told = "missing must be consumer, provider or empty";
            Err(Problem::invalid("SIDE_UNKNOWN", told).field("missing", told))
        }
    }
}

fn unpaired(call: Call, due: CallKey) -> UnpairedCall {
    let missing = side_name(call.awaited).to_owned();
    let agency = if call.awaited == 1 { call.consumer.clone() } else { call.provider.clone() };
    UnpairedCall { call: Some(summary_of(call, due)), missing, agency }
}

fn hour_sum(sum: Sum) -> HourSum {
    let count = |number: i64| u64::try_from(number).unwrap_or_default();
    HourSum {
        hour: Some(wire_of(sum.hour)),
        consumer: sum.consumer,
        provider: sum.provider,
        inquiry: sum.inquiry,
        outcome: sum.outcome,
        calls: count(sum.calls),
        request_bytes: count(sum.request_bytes),
        response_bytes: count(sum.response_bytes),
        duration_us: count(sum.duration_us),
        duration_us_max: count(sum.duration_us_max),
    }
}
