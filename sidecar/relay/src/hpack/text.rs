//! A name or a value as it stands in a block.

use super::huffman;

/// A string of a block: plain bytes, or their Huffman coding. It was checked when it was read, so decoding cannot fail.
#[derive(Debug, Clone, Copy)]
pub struct Text<'b> {
    raw: &'b [u8],
    huffman: bool,
    bytes: u32,
}

impl<'b> Text<'b> {
    #[inline]
    pub(super) const fn of_plain(plain: &'b [u8]) -> Self {
        Self { raw: plain, huffman: false, bytes: plain.len() as u32 }
    }

    /// `bytes` is the size that `raw` decodes to.
    #[inline]
    pub(super) const fn of_huffman(raw: &'b [u8], bytes: u32) -> Self {
        Self { raw, huffman: true, bytes }
    }

    /// As it stands in the block, without its length.
    #[inline]
    pub const fn raw(&self) -> &'b [u8] {
        self.raw
    }

    /// Whether it is in Huffman coding.
    #[inline]
    pub const fn is_huffman(&self) -> bool {
        self.huffman
    }

    /// The size of the decoded string.
    #[inline]
    pub const fn len(&self) -> usize {
        self.bytes as usize
    }

    /// Whether nothing is in it.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// The string, if it needs no decoding.
    #[inline]
    pub const fn plain(&self) -> Option<&'b [u8]> {
        if self.huffman { None } else { Some(self.raw) }
    }

    /// The string; decoded into `scratch`, whose content is lost, where it must be.
    #[inline]
    pub fn read<'s>(&self, scratch: &'s mut Vec<u8>) -> &'s [u8]
    where
        'b: 's,
    {
        if !self.huffman {
            return self.raw;
        }
        scratch.clear();
        self.append_to(scratch);
        scratch
    }

    /// Appends the decoded string.
    #[inline]
    pub fn append_to(&self, out: &mut Vec<u8>) {
        if self.huffman {
            out.reserve(self.len());
            let checked = huffman::decode(self.raw, out);
            debug_assert!(checked.is_ok(), "a text is made of what was checked");
        } else {
            out.extend_from_slice(self.raw);
        }
    }

    /// Whether the string is `word`, without decoding.
    #[inline]
    pub fn is(&self, word: &Word) -> bool {
        self.raw == if self.huffman { word.huffman() } else { word.plain() }
    }
}

const WORD_BYTES_MAX: usize = 31;

/// A word that is often looked for: plain, and in the only Huffman coding that it has.
#[derive(Debug, Clone, Copy)]
pub struct Word {
    plain: &'static str,
    huffman: [u8; WORD_BYTES_MAX],
    huffman_bytes: u8,
}

impl Word {
    /// Meant for constants: panics, so fails the build, where the coding is longer than 31 bytes.
    pub const fn new(plain: &'static str) -> Self {
        let (huffman, huffman_bytes) = huffman::encode_const::<WORD_BYTES_MAX>(plain.as_bytes());
        Self { plain, huffman, huffman_bytes: huffman_bytes as u8 }
    }

    /// The word itself.
    #[inline]
    pub const fn plain(&self) -> &'static [u8] {
        self.plain.as_bytes()
    }

    /// The word in Huffman coding.
    #[inline]
    pub const fn huffman(&self) -> &[u8] {
        self.huffman.split_at(self.huffman_bytes as usize).0
    }
}
