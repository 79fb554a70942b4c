//! Passports as text.

use std::fmt::Write as _;

use chapar_proto::{
    admin::v1::{Passport, PassportChange, PassportField, PassportInquiry, PassportState},
    v1::{Classification, SubjectKind},
};

use crate::{
    output::{
        Style,
        table::{Table, Tone, fields, paint},
    },
    text::{label, moment, or_nothing, plain, plural, short_digest},
};

pub(super) fn list(style: &Style, passports: &[Passport]) -> String {
    Table::new()
        .column("AGENCY", |passport: &Passport| passport.agency.clone())
        .column("SERVICE", |passport| passport.grpc_service.clone())
        .column("NO", |passport| passport.number.to_string())
        .state("STATE", contested)
        .column("VERSION", |passport| short_digest(&passport.version))
        .column("INQUIRIES", |passport| passport.inquiries.len().to_string())
        .wide("ID", |passport| passport.id.clone())
        .wide("RESOLUTION", |passport| or_nothing(&passport.resolution))
        .wide("CHANGED", |passport| moment(passport.changed_at.as_ref()))
        .wide("CHANGED BY", |passport| or_nothing(&passport.changed_by))
        .draw(style, passports, "No passport. `chapar passport submit` hands one in.")
}

/// The state; and, where the approval will decide whose it is, who else wants it.
fn contested(passport: &Passport) -> (String, Tone) {
    let (state, tone) = state(passport.state());
    let open = matches!(passport.state(), PassportState::Draft | PassportState::Submitted);
    if !open || passport.also_drafted_by.is_empty() {
        return (state, tone);
    }
    (format!("{state} (also drafted by {})", passport.also_drafted_by.join(", ")), tone)
}

fn state(state: PassportState) -> (String, Tone) {
    let tone = match state {
        PassportState::Approved => Tone::Good,
        PassportState::Superseded | PassportState::Retired => Tone::Faded,
        _ => Tone::Plain,
    };
    (label(state.as_str_name(), "PASSPORT_STATE"), tone)
}

/// The whole passport: the service, then each inquiry with the data items of its two documents.
pub(super) fn passport(style: &Style, passport: &Passport) -> String {
    let service = passport.service.clone().unwrap_or_default();
    let title = service.title.clone().unwrap_or_default();
    let (state, tone) = state(passport.state());
    let mut text = format!("{}  {}\n", plain(&passport.grpc_service), paint(style, &state, tone));
    text.push_str(&fields(
        style,
        &[
            ("id", passport.id.clone()),
            ("title", title.en),
            ("عنوان", title.fa),
            ("agency", passport.agency.clone()),
            ("base database", service.base_database.clone()),
            ("information system", service.information_system.clone()),
            ("classification", classification(service.classification())),
            ("version", passport.version.clone()),
            ("also drafted by", passport.also_drafted_by.join(", ")),
            ("number", passport.number.to_string()),
            ("resolution", passport.resolution.clone()),
            ("changed", moment(passport.changed_at.as_ref())),
            ("changed by", passport.changed_by.clone()),
        ],
    ));
    for inquiry in &passport.inquiries {
        let _ = write!(text, "\n\n{}", one_inquiry(style, inquiry));
    }
    text
}

fn one_inquiry(style: &Style, described: &PassportInquiry) -> String {
    let inquiry = described.inquiry.clone().unwrap_or_default();
    let title = inquiry.title.clone().unwrap_or_default();
    let kind = label(inquiry.kind().as_str_name(), "INQUIRY_KIND");
    let stream = |is_stream| if is_stream { "stream of " } else { "" };
    let mut text = plain(&format!("{}  {kind}  {}  {}", inquiry.id, title.en, title.fa));
    let _ = write!(
        text,
        "\n  {}({}{}) → {}{}",
        plain(&described.method),
        stream(described.client_streaming),
        plain(&described.request_document),
        stream(described.server_streaming),
        plain(&described.response_document)
    );
    for line in data_items(style, described).lines() {
        let _ = write!(text, "\n  {line}");
    }
    text
}

/// One data item on one line: where it goes, path, type, notes, titles.
type ItemRow = [String; 6];

fn data_items(style: &Style, described: &PassportInquiry) -> String {
    let asked = described.request_items.iter().map(|item| item_row("asks", item));
    let answered = described.response_items.iter().map(|item| item_row("answers", item));
    let rows: Vec<ItemRow> = asked.chain(answered).collect();
    Table::new()
        .column("", |row: &ItemRow| row[0].clone())
        .column("", |row| row[1].clone())
        .column("", |row| row[2].clone())
        .column("", |row| row[3].clone())
        .text("", |row| row[4].clone())
        .text("", |row| row[5].clone())
        .draw_untitled(style, &rows)
}

fn item_row(side: &str, field: &PassportField) -> ItemRow {
    let data = field.item.clone().unwrap_or_default();
    let title = data.title.clone().unwrap_or_default();
    let subject = match data.subject() {
        SubjectKind::Unspecified => "",
        SubjectKind::Person => "names the person",
        SubjectKind::Entity => "names the company",
        SubjectKind::PersonOrEntity => "names the person or company",
    };
    let notes = [classification(data.classification()), subject.to_owned()];
    let notes: Vec<_> = notes.into_iter().filter(|note| !note.is_empty()).collect();
    [side.to_owned(), field.path.clone(), field.r#type.clone(), notes.join(", "), title.en, title.fa]
}

/// Empty: the service's own holds.
fn classification(classification: Classification) -> String {
    match classification {
        Classification::Unspecified => String::new(),
        known => label(known.as_str_name(), "CLASSIFICATION"),
    }
}

/// Breaks first, since they decide.
pub(super) fn changes(style: &Style, changes: &[PassportChange]) -> String {
    if changes.is_empty() {
        return "No difference.".to_owned();
    }
    let (breaks, compatible): (Vec<_>, Vec<_>) = changes.iter().partition(|change| change.breaking);
    let mut text = String::new();
    for (group, word, tone) in [(&breaks, "breaks", Tone::Bad), (&compatible, "compatible", Tone::Good)] {
        for change in group {
            let line = plain(&format!("{}: {}", change.element, change.description));
            let _ = writeln!(text, "{}  {line}", paint(style, &format!("{word:10}"), tone));
        }
    }
    let _ = write!(
        text,
        "{}, {}",
        plural(breaks.len(), "break", "breaks"),
        plural(compatible.len(), "compatible change", "compatible changes")
    );
    text
}

#[cfg(test)]
mod tests {
    use chapar_proto::v1::{DataItem, Inquiry, InquiryKind, ServicePassport, Title};

    use super::*;

    fn title(en: &str, fa: &str) -> Option<Title> {
        Some(Title { en: en.into(), fa: fa.into() })
    }

    fn field(path: &str, title: Option<Title>, subject: SubjectKind) -> PassportField {
        let item = DataItem { title, subject: subject.into(), ..DataItem::default() };
        PassportField { path: path.into(), r#type: "string".into(), item: Some(item) }
    }

    fn shahkar() -> Passport {
        let inquiry =
            Inquiry { id: "shahkar".into(), title: title("Shahkar", "شاهکار"), kind: InquiryKind::Verification.into() };
        Passport {
            agency: "cra".into(),
            grpc_service: "ir.cra.v1.ShahkarService".into(),
            id: "cra-shahkar".into(),
            version: "3f2a9c".repeat(10) + "0123",
            number: 2,
            state: PassportState::Approved.into(),
            service: Some(ServicePassport {
                id: "cra-shahkar".into(),
                title: title("Shahkar", "شاهکار"),
                base_database: "shahkar".into(),
                information_system: "cra-shahkar".into(),
                classification: Classification::Personal.into(),
            }),
            inquiries: vec![PassportInquiry {
                method: "Match".into(),
                inquiry: Some(inquiry),
                request_document: "ir.cra.v1.MatchRequest".into(),
                response_document: "ir.cra.v1.MatchResponse".into(),
                request_items: vec![
                    field("national_id", title("National ID", "کد ملی"), SubjectKind::Person),
                    field("mobile", title("Mobile number", "شماره همراه"), SubjectKind::Unspecified),
                ],
                response_items: vec![field("same_owner", title("Same owner", "تعلق"), SubjectKind::Unspecified)],
                ..PassportInquiry::default()
            }],
            ..Passport::default()
        }
    }

    #[test]
    fn draws_a_list_and_one_passport() {
        insta::assert_snapshot!(list(&Style::default(), &[shahkar()]), @r"
        AGENCY  SERVICE                   NO  STATE     VERSION       INQUIRIES
        cra     ir.cra.v1.ShahkarService  2   approved  3f2a9c3f2a9c  1
        ");
        insta::assert_snapshot!(passport(&Style::default(), &shahkar()), @r"
        ir.cra.v1.ShahkarService  approved
        id                  cra-shahkar
        title               Shahkar
        عنوان               شاهکار
        agency              cra
        base database       shahkar
        information system  cra-shahkar
        classification      personal
        version             3f2a9c3f2a9c3f2a9c3f2a9c3f2a9c3f2a9c3f2a9c3f2a9c3f2a9c3f2a9c0123
        number              2

        shahkar  verification  Shahkar  شاهکار
          Match(ir.cra.v1.MatchRequest) → ir.cra.v1.MatchResponse
          asks     national_id  string  names the person  National ID    کد ملی
          asks     mobile       string                    Mobile number  شماره همراه
          answers  same_owner   string                    Same owner     تعلق
        ");
    }

    #[test]
    fn draws_breaks_before_compatible_changes() {
        let change = |element: &str, description: &str, breaking| PassportChange {
            element: element.into(),
            description: description.into(),
            breaking,
        };
        let both = [
            change("ir.cra.v1.MatchResponse.since", "field added", false),
            change("ir.cra.v1.MatchRequest.mobile", "field removed", true),
        ];
        insta::assert_snapshot!(changes(&Style::default(), &both), @r"
        breaks      ir.cra.v1.MatchRequest.mobile: field removed
        compatible  ir.cra.v1.MatchResponse.since: field added
        1 break, 1 compatible change
        ");
        assert_eq!(changes(&Style::default(), &[]), "No difference.");
    }
}
