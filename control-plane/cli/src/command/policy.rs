//! Versions of the policy: list, show, compare, roll back.

use chapar_proto::admin::v1::{
    DiffVersionsRequest, GetVersionRequest, ListVersionsRequest, PolicyVersion, RollbackRequest,
    policy_service_client::PolicyServiceClient,
};
use clap::Subcommand;
use tonic::transport::Channel;

use crate::{
    failure::Failure,
    input::RequiredReason,
    output::{Style, diff, table::Table},
    paging::Limit,
    session::{Session, client},
    text::{NOTHING, moment, or_nothing, plain},
    verdict::Verdict,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List versions, who made them, when and why
    Versions {
        #[command(flatten)]
        limit: Limit,
    },
    /// Print all resources of a version as YAML that can be applied again
    Show {
        /// Version; the one in force otherwise
        version: Option<u64>,
    },
    /// Show what a version changes in another; exit code 1 when anything
    Diff {
        from: u64,
        /// The one in force otherwise
        to: Option<u64>,
    },
    /// Make a new version with the content of an old one
    Rollback {
        version: u64,
        /// Show what would change; change nothing
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        reason: RequiredReason,
    },
}

pub(crate) async fn run(command: Command, session: &Session) -> Result<Verdict, Failure> {
    let client = client!(session, policy_service_client::PolicyServiceClient);
    match command {
        Command::Versions { limit } => return versions(limit, &client, session).await,
        Command::Show { version } => show(version.unwrap_or(0), client, session).await?,
        Command::Diff { from, to } => return compare(from, to.unwrap_or(0), client, session).await,
        Command::Rollback { version, dry_run, reason } => {
            let request = RollbackRequest { version, reason: reason.reason, dry_run };
            roll_back(request, client, session).await?;
        }
    }
    Ok(Verdict::Yes)
}

async fn versions(limit: Limit, client: &PolicyServiceClient<Channel>, session: &Session) -> Result<Verdict, Failure> {
    let ask = async |request| client.clone().list_versions(request).await;
    session.list(limit.limit, ListVersionsRequest::default(), ask, |style, answer| draw(style, &answer.versions)).await
}

fn draw(style: &Style, versions: &[PolicyVersion]) -> String {
    Table::new()
        .column("VERSION", |version: &PolicyVersion| version.version.to_string())
        .column("CREATED", |version| moment(version.created_at.as_ref()))
        .column("BY", |version| or_nothing(&version.created_by))
        .column("+", |version| version.created.to_string())
        .column("~", |version| version.changed.to_string())
        .column("-", |version| version.deleted.to_string())
        .column("ROLLED BACK TO", |version| match version.rolled_back_to {
            0 => NOTHING.to_owned(),
            earlier => earlier.to_string(),
        })
        .text("REASON", |version| or_nothing(&version.reason))
        .draw(style, versions, "No version yet: `chapar apply -f` makes the first.")
}

async fn show(version: u64, mut client: PolicyServiceClient<Channel>, session: &Session) -> Result<(), Failure> {
    let answer = session.call(client.get_version(GetVersionRequest { version })).await?;
    session.output.show(&answer, |_| plain(&answer.yaml))
}

async fn compare(
    from_version: u64,
    to_version: u64,
    mut client: PolicyServiceClient<Channel>,
    session: &Session,
) -> Result<Verdict, Failure> {
    let answer = session.call(client.diff_versions(DiffVersionsRequest { from_version, to_version })).await?;
    let changes: Vec<_> = answer.resources.iter().filter(|change| diff::is_change(change.action())).cloned().collect();
    let same = changes.is_empty() && !answer.grants.iter().any(|change| diff::is_change(change.action()));
    session.output.show(&answer, |style| {
        if same {
            return "No difference.".to_owned();
        }
        diff::resources(style, &changes, true) + &diff::grants(style, &answer.grants, true)
    })?;
    Ok(if same { Verdict::Yes } else { Verdict::No })
}

async fn roll_back(request: RollbackRequest, mut client: PolicyServiceClient<Channel>, session: &Session) -> Result<(), Failure> {
    let (dry_run, target) = (request.dry_run, request.version);
    let answer = session.call(client.rollback(request)).await?;
    session.output.show(&answer, |style| {
        let mut text = diff::resources(style, &answer.resources, style.wide || dry_run);
        text.push_str(&diff::grants(style, &answer.grants, style.wide));
        text.push_str(&diff::totals(&answer.resources));
        text.push_str(&if dry_run {
            format!("; dry run: policy version {} stays", answer.version)
        } else {
            format!("; policy version {} has the content of version {target} (revision {})", answer.version, answer.revision)
        });
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_versions_with_their_reasons() {
        let version = |version, reason: &str, rolled_back_to| PolicyVersion {
            version,
            created_at: Some(prost_types::Timestamp { seconds: 1_795_331_521, nanos: 0 }),
            created_by: "local:uid=0".into(),
            reason: reason.into(),
            created: 3,
            changed: 1,
            deleted: 0,
            rolled_back_to,
        };
        let versions =
            [version(3, "", 1), version(2, "session 38, applied on the day that its minutes were signed by the chair", 0)];
        insta::assert_snapshot!(draw(&Style::default(), &versions), @r"
        VERSION  CREATED               BY           +  ~  -  ROLLED BACK TO  REASON
        3        2026-11-22 07:12:01Z  local:uid=0  3  1  0  1               -
        2        2026-11-22 07:12:01Z  local:uid=0  3  1  0  -               session 38, applied on the day that its minutes were signed…
        ");
    }
}
