//! What happened, for a person to read: the granted calls by resolution, the refusals, the matrix, a trace, the times.

use std::{collections::BTreeMap, time::Duration};

use chapar_proto::admin::v1::Span;
use comfy_table::{CellAlignment, Table, presets};

use crate::{
    catalogue::{Catalogue, inquiry_named},
    decision::{Decision, Made},
    story::{heading, milliseconds, tell},
};

/// A table for each resolution: every grant, and what its call came to.
pub fn resolutions(catalogue: &Catalogue, made: &[Made]) {
    for resolution in &catalogue.resolutions {
        heading(&format!("{} · {}", resolution.title_en, resolution.title_fa));
        let mut table = plain(&["clause", "consumer", "inquiry", "provider", "decision", "time", ""]);
        for grant in catalogue.grants.iter().filter(|g| g.resolution == resolution.name) {
            let call = made.iter().find(|m| m.consumer == grant.consumer && m.inquiry == grant.inquiry);
            let decision = call.map_or_else(|| "not called".to_owned(), |m| m.decision.to_string());
            table.add_row([
                grant.clause.as_str(),
                &grant.consumer,
                &grant.inquiry,
                catalogue.provider_of(&grant.inquiry).unwrap_or_default(),
                &decision,
                &call.map_or_else(String::new, |m| milliseconds(m.took)),
                // Last, so that a terminal that sets Persian from right to left moves nothing else.
                inquiry_named(&grant.inquiry).map_or("", |i| i.title.fa),
            ]);
        }
        if let Some(column) = table.column_mut(5) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        tell(&table.to_string());
    }
}

/// How often each reason was given, with the sentence of one such refusal.
pub fn refusals(made: &[Made]) {
    heading("Refused");
    let mut by_reason: BTreeMap<&str, Vec<&Made>> = BTreeMap::new();
    for call in made {
        if let Decision::Refused(reason) = &call.decision {
            by_reason.entry(reason).or_default().push(call);
        }
    }
    for (reason, calls) in by_reason {
        tell(&format!("{reason}: {} calls, such as {} → {}:", calls.len(), calls[0].consumer, calls[0].inquiry));
        tell(&format!("    {}", calls[0].detail));
    }
}

/// The spans of one trace as a tree.
pub fn trace(call: &Made, spans: &[Span]) {
    let id = spans.first().map_or("", |s| s.trace_id.as_str());
    heading(&format!("Trace {id} of {} → {}", call.consumer, call.inquiry));
    let known = |id: &str| spans.iter().any(|s| s.span_id == id);
    for root in spans.iter().filter(|s| !known(&s.parent_span_id)) {
        branch(spans, root, 0);
    }
}

fn branch(spans: &[Span], span: &Span, depth: usize) {
    let indent = if depth == 0 { String::new() } else { format!("{}└─ ", "   ".repeat(depth - 1)) };
    let time = milliseconds(Duration::from_micros(span.duration_us));
    tell(&format!("{indent}{} {} · {time} · reported by {}", span.kind, span.name, span.reporter));
    let inner = "   ".repeat(depth);
    for name in ["chapar.grant", "chapar.decision", "chapar.outcome", "rpc.response.status_code", "chapar.policy_version"] {
        if let Some(value) = span.attributes.get(name) {
            tell(&format!("{inner}   {name} = {value}"));
        }
    }
    // A trace that names itself as its parent would never end; a real one is two spans deep.
    const DEPTH_MAX: usize = 16;
    if depth < DEPTH_MAX {
        for child in spans.iter().filter(|s| s.parent_span_id == span.span_id) {
            branch(spans, child, depth + 1);
        }
    }
}

/// Times of the calls as their callers measured them, first calls on new connections included.
pub fn times(made: &[Made]) {
    heading("Times");
    let mut table = plain(&["calls", "number", "median", "slowest"]);
    let (answered, others): (Vec<&Made>, Vec<&Made>) = made.iter().partition(|m| m.decision == Decision::Answered);
    for (name, calls) in [("answered, through two sidecars", answered), ("not answered", others)] {
        let mut times: Vec<Duration> = calls.iter().map(|m| m.took).collect();
        times.sort();
        if let (Some(median), Some(slowest)) = (times.get(times.len() / 2), times.last()) {
            table.add_row([name.to_owned(), times.len().to_string(), milliseconds(*median), milliseconds(*slowest)]);
        }
    }
    tell(&table.to_string());
}

fn plain(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header);
    table
}
