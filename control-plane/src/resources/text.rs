//! Checks of names and texts, and the guess at what a misspelt word was meant to be.

use chapar_core::identity::Agency;

/// Longest name of a resource: what a DNS label and a path segment of a SPIFFE ID can hold everywhere.
pub(super) const NAME_CHARS_MAX: usize = 63;

/// Says why a text is no kebab-case name.
pub(super) fn name_problem(text: &str) -> Option<String> {
    if text.is_empty() {
        return Some("the name is empty; expected kebab-case, such as \"civil-registration\"".into());
    }
    if text.chars().count() > NAME_CHARS_MAX {
        return Some(format!("the name has {} characters; at most {NAME_CHARS_MAX} are allowed", text.chars().count()));
    }
    if let Some(exchange) = text.parse::<Agency>().as_ref().ok().and_then(Agency::exchange) {
        return Some(format!(
            "{text:?} is of the exchange {exchange:?}; no other exchange is joined to this one, and an agency of this one is written by its name alone"
        ));
    }
    let kebab = text
        .split('-')
        .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()));
    (!kebab)
        .then(|| format!("{text:?} is not kebab-case; expected lowercase letters and digits in parts joined by single hyphens"))
}

/// Says why a text for people cannot be taken.
pub(super) fn prose_problem(text: &str, chars_max: usize) -> Option<String> {
    if text.trim().is_empty() {
        return Some("the text is empty".into());
    }
    let chars = text.chars().count();
    if chars > chars_max {
        return Some(format!("the text has {chars} characters; at most {chars_max} are allowed"));
    }
    // Embeddings, overrides and isolates can make a reader see another text than the one that is stored.
    let hidden = text.chars().find(|&c| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{2028}' | '\u{2029}')
    });
    hidden.map(|c| format!("the text holds the control character U+{:04X}; leave it out", u32::from(c)))
}

/// The known word that is most likely meant, ready to follow a sentence: `; did you mean "title"?`.
pub(super) fn suggestion<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, known).map(|near| format!("; did you mean {near:?}?")).unwrap_or_default()
}

/// The known word nearest to a misspelt one, if any is near enough for a slip of the pen.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // A third of the letters wrong is still a slip; a word of another meaning seldom is that near.
    let far = (word.chars().count() / 3).max(1);
    known
        .into_iter()
        .filter(|candidate| candidate.len().abs_diff(word.len()) <= far * 4)
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|&(distance, _)| distance <= far)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Edits (insert, leave out, replace, swap neighbours) between two words, without regard to ASCII case; bounded in cost.
fn distance(a: &str, b: &str) -> usize {
    const CHARS_MAX: usize = 128;
    let fold = |text: &str| text.chars().take(CHARS_MAX).collect::<String>().to_ascii_lowercase();
    strsim::osa_distance(&fold(a), &fold(b))
}
