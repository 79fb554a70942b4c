//! Digests of what the authority issues.

/// SHA-256.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    let mut fixed = [0; 32];
    fixed.copy_from_slice(digest.as_ref());
    fixed
}
