//! A thief of one sidecar's state, who tries national IDs against hashes that he knows.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use chapar_core::subject::{NormalId, SubjectKey};
use chapar_proto::v1::{self, ResourceKind};
use prost::Message as _;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// All keys of a sidecar, tried on all IDs of a range.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeyTrial {
    /// The sidecar's state folder.
    pub state: PathBuf,
    /// What is to be opened, in lowercase hex.
    pub hashes: Vec<String>,
    /// The first ID, as a number.
    pub first: u64,
    /// How many.
    pub count: u64,
}

impl KeyTrial {
    /// How many keys there were, and the ID behind each hash, empty where none was found.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub(super) fn run(&self) -> Result<Value> {
        let bytes = std::fs::read(self.state.join("snapshot.binpb")).context("the sidecar's snapshot")?;
        let keys = keys_of(&v1::Update::decode(bytes.as_slice())?)?;
        let mut opened = vec![String::new(); self.hashes.len()];
        for number in self.first..self.first + self.count {
            let text = format!("{number:010}");
            let id = NormalId::from_text(&text).context("an ID")?;
            for key in &keys {
                let hash = key.hash(&id).hash.map(|byte| format!("{byte:02x}")).concat();
                if let Some(at) = self.hashes.iter().position(|known| *known == hash) {
                    opened[at].clone_from(&text);
                }
            }
        }
        Ok(json!({ "keys": keys.len(), "opened": opened }))
    }
}

/// Every key that the snapshot holds, wherever.
fn keys_of(snapshot: &v1::Update) -> Result<Vec<SubjectKey>> {
    let mut found = Vec::new();
    for resource in &snapshot.changed {
        let body = resource.body.as_slice();
        match resource.key.as_ref().map(|key| key.kind()) {
            Some(ResourceKind::Settings) => found.extend(v1::SettingsResource::decode(body)?.subject_key),
            Some(ResourceKind::Grant) => found.extend(v1::GrantResource::decode(body)?.subject_keys),
            _ => {}
        }
    }
    let key = |found: v1::SubjectKey| Some(SubjectKey::new(found.id, found.key.try_into().ok()?));
    Ok(found.into_iter().filter_map(key).collect())
}
