//! Policy from the domain to the wire.

use chapar_proto::{
    admin::v1::{ApplyResponse, ChangeAction, Grant, GrantChange, PolicyVersion, ResourceChange},
    convert::snapshot::PutConditions as _,
};

use crate::{
    clock::timestamp_of_ms,
    policy::{Applied, GrantView},
    resources::Action,
    store::PolicyVersion as Version,
};

impl From<Action> for ChangeAction {
    fn from(action: Action) -> Self {
        match action {
            Action::Created => Self::Created,
            Action::Changed => Self::Changed,
            Action::Unchanged => Self::Unchanged,
            Action::Deleted => Self::Deleted,
        }
    }
}

impl From<Applied> for ApplyResponse {
    fn from(applied: Applied) -> Self {
        let resources = applied.resources.into_iter().map(|(name, action, diff)| ResourceChange {
            kind: name.kind.as_str().to_owned(),
            name: name.name,
            action: ChangeAction::from(action).into(),
            diff,
        });
        let grants =
            applied.grants.into_iter().map(|(grant, action)| GrantChange { grant, action: ChangeAction::from(action).into() });
        Self {
            version: applied.version,
            resources: resources.collect(),
            grants: grants.collect(),
            revision: applied.revision,
            warnings: applied.warnings,
        }
    }
}

impl From<Version> for PolicyVersion {
    fn from(version: Version) -> Self {
        Self {
            version: version.version,
            created_at: Some(timestamp_of_ms(version.created_at_ms)),
            created_by: version.created_by,
            reason: version.reason,
            created: version.created,
            changed: version.changed,
            deleted: version.deleted,
            rolled_back_to: version.rolled_back_to.unwrap_or_default(),
        }
    }
}

impl From<GrantView> for Grant {
    fn from(found: GrantView) -> Self {
        let GrantView { grant, provider, .. } = found;
        let mut told = Self {
            name: grant.name,
            resolution: grant.resolution,
            clause: grant.clause,
            consumer: grant.consumer,
            provider: provider.unwrap_or_default(),
            inquiry: grant.inquiry,
            note: grant.note,
            ..Self::default()
        };
        told.put_conditions(&grant.conditions);
        told
    }
}
