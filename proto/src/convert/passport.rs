//! Passports: what the options say, and how the admin API shows it.

use chapar_core::passport::{
    Change, Classification, DataItem, Inquiry, InquiryKind, ServicePassport, SubjectKind, Title, Unknown,
};

use crate::{
    admin::v1::{PassportChange, PassportField, PassportInquiry},
    v1,
};

impl From<&Title> for v1::Title {
    fn from(title: &Title) -> Self {
        Self { fa: title.fa.clone(), en: title.en.clone() }
    }
}

impl From<InquiryKind> for v1::InquiryKind {
    fn from(kind: InquiryKind) -> Self {
        match kind {
            InquiryKind::Verification => Self::Verification,
            InquiryKind::Data => Self::Data,
            InquiryKind::Push => Self::Push,
            InquiryKind::Broadcast => Self::Broadcast,
            InquiryKind::Bulk => Self::Bulk,
        }
    }
}

impl TryFrom<v1::InquiryKind> for InquiryKind {
    type Error = Unknown;

    fn try_from(kind: v1::InquiryKind) -> Result<Self, Unknown> {
        Self::try_from(i32::from(kind))
    }
}

impl From<Classification> for v1::Classification {
    fn from(classification: Classification) -> Self {
        match classification {
            Classification::Ordinary => Self::Ordinary,
            Classification::Personal => Self::Personal,
            Classification::Sensitive => Self::Sensitive,
            Classification::Classified => Self::Classified,
        }
    }
}

impl TryFrom<v1::Classification> for Classification {
    type Error = Unknown;

    fn try_from(classification: v1::Classification) -> Result<Self, Unknown> {
        Self::try_from(i32::from(classification))
    }
}

impl From<SubjectKind> for v1::SubjectKind {
    fn from(subject: SubjectKind) -> Self {
        match subject {
            SubjectKind::Person => Self::Person,
            SubjectKind::Entity => Self::Entity,
            SubjectKind::PersonOrEntity => Self::PersonOrEntity,
        }
    }
}

impl TryFrom<v1::SubjectKind> for SubjectKind {
    type Error = Unknown;

    fn try_from(subject: v1::SubjectKind) -> Result<Self, Unknown> {
        Self::try_from(i32::from(subject))
    }
}

impl From<&ServicePassport> for v1::ServicePassport {
    fn from(passport: &ServicePassport) -> Self {
        Self {
            id: passport.id.clone(),
            title: Some((&passport.title).into()),
            base_database: passport.base_database.clone().unwrap_or_default(),
            information_system: passport.information_system.clone(),
            classification: v1::Classification::from(passport.classification).into(),
        }
    }
}

impl From<&Inquiry> for v1::Inquiry {
    fn from(inquiry: &Inquiry) -> Self {
        Self { id: inquiry.id.clone(), title: Some((&inquiry.title).into()), kind: v1::InquiryKind::from(inquiry.kind).into() }
    }
}

impl From<&Inquiry> for PassportInquiry {
    fn from(inquiry: &Inquiry) -> Self {
        Self {
            method: inquiry.method.clone(),
            inquiry: Some(inquiry.into()),
            request_document: inquiry.request.message.clone(),
            response_document: inquiry.response.message.clone(),
            client_streaming: inquiry.client_streaming,
            server_streaming: inquiry.server_streaming,
            subject_fields: inquiry.subjects().map(|item| item.path.clone()).collect(),
            request_items: inquiry.request.items.iter().map(PassportField::from).collect(),
            response_items: inquiry.response.items.iter().map(PassportField::from).collect(),
        }
    }
}

impl From<&DataItem> for PassportField {
    fn from(item: &DataItem) -> Self {
        let subject = item.subject.map_or(v1::SubjectKind::Unspecified, v1::SubjectKind::from);
        Self {
            path: item.path.clone(),
            r#type: item.type_name.clone(),
            item: Some(v1::DataItem {
                title: Some((&item.title).into()),
                classification: v1::Classification::from(item.classification).into(),
                subject: subject.into(),
            }),
        }
    }
}

impl From<Change> for PassportChange {
    fn from(change: Change) -> Self {
        Self { element: change.element, description: change.description, breaking: change.breaking }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_has_the_same_number_on_both_sides() {
        for kind in [InquiryKind::Verification, InquiryKind::Data, InquiryKind::Push, InquiryKind::Broadcast, InquiryKind::Bulk] {
            assert_eq!(i32::from(v1::InquiryKind::from(kind)), kind.number());
            assert_eq!(InquiryKind::try_from(v1::InquiryKind::from(kind)), Ok(kind));
        }
        for classification in
            [Classification::Ordinary, Classification::Personal, Classification::Sensitive, Classification::Classified]
        {
            assert_eq!(i32::from(v1::Classification::from(classification)), classification.number());
            assert_eq!(Classification::try_from(v1::Classification::from(classification)), Ok(classification));
        }
        for subject in [SubjectKind::Person, SubjectKind::Entity, SubjectKind::PersonOrEntity] {
            assert_eq!(i32::from(v1::SubjectKind::from(subject)), subject.number());
            assert_eq!(SubjectKind::try_from(v1::SubjectKind::from(subject)), Ok(subject));
        }
    }

    #[test]
    fn an_unset_value_means_nothing() {
        assert!(InquiryKind::try_from(v1::InquiryKind::Unspecified).is_err());
        assert!(Classification::try_from(v1::Classification::Unspecified).is_err());
        assert!(SubjectKind::try_from(v1::SubjectKind::Unspecified).is_err());
    }
}
