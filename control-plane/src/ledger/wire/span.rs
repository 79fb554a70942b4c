//! A span as the ledger reads it: its own fields, and the attributes that are known here.

use super::{
    Field, Fields, Malformed,
    attributes::{Key, Known, SPAN_ATTRIBUTES, Value, text},
    export::Arrived,
};

/// A span's own fields, and those of its attributes that the ledger knows.
#[derive(Debug)]
pub(in crate::ledger) struct Span<'a> {
    pub(in crate::ledger) trace_id: &'a [u8],
    pub(in crate::ledger) span_id: &'a [u8],
    pub(in crate::ledger) parent_span_id: &'a [u8],
    pub(in crate::ledger) name: &'a str,
    pub(in crate::ledger) start_ns: u64,
    pub(in crate::ledger) end_ns: u64,
    pub(in crate::ledger) flags: u32,
    known: Known<'a>,
}

impl<'a> Span<'a> {
    /// Reads a span. What its scope says holds as far as the span says nothing of it.
    pub(in crate::ledger) fn read(arrived: Arrived<'a>) -> Result<Self, Malformed> {
        let mut span = Self {
            trace_id: &[],
            span_id: &[],
            parent_span_id: &[],
            name: "",
            start_ns: 0,
            end_ns: 0,
            flags: 0,
            known: Known::default(),
        };
        let mut fields = Fields::new(arrived.bytes);
        while let Some((number, value)) = fields.next()? {
            match (number, value) {
                (1, Field::Bytes(id)) => span.trace_id = id,
                (2, Field::Bytes(id)) => span.span_id = id,
                (4, Field::Bytes(id)) => span.parent_span_id = id,
                (5, Field::Bytes(name)) => span.name = text(name)?,
                (7, Field::Fixed64(ns)) => span.start_ns = ns,
                (8, Field::Fixed64(ns)) => span.end_ns = ns,
                (SPAN_ATTRIBUTES, Field::Bytes(attribute)) => span.known.take(attribute)?,
                (16, Field::Fixed32(flags)) => span.flags = flags,
                _ => {}
            }
        }
        for (own, shared) in span.known.values.iter_mut().zip(arrived.scope.known.values) {
            *own = own.or(shared);
        }
        Ok(span)
    }

    /// The value of an attribute; `None` when neither the span nor its scope has one of this name.
    pub(in crate::ledger) fn value(&self, key: Key) -> Option<Value<'a>> {
        self.known.values[key as usize]
    }

    /// The text of an attribute; empty when it is none, or of another type.
    pub(in crate::ledger) fn text(&self, key: Key) -> &'a str {
        match self.value(key) {
            Some(Value::Text(text)) => text,
            _ => "",
        }
    }

    /// The number of an attribute; 0 when it is none, or of another type.
    pub(in crate::ledger) fn count(&self, key: Key) -> u64 {
        match self.value(key) {
            Some(Value::Count(count)) => count,
            _ => 0,
        }
    }

    /// The bytes of an attribute; empty when it is none, or of another type.
    pub(in crate::ledger) fn bytes(&self, key: Key) -> &'a [u8] {
        match self.value(key) {
            Some(Value::Bytes(bytes)) => bytes,
            _ => &[],
        }
    }
}
