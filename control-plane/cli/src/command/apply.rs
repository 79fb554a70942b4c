//! Resource files into the policy: apply, and what it would change.

use std::path::PathBuf;

use chapar_proto::admin::v1::{ApplyRequest, ApplyResponse, ResourceFile};
use clap::Args;

use crate::{
    connect::ConnectionArgs,
    failure::Failure,
    input::Reason,
    input::files,
    output::{
        Output, Style,
        diff::{self, is_change},
    },
    session::{Session, client},
    text::plain_line,
    verdict::Verdict,
};

/// Which files.
#[derive(Debug, Args)]
pub(crate) struct Files {
    /// YAML or JSON file, folder of such files, or - for standard input; may be given several times
    #[arg(short = 'f', long = "file", value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Also read the folders within folders
    #[arg(short = 'R', long)]
    recursive: bool,
}

impl Files {
    fn read(&self) -> Result<Vec<ResourceFile>, Failure> {
        files::read(&self.files, self.recursive)
    }
}

#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    #[command(flatten)]
    files: Files,
    /// Check, and show what would change; change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    reason: Reason,
}

#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    #[command(flatten)]
    files: Files,
}

pub(crate) async fn apply(args: ApplyArgs, connection: &ConnectionArgs, output: Output) -> Result<Verdict, Failure> {
    // Read first: a wrong file name is told apart from an unreachable control plane.
    let files = args.files.read()?;
    let session = Session::open(connection, output).await?;
    let request = ApplyRequest { files, dry_run: args.dry_run, reason: args.reason.reason, delete: Vec::new() };
    let answer = send(request, &session).await?;
    session.output.show(&answer, |style| draw(style, &answer, args.dry_run))?;
    warn(&answer, &session);
    Ok(Verdict::Yes)
}

pub(crate) async fn diff(args: DiffArgs, connection: &ConnectionArgs, output: Output) -> Result<Verdict, Failure> {
    let files = args.files.read()?;
    let session = Session::open(connection, output).await?;
    let request = ApplyRequest { files, dry_run: true, ..ApplyRequest::default() };
    let answer = send(request, &session).await?;
    let changes: Vec<_> = answer.resources.iter().filter(|change| is_change(change.action())).cloned().collect();
    session.output.show(&answer, |style| {
        if changes.is_empty() {
            return "No difference.".to_owned();
        }
        diff::resources(style, &changes, true) + &diff::grants(style, &answer.grants, true)
    })?;
    warn(&answer, &session);
    Ok(if changes.is_empty() { Verdict::Yes } else { Verdict::No })
}

pub(super) async fn send(request: ApplyRequest, session: &Session) -> Result<ApplyResponse, Failure> {
    let mut client = client!(session, policy_service_client::PolicyServiceClient);
    session.call(client.apply(request)).await
}

pub(super) fn warn(answer: &ApplyResponse, session: &Session) {
    for warning in &answer.warnings {
        session.output.remark(&format!("warning: {}", plain_line(warning)));
    }
}

/// What became of each resource, then of the grants, then the version.
pub(super) fn draw(style: &Style, answer: &ApplyResponse, dry_run: bool) -> String {
    let mut text = diff::resources(style, &answer.resources, style.wide);
    text.push_str(&diff::grants(style, &answer.grants, style.wide));
    let totals = diff::totals(&answer.resources);
    let changed = answer.resources.iter().any(|change| is_change(change.action()));
    let end = match (dry_run, changed) {
        (true, _) => format!("dry run: {totals}; policy version {} stays", answer.version),
        (false, false) => format!("{totals}; policy version {} stays", answer.version),
        (false, true) => format!("{totals}; policy version {} (revision {})", answer.version, answer.revision),
    };
    text.push_str(&end);
    text
}

#[cfg(test)]
mod tests {
    use chapar_proto::admin::v1::{ChangeAction, GrantChange, ResourceChange};

    use super::*;

    fn answer() -> ApplyResponse {
        let change = |kind: &str, name: &str, action: ChangeAction, diff: &str| ResourceChange {
            kind: kind.into(),
            name: name.into(),
            action: action.into(),
            diff: diff.into(),
        };
        let grant = |grant: &str, action: ChangeAction| GrantChange { grant: grant.into(), action: action.into() };
        ApplyResponse {
            version: 4,
            revision: 17,
            resources: vec![
                change("Agency", "ipm", ChangeAction::Unchanged, ""),
                change("Resolution", "38-1", ChangeAction::Changed, "@@ -3 +3 @@\n-  session: 37\n+  session: 38\n"),
            ],
            grants: vec![
                grant("38-1/4/ipm/shahkar", ChangeAction::Created),
                grant("38-1/4/ipm/study-status", ChangeAction::Deleted),
            ],
            warnings: Vec::new(),
        }
    }

    #[test]
    fn draws_what_changed_and_the_version() {
        insta::assert_snapshot!(draw(&Style::default(), &answer(), false), @r"
        Agency/ipm  unchanged
        Resolution/38-1  changed
        grants: 1 created, 1 deleted
        1 changed, 1 unchanged; policy version 4 (revision 17)
        ");
        insta::assert_snapshot!(draw(&Style { wide: true, ..Style::default() }, &answer(), true), @r"
        Agency/ipm  unchanged
        Resolution/38-1  changed
        @@ -3 +3 @@
        -  session: 37
        +  session: 38
        grant 38-1/4/ipm/shahkar  created
        grant 38-1/4/ipm/study-status  deleted
        grants: 1 created, 1 deleted
        dry run: 1 changed, 1 unchanged; policy version 4 stays
        ");
    }

    #[test]
    fn colours_a_diff_on_request_only() {
        let coloured = diff::resources(&Style { colour: true, ..Style::default() }, &answer().resources, true);
        assert!(coloured.contains("\u{1b}[31m-  session: 37\u{1b}[0m"), "{coloured:?}");
        assert!(coloured.contains("\u{1b}[32m+  session: 38\u{1b}[0m"), "{coloured:?}");
        assert!(!diff::resources(&Style::default(), &answer().resources, true).contains('\u{1b}'));
    }

    #[test]
    fn says_that_nothing_changed() {
        let mut same = answer();
        same.resources.truncate(1);
        same.grants.clear();
        assert_eq!(draw(&Style::default(), &same, false), "Agency/ipm  unchanged\n1 unchanged; policy version 4 stays");
    }
}
