//! Passports from the domain to the wire.

use chapar_proto::admin::v1::{Passport, PassportInquiry, PassportState};

use crate::{clock::timestamp_of_ms, registry::Described, store::PassportState as State};

impl From<State> for PassportState {
    fn from(state: State) -> Self {
        match state {
            State::Draft => Self::Draft,
            State::Submitted => Self::Submitted,
            State::Approved => Self::Approved,
            State::Superseded => Self::Superseded,
            State::Retired => Self::Retired,
        }
    }
}

impl From<&Described> for Passport {
    fn from(described: &Described) -> Self {
        let Described { row, service } = described;
        let inquiries = service.iter().flat_map(|service| &service.inquiries);
        Self {
            agency: row.agency.clone(),
            grpc_service: row.grpc_service.clone(),
            id: row.id.clone(),
            version: row.version.clone(),
            number: row.number,
            state: PassportState::from(row.state).into(),
            service: service.as_ref().map(Into::into),
            inquiries: inquiries.map(PassportInquiry::from).collect(),
            created_at: Some(timestamp_of_ms(row.created_at_ms)),
            changed_at: Some(timestamp_of_ms(row.changed_at_ms)),
            changed_by: row.changed_by.clone(),
            resolution: row.resolution.clone(),
        }
    }
}

/// The state that a list is narrowed to; unspecified: any.
pub(super) fn wanted_state(wire: PassportState) -> Option<State> {
    State::ALL.into_iter().find(|state| PassportState::from(*state) == wire)
}
