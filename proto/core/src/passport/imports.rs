//! Checks and flattens the imports of a foreign descriptor set.
//!
//! The resolver of names follows public imports by recursion, without an end on a cycle and in exponential time on a
//! crafted lattice. So that it meets neither, every file is given the files that it sees as plain imports.

use std::collections::{HashMap, HashSet, VecDeque};

use prost_types::{FileDescriptorProto, FileDescriptorSet};

use super::error::Malformed;

/// Checks what the resolver relies on without checking, and replaces public imports by plain ones of the same effect.
pub(super) fn flatten(set: &mut FileDescriptorSet) -> Result<(), Malformed> {
    verify_files(set)?;
    let by_name: HashMap<&str, &FileDescriptorProto> = set.file.iter().map(|f| (f.name(), f)).collect();
    verify_acyclic(set, &by_name)?;
    let visible: Vec<Vec<String>> = set.file.iter().map(|file| visible_from(file, &by_name)).collect();
    for (file, visible) in set.file.iter_mut().zip(visible) {
        file.dependency = visible;
        file.public_dependency.clear();
        file.weak_dependency.clear();
    }
    Ok(())
}

fn verify_files(set: &FileDescriptorSet) -> Result<(), Malformed> {
    let mut names = HashSet::new();
    for file in &set.file {
        if !matches!(file.syntax.as_deref(), None | Some("proto2" | "proto3")) {
            return Err(Malformed::Syntax { file: file.name().to_owned(), syntax: file.syntax().to_owned() });
        }
        if !names.insert(file.name()) {
            return Err(Malformed::RepeatedFile { file: file.name().to_owned() });
        }
        let imports = |index: &i32| usize::try_from(*index).is_ok_and(|i| i < file.dependency.len());
        if !file.public_dependency.iter().chain(&file.weak_dependency).all(imports) {
            return Err(Malformed::ImportIndex { file: file.name().to_owned() });
        }
    }
    Ok(())
}

/// Takes away files whose imports are all taken away, until none is left (Kahn's algorithm).
fn verify_acyclic(set: &FileDescriptorSet, by_name: &HashMap<&str, &FileDescriptorProto>) -> Result<(), Malformed> {
    let mut waits_for: HashMap<&str, usize> = HashMap::new();
    let mut importers: HashMap<&str, Vec<&str>> = HashMap::new();
    for file in &set.file {
        // A missing import is the resolver's to report.
        let known = file.dependency.iter().filter(|d| by_name.contains_key(d.as_str()));
        waits_for.insert(file.name(), known.clone().count());
        for import in known {
            importers.entry(import).or_default().push(file.name());
        }
    }
    let mut free: VecDeque<&str> = waits_for.iter().filter(|(_, count)| **count == 0).map(|(name, _)| *name).collect();
    while let Some(name) = free.pop_front() {
        waits_for.remove(name);
        for importer in importers.get(name).into_iter().flatten() {
            if let Some(count) = waits_for.get_mut(importer) {
                *count -= 1;
                if *count == 0 {
                    free.push_back(importer);
                }
            }
        }
    }
    match set.file.iter().find(|f| waits_for.contains_key(f.name())) {
        None => Ok(()),
        Some(file) => Err(Malformed::ImportCycle { file: file.name().to_owned() }),
    }
}

/// The imports of a file, and what those import publicly, and so on; each once.
fn visible_from(file: &FileDescriptorProto, by_name: &HashMap<&str, &FileDescriptorProto>) -> Vec<String> {
    let mut visible: Vec<String> = Vec::new();
    let mut seen: HashSet<&str> = HashSet::new();
    let mut open: VecDeque<&str> = file.dependency.iter().map(String::as_str).collect();
    while let Some(name) = open.pop_front() {
        if !seen.insert(name) {
            continue;
        }
        visible.push(name.to_owned());
        if let Some(import) = by_name.get(name) {
            let public = import.public_dependency.iter().filter_map(|index| import.dependency.get(usize::try_from(*index).ok()?));
            open.extend(public.map(String::as_str));
        }
    }
    visible
}
