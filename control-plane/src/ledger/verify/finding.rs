//! What a verification found.

use crate::ledger::{
    call::{Accounts, Call},
    key::CallKey,
    pairing::Marks,
};

/// Findings of one chain that are told; what is beyond says no more.
pub(super) const FINDINGS_MAX: usize = 1_000;

/// One sign of tampering.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finding {
    /// Stable: "LEDGER_CUT", "ENTRY_MISSING", "ENTRY_ALTERED", "CHAIN_BROKEN", "CHECKPOINT_FORGED", "CALL_ALTERED", "FORGOTTEN_EARLY"; and of what
    /// sidecars told, "DISAGREES", "ONE-SIDED", "NO_GRANT_IN_FORCE", "TIME_DOUBTED", "SUBJECT_KEY_DOUBTED".
    pub kind: &'static str,
    /// SPIFFE ID of the sidecar whose chain it is.
    pub reporter: String,
    /// The chain.
    pub chain: String,
    /// First of the entries in question; 0: it is of none.
    pub first: i64,
    /// Last of the entries in question.
    pub last: i64,
    /// The call in question; empty: it is of none.
    pub call_id: String,
    /// What is wrong, for a person.
    pub told: String,
}

/// How far the verification is, and what it found lately.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Chains verified.
    pub chains: u64,
    /// Entries seen.
    pub entries: u64,
    /// Signatures verified.
    pub checkpoints: u64,
    /// Entries that no signature covers yet.
    pub unsigned: u64,
    /// Entries of which only the digest is left.
    pub evicted: u64,
    /// What was found since the step before.
    pub findings: Vec<Finding>,
}

impl Finding {
    /// Of a call that somebody made up, or whose records somebody removed.
    pub(super) fn miscounted(call_id: String) -> Self {
        let told = "the call counts other records than there are".to_owned();
        Self { kind: "CALL_ALTERED", call_id, told, ..Self::default() }
    }
}

impl Finding {
    /// Of a ledger whose newest rows somebody removed.
    pub(super) fn cut(newest: u64, head: u64) -> Self {
        let told = format!("the ledger ends with record {newest}, and its head says {head}: the newest were cut off");
        Self { kind: "LEDGER_CUT", told, ..Self::default() }
    }

    /// Of what sidecars told of a call, and cannot be relied on as it is. `due`: calls below it should have both accounts.
    pub(super) fn of_accounts(call: &Call, due: CallKey) -> Vec<Self> {
        let found = |kind: &'static str, told: String| Self { kind, call_id: call.call_id.clone(), told, ..Self::default() };
        let mut findings = Vec::new();
        match call.accounts(due) {
            Accounts::Disagree => findings.push(found(
                Accounts::Disagree.as_str(),
                format!(
                    "{} says {}, {} says {}: compare both accounts by `chapar trace show`",
                    call.consumer,
                    or_nothing(&call.consumer_outcome),
                    call.provider,
                    or_nothing(&call.provider_outcome)
                ),
            )),
            Accounts::OneSided => {
                let (told, silent) = if call.awaited == 1 { ("provider", "consumer") } else { ("consumer", "provider") };
                let text = format!("only the {told}'s side tells of the call; the {silent}'s does not confirm it");
                findings.push(found(Accounts::OneSided.as_str(), text));
            }
            Accounts::Agree | Accounts::Awaited | Accounts::Sole => {}
        }
        for (mark, name) in Marks::NAMED.into_iter().filter(|(mark, _)| call.marks.has(*mark)) {
            let told = match mark {
                Marks::TIME => "an account claims a time that is not to be believed",
                Marks::SUBJECT => {
                    "an account says whom it is about by a key that was not in force, so that a search may not find it"
                }
                _ => "an account claims what no grant in force allowed at the policy version that it names",
            };
            findings.push(found(name, told.to_owned()));
        }
        findings
    }
}

fn or_nothing(outcome: &str) -> &str {
    if outcome.is_empty() { "nothing" } else { outcome }
}

impl Progress {
    /// The state of now, with the findings since the last time.
    pub(super) fn take_step(&mut self) -> Self {
        let findings = std::mem::take(&mut self.findings);
        Self { findings, ..self.clone() }
    }
}
