//! Technical passports: submit, list, show, diff, approve, retire.

mod draw;

use std::{fs, path::PathBuf};

use chapar_proto::admin::v1::{
    ApprovePassportRequest, DiffPassportsRequest, GetPassportRequest, ListPassportsRequest, PassportState, RetirePassportRequest,
    SubmitPassportRequest, passport_service_client::PassportServiceClient,
};
use clap::{Args, Subcommand, ValueEnum};
use tonic::transport::Channel;

use crate::{
    failure::Failure,
    input::RequiredReason,
    input::files::write_new,
    paging::Limit,
    session::{Session, client},
    text::{plural, short_digest},
    verdict::Verdict,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Submit a draft, or a service's descriptor set, to the working group
    Submit(SubmitArgs),
    /// List passports and their states
    List {
        /// Only this agency's
        #[arg(long, value_name = "AGENCY", default_value = "", hide_default_value = true)]
        agency: String,
        /// Only those in this state
        #[arg(long, value_enum, value_name = "STATE")]
        state: Option<State>,
        #[command(flatten)]
        limit: Limit,
    },
    /// Show a passport's inquiries and data items
    Show {
        #[command(flatten)]
        passport: Name,
        /// Also write its descriptor set to this file
        #[arg(long, value_name = "FILE")]
        descriptor_set: Option<PathBuf>,
    },
    /// Show what a passport changes in another; exit code 1 when it breaks something
    Diff {
        /// FROM and TO; one alone is compared with the passport in force for its service
        #[arg(num_args = 1..=2, required = true, value_names = ["FROM", "TO"])]
        versions: Vec<String>,
        /// The one service meant, where a descriptor set holds several
        #[arg(long, value_name = "GRPC-SERVICE", default_value = "", hide_default_value = true)]
        service: String,
        /// Whose it is, where several agencies drafted the same
        #[arg(long, value_name = "AGENCY", default_value = "", hide_default_value = true)]
        agency: String,
    },
    /// Bring a submitted passport in force
    Approve {
        #[command(flatten)]
        passport: Name,
        /// Resolution by which the working group approved it
        #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
        resolution: String,
        /// Approve although consumers built on the passport in force break
        #[arg(long)]
        danger_allow_breaks: bool,
    },
    /// Take a passport out of force: its inquiries can no longer be called
    Retire {
        #[command(flatten)]
        passport: Name,
        #[command(flatten)]
        reason: RequiredReason,
    },
}

/// A new passport, or the draft that a sidecar's registration left.
#[derive(Debug, Args)]
pub(crate) struct SubmitArgs {
    /// Version (digest) of a draft, or its first 8 digits or more: a sidecar that registers its service leaves one
    #[arg(required_unless_present = "file", conflicts_with_all = ["file", "draft"])]
    version: Option<String>,
    /// Serialised FileDescriptorSet with its imports, such as `protoc --include_imports --descriptor_set_out` writes
    #[arg(short = 'f', long = "file", value_name = "FILE", requires = "agency")]
    file: Option<PathBuf>,
    /// Agency that offers the service of the file; or whose draft is meant, where several agencies drafted the same
    #[arg(long, value_name = "AGENCY")]
    agency: Option<String>,
    /// The one service meant; every annotated service of the set otherwise
    #[arg(long, value_name = "GRPC-SERVICE", default_value = "", hide_default_value = true)]
    service: String,
    /// Keep it as a draft, not yet submitted
    #[arg(long)]
    draft: bool,
}

/// One passport.
#[derive(Debug, Args)]
pub(crate) struct Name {
    /// Version (digest) of the passport, or its first 8 digits or more
    version: String,
    /// The one service meant, where a descriptor set holds several
    #[arg(long, value_name = "GRPC-SERVICE", default_value = "", hide_default_value = true)]
    service: String,
    /// Whose it is, where several agencies drafted the same
    #[arg(long, value_name = "AGENCY", default_value = "", hide_default_value = true)]
    agency: String,
}

/// States of a passport, to choose by.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum State {
    Draft,
    Submitted,
    Approved,
    Superseded,
    Retired,
}

impl From<State> for PassportState {
    fn from(state: State) -> Self {
        match state {
            State::Draft => Self::Draft,
            State::Submitted => Self::Submitted,
            State::Approved => Self::Approved,
            State::Superseded => Self::Superseded,
            State::Retired => Self::Retired,
        }
    }
}

pub(crate) async fn run(command: Command, session: &Session) -> Result<Verdict, Failure> {
    let client = client!(session, passport_service_client::PassportServiceClient);
    match command {
        Command::Submit(args) => submit(args, client, session).await?,
        Command::List { agency, state, limit } => return list(agency, state, limit, &client, session).await,
        Command::Show { passport, descriptor_set } => show(passport, descriptor_set, client, session).await?,
        Command::Diff { versions, service, agency } => {
            return diff(versions, (service, agency), client, session).await;
        }
        Command::Approve { passport, resolution, danger_allow_breaks } => {
            let Name { version, service: grpc_service, agency } = passport;
            let request = ApprovePassportRequest { version, grpc_service, agency, resolution, danger_allow_breaks };
            approve(request, client, session).await?;
        }
        Command::Retire { passport, reason } => {
            let Name { version, service: grpc_service, agency } = passport;
            let request = RetirePassportRequest { version, grpc_service, agency, reason: reason.reason };
            retire(request, client, session).await?;
        }
    }
    Ok(Verdict::Yes)
}

async fn submit(args: SubmitArgs, mut client: PassportServiceClient<Channel>, session: &Session) -> Result<(), Failure> {
    let SubmitArgs { version, file, agency, service: grpc_service, draft: draft_only } = args;
    let request = match (version, file, agency) {
        (Some(version), _, agency) => {
            let draft = Name { version, service: grpc_service, agency: agency.unwrap_or_default() };
            as_submission(draft, client.clone(), session).await?
        }
        (None, Some(file), Some(agency)) => {
            let descriptor_set = fs::read(&file).map_err(|cause| Failure::file(&file, cause))?;
            SubmitPassportRequest { agency, grpc_service, descriptor_set, draft_only }
        }
        // The grammar lets none of these through.
        (None, ..) => return Err(Failure::Input("name a draft's VERSION, or --file with --agency".to_owned())),
    };
    let answer = session.call(client.submit_passport(request)).await?;
    session.output.show(&answer, |style| draw::list(style, &answer.passports))?;
    if let Some(passport) = answer.passports.iter().find(|passport| passport.state() == PassportState::Submitted) {
        session.output.remark(&format!(
            "next:  `chapar passport diff {0}` shows what it changes; `chapar passport approve {0}` brings it in force",
            short_digest(&passport.version)
        ));
    }
    Ok(())
}

/// A draft is submitted as the very bytes that it was made of: its version is their digest.
async fn as_submission(
    draft: Name,
    mut client: PassportServiceClient<Channel>,
    session: &Session,
) -> Result<SubmitPassportRequest, Failure> {
    let request = GetPassportRequest { version: draft.version, grpc_service: draft.service, agency: draft.agency };
    let answer = session.call(client.get_passport(request)).await?;
    let passport = answer.passport.ok_or(Failure::Answer("the passport"))?;
    Ok(SubmitPassportRequest {
        agency: passport.agency,
        grpc_service: passport.grpc_service,
        descriptor_set: answer.descriptor_set,
        draft_only: false,
    })
}

async fn list(
    agency: String,
    state: Option<State>,
    limit: Limit,
    client: &PassportServiceClient<Channel>,
    session: &Session,
) -> Result<Verdict, Failure> {
    let state = state.map_or(PassportState::Unspecified, PassportState::from).into();
    let request = ListPassportsRequest { agency, state, ..ListPassportsRequest::default() };
    let ask = async |request| client.clone().list_passports(request).await;
    session.list(limit.limit, request, ask, |style, answer| draw::list(style, &answer.passports)).await
}

async fn show(
    name: Name,
    descriptor_set: Option<PathBuf>,
    mut client: PassportServiceClient<Channel>,
    session: &Session,
) -> Result<(), Failure> {
    let request = GetPassportRequest { version: name.version, grpc_service: name.service, agency: name.agency };
    let answer = session.call(client.get_passport(request)).await?;
    let passport = answer.passport.as_ref().ok_or(Failure::Answer("the passport"))?;
    if let Some(path) = descriptor_set {
        write_new(&path, &answer.descriptor_set, 0o644)?;
    }
    session.output.show(&answer, |style| draw::passport(style, passport))
}

async fn diff(
    mut versions: Vec<String>,
    (grpc_service, agency): (String, String),
    mut client: PassportServiceClient<Channel>,
    session: &Session,
) -> Result<Verdict, Failure> {
    // The grammar lets one or two through.
    let to_version = versions.pop().unwrap_or_default();
    let from_version = versions.pop().unwrap_or_default();
    let request = DiffPassportsRequest { from_version, to_version, grpc_service, agency };
    let answer = session.call(client.diff_passports(request)).await?;
    session.output.show(&answer, |style| draw::changes(style, &answer.changes))?;
    let breaks = answer.changes.iter().any(|change| change.breaking);
    Ok(if breaks { Verdict::No } else { Verdict::Yes })
}

async fn approve(
    request: ApprovePassportRequest,
    mut client: PassportServiceClient<Channel>,
    session: &Session,
) -> Result<(), Failure> {
    let answer = session.call(client.approve_passport(request)).await?;
    session.output.show(&answer, |style| draw::list(style, &answer.passports))?;
    let inquiries = answer.passports.iter().map(|passport| passport.inquiries.len()).sum();
    let inquiries = plural(inquiries, "inquiry is", "inquiries are");
    session.output.remark(&format!("{inquiries} in force (revision {}).", answer.revision));
    Ok(())
}

async fn retire(
    request: RetirePassportRequest,
    mut client: PassportServiceClient<Channel>,
    session: &Session,
) -> Result<(), Failure> {
    let answer = session.call(client.retire_passport(request)).await?;
    session.output.show(&answer, |style| draw::list(style, &answer.passports))?;
    session.output.remark(&format!("Its inquiries can no longer be called (revision {}).", answer.revision));
    Ok(())
}
