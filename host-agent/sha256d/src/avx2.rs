//! The backend for x86-64 processors with AVX2: eight hashes side by side for scans and
//! batches. Single hashes are the scalar ones, compiled for BMI's rotations.

#![allow(unsafe_code)]

use std::arch::x86_64::{
    __m256i, _mm256_add_epi32, _mm256_and_si256, _mm256_castsi256_ps, _mm256_cmpeq_epi32,
    _mm256_min_epu32, _mm256_movemask_ps, _mm256_or_si256, _mm256_set1_epi32, _mm256_setr_epi8,
    _mm256_setr_epi32, _mm256_shuffle_epi8, _mm256_slli_epi32, _mm256_srli_epi32, _mm256_xor_si256,
};
use std::ops::{ControlFlow, RangeInclusive};

use crate::engine::Backend;
use crate::kernel::{self, Word};
use crate::{Bound, Candidate, Hash, Hit, Template};

/// The AVX2 backend. The engine hands it out only where [`Avx2::runs_here`] has said yes.
#[derive(Debug)]
pub(crate) struct Avx2;

impl Avx2 {
    /// Whether this processor has the instructions.
    pub(crate) fn runs_here() -> bool {
        is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
    }
}

impl Backend for Avx2 {
    fn name(&self) -> &'static str {
        "avx2"
    }

    fn compress(&self, state: &mut [u32; 8], block: &[u8; 64]) {
        // SAFETY: the engine has detected the features that the function needs.
        unsafe { compress(state, block) }
    }

    fn hash(&self, template: &Template, nonce: u32) -> Hash {
        // SAFETY: the engine has detected the features that the function needs.
        unsafe { hash(template, nonce) }
    }

    fn hash_batch(&self, candidates: &[Candidate<'_>], hashes: &mut [Hash]) {
        // SAFETY: the engine has detected the features that the function needs.
        unsafe { hash_batch(candidates, hashes) }
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

#[target_feature(enable = "avx2,bmi1,bmi2")]
fn compress(state: &mut [u32; 8], block: &[u8; 64]) {
    *state = kernel::compress(*state, kernel::block_words(block));
}

#[target_feature(enable = "avx2,bmi1,bmi2")]
fn hash(template: &Template, nonce: u32) -> Hash {
    let nonce = u32::nonces(nonce);
    kernel::to_bytes(&kernel::double_hash(
        template.midstate.0,
        template.tail,
        nonce,
    ))
}

#[target_feature(enable = "avx2,bmi1,bmi2")]
fn scan(
    template: &Template,
    nonces: RangeInclusive<u32>,
    bound: &Bound,
    on_hit: &mut dyn FnMut(Hit) -> ControlFlow<()>,
) -> ControlFlow<()> {
    kernel::scan::<Lanes>(template, nonces, bound, on_hit)
}

#[target_feature(enable = "avx2,bmi1,bmi2")]
fn hash_batch(candidates: &[Candidate<'_>], hashes: &mut [Hash]) {
    let count = candidates.len().min(hashes.len());
    let (eights, rest) = candidates[..count].as_chunks::<8>();
    let (eights_out, rest_out) = hashes[..count].as_chunks_mut::<8>();
    for (candidates, out) in eights.iter().zip(eights_out) {
        hash_eight(candidates, out);
    }
    for (candidate, out) in rest.iter().zip(rest_out) {
        *out = hash(candidate.template, candidate.nonce);
    }
}

#[target_feature(enable = "avx2,bmi1,bmi2")]
fn hash_eight(candidates: &[Candidate<'_>; 8], hashes: &mut [Hash; 8]) {
    let gather =
        |word: &dyn Fn(&Candidate<'_>) -> u32| Lanes::from_array(candidates.each_ref().map(word));
    let midstate = std::array::from_fn(|i| gather(&|c| c.template.midstate.0[i]));
    let tail = std::array::from_fn(|i| gather(&|c| c.template.tail[i]));
    let nonce = gather(&|c| c.nonce.swap_bytes());
    let digest = kernel::double_hash::<Lanes>(midstate, tail, nonce).map(Lanes::to_array);
    for (lane, hash) in hashes.iter_mut().enumerate() {
        *hash = kernel::to_bytes(&digest.map(|word| word[lane]));
    }
}

/// Eight words side by side.
#[derive(Clone, Copy)]
struct Lanes(__m256i);

impl Lanes {
    #[inline(always)]
    fn from_array(words: [u32; 8]) -> Self {
        // SAFETY: both types are 32 bytes in which every bit pattern is valid.
        Self(unsafe { std::mem::transmute::<[u32; 8], __m256i>(words) })
    }

    #[inline(always)]
    fn to_array(self) -> [u32; 8] {
        // SAFETY: both types are 32 bytes in which every bit pattern is valid.
        unsafe { std::mem::transmute::<__m256i, [u32; 8]>(self.0) }
    }

    /// Reverses the bytes of each word.
    #[inline(always)]
    fn reverse_bytes(self) -> Self {
        // SAFETY: lanes are only used by functions that are compiled for AVX2.
        Self(unsafe {
            let order = _mm256_setr_epi8(
                3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12, 3, 2, 1, 0, 7, 6, 5, 4, 11,
                10, 9, 8, 15, 14, 13, 12,
            );
            _mm256_shuffle_epi8(self.0, order)
        })
    }
}

impl Word for Lanes {
    const LANES: u32 = 8;

    #[inline(always)]
    fn splat(word: u32) -> Self {
        // SAFETY: lanes are only used by functions that are compiled for AVX2.
        Self(unsafe { _mm256_set1_epi32(word as i32) })
    }

    #[inline(always)]
    fn nonces(first: u32) -> Self {
        // SAFETY: lanes are only used by functions that are compiled for AVX2.
        let steps = Self(unsafe { _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7) });
        Self::splat(first).add(steps).reverse_bytes()
    }

    #[inline(always)]
    fn add(self, other: Self) -> Self {
        // SAFETY: lanes are only used by functions that are compiled for AVX2.
        Self(unsafe { _mm256_add_epi32(self.0, other.0) })
    }

    #[inline(always)]
    fn and(self, other: Self) -> Self {
        // SAFETY: lanes are only used by functions that are compiled for AVX2.
        Self(unsafe { _mm256_and_si256(self.0, other.0) })
    }

    #[inline(always)]
    fn xor(self, other: Self) -> Self {
        // SAFETY: lanes are only used by functions that are compiled for AVX2.
        Self(unsafe { _mm256_xor_si256(self.0, other.0) })
    }

    #[inline(always)]
    fn shift_right<const N: i32>(self) -> Self {
        // SAFETY: lanes are only used by functions that are compiled for AVX2.
        Self(unsafe { _mm256_srli_epi32::<N>(self.0) })
    }

    #[inline(always)]
    fn rotate_right<const N: i32, const M: i32>(self) -> Self {
        // SAFETY: lanes are only used by functions that are compiled for AVX2.
        Self(unsafe {
            _mm256_or_si256(
                _mm256_srli_epi32::<N>(self.0),
                _mm256_slli_epi32::<M>(self.0),
            )
        })
    }

    #[inline(always)]
    fn reversed_at_most(self, bound: u32) -> u32 {
        let words = self.reverse_bytes();
        // SAFETY: lanes are only used by functions that are compiled for AVX2.
        unsafe {
            let least = _mm256_min_epu32(words.0, Self::splat(bound).0);
            let met = _mm256_cmpeq_epi32(least, words.0);
            _mm256_movemask_ps(_mm256_castsi256_ps(met)) as u32
        }
    }
}
