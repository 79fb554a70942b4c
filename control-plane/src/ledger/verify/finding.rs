//! What a verification found.

/// Findings of one chain that are told; what is beyond says no more.
pub(super) const FINDINGS_MAX: usize = 1_000;

/// One sign of tampering.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finding {
    /// Stable: "ENTRY_MISSING", "ENTRY_ALTERED", "CHAIN_BROKEN", "CHECKPOINT_FORGED", "CALL_ALTERED", "FORGOTTEN_EARLY".
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

impl Progress {
    /// The state of now, with the findings since the last time.
    pub(super) fn take_step(&mut self) -> Self {
        let findings = std::mem::take(&mut self.findings);
        Self { findings, ..self.clone() }
    }
}
