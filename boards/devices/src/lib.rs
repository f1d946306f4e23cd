//! Drivers for the regulators, sensors, fan controllers and memories of hash boards, on embedded-hal.
#![no_std]
#![forbid(unsafe_code)]
