//! The certificate authority: show, rotate, retire.

use std::time::Duration;

use chapar_proto::admin::v1::{
    Generation, GenerationState, GetAuthorityRequest, GetAuthorityResponse, RetireGenerationRequest, RotateIssuerRequest,
    RotateRootRequest,
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
    text::{label, moment, short_digest},
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
    /// Make a new root, wait until the sidecars trust it, then issue from it; no call fails
    RotateRoot {
        #[command(flatten)]
        reason: RequiredReason,
        /// Longest wait for connected sidecars, at most 10m
        #[arg(long, value_name = "SPAN", default_value = "30s")]
        wait: Span,
    },
    /// Stop trusting a superseded generation
    Retire {
        /// Such as root-1 or issuing-1
        generation: String,
        /// Retire although live certificates hang on it: they become void
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
        Command::RotateRoot { reason, wait } => {
            let wait_s = wait.seconds().map_err(Failure::Input)?;
            let request = RotateRootRequest { reason: reason.reason, wait_s };
            let wait = Duration::from_secs(wait_s.into());
            let answer = session.call_waiting(wait, client.rotate_root(request)).await?;
            let (root, issuer) = (name_of(answer.root.as_ref())?, name_of(answer.issuer.as_ref())?);
            session.output.show(&answer, |_| {
                format!("{root} is trusted everywhere, and {issuer} issues under it; sidecars renew by themselves.")
            })?;
            session.output.remark("next:  `chapar ca show` counts what still hangs on the old root; then `chapar ca retire`");
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
            (label(generation.state().as_str_name(), "GENERATION_STATE"), tone)
        })
        .column("LIVE CERTIFICATES", |generation| generation.live_certificates.to_string())
        .column("UNTIL", |generation| moment(generation.not_after.as_ref()))
        .wide("FROM", |generation| moment(generation.not_before.as_ref()))
        // Fingerprints are compared by eye: the whole of it with --wide.
        .column("SHA-256", |generation| short_digest(&generation.fingerprint))
        .wide("WHOLE SHA-256", |generation| generation.fingerprint.clone())
        .draw(style, &generations, "No generation.");
    format!("Trust domain {}\n\n{table}", authority.trust_domain)
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
    fn leaves_retired_roots_out_of_the_bundle() {
        let pem = roots_pem(&authority());
        assert_eq!(pem.matches("BEGIN CERTIFICATE").count(), 1);
        assert!(pem.contains("cm9vdC0y"), "root-2 in Base64: {pem}");
    }
}
