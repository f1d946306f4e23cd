//! From a job's pieces to the 80 bytes that are hashed.

use sha256d::Engine;

/// Turns the prevhash field of a Stratum V1 notify into header bytes: the bytes of each
/// 4-byte word are reversed, the words stay where they are.
#[must_use]
pub fn prevhash_from_stratum_words(words: [u8; 32]) -> [u8; 32] {
    let mut bytes = words;
    for word in bytes.as_chunks_mut::<4>().0 {
        word.reverse();
    }
    bytes
}

/// The hash of a serialized coinbase transaction, in header byte order.
#[must_use]
pub fn coinbase_hash(coinbase: &[u8]) -> [u8; 32] {
    Engine::best().sha256d(coinbase)
}

/// The merkle root over a coinbase hash and its branch, all in header byte order.
#[must_use]
pub fn merkle_root(coinbase_hash: [u8; 32], branch: &[[u8; 32]]) -> [u8; 32] {
    let engine = Engine::best();
    branch.iter().fold(coinbase_hash, |left, right| {
        let mut pair = [0; 64];
        pair[..32].copy_from_slice(&left);
        pair[32..].copy_from_slice(right);
        engine.sha256d(&pair)
    })
}

/// Puts a header together. Hashes are in header byte order; the numbers stand in the header
/// little-endian.
#[must_use]
pub fn assemble(
    version: u32,
    prev_hash: &[u8; 32],
    merkle_root: &[u8; 32],
    ntime: u32,
    nbits: u32,
    nonce: u32,
) -> [u8; 80] {
    let mut header = [0; 80];
    header[..4].copy_from_slice(&version.to_le_bytes());
    header[4..36].copy_from_slice(prev_hash);
    header[36..68].copy_from_slice(merkle_root);
    header[68..72].copy_from_slice(&ntime.to_le_bytes());
    header[72..76].copy_from_slice(&nbits.to_le_bytes());
    header[76..].copy_from_slice(&nonce.to_le_bytes());
    header
}
