//! The relay whole, between two ends.

use crate::{conversation, input::Input, scripted};

/// The first byte chooses the ends: scripted ones, that may do anything; or a client and a server of the reference.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    match input.byte() % 4 {
        0 => conversation::run(&mut input),
        _ => scripted::run(&mut input),
    }
}
