//! Agencies: list, suspend, reinstate.

use chapar_proto::admin::v1::{Agency, ListAgenciesRequest, ReinstateAgencyRequest, SuspendAgencyRequest};
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
    text::or_nothing,
    verdict::Verdict,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List agencies and their standing
    List {
        #[command(flatten)]
        limit: Limit,
    },
    /// Void an agency's certificates and tokens, and refuse every call from and to it
    Suspend {
        agency: String,
        #[command(flatten)]
        reason: RequiredReason,
    },
    /// Let a suspended agency enrol and call again
    Reinstate { agency: String },
}

pub(crate) async fn run(command: Command, session: &Session) -> Result<Verdict, Failure> {
    match command {
        Command::List { limit } => return list(limit, session).await,
        Command::Suspend { agency, reason } => suspend(agency, reason.reason, session).await?,
        Command::Reinstate { agency } => reinstate(agency, session).await?,
    }
    Ok(Verdict::Yes)
}

async fn list(limit: Limit, session: &Session) -> Result<Verdict, Failure> {
    let client = client!(session, agency_service_client::AgencyServiceClient);
    let ask = async |request| client.clone().list_agencies(request).await;
    session.list(limit.limit, ListAgenciesRequest::default(), ask, |style, answer| draw(style, &answer.agencies)).await
}

fn draw(style: &Style, agencies: &[Agency]) -> String {
    Table::new()
        .column("AGENCY", |agency: &Agency| agency.name.clone())
        .state(
            "STATE",
            |agency| {
                if agency.suspended { ("suspended".to_owned(), Tone::Bad) } else { ("active".to_owned(), Tone::Good) }
            },
        )
        .column("SIDECARS", |agency| agency.sidecars.to_string())
        .wide("ROLES", |agency| or_nothing(&agency.roles.join(",")))
        .wide("PART OF", |agency| or_nothing(&agency.part_of))
        .text("TITLE", |agency| agency.title_en.clone())
        .wide("SUSPENDED BECAUSE", |agency| or_nothing(&agency.suspension_reason))
        // Right-to-left text comes last, where it can disturb no other column.
        .text("عنوان", |agency| agency.title_fa.clone())
        .draw(style, agencies, "No agency yet: add them with `chapar apply -f` and documents of kind Agency.")
}

async fn suspend(agency: String, reason: String, session: &Session) -> Result<(), Failure> {
    let mut client = client!(session, agency_service_client::AgencyServiceClient);
    let request = SuspendAgencyRequest { agency: agency.clone(), reason };
    let answer = session.call(client.suspend_agency(request)).await?;
    session.output.show(&answer, |_| {
        format!(
            "{agency} is suspended: {} void, every call from and to it is refused (revision {}).",
            crate::text::plural(answer.certificates as usize, "certificate", "certificates"),
            answer.revision
        )
    })
}

async fn reinstate(agency: String, session: &Session) -> Result<(), Failure> {
    let mut client = client!(session, agency_service_client::AgencyServiceClient);
    let request = ReinstateAgencyRequest { agency: agency.clone() };
    let answer = session.call(client.reinstate_agency(request)).await?;
    session.output.show(&answer, |_| {
        format!(
            "{agency} takes part again (revision {}), with the certificates it had; those revoked one by one stay revoked.",
            answer.revision
        )
    })?;
    session.output.remark(&format!(
        "next:  its sidecars connect again by themselves; if a key was stolen, revoke its certificates: `chapar cert list --agency {agency}`"
    ));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_standing_and_both_titles() {
        let agencies = [
            Agency {
                name: "civil-registration".into(),
                title_en: "National Organization for Civil Registration".into(),
                title_fa: "سازمان ثبت احوال کشور".into(),
                roles: vec!["provider".into(), "consumer".into()],
                sidecars: 2,
                ..Agency::default()
            },
            Agency {
                name: "ipm".into(),
                title_en: "Institute for Research in Fundamental Sciences".into(),
                title_fa: "پژوهشگاه دانش‌های بنیادی".into(),
                roles: vec!["consumer".into()],
                suspended: true,
                suspension_reason: "key found in a public repository".into(),
                ..Agency::default()
            },
        ];
        insta::assert_snapshot!(draw(&Style::default(), &agencies), @r"
        AGENCY              STATE      SIDECARS  TITLE                                           عنوان
        civil-registration  active     2         National Organization for Civil Registration    سازمان ثبت احوال کشور
        ipm                 suspended  0         Institute for Research in Fundamental Sciences  پژوهشگاه دانش‌های بنیادی
        ");
        insta::assert_snapshot!(draw(&Style { wide: true, ..Style::default() }, &agencies), @r"
        AGENCY              STATE      SIDECARS  ROLES              PART OF  TITLE                                           SUSPENDED BECAUSE                 عنوان
        civil-registration  active     2         provider,consumer  -        National Organization for Civil Registration    -                                 سازمان ثبت احوال کشور
        ipm                 suspended  0         consumer           -        Institute for Research in Fundamental Sciences  key found in a public repository  پژوهشگاه دانش‌های بنیادی
        ");
    }
}
