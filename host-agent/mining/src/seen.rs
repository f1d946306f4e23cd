//! A bounded memory of the nonces that one work has already given.

/// Buckets and keys per bucket: room for 1024 nonces in 8 KiB.
const BUCKETS: usize = 128;
const DEPTH: usize = 8;

/// Remembers nonces, forgetting the oldest ones of a bucket when it is full.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    keys: Box<[[u64; DEPTH]; BUCKETS]>,
    filled: [u8; BUCKETS],
}

impl Seen {
    pub(crate) fn new() -> Self {
        Self {
            keys: Box::new([[0; DEPTH]; BUCKETS]),
            filled: [0; BUCKETS],
        }
    }

    /// Remembers a nonce; whether it is new.
    pub(crate) fn insert(&mut self, version: u32, nonce: u32) -> bool {
        let key = u64::from(version) << 32 | u64::from(nonce);
        // Fibonacci hashing: the top bits depend on all bits of the key.
        let at = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - BUCKETS.ilog2())) as usize;
        let (bucket, filled) = (&mut self.keys[at], &mut self.filled[at]);
        if bucket[..usize::from(*filled)].contains(&key) {
            return false;
        }
        bucket.copy_within(..DEPTH - 1, 1);
        bucket[0] = key;
        *filled = (*filled + 1).min(DEPTH as u8);
        true
    }

    pub(crate) fn clear(&mut self) {
        self.filled = [0; BUCKETS];
    }
}

#[cfg(test)]
mod tests {
    use super::Seen;

    #[test]
    fn a_nonce_is_new_once_per_version() {
        let mut seen = Seen::new();
        assert!(seen.insert(0x2000_0000, 0));
        assert!(!seen.insert(0x2000_0000, 0));
        assert!(seen.insert(0x2000_2000, 0));
        seen.clear();
        assert!(seen.insert(0x2000_0000, 0));
    }

    #[test]
    fn hundreds_of_nonces_are_remembered_and_the_memory_stays_bounded() {
        let mut seen = Seen::new();
        // Nonces as one core gives them: close together, spread over many versions.
        let nonces = |n: u32| (0..n).map(|i| (0x2000_0000 | (i * 37 % 65536) << 13, i << 25 | i));
        for (version, nonce) in nonces(400) {
            assert!(seen.insert(version, nonce));
        }
        let forgotten = nonces(400).filter(|&(v, n)| seen.insert(v, n)).count();
        assert!(forgotten <= 4, "{forgotten} of 400 forgotten");
        for (version, nonce) in nonces(100_000) {
            seen.insert(version, nonce);
        }
        assert!(
            seen.filled
                .iter()
                .all(|&filled| usize::from(filled) <= super::DEPTH)
        );
    }
}
