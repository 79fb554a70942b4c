//! The decisions of the exchange for each consumer and each inquiry: 22 × 24 cells, drawn so that a change of policy is
//! a change of few lines in the golden file.

use std::fmt::Write as _;

use crate::{
    catalogue::Catalogue,
    decision::{Decision, Made},
};

/// The matrix as committed.
pub const GOLDEN: &str = include_str!("../golden/matrix.txt");

/// Consumers by inquiries, with what was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matrix {
    consumers: Vec<String>,
    /// Inquiry and its provider.
    inquiries: Vec<(&'static str, String)>,
    /// A row a consumer.
    cells: Vec<Vec<Decision>>,
}

impl Matrix {
    /// What the catalogue says.
    #[must_use]
    pub fn expected(catalogue: &Catalogue) -> Self {
        Self::build(catalogue, |consumer, inquiry| Decision::expected(catalogue.grant(consumer, inquiry)))
    }

    /// What was seen; a call that was not made is a failure.
    #[must_use]
    pub fn observed(catalogue: &Catalogue, calls: &[Made]) -> Self {
        Self::build(catalogue, |consumer, inquiry| {
            let made = calls.iter().find(|m| m.consumer == consumer && m.inquiry == inquiry);
            made.map_or_else(|| Decision::Failed("not called".to_owned()), |m| m.decision.clone())
        })
    }

    fn build(catalogue: &Catalogue, decide: impl Fn(&str, &str) -> Decision) -> Self {
        let inquiries: Vec<(&'static str, String)> = catalogue
            .inquiries()
            .into_iter()
            .map(|i| (i.id, catalogue.provider_of(i.id).unwrap_or_default().to_owned()))
            .collect();
        let consumers: Vec<String> = catalogue.agencies.iter().map(|a| a.name.clone()).collect();
        let row = |consumer: &String| inquiries.iter().map(|(id, _)| decide(consumer, id)).collect();
        Self { cells: consumers.iter().map(row).collect(), consumers, inquiries }
    }

    /// One line a difference, against another matrix of the same catalogue.
    #[must_use]
    pub fn differences(&self, wanted: &Self) -> Vec<String> {
        let mut differences = Vec::new();
        for (row, consumer) in self.consumers.iter().enumerate() {
            for (column, (inquiry, _)) in self.inquiries.iter().enumerate() {
                let (seen, wanted) = (&self.cells[row][column], &wanted.cells[row][column]);
                if seen != wanted {
                    differences.push(format!("{consumer} → {inquiry}: {seen}; must be {wanted}"));
                }
            }
        }
        differences
    }

    /// As text: the inquiries with their numbers, the grid, and how often each decision was made.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::from("May the agency on the left make the inquiry above? Decided on session 38.\n\n");
        for (nth, (inquiry, provider)) in self.inquiries.iter().enumerate() {
            writeln!(text, "{:>4}  {inquiry:<28} {provider}", nth + 1).expect("a String takes all");
        }
        text.push('\n');
        let width = self.consumers.iter().map(String::len).max().unwrap_or(0);
        write!(text, "{:width$} ", "").expect("a String takes all");
        for nth in 1..=self.inquiries.len() {
            write!(text, " {nth:>2}").expect("a String takes all");
        }
        text.push('\n');
        for (consumer, row) in self.consumers.iter().zip(&self.cells) {
            write!(text, "{consumer:<width$} ").expect("a String takes all");
            for decision in row {
                write!(text, " {:>2}", mark(decision)).expect("a String takes all");
            }
            text.push('\n');
        }
        text.push('\n');
        self.render_legend(&mut text);
        text
    }

    fn render_legend(&self, text: &mut String) {
        let mut counts: Vec<(String, &'static str, usize)> = Vec::new();
        for decision in self.cells.iter().flatten() {
            let name = decision.to_string();
            match counts.iter_mut().find(|(known, ..)| *known == name) {
                Some((.., count)) => *count += 1,
                None => counts.push((name, mark(decision), 1)),
            }
        }
        counts.sort();
        for (name, mark, count) in counts {
            writeln!(text, "{mark:>4}  {name}: {count}").expect("a String takes all");
        }
    }
}

fn mark(decision: &Decision) -> &'static str {
    match decision {
        Decision::Answered => "ok",
        Decision::Refused(reason) => match reason.as_str() {
            "NO_GRANT" => "·",
            "GRANT_NOT_YET_IN_FORCE" | "INQUIRY_NOT_YET_IN_FORCE" => "ny",
            _ => "R!",
        },
        Decision::Failed(_) => "F!",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_golden_file_is_what_session_38_grants() {
        let catalogue = Catalogue::read().expect("the embedded files are whole");
        assert_eq!(Matrix::expected(&catalogue).render(), GOLDEN, "compare, then bless with --bless");
    }

    #[test]
    fn tells_a_wrong_answer_and_a_call_not_made() {
        let catalogue = Catalogue::read().expect("the embedded files are whole");
        let wanted = Matrix::expected(&catalogue);
        assert!(wanted.differences(&wanted).is_empty());
        assert_eq!(Matrix::observed(&catalogue, &[]).differences(&wanted).len(), 22 * 24);
    }
}
