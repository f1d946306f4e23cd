//! The safety core of a hash board: a pure state machine that alone may keep power on.
#![no_std]
#![forbid(unsafe_code)]
