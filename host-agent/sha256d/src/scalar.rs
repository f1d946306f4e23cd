//! The backend in plain Rust, which runs everywhere and is what the others are tested
//! against.

use std::ops::{ControlFlow, RangeInclusive};

use crate::engine::Backend;
use crate::kernel::{self, Word};
use crate::{Bound, Hash, Hit, Template};

/// The portable backend.
#[derive(Debug)]
pub(crate) struct Scalar;

impl Backend for Scalar {
    fn name(&self) -> &'static str {
        "scalar"
    }

    fn compress(&self, state: &mut [u32; 8], block: &[u8; 64]) {
        *state = kernel::compress(*state, kernel::block_words(block));
    }

    fn hash(&self, template: &Template, nonce: u32) -> Hash {
        kernel::to_bytes(&kernel::double_hash(
            template.midstate.0,
            template.tail,
            u32::nonces(nonce),
        ))
    }

    fn scan(
        &self,
        template: &Template,
        nonces: RangeInclusive<u32>,
        bound: &Bound,
        on_hit: &mut dyn FnMut(Hit) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        kernel::scan::<u32>(template, nonces, bound, on_hit)
    }
}
