//! Why a span is refused.

use chapar_core::record::chain::ChainId;

use super::SPAN_BYTES_MAX;

/// Why a span is not taken. Its reporter's software must be put right; sending it again does not help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// It is no span.
    #[error("the span is not readable")]
    Unreadable,
    /// Its IDs are none.
    #[error("trace_id must be 16 bytes and span_id 8, neither all zeros; parent_span_id 8 bytes or empty")]
    Ids,
    /// It is too large, in bytes.
    #[error("the span and its scope have {0} bytes; at most {SPAN_BYTES_MAX} are allowed")]
    TooLarge(usize),
    /// Its times cannot be.
    #[error("the span ends before it starts, or has no time at all")]
    Times,
    /// An attribute is not what it must be.
    #[error("attribute {0} is missing or malformed")]
    Attribute(&'static str),
    /// Somebody speaks for another agency.
    #[error("it speaks of {claimed:?} as its own side ({side}), but {reporter} reported it")]
    Forged {
        /// The side that it claims to tell of.
        side: &'static str,
        /// Agency that it claims to be.
        claimed: String,
        /// Agency that it is.
        reporter: String,
    },
    /// The agency has named as many new things as it may.
    #[error(
        "it names what nobody has named before, and its agency has done so too often; the exchange's operator must look into it"
    )]
    NewWords,
    /// The agency has begun as many chains as it may.
    #[error("its agency has begun too many evidence chains; the exchange's operator must look into it")]
    NewChains,
    /// A signature is not the reporter's, or covers nothing that is there.
    #[error("the checkpoint proves nothing: {0}")]
    Unproven(&'static str),
    /// A chain is another sidecar's.
    #[error("another sidecar reports the evidence chain {0}")]
    ForeignChain(ChainId),
    /// A place in a chain holds something else already.
    #[error("place {sequence} of the evidence chain {chain} holds something else")]
    Rewritten {
        /// The chain.
        chain: ChainId,
        /// The place in it.
        sequence: u64,
    },
}

impl Rejection {
    /// Stable reason, as it is audited and counted.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unreadable => "SPAN_UNREADABLE",
            Self::Ids => "SPAN_IDS_MALFORMED",
            Self::TooLarge(_) => "SPAN_TOO_LARGE",
            Self::Times => "SPAN_TIMES_MALFORMED",
            Self::Attribute(_) => "SPAN_ATTRIBUTE_MALFORMED",
            Self::Forged { .. } => "SPAN_FORGED",
            Self::NewWords => "WORDS_TOO_MANY",
            Self::NewChains => "CHAINS_TOO_MANY",
            Self::Unproven(_) => "CHECKPOINT_UNPROVEN",
            Self::ForeignChain(_) => "CHAIN_FOREIGN",
            Self::Rewritten { .. } => "CHAIN_REWRITTEN",
        }
    }
}
