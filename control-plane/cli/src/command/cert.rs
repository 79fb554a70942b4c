//! Certificates: list, revoke.

use chapar_proto::admin::v1::{Certificate, ListCertificatesRequest, RevokeCertificateRequest};
use clap::Subcommand;
use time::OffsetDateTime;

use crate::{
    failure::Failure,
    input::RequiredReason,
    output::{
        Style,
        table::{Table, Tone},
    },
    paging::Limit,
    session::{Session, client},
    text::{moment, or_nothing},
    verdict::Verdict,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List certificates in force
    List {
        /// Only this agency's
        #[arg(long, value_name = "AGENCY", default_value = "", hide_default_value = true)]
        agency: String,
        /// Also those that expired or were revoked
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        limit: Limit,
    },
    /// Revoke one certificate at once; its calls end, its connections are refused
    Revoke {
        /// Serial number in hex, as `list` shows it
        serial: String,
        #[command(flatten)]
        reason: RequiredReason,
    },
}

pub(crate) async fn run(command: Command, session: &Session) -> Result<Verdict, Failure> {
    match command {
        Command::List { agency, all, limit } => return list(agency, all, limit, session).await,
        Command::Revoke { serial, reason } => {
            let mut client = client!(session, certificate_service_client::CertificateServiceClient);
            let request = RevokeCertificateRequest { serial: serial.clone(), reason: reason.reason };
            let answer = session.call(client.revoke_certificate(request)).await?;
            session.output.show(&answer, |_| format!("Certificate {serial} is revoked (revision {}).", answer.revision))?;
        }
    }
    Ok(Verdict::Yes)
}

async fn list(agency: String, include_void: bool, limit: Limit, session: &Session) -> Result<Verdict, Failure> {
    let client = client!(session, certificate_service_client::CertificateServiceClient);
    let request = ListCertificatesRequest { agency, include_void, ..ListCertificatesRequest::default() };
    let ask = async |request| client.clone().list_certificates(request).await;
    let now = OffsetDateTime::now_utc();
    session.list(limit.limit, request, ask, |style, answer| draw(style, &answer.certificates, now)).await
}

fn draw(style: &Style, certificates: &[Certificate], now: OffsetDateTime) -> String {
    let rows: Vec<_> = certificates.iter().map(|certificate| (certificate, now)).collect();
    Table::new()
        .column("SERIAL", |(certificate, _): &(&Certificate, OffsetDateTime)| certificate.serial.clone())
        .column("IDENTITY", |(certificate, _)| certificate.spiffe_id.clone())
        .state("STATE", |(certificate, now)| state(certificate, *now))
        .column("UNTIL", |(certificate, _)| moment(certificate.not_after.as_ref()))
        .column("ISSUER", |(certificate, _)| certificate.issuer.clone())
        .wide("FROM", |(certificate, _)| moment(certificate.not_before.as_ref()))
        .wide("REVOKED", |(certificate, _)| moment(certificate.revoked_at.as_ref()))
        .wide("REVOKED BECAUSE", |(certificate, _)| or_nothing(&certificate.revocation_reason))
        .wide("SHA-256", |(certificate, _)| certificate.fingerprint.clone())
        .draw(style, &rows, "No certificate in force; --all also shows those that expired or were revoked.")
}

fn state(certificate: &Certificate, now: OffsetDateTime) -> (String, Tone) {
    let expired = certificate.not_after.as_ref().is_some_and(|moment| moment.seconds <= now.unix_timestamp());
    match certificate.revoked_at {
        Some(_) => ("revoked".to_owned(), Tone::Bad),
        None if expired => ("expired".to_owned(), Tone::Faded),
        None => ("in force".to_owned(), Tone::Good),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_certificates_in_force_from_void_ones() {
        let now = OffsetDateTime::from_unix_timestamp(1_795_331_521).unwrap();
        let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
        let certificate = |serial: &str, not_after, revoked_at| Certificate {
            serial: serial.into(),
            spiffe_id: "spiffe://exchange.example/agency/ipm/sidecar/main".into(),
            agency: "ipm".into(),
            not_after,
            issuer: "issuing-1".into(),
            revoked_at,
            ..Certificate::default()
        };
        let certificates = [
            certificate("0a1b", at(1_795_400_000), None),
            certificate("0a1c", at(1_795_331_521), None),
            certificate("0a1d", at(1_795_400_000), at(1_795_331_000)),
        ];
        insta::assert_snapshot!(draw(&Style::default(), &certificates, now), @r"
        SERIAL  IDENTITY                                           STATE     UNTIL                 ISSUER
        0a1b    spiffe://exchange.example/agency/ipm/sidecar/main  in force  2026-11-23 02:13:20Z  issuing-1
        0a1c    spiffe://exchange.example/agency/ipm/sidecar/main  expired   2026-11-22 07:12:01Z  issuing-1
        0a1d    spiffe://exchange.example/agency/ipm/sidecar/main  revoked   2026-11-23 02:13:20Z  issuing-1
        ");
    }
}
