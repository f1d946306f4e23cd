//! The backend for x86-64 processors with the SHA extensions.
//!
//! The instructions keep the state in two vectors, here `abef` and `cdgh`, with word a (c)
//! in the highest lane; one instruction does two rounds. Two hashes are interleaved, because
//! an instruction's result takes longer to arrive than the next instruction to start.

#![allow(unsafe_code)]
// Lanes are walked by number throughout, since most steps touch several arrays of them.
#![allow(clippy::needless_range_loop)]

use std::arch::x86_64::{
    __m128i, _mm_add_epi32, _mm_alignr_epi8, _mm_extract_epi32, _mm_set_epi32,
    _mm_sha256msg1_epu32, _mm_sha256msg2_epu32, _mm_sha256rnds2_epu32, _mm_shuffle_epi32,
    _mm_unpackhi_epi64, _mm_unpacklo_epi64,
};
use std::ops::{ControlFlow, RangeInclusive};

use crate::engine::Backend;
use crate::kernel::{
    self, DIGEST_BITS, END, HEADER_BITS, INITIAL, K, Prepared, small_sigma0, unroll,
};
use crate::{Bound, Candidate, Hash, Hit, Template};

/// The SHA-NI backend. The engine hands it out only where [`ShaNi::runs_here`] has said yes.
#[derive(Debug)]
pub(crate) struct ShaNi;

impl ShaNi {
    /// Whether this processor has the instructions.
    pub(crate) fn runs_here() -> bool {
        is_x86_feature_detected!("sha")
            && is_x86_feature_detected!("sse4.1")
            && is_x86_feature_detected!("ssse3")
    }
}

impl Backend for ShaNi {
    fn name(&self) -> &'static str {
        "sha-ni"
    }

    fn compress(&self, state: &mut [u32; 8], block: &[u8; 64]) {
        // SAFETY: the engine has detected the features that the function needs.
        unsafe { compress(state, block) }
    }

    fn hash(&self, template: &Template, nonce: u32) -> Hash {
        // SAFETY: the engine has detected the features that the function needs.
        let [hash] = unsafe { hash([Candidate { template, nonce }]) };
        hash
    }

    fn hash_batch(&self, candidates: &[Candidate<'_>], hashes: &mut [Hash]) {
        let count = candidates.len().min(hashes.len());
        let (pairs, rest) = candidates[..count].as_chunks::<2>();
        let (pairs_out, rest_out) = hashes[..count].as_chunks_mut::<2>();
        for (pair, out) in pairs.iter().zip(pairs_out) {
            // SAFETY: the engine has detected the features that the function needs.
            *out = unsafe { hash(*pair) };
        }
        for (candidate, out) in rest.iter().zip(rest_out) {
            *out = self.hash(candidate.template, candidate.nonce);
        }
    }

    fn scan(
        &self,
        template: &Template,
        nonces: RangeInclusive<u32>,
        bound: &Bound,
        on_hit: &mut dyn FnMut(Hit) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        // SAFETY: the engine has detected the features that the function needs.
        unsafe { scan(template, nonces, bound, on_hit) }
    }
}

/// One vector for each of `N` hashes that are computed side by side.
type Lanes<const N: usize> = [__m128i; N];

/// The states of `N` hashes.
#[derive(Clone, Copy)]
struct State<const N: usize> {
    abef: Lanes<N>,
    cdgh: Lanes<N>,
}

#[target_feature(enable = "sha,sse4.1,ssse3")]
fn compress(state: &mut [u32; 8], block: &[u8; 64]) {
    let words = kernel::block_words(block);
    let mut w = [[vector([0; 4])]; 16];
    for (vectors, words) in w.iter_mut().zip(words.as_chunks::<4>().0) {
        *vectors = [vector(*words)];
    }
    let before = pack::<1>([state]);
    let mut s = before;
    unroll!(I in [0 1 2 3] {
        s = four_rounds(s, add_constants::<1, I>(w[I]));
    });
    unroll!(I in [4 5 6 7 8 9 10 11 12 13 14 15] {
        w[I] = schedule(w[I - 4], w[I - 3], w[I - 2], w[I - 1]);
        s = four_rounds(s, add_constants::<1, I>(w[I]));
    });
    [*state] = unpack(sum(s, before));
}

/// Whole double hashes of unrelated headers.
#[target_feature(enable = "sha,sse4.1,ssse3")]
fn hash<const N: usize>(candidates: [Candidate<'_>; N]) -> [Hash; N] {
    let midstates = pack(candidates.each_ref().map(|c| &c.template.midstate.0));
    let mut w0 = [vector([0; 4]); N];
    for (w0, candidate) in w0.iter_mut().zip(candidates) {
        let [a, b, c] = candidate.template.tail;
        *w0 = vector([a, b, c, candidate.nonce.swap_bytes()]);
    }
    let s = four_rounds(midstates, add_constants::<N, 0>(w0));
    // The words between the two ends of the schedule's reach are zero.
    let length = [vector([0, 0, 0, HEADER_BITS]); N];
    let w4 = schedule_end(schedule_start(w0, [vector([END, 0, 0, 0]); N]), length);
    let digest = sum(first_hash(s, w4, schedule_start(length, w4)), midstates);

    let (almost, fed) = second_hash(digest);
    let initial = pack([&INITIAL; N]);
    let mut s = almost;
    for lane in 0..N {
        let fed = _mm_shuffle_epi32::<0b00_00_11_10>(fed[lane]);
        s.abef[lane] = _mm_sha256rnds2_epu32(almost.cdgh[lane], almost.abef[lane], fed);
        s.cdgh[lane] = almost.abef[lane];
    }
    unpack(sum(s, initial)).map(|digest| kernel::to_bytes(&digest))
}

#[target_feature(enable = "sha,sse4.1,ssse3")]
fn scan(
    template: &Template,
    nonces: RangeInclusive<u32>,
    bound: &Bound,
    on_hit: &mut dyn FnMut(Hit) -> ControlFlow<()>,
) -> ControlFlow<()> {
    const WAYS: usize = 2;
    if nonces.is_empty() {
        return ControlFlow::Continue(());
    }
    let (mut first, last) = nonces.into_inner();
    let top_word = bound.top_word();
    let [w0, w1, w2] = template.tail;
    let midstate = pack([&template.midstate.0; WAYS]);
    // Rounds 0 and 1 are the same for all nonces.
    let fed = vector([w0.wrapping_add(K[0]), w1.wrapping_add(K[1]), 0, 0]);
    let abef = _mm_sha256rnds2_epu32(midstate.cdgh[0], midstate.abef[0], fed);
    let cdgh = midstate.abef[0];
    let prepared = Prepared::new(template);
    let fed_2 = w2.wrapping_add(K[2]);
    let w4_fixed = vector([prepared.w16, prepared.w17, prepared.w18, prepared.w19]);
    let w7_fixed = {
        let last = HEADER_BITS.wrapping_add(small_sigma0(prepared.w16));
        [vector([0, 0, small_sigma0(HEADER_BITS), last]); WAYS]
    };
    loop {
        let left = last - first;
        let mut s = State {
            abef: [abef; WAYS],
            cdgh: [abef; WAYS],
        };
        let mut w4 = [w4_fixed; WAYS];
        for (lane, way) in (0..).zip(0..WAYS) {
            let word = first.wrapping_add(lane).swap_bytes();
            let fed = vector([fed_2, word.wrapping_add(K[3]), 0, 0]);
            s.abef[way] = _mm_sha256rnds2_epu32(cdgh, abef, fed);
            w4[way] = _mm_add_epi32(w4_fixed, vector([0, 0, small_sigma0(word), word]));
        }
        let digest = sum(first_hash(s, w4, w7_fixed), midstate);
        let (almost, _) = second_hash(digest);
        for (lane, way) in (0..).zip(0..WAYS) {
            // Word f after round 61 is h after round 63, the digest's last word.
            let word = (_mm_extract_epi32::<0>(almost.abef[way]) as u32).wrapping_add(INITIAL[7]);
            if word.swap_bytes() <= top_word && lane <= left {
                kernel::check_hit(template, first + lane, bound, on_hit)?;
            }
        }
        if left < WAYS as u32 {
            return ControlFlow::Continue(());
        }
        first += WAYS as u32;
    }
}

/// Rounds 4 to 63 of a header's second block. `w4` holds message words 16 to 19, `w7_fixed`
/// the part of words 28 to 31 that comes from words 12 to 19.
#[target_feature(enable = "sha,sse4.1,ssse3")]
#[inline]
fn first_hash<const N: usize>(s: State<N>, w4: Lanes<N>, w7_fixed: Lanes<N>) -> State<N> {
    let mut s = four_rounds(s, [fixed(1, [END, 0, 0, 0]); N]);
    s = four_rounds(s, [fixed(2, [0; 4]); N]);
    s = four_rounds(s, [fixed(3, [0, 0, 0, HEADER_BITS]); N]);
    s = four_rounds(s, add_constants::<N, 4>(w4));
    let zero = [vector([0; 4]); N];
    let length = [vector([0, 0, 0, HEADER_BITS]); N];
    let w5 = schedule_rest([vector([END, 0, 0, 0]); N], length, w4);
    s = four_rounds(s, add_constants::<N, 5>(w5));
    let w6 = schedule_rest(zero, w4, w5);
    s = four_rounds(s, add_constants::<N, 6>(w6));
    let w7 = schedule_rest(w7_fixed, w5, w6);
    s = four_rounds(s, add_constants::<N, 7>(w7));
    let mut w = [zero; 16];
    [w[4], w[5], w[6], w[7]] = [w4, w5, w6, w7];
    unroll!(I in [8 9 10 11 12 13 14 15] {
        w[I] = schedule(w[I - 4], w[I - 3], w[I - 2], w[I - 1]);
        s = four_rounds(s, add_constants::<N, I>(w[I]));
    });
    s
}

/// Rounds 0 to 61 of the hash of a digest, and what the last two rounds are fed with, in the
/// upper halves.
#[target_feature(enable = "sha,sse4.1,ssse3")]
#[inline]
fn second_hash<const N: usize>(digest: State<N>) -> (State<N>, Lanes<N>) {
    let mut w = [[vector([0; 4]); N]; 16];
    for lane in 0..N {
        let abef = _mm_shuffle_epi32::<0b00_01_10_11>(digest.abef[lane]);
        let cdgh = _mm_shuffle_epi32::<0b00_01_10_11>(digest.cdgh[lane]);
        w[0][lane] = _mm_unpacklo_epi64(abef, cdgh);
        w[1][lane] = _mm_unpackhi_epi64(abef, cdgh);
    }
    w[2] = [vector([END, 0, 0, 0]); N];
    w[3] = [vector([0, 0, 0, DIGEST_BITS]); N];
    let mut s = pack([&INITIAL; N]);
    s = four_rounds(s, add_constants::<N, 0>(w[0]));
    s = four_rounds(s, add_constants::<N, 1>(w[1]));
    s = four_rounds(s, [fixed(2, [END, 0, 0, 0]); N]);
    s = four_rounds(s, [fixed(3, [0, 0, 0, DIGEST_BITS]); N]);
    // Words 9 to 14 are zero, which shortens some of the schedule.
    w[4] = schedule_end(schedule_start(w[0], w[1]), w[3]);
    s = four_rounds(s, add_constants::<N, 4>(w[4]));
    w[5] = schedule(w[1], w[2], w[3], w[4]);
    s = four_rounds(s, add_constants::<N, 5>(w[5]));
    w[6] = schedule_rest(w[2], w[4], w[5]);
    s = four_rounds(s, add_constants::<N, 6>(w[6]));
    unroll!(I in [7 8 9 10 11 12 13 14] {
        w[I] = schedule(w[I - 4], w[I - 3], w[I - 2], w[I - 1]);
        s = four_rounds(s, add_constants::<N, I>(w[I]));
    });
    w[15] = schedule(w[11], w[12], w[13], w[14]);
    let fed = add_constants::<N, 15>(w[15]);
    let mut almost = s;
    for lane in 0..N {
        almost.abef[lane] = _mm_sha256rnds2_epu32(s.cdgh[lane], s.abef[lane], fed[lane]);
        almost.cdgh[lane] = s.abef[lane];
    }
    (almost, fed)
}

/// Four rounds; `fed` holds the sums of round constant and message word.
#[target_feature(enable = "sha,sse4.1,ssse3")]
#[inline]
fn four_rounds<const N: usize>(mut s: State<N>, fed: Lanes<N>) -> State<N> {
    for lane in 0..N {
        s.cdgh[lane] = _mm_sha256rnds2_epu32(s.cdgh[lane], s.abef[lane], fed[lane]);
    }
    for lane in 0..N {
        let fed = _mm_shuffle_epi32::<0b00_00_11_10>(fed[lane]);
        s.abef[lane] = _mm_sha256rnds2_epu32(s.abef[lane], s.cdgh[lane], fed);
    }
    s
}

/// The next four message words after sixteen.
#[target_feature(enable = "sha,sse4.1,ssse3")]
#[inline]
fn schedule<const N: usize>(w0: Lanes<N>, w1: Lanes<N>, w2: Lanes<N>, w3: Lanes<N>) -> Lanes<N> {
    schedule_rest(schedule_start(w0, w1), w2, w3)
}

/// The terms of the schedule that reach back 16 and 15 words.
#[target_feature(enable = "sha,sse4.1,ssse3")]
#[inline]
fn schedule_start<const N: usize>(w0: Lanes<N>, w1: Lanes<N>) -> Lanes<N> {
    let mut start = w0;
    for lane in 0..N {
        start[lane] = _mm_sha256msg1_epu32(w0[lane], w1[lane]);
    }
    start
}

/// Adds the terms that reach back 7 and 2 words.
#[target_feature(enable = "sha,sse4.1,ssse3")]
#[inline]
fn schedule_rest<const N: usize>(start: Lanes<N>, w2: Lanes<N>, w3: Lanes<N>) -> Lanes<N> {
    let mut sum = start;
    for lane in 0..N {
        let seven_back = _mm_alignr_epi8::<4>(w3[lane], w2[lane]);
        sum[lane] = _mm_add_epi32(start[lane], seven_back);
    }
    schedule_end(sum, w3)
}

/// Adds the term that reaches back 2 words.
#[target_feature(enable = "sha,sse4.1,ssse3")]
#[inline]
fn schedule_end<const N: usize>(sum: Lanes<N>, w3: Lanes<N>) -> Lanes<N> {
    let mut words = sum;
    for lane in 0..N {
        words[lane] = _mm_sha256msg2_epu32(sum[lane], w3[lane]);
    }
    words
}

/// Adds the round constants of rounds `4 * I` and on.
#[target_feature(enable = "sha,sse4.1,ssse3")]
#[inline]
fn add_constants<const N: usize, const I: usize>(words: Lanes<N>) -> Lanes<N> {
    let mut fed = words;
    for lane in 0..N {
        fed[lane] = _mm_add_epi32(words[lane], fixed(I, [0; 4]));
    }
    fed
}

/// What rounds `4 * i` and on are fed with if their message words are these.
#[target_feature(enable = "sha,sse4.1,ssse3")]
#[inline]
fn fixed(i: usize, words: [u32; 4]) -> __m128i {
    let k = |j: usize| K[4 * i + j].wrapping_add(words[j]);
    vector([k(0), k(1), k(2), k(3)])
}

#[target_feature(enable = "sha,sse4.1,ssse3")]
#[inline]
fn sum<const N: usize>(a: State<N>, b: State<N>) -> State<N> {
    let mut sum = a;
    for lane in 0..N {
        sum.abef[lane] = _mm_add_epi32(a.abef[lane], b.abef[lane]);
        sum.cdgh[lane] = _mm_add_epi32(a.cdgh[lane], b.cdgh[lane]);
    }
    sum
}

#[target_feature(enable = "sha,sse4.1,ssse3")]
#[inline]
fn pack<const N: usize>(states: [&[u32; 8]; N]) -> State<N> {
    let mut packed = State {
        abef: [vector([0; 4]); N],
        cdgh: [vector([0; 4]); N],
    };
    for (lane, &&[a, b, c, d, e, f, g, h]) in states.iter().enumerate() {
        packed.abef[lane] = vector([f, e, b, a]);
        packed.cdgh[lane] = vector([h, g, d, c]);
    }
    packed
}

#[target_feature(enable = "sha,sse4.1,ssse3")]
#[inline]
fn unpack<const N: usize>(packed: State<N>) -> [[u32; 8]; N] {
    let mut states = [[0; 8]; N];
    for (lane, state) in states.iter_mut().enumerate() {
        let [f, e, b, a] = words(packed.abef[lane]);
        let [h, g, d, c] = words(packed.cdgh[lane]);
        *state = [a, b, c, d, e, f, g, h];
    }
    states
}

/// A vector of these words, lowest lane first.
#[target_feature(enable = "sha,sse4.1,ssse3")]
#[inline]
fn vector([w0, w1, w2, w3]: [u32; 4]) -> __m128i {
    _mm_set_epi32(w3 as i32, w2 as i32, w1 as i32, w0 as i32)
}

/// A vector's words, lowest lane first.
#[target_feature(enable = "sha,sse4.1,ssse3")]
#[inline]
fn words(vector: __m128i) -> [u32; 4] {
    [
        _mm_extract_epi32::<0>(vector) as u32,
        _mm_extract_epi32::<1>(vector) as u32,
        _mm_extract_epi32::<2>(vector) as u32,
        _mm_extract_epi32::<3>(vector) as u32,
    ]
}
