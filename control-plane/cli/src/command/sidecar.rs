//! Sidecars: who is connected, which versions they run, and shutting one out.

use chapar_proto::admin::v1::{ListSidecarsRequest, ListSidecarsResponse, RevokeSidecarRequest, Sidecar};
use clap::Subcommand;

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
    /// List sidecars
    List {
        /// Only this agency's
        #[arg(long, value_name = "AGENCY", default_value = "", hide_default_value = true)]
        agency: String,
        #[command(flatten)]
        limit: Limit,
    },
    /// Revoke all certificates of a sidecar at once, earlier and renewed ones too; its calls end, its connections are refused
    Revoke {
        /// Whose, and which one: AGENCY/NAME, such as ipm/main
        #[arg(value_name = "AGENCY/NAME")]
        sidecar: String,
        #[command(flatten)]
        reason: RequiredReason,
    },
}

pub(crate) async fn run(command: Command, session: &Session) -> Result<Verdict, Failure> {
    match command {
        Command::List { agency, limit } => list(agency, limit, session).await,
        Command::Revoke { sidecar, reason } => revoke(&sidecar, reason.reason, session).await,
    }
}

async fn revoke(sidecar: &str, reason: String, session: &Session) -> Result<Verdict, Failure> {
    let (agency, name) = sidecar
        .split_once('/')
        .ok_or_else(|| Failure::Input(format!("`{sidecar}` is no sidecar: write it as AGENCY/NAME, such as ipm/main")))?;
    let mut client = client!(session, certificate_service_client::CertificateServiceClient);
    let request = RevokeSidecarRequest { agency: agency.to_owned(), sidecar: name.to_owned(), reason };
    let answer = session.call(client.revoke_sidecar(request)).await?;
    let (certificates, revision) = (answer.certificates, answer.revision);
    session
        .output
        .show(&answer, |_| format!("{sidecar} is revoked, with {certificates} live certificates (revision {revision})."))?;
    session.output.remark(&format!("next:  `chapar token create {agency}` makes the token by which it may come back"));
    Ok(Verdict::Yes)
}

async fn list(agency: String, limit: Limit, session: &Session) -> Result<Verdict, Failure> {
    let client = client!(session, agency_service_client::AgencyServiceClient);
    let request = ListSidecarsRequest { agency, ..ListSidecarsRequest::default() };
    let ask = async |request| client.clone().list_sidecars(request).await;
    session.list(limit.limit, request, ask, draw).await
}

fn draw(style: &Style, answer: &ListSidecarsResponse) -> String {
    let table = Table::new()
        .column("AGENCY", |sidecar: &Sidecar| sidecar.agency.clone())
        .column("NAME", |sidecar| sidecar.name.clone())
        .state("STATE", state)
        .column("SEEN", |sidecar| moment(sidecar.seen_at.as_ref()))
        .column("POLICY", |sidecar| sidecar.policy_version.to_string())
        .column("REVISION", |sidecar| match sidecar.sent_revision {
            sent if sent == sidecar.acknowledged_revision => sent.to_string(),
            sent => format!("{} of {sent}", sidecar.acknowledged_revision),
        })
        .column("SERVICES", |sidecar| sidecar.grpc_services.len().to_string())
        .column("ADDRESS", |sidecar| or_nothing(&sidecar.advertised_address))
        .column("CERTIFICATE UNTIL", |sidecar| moment(sidecar.certificate_not_after.as_ref()))
        .wide("SOFTWARE", |sidecar| or_nothing(&sidecar.software_version))
        .wide("OFFERS", |sidecar| or_nothing(&sidecar.grpc_services.join(",")))
        .text("PROBLEM", |sidecar| or_nothing(&sidecar.problem));
    let text = table.draw(style, &answer.sidecars, "No sidecar yet: `chapar token create AGENCY` lets one enrol.");
    format!("{text}\n\nPolicy version {} is in force.", answer.policy_version)
}

/// Behind: connected, and has not acknowledged what was sent.
fn state(sidecar: &Sidecar) -> (String, Tone) {
    if !sidecar.connected {
        ("away".to_owned(), Tone::Bad)
    } else if !sidecar.problem.is_empty() {
        ("refuses".to_owned(), Tone::Bad)
    } else if sidecar.acknowledged_revision == sidecar.sent_revision {
        ("current".to_owned(), Tone::Good)
    } else {
        ("behind".to_owned(), Tone::Plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_current_from_those_behind_and_away() {
        let sidecar = |agency: &str, connected, acknowledged_revision, problem: &str| Sidecar {
            spiffe_id: format!("spiffe://exchange.example/agency/{agency}/sidecar/main"),
            agency: agency.into(),
            name: "main".into(),
            connected,
            acknowledged_revision,
            sent_revision: 7,
            policy_version: 3,
            seen_at: Some(prost_types::Timestamp { seconds: 1_795_331_521, nanos: 0 }),
            problem: problem.into(),
            ..Sidecar::default()
        };
        let answer = ListSidecarsResponse {
            sidecars: vec![
                sidecar("cra", true, 7, ""),
                sidecar("ipm", true, 6, ""),
                sidecar("post", false, 7, ""),
                sidecar("welfare", true, 6, "digest differs"),
            ],
            policy_version: 3,
            ..ListSidecarsResponse::default()
        };
        insta::assert_snapshot!(draw(&Style::default(), &answer), @r"
        AGENCY   NAME  STATE    SEEN                  POLICY  REVISION  SERVICES  ADDRESS  CERTIFICATE UNTIL  PROBLEM
        cra      main  current  2026-11-22 07:12:01Z  3       7         0         -        -                  -
        ipm      main  behind   2026-11-22 07:12:01Z  3       6 of 7    0         -        -                  -
        post     main  away     2026-11-22 07:12:01Z  3       7         0         -        -                  -
        welfare  main  refuses  2026-11-22 07:12:01Z  3       6 of 7    0         -        -                  digest differs

        Policy version 3 is in force.
        ");
    }
}
