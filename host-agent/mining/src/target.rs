//! Targets as exact 256-bit numbers.

/// A share or block target: a hash, read as a little-endian 256-bit number, meets it when it
/// is not greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target([u8; 32]);
