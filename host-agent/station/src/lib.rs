//! One board's power, heat and fans under a guard: bring-up, cooling, derating, shut-down; pure.
#![forbid(unsafe_code)]
