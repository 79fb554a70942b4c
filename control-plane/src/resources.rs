//! Resource files: what an admin declares, read with limits and checked as a whole.
//!
//! `read` turns files into documents with their places; [`Reading::check`] holds them against the policy in force and against
//! each other and returns either resources that are sound, or every problem at once with file, line, column and field.

mod change;
mod check;
mod decode;
mod fields;
mod kind;
mod problem;
#[cfg(test)]
mod tests;
mod text;
mod title;
mod tree;
mod writer;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use self::{decode::Document, fields::Context, problem::Problems, writer::Writer};

pub use change::{Action, ResourceChange};
pub use kind::{
    Agency, BaseDatabase, GrantClause, InformationSystem, Kind, Resolution, ResourceName, Revocation, Role, Spec,
    classification_of, grant_name,
};
pub use problem::{PROBLEMS_MAX, Place, Problem, Site};
pub use text::nearest;
pub use title::Title;

/// The only version of the resource format.
pub const API_VERSION: &str = "chapar/v1";

/// Largest file: session 38 has 20 KiB, so this is a hundred sessions.
pub const FILE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Largest request, so that reading it costs a bounded share of the process.
pub const REQUEST_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Most files in a request.
pub const FILES_MAX: usize = 1_000;

/// All resources of a version of the policy.
pub type PolicySet = BTreeMap<ResourceName, Arc<Spec>>;

/// A file as it was handed in.
#[derive(Clone, Debug)]
pub struct ResourceFile {
    /// Shown in problems.
    pub name: String,
    /// YAML or JSON.
    pub content: Vec<u8>,
}

/// Files that were read, not yet checked.
#[derive(Debug)]
pub struct Reading {
    documents: Vec<Document>,
    problems: Problems,
    /// False when a document could not be read as YAML.
    whole: bool,
}

/// An inquiry that a grant of the request names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedInquiry {
    /// Its name.
    pub inquiry: String,
    /// The provider named in the grant.
    pub provider: Option<String>,
    /// `<file>:<line>:<column>: <path>`.
    pub place: String,
}

/// Reads all files. Never fails: what is wrong comes out of [`Reading::check`].
pub fn read(files: &[ResourceFile]) -> Reading {
    let names = files.iter().enumerate().map(|(index, file)| match file.name.as_str() {
        "" => format!("file {}", index + 1),
        name => name.chars().filter(|c| !c.is_control()).take(FILE_NAME_CHARS_MAX).collect(),
    });
    let mut reading = Reading { documents: Vec::new(), problems: Problems::of_files(names), whole: true };
    let bytes: usize = files.iter().map(|file| file.content.len()).sum();
    if files.len() > FILES_MAX {
        reading.refuse(0, Place::START, format!("the request has {} files; at most {FILES_MAX} are allowed", files.len()));
        return reading;
    }
    if bytes > REQUEST_BYTES_MAX && files.iter().all(|file| file.content.len() <= FILE_BYTES_MAX) {
        reading.refuse(
            0,
            Place::START,
            format!("the files of the request have {bytes} bytes; at most {REQUEST_BYTES_MAX} are allowed; apply them in parts"),
        );
        return reading;
    }
    let mut values_left = tree::VALUES_MAX;
    for (index, file) in files.iter().enumerate() {
        reading.read_file(index, &file.content, &mut values_left);
    }
    reading
}

/// A file's name is only shown; a path has at most this many characters on Linux.
const FILE_NAME_CHARS_MAX: usize = 4_096;

impl Reading {
    fn read_file(&mut self, file: usize, content: &[u8], values_left: &mut usize) {
        if content.len() > FILE_BYTES_MAX {
            self.refuse(
                file,
                Place::START,
                format!("the file has {} bytes; at most {FILE_BYTES_MAX} are allowed; split it", content.len()),
            );
            return;
        }
        let text = match std::str::from_utf8(content) {
            Ok(text) => text,
            Err(error) => {
                let offset = error.valid_up_to();
                let (before, byte) = (&content[..offset], content.get(offset).copied().unwrap_or_default());
                self.refuse(
                    file,
                    place_after(before),
                    format!("the byte 0x{byte:02X} at offset {offset} is not UTF-8; save the file as UTF-8"),
                );
                return;
            }
        };
        let (nodes, whole) = tree::read(file, text.strip_prefix('\u{feff}').unwrap_or(text), values_left, &self.problems);
        self.whole &= whole;
        let context = Context { file, problems: &self.problems };
        let before = self.documents.len();
        self.documents.extend(nodes.iter().filter(|node| !node.is_null()).map(|node| decode::document(context, node)));
        if self.documents.len() == before && whole {
            self.refuse(
                file,
                Place::START,
                "the file holds no resource; expected documents with apiVersion, kind, metadata and spec",
            );
        }
    }

    fn refuse(&mut self, file: usize, place: Place, description: impl Into<String>) {
        self.problems.add(Site { file, place, path: String::new() }, description);
        self.whole = false;
    }

    /// True when no document was found and nothing is wrong, as without any file.
    pub fn is_empty(&self) -> bool {
        self.documents.is_empty() && self.problems.len() == 0
    }

    /// The inquiries that grants name, in the order of the files.
    pub fn inquiries(&self) -> Vec<NamedInquiry> {
        let all = self.documents.iter().flat_map(|document| &document.mentioned.inquiries);
        all.map(|found| NamedInquiry {
            inquiry: found.inquiry.clone(),
            provider: found.provider.clone(),
            place: format!("{}: {}", self.problems.name_place(&found.site), found.site.path),
        })
        .collect()
    }

    /// Holds what was read against the policy, of which some resources are to be deleted in the same step.
    ///
    /// # Errors
    /// Every problem, at most [`PROBLEMS_MAX`] and one line that counts the rest.
    pub fn check(
        self,
        world: &PolicySet,
        deleted: &BTreeSet<ResourceName>,
    ) -> Result<BTreeMap<ResourceName, Spec>, Vec<Problem>> {
        check::against(&self, world, deleted);
        let problems = self.problems.into_list();
        if !problems.is_empty() {
            return Err(problems);
        }
        let named = self.documents.into_iter().filter_map(|document| Some((document.name?.value, document.spec?)));
        Ok(named.collect())
    }
}

fn place_after(before: &[u8]) -> Place {
    let line = before.iter().filter(|&&byte| byte == b'\n').count() + 1;
    let start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
    Place { line, column }
}

/// A resource as canonical YAML, one document without separator.
pub fn yaml(name: &ResourceName, spec: &Spec) -> String {
    let mut out = Writer::default();
    out.field("apiVersion", API_VERSION);
    out.field("kind", name.kind.as_str());
    out.map("metadata", |out| out.field("name", &name.name));
    out.map("spec", |out| spec.write(out));
    out.into_text()
}

/// Many resources as one text that can be applied.
pub fn yaml_all<'a>(resources: impl IntoIterator<Item = (&'a ResourceName, &'a Spec)>) -> String {
    resources.into_iter().map(|(name, spec)| format!("---\n{}", yaml(name, spec))).collect()
}
