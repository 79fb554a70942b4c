//! Long lists, page by page.

use std::future::Future;

use chapar_proto::admin::v1::{
    FindCallsRequest, FindCallsResponse, ListAgenciesRequest, ListAgenciesResponse, ListAuditRequest, ListAuditResponse,
    ListCertificatesRequest, ListCertificatesResponse, ListGrantsRequest, ListGrantsResponse, ListPassportsRequest,
    ListPassportsResponse, ListSidecarsRequest, ListSidecarsResponse, ListSumsRequest, ListSumsResponse, ListTokensRequest,
    ListTokensResponse, ListTracesRequest, ListTracesResponse, ListUnpairedRequest, ListUnpairedResponse, ListVersionsRequest,
    ListVersionsResponse,
};

use clap::Args;

use crate::failure::Failure;

/// How much of a long list to fetch.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct Limit {
    /// Most entries to show; 0 shows all
    #[arg(long, value_name = "N", default_value_t = 1_000)]
    pub(crate) limit: u32,
}

/// As [`Limit`], for lists that grow with every call.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct RecentLimit {
    /// Most entries to show, newest first; 0 shows all
    #[arg(long, value_name = "N", default_value_t = 50)]
    pub(crate) limit: u32,
}

/// Most entries that the admin API puts on one page.
const PAGE_SIZE_MAX: u32 = 1_000;

/// An answer of the admin API that holds one page of a list. An empty token: there is no rest.
pub(crate) trait Page: Sized {
    /// Entries on it.
    fn len(&self) -> usize;
    /// The token of what comes after it.
    fn rest(&self) -> &str;
    /// Goes on with `next`, the page after it.
    fn follow_by(&mut self, next: Self);
    /// Keeps the first entries only.
    fn truncate(&mut self, len: usize);
}

macro_rules! pages {
    ($($answer:ident.$entries:ident)*) => {$(
        impl Page for $answer {
            fn len(&self) -> usize {
                self.$entries.len()
            }

            fn rest(&self) -> &str {
                &self.next_page_token
            }

            fn follow_by(&mut self, next: Self) {
                let mut entries = std::mem::replace(self, next);
                entries.$entries.append(&mut self.$entries);
                self.$entries = entries.$entries;
            }

            fn truncate(&mut self, len: usize) {
                self.$entries.truncate(len);
            }
        }
    )*};
}

pages! {
    FindCallsResponse.calls
    ListAgenciesResponse.agencies
    ListAuditResponse.entries
    ListCertificatesResponse.certificates
    ListGrantsResponse.grants
    ListPassportsResponse.passports
    ListSidecarsResponse.sidecars
    ListSumsResponse.sums
    ListTokensResponse.tokens
    ListTracesResponse.traces
    ListUnpairedResponse.calls
    ListVersionsResponse.versions
}

/// A request of the admin API for one page of a list.
pub(crate) trait PageRequest: Clone {
    /// The same, for the page of this size that begins where this token says.
    fn for_page(&self, size: u32, token: String) -> Self;
}

macro_rules! page_requests {
    ($($request:ident)*) => {$(
        impl PageRequest for $request {
            fn for_page(&self, page_size: u32, page_token: String) -> Self {
                let mut request = self.clone();
                (request.page_size, request.page_token) = (page_size, page_token);
                request
            }
        }
    )*};
}

page_requests! {
    FindCallsRequest
    ListAgenciesRequest
    ListAuditRequest
    ListCertificatesRequest
    ListGrantsRequest
    ListPassportsRequest
    ListSidecarsRequest
    ListSumsRequest
    ListTokensRequest
    ListTracesRequest
    ListUnpairedRequest
    ListVersionsRequest
}

/// Fetches pages until there is no rest, or `limit` entries are here. A limit of 0 is none.
pub(crate) async fn collect<P, F>(limit: u32, mut fetch: impl FnMut(u32, String) -> F) -> Result<P, Failure>
where
    P: Page,
    F: Future<Output = Result<P, Failure>>,
{
    let wanted = |here: usize| match limit {
        0 => PAGE_SIZE_MAX,
        limit => limit.saturating_sub(u32::try_from(here).unwrap_or(u32::MAX)).min(PAGE_SIZE_MAX),
    };
    let mut all = fetch(wanted(0), String::new()).await?;
    while !all.rest().is_empty() && wanted(all.len()) > 0 {
        let next = fetch(wanted(all.len()), all.rest().to_owned()).await?;
        all.follow_by(next);
    }
    if limit != 0 {
        all.truncate(limit as usize);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    struct Numbers {
        entries: Vec<u32>,
        next_page_token: String,
    }

    pages! { Numbers.entries }

    /// A list of the numbers below `length`, in pages of at most `page_max`; notes what it was asked.
    async fn numbers(limit: u32, length: u32, page_max: u32) -> (Vec<u32>, String, Vec<(u32, String)>) {
        let asked = RefCell::new(Vec::new());
        let page = collect(limit, |size, token| {
            asked.borrow_mut().push((size, token.clone()));
            async move {
                let from: u32 = token.parse().unwrap_or(0);
                let until = length.min(from + size.min(page_max));
                let rest = if until < length { until.to_string() } else { String::new() };
                Ok(Numbers { entries: (from..until).collect(), next_page_token: rest })
            }
        });
        let page = page.await.unwrap();
        (page.entries, page.next_page_token, asked.into_inner())
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
