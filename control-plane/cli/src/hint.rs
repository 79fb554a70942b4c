//! What to do next, by the stable reason of a refusal.
//!
//! A word in braces is filled from the refusal's metadata; what is not there stays as a word in capitals.

use chapar_proto::rpc::ErrorInfo;
use tonic::Code;

/// Reason → next step, as a command or a sentence.
const STEPS: &[(&str, &str)] = &[
    // Agencies and tokens
    (
        "AGENCY_UNKNOWN",
        "`chapar agency list` shows those that exist; add one with `chapar apply -f` and a document of kind Agency",
    ),
    ("AGENCY_SUSPENDED", "`chapar agency reinstate {agency}` lets it take part again"),
    ("AGENCY_NOT_SUSPENDED", "nothing is to be done: the agency takes part"),
    ("TOKEN_UNKNOWN", "`chapar token list` shows those that exist"),
    ("TOKEN_USED", "its certificate is what to revoke: `chapar cert list --agency {agency}`, then `chapar cert revoke SERIAL`"),
    ("TOKEN_EXPIRED", "make a new one: `chapar token create {agency}`"),
    ("TOKEN_REVOKED", "make a new one: `chapar token create {agency}`"),
    // Passports
    ("PASSPORT_UNKNOWN", "`chapar passport list` shows those that exist; a version may be shortened to 8 digits or more"),
    ("PASSPORT_AMBIGUOUS", "give more digits of the version, or name the service with --service"),
    (
        "PASSPORT_STATE",
        "`chapar passport show {version}` tells its state; `chapar passport submit {version}` submits a draft, which can then be approved",
    ),
    (
        "PASSPORT_INCOMPATIBLE",
        "restore what the lines above name, or publish the change as a new service (…v2); \
      `chapar passport approve {version} --danger-allow-breaks` breaks consumers knowingly",
    ),
    (
        "PASSPORT_INCOMPLETE",
        "add the options that the lines above name to the .proto file (chapar/v1/passport.proto), and submit again",
    ),
    (
        "DESCRIPTOR_MALFORMED",
        "submit a serialised FileDescriptorSet with its imports: `protoc --include_imports --descriptor_set_out=FILE`",
    ),
    // Policy
    ("RESOURCE_INVALID", "correct the places above and apply again; nothing was applied"),
    ("RESOURCE_REFERENCED", "delete or change what refers to it first, or in the same command"),
    ("RESOURCE_UNKNOWN", "`chapar resource list` shows those that exist"),
    ("VERSION_UNKNOWN", "`chapar policy versions` shows those that exist"),
    ("GRANT_UNKNOWN", "`chapar grant list` shows those that exist"),
    ("GRANT_STATE", "nothing is to be done: `chapar grant list` shows which grants are revoked"),
    // Certificates
    ("CERTIFICATE_UNKNOWN", "`chapar cert list --all` shows those that exist; give the whole serial"),
    (
        "CERTIFICATE_REVOKED",
        "nothing is to be done for this one; to keep its agency out: `chapar agency suspend AGENCY --reason …`",
    ),
    ("CERTIFICATE_MISSING", "give --cert, --key and --ca, made by `chapar admin-cert issue` on the control plane's own machine"),
    ("ROTATION_UNDERWAY", "`chapar ca show` tells its state; wait for it to end"),
    ("SIDECAR_UNKNOWN", "`chapar cert list --all` shows who was ever given a certificate; write it as AGENCY/NAME"),
    (
        "SIDECAR_REVOKED",
        "make a new one: `chapar token create {agency}`; tokens from before the revocation are void for that sidecar",
    ),
    ("NOT_AN_ISSUER", "a root goes with everything under it: `chapar ca rotate-root`, then `chapar ca retire`"),
    ("GENERATION_UNKNOWN", "`chapar ca show` shows those that exist"),
    (
        "GENERATION_IN_USE",
        "its holders renew by themselves, and their earlier certificates run out (`chapar cert list` tells when, `chapar ca show` counts them); \
      --danger-void-certificates voids them knowingly",
    ),
    ("CSR_WEAK_KEY", "use ECDSA P-256 or P-384, Ed25519, or RSA of 3,072 bits and more"),
    ("TRACE_UNKNOWN", "`chapar trace list` shows those that are stored; a call that has just ended may take a second to arrive"),
    ("ADMIN_REQUIRED", "use an admin certificate (spiffe://<trust-domain>/admin/<name>); `chapar admin-cert issue` makes one"),
    ("GENERATION_RETIRED", "nothing is to be done: it is no longer trusted"),
    ("GENERATION_EXPIRES", "rotate it: `chapar ca rotate-issuer` or `chapar ca rotate-root`"),
    ("AUTHORITY_KEY_AWAY", "the operator of the control plane must bring the key back"),
    (
        "AUTHORITY_KEY_FOREIGN",
        "the operator of the control plane must bring the right key back, from the backup of its state folder",
    ),
    // Requests
    ("REASON_MISSING", "say why with --reason: those who are refused will read it"),
    ("REQUEST_MALFORMED", "correct what the message names, and repeat the command"),
    ("PAGE_TOKEN_MALFORMED", "begin the list anew"),
    ("STATUS_UNKNOWN", "name an outcome (served, refused, failed, abandoned) or a gRPC status such as PERMISSION_DENIED"),
    (
        "INSPECTOR_REQUIRED",
        "on the control plane's own machine: `chapar admin-cert issue NAME --role inspector` makes an inspector",
    ),
    (
        "ROLE_MISSING",
        "somebody with one of these roles must do it, or an admin grant it: `chapar admin-cert issue NAME --role ROLE`",
    ),
    ("ROLE_MALFORMED", "name viewer, operator:AGENCY, admin, policy-approver, inspector or security"),
    ("AGENCY_FOREIGN", "name your own agency, with --agency where the command takes it"),
    ("ADMIN_NAME_TAKEN", "take another name, or issue it on the control plane's own machine"),
    ("SECOND_PERSON_REQUIRED", "once somebody else has agreed (`chapar change approve {change}`), repeat the command"),
    ("SAME_PERSON", "somebody else must agree: an admin whose certificate was issued on the control plane's own machine"),
    ("CHANGE_UNKNOWN", "`chapar change list` shows those that are open"),
    ("CHANGE_DECIDED", "nothing is to be done: `chapar change list` tells how"),
    ("CHANGES_TOO_MANY", "`chapar change list` shows them; approve or reject some"),
    ("METHOD_UNKNOWN", "the control plane is older than this program: upgrade it"),
    ("SUBJECT_MALFORMED", "mistyped? a national ID has 10 digits, a national entity ID 11, the last one a check digit"),
    ("SHARED_KEY_NEEDED", "upgrade them; --danger-leave-behind goes on without them"),
    ("SHARED_KEY_NONE", "nothing is to be done: every sidecar hashes with the keys of its pairs"),
    ("CALL_UNKNOWN", "`chapar trace list` shows the calls that are there"),
    ("EVIDENCE_NOT_YET_SIGNED", "the sidecar signs with every export: repeat it in a moment"),
    ("DECISION_UNKNOWN", "name permitted or refused"),
    ("SIDE_UNKNOWN", "name consumer or provider"),
    ("TOKEN_LIFE_TOO_LONG", "give a shorter --valid-for; an open token is a key to the exchange"),
    ("SIDECAR_NAME_MALFORMED", "name it in kebab-case, at most 63 characters, such as main or node-2"),
    ("CONTROL_PLANE_FAILED", "the control plane's own log tells more; its operator must act"),
    ("CONTROL_PLANE_STOPPING", "repeat the command when the control plane is up again"),
    // Refused calls: what `explain` and traces say
    ("UNKNOWN_INQUIRY", "`chapar passport list --state approved` shows what is offered; an inquiry needs an approved passport"),
    (
        "AMBIGUOUS_PROVIDER",
        "several agencies offer it: name one, here with --provider, in a call with `chapar-provider` metadata",
    ),
    ("MALFORMED_CALL", "the calling application must send a well-formed gRPC request"),
    ("NO_GRANT", "only a resolution can grant it: `chapar apply -f` with a document of kind Resolution"),
    ("GRANT_NOT_YET_IN_FORCE", "`chapar grant list --consumer {consumer} --inquiry {inquiry} --wide` tells from when"),
    ("GRANT_EXPIRED", "a new resolution can extend it: `chapar apply -f` with a document of kind Resolution"),
    ("GRANT_REVOKED", "`chapar grant restore {grant}` brings it back"),
    ("INQUIRY_NOT_YET_IN_FORCE", "the exchange does not carry inquiries of this kind yet"),
    ("PURPOSE_MISSING", "the calling application must state its purpose in `chapar-purpose` metadata; here with --purpose"),
    (
        "SUBJECT_UNREADABLE",
        "the calling application must send a well-formed request of at most 256 KiB, plain or compressed by gzip or deflate",
    ),
    ("SUBJECT_KEY_MISSING", "the control plane is older than the sidecar: upgrade it, then the sidecars"),
    (
        "CERTIFICATE_EXPIRED",
        "the operator of that sidecar must look into its log: it renews by itself while it reaches the control plane",
    ),
    ("PEER_NOT_IDENTIFIED", "the operator of the calling sidecar must enrol it anew: `chapar token create {agency}`"),
    ("PEER_IDENTITY_MISMATCH", "the provider's operator must correct `advertisedAddress`; `chapar sidecar list --wide` shows it"),
    ("SNAPSHOT_MISSING", "the sidecar waits for its first snapshot; `chapar sidecar list` tells whether it is connected"),
    ("SNAPSHOT_STALE", "the sidecar has not heard from the control plane for long; `chapar sidecar list` tells since when"),
    ("PROVIDER_UNREACHABLE", "`chapar sidecar list --agency {provider}` tells whether the provider's sidecars are up"),
    ("UPSTREAM_UNREACHABLE", "the provider's operator must start the agency's own server, or correct `upstreams`"),
    ("NOT_OFFERED_HERE", "the provider's operator must offer the service: `services` in the sidecar's configuration"),
    (
        "SHARE_SPENT",
        "the agency has as many calls under way as its share of the sidecar's `limits.callsMax`; make fewer at a time",
    ),
    ("OVERLOADED", "the sidecar is at a limit of its configuration (`limits`)"),
    ("RECORDS_FULL", "that sidecar's spool is full: its operator must bring back its control plane, or give `report.spool` room"),
    ("DRAINING", "the sidecar is shutting down: repeat the call"),
    ("DEADLINE_EXCEEDED", "the calling application must allow more time; `chapar trace show` tells where it went"),
    ("TIMED_OUT", "the operator of that sidecar must raise `limits.waitingTimeoutMs` or `drain.timeoutS`, or give it more room"),
    (
        "STALLED",
        "the calling application must read its answer, and the agency's own server its request (`limits.callStallTimeoutMs`)",
    ),
    ("MESSAGE_TOO_LONG", "the provider's operator must have the agency's own server answer in shorter messages"),
    ("NOT_NARROWED", "the provider's operator must have the agency's own server answer as its passport describes"),
];

pub(crate) fn for_refusal(code: Code, info: Option<&ErrorInfo>) -> Option<String> {
    if let Some(info) = info
        && let Some(step) = for_reason(&info.reason, |key| info.metadata.get(key).map(String::as_str))
    {
        return Some(step);
    }
    let step = match code {
        Code::Unimplemented => "the control plane is of another version than this `chapar`: use the one released with it",
        Code::Internal | Code::Unknown | Code::DataLoss => "the control plane's own log tells more; its operator must act",
        Code::ResourceExhausted => "the control plane is at a limit: repeat later, or with less",
        _ => return None,
    };
    Some(step.to_owned())
}

/// The next step for a reason. `value` gives what fills the words in braces.
pub(crate) fn for_reason<'a>(reason: &str, value: impl Fn(&str) -> Option<&'a str>) -> Option<String> {
    let (_, template) = STEPS.iter().find(|(known, _)| *known == reason)?;
    let mut step = String::with_capacity(template.len());
    let mut rest = *template;
    while let Some((before, after)) = rest.split_once('{') {
        let (key, after) = after.split_once('}')?;
        step.push_str(before);
        match value(key) {
            Some(known) if !known.is_empty() => step.push_str(known),
            _ => step.push_str(&key.to_uppercase()),
        }
        rest = after;
    }
    step.push_str(rest);
    Some(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_what_is_known_and_leaves_the_rest_in_capitals() {
        let known = |key: &str| (key == "consumer").then_some("ipm");
        let step = for_reason("GRANT_NOT_YET_IN_FORCE", known).unwrap();
        assert!(step.contains("--consumer ipm --inquiry INQUIRY"), "{step}");
        assert_eq!(for_reason("NO_SUCH_REASON", known), None);
    }

    #[test]
    fn names_each_reason_once_and_closes_its_braces() {
        for (at, (reason, template)) in STEPS.iter().enumerate() {
            assert!(STEPS[at + 1..].iter().all(|(other, _)| other != reason), "{reason} twice");
            assert_eq!(template.matches('{').count(), template.matches('}').count(), "{reason}");
            assert!(for_reason(reason, |_| None).is_some());
        }
    }

    #[test]
    fn has_a_next_step_for_every_reason_of_a_refused_call() {
        for reason in chapar_core::policy::Reason::ALL {
            assert!(for_reason(reason.as_str(), |_| None).is_some(), "{}", reason.as_str());
        }
    }
}
