//! How much one document may cost.

/// Largest document read, bytes.
pub const MAX_INPUT_BYTES: u64 = 100 << 20;
/// Longest text kept of one document, Unicode code points.
pub const MAX_CHARACTERS: usize = 20_000_000;
/// Largest part unpacked from a compressed container, bytes.
pub const MAX_UNPACKED_BYTES: u64 = 256 << 20;
/// Largest ratio of unpacked to packed bytes of a part above one megabyte; prose compresses below 1:30.
pub const MAX_RATIO: u64 = 200;
/// Most pages read.
pub const MAX_PAGES: usize = 5_000;
/// Deepest nesting of marked-up text followed.
pub const MAX_DEPTH: usize = 256;
