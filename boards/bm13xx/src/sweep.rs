//! How long a core sweeps before the chip moves on to the next versions (register 0x10), and how long
//! a job lasts before headers repeat.

use core::time::Duration;

use crate::pll::Pll;
use crate::registers::CRYSTAL_HZ;

/// Nonces of one core's slice: the nonce space divided by cores and chips, both rounded up to a
/// power of two, because the fields in a nonce are whole bits.
#[must_use]
pub fn slice(cores: u16, chips: u16) -> u64 {
    let parts =
        u64::from(cores.max(1)).next_power_of_two() * u64::from(chips.max(1)).next_power_of_two();
    (1 << 32) / parts
}

/// Crystal ticks that a core needs for `slice` nonces at two per hash clock, rounded down, less
/// `guard` ticks for the overrun of a sweep. Never 0, which would stop the chip.
///
/// Exact: computed from the dividers, not from a rounded frequency.
#[must_use]
pub fn ticks(slice: u64, pll: &Pll, guard: u32) -> u32 {
    let full = slice * u64::from(pll.divisor()) / (2 * u64::from(pll.fb().max(1)));
    u32::try_from(full)
        .unwrap_or(u32::MAX)
        .saturating_sub(guard)
        .max(1)
}

/// Time until a chip has been through all `versions` of a job and starts over: `versions` divided by
/// sub-cores, rounded up, sweeps of `ticks` crystal ticks.
#[must_use]
pub fn epoch(versions: u32, sub_cores: u16, ticks: u32) -> Duration {
    let sweeps = u64::from(versions)
        .div_ceil(u64::from(sub_cores.max(1)))
        .max(1);
    let nanos_per_tick = u64::from(1_000_000_000 / CRYSTAL_HZ);
    Duration::from_nanos(sweeps * u64::from(ticks) * nanos_per_tick)
}

/// Time in which chips work through nonce space and `versions` at one nonce per sub-core and clock,
/// as ESP-Miner estimates it: for a BM1397 with four midstates 39.48 ms at 425 MHz.
#[must_use]
pub fn space_time(
    clock_hz: f64,
    chips: u16,
    small_cores: u32,
    cores: u16,
    versions: u32,
) -> Duration {
    let cores_up = f64::from(u32::from(cores.max(1)).next_power_of_two());
    let sub_cores = f64::from(small_cores.max(1).next_power_of_two()) / cores_up;
    let chips_up = f64::from(u32::from(chips.max(1)).next_power_of_two());
    let seconds =
        f64::from(versions) / sub_cores * 4_294_967_296.0 / cores_up / chips_up / clock_hz;
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}
