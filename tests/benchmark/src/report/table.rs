//! Tables for people.

use comfy_table::{Attribute, Cell, CellAlignment, ContentArrangement, Table, presets};

use crate::{measure::Figures, peers::Peer, scale::Series, scenario::Scenario};

/// One table a scenario, with what each peer costs and how it compares with Chapar.
pub fn scenario(scenario: &Scenario, rows: &[Figures]) -> String {
    let what = if scenario.manner == crate::ends::load::Manner::Dialogue { "message" } else { "call" };
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Disabled);
    let header = [
        "peer".to_owned(),
        "version".to_owned(),
        format!("CPU µs/{what}"),
        "chapar ÷ it".to_owned(),
        format!("{what}s/s"),
        "p50 µs".to_owned(),
        "p99 µs".to_owned(),
        "RSS MiB".to_owned(),
        "errors".to_owned(),
    ];
    table.set_header(header);
    let own = rows.iter().find(|row| row.peer == "chapar").map(|row| row.cpu_us_per_call);
    for row in rows {
        let ratio = own.filter(|_| !matches!(row.peer, "chapar" | "direct"));
        let ratio = ratio.map_or_else(|| "–".to_owned(), |own| format!("{:.2}", own / row.cpu_us_per_call));
        let mut cells = vec![
            Cell::new(row.peer),
            Cell::new(&row.version),
            number(if row.peer == "direct" { "–".to_owned() } else { format!("{:.1}", row.cpu_us_per_call) }),
            number(ratio),
            number(format!("{:.0}", row.calls_per_s)),
            number(format!("{:.0}", row.p50_us)),
            number(format!("{:.0}", row.p99_us)),
            number(if row.peer == "direct" { "–".to_owned() } else { format!("{:.1}", row.rss_mib) }),
            number(row.errors.to_string()),
        ];
        if row.peer == "chapar" {
            cells = cells.into_iter().map(|cell| cell.add_attribute(Attribute::Bold)).collect();
        }
        table.add_row(cells);
    }
    let mut text = format!("\n{}: {}\n{table}", scenario.name, scenario.title);
    text.push_str(&first_errors(rows));
    text
}

/// One table for a thing that grows.
pub fn series(series: &Series) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["scenario", "peer", "CPU µs/call", "calls/s", "p50 µs", "p99 µs", "RSS MiB", "errors"]);
    for row in &series.figures {
        table.add_row(vec![
            Cell::new(row.scenario),
            Cell::new(row.peer),
            number(format!("{:.3}", row.cpu_us_per_call)),
            number(format!("{:.0}", row.calls_per_s)),
            number(format!("{:.2}", row.p50_us)),
            number(format!("{:.2}", row.p99_us)),
            number(format!("{:.1}", row.rss_mib)),
            number(row.errors.to_string()),
        ]);
    }
    let mut text = format!("\n{}\n{table}", series.title);
    text.push_str(&first_errors(&series.figures));
    text
}

fn first_errors(rows: &[Figures]) -> String {
    let failed = rows.iter().filter(|row| row.errors > 0);
    let told = failed.map(|row| {
        format!("\n{}, {}: the first error: {}", row.peer, row.scenario, row.first_error.as_deref().unwrap_or("unknown"))
    });
    told.collect()
}

/// What was measured: programs, versions, and what each handshake used.
pub fn peers(peers: &[Peer], idle_mib: &[f64]) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["peer", "version", "idle RSS MiB, both", "note"]);
    for (peer, idle) in peers.iter().zip(idle_mib) {
        let idle = if peer.processes.is_empty() { "–".to_owned() } else { format!("{idle:.1}") };
        table.add_row(vec![Cell::new(peer.name), Cell::new(&peer.version), number(idle), Cell::new(&peer.note)]);
    }
    table.to_string()
}

fn number(text: String) -> Cell {
    Cell::new(text).set_alignment(CellAlignment::Right)
}
