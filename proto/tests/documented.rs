//! Our own API is documented where it is written: every element says what it is, every field what it means unset.

use std::{fs, path::Path};

use protox::prost_reflect::prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorProto, ServiceDescriptorProto};

/// Field numbers in descriptor.proto, of which a location's path is made.
mod number {
    pub(super) const FILE_MESSAGE: i32 = 4;
    pub(super) const FILE_ENUM: i32 = 5;
    pub(super) const FILE_SERVICE: i32 = 6;
    pub(super) const MESSAGE_FIELD: i32 = 2;
    pub(super) const MESSAGE_NESTED: i32 = 3;
    pub(super) const MESSAGE_ENUM: i32 = 4;
    pub(super) const ENUM_VALUE: i32 = 2;
    pub(super) const SERVICE_METHOD: i32 = 2;
}

/// How our comments tell what an unset field means; each begins a sentence or ends a clause.
const UNSET_WORDS: &[&str] =
    &["Unset", "Empty", "empty", "Required", "Always set", "Never empty", "Never 0", "0:", "0 when", "False:", "True:"];

#[test]
fn every_element_of_our_api_is_documented() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    collect(root, &root.join("chapar"), &mut files);
    assert!(files.len() >= 9, "the contract's files are found: {files:?}");
    let mut compiler = protox::Compiler::new([root]).expect("the folder exists");
    compiler.include_source_info(true);
    compiler.open_files(&files).expect("the contract compiles");
    let gaps: Vec<String> = compiler.file_descriptor_set().file.iter().flat_map(gaps_of).collect();
    assert!(gaps.is_empty(), "undocumented:\n{}", gaps.join("\n"));
}

#[test]
fn finds_what_is_not_documented() {
    let text = r#"
        syntax = "proto3";
        package chapar.test;
        // A message.
        message Told {
          // Unset: nothing.
          string told = 1;
          // What it is, but not what it means unset.
          string half_told = 2;
          string untold = 3;
          message Untold {}
        }
        enum Untold { UNTOLD_UNSPECIFIED = 0; }
        service Untelling { rpc Untold(Told) returns (Told); }
    "#;
    let file = protox::file::File::from_source("test.proto", text).expect("the text compiles");
    let gaps = gaps_of(file.file_descriptor_proto());
    assert_eq!(
        gaps,
        [
            "test.proto: chapar.test.Told.half_told does not say what unset means",
            "test.proto: chapar.test.Told.untold",
            "test.proto: chapar.test.Told.Untold",
            "test.proto: chapar.test.Untold",
            "test.proto: chapar.test.Untold.UNTOLD_UNSPECIFIED",
            "test.proto: chapar.test.Untelling",
            "test.proto: chapar.test.Untelling.Untold",
        ]
    );
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("the entry can be read").path();
        if path.is_dir() {
            collect(root, &path, files);
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            let name = path.strip_prefix(root).expect("the file is in the folder");
            files.push(name.to_string_lossy().into_owned());
        }
    }
}

fn gaps_of(file: &FileDescriptorProto) -> Vec<String> {
    let mut check = Check { file, gaps: Vec::new() };
    for (index, message) in file.message_type.iter().enumerate() {
        check.message(&[number::FILE_MESSAGE, to_i32(index)], file.package(), message);
    }
    for (index, enumeration) in file.enum_type.iter().enumerate() {
        check.enumeration(&[number::FILE_ENUM, to_i32(index)], file.package(), enumeration);
    }
    for (index, service) in file.service.iter().enumerate() {
        check.service(&[number::FILE_SERVICE, to_i32(index)], service);
    }
    check.gaps
}

struct Check<'a> {
    file: &'a FileDescriptorProto,
    gaps: Vec<String>,
}

impl Check<'_> {
    fn message(&mut self, path: &[i32], scope: &str, message: &DescriptorProto) {
        // The compiler makes the entry of a map; nobody writes it.
        if message.options.as_ref().is_some_and(|options| options.map_entry()) {
            return;
        }
        let name = format!("{scope}.{}", message.name());
        self.element(path, &name);
        for (index, field) in message.field.iter().enumerate() {
            self.field(&below(path, number::MESSAGE_FIELD, index), &format!("{name}.{}", field.name()));
        }
        for (index, nested) in message.nested_type.iter().enumerate() {
            self.message(&below(path, number::MESSAGE_NESTED, index), &name, nested);
        }
        for (index, enumeration) in message.enum_type.iter().enumerate() {
            self.enumeration(&below(path, number::MESSAGE_ENUM, index), &name, enumeration);
        }
    }

    fn enumeration(&mut self, path: &[i32], scope: &str, enumeration: &EnumDescriptorProto) {
        let name = format!("{scope}.{}", enumeration.name());
        self.element(path, &name);
        for (index, value) in enumeration.value.iter().enumerate() {
            self.element(&below(path, number::ENUM_VALUE, index), &format!("{name}.{}", value.name()));
        }
    }

    fn service(&mut self, path: &[i32], service: &ServiceDescriptorProto) {
        let name = format!("{}.{}", self.file.package(), service.name());
        self.element(path, &name);
        for (index, method) in service.method.iter().enumerate() {
            self.element(&below(path, number::SERVICE_METHOD, index), &format!("{name}.{}", method.name()));
        }
    }

    fn field(&mut self, path: &[i32], name: &str) {
        let comment = self.comment(path);
        if comment.is_empty() {
            self.gaps.push(format!("{}: {name}", self.file.name()));
        } else if !UNSET_WORDS.iter().any(|words| comment.contains(words)) {
            self.gaps.push(format!("{}: {name} does not say what unset means", self.file.name()));
        }
    }

    fn element(&mut self, path: &[i32], name: &str) {
        if self.comment(path).is_empty() {
            self.gaps.push(format!("{}: {name}", self.file.name()));
        }
    }

    /// The comment that stands right before an element.
    fn comment(&self, path: &[i32]) -> String {
        let locations = self.file.source_code_info.iter().flat_map(|info| &info.location);
        let comment = locations.filter(|location| location.path == path).find_map(|l| l.leading_comments.clone());
        // Sentences run over line ends.
        comment.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
    }
}

fn below(path: &[i32], field: i32, index: usize) -> Vec<i32> {
    [path, &[field, to_i32(index)]].concat()
}

fn to_i32(index: usize) -> i32 {
    i32::try_from(index).expect("a file has fewer declarations than an i32 counts")
}
