//! The resources that the policy is made of: list, show, delete.

use chapar_proto::admin::v1::{
    ApplyRequest, ListResourcesRequest, ListResourcesResponse, ResourceText, policy_service_client::PolicyServiceClient,
};
use clap::Subcommand;
use tonic::transport::Channel;

use crate::{
    command::apply,
    failure::Failure,
    input::RequiredReason,
    input::{Kind, ResourceName},
    output::{Style, table::Table},
    session::{Session, client},
    text::plain,
    verdict::Verdict,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the names of resources
    List {
        /// Agency, InformationSystem, BaseDatabase or Resolution; all otherwise
        kind: Option<Kind>,
    },
    /// Print one resource as YAML
    Show {
        #[arg(value_name = "KIND/NAME")]
        resource: ResourceName,
    },
    /// Remove resources from the policy, all or none
    Delete {
        #[arg(value_name = "KIND/NAME", required = true)]
        resources: Vec<ResourceName>,
        /// Check, and show what would change; change nothing
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        reason: RequiredReason,
    },
}

pub(crate) async fn run(command: Command, session: &Session) -> Result<Verdict, Failure> {
    let client = client!(session, policy_service_client::PolicyServiceClient);
    match command {
        Command::List { kind } => {
            let answer = ask(kind, String::new(), client, session).await?;
            session.output.show(&answer, |style| draw(style, &answer.resources))?;
        }
        Command::Show { resource } => {
            let answer = ask(Some(resource.kind.clone()), resource.name.clone(), client, session).await?;
            let Some(found) = answer.resources.first() else {
                return Err(Failure::Input(format!("{resource} does not exist; `chapar resource list` shows what does")));
            };
            session.output.show(&answer, |_| plain(&found.yaml))?;
        }
        Command::Delete { resources, dry_run, reason } => {
            let delete = resources.iter().map(ToString::to_string).collect();
            let request = ApplyRequest { files: Vec::new(), dry_run, reason: reason.reason, delete };
            let answer = apply::send(request, session).await?;
            session.output.show(&answer, |style| apply::draw(style, &answer, dry_run))?;
            apply::warn(&answer, session);
        }
    }
    Ok(Verdict::Yes)
}

async fn ask(
    kind: Option<Kind>,
    name: String,
    mut client: PolicyServiceClient<Channel>,
    session: &Session,
) -> Result<ListResourcesResponse, Failure> {
    let kind = kind.map(|kind| kind.0.to_owned()).unwrap_or_default();
    session.call(client.list_resources(ListResourcesRequest { kind, name })).await
}

fn draw(style: &Style, resources: &[ResourceText]) -> String {
    Table::new()
        .column("KIND", |resource: &ResourceText| resource.kind.clone())
        .column("NAME", |resource| resource.name.clone())
        .draw(style, resources, "No resource. `chapar apply -f` adds them.")
}
