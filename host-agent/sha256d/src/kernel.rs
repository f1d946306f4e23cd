//! SHA-256's rounds, written once for any number of lanes, with the shortcuts that the
//! layout of a block header allows.
//!
//! All functions are inlined into their callers, so that a caller which is compiled for
//! certain instructions gets them here as well. Unrolling the rounds by macro leaves the
//! compiler with constants only: it drops the terms that padding makes zero and the rounds
//! whose result nobody reads.

use crate::{Bound, Hash, Hit, Template};
use std::ops::{ControlFlow, RangeInclusive};

/// SHA-256's initial state.
pub(crate) const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// SHA-256's round constants.
#[rustfmt::skip]
pub(crate) const K: [u32; 64] = [
    0x428a_2f98, 0x7137_4491, 0xb5c0_fbcf, 0xe9b5_dba5, 0x3956_c25b, 0x59f1_11f1, 0x923f_82a4, 0xab1c_5ed5,
    0xd807_aa98, 0x1283_5b01, 0x2431_85be, 0x550c_7dc3, 0x72be_5d74, 0x80de_b1fe, 0x9bdc_06a7, 0xc19b_f174,
    0xe49b_69c1, 0xefbe_4786, 0x0fc1_9dc6, 0x240c_a1cc, 0x2de9_2c6f, 0x4a74_84aa, 0x5cb0_a9dc, 0x76f9_88da,
    0x983e_5152, 0xa831_c66d, 0xb003_27c8, 0xbf59_7fc7, 0xc6e0_0bf3, 0xd5a7_9147, 0x06ca_6351, 0x1429_2967,
    0x27b7_0a85, 0x2e1b_2138, 0x4d2c_6dfc, 0x5338_0d13, 0x650a_7354, 0x766a_0abb, 0x81c2_c92e, 0x9272_2c85,
    0xa2bf_e8a1, 0xa81a_664b, 0xc24b_8b70, 0xc76c_51a3, 0xd192_e819, 0xd699_0624, 0xf40e_3585, 0x106a_a070,
    0x19a4_c116, 0x1e37_6c08, 0x2748_774c, 0x34b0_bcb5, 0x391c_0cb3, 0x4ed8_aa4a, 0x5b9c_ca4f, 0x682e_6ff3,
    0x748f_82ee, 0x78a5_636f, 0x84c8_7814, 0x8cc7_0208, 0x90be_fffa, 0xa450_6ceb, 0xbef9_a3f7, 0xc671_78f2,
];

/// The padding word that ends a message.
pub(crate) const END: u32 = 0x8000_0000;
/// Length of a header in bits, the last word of its second block.
pub(crate) const HEADER_BITS: u32 = 640;
/// Length of a digest in bits, the last word of the second SHA-256's only block.
pub(crate) const DIGEST_BITS: u32 = 256;

/// One 32-bit word of each of several hashes that are computed side by side.
pub(crate) trait Word: Copy {
    /// How many hashes.
    const LANES: u32;

    /// The same word in all lanes.
    fn splat(word: u32) -> Self;
    /// The nonces `first`, `first + 1` and so on as message words, wrapping at 2^32.
    fn nonces(first: u32) -> Self;
    fn add(self, other: Self) -> Self;
    fn and(self, other: Self) -> Self;
    fn xor(self, other: Self) -> Self;
    fn shift_right<const N: i32>(self) -> Self;
    /// Rotates right by `N`; `M` is 32 - `N`, which the language cannot compute here.
    fn rotate_right<const N: i32, const M: i32>(self) -> Self;
    /// A bit for each lane whose word, read with its bytes reversed, is at most `bound`.
    fn reversed_at_most(self, bound: u32) -> u32;
}

impl Word for u32 {
    const LANES: u32 = 1;

    #[inline(always)]
    fn splat(word: u32) -> Self {
        word
    }

    #[inline(always)]
    fn nonces(first: u32) -> Self {
        first.swap_bytes()
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        self.wrapping_add(other)
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        self & other
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        self ^ other
    }

    #[inline(always)]
    fn shift_right<const N: i32>(self) -> Self {
        self >> N
    }

    #[inline(always)]
    fn rotate_right<const N: i32, const M: i32>(self) -> Self {
        self >> N | self << M
    }

    #[inline(always)]
    fn reversed_at_most(self, bound: u32) -> u32 {
        u32::from(self.swap_bytes() <= bound)
    }
}

/// Repeats a block with a constant for each number of a list.
macro_rules! unroll {
    ($i:ident in [$($n:literal)*] $body:block) => {
        $({
            const $i: usize = $n;
            $body
        })*
    };
}
#[cfg(target_arch = "x86_64")]
pub(crate) use unroll;

/// SHA-256's compression function.
#[inline(always)]
pub(crate) fn compress<W: Word>(state: [W; 8], block: [W; 16]) -> [W; 8] {
    let mut w = [W::splat(0); 64];
    w[..16].copy_from_slice(&block);
    let mut s = state;
    unroll!(I in [0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15] {
        s = round(s, s[7].add(W::splat(K[I])).add(w[I]));
    });
    s = rounds_from_16(s, &mut w);
    sum(s, state)
}

/// The block of the second SHA-256.
#[inline(always)]
pub(crate) fn digest_block<W: Word>(digest: [W; 8]) -> [W; 16] {
    let mut block = [W::splat(0); 16];
    block[..8].copy_from_slice(&digest);
    block[8] = W::splat(END);
    block[15] = W::splat(DIGEST_BITS);
    block
}

/// The second block of a header.
#[inline(always)]
pub(crate) fn second_block<W: Word>(tail: [W; 3], nonce: W) -> [W; 16] {
    let mut block = [W::splat(0); 16];
    block[..3].copy_from_slice(&tail);
    block[3] = nonce;
    block[4] = W::splat(END);
    block[15] = W::splat(HEADER_BITS);
    block
}

/// Both hashes of headers that differ in anything; `nonce` is the message word.
#[inline(always)]
pub(crate) fn double_hash<W: Word>(midstate: [W; 8], tail: [W; 3], nonce: W) -> [W; 8] {
    let first = compress(midstate, second_block(tail, nonce));
    compress(INITIAL.map(W::splat), digest_block(first))
}

/// Tries all nonces of a range, `W::LANES` at a time.
#[inline(always)]
pub(crate) fn scan<W: Word>(
    template: &Template,
    nonces: RangeInclusive<u32>,
    bound: &Bound,
    on_hit: &mut dyn FnMut(Hit) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let prepared = Prepared::new(template);
    let top_word = bound.top_word();
    if nonces.is_empty() {
        return ControlFlow::Continue(());
    }
    let (mut first, last) = nonces.into_inner();
    loop {
        let left = last - first;
        let mut lanes = prepared
            .last_word(W::nonces(first))
            .reversed_at_most(top_word);
        if left < W::LANES {
            // Lanes behind the end of the range do not count.
            lanes &= u32::MAX >> (31 - left);
        }
        while lanes != 0 {
            let nonce = first + lanes.trailing_zeros();
            lanes &= lanes - 1;
            check_hit(template, nonce, bound, on_hit)?;
        }
        if left < W::LANES {
            return ControlFlow::Continue(());
        }
        first += W::LANES;
    }
}

/// Reports a nonce whose last word has met the bound if the whole hash does.
#[inline(never)]
pub(crate) fn check_hit(
    template: &Template,
    nonce: u32,
    bound: &Bound,
    on_hit: &mut dyn FnMut(Hit) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let hash = to_bytes(&double_hash(
        template.midstate.0,
        template.tail,
        u32::nonces(nonce),
    ));
    if bound.is_met_by(&hash) {
        on_hit(Hit { nonce, hash })
    } else {
        ControlFlow::Continue(())
    }
}

/// What is the same for all nonces of a template.
pub(crate) struct Prepared {
    /// The midstate, which the first hash adds at its end.
    midstate: [u32; 8],
    /// State words a to g after round 2; h is used up in `new_a` and `new_e`.
    state: [u32; 7],
    /// State words a and e after round 3, but for the nonce.
    new_a: u32,
    new_e: u32,
    /// Rounds 4 to 6: state word h, round constant and message word.
    fixed: [u32; 3],
    /// Schedule words 16 and 17.
    pub(crate) w16: u32,
    pub(crate) w17: u32,
    /// Schedule words 18 and 19, but for what depends on the nonce.
    pub(crate) w18: u32,
    pub(crate) w19: u32,
}

impl Prepared {
    pub(crate) fn new(template: &Template) -> Self {
        let [w0, w1, w2] = template.tail;
        let mut s = template.midstate.0;
        unroll!(I in [0 1 2] {
            s = round(s, s[7].add(K[I]).add(template.tail[I]));
        });
        let [a, b, c, d, e, f, g, _] = s;
        // Round 3 with a nonce of zero.
        let next = round(s, s[7].add(K[3]));
        let w16 = w0.add(small_sigma0(w1));
        let w17 = w1.add(small_sigma0(w2)).add(small_sigma1(HEADER_BITS));
        Self {
            midstate: template.midstate.0,
            state: [a, b, c, d, e, f, g],
            new_a: next[0],
            new_e: next[4],
            fixed: [g.add(K[4]).add(END), f.add(K[5]), e.add(K[6])],
            w16,
            w17,
            w18: w2.add(small_sigma1(w16)),
            w19: small_sigma0(END).add(small_sigma1(w17)),
        }
    }

    /// The last word of the double hash, which decides all but a few nonces.
    #[inline(always)]
    fn last_word<W: Word>(&self, nonce: W) -> W {
        let digest = self.first_hash(nonce);
        let mut w = [W::splat(0); 64];
        w[..16].copy_from_slice(&digest_block(digest));
        let mut s = INITIAL.map(W::splat);
        unroll!(I in [0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15] {
            s = round(s, s[7].add(W::splat(K[I])).add(w[I]));
        });
        // State word h after round 63 is e after round 60; nothing else is asked for, and
        // so the compiler leaves out what does not lead there.
        s = rounds_from_16(s, &mut w);
        s[7].add(W::splat(INITIAL[7]))
    }

    /// The first SHA-256's digest.
    #[inline(always)]
    fn first_hash<W: Word>(&self, nonce: W) -> [W; 8] {
        let [a, b, c, _, e, f, g] = self.state.map(W::splat);
        let new_a = W::splat(self.new_a).add(nonce);
        let new_e = W::splat(self.new_e).add(nonce);
        let mut s = [new_a, a, b, c, new_e, e, f, g];
        unroll!(I in [0 1 2] {
            s = round(s, W::splat(self.fixed[I]));
        });
        unroll!(I in [7 8 9 10 11 12 13 14] {
            s = round(s, s[7].add(W::splat(K[I])));
        });
        s = round(s, s[7].add(W::splat(K[15].wrapping_add(HEADER_BITS))));

        let mut w = [W::splat(0); 64];
        w[16] = W::splat(self.w16);
        w[17] = W::splat(self.w17);
        w[18] = W::splat(self.w18).add(small_sigma0(nonce));
        w[19] = W::splat(self.w19).add(nonce);
        w[20] = W::splat(END).add(small_sigma1(w[18]));
        w[21] = small_sigma1(w[19]);
        w[22] = W::splat(HEADER_BITS).add(small_sigma1(w[20]));
        w[23] = w[16].add(small_sigma1(w[21]));
        unroll!(I in [24 25 26 27 28 29] {
            w[I] = w[I - 7].add(small_sigma1(w[I - 2]));
        });
        let length = small_sigma0(HEADER_BITS);
        w[30] = W::splat(length).add(w[23]).add(small_sigma1(w[28]));
        let fixed = HEADER_BITS.add(small_sigma0(self.w16));
        w[31] = W::splat(fixed).add(w[24]).add(small_sigma1(w[29]));
        unroll!(I in [16 17] {
            let fixed = if I == 16 { self.w16 } else { self.w17 };
            s = round(s, s[7].add(W::splat(fixed.wrapping_add(K[I]))));
        });
        unroll!(I in [18 19 20 21 22 23 24 25 26 27 28 29 30 31] {
            s = round(s, s[7].add(W::splat(K[I])).add(w[I]));
        });
        s = rounds_from_32(s, &mut w);
        sum(s, self.midstate.map(W::splat))
    }
}

#[inline(always)]
fn rounds_from_16<W: Word>(mut s: [W; 8], w: &mut [W; 64]) -> [W; 8] {
    unroll!(I in [16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31] {
        s = scheduled_round::<W, I>(s, w);
    });
    rounds_from_32(s, w)
}

#[inline(always)]
fn rounds_from_32<W: Word>(mut s: [W; 8], w: &mut [W; 64]) -> [W; 8] {
    unroll!(I in [
        32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47
        48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63
    ] {
        s = scheduled_round::<W, I>(s, w);
    });
    s
}

/// Makes schedule word `I` and does its round.
#[inline(always)]
fn scheduled_round<W: Word, const I: usize>(s: [W; 8], w: &mut [W; 64]) -> [W; 8] {
    w[I] = w[I - 16]
        .add(small_sigma0(w[I - 15]))
        .add(w[I - 7])
        .add(small_sigma1(w[I - 2]));
    round(s, s[7].add(W::splat(K[I])).add(w[I]))
}

/// One round; `fed` is the sum of state word h, round constant and message word.
#[inline(always)]
fn round<W: Word>([a, b, c, d, e, f, g, _]: [W; 8], fed: W) -> [W; 8] {
    let sigma1 = e
        .rotate_right::<6, 26>()
        .xor(e.rotate_right::<11, 21>())
        .xor(e.rotate_right::<25, 7>());
    let choice = g.xor(e.and(f.xor(g)));
    let t1 = fed.add(choice).add(sigma1);
    let sigma0 = a
        .rotate_right::<2, 30>()
        .xor(a.rotate_right::<13, 19>())
        .xor(a.rotate_right::<22, 10>());
    // b ^ c was a ^ b one round ago, so the compiler computes it once for both.
    let majority = b.xor(a.xor(b).and(b.xor(c)));
    [t1.add(sigma0).add(majority), a, b, c, d.add(t1), e, f, g]
}

#[inline(always)]
pub(crate) fn small_sigma0<W: Word>(x: W) -> W {
    x.rotate_right::<7, 25>()
        .xor(x.rotate_right::<18, 14>())
        .xor(x.shift_right::<3>())
}

#[inline(always)]
pub(crate) fn small_sigma1<W: Word>(x: W) -> W {
    x.rotate_right::<17, 15>()
        .xor(x.rotate_right::<19, 13>())
        .xor(x.shift_right::<10>())
}

#[inline(always)]
fn sum<W: Word>(a: [W; 8], b: [W; 8]) -> [W; 8] {
    let mut sum = a;
    for (a, b) in sum.iter_mut().zip(b) {
        *a = a.add(b);
    }
    sum
}

/// A block's message words.
#[inline(always)]
pub(crate) fn block_words(block: &[u8; 64]) -> [u32; 16] {
    let mut words = [0; 16];
    for (word, bytes) in words.iter_mut().zip(block.as_chunks::<4>().0) {
        *word = u32::from_be_bytes(*bytes);
    }
    words
}

/// A final state as digest bytes.
pub(crate) fn to_bytes(state: &[u32; 8]) -> Hash {
    let mut hash = [0; 32];
    for (bytes, word) in hash.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    hash
}
