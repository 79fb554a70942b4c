//! The floor plans in ARCHITECTURE.md, and whether a crate keeps to its own.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use anyhow::{Context as _, Result, bail};

use crate::{
    circle::{self, Siblings},
    resolve::Read,
    size, source,
};

/// Where the plans stand.
pub const PAGE: &str = "ARCHITECTURE.md";

/// One crate's floors, the highest first, each with its modules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    floors: Vec<Vec<String>>,
}

impl Plan {
    /// The plan between `<!-- floors FOLDER -->` and `<!-- end -->`: a fenced block, a line a floor, names apart by commas, `#` before
    /// what the floor is for.
    ///
    /// # Errors
    ///
    /// When the page has no such block, or a module stands on it twice.
    pub fn read(top: &Path, folder: &str) -> Result<Self> {
        let page = fs::read_to_string(top.join(PAGE)).context(PAGE)?;
        let marker = format!("<!-- floors {folder} -->");
        let (_, after) = page.split_once(&marker).with_context(|| format!("{PAGE} has no {marker}"))?;
        let (block, _) = after.split_once("<!-- end -->").with_context(|| format!("{PAGE}: {marker} has no <!-- end -->"))?;
        Self::parse(block).with_context(|| format!("{PAGE}: floors {folder}"))
    }

    fn parse(block: &str) -> Result<Self> {
        let lines = block.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("```"));
        let names =
            |line: &str| line.split('#').next().unwrap_or_default().split(',').map(|name| name.trim().to_owned()).collect();
        let plan = Self { floors: lines.map(names).collect() };
        let mut seen = BTreeMap::new();
        for name in plan.floors.iter().flatten() {
            if name.is_empty() || seen.insert(name, ()).is_some() {
                bail!("an empty name, or one that stands there twice: {name:?}");
            }
        }
        Ok(plan)
    }

    /// The floor of a module, counted from the top.
    #[must_use]
    pub fn floor(&self, module: &str) -> Option<usize> {
        self.floors.iter().position(|floor| floor.iter().any(|name| name == module))
    }
}

/// Everything in a crate that leaves its plan, each with what to do about it.
#[must_use]
pub fn faults(read: &Read, plan: &Plan) -> Vec<String> {
    let arrows = circle::arrows(read);
    let mut faults = strangers(read, plan);
    faults.extend(arrows.get("").map(|siblings| upward(siblings, plan)).into_iter().flatten());
    for (above, siblings) in &arrows {
        for circle in circle::circles(siblings) {
            let place = if above.is_empty() { "the crate".to_owned() } else { format!("`{above}`") };
            let (names, ties) = (circle.join(", "), circle::ties(&circle, siblings));
            faults.push(format!(
                "\na circle in {place}: {names}\n{ties}    Move what both need below both, or hand it in from above."
            ));
        }
    }
    faults
}

/// Modules that the plan forgot, and names on the plan that are no module.
fn strangers(read: &Read, plan: &Plan) -> Vec<String> {
    let children = &read.source.modules[0].children;
    let forgotten = children.keys().filter(|name| plan.floor(name).is_none());
    let gone = plan.floors.iter().flatten().filter(|name| *name != "main" && !children.contains_key(*name));
    let forgotten = forgotten.map(|name| format!("`{name}` is on no floor: give it one in {PAGE}."));
    forgotten.chain(gone.map(|name| format!("`{name}` is on the plan, but is no module: strike it from {PAGE}."))).collect()
}

/// Imports that do not lead to a lower floor.
fn upward(siblings: &Siblings, plan: &Plan) -> Vec<String> {
    let mut faults = Vec::new();
    for ((from, to), spots) in siblings {
        let is_root = to == "main" || to == "lib";
        let what = match (plan.floor(from), plan.floor(to)) {
            (Some(start), Some(end)) if end > start => continue,
            (Some(start), Some(end)) if end == start => "sideways, to the same floor",
            (Some(_), Some(_)) => "upwards",
            (Some(_), None) if is_root => "upwards",
            _ => continue,
        };
        let mut fault = format!("\n`{from}` imports `{to}`: {what}.\n");
        for spot in spots.iter().take(SPOTS_SHOWN) {
            let _ = writeln!(fault, "    {spot}");
        }
        if spots.len() > SPOTS_SHOWN {
            let _ = writeln!(fault, "    and {} more", spots.len() - SPOTS_SHOWN);
        }
        fault += if is_root {
            "    Give what is defined in the crate's root a module of its own."
        } else {
            "    Move what is needed down, hand it in from above, or, if the plan is wrong, change it."
        };
        faults.push(fault);
    }
    faults
}

/// Packages that depend on one that is not on a lower floor of the crates' own plan.
///
/// # Errors
///
/// When a manifest cannot be read.
pub fn faults_of_packages(top: &Path, plan: &Plan) -> Result<Vec<String>> {
    let manifests = size::files(top)?.into_iter().filter(|file| file.ends_with("Cargo.toml"));
    let mut faults = Vec::new();
    for manifest in
        manifests.filter(|file| file.components().count() > 1 && !file.components().any(|part| part.as_os_str() == "fuzz"))
    {
        let at = manifest.display();
        let text = fs::read_to_string(top.join(&manifest)).with_context(|| at.to_string())?;
        let name = source::package(&top.join(&manifest))?;
        let Some(start) = plan.floor(&name) else {
            faults.push(format!("{at}: `{name}` is on no floor: give it one in {PAGE}."));
            continue;
        };
        let ours = text.lines().filter_map(|line| line.strip_prefix("chapar-").map(|rest| (line, rest)));
        for (line, rest) in ours {
            let on = format!("chapar-{}", rest.split(['.', ' ', '=']).next().unwrap_or_default());
            if plan.floor(&on).is_none_or(|floor| floor <= start) {
                faults.push(format!("{at}: `{name}` depends on `{on}`, which is on no lower floor: {line}"));
            }
        }
    }
    Ok(faults)
}

/// A fault in many places is understood from a few.
const SPOTS_SHOWN: usize = 5;
