//! What the stages see of a call before its messages: its path and its metadata.

use std::rc::Rc;

use chapar_core::record::PATH_BYTES_MAX;
use chapar_relay::hpack::KnownName;

use super::caller::Caller;

/// The metadata of a call, as the engine holds it.
pub trait Metadata {
    /// The first value under `name`, undecoded.
    fn first(&self, name: KnownName) -> Option<&[u8]>;
    /// Whether there is more than one value under `name`.
    fn repeats(&self, name: KnownName) -> bool;
}

/// The head of a call, as the engine hands it in.
#[derive(Clone, Copy)]
pub struct CallHead<'h> {
    /// HTTP method.
    pub method: &'h [u8],
    /// HTTP/2 path, without a query.
    pub path: &'h [u8],
    /// Everything else.
    pub metadata: &'h dyn Metadata,
    /// Who brings it.
    pub caller: &'h Rc<Caller>,
}

impl std::fmt::Debug for CallHead<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Metadata may hold credentials: it is never printed.
        f.debug_struct("CallHead").finish_non_exhaustive()
    }
}

impl<'h> CallHead<'h> {
    /// The value under `name`, where there is exactly one and it is text.
    pub(super) fn text(&self, name: KnownName) -> Option<&'h str> {
        let value = self.metadata.first(name)?;
        if self.metadata.repeats(name) {
            return None;
        }
        std::str::from_utf8(value).ok()
    }

    /// The path as a record keeps it: text, and not endless.
    pub(super) fn path_on_record(&self) -> Box<str> {
        let path = String::from_utf8_lossy(self.path);
        let end = path.floor_char_boundary(PATH_BYTES_MAX);
        path.get(..end).unwrap_or_default().into()
    }
}
