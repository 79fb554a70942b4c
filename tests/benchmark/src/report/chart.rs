//! The chart: for each scenario a group of bars, one a peer, of CPU a call; as an SVG without anything but shapes and text.

use std::fmt::Write as _;

use crate::measure::Figures;

const BAR_HEIGHT: usize = 16;
const BAR_WIDTH_MAX: f64 = 420.0;
const LEFT: usize = 190;
const WIDTH: usize = 760;

/// Draws `rows`, in their order. Each group has a scale of its own, since a 16 MB call costs thousands of times a small one.
pub fn svg(rows: &[Figures], caption: &str) -> String {
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
        let drawn = svg(&rows, "somewhere");
        assert_eq!(drawn.matches(r#"width="420.0""#).count(), 2);
        assert_eq!(drawn.matches(r#"width="210.0""#).count(), 1);
        assert!(!drawn.contains("direct"));
    }
}
