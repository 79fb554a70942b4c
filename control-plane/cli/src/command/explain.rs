//! May this consumer call this inquiry, and by which resolution, or why not.

use std::fmt::Write as _;

use chapar_proto::admin::v1::{ExplainRequest, ExplainResponse};
use clap::Args;

use crate::{
    failure::Failure,
    hint,
    input::Moment,
    output::{
        Style,
        table::{Tone, fields, paint},
    },
    session::{Session, client},
    text::{moment, moment_and_day, plain},
    verdict::Verdict,
};

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// Agency that asks
    consumer: String,
    /// Name of the inquiry, or /<grpc service>/<method>
    inquiry: String,
    /// Agency that answers, where several offer the inquiry
    #[arg(long, value_name = "AGENCY", default_value = "", hide_default_value = true)]
    provider: String,
    /// Decide as of then: 2026-03-21T08:00:00Z, 2026-03-21, 1405-01-01 (Jalali), or 2h (ago)
    #[arg(long, value_name = "MOMENT")]
    at: Option<Moment>,
    /// Purpose that the call would state
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    purpose: String,
}

pub(crate) async fn run(args: ExplainArgs, session: &Session) -> Result<Verdict, Failure> {
    let mut client = client!(session, policy_service_client::PolicyServiceClient);
    let at = args.at.map(Moment::timestamp);
    let (consumer, inquiry) = (args.consumer.clone(), args.inquiry.clone());
    let request = ExplainRequest { consumer, inquiry, provider: args.provider, at, purpose: args.purpose };
    let answer = session.call(client.explain(request)).await?;
    session.output.show(&answer, |style| draw(style, &args.consumer, &args.inquiry, &answer))?;
    Ok(if answer.permitted { Verdict::Yes } else { Verdict::No })
}

fn draw(style: &Style, consumer: &str, inquiry: &str, answer: &ExplainResponse) -> String {
    let (word, tone) = if answer.permitted { ("PERMITTED", Tone::Good) } else { ("REFUSED", Tone::Bad) };
    let mut text = format!("{}  {} → {}", paint(style, word, tone), plain(consumer), plain(inquiry));
    if !answer.reason.is_empty() {
        let _ = write!(text, "  [{}]", plain(&answer.reason));
    }
    let _ = writeln!(text, "\n{}", plain(&answer.explanation));
    let mut values = Vec::new();
    if let Some(grant) = &answer.grant {
        let clause = if grant.clause.is_empty() { String::new() } else { format!(", clause {}", grant.clause) };
        values.extend([
            ("grant", grant.name.clone()),
            ("resolution", format!("{}{clause}", grant.resolution)),
            ("provider", grant.provider.clone()),
            ("state", super::grant::state(grant).0),
            ("from", moment_and_day(grant.not_before.as_ref())),
            ("until", moment_and_day(grant.not_after.as_ref())),
            ("revoked", moment(grant.revoked_at.as_ref())),
            ("because", grant.revocation_reason.clone()),
            ("note", grant.note.clone()),
        ]);
    }
    values.push(("policy version", answer.policy_version.to_string()));
    if !answer.permitted {
        let known = |key: &str| match key {
            "consumer" | "agency" => Some(consumer),
            "inquiry" => Some(inquiry),
            "grant" => answer.grant.as_ref().map(|grant| grant.name.as_str()),
            _ => None,
        };
        values.push(("next", hint::for_reason(&answer.reason, known).unwrap_or_default()));
    }
    text + &fields(style, &values)
}

#[cfg(test)]
mod tests {
    use chapar_proto::admin::v1::Grant;

    use super::*;

    fn grant() -> Grant {
        Grant {
            name: "38-1/4/ipm/shahkar".into(),
            resolution: "38-1".into(),
            clause: "4".into(),
            consumer: "ipm".into(),
            provider: "cra".into(),
            inquiry: "shahkar".into(),
            in_force: true,
            ..Grant::default()
        }
    }

    #[test]
    fn names_the_resolution_that_permits() {
        let answer = ExplainResponse {
            permitted: true,
            explanation: "Resolution 38-1, clause 4, grants it.".into(),
            grant: Some(grant()),
            policy_version: 3,
            ..ExplainResponse::default()
        };
        insta::assert_snapshot!(draw(&Style::default(), "ipm", "shahkar", &answer), @r"
        PERMITTED  ipm → shahkar
        Resolution 38-1, clause 4, grants it.
        grant           38-1/4/ipm/shahkar
        resolution      38-1, clause 4
        provider        cra
        state           in force
        policy version  3
        ");
    }

    #[test]
    fn names_the_reason_and_the_next_step_of_a_refusal() {
        let answer = ExplainResponse {
            reason: "NO_GRANT".into(),
            explanation: "No resolution grants iban-match to ipm. The working group must act.".into(),
            policy_version: 3,
            ..ExplainResponse::default()
        };
        insta::assert_snapshot!(draw(&Style::default(), "ipm", "iban-match", &answer), @r"
        REFUSED  ipm → iban-match  [NO_GRANT]
        No resolution grants iban-match to ipm. The working group must act.
        policy version  3
        next            only a resolution can grant it: `chapar apply -f` with a document of kind Resolution
        ");
    }

    #[test]
    fn says_who_revoked_and_how_to_restore() {
        let mut revoked = grant();
        revoked.revoked_at = Some(prost_types::Timestamp { seconds: 1_795_331_521, nanos: 0 });
        revoked.revocation_reason = "misuse".into();
        let answer = ExplainResponse {
            reason: "GRANT_REVOKED".into(),
            explanation: "The grant was revoked: misuse.".into(),
            grant: Some(revoked),
            policy_version: 4,
            ..ExplainResponse::default()
        };
        insta::assert_snapshot!(draw(&Style::default(), "ipm", "shahkar", &answer), @r"
        REFUSED  ipm → shahkar  [GRANT_REVOKED]
        The grant was revoked: misuse.
        grant           38-1/4/ipm/shahkar
        resolution      38-1, clause 4
        provider        cra
        state           revoked
        revoked         2026-11-22 07:12:01Z
        because         misuse
        policy version  4
        next            `chapar grant restore 38-1/4/ipm/shahkar` brings it back
        ");
    }
}
