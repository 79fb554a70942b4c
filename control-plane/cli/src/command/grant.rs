//! Grants: list, revoke, restore.

use chapar_proto::admin::v1::{
    Grant, ListGrantsRequest, RestoreGrantRequest, RevokeGrantRequest, policy_service_client::PolicyServiceClient,
};
use clap::{Args, Subcommand};
use tonic::transport::Channel;

use crate::{
    failure::Failure,
    input::{Reason, RequiredReason},
    output::{
        Style,
        table::{Table, Tone},
    },
    paging::Limit,
    session::{Session, client},
    text::{moment, moment_and_day, or_nothing},
    verdict::Verdict,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List grants
    List(ListArgs),
    /// Revoke one grant at once; its running calls end
    Revoke {
        /// Name of the grant, as `list` shows it: <resolution>/<clause>/<consumer>/<inquiry>
        grant: String,
        #[command(flatten)]
        reason: RequiredReason,
    },
    /// Bring a revoked grant back
    Restore {
        /// Name of the grant, as `list` shows it
        grant: String,
        #[command(flatten)]
        reason: Reason,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only this consumer's
    #[arg(long, value_name = "AGENCY", default_value = "", hide_default_value = true)]
    consumer: String,
    /// Only for this provider's inquiries
    #[arg(long, value_name = "AGENCY", default_value = "", hide_default_value = true)]
    provider: String,
    /// Only for this inquiry
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    inquiry: String,
    /// Only by this resolution
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    resolution: String,
    #[command(flatten)]
    limit: Limit,
}

pub(crate) async fn run(command: Command, session: &Session) -> Result<Verdict, Failure> {
    let mut client = client!(session, policy_service_client::PolicyServiceClient);
    match command {
        Command::List(args) => return list(args, &client, session).await,
        Command::Revoke { grant, reason } => {
            let request = RevokeGrantRequest { grant: grant.clone(), reason: reason.reason };
            let answer = session.call(client.revoke_grant(request)).await?;
            session.output.show(&answer, |_| {
                format!("Grant {grant} is revoked: policy version {} (revision {}).", answer.version, answer.revision)
            })?;
        }
        Command::Restore { grant, reason } => {
            let request = RestoreGrantRequest { grant: grant.clone(), reason: reason.reason };
            let answer = session.call(client.restore_grant(request)).await?;
            session.output.show(&answer, |_| {
                format!("Grant {grant} is back: policy version {} (revision {}).", answer.version, answer.revision)
            })?;
        }
    }
    Ok(Verdict::Yes)
}

async fn list(args: ListArgs, client: &PolicyServiceClient<Channel>, session: &Session) -> Result<Verdict, Failure> {
    let ListArgs { consumer, provider, inquiry, resolution, limit } = args;
    let request = ListGrantsRequest { consumer, provider, inquiry, resolution, ..ListGrantsRequest::default() };
    let ask = async |request| client.clone().list_grants(request).await;
    session.list(limit.limit, request, ask, |style, answer| draw(style, &answer.grants)).await
}

fn draw(style: &Style, grants: &[Grant]) -> String {
    Table::new()
        .column("CONSUMER", |grant: &Grant| grant.consumer.clone())
        .column("PROVIDER", |grant| or_nothing(&grant.provider))
        .column("INQUIRY", |grant| grant.inquiry.clone())
        .column("RESOLUTION", |grant| grant.resolution.clone())
        .column("CLAUSE", |grant| or_nothing(&grant.clause))
        .state("STATE", state)
        .wide("FROM", |grant| moment_and_day(grant.not_before.as_ref()))
        .wide("UNTIL", |grant| moment_and_day(grant.not_after.as_ref()))
        .wide("REVOKED", |grant| moment(grant.revoked_at.as_ref()))
        .wide("REVOKED BECAUSE", |grant| or_nothing(&grant.revocation_reason))
        .wide("NAME", |grant| grant.name.clone())
        .wide("NOTE", |grant| or_nothing(&grant.note))
        .draw(style, grants, "No grant. A resolution makes them: `chapar apply -f` with a document of kind Resolution.")
}

/// Its state at the moment that was asked about.
pub(super) fn state(grant: &Grant) -> (String, Tone) {
    let (text, tone) = match grant.not_in_force.as_str() {
        _ if grant.revoked_at.is_some() => ("revoked", Tone::Bad),
        "" if grant.in_force => ("in force", Tone::Good),
        "GRANT_EXPIRED" => ("expired", Tone::Faded),
        "GRANT_NOT_YET_IN_FORCE" => ("not yet in force", Tone::Faded),
        // Of a control plane before it told why.
        _ => ("not in force", Tone::Faded),
    };
    (text.to_owned(), tone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_grants_in_each_state() {
        let grant = |consumer: &str, inquiry: &str, in_force, revoked_at: Option<i64>| Grant {
            name: format!("38-1/4/{consumer}/{inquiry}"),
            resolution: "38-1".into(),
            clause: "4".into(),
            consumer: consumer.into(),
            provider: "cra".into(),
            inquiry: inquiry.into(),
            in_force,
            not_in_force: if in_force { String::new() } else { "GRANT_NOT_YET_IN_FORCE".into() },
            revoked_at: revoked_at.map(|seconds| prost_types::Timestamp { seconds, nanos: 0 }),
            revocation_reason: if revoked_at.is_some() { "misuse".into() } else { String::new() },
            ..Grant::default()
        };
        let grants = [
            grant("ipm", "shahkar", true, None),
            grant("private-schools", "shahkar", true, Some(1_795_331_521)),
            grant("civil-registration", "rulings", false, None),
        ];
        insta::assert_snapshot!(draw(&Style::default(), &grants), @r"
        CONSUMER            PROVIDER  INQUIRY  RESOLUTION  CLAUSE  STATE
        ipm                 cra       shahkar  38-1        4       in force
        private-schools     cra       shahkar  38-1        4       revoked
        civil-registration  cra       rulings  38-1        4       not yet in force
        ");
        insta::assert_snapshot!(draw(&Style { wide: true, ..Style::default() }, &grants), @r"
        CONSUMER            PROVIDER  INQUIRY  RESOLUTION  CLAUSE  STATE             FROM  UNTIL  REVOKED               REVOKED BECAUSE  NAME                               NOTE
        ipm                 cra       shahkar  38-1        4       in force          -     -      -                     -                38-1/4/ipm/shahkar                 -
        private-schools     cra       shahkar  38-1        4       revoked           -     -      2026-11-22 07:12:01Z  misuse           38-1/4/private-schools/shahkar     -
        civil-registration  cra       rulings  38-1        4       not yet in force  -     -      -                     -                38-1/4/civil-registration/rulings  -
        ");
    }
}
