//! One JSON object a line, for programs.

use serde_json::json;

use crate::measure::Figures;

/// The line of `figures`.
pub fn line(figures: &Figures) -> String {
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
        let read: serde_json::Value = serde_json::from_str(&line(&figures)).unwrap();
        let mut names: Vec<&str> = read.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        let agreed = ["calls_per_s", "cpu_us_per_call", "errors", "p50_us", "p99_us", "peer", "rss_mib", "scenario", "version"];
        assert_eq!(names, agreed);
        assert!((read["cpu_us_per_call"].as_f64().unwrap() - 1.23).abs() < 1e-9);
    }
}
