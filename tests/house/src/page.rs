//! What the documentation names: files that exist, modules and items that exist, decision records in order.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};

use crate::{floor::PAGE, resolve::Read, size};

/// Endings by which a name is a file's, wherever it begins.
const ENDINGS: [&str; 10] = ["rs", "md", "proto", "sql", "sh", "toml", "go", "py", "json", "yaml"];
/// What examples, users and builds make, and what other projects have.
const NOT_OURS: [&str; 6] = ["target/", "/", "~", "foo.rs", "mod.rs", "file.rs"];

/// The pages that are held to this: all of the root, and all beside the parts that they describe.
///
/// # Errors
///
/// When git cannot list the files.
pub fn pages(top: &Path) -> Result<Vec<PathBuf>> {
    let is_page = |file: &PathBuf| {
        let is_beside = file.parent().is_some_and(|folder| folder.ends_with("docs") || folder.as_os_str().is_empty());
        is_beside && file.extension().is_some_and(|ending| ending == "md")
    };
    Ok(size::files(top)?.into_iter().filter(is_page).collect())
}

/// Files and folders that a page names, in backquotes or as a link, and that do not exist.
///
/// # Errors
///
/// When a page cannot be read.
pub fn dead_files(top: &Path) -> Result<Vec<String>> {
    let mut dead = Vec::new();
    for page in pages(top)? {
        let bases = bases(top, &page)?;
        for (line, name) in names(&read(top, &page)?) {
            if is_file(top, &name) && !bases.iter().any(|base| top.join(base).join(&name).exists()) {
                dead.push(format!("{}:{line}: {name}", page.display()));
            }
        }
    }
    Ok(dead)
}

/// Paths such as `chapar_core::policy::decide` that a page names, and that lead nowhere.
///
/// # Errors
///
/// When a page cannot be read.
pub fn dead_items(top: &Path, crates: &[Read]) -> Result<Vec<String>> {
    let mut dead = Vec::new();
    for page in pages(top)? {
        for (line, name) in names(&read(top, &page)?) {
            let path: Vec<String> = name.trim_end_matches("()").split("::").map(str::to_owned).collect();
            let of = crates.iter().find(|read| path.first().is_some_and(|first| *first == read.source.name));
            if of.is_some_and(|read| !exists(read, &path)) {
                dead.push(format!("{}:{line}: {name}", page.display()));
            }
        }
    }
    Ok(dead)
}

/// Metrics that a page names, and that no program has.
///
/// # Errors
///
/// When a page or a source cannot be read.
pub fn dead_metrics(top: &Path) -> Result<Vec<String>> {
    let mut sources = String::new();
    for file in size::rust_files(top)? {
        if ["sidecar/src", "control-plane/src"].iter().any(|folder| file.starts_with(folder)) {
            sources += &read(top, &file)?;
        }
    }
    let mut dead = Vec::new();
    for page in pages(top)? {
        for (line, name) in names(&read(top, &page)?) {
            let metric = name.split('{').next().unwrap_or_default();
            let is_plain = metric.chars().all(|letter| letter.is_ascii_lowercase() || letter == '_');
            // A sidecar's registry puts the first words before every name.
            let own =
                metric.strip_prefix("chapar_sidecar_").or_else(|| metric.starts_with("chapar_control_plane_").then_some(metric));
            if own.is_some_and(|own| is_plain && !sources.contains(&format!("\"{own}\""))) {
                dead.push(format!("{}:{line}: {metric}", page.display()));
            }
        }
    }
    Ok(dead)
}

/// Functions that a page names by their file, as `worker/admit.rs::run`, and that are not there.
///
/// # Errors
///
/// When a page or a file that it names cannot be read.
pub fn dead_functions(top: &Path) -> Result<Vec<String>> {
    let mut dead = Vec::new();
    for page in pages(top)? {
        let bases = bases(top, &page)?;
        for (line, name) in names(&read(top, &page)?) {
            let Some((file, function)) = name.split_once(".rs::").map(|(file, rest)| (format!("{file}.rs"), rest)) else {
                continue;
            };
            let found = bases.iter().map(|base| base.join(&file)).find(|file| top.join(file).exists());
            let is_there = match found {
                Some(file) => defines_function(&read(top, &file)?, function.trim_end_matches("()")),
                None => false,
            };
            if !is_there {
                dead.push(format!("{}:{line}: {name}", page.display()));
            }
        }
    }
    Ok(dead)
}

/// Whether a text of Rust defines a function of this name.
fn defines_function(text: &str, name: &str) -> bool {
    let defined = text.split("fn ").skip(1).filter_map(|rest| rest.split(['(', '<']).next());
    defined.into_iter().any(|defined| defined == name)
}

/// Whether a path leads to a module, to an item, or to what a module hands on. Members of a type are not looked up.
fn exists(read: &Read, path: &[String]) -> bool {
    let Some(target) = read.resolve(0, path) else { return false };
    target.name.is_none_or(|name| {
        let handed_on = read.references[target.module].aliases.iter().any(|alias| alias.name == name || alias.name == "*");
        handed_on || read.defines(target.module, &name)
    })
}

/// What is wrong with the numbering, the status and the index of the decision records, `docs/NNNN-name.md`.
///
/// # Errors
///
/// When a page cannot be read.
pub fn faults_of_records(top: &Path) -> Result<Vec<String>> {
    let index = read(top, Path::new(PAGE))?;
    let mut faults = Vec::new();
    let mut taken: BTreeMap<u32, PathBuf> = BTreeMap::new();
    for page in pages(top)? {
        let name = page.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let Some(number) =
            name.split_once('-').and_then(|(number, _)| (number.len() == 4).then(|| number.parse().ok()).flatten())
        else {
            continue;
        };
        let text = read(top, &page)?;
        let at = page.display();
        if !text.starts_with(&format!("# {number}. ")) {
            faults.push(format!("{at}: its first line is not \"# {number}. TITLE\""));
        }
        let status = text.lines().find_map(|line| line.strip_prefix("Status: ")?.split(['.', ' ']).next());
        match status {
            Some(status @ ("proposed" | "accepted" | "superseded")) => {
                let row = index.lines().find(|line| line.contains(&format!("({at})")));
                if row.is_none_or(|row| !row.starts_with(&format!("| {number} |")) || !row.contains(status)) {
                    faults.push(format!("{at}: the table of decisions in {PAGE} does not list it as {number}, {status}"));
                }
            }
            _ => faults.push(format!("{at}: no \"Status: proposed.\", \"accepted.\" or \"superseded by N.\"")),
        }
        if let Some(other) = taken.insert(number, page.clone()) {
            faults.push(format!("{at} and {} have one number", other.display()));
        }
    }
    let gaps = (1..).zip(taken.keys()).find(|(expected, number)| expected != *number);
    faults.extend(gaps.map(|(expected, _)| format!("there is no record {expected}")));
    Ok(faults)
}

fn read(top: &Path, page: &Path) -> Result<String> {
    fs::read_to_string(top.join(page)).with_context(|| page.display().to_string())
}

/// Where names of files on a page may begin: at the root, beside the page, in the part that it describes, and in its crates.
fn bases(top: &Path, page: &Path) -> Result<Vec<PathBuf>> {
    let folder = page.parent().unwrap_or(Path::new(""));
    let mut bases = vec![PathBuf::new(), folder.to_owned()];
    if let Some(part) = folder.parent() {
        bases.extend([part.to_owned(), part.join("src")]);
        for entry in fs::read_dir(top.join(part))? {
            bases.push(part.join(entry?.file_name()).join("src"));
        }
    }
    Ok(bases)
}

/// Whether a name is meant as one of the repository's files: by its ending, or because it begins with one of its folders.
fn is_file(top: &Path, name: &str) -> bool {
    let is_plain = name.chars().all(|letter| letter.is_ascii_alphanumeric() || "./_-".contains(letter));
    if !is_plain || NOT_OURS.iter().any(|start| name.starts_with(start)) {
        return false;
    }
    let ending = Path::new(name).extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let is_named_by_ending = ENDINGS.contains(&ending) && !["json", "yaml"].contains(&ending);
    let folder = name.split_once('/').map_or("", |(folder, _)| folder);
    is_named_by_ending || (!folder.is_empty() && top.join(folder).is_dir())
}

/// Everything in backquotes, and the targets of links, with the line of each; blocks of code are left out.
fn names(text: &str) -> Vec<(usize, String)> {
    let mut names = Vec::new();
    let mut is_code = false;
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if !is_code {
            names.extend(line.split('`').skip(1).step_by(2).map(|name| (number, name.to_owned())));
            let links = line.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
            names.extend(links.filter(|link| !link.is_empty() && !link.contains("://")).map(|link| (number, link.to_owned())));
        }
    }
    names
}
