//! The certificate authority: show, rotate, retire, revoke.

use std::time::Duration;

use chapar_proto::admin::v1::{
    AgencyBehind, Generation, GenerationState, GetAuthorityRequest, GetAuthorityResponse, RetireGenerationRequest,
    RevokeIssuerRequest, RootRotation, RotateIssuerRequest, RotateRootRequest, RotateRootResponse,
};
use clap::Subcommand;

use crate::{
    failure::Failure,
    input::RequiredReason,
    input::Span,
    output::{
        Style, pem,
        table::{Table, Tone},
    },
    session::{Session, client},
    text::{label, moment, or_nothing, short_digest},
    verdict::Verdict,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the generations of the root and the issuing CA
    Show {
        /// Print the trusted roots as PEM instead, as --ca wants them
        #[arg(long)]
        pem: bool,
    },
    /// Make a new issuing CA; sidecars renew by themselves, no call fails
    RotateIssuer {
        #[command(flatten)]
        reason: RequiredReason,
    },
    /// Make a new root, and issue from it once the sidecars have it; no call fails
    ///
    /// The control plane waits by itself: at once when every connected sidecar has it, after a while when enough agencies have it. This
    /// command answers when it is done, or after --wait how far it is (exit code 1).
    RotateRoot {
        #[command(flatten)]
        reason: RequiredReason,
        /// Longest wait for the answer, at most 10m
        #[arg(long, value_name = "SPAN", default_value = "30s")]
        wait: Span,
        /// Bring it in force after the wait, whoever lacks it
        #[arg(long)]
        danger_leave_behind: bool,
    },
    /// Stop trusting a superseded generation
    Retire {
        /// Such as root-1 or issuing-1
        generation: String,
        /// Retire although live certificates hang on it: they become void
        #[arg(long)]
        danger_void_certificates: bool,
    },
    /// Revoke an issuing CA whose key somebody else has, with everything under it, at once
    RevokeIssuer {
        /// Such as issuing-1; never the one that issues: `chapar ca rotate-issuer` first
        issuer: String,
        #[command(flatten)]
        reason: RequiredReason,
        /// Revoke although live certificates hang on it: they become void
        #[arg(long)]
        danger_void_certificates: bool,
    },
}

pub(crate) async fn run(command: Command, session: &Session) -> Result<Verdict, Failure> {
    let mut client = client!(session, certificate_service_client::CertificateServiceClient);
    match command {
        Command::Show { pem } => {
            let answer = session.call(client.get_authority(GetAuthorityRequest {})).await?;
            if pem {
                session.output.print(&roots_pem(&answer))?;
            } else {
                session.output.show(&answer, |style| draw(style, &answer))?;
            }
        }
        Command::RotateIssuer { reason } => {
            let request = RotateIssuerRequest { reason: reason.reason };
            let answer = session.call(client.rotate_issuer(request)).await?;
            let name = name_of(answer.issuer.as_ref())?;
            session.output.show(&answer, |_| format!("{name} issues from now on; sidecars renew by themselves."))?;
        }
        Command::RotateRoot { reason, wait, danger_leave_behind } => {
            let wait_s = wait.seconds().map_err(Failure::Input)?;
            let request = RotateRootRequest { reason: reason.reason, wait_s, danger_leave_behind };
            let wait = Duration::from_secs(wait_s.into());
            let answer = session.call_waiting(wait, client.rotate_root(request)).await?;
            return told(&answer, session);
        }
        Command::RevokeIssuer { issuer: name, reason, danger_void_certificates } => {
            let request = RevokeIssuerRequest { name, reason: reason.reason, danger_void_certificates };
            let answer = session.call(client.revoke_issuer(request)).await?;
            let name = name_of(answer.generation.as_ref())?;
            session.output.show(&answer, |_| {
                let void = format!(
                    "{name} is revoked, and {} live certificates with it (revision {}).",
                    answer.certificates, answer.revision
                );
                let must_enrol: String = answer.must_enrol.iter().map(|id| format!("\n  must enrol anew: {id}")).collect();
                void + &must_enrol
            })?;
        }
        Command::Retire { generation: name, danger_void_certificates } => {
            let request = RetireGenerationRequest { name, danger_void_certificates };
            let answer = session.call(client.retire_generation(request)).await?;
            let name = name_of(answer.generation.as_ref())?;
            session.output.show(&answer, |_| format!("{name} is no longer trusted."))?;
        }
    }
    Ok(Verdict::Yes)
}

fn told(answer: &RotateRootResponse, session: &Session) -> Result<Verdict, Failure> {
    let root = name_of(answer.root.as_ref())?;
    let left = answer.rotation.as_ref().map(behind).unwrap_or_default();
    let Some(issuer) = &answer.issuer else {
        session.output.show(answer, |_| format!("{root} is not in force yet; the control plane goes on by itself.{left}"))?;
        session
            .output
            .remark("next:  `chapar ca show` tells how far it is; --danger-leave-behind goes on without those who lack it");
        return Ok(Verdict::No);
    };
    session.output.show(answer, |_| {
        format!("{root} is in force, and {} issues under it; sidecars renew by themselves.{left}", issuer.name)
    })?;
    session.output.remark("next:  `chapar ca show` counts what still hangs on the old root; then `chapar ca retire`");
    Ok(Verdict::Yes)
}

/// Who lacks the new root, a line each; empty when nobody does.
fn behind(rotation: &RootRotation) -> String {
    let line = |behind: &AgencyBehind| {
        let more = if behind.sidecars.len() < behind.count as usize { ", …" } else { "" };
        format!("\n  lacks it: {} ({} sidecars: {}{more})", behind.agency, behind.count, behind.sidecars.join(", "))
    };
    rotation.behind.iter().map(line).collect()
}

/// How a rotation of the root stands.
fn standing(rotation: &RootRotation) -> String {
    let (agreed, root) = (rotation.agreed, &rotation.root);
    let agencies = agreed as usize + rotation.behind.len();
    if rotation.in_force {
        return format!("{root} is in force, and left some behind.{}", behind(rotation));
    }
    format!(
        "{root} waits: {agreed} of {agencies} agencies have it. It comes in force when all have it; from {} on, when {} percent have it.{}",
        moment(rotation.all_until.as_ref()),
        rotation.percent_min,
        behind(rotation)
    )
}

fn name_of(generation: Option<&Generation>) -> Result<String, Failure> {
    generation.map(|generation| generation.name.clone()).ok_or(Failure::Answer("the generation"))
}

/// The roots that are trusted now, as one file.
fn roots_pem(authority: &GetAuthorityResponse) -> String {
    let trusted = authority.roots.iter().filter(|root| root.state() != GenerationState::Retired);
    trusted.map(|root| pem(&root.certificate_der)).collect()
}

fn draw(style: &Style, authority: &GetAuthorityResponse) -> String {
    let generations: Vec<_> = authority.roots.iter().chain(&authority.issuers).collect();
    let table = Table::new()
        .column("GENERATION", |generation: &&Generation| generation.name.clone())
        .state("STATE", |generation| {
            let tone = match generation.state() {
                GenerationState::Active => Tone::Good,
                GenerationState::Retired => Tone::Faded,
                _ => Tone::Plain,
            };
            let revoked = !generation.revocation_reason.is_empty();
            (if revoked { "revoked".to_owned() } else { label(generation.state().as_str_name(), "GENERATION_STATE") }, tone)
        })
        .column("LIVE CERTIFICATES", |generation| generation.live_certificates.to_string())
        .column("UNTIL", |generation| moment(generation.not_after.as_ref()))
        .wide("FROM", |generation| moment(generation.not_before.as_ref()))
        // Fingerprints are compared by eye: the whole of it with --wide.
        .column("SHA-256", |generation| short_digest(&generation.fingerprint))
        .wide("WHOLE SHA-256", |generation| generation.fingerprint.clone())
        .wide("REVOKED BECAUSE", |generation| or_nothing(&generation.revocation_reason))
        .draw(style, &generations, "No generation.");
    let rotation = authority.rotation.as_ref().map(|rotation| format!("\n\n{}", standing(rotation))).unwrap_or_default();
    format!("Trust domain {}\n\n{table}{rotation}", authority.trust_domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authority() -> GetAuthorityResponse {
        let generation = |name: &str, state: GenerationState, live_certificates| Generation {
            name: name.into(),
            state: state.into(),
            fingerprint: "c0ffee".repeat(10) + "0123",
            not_after: Some(prost_types::Timestamp { seconds: 2_110_691_521, nanos: 0 }),
            live_certificates,
            certificate_der: name.as_bytes().to_vec(),
            ..Generation::default()
        };
        GetAuthorityResponse {
            trust_domain: "exchange.example".into(),
            roots: vec![generation("root-1", GenerationState::Retired, 0), generation("root-2", GenerationState::Active, 22)],
            issuers: vec![
                generation("issuing-2", GenerationState::Superseded, 4),
                generation("issuing-3", GenerationState::Active, 18),
            ],
            rotation: None,
        }
    }

    #[test]
    fn draws_roots_before_issuers() {
        insta::assert_snapshot!(draw(&Style::default(), &authority()), @r"
        Trust domain exchange.example

        GENERATION  STATE       LIVE CERTIFICATES  UNTIL                 SHA-256
        root-1      retired     0                  2036-11-19 07:12:01Z  c0ffeec0ffee
        root-2      active      22                 2036-11-19 07:12:01Z  c0ffeec0ffee
        issuing-2   superseded  4                  2036-11-19 07:12:01Z  c0ffeec0ffee
        issuing-3   active      18                 2036-11-19 07:12:01Z  c0ffeec0ffee
        ");
    }

    #[test]
    fn says_what_a_rotation_waits_for_and_who_lacks_the_new_root() {
        let behind = AgencyBehind { agency: "cra".into(), count: 12, sidecars: vec!["spiffe://x/agency/cra/sidecar/a".into()] };
        let rotation = RootRotation {
            root: "root-3".into(),
            all_until: Some(prost_types::Timestamp { seconds: 1_795_331_521, nanos: 0 }),
            percent_min: 75,
            agreed: 3,
            behind: vec![behind],
            ..RootRotation::default()
        };
        insta::assert_snapshot!(standing(&rotation), @r"
        root-3 waits: 3 of 4 agencies have it. It comes in force when all have it; from 2026-11-22 07:12:01Z on, when 75 percent have it.
          lacks it: cra (12 sidecars: spiffe://x/agency/cra/sidecar/a, …)
        ");
        insta::assert_snapshot!(standing(&RootRotation { in_force: true, ..rotation }), @r"
        root-3 is in force, and left some behind.
          lacks it: cra (12 sidecars: spiffe://x/agency/cra/sidecar/a, …)
        ");
    }

    #[test]
    fn leaves_retired_roots_out_of_the_bundle() {
        let pem = roots_pem(&authority());
        assert_eq!(pem.matches("BEGIN CERTIFICATE").count(), 1);
        assert!(pem.contains("cm9vdC0y"), "root-2 in Base64: {pem}");
    }
}
