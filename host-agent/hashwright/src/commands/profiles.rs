//! `hashwright boards --profiles`: the boards that this program knows.

use board_profiles::Profile;
use serde::Serialize;

use super::{print_json, say};
use crate::format;

#[derive(Debug, Serialize)]
struct Entry {
    name: String,
    model: String,
    chip: String,
    chips: u16,
    domains: u16,
    frequency_mhz: f64,
    min_mhz: f64,
    max_mhz: f64,
    expected_hps: f64,
}

/// Prints one line for each built-in profile, or all as JSON.
///
/// # Errors
///
/// When nobody reads standard output.
pub fn run(json: bool) -> anyhow::Result<()> {
    let entries = Profile::names()
        .map(|name| {
            let profile = Profile::builtin(name)?;
            let frequency = &profile.frequency;
            Ok(Entry {
                expected_hps: profile.hashrate_hps(frequency.default_mhz),
                frequency_mhz: frequency.default_mhz,
                min_mhz: frequency.min_mhz,
                max_mhz: frequency.max_mhz,
                chip: profile.chain.chip.to_string(),
                chips: profile.chain.chips,
                domains: profile.chain.domains,
                name: profile.name,
                model: profile.model,
            })
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    if json {
        return print_json(&entries);
    }
    say(&format!(
        "{:<14} {:<16} {:<7} {:>5} {:>9} {:>12} {:>12}",
        "PROFILE", "BOARD", "CHIP", "CHIPS", "MHZ", "RANGE MHZ", "EXPECTED"
    ))?;
    for entry in &entries {
        say(&format!(
            "{:<14} {:<16} {:<7} {:>5} {:>9} {:>12} {:>12}",
            entry.name,
            entry.model,
            entry.chip,
            entry.chips,
            entry.frequency_mhz,
            format!("{}-{}", entry.min_mhz, entry.max_mhz),
            format::hashrate(entry.expected_hps),
        ))?;
    }
    say("\nUse a name as `profile` in the config, or with `demo --board` and `sim --board`.")?;
    Ok(())
}
