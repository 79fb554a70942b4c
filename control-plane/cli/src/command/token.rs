//! Enrolment tokens: create, list, revoke.

use std::path::PathBuf;

use chapar_proto::admin::v1::{CreateTokenRequest, EnrolmentToken, ListTokensRequest, RevokeTokenRequest, TokenState};
use clap::Subcommand;

use crate::{
    failure::Failure,
    input::{
        Span,
        files::{refuse_existing, write_secret},
    },
    output::{
        Style,
        table::{Table, Tone},
    },
    paging::Limit,
    session::{Session, client},
    text::{label, moment, or_nothing},
    verdict::Verdict,
};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a single-use token with which one sidecar of an agency enrols; only the token goes to standard output
    Create {
        agency: String,
        /// Name of the one sidecar that may use it; any of the agency's otherwise
        #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
        sidecar: String,
        /// How long it can be used, at most 30d
        #[arg(long, value_name = "SPAN", default_value = "1h")]
        valid_for: Span,
        /// Write the token to this file (mode 0600) instead of standard output
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// List tokens and what became of them
    List {
        /// Only this agency's
        #[arg(long, value_name = "AGENCY", default_value = "", hide_default_value = true)]
        agency: String,
        #[command(flatten)]
        limit: Limit,
    },
    /// Make an open token useless
    Revoke {
        /// ID of the token, as `list` shows it
        id: String,
    },
}

pub(crate) async fn run(command: Command, session: &Session) -> Result<Verdict, Failure> {
    match command {
        Command::Create { agency, sidecar, valid_for, out } => {
            let valid_for_s = valid_for.seconds().map_err(Failure::Input)?;
            if valid_for_s == 0 {
                return Err(Failure::Input("--valid-for is below one second".to_owned()));
            }
            create(CreateTokenRequest { agency, sidecar, valid_for_s }, out, session).await?;
        }
        Command::List { agency, limit } => return list(agency, limit, session).await,
        Command::Revoke { id } => {
            let mut client = client!(session, token_service_client::TokenServiceClient);
            let answer = session.call(client.revoke_token(RevokeTokenRequest { id: id.clone() })).await?;
            session.output.show(&answer, |_| format!("Token {id} is revoked."))?;
        }
    }
    Ok(Verdict::Yes)
}

async fn create(request: CreateTokenRequest, out: Option<PathBuf>, session: &Session) -> Result<(), Failure> {
    if let Some(path) = &out {
        // Found out before the secret is made: it cannot be had again.
        refuse_existing(path)?;
    }
    let mut client = client!(session, token_service_client::TokenServiceClient);
    let answer = session.call(client.create_token(request)).await?;
    let description = answer.description.clone().ok_or(Failure::Answer("the token's description"))?;
    match &out {
        Some(path) => write_secret(path, format!("{}\n", answer.token).as_bytes())?,
        None => session.output.show(&answer, |_| answer.token.clone())?,
    }
    let place = out.map(|path| format!(" written to {}", path.display())).unwrap_or_default();
    session.output.remark(&format!(
        "Token {}{place}: for one sidecar of {}, until {}. It is not shown again; hand it over on a safe way.",
        description.id,
        description.agency,
        moment(description.expires_at.as_ref())
    ));
    Ok(())
}

async fn list(agency: String, limit: Limit, session: &Session) -> Result<Verdict, Failure> {
    let client = client!(session, token_service_client::TokenServiceClient);
    let request = ListTokensRequest { agency, ..ListTokensRequest::default() };
    let ask = async |request| client.clone().list_tokens(request).await;
    session.list(limit.limit, request, ask, |style, answer| draw(style, &answer.tokens)).await
}

fn draw(style: &Style, tokens: &[EnrolmentToken]) -> String {
    Table::new()
        .column("ID", |token: &EnrolmentToken| token.id.clone())
        .column("AGENCY", |token| token.agency.clone())
        .column("SIDECAR", |token| if token.sidecar.is_empty() { "any".to_owned() } else { token.sidecar.clone() })
        .state("STATE", |token| {
            let tone = if token.state() == TokenState::Open { Tone::Good } else { Tone::Faded };
            (label(token.state().as_str_name(), "TOKEN_STATE"), tone)
        })
        .column("EXPIRES", |token| moment(token.expires_at.as_ref()))
        .column("USED", |token| moment(token.used_at.as_ref()))
        .wide("CREATED", |token| moment(token.created_at.as_ref()))
        .wide("CREATED BY", |token| or_nothing(&token.created_by))
        .draw(style, tokens, "No token. `chapar token create AGENCY` makes one.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_the_state_of_each_token() {
        let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
        let token = |id: &str, sidecar: &str, state: TokenState, used_at| EnrolmentToken {
            id: id.into(),
            agency: "ipm".into(),
            sidecar: sidecar.into(),
            state: state.into(),
            expires_at: at(1_795_331_521),
            used_at,
            ..EnrolmentToken::default()
        };
        let tokens = [token("tk-1", "", TokenState::Open, None), token("tk-2", "main", TokenState::Used, at(1_795_331_000))];
        insta::assert_snapshot!(draw(&Style::default(), &tokens), @r"
        ID    AGENCY  SIDECAR  STATE  EXPIRES               USED
        tk-1  ipm     any      open   2026-11-22 07:12:01Z  -
        tk-2  ipm     main     used   2026-11-22 07:12:01Z  2026-11-22 07:03:20Z
        ");
    }
}
