//! The relay beside the reference library.

use super::{conversation, input::Input, verdict};

/// The first byte chooses what is compared: what is delivered, or what is rejected.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    match input.byte() % 2 {
        0 => conversation::run(&mut input),
        _ => verdict::run(&mut input),
    }
}
