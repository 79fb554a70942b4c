//! The values that the passport options give to services, inquiries and data items.

use std::fmt;

/// The same words in the two languages of the exchange.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Title {
    /// Persian.
    pub fa: String,
    /// English.
    pub en: String,
}

impl fmt::Display for Title {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} / {}", self.en, self.fa)
    }
}

/// A number on the wire that means nothing here: unset, or made by a newer version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{number} is no {what}")]
pub struct Unknown {
    /// What was expected, such as `kind of inquiry`.
    pub what: &'static str,
    /// What came in its place.
    pub number: i32,
}

/// How an inquiry exchanges data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum InquiryKind {
    /// Answers yes or no about data that the consumer already holds.
    Verification,
    /// Answers with data items.
    Data,
    /// The provider sends events by default (session 38, resolution 2).
    Push,
    /// Published once to all its beneficiaries (regulation, article 3, note 3).
    Broadcast,
    /// A one-time hand-over of a whole data set (session 38, resolution 4.1, note).
    Bulk,
}

impl InquiryKind {
    /// The word for it in texts and in spans.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Verification => "verification",
            Self::Data => "data",
            Self::Push => "push",
            Self::Broadcast => "broadcast",
            Self::Bulk => "bulk",
        }
    }

    /// Its number in `chapar.v1.InquiryKind`.
    #[must_use]
    pub const fn number(self) -> i32 {
        match self {
            Self::Verification => 1,
            Self::Data => 2,
            Self::Push => 3,
            Self::Broadcast => 4,
            Self::Bulk => 5,
        }
    }
}

impl TryFrom<i32> for InquiryKind {
    type Error = Unknown;

    fn try_from(number: i32) -> Result<Self, Unknown> {
        [Self::Verification, Self::Data, Self::Push, Self::Broadcast, Self::Bulk]
            .into_iter()
            .find(|k| k.number() == number)
            .ok_or(Unknown { what: "kind of inquiry", number })
    }
}

impl fmt::Display for InquiryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How much harm an unlawful disclosure does; ordered from the least to the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Classification {
    /// Nothing about an identified person.
    Ordinary,
    /// About an identified person or company.
    Personal,
    /// About an identified person's health, convictions, family, or finances.
    Sensitive,
    /// Exempt from the shared exchange (regulation, article 3, note 1): may be registered, is never granted or listed.
    Classified,
}

impl Classification {
    /// The word for it in texts.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ordinary => "ordinary",
            Self::Personal => "personal",
            Self::Sensitive => "sensitive",
            Self::Classified => "classified",
        }
    }

    /// Its number in `chapar.v1.Classification`.
    #[must_use]
    pub const fn number(self) -> i32 {
        match self {
            Self::Ordinary => 1,
            Self::Personal => 2,
            Self::Sensitive => 3,
            Self::Classified => 4,
        }
    }
}

impl TryFrom<i32> for Classification {
    type Error = Unknown;

    fn try_from(number: i32) -> Result<Self, Unknown> {
        [Self::Ordinary, Self::Personal, Self::Sensitive, Self::Classified]
            .into_iter()
            .find(|c| c.number() == number)
            .ok_or(Unknown { what: "classification", number })
    }
}

impl fmt::Display for Classification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// By which identifier a request item names the data subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SubjectKind {
    /// A person, by national ID (کد ملی).
    Person,
    /// A company, by national entity ID (شناسه ملی).
    Entity,
    /// Either of the two.
    PersonOrEntity,
}

impl SubjectKind {
    /// The word for it in texts.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Entity => "entity",
            Self::PersonOrEntity => "person or entity",
        }
    }

    /// Its number in `chapar.v1.SubjectKind`.
    #[must_use]
    pub const fn number(self) -> i32 {
        match self {
            Self::Person => 1,
            Self::Entity => 2,
            Self::PersonOrEntity => 3,
        }
    }
}

impl TryFrom<i32> for SubjectKind {
    type Error = Unknown;

    fn try_from(number: i32) -> Result<Self, Unknown> {
        [Self::Person, Self::Entity, Self::PersonOrEntity]
            .into_iter()
            .find(|s| s.number() == number)
            .ok_or(Unknown { what: "kind of data subject", number })
    }
}

impl fmt::Display for SubjectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
