//! An admin who asks for what his role may not do, again and again.

use std::path::PathBuf;

use anyhow::Result;
use chapar_proto::admin::v1::{ApplyRequest, policy_service_client::PolicyServiceClient};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{
    attacker::{self, Disguise},
    refusal,
};

/// Calls of one method, one after the other.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RefusedCalls {
    /// The control plane's listener for admins, host:port.
    pub address: String,
    /// The admin's certificate, PEM.
    pub chain: PathBuf,
    /// Its key, PEM.
    pub key: PathBuf,
    /// How many calls.
    pub calls: usize,
}

impl RefusedCalls {
    /// How many were refused for which reason.
    ///
    /// # Errors
    /// When the certificate cannot be read.
    pub(super) async fn run(self) -> Result<Value> {
        let disguise = Disguise::read(&self.chain, &self.key)?;
        let mut client = PolicyServiceClient::new(attacker::channel(&self.address, Some(&disguise))?);
        let mut reasons = std::collections::BTreeMap::<String, u64>::new();
        for _ in 0..self.calls {
            let refused = client.apply(ApplyRequest::default()).await.err();
            *reasons.entry(refused.map_or_else(String::new, |status| refusal::reason(&status))).or_default() += 1;
        }
        Ok(json!(reasons))
    }
}
