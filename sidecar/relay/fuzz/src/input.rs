//! Taking a fuzzer's bytes apart.

/// What is left of the fuzzer's bytes. Everything can be taken at any time: after the end there are zeros.
#[derive(Debug, Clone, Copy)]
pub struct Input<'i> {
    rest: &'i [u8],
}

impl<'i> Input<'i> {
    pub fn new(bytes: &'i [u8]) -> Self {
        Self { rest: bytes }
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        let Some((&byte, rest)) = self.rest.split_first() else { return 0 };
        self.rest = rest;
        byte
    }

    pub fn word(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        usize::from(self.word()) % end.max(1)
    }

    /// Up to `bytes`.
    pub fn bytes(&mut self, bytes: usize) -> &'i [u8] {
        let (taken, rest) = self.rest.split_at(bytes.min(self.rest.len()));
        self.rest = rest;
        taken
    }

    /// As many bytes as the next byte tells, at most.
    pub fn string(&mut self) -> &'i [u8] {
        let bytes = usize::from(self.byte());
        self.bytes(bytes)
    }

    pub fn rest(&mut self) -> &'i [u8] {
        std::mem::take(&mut self.rest)
    }
}

/// Prints what passes, where FUZZ_TRACE is set: for looking at one input.
macro_rules! trace {
    ($($what:tt)*) => {
        if super::input::is_traced() {
            eprintln!($($what)*);
        }
    };
}
pub(crate) use trace;

pub fn is_traced() -> bool {
    static TRACED: std::sync::LazyLock<bool> = std::sync::LazyLock::new(|| std::env::var_os("FUZZ_TRACE").is_some());
    *TRACED
}
