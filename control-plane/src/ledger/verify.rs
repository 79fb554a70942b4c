//! Finds what was tampered with in the ledger: every signed piece of every evidence chain is recomputed, and every call compared with
//! the records that it is made of.

mod call;
mod chain;
mod finding;

use std::ops::ControlFlow;

use chapar_core::time::Timestamp;
use tokio::sync::mpsc;

pub use self::finding::{Finding, Progress};
use self::{chain::ChainCheck, finding::FINDINGS_MAX};
use super::{
    Ledger,
    call::{CallQuery, Missing},
    pairing::Marks,
    retention,
    trust::{Anchors, Trust},
};
use crate::{audit, store::StoreError};

/// Steps of a verification that wait to be told.
const PROGRESS_MAX: usize = 4;

type Steps = mpsc::Sender<Result<Progress, StoreError>>;

impl Ledger {
    /// Verifies all evidence chains, or those of one reporter: the progress, a chain at a time, with what was found. Of the whole ledger
    /// also the calls whose two accounts cannot be relied on as they are, where the other side has had `grace_s` seconds. It ends
    /// when nobody listens any more.
    #[must_use]
    pub fn verify(&self, reporter: String, trust: Trust, grace_s: u32) -> mpsc::Receiver<Result<Progress, StoreError>> {
        let (steps, told) = mpsc::channel(PROGRESS_MAX);
        let ledger = self.clone();
        tokio::spawn(async move {
            if let Err(error) = ledger.verify_all(reporter, trust.into(), grace_s, &steps).await {
                // Whoever asked may have gone away.
                let _ = steps.send(Err(error)).await;
            }
        });
        told
    }

    async fn verify_all(&self, reporter: String, anchors: Anchors, grace_s: u32, steps: &Steps) -> Result<(), StoreError> {
        let evicted_before = self.evicted_before().await?;
        let whole = reporter.is_empty();
        let (send, told) = (steps.clone(), std::sync::Arc::new(std::sync::Mutex::new(Progress::default())));
        let progress = told.clone();
        let visitor = move |chain: &super::chain::HeldChain, view: &dyn super::store::ChainView| {
            // A number more or less after a panic, and the panic ends the verification.
            let mut progress = progress.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            ChainCheck { chain, view, anchors: &anchors, evicted_before, progress: &mut progress }.run()?;
            progress.chains += 1;
            let heard = send.blocking_send(Ok(progress.take_step())).is_ok();
            Ok(if heard { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        };
        self.store.visit_chains(reporter, Box::new(visitor)).await?;
        if whole {
            let miscounted = self.store.miscounted_calls(FINDINGS_MAX).await?;
            let doubtful = self.doubtful_calls(grace_s).await?;
            let (newest, head) = (self.store.newest_position().await?.unsigned_abs(), self.store.head().await?);
            let cut = (newest < head.id).then(|| Finding::cut(newest, head.id));
            let mut step = told.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take_step();
            step.findings = miscounted.into_iter().map(Finding::miscounted).collect();
            step.findings.extend(doubtful);
            step.findings.extend(cut);
            // Whoever asked may have gone away.
            let _ = steps.send(Ok(step)).await;
        }
        Ok(())
    }

    /// Calls of which the accounts disagree, or one is missing, or that are marked; each kind up to a bound.
    async fn doubtful_calls(&self, grace_s: u32) -> Result<Vec<Finding>, StoreError> {
        let due = self.unpaired_before(grace_s);
        let all = CallQuery::default;
        let mut calls = Vec::new();
        for marks in [Marks::DISAGREES, Marks::TIME, Marks::UNGRANTED] {
            calls.extend(self.store.calls(CallQuery { marked: Some(marks), ..all() }, None, FINDINGS_MAX).await?);
        }
        let missing = CallQuery { missing: Some(Missing::Either), ..all() };
        calls.extend(self.store.calls(missing, Some(due), FINDINGS_MAX).await?);
        calls.sort_by_key(|call| std::cmp::Reverse(call.key));
        calls.dedup_by_key(|call| call.key);
        Ok(calls.iter().flat_map(|call| Finding::of_accounts(call, due)).collect())
    }

    /// What came in before then retention may have removed, as the audit says.
    async fn evicted_before(&self) -> Result<Timestamp, StoreError> {
        let actions = [retention::AUDIT_ACTION, retention::AUDIT_ACTION_FORMER];
        let before_ms = audit::greatest_detail(&self.audit, actions, "beforeMs").await?;
        Ok(Timestamp::from_unix_ms(before_ms.unwrap_or(i64::MIN)))
    }
}
