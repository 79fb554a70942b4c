//! Long lists, page by page.

use std::future::Future;

use crate::failure::Failure;

/// Most entries that the admin API puts on one page.
const PAGE_SIZE_MAX: u32 = 1_000;

/// Entries of a list, and the token of the rest. An empty token: there is no rest.
pub(crate) struct Page<T> {
    pub(crate) entries: Vec<T>,
    pub(crate) rest: String,
}

/// Fetches pages until there is no rest, or `limit` entries are here. A limit of 0 is none.
pub(crate) async fn collect<T, F>(limit: u32, mut fetch: impl FnMut(u32, String) -> F) -> Result<Page<T>, Failure>
where
    F: Future<Output = Result<Page<T>, Failure>>,
{
    let mut all = Page { entries: Vec::new(), rest: String::new() };
    loop {
        let here = u32::try_from(all.entries.len()).unwrap_or(u32::MAX);
        let wanted = if limit == 0 { PAGE_SIZE_MAX } else { (limit - here).min(PAGE_SIZE_MAX) };
        let page = fetch(wanted, std::mem::take(&mut all.rest)).await?;
        all.entries.extend(page.entries);
        all.rest = page.rest;
        if limit != 0 {
            all.entries.truncate(limit as usize);
        }
        if all.rest.is_empty() || all.entries.len() == limit as usize && limit != 0 {
            return Ok(all);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// A list of the numbers below `length`, in pages of at most `page_max`; notes what it was asked.
    async fn numbers(limit: u32, length: u32, page_max: u32) -> (Vec<u32>, String, Vec<(u32, String)>) {
        let asked = RefCell::new(Vec::new());
        let page = collect(limit, |size, token| {
            asked.borrow_mut().push((size, token.clone()));
            async move {
                let from: u32 = token.parse().unwrap_or(0);
                let until = length.min(from + size.min(page_max));
                let rest = if until < length { until.to_string() } else { String::new() };
                Ok(Page { entries: (from..until).collect(), rest })
            }
        });
        let page = page.await.unwrap();
        (page.entries, page.rest, asked.into_inner())
    }

    #[tokio::test]
    async fn fetches_all_pages_when_there_is_no_limit() {
        let (entries, rest, asked) = numbers(0, 2_500, 1_000).await;
        assert_eq!((entries.len(), rest.as_str(), asked.len()), (2_500, "", 3));
    }

    #[tokio::test]
    async fn stops_at_the_limit_and_keeps_the_token_of_the_rest() {
        let (entries, rest, asked) = numbers(5, 9, 3).await;
        assert_eq!((entries, rest.as_str()), (vec![0, 1, 2, 3, 4], "5"));
        assert_eq!(asked, [(5, String::new()), (2, "3".to_owned())]);
    }

    #[tokio::test]
    async fn ends_on_an_empty_list() {
        let (entries, rest, asked) = numbers(5, 0, 3).await;
        assert_eq!((entries.len(), rest.as_str(), asked.len()), (0, "", 1));
    }
}
