//! What passed between whom in each hour.

use chapar_proto::admin::v1::{HourSum, ListSumsRequest};
use clap::Args;

use crate::{
    failure::Failure,
    input::Moment,
    output::{Style, table::Table},
    paging::RecentLimit,
    session::{Session, client},
    text::{duration, moment, or_nothing},
    verdict::Verdict,
};

#[derive(Debug, Args)]
pub(crate) struct SumsArgs {
    /// Only calls that this agency made
    #[arg(long, value_name = "AGENCY", default_value = "", hide_default_value = true)]
    consumer: String,
    /// Only calls that this agency answered
    #[arg(long, value_name = "AGENCY", default_value = "", hide_default_value = true)]
    provider: String,
    /// Only calls of this inquiry
    #[arg(long, value_name = "NAME", default_value = "", hide_default_value = true)]
    inquiry: String,
    /// Only hours that begin then or later
    #[arg(long, value_name = "MOMENT")]
    from: Option<Moment>,
    /// Only hours that begin before then
    #[arg(long, value_name = "MOMENT")]
    until: Option<Moment>,
    #[command(flatten)]
    limit: RecentLimit,
}

pub(crate) async fn run(args: SumsArgs, session: &Session) -> Result<Verdict, Failure> {
    let client = client!(session, ledger_service_client::LedgerServiceClient);
    let request = ListSumsRequest {
        consumer: args.consumer,
        provider: args.provider,
        inquiry: args.inquiry,
        from: args.from.map(Moment::timestamp),
        until: args.until.map(Moment::timestamp),
        ..ListSumsRequest::default()
    };
    let ask = async |request| client.clone().list_sums(request).await;
    session.list(args.limit.limit, request, ask, |style, answer| draw(style, &answer.sums)).await
}

fn draw(style: &Style, sums: &[HourSum]) -> String {
    Table::new()
        .column("HOUR", |sum: &HourSum| moment(sum.hour.as_ref()))
        .column("CONSUMER", |sum| or_nothing(&sum.consumer))
        .column("PROVIDER", |sum| or_nothing(&sum.provider))
        .column("INQUIRY", |sum| or_nothing(&sum.inquiry))
        .column("OUTCOME", |sum| or_nothing(&sum.outcome))
        .column("CALLS", |sum| sum.calls.to_string())
        .column("MEAN", |sum| duration(sum.duration_us / sum.calls.max(1)))
        .column("LONGEST", |sum| duration(sum.duration_us_max))
        .wide("BYTES OUT", |sum| sum.request_bytes.to_string())
        .wide("BYTES BACK", |sum| sum.response_bytes.to_string())
        .draw(style, sums, "No hour with calls has ended.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_mean_of_an_hour() {
        let sum =
            HourSum { calls: 4, duration_us: 8_000, duration_us_max: 5_000, inquiry: "shahkar".into(), ..HourSum::default() };
        let drawn = draw(&Style::default(), &[sum]);
        assert!(drawn.contains("2") && drawn.contains("shahkar"), "{drawn}");
    }
}
