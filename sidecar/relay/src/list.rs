//! Lists through the things that stand in them: a thing is put in and taken out wherever it stands, and nothing is allocated.

use crate::belief::broken;

/// The two ends of a list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct List<K> {
    first: Option<K>,
    last: Option<K>,
}

/// Where a thing stands in its list.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Links<K> {
    is_listed: bool,
    before: Option<K>,
    after: Option<K>,
}

/// Where the things of a list are found.
pub(crate) trait Listed<K> {
    /// The links of a thing.
    fn links(&mut self, at: K) -> Option<&mut Links<K>>;
}

impl<K> Links<K> {
    pub(crate) const NONE: Self = Self { is_listed: false, before: None, after: None };
}

impl<K: Copy> List<K> {
    pub(crate) const EMPTY: Self = Self { first: None, last: None };

    /// Who has stood in it longest.
    #[inline]
    pub(crate) const fn first(&self) -> Option<K> {
        self.first
    }

    #[inline]
    pub(crate) const fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Puts a thing in that stands in no list, as the last. False: it stands in one.
    #[inline]
    pub(crate) fn push(&mut self, things: &mut impl Listed<K>, at: K) -> bool {
        let Some(links) = things.links(at) else {
            broken("what is listed exists");
            return false;
        };
        if links.is_listed {
            return false;
        }
        *links = Links { is_listed: true, before: self.last, after: None };
        match self.last.replace(at) {
            Some(last) => set(things, last, |links| links.after = Some(at)),
            None => self.first = Some(at),
        }
        true
    }

    /// Takes a thing out. False: it stands in no list.
    #[inline]
    pub(crate) fn remove(&mut self, things: &mut impl Listed<K>, at: K) -> bool {
        let Some(links) = things.links(at) else {
            broken("what was listed exists");
            return false;
        };
        if !links.is_listed {
            return false;
        }
        let Links { before, after, .. } = std::mem::replace(links, Links::NONE);
        match before {
            Some(before) => set(things, before, |links| links.after = after),
            None => self.first = after,
        }
        match after {
            Some(after) => set(things, after, |links| links.before = before),
            None => self.last = before,
        }
        true
    }
}

#[inline]
fn set<K>(things: &mut impl Listed<K>, at: K, change: impl FnOnce(&mut Links<K>)) {
    match things.links(at) {
        Some(links) => change(links),
        None => broken("neighbours in a list exist"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Listed<usize> for Vec<Links<usize>> {
        fn links(&mut self, at: usize) -> Option<&mut Links<usize>> {
            self.get_mut(at)
        }
    }

    proptest::proptest! {
        #[test]
        fn is_first_in_first_out_wherever_things_leave(steps in proptest::collection::vec((0_usize..12, proptest::bool::ANY), 0..200)) {
            let (mut list, mut things, mut model) = (List::EMPTY, vec![Links::NONE; 12], Vec::new());
            for (thing, comes) in steps {
                let is_listed = model.contains(&thing);
                if comes {
                    proptest::prop_assert_eq!(list.push(&mut things, thing), !is_listed);
                    model.retain(|held| *held != thing || is_listed);
                    model.extend((!is_listed).then_some(thing));
                } else {
                    proptest::prop_assert_eq!(list.remove(&mut things, thing), is_listed);
                    model.retain(|held| *held != thing);
                }
                let mut listed: Vec<usize> = list.first().into_iter().collect();
                while let Some(after) = listed.last().and_then(|last| things[*last].after) {
                    listed.push(after);
                }
                proptest::prop_assert_eq!((&listed, list.last), (&model, model.last().copied()));
                proptest::prop_assert_eq!(list.is_empty(), model.is_empty());
            }
        }
    }
}
