//! Checks resources against each other and against the policy that they are to become part of.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{PolicySet, Reading, decode::Document, kind::ResourceName, problem::Site, text};

/// Notes names that are given twice, references to nothing, and cycles.
pub(super) fn against(reading: &Reading, world: &PolicySet, deleted: &BTreeSet<ResourceName>) {
    let declared = duplicates(reading);
    // A document that could not be named may be the one that is referred to: telling of a dangling reference would mislead.
    if reading.whole && reading.documents.iter().all(|document| document.name.is_some()) {
        references(reading, world, deleted, &declared);
    }
    cycles(reading, world, deleted);
}

fn duplicates(reading: &Reading) -> HashMap<&ResourceName, &Site> {
    let mut declared: HashMap<&ResourceName, &Site> = HashMap::new();
    for name in reading.documents.iter().filter_map(|document| document.name.as_ref()) {
        match declared.get(&name.value) {
            None => {
                declared.insert(&name.value, &name.site);
            }
            Some(first) => {
                let first = reading.problems.name_place(first);
                let description = format!("{} is defined twice in this request, first at {first}", name.value);
                reading.problems.add(name.site.clone(), description);
            }
        }
    }
    declared
}

fn references(reading: &Reading, world: &PolicySet, deleted: &BTreeSet<ResourceName>, declared: &HashMap<&ResourceName, &Site>) {
    for reference in reading.documents.iter().flat_map(|document| &document.mentioned.references) {
        let to = &reference.to;
        if declared.contains_key(to) || (world.contains_key(to) && !deleted.contains(to)) {
            continue;
        }
        let known = declared.keys().copied().chain(world.keys()).filter(|name| name.kind == to.kind && !deleted.contains(*name));
        let hint = text::suggestion(&to.name, known.map(|name| name.name.as_str()));
        let what = to.kind.called();
        let description = if deleted.contains(to) {
            format!("the {what} {:?} is deleted by this same request", to.name)
        } else {
            format!("unknown {what} {:?}; expected one that the policy holds or this request defines{hint}", to.name)
        };
        reading.problems.add(reference.site.clone(), description);
    }
}

fn own_kind_references(document: &Document) -> Vec<(ResourceName, Site)> {
    let Some(name) = &document.name else { return Vec::new() };
    let kind = name.value.kind;
    let own = document.mentioned.references.iter().filter(|reference| reference.to.kind == kind);
    own.filter(|_| kind.stands_under_by().is_some()).map(|reference| (reference.to.clone(), reference.site.clone())).collect()
}

#[derive(Clone, Copy, PartialEq)]
enum Colour {
    Open,
    Done,
}

fn cycles(reading: &Reading, world: &PolicySet, deleted: &BTreeSet<ResourceName>) {
    let mut edges: BTreeMap<ResourceName, Vec<ResourceName>> = BTreeMap::new();
    for (name, spec) in world.iter().filter(|(name, _)| !deleted.contains(*name)) {
        edges.insert(name.clone(), spec.stands_under());
    }
    let mut sites: HashMap<(ResourceName, ResourceName), Site> = HashMap::new();
    for document in &reading.documents {
        let Some(name) = &document.name else { continue };
        let own = own_kind_references(document);
        edges.insert(name.value.clone(), own.iter().map(|(to, _)| to.clone()).collect());
        sites.extend(own.into_iter().map(|(to, site)| ((name.value.clone(), to), site)));
    }
    let mut colours: HashMap<&ResourceName, Colour> = HashMap::new();
    for start in edges.keys() {
        // Depth first without recursion: chains are as long as their author likes.
        let mut trail: Vec<(&ResourceName, usize)> = vec![(start, 0)];
        while let Some((at, next)) = trail.pop() {
            if next == 0 && colours.insert(at, Colour::Open) == Some(Colour::Done) {
                colours.insert(at, Colour::Done);
                continue;
            }
            let Some(to) = edges.get(at).and_then(|under| under.get(next)) else {
                colours.insert(at, Colour::Done);
                continue;
            };
            trail.push((at, next + 1));
            match colours.get(to) {
                None => trail.push((to, 0)),
                Some(Colour::Done) => {}
                Some(Colour::Open) => note_cycle(reading, &trail, to, &sites),
            }
        }
    }
}

fn note_cycle(
    reading: &Reading,
    trail: &[(&ResourceName, usize)],
    back_to: &ResourceName,
    sites: &HashMap<(ResourceName, ResourceName), Site>,
) {
    const SHOWN_MAX: usize = 10;
    let members: Vec<&ResourceName> =
        trail.iter().map(|(name, _)| *name).skip_while(|name| *name != back_to).chain([back_to]).collect();
    let site = members.windows(2).filter_map(|pair| sites.get(&(pair[0].clone(), pair[1].clone()))).min();
    let Some(site) = site else { return };
    let mut shown: Vec<&str> = members.iter().take(SHOWN_MAX).map(|name| name.name.as_str()).collect();
    if members.len() > SHOWN_MAX {
        shown.extend(["…", &back_to.name]);
    }
    let relation = back_to.kind.stands_under_by().unwrap_or_default();
    reading.problems.add(site.clone(), format!("{relation} makes a cycle: {}", shown.join(" → ")));
}
