//! The spans of one export, all of one partition. Most calls of a batch say the same but for their IDs, times and sizes: what they share is
//! written once, as attributes of their scope (OTLP, `InstrumentationScope.attributes`), and only the rest a call.

use std::iter;

use chapar_core::record::{CallRecord, ChainEntry, chain::ChainId};
use chapar_proto::encoded::Encoded;

use super::span::{self, ChainPosition, Origin, SCOPE_ATTRIBUTES};

/// Groups of spans in one export at most. Calls that would need more say everything themselves.
const GROUPS_MAX: usize = 32;

/// Bytes of buffers that are kept from one export to the next.
const KEPT_BYTES_MAX: usize = 1024 * 1024;

/// The spans of one export. It is used again for the next one.
#[derive(Debug, Default)]
pub(super) struct Spans {
    /// What goes before everything: the resource.
    head: Vec<u8>,
    /// Spans that share nothing but their reporter.
    loose: Group,
    /// Those in use come first.
    groups: Vec<Group>,
    groups_used: usize,
    /// Group of the last call: calls of one kind come in a row.
    last: usize,
    records: usize,
    bytes: usize,
    /// Room for what tells the next call's group.
    key: Vec<u8>,
}

/// Spans that share the attributes of their scope.
#[derive(Debug, Default)]
struct Group {
    /// The same for two calls exactly when they share these attributes.
    key: Vec<u8>,
    /// Their attributes, as fields of a scope.
    attributes: Vec<u8>,
    /// What goes before the spans, once all of them are there.
    head: Vec<u8>,
    spans: Vec<u8>,
}

impl Group {
    fn clear(&mut self) {
        [&mut self.key, &mut self.attributes, &mut self.head, &mut self.spans].into_iter().for_each(Vec::clear);
    }

    const fn kept_bytes(&self) -> usize {
        self.key.capacity() + self.attributes.capacity() + self.head.capacity() + self.spans.capacity()
    }
}

impl Spans {
    /// Begins a new export.
    pub(super) fn clear(&mut self) {
        if self.groups.iter().chain([&self.loose]).map(Group::kept_bytes).sum::<usize>() > KEPT_BYTES_MAX {
            *self = Self::default();
        }
        self.groups.iter_mut().chain([&mut self.loose]).for_each(Group::clear);
        self.head.clear();
        (self.groups_used, self.last, self.records, self.bytes) = (0, 0, 0, 0);
    }

    /// Entries that were taken.
    pub(super) const fn records(&self) -> usize {
        self.records
    }

    /// Takes one entry. `false`: with it there would be more than `bytes_max`, so it is for the next export. The first is always
    /// taken.
    pub(super) fn take(&mut self, entry: &ChainEntry<'_>, position: ChainPosition, bytes_max: usize) -> bool {
        let (mut new_bytes, group) = match entry {
            ChainEntry::Call(record) => match self.group(record, position.chain) {
                Some((number, new_bytes)) => (new_bytes, self.groups.get_mut(number).unwrap_or(&mut self.loose)),
                None => (0, &mut self.loose),
            },
            ChainEntry::Loss(_) => (0, &mut self.loose),
        };
        let before = group.spans.len();
        match entry {
            ChainEntry::Call(record) if group.key.is_empty() => span::put_call(record, position, &mut group.spans),
            ChainEntry::Call(record) => span::put_own(record, position.sequence, &mut group.spans),
            ChainEntry::Loss(loss) => span::put_loss(loss, position, &mut group.spans),
        }
        new_bytes += group.spans.len() - before;
        if self.records > 0 && self.bytes + new_bytes > bytes_max {
            group.spans.truncate(before);
            return false;
        }
        self.records += 1;
        self.bytes += new_bytes;
        true
    }

    /// The group of a call, and how many bytes were written for it now. `None`: there are as many as may be.
    fn group(&mut self, record: &CallRecord<'_>, chain: ChainId) -> Option<(usize, usize)> {
        self.key.clear();
        record.put_shared(&mut self.key);
        let used = self.groups.get(..self.groups_used).unwrap_or_default();
        let is_it = |number: &usize| used.get(*number).is_some_and(|group| group.key == self.key);
        if let Some(number) = iter::once(self.last).chain(0..used.len()).find(is_it) {
            self.last = number;
            return Some((number, 0));
        }
        if used.len() == GROUPS_MAX {
            return None;
        }
        if self.groups.len() == self.groups_used {
            self.groups.push(Group::default());
        }
        let number = self.groups_used;
        let group = self.groups.get_mut(number)?;
        group.key.extend_from_slice(&self.key);
        record.each_shared_attribute(|key, value| span::attribute(SCOPE_ATTRIBUTES, key, value, &mut group.attributes));
        span::chain(SCOPE_ATTRIBUTES, chain, &mut group.attributes);
        (self.groups_used, self.last) = (number + 1, number);
        Some((number, group.attributes.len()))
    }

    /// Where spans go that are no entries.
    pub(super) const fn loose(&mut self) -> &mut Vec<u8> {
        &mut self.loose.spans
    }

    /// Makes it an `ExportTraceServiceRequest` of `origin`: nothing may be added from then on.
    pub(super) fn seal(&mut self, origin: &Origin) {
        let mut scope_bytes = 0;
        for group in self.groups.iter_mut().chain([&mut self.loose]).filter(|group| !group.spans.is_empty()) {
            span::put_scope(&group.attributes, group.spans.len(), &mut group.head);
            scope_bytes += group.head.len() + group.spans.len();
        }
        span::put_resource(origin, scope_bytes, &mut self.head);
    }
}

impl Encoded for Spans {
    fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let groups = self.groups.iter().chain([&self.loose]).filter(|group| !group.spans.is_empty());
        iter::once(&self.head[..]).chain(groups.flat_map(|group| [&group.head[..], &group.spans[..]]))
    }
}

#[cfg(test)]
mod tests;
