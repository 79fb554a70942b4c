//! An admin's call, between the proof of who asks and the service: may the role do it, and is it on record.

use bytes::{Buf as _, Bytes};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage};
use std::sync::LazyLock;
use tonic::{Code, Status, body::Body, service::Routes};
use tower::Service as _;

use super::flight::Counted;
use crate::{
    access::{Access, Guard, Kind, Role, Rule, rule},
    audit::{Act, Holder, Repeats, shortened},
    authority::sha256,
    caller::Caller,
    problem::Problem,
    second::{self, Asked},
    store::{AuditEntry, Store, with_second},
    telemetry::RpcSpans,
};

/// Largest request of which the gate reads the message, in bytes: above the largest that a service takes.
const MESSAGE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Bytes before a message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

/// Longest text of a recorded question, in bytes.
const QUESTION_BYTES_MAX: usize = 512;

/// Every message of the admin API.
static MESSAGES: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(chapar_proto::FILE_DESCRIPTOR_SET).expect("the embedded descriptors are well-formed")
});

/// Serves a call, if the caller's role may make it. Every refusal is on record, and so is every reading of account and audit.
pub(super) async fn serve(desk: &Desk, caller: Caller, request: Request<Counted>, routes: RpcSpans<Routes>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let found = rule(&path);
    let act = Act::default();
    let served = match found {
        None => {
            Err(Problem::new(Code::Unimplemented, "METHOD_UNKNOWN", format!("{} is no method of the admin API", short(&path))))
        }
        Some(rule) => admitted(rule, desk, caller.clone(), request, routes, &act).await,
    };
    let response = served.unwrap_or_else(|problem| Status::from(problem).into_http());
    let Some(refused) = refusal_in(&response) else { return response };
    let holder = Holder::Admin(caller.actor());
    let entry = act.refusal().unwrap_or_else(|| {
        let details = serde_json::json!({ "message": shortened(refused.message()) });
        let action = found.map_or("request.refuse", |rule| rule.action);
        AuditEntry::refused(caller.actor(), action, short(&path), reason_of(&refused)).with(details)
    });
    match desk.repeats.refused(&holder, entry).await {
        Ok(()) => response,
        Err(error) => Status::from(Problem::from(error)).into_http(),
    }
}

async fn admitted(
    rule: &'static Rule,
    desk: &Desk,
    caller: Caller,
    request: Request<Counted>,
    mut routes: RpcSpans<Routes>,
    act: &Act,
) -> Result<Response<Body>, Problem> {
    let powers = caller.powers();
    if !rule.allows(&powers) {
        return Err(not_yours(rule, &caller));
    }
    let only_own = rule.only_own(&powers);
    let guard = if let Kind::Guarded(guard) = rule.kind { Some(guard) } else { None };
    if !only_own && !rule.is_recorded() && guard.is_none() {
        let mut request = request;
        request.extensions_mut().insert(caller);
        return told(act.carry_out(routes.call(request)).await);
    }
    let (mut head, body) = request.into_parts();
    let bytes = Limited::new(body, MESSAGE_BYTES_MAX).collect().await;
    let bytes = bytes.map_err(|_| Problem::invalid("REQUEST_MALFORMED", "the request is not whole, or too large"))?.to_bytes();
    let message = message_in(rule, &bytes)?;
    if only_own {
        let named = message.get_field_by_name("agency").and_then(|field| field.as_str().map(str::to_owned)).unwrap_or_default();
        if !powers.only_for().iter().any(|agency| agency.as_str() == named) {
            let told = format!("{} acts for {}; name one of them as the agency", caller.actor(), own_of(&caller));
            return Err(Problem::denied("AGENCY_FOREIGN", told));
        }
    }
    if rule.is_recorded() {
        // Before it is answered: what cannot be put on record is not read.
        let question = serde_json::to_string(&message).unwrap_or_default();
        let question = &question[..question.floor_char_boundary(QUESTION_BYTES_MAX)];
        desk.repeats.done(AuditEntry::done(caller.actor(), rule.action, question)).await?;
    }
    let waits = guard.filter(|guard| demands_second(&desk.access, *guard, &message, &caller));
    let agreed = match waits {
        Some(guard) => Some(second::agreed(&desk.store, &caller, asked(rule, guard, message, &bytes)).await?),
        None => None,
    };
    head.extensions.insert(caller);
    let served = act.carry_out(routes.call(Request::from_parts(head, Full::new(bytes))));
    let Some((id, second)) = agreed else { return told(served.await) };
    let response = told(with_second(second, served).await)?;
    if Status::from_header_map(response.headers()).is_some_and(|status| status.code() != Code::Ok) {
        second::failed(&desk.store, id).await?;
    }
    Ok(response)
}

/// Whether this very request waits for a second person.
fn demands_second(access: &Access, guard: Guard, message: &DynamicMessage, caller: &Caller) -> bool {
    if message.get_field_by_name("dry_run").is_some_and(|dry_run| dry_run.as_bool() == Some(true)) {
        return false;
    }
    if guard != Guard::Inspector {
        return access.demands_second(guard);
    }
    let roles = message.get_field_by_name("roles");
    let words = roles.iter().filter_map(|roles| roles.as_list()).flatten().filter_map(|role| role.as_str());
    let needs_two = words.filter_map(|word| word.parse::<Role>().ok()).any(|role| role.needs_two());
    needs_two && (access.demands_second(guard) || !matches!(caller, Caller::Local { .. }))
}

fn asked(rule: &'static Rule, guard: Guard, mut message: DynamicMessage, bytes: &Bytes) -> Asked {
    // Whoever asks again has made another key meanwhile: a second person agrees to who becomes what.
    message.clear_field_by_name("csr_der");
    let digest = sha256(&message.encode_to_vec());
    Asked { guard, method: rule.method, request: bytes.get(PREFIX_BYTES..).unwrap_or_default().to_vec(), digest }
}

/// What an admin's call is judged by, and where it is put on record.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) access: std::sync::Arc<Access>,
    pub(super) repeats: Repeats,
    pub(super) store: Store,
}

fn told(served: Result<Response<Body>, std::convert::Infallible>) -> Result<Response<Body>, Problem> {
    match served {
        Ok(response) => Ok(response),
        Err(never) => match never {},
    }
}

fn not_yours(rule: &Rule, caller: &Caller) -> Problem {
    let own = own_of(caller);
    let own = if own.is_empty() { "no role" } else { &own };
    let told = format!(
        "{} has {own}; this is for: {}. An admin grants roles: chapar admin-cert issue NAME --role ROLE",
        caller.actor(),
        rule.roles()
    );
    // What tools look for since before there were roles.
    let reason = if rule.may == "i" { "INSPECTOR_REQUIRED" } else { "ROLE_MISSING" };
    Problem::denied(reason, told).with("roles", rule.roles())
}

fn own_of(caller: &Caller) -> String {
    caller.powers().roles().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// The one message of a request.
fn message_in(rule: &Rule, body: &Bytes) -> Result<DynamicMessage, Problem> {
    let malformed = || Problem::invalid("REQUEST_MALFORMED", "the request holds no message of this method, in the clear");
    let (service, method) = rule.method.split_once('/').ok_or_else(malformed)?;
    let service = MESSAGES.get_service_by_name(&format!("chapar.admin.v1.{service}")).ok_or_else(malformed)?;
    let input = service.methods().find(|found| found.name() == method).ok_or_else(malformed)?.input();
    let mut prefix = body.get(..PREFIX_BYTES).ok_or_else(malformed)?;
    let (compressed, length) = (prefix.get_u8(), prefix.get_u32());
    let message = body.get(PREFIX_BYTES..).ok_or_else(malformed)?;
    if compressed != 0 || usize::try_from(length).ok() != Some(message.len()) {
        return Err(malformed());
    }
    DynamicMessage::decode(input, message).map_err(|_| malformed())
}

/// What the answer refuses. A failure of the control plane itself is in its log.
fn refusal_in(response: &Response<Body>) -> Option<Status> {
    let status = Status::from_header_map(response.headers())?;
    (status.code() != Code::Ok && status.code() != Code::Internal).then_some(status)
}

fn reason_of(status: &Status) -> String {
    let full = chapar_proto::rpc::Status::decode(status.details()).unwrap_or_default();
    let info = full.details.iter().find_map(|detail| detail.to_msg::<chapar_proto::rpc::ErrorInfo>().ok());
    info.map_or_else(|| format!("{:?}", status.code()), |info| info.reason)
}

pub(super) fn short(path: &str) -> &str {
    const BYTES_MAX: usize = 128;
    &path[..path.floor_char_boundary(BYTES_MAX)]
}
