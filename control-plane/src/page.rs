//! Paged lists: 0 means 100, at most 1,000, and a token that is the key of the last row.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::problem::Problem;

/// Rows of a page when none are asked for.
const SIZE_DEFAULT: u32 = 100;

/// Rows of a page at most: an answer stays well below gRPC's 4 MiB.
const SIZE_MAX: u32 = 1_000;

/// Bytes of the rows of one answer; a gRPC client takes 4 MiB by default.
const ANSWER_BYTES_MAX: usize = 3 * 1024 * 1024;

/// Longest token that is looked at, in bytes.
const TOKEN_BYTES_MAX: usize = 1_024;

/// The part of a list that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Rows wanted.
    pub size: usize,
    /// Key of the last row of the page before. `None`: from the start.
    pub after: Option<String>,
}

impl Page {
    /// Reads `page_size` and `page_token` of a request.
    ///
    /// # Errors
    /// `PAGE_TOKEN_MALFORMED` for a token that no answer of ours carried.
    pub fn asked(page_size: u32, page_token: &str) -> Result<Self, Problem> {
        let size = if page_size == 0 { SIZE_DEFAULT } else { page_size.min(SIZE_MAX) };
        let after = if page_token.is_empty() { None } else { Some(key_of(page_token)?) };
        Ok(Self { size: size as usize, after })
    }

    /// The key as a number, for lists in the order of one.
    ///
    /// # Errors
    /// `PAGE_TOKEN_MALFORMED` when it is none.
    pub fn after_number(&self) -> Result<Option<i64>, Problem> {
        self.after.as_deref().map(|key| key.parse().map_err(|_| malformed())).transpose()
    }

    /// `LIMIT` to read with: one more than wanted, so that the end of the list is seen.
    #[must_use]
    pub fn limit(&self) -> i64 {
        i64::try_from(self.size).unwrap_or(i64::MAX).saturating_add(1)
    }

    /// The same page with only so many rows as fit into an answer by their bytes; one always does.
    #[must_use]
    pub fn fitting(&self, row_bytes: impl Iterator<Item = usize>) -> Self {
        let mut bytes = 0;
        let fitting = row_bytes.take_while(|row| {
            bytes += row;
            bytes <= ANSWER_BYTES_MAX
        });
        Self { size: fitting.count().max(1), ..self.clone() }
    }

    /// Cuts rows read with [`Page::limit`] to the page, and makes the token of the next one: empty at the end.
    pub fn cut<T>(&self, rows: &mut Vec<T>, key: impl Fn(&T) -> String) -> String {
        if rows.len() <= self.size {
            return String::new();
        }
        rows.truncate(self.size);
        rows.last().map(|row| URL_SAFE_NO_PAD.encode(key(row))).unwrap_or_default()
    }
}

fn key_of(token: &str) -> Result<String, Problem> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(malformed());
    }
    let bytes = URL_SAFE_NO_PAD.decode(token).map_err(|_| malformed())?;
    String::from_utf8(bytes).map_err(|_| malformed())
}

fn malformed() -> Problem {
    Problem::invalid("PAGE_TOKEN_MALFORMED", "page_token is not one that this list answered with; ask again without it")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn pages_follow_one_another_to_the_end() {
        let all: Vec<u32> = (1..=5).collect();
        let (mut seen, mut token) = (Vec::new(), String::new());
        loop {
            let page = Page::asked(2, &token).unwrap();
            let after: u32 = page.after_number().unwrap().unwrap_or(0).try_into().unwrap();
            let mut rows: Vec<u32> = all.iter().copied().filter(|n| *n > after).take(3).collect();
            token = page.cut(&mut rows, ToString::to_string);
            seen.extend(rows);
            if token.is_empty() {
                break;
            }
        }
        assert_eq!(seen, all);
    }

    #[test]
    fn a_foreign_token_is_refused_and_sizes_are_bounded() {
        assert_eq!(Page::asked(0, "").unwrap().size, 100);
        assert_eq!(Page::asked(u32::MAX, "").unwrap().size, 1_000);
        assert_eq!(Page::asked(1, "!!").unwrap_err().reason(), "PAGE_TOKEN_MALFORMED");
        let words = Page { size: 1, after: Some("x".into()) };
        assert_eq!(words.after_number().unwrap_err().reason(), "PAGE_TOKEN_MALFORMED");
    }
}
