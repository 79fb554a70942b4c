//! Single changes of the register, and what is told about each.

const BREAKS: bool = true;
const COMPATIBLE: bool = false;

/// Old text, new text (both in place of the same part of the register), element, words of the change, whether it breaks.
pub(crate) type Row = (&'static str, &'static str, &'static str, &'static str, bool);

const BIRTH_YEAR: &str = r#"int32 birth_year = 4 [(chapar.v1.item) = { title: { fa: "سال تولد" en: "Birth year" } }];"#;
const SUBJECT: &str = r#"en: "National ID" } subject: SUBJECT_KIND_PERSON"#;
const LIST: &str = "rpc List(ListRequest) returns (stream ListResponse)";

pub(crate) const SERVICE_ROWS: &[Row] = &[
    (
        r#"id: "register""#,
        r#"id: "civil-register""#,
        "RegisterService",
        "its ID changed from “register” to “civil-register”",
        COMPATIBLE,
    ),
    (
        r#"en: "Register""#,
        r#"en: "The register""#,
        "RegisterService",
        "its title changed from “Register / ثبت” to “The register / ثبت”",
        COMPATIBLE,
    ),
    (
        r#"base_database: "iranian-identity""#,
        "",
        "RegisterService",
        "its base database changed from iranian-identity to none",
        COMPATIBLE,
    ),
    (
        r#""register-system""#,
        r#""other-system""#,
        "RegisterService",
        "its information system changed from register-system to other-system",
        COMPATIBLE,
    ),
    (
        "classification: CLASSIFICATION_SENSITIVE",
        "classification: CLASSIFICATION_PERSONAL",
        "RegisterService",
        "its classification was lowered from sensitive to personal",
        BREAKS,
    ),
    (
        "classification: CLASSIFICATION_SENSITIVE",
        "classification: CLASSIFICATION_CLASSIFIED",
        "RegisterService",
        "it can no longer be granted",
        BREAKS,
    ),
];

pub(crate) const METHOD_ROWS: &[Row] = &[
    (r#"id: "list""#, r#"id: "persons""#, "RegisterService.List", "its inquiry was renamed from “list” to “persons”", BREAKS),
    (
        r#"en: "List" } kind"#,
        r#"en: "All" } kind"#,
        "RegisterService.List",
        "its title changed from “List / فهرست” to “All / فهرست”",
        COMPATIBLE,
    ),
    ("INQUIRY_KIND_DATA", "INQUIRY_KIND_BULK", "RegisterService.List", "its kind changed from data to bulk", BREAKS),
    (
        LIST,
        "rpc List(ListRequest) returns (ListResponse)",
        "RegisterService.List",
        "its response changed from a stream of messages to a single message",
        BREAKS,
    ),
    (
        LIST,
        "rpc List(stream ListRequest) returns (stream ListResponse)",
        "RegisterService.List",
        "its request changed from a single message to a stream of messages",
        BREAKS,
    ),
    (
        LIST,
        "rpc List(MatchRequest) returns (stream ListResponse)",
        "RegisterService.List",
        "its request changed from ir.example.v1.ListRequest to ir.example.v1.MatchRequest",
        BREAKS,
    ),
    (
        LIST,
        "rpc List(ListRequest) returns (stream MatchResponse)",
        "RegisterService.List",
        "its response changed from ir.example.v1.ListResponse to ir.example.v1.MatchResponse",
        BREAKS,
    ),
    (
        LIST,
        "rpc ListAll(ListRequest) returns (stream ListResponse)",
        "RegisterService.List",
        "was removed, and with it the inquiry “list”",
        BREAKS,
    ),
    (
        LIST,
        "rpc ListAll(ListRequest) returns (stream ListResponse)",
        "RegisterService.ListAll",
        "was added as the inquiry “list”",
        COMPATIBLE,
    ),
    (
        r#"option (chapar.v1.inquiry) = {
      id: "list" title: { fa: "فهرست" en: "List" } kind: INQUIRY_KIND_DATA
    };"#,
        "",
        "RegisterService.List",
        "no longer carries the inquiry “list”",
        BREAKS,
    ),
];

pub(crate) const FIELD_ROWS: &[Row] = &[
    (
        BIRTH_YEAR,
        "",
        "Person.birth_year",
        "was removed without reserving its number and name: write `reserved 4; reserved \"birth_year\";`",
        BREAKS,
    ),
    (BIRTH_YEAR, "reserved 4;", "Person.birth_year", "its name is not reserved", BREAKS),
    (BIRTH_YEAR, "reserved \"birth_year\";", "Person.birth_year", "its number is not reserved", BREAKS),
    (
        BIRTH_YEAR,
        "reserved 4; reserved \"birth_year\";",
        "Person.birth_year",
        "was removed from the response; its number and name are reserved",
        COMPATIBLE,
    ),
    ("birth_year = 4", "birth_year = 5", "Person.birth_year", "its number changed from 4 to 5", BREAKS),
    ("int32 birth_year", "int64 birth_year", "Person.birth_year", "its type changed from int32 to int64", BREAKS),
    ("int32 birth_year", "Sex birth_year", "Person.birth_year", "its type changed from int32 to ir.example.v1.Sex", BREAKS),
    (
        "int32 birth_year",
        "repeated int32 birth_year",
        "Person.birth_year",
        "its type changed from int32 to repeated int32",
        BREAKS,
    ),
    (
        "repeated Person children",
        "Person children",
        "Person.children",
        "its type changed from repeated ir.example.v1.Person to ir.example.v1.Person",
        BREAKS,
    ),
    (
        "map<string, Person>",
        "map<int32, Person>",
        "ListResponse.by_name",
        "its type changed from map<string, ir.example.v1.Person> to map<int32, ir.example.v1.Person>",
        BREAKS,
    ),
    ("int32 birth_year", "optional int32 birth_year", "Person.birth_year", "now tells unset from zero", BREAKS),
    (
        "birth_year = 4 [",
        "birth_year = 4 [json_name = \"year\", ",
        "Person.birth_year",
        "its JSON name changed from “birthYear” to “year”",
        BREAKS,
    ),
    ("int32 birth_year = 4", "int32 year = 4", "Person.birth_year", "was renamed to year", BREAKS),
    ("string date = 1", "oneof day { string date = 1", "ListRequest.date", "was moved into the oneof “day”", BREAKS),
    ("oneof place {", "oneof location {", "MatchRequest.address", "was moved from the oneof “place” to “location”", BREAKS),
    ("reserved 9;", "", "Person", "no longer reserves the number 9", BREAKS),
    ("reserved \"nickname\";", "", "Person", "no longer reserves the name “nickname”", BREAKS),
    (
        BIRTH_YEAR,
        r#"int32 birth_year = 4 [(chapar.v1.item) = { title: { fa: "سال" en: "Year" } }];"#,
        "Person.birth_year",
        "its title changed",
        COMPATIBLE,
    ),
    (
        "CLASSIFICATION_PERSONAL",
        "CLASSIFICATION_ORDINARY",
        "Person.sex",
        "its classification was lowered from personal to ordinary",
        BREAKS,
    ),
    (
        "CLASSIFICATION_PERSONAL",
        "CLASSIFICATION_SENSITIVE",
        "Person.sex",
        "its classification was raised from personal to sensitive",
        COMPATIBLE,
    ),
    // An own classification that ends counts as its service's from then on.
    (
        " classification: CLASSIFICATION_PERSONAL",
        "",
        "Person.sex",
        "its classification was raised from personal to sensitive",
        COMPATIBLE,
    ),
    (SUBJECT, r#"en: "National ID" }"#, "MatchRequest.national_id", "no longer names the data subject (person)", BREAKS),
    (
        SUBJECT,
        r#"en: "National ID" } subject: SUBJECT_KIND_ENTITY"#,
        "MatchRequest.national_id",
        "names another kind of data subject: entity, it was person",
        BREAKS,
    ),
    (
        r#"en: "Postal code" }"#,
        r#"en: "Postal code" } subject: SUBJECT_KIND_ENTITY"#,
        "MatchRequest.postal_code",
        "now names the data subject (entity)",
        COMPATIBLE,
    ),
    (
        r#"en: "Match response""#,
        r#"en: "Answer""#,
        "MatchResponse",
        "its title changed from “Match response / پاسخ” to “Answer / پاسخ”",
        COMPATIBLE,
    ),
];

pub(crate) const ADDED_ROWS: &[Row] = &[
    (
        BIRTH_YEAR,
        r#"int32 birth_year = 4 [(chapar.v1.item) = { title: { fa: "سال تولد" en: "Birth year" } }];
       string name = 5 [(chapar.v1.item) = { title: { fa: "نام" en: "Name" } }];"#,
        "Person.name",
        "was added to the response (sensitive data): it needs approval",
        COMPATIBLE,
    ),
    (
        "string date = 1",
        r#"string office = 2 [(chapar.v1.item) = { title: { fa: "اداره" en: "Office" } classification: CLASSIFICATION_ORDINARY }];
       string date = 1"#,
        "ListRequest.office",
        "was added to the request (ordinary data): it needs approval",
        COMPATIBLE,
    ),
    (
        "reserved 9;",
        r#"string name = 9 [(chapar.v1.item) = { title: { fa: "نام" en: "Name" } }];"#,
        "Person.name",
        "was added under the number 9, which is reserved",
        BREAKS,
    ),
    (
        "reserved \"nickname\";",
        r#"string nickname = 5 [(chapar.v1.item) = { title: { fa: "نام" en: "Name" } }];"#,
        "Person.nickname",
        "was added under a name that is reserved",
        BREAKS,
    ),
];

pub(crate) const ENUM_ROWS: &[Row] = &[
    (
        "SEX_MALE = 2;",
        "",
        "Sex.SEX_MALE",
        "was removed without reserving its number and name: write `reserved 2; reserved \"SEX_MALE\";`",
        BREAKS,
    ),
    (
        "SEX_MALE = 2;",
        "reserved 2; reserved \"SEX_MALE\";",
        "Sex.SEX_MALE",
        "was removed; its number and name are reserved",
        COMPATIBLE,
    ),
    ("SEX_MALE = 2;", "SEX_MALE = 3;", "Sex.SEX_MALE", "its number changed from 2 to 3", BREAKS),
    ("SEX_MALE = 2;", "SEX_MAN = 2;", "Sex.SEX_MALE", "was renamed to SEX_MAN", BREAKS),
    ("SEX_MALE = 2;", "SEX_MALE = 2; SEX_OTHER = 3;", "Sex.SEX_OTHER", "was added to the response", COMPATIBLE),
];
