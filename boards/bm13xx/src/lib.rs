//! BM13xx hashing chips: frames, registers, PLL, job and nonce layouts, bring-up plans (no_std, no alloc)
