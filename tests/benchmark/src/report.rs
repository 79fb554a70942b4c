//! How figures are shown: as tables, as a line of JSON each, and as a chart.

pub mod table;

use std::fmt::Write as _;

use serde_json::json;

use crate::measure::Figures;

/// The line of `figures`.
pub fn json_line(figures: &Figures) -> String {
    json!({
        "scenario": figures.scenario,
        "peer": figures.peer,
        "version": figures.version,
        "cpu_us_per_call": hundredths(figures.cpu_us_per_call),
        "calls_per_s": hundredths(figures.calls_per_s),
        "p50_us": hundredths(figures.p50_us),
        "p99_us": hundredths(figures.p99_us),
        "rss_mib": hundredths(figures.rss_mib),
        "errors": figures.errors,
    })
    .to_string()
}

fn hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

const BAR_HEIGHT: usize = 16;
const BAR_WIDTH_MAX: f64 = 420.0;
const LEFT: usize = 190;
const WIDTH: usize = 760;

/// Draws `rows`, in their order. Each group has a scale of its own, since a 16 MB call costs thousands of times a small one.
pub fn chart_svg(rows: &[Figures], caption: &str) -> String {
    let rows: Vec<&Figures> = rows.iter().filter(|row| row.peer != "direct").collect();
    let mut body = String::new();
    let mut y = 56;
    for group in rows.chunk_by(|a, b| a.scenario == b.scenario) {
        let most = group.iter().map(|row| row.cpu_us_per_call).fold(f64::MIN_POSITIVE, f64::max);
        let name = group.first().map_or("", |row| row.scenario);
        let _ = writeln!(body, r#"<text x="16" y="{}" class="group">{name}</text>"#, y + 12);
        for row in group {
            let width = row.cpu_us_per_call / most * BAR_WIDTH_MAX;
            let class = if row.peer == "chapar" { "own" } else { "other" };
            let text_y = y + 12;
            let _ = writeln!(body, r#"<text x="{}" y="{text_y}" text-anchor="end">{}</text>"#, LEFT - 6, row.peer);
            let _ =
                writeln!(body, r#"<rect x="{LEFT}" y="{y}" width="{width:.1}" height="{}" class="{class}"/>"#, BAR_HEIGHT - 3);
            let beside = LEFT as f64 + width + 6.0;
            let _ = writeln!(body, r#"<text x="{beside:.1}" y="{text_y}">{:.1} µs</text>"#, row.cpu_us_per_call);
            y += BAR_HEIGHT;
        }
        y += 14;
    }
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" height="{y}" font-family="sans-serif" font-size="11">
<style>.own{{fill:#0b6e4f}} .other{{fill:#9aa5b1}} .group{{font-weight:bold}} .title{{font-size:15px;font-weight:bold}}</style>
<rect width="100%" height="100%" fill="white"/>
<text x="16" y="24" class="title">CPU of both proxies a call, µs (less is better)</text>
<text x="16" y="42">{caption}</text>
{body}</svg>
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_exactly_the_agreed_fields() {
        let figures = Figures {
            scenario: "1x1-100b",
            peer: "direct",
            version: String::new(),
            cpu_us_per_call: 1.234_56,
            calls_per_s: 2.0,
            p50_us: 3.0,
            p99_us: 4.0,
            rss_mib: 5.0,
            errors: 6,
            first_error: Some("not shown".to_owned()),
        };
        let read: serde_json::Value = serde_json::from_str(&json_line(&figures)).unwrap();
        let mut names: Vec<&str> = read.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        let agreed = ["calls_per_s", "cpu_us_per_call", "errors", "p50_us", "p99_us", "peer", "rss_mib", "scenario", "version"];
        assert_eq!(names, agreed);
        assert!((read["cpu_us_per_call"].as_f64().unwrap() - 1.23).abs() < 1e-9);
    }

    fn row(scenario: &'static str, peer: &'static str, cpu_us_per_call: f64) -> Figures {
        Figures {
            scenario,
            peer,
            version: String::new(),
            cpu_us_per_call,
            calls_per_s: 0.0,
            p50_us: 0.0,
            p99_us: 0.0,
            rss_mib: 0.0,
            errors: 0,
            first_error: None,
        }
    }

    #[test]
    fn the_costliest_of_each_scenario_has_the_longest_bar() {
        let rows = [row("a", "direct", 0.0), row("a", "chapar", 5.0), row("a", "other", 10.0), row("b", "other", 1_000.0)];
        let drawn = chart_svg(&rows, "somewhere");
        assert_eq!(drawn.matches(r#"width="420.0""#).count(), 2);
        assert_eq!(drawn.matches(r#"width="210.0""#).count(), 1);
        assert!(!drawn.contains("direct"));
    }
}
