//! Passports from the domain to the wire, and what is wrong with one.

use chapar_core::passport::{PassportError, ServicePassport};
use chapar_proto::admin::v1::{Passport, PassportInquiry, PassportState};

use crate::{
    clock::timestamp_of_ms,
    problem::Problem,
    problem::WithSources,
    registry::{PassportRow, RegistryError, State},
};

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

pub(super) fn wire_passport(row: &PassportRow, service: Option<&ServicePassport>) -> Passport {
    Passport {
        agency: row.agency.clone(),
        grpc_service: row.grpc_service.clone(),
        id: row.id.clone(),
        version: row.version.clone(),
        number: row.number,
        state: PassportState::from(row.state).into(),
        service: service.map(Into::into),
        inquiries: service.map(|service| service.inquiries.iter().map(PassportInquiry::from).collect()).unwrap_or_default(),
        created_at: Some(timestamp_of_ms(row.created_at_ms)),
        changed_at: Some(timestamp_of_ms(row.changed_at_ms)),
        changed_by: row.changed_by.clone(),
        resolution: row.resolution.clone(),
    }
}

impl From<RegistryError> for Problem {
    fn from(error: RegistryError) -> Self {
        let text = WithSources(&error).to_string();
        match error {
            RegistryError::AgencyUnknown(_) => Self::not_found("AGENCY_UNKNOWN", text),
            RegistryError::PassportUnknown(_) => Self::not_found("PASSPORT_UNKNOWN", text),
            RegistryError::Argument(_) => Self::invalid("REQUEST_MALFORMED", text),
            RegistryError::Address(_) => Self::invalid("ADDRESS_MALFORMED", text),
            RegistryError::Unreadable { problem: PassportError::Incomplete { gaps, more }, .. } => {
                let start = Self::invalid("PASSPORT_INCOMPLETE", text).with("gaps", (gaps.len() + more).to_string());
                gaps.into_iter().fold(start, |all, gap| all.field(gap.element, gap.missing))
            }
            RegistryError::Unreadable { .. } => Self::invalid("DESCRIPTOR_MALFORMED", text),
            RegistryError::Incomplete(element, missing) => Self::invalid("PASSPORT_INCOMPLETE", text).field(element, missing),
            RegistryError::Incompatible { breaks, .. } => {
                let start = Self::precondition("PASSPORT_INCOMPATIBLE", format!("{text} in {} ways", breaks.len()));
                breaks
                    .into_iter()
                    .fold(start, |all, change| all.violation("PASSPORT_INCOMPATIBLE", change.element, change.description))
            }
            RegistryError::Foreign(_) => Self::denied("FOREIGN_SERVICE", text),
            RegistryError::State(_) => Self::precondition("PASSPORT_STATE", text),
            RegistryError::Store(error) => Self::from(error),
            RegistryError::Failed(error) => Self::internal(&error),
        }
    }
}
