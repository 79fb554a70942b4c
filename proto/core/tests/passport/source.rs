//! Compiles `.proto` texts as an agency's tools would.

use std::{collections::HashMap, path::PathBuf};

use chapar_core::passport::{Gap, Passport, PassportError, ServicePassport};
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver, IncludeFileResolver};

/// The file under test.
pub(crate) const FILE: &str = "register.proto";

/// A complete passport, for tests to change one thing in.
pub(crate) const REGISTER: &str = r#"
syntax = "proto3";
package ir.example.v1;
import "chapar/v1/passport.proto";
import "google/protobuf/timestamp.proto";

service RegisterService {
  option (chapar.v1.service) = {
    id: "register"
    title: { fa: "ثبت" en: "Register" }
    base_database: "iranian-identity"
    information_system: "register-system"
    classification: CLASSIFICATION_SENSITIVE
  };
  rpc Match(MatchRequest) returns (MatchResponse) {
    option (chapar.v1.inquiry) = {
      id: "match" title: { fa: "انطباق" en: "Match" } kind: INQUIRY_KIND_VERIFICATION
    };
  }
  rpc List(ListRequest) returns (stream ListResponse) {
    option (chapar.v1.inquiry) = {
      id: "list" title: { fa: "فهرست" en: "List" } kind: INQUIRY_KIND_DATA
    };
  }
}

message MatchRequest {
  option (chapar.v1.document) = { title: { fa: "درخواست" en: "Match request" } };
  string national_id = 1 [(chapar.v1.item) = { title: { fa: "کد ملی" en: "National ID" } subject: SUBJECT_KIND_PERSON }];
  oneof place {
    string address = 2 [(chapar.v1.item) = { title: { fa: "نشانی" en: "Address" } }];
    string postal_code = 3 [(chapar.v1.item) = { title: { fa: "کد پستی" en: "Postal code" } }];
  }
}

message MatchResponse {
  option (chapar.v1.document) = { title: { fa: "پاسخ" en: "Match response" } };
  bool match = 1 [(chapar.v1.item) = { title: { fa: "انطباق" en: "Match" } }];
}

message ListRequest {
  option (chapar.v1.document) = { title: { fa: "درخواست فهرست" en: "List request" } };
  string date = 1 [(chapar.v1.item) = { title: { fa: "تاریخ" en: "Date" } classification: CLASSIFICATION_ORDINARY }];
}

message ListResponse {
  option (chapar.v1.document) = { title: { fa: "فهرست" en: "List" } };
  repeated Person persons = 1 [(chapar.v1.item) = { title: { fa: "اشخاص" en: "Persons" } }];
  map<string, Person> by_name = 2 [(chapar.v1.item) = { title: { fa: "به نام" en: "By name" } }];
  google.protobuf.Timestamp made_at = 3 [(chapar.v1.item) = { title: { fa: "زمان" en: "Made at" } }];
}

message Person {
  reserved 9;
  reserved "nickname";
  string national_id = 1 [(chapar.v1.item) = { title: { fa: "کد ملی" en: "National ID" } }];
  Sex sex = 2 [(chapar.v1.item) = { title: { fa: "جنسیت" en: "Sex" } classification: CLASSIFICATION_PERSONAL }];
  repeated Person children = 3 [(chapar.v1.item) = { title: { fa: "فرزندان" en: "Children" } }];
  int32 birth_year = 4 [(chapar.v1.item) = { title: { fa: "سال تولد" en: "Birth year" } }];
}

enum Sex {
  SEX_UNSPECIFIED = 0;
  SEX_FEMALE = 1;
  SEX_MALE = 2;
}
"#;

struct Texts(HashMap<String, String>);

impl FileResolver for Texts {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match self.0.get(name) {
            Some(text) => File::from_source(name, text),
            None => Err(protox::Error::file_not_found(name)),
        }
    }
}

/// Compiles `files` (the first and what it imports) to the bytes of a descriptor set.
pub(crate) fn compile_all(files: &[(&str, &str)]) -> Vec<u8> {
    let texts = files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    let contract = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut resolver = ChainFileResolver::new();
    // The texts first, so that a test can bring a forged file.
    resolver.add(Texts(texts));
    resolver.add(IncludeFileResolver::new(contract));
    resolver.add(GoogleFileResolver::new());
    let mut compiler = protox::Compiler::with_file_resolver(resolver);
    compiler.include_imports(true);
    compiler.open_file(files[0].0).expect("the test's text compiles");
    compiler.encode_file_descriptor_set()
}

pub(crate) fn compile(text: &str) -> Vec<u8> {
    compile_all(&[(FILE, text)])
}

/// `REGISTER` with one thing changed; the change must apply.
pub(crate) fn register_with(from: &str, to: &str) -> String {
    assert!(REGISTER.contains(from), "the register holds {from:?}");
    REGISTER.replacen(from, to, 1)
}

pub(crate) fn passport(text: &str) -> ServicePassport {
    Passport::parse(&compile(text)).expect("the passport is complete").services()[0].clone()
}

/// The gaps of an incomplete passport.
pub(crate) fn gaps(text: &str) -> Vec<Gap> {
    match Passport::parse(&compile(text)) {
        Err(PassportError::Incomplete { gaps, .. }) => gaps,
        Err(other) => panic!("malformed: {other:?}"),
        Ok(_) => Vec::new(),
    }
}
