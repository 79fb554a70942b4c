//! What the working group decided: resolutions, and the grants that follow from them.

use std::collections::{BTreeMap, HashMap, HashSet};

use chapar_core::policy::{Conditions, GrantRevocation};

use crate::resources::{GrantClause, Kind, PolicySet, Resolution, ResourceName, Spec, grant_name};

/// Consumer X may call inquiry Y.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// `<resolution>/<clause>/<consumer>/<inquiry>`.
    pub name: String,
    /// The resolution that made it.
    pub resolution: String,
    /// The clause of the resolution.
    pub clause: String,
    /// The agency that may call.
    pub consumer: String,
    /// The provider that the clause names. None: the inquiry has one provider.
    pub provider: Option<String>,
    /// Name of the inquiry.
    pub inquiry: String,
    /// What must hold besides for a call to be allowed.
    pub conditions: Conditions,
    /// For people; empty: none.
    pub note: String,
}

/// All grants that a version of the policy makes, by name.
pub fn expand(world: &PolicySet) -> BTreeMap<String, Grant> {
    let superseded: HashSet<&str> =
        resolutions(world).flat_map(|(_, resolution)| resolution.supersedes.iter().map(String::as_str)).collect();
    let revoked = revocations(world);
    let mut grants = BTreeMap::new();
    for (name, resolution) in resolutions(world).filter(|(name, _)| !superseded.contains(name.name.as_str())) {
        for clause in &resolution.grants {
            for consumer in &clause.consumers {
                for inquiry in &clause.inquiries {
                    let grant = grant(&name.name, clause, consumer, inquiry, &revoked);
                    grants.insert(grant.name.clone(), grant);
                }
            }
        }
    }
    grants
}

fn grant(
    resolution: &str,
    clause: &GrantClause,
    consumer: &str,
    inquiry: &str,
    revoked: &HashMap<&str, GrantRevocation>,
) -> Grant {
    let name = grant_name(resolution, &clause.clause, consumer, inquiry);
    let conditions = clause.conditions().chain(revoked.get(name.as_str()).map(|revoked| revoked.clone().into()));
    Grant {
        conditions: conditions.collect(),
        name,
        resolution: resolution.to_owned(),
        clause: clause.clause.clone(),
        consumer: consumer.to_owned(),
        provider: clause.provider.clone(),
        inquiry: inquiry.to_owned(),
        note: clause.note.clone().unwrap_or_default(),
    }
}

fn resolutions(world: &PolicySet) -> impl Iterator<Item = (&ResourceName, &Resolution)> {
    let from = ResourceName { kind: Kind::Resolution, name: String::new() };
    world.range(from..).filter_map(|(name, spec)| match &**spec {
        Spec::Resolution(resolution) => Some((name, resolution)),
        _ => None,
    })
}

fn revocations(world: &PolicySet) -> HashMap<&str, GrantRevocation> {
    let from = ResourceName { kind: Kind::Revocation, name: String::new() };
    let all = world.range(from..).filter_map(|(name, spec)| match &**spec {
        Spec::Revocation(revocation) => {
            let end = GrantRevocation { at: revocation.at.first(), reason: revocation.reason.clone() };
            Some((name.name.as_str(), end))
        }
        _ => None,
    });
    all.collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;

    use chapar_core::policy::{Condition, NotAfter, NotBefore};

    use super::*;
    use crate::resources::{ResourceFile, read};

    fn world(resolutions: &str) -> PolicySet {
        let agencies = ["a", "b"].map(|name| {
            format!("---\n{{apiVersion: chapar/v1, kind: Agency, metadata: {{name: {name}}}, spec: {{title: {{fa: الف, en: A}}, roles: [consumer]}}}}\n")
        });
        let file = ResourceFile { name: "f".into(), content: format!("{}{resolutions}", agencies.concat()).into() };
        let sound = read(&[file]).check(&PolicySet::new(), &BTreeSet::new()).unwrap();
        sound.into_iter().map(|(name, spec)| (name, spec.into())).collect()
    }

    fn resolution(name: &str, more: &str) -> String {
        format!(
            "---\n{{apiVersion: chapar/v1, kind: Resolution, metadata: {{name: {name}}}, spec: {{title: {{fa: م, en: R}}, session: 1, date: 1401-01-01, {more}}}}}\n"
        )
    }

    #[test]
    fn each_consumer_gets_each_inquiry_of_its_clause() {
        let world = world(&resolution(
            "r1",
            "grants: [{clause: '1', consumers: [a, b], inquiries: [x, y], notBefore: 1401-10-20, notAfter: 1401-10-20}]",
        ));
        let grants = expand(&world);
        assert_eq!(grants.keys().collect::<Vec<_>>(), ["r1/1/a/x", "r1/1/a/y", "r1/1/b/x", "r1/1/b/y"]);
        let one: Vec<&Condition> = grants["r1/1/a/x"].conditions.iter().collect();
        let [Condition::NotBefore(NotBefore(start)), Condition::NotAfter(NotAfter(end))] = one[..] else { panic!("{one:?}") };
        assert_eq!(end.ms_since(*start), 24 * 3600 * 1000, "notAfter is the end of its day");
    }

    #[test]
    fn a_superseded_resolution_grants_nothing() {
        let grants = "grants: [{clause: '1', consumers: [a], inquiries: [x]}]";
        let second = resolution("r2", "supersedes: [r1], grants: [{clause: '1', consumers: [b], inquiries: [x]}]");
        let world = world(&format!("{}{second}", resolution("r1", grants)));
        assert_eq!(expand(&world).keys().collect::<Vec<_>>(), ["r2/1/b/x"]);
    }

    #[test]
    fn a_revoked_grant_stays_and_says_why() {
        let revocation = "---\n{apiVersion: chapar/v1, kind: Revocation, metadata: {name: r1/1/a/x}, spec: {at: '2024-01-01T00:00:00Z', reason: misuse}}\n";
        let resolution = resolution("r1", "grants: [{clause: '1', consumers: [a, b], inquiries: [x]}]");
        let grants = expand(&world(&format!("{resolution}{revocation}")));
        let Some(Condition::Revoked(revoked)) = grants["r1/1/a/x"].conditions.iter().next() else { panic!("not revoked") };
        assert_eq!(revoked.reason, "misuse");
        assert_eq!(grants["r1/1/b/x"].conditions, Conditions::default());
    }
}
