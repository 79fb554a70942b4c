//! What the bystanders noticed, for people and for programs.

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use serde_json::json;

use super::{Endured, Latency, P99_RATIO_MAX};
use crate::scenario::OFFERED;

/// One row an attack.
pub(super) fn table(all: &[Endured], alone: Latency) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header([
        "attack",
        "listener",
        "p50 without",
        "p50 with",
        "p99 without",
        "p99 with",
        "p99 ratio",
        "errors",
        "connections",
        "cuts",
        "counted",
        "MiB before",
        "MiB at most",
    ]);
    for endured in all {
        let mut cells = vec![Cell::new(endured.attack), Cell::new(endured.listener)];
        let micros = [endured.without.p50_us, endured.with.p50_us, endured.without.p99_us, endured.with.p99_us];
        cells.extend(micros.map(|us| number(format!("{us:.0}"))));
        let worse = if endured.p99_ratio() > P99_RATIO_MAX { " !" } else { "" };
        cells.push(number(format!("{:.2}{worse}", endured.p99_ratio())));
        let counts = [endured.errors, endured.deeds.connections, endured.deeds.cuts, endured.counted];
        cells.extend(counts.map(|count| number(count.to_string())));
        cells.extend(endured.rss_mib.map(|mib| number(format!("{mib:.1}"))));
        table.add_row(cells);
    }
    format!(
        "\n{}; latencies in µs. Without: beside somebody who makes allowed calls at the pace of the attacker. \
         With nobody beside them: p50 {:.0}, p99 {:.0}.\n{table}",
        OFFERED.title, alone.p50_us, alone.p99_us
    )
}

fn number(text: String) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}

/// One JSON object.
pub(super) fn line(endured: &Endured, alone: Latency) -> String {
    let hundredths = |value: f64| (value * 100.0).round() / 100.0;
    json!({
        "attack": endured.attack,
        "listener": endured.listener,
        "p50_us_alone": hundredths(alone.p50_us),
        "p99_us_alone": hundredths(alone.p99_us),
        "p50_us_without": hundredths(endured.without.p50_us),
        "p99_us_without": hundredths(endured.without.p99_us),
        "p50_us_with": hundredths(endured.with.p50_us),
        "p99_us_with": hundredths(endured.with.p99_us),
        "p99_ratio": hundredths(endured.p99_ratio()),
        "errors": endured.errors,
        "connections": endured.deeds.connections,
        "cuts": endured.deeds.cuts,
        "counted": endured.counted,
        "rss_mib_before": hundredths(endured.rss_mib[0]),
        "rss_mib_at_most": hundredths(endured.rss_mib[1]),
    })
    .to_string()
}
