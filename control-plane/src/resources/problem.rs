//! What is wrong with a resource file, and exactly where.

use std::{cell::RefCell, fmt};

/// Problems told at once. More would not help the reader, and an answer must fit a gRPC trailer's neighbourhood.
pub const PROBLEMS_MAX: usize = 100;

/// A position in a file, both counted from 1; columns count characters, as editors do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
}

impl Place {
    /// The first character of a file.
    pub const START: Self = Self { line: 1, column: 1 };
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// Where a value stands: in which file of the request, at which place, under which path of fields.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Site {
    /// Index of the file in the request.
    pub file: usize,
    /// Line and column.
    pub place: Place,
    /// Such as `spec.grants[0].consumers[1]`. Empty: the document as a whole.
    pub path: String,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// `<file>:<line>:<column>`, followed by `: <path of the field>` where a field is to blame.
    pub field: String,
    /// What is wrong, and what is expected.
    pub description: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.description)
    }
}

/// Collects the problems of one request while its files are read and checked.
#[derive(Debug)]
pub(super) struct Problems {
    files: Vec<String>,
    found: RefCell<Vec<(Site, String)>>,
}

impl Problems {
    /// An empty collection for files of these names.
    pub(super) fn of_files(files: impl IntoIterator<Item = String>) -> Self {
        Self { files: files.into_iter().collect(), found: RefCell::default() }
    }

    /// Notes a problem. Counted without end, so that the sum told is true; texts beyond the limit are dropped.
    pub(super) fn add(&self, site: Site, description: impl Into<String>) {
        let mut found = self.found.borrow_mut();
        let text = if found.len() < PROBLEMS_MAX * 4 { description.into() } else { String::new() };
        found.push((site, text));
    }

    /// How many there are so far.
    pub(super) fn len(&self) -> usize {
        self.found.borrow().len()
    }

    /// `<file>:<line>:<column>` of a site, for a problem that names a second place.
    pub(super) fn name_place(&self, site: &Site) -> String {
        let file = self.files.get(site.file).map_or("(request)", String::as_str);
        format!("{file}:{}", site.place)
    }

    /// All problems in the order of the files and lines; empty when there are none.
    pub(super) fn into_list(self) -> Vec<Problem> {
        let mut found = self.found.take();
        found.sort_by(|a, b| a.0.cmp(&b.0));
        let beyond = found.len().saturating_sub(PROBLEMS_MAX);
        found.truncate(PROBLEMS_MAX);
        let mut list: Vec<Problem> = found
            .into_iter()
            .map(|(site, description)| {
                let file = self.files.get(site.file).map_or("(request)", String::as_str);
                let field = match site.path.as_str() {
                    "" => format!("{file}:{}", site.place),
                    path => format!("{file}:{}: {path}", site.place),
                };
                Problem { field, description }
            })
            .collect();
        if beyond > 0 {
            list.push(Problem {
                field: "(request)".into(),
                description: format!("and {beyond} more problems; mend these first"),
            });
        }
        list
    }
}
