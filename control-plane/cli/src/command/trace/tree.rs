//! One trace as a tree: who did what within what, when it began, how long it took, who reported it.

use std::collections::{HashMap, HashSet};

use chapar_proto::admin::v1::{GetTraceResponse, Span, TraceSummary};
use prost_types::Timestamp;

use super::{outcome_tone, told_of};
use crate::{
    hint,
    output::{
        Style,
        table::{Table, fields},
    },
    text::{duration, moment, or_nothing, plain, plural},
};

/// Deeper than any real trace; what lies below is drawn at this depth.
const DEPTH_MAX: usize = 32;

struct Row<'a> {
    span: &'a Span,
    /// Lines that lead to it.
    branch: String,
    /// Since the beginning of the trace.
    offset_us: u64,
}

pub(super) fn draw(style: &Style, trace: &GetTraceResponse) -> String {
    let begin = trace.spans.iter().filter_map(|span| span.started_at.as_ref()).map(micros).min().unwrap_or(0);
    let end = trace.spans.iter().map(|span| start(span).saturating_add(i128::from(span.duration_us))).max();
    let took = u64::try_from(end.unwrap_or(begin) - begin).unwrap_or(u64::MAX);
    let rows = rows(&trace.spans, begin);
    let table = Table::new()
        .column("SPAN", |row: &Row<'_>| format!("{}{} {}", row.branch, row.span.kind, row.span.name))
        .column("BEGAN", |row| format!("+{}", duration(row.offset_us)))
        .column("TOOK", |row| duration(row.span.duration_us))
        .column("REPORTED BY", |row| reporter(&row.span.reporter))
        .column("DECISION", |row| decision(row.span))
        .state("OUTCOME", |row| {
            let outcome = attribute(row.span, "chapar.outcome");
            (or_nothing(outcome), outcome_tone(outcome))
        })
        .column("STATUS", |row| or_nothing(attribute(row.span, "rpc.response.status_code")))
        .wide("MESSAGES", |row| or_nothing(&messages(row.span)))
        .wide("SPAN ID", |row| row.span.span_id.clone())
        .draw(style, &rows, "No span.");
    let summary = plain(&format!("Trace {}, {}, {}", trace.trace_id, plural(rows.len(), "span", "spans"), duration(took)));
    let mut text = format!("{summary}\n{}\n\n{table}", about(style, trace));
    if style.wide {
        for row in &rows {
            text.push_str(&attributes(style, row.span));
        }
    }
    text
}

/// What all its spans speak of: the first that says it counts.
fn about(style: &Style, trace: &GetTraceResponse) -> String {
    let spans = &trace.spans;
    let first = |key: &str| spans.iter().map(|span| attribute(span, key)).find(|value| !value.is_empty()).unwrap_or("");
    let arrow = format!("{} → {}", or_nothing(first("chapar.consumer")), or_nothing(first("chapar.provider")));
    let clause = first("chapar.clause");
    let clause = if clause.is_empty() { String::new() } else { format!(", clause {clause}") };
    let resolution = first("chapar.resolution");
    let resolution = if resolution.is_empty() { String::new() } else { format!("{resolution}{clause}") };
    let next = hint::for_reason(first("chapar.reason"), |key| Some(first(&format!("chapar.{key}"))));
    let refused = spans.iter().find(|span| !attribute(span, "chapar.reason").is_empty());
    fields(
        style,
        &[
            ("call", first("chapar.call_id").to_owned()),
            ("agencies", arrow),
            ("inquiry", first("chapar.inquiry").to_owned()),
            ("resolution", resolution),
            ("reason", first("chapar.reason").to_owned()),
            ("message", refused.map(|span| span.status_message.clone()).unwrap_or_default()),
            ("accounts", accounts(&trace.calls)),
            ("started", moment(spans.iter().filter_map(|span| span.started_at.as_ref()).min_by_key(|at| micros(at)))),
            ("next", next.unwrap_or_default()),
        ],
    )
}

/// How the two sides' accounts stand to each other, as far as something is to be said of it.
fn accounts(calls: &[TraceSummary]) -> String {
    let of_call = |call: &TraceSummary| {
        let (told, _) = told_of(&call.accounts, &call.marks);
        match call.accounts.as_str() {
            "DISAGREES" => format!(
                "{told}: the consumer's side says {}, the provider's {}",
                or_nothing(&call.consumer_outcome),
                or_nothing(&call.provider_outcome)
            ),
            "ONE-SIDED" => format!("{told}: the {}'s side does not confirm it", plain(&call.awaited)),
            _ => told,
        }
    };
    calls.iter().map(of_call).collect::<Vec<_>>().join("; ")
}

/// Spans in the order of a tree. A span whose parent is elsewhere (the application's own) stands at the top; so does one
/// in a circle, which only a wrong reporter can make: each span is drawn exactly once.
fn rows(spans: &[Span], begin: i128) -> Vec<Row<'_>> {
    let known: HashSet<&str> = spans.iter().map(|span| span.span_id.as_str()).collect();
    let mut children: HashMap<&str, Vec<usize>> = HashMap::new();
    let mut tops = Vec::new();
    for (at, span) in spans.iter().enumerate() {
        if known.contains(span.parent_span_id.as_str()) {
            children.entry(&span.parent_span_id).or_default().push(at);
        } else {
            tops.push(at);
        }
    }
    let mut drawn = vec![false; spans.len()];
    let mut rows = Vec::with_capacity(spans.len());
    // The tops first, then whatever no top leads to.
    for top in tops.into_iter().chain(0..spans.len()) {
        let mut open = vec![(top, String::new(), String::new(), 0)];
        while let Some((at, branch, indent, depth)) = open.pop() {
            if std::mem::replace(&mut drawn[at], true) {
                continue;
            }
            let span = &spans[at];
            let offset_us = u64::try_from(start(span) - begin).unwrap_or(0);
            rows.push(Row { span, branch, offset_us });
            let below = children.get(span.span_id.as_str()).map_or(&[][..], Vec::as_slice);
            for (place, child) in below.iter().enumerate().rev() {
                let (corner, line) = if place + 1 == below.len() { ("└─ ", "   ") } else { ("├─ ", "│  ") };
                let deeper = if depth < DEPTH_MAX { format!("{indent}{line}") } else { indent.clone() };
                open.push((*child, format!("{indent}{corner}"), deeper, depth + 1));
            }
        }
    }
    rows
}

fn attribute<'a>(span: &'a Span, key: &str) -> &'a str {
    span.attributes.get(key).map_or("", String::as_str)
}

/// "agency/sidecar" of a sidecar's SPIFFE ID; any other identity as it is.
fn reporter(identity: &str) -> String {
    let path = identity.strip_prefix("spiffe://").and_then(|rest| rest.split_once("/agency/"));
    match path.and_then(|(_, path)| path.split_once("/sidecar/")) {
        Some((agency, sidecar)) => format!("{agency}/{sidecar}"),
        None => or_nothing(identity),
    }
}

/// "permitted by 38-1" or "refused: NO_GRANT".
fn decision(span: &Span) -> String {
    let decision = attribute(span, "chapar.decision");
    let (resolution, reason) = (attribute(span, "chapar.resolution"), attribute(span, "chapar.reason"));
    match decision {
        "permitted" if !resolution.is_empty() => format!("permitted by {resolution}"),
        "refused" if !reason.is_empty() => format!("refused: {reason}"),
        _ => or_nothing(decision),
    }
}

/// "1 asked, 3 answered".
fn messages(span: &Span) -> String {
    match (attribute(span, "chapar.request.messages"), attribute(span, "chapar.response.messages")) {
        ("", "") => String::new(),
        (asked, answered) => format!("{} asked, {} answered", or_nothing(asked), or_nothing(answered)),
    }
}

fn attributes(style: &Style, span: &Span) -> String {
    let mut values: Vec<_> = span.attributes.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
    values.sort();
    plain(&format!("\n\n{} {} ({})\n", span.kind, span.name, span.span_id)) + &fields(style, &values)
}

fn start(span: &Span) -> i128 {
    span.started_at.as_ref().map_or(0, micros)
}

fn micros(moment: &Timestamp) -> i128 {
    i128::from(moment.seconds) * 1_000_000 + i128::from(moment.nanos) / 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(id: &str, parent: &str, kind: &str, reporter: &str, nanos: i32, duration_us: u64) -> Span {
        let attributes = [
            ("chapar.call_id", "0192f0c1"),
            ("chapar.consumer", "ipm"),
            ("chapar.provider", "cra"),
            ("chapar.inquiry", "shahkar"),
            ("chapar.resolution", "38-1"),
            ("chapar.clause", "4"),
            ("chapar.decision", "permitted"),
            ("chapar.outcome", "served"),
            ("rpc.response.status_code", "OK"),
        ];
        Span {
            trace_id: "a".repeat(32),
            span_id: id.into(),
            parent_span_id: parent.into(),
            name: "ir.cra.v1.ShahkarService/Match".into(),
            kind: kind.into(),
            started_at: Some(Timestamp { seconds: 1_795_331_521, nanos }),
            duration_us,
            reporter: format!("spiffe://exchange.example/agency/{reporter}/sidecar/main"),
            attributes: attributes.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            ..Span::default()
        }
    }

    fn trace(spans: Vec<Span>) -> GetTraceResponse {
        GetTraceResponse { trace_id: "a".repeat(32), spans, calls: Vec::new() }
    }

    #[test]
    fn draws_both_sidecars_as_a_tree() {
        let spans = vec![
            span("01", "", "client", "ipm", 0, 12_345),
            span("02", "01", "server", "cra", 1_000_000, 10_100),
            span("03", "01", "server", "cra", 2_000_000, 900),
            span("04", "02", "client", "cra", 3_000_000, 5_000),
        ];
        insta::assert_snapshot!(draw(&Style::default(), &trace(spans)), @r"
        Trace aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, 4 spans, 12.3 ms
        call        0192f0c1
        agencies    ipm → cra
        inquiry     shahkar
        resolution  38-1, clause 4
        started     2026-11-22 07:12:01Z

        SPAN                                         BEGAN    TOOK     REPORTED BY  DECISION           OUTCOME  STATUS
        client ir.cra.v1.ShahkarService/Match        +0 µs    12.3 ms  ipm/main     permitted by 38-1  served   OK
        ├─ server ir.cra.v1.ShahkarService/Match     +1.0 ms  10.1 ms  cra/main     permitted by 38-1  served   OK
        │  └─ client ir.cra.v1.ShahkarService/Match  +3.0 ms  5.0 ms   cra/main     permitted by 38-1  served   OK
        └─ server ir.cra.v1.ShahkarService/Match     +2.0 ms  900 µs   cra/main     permitted by 38-1  served   OK
        ");
    }

    #[test]
    fn draws_a_refusal_that_never_left_the_consumer() {
        let mut refused = span("01", "ff", "client", "ipm", 0, 300);
        refused.attributes.retain(|key, _| !matches!(key.as_str(), "chapar.resolution" | "chapar.clause"));
        refused.attributes.extend([
            ("chapar.decision".to_owned(), "refused".to_owned()),
            ("chapar.outcome".to_owned(), "refused".to_owned()),
            ("chapar.reason".to_owned(), "NO_GRANT".to_owned()),
            ("rpc.response.status_code".to_owned(), "PERMISSION_DENIED".to_owned()),
        ]);
        refused.status_message = "no resolution grants it".into();
        insta::assert_snapshot!(draw(&Style::default(), &trace(vec![refused])), @r"
        Trace aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, 1 span, 300 µs
        call      0192f0c1
        agencies  ipm → cra
        inquiry   shahkar
        reason    NO_GRANT
        message   no resolution grants it
        started   2026-11-22 07:12:01Z
        next      only a resolution can grant it: `chapar apply -f` with a document of kind Resolution

        SPAN                                   BEGAN  TOOK    REPORTED BY  DECISION           OUTCOME  STATUS
        client ir.cra.v1.ShahkarService/Match  +0 µs  300 µs  ipm/main     refused: NO_GRANT  refused  PERMISSION_DENIED
        ");
    }

    #[test]
    fn draws_each_span_once_even_in_a_circle() {
        let spans = vec![
            span("01", "02", "server", "ipm", 0, 1),
            span("02", "01", "server", "ipm", 0, 1),
            span("03", "03", "server", "ipm", 0, 1),
        ];
        assert_eq!(rows(&spans, 0).len(), 3);
        assert_eq!(draw(&Style::default(), &trace(Vec::new())).lines().last(), Some("No span."));
    }

    #[test]
    fn stays_in_bounds_on_a_very_deep_trace() {
        let id = |at: usize| format!("{at:04}");
        let spans: Vec<_> = (1..2_000).map(|at| span(&id(at), &id(at - 1), "server", "ipm", 0, 1)).collect();
        let rows = rows(&spans, 0);
        assert_eq!(rows.len(), 1_999);
        assert!(rows.iter().all(|row| row.branch.chars().count() <= (DEPTH_MAX + 1) * 3));
    }
}
