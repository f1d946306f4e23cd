//! `[tuner]`: what clocks and voltage are tuned for. Nothing here can pass a limit of a profile.

use autotune::{Aim, Caps};

use super::reader::Section;

/// `[tuner]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tuner {
    /// What the miner is tuned for; [`Aim::Off`] leaves clocks and voltage as configured. Watts and hashrate are
    /// those of all boards together.
    pub aim: Aim,
    /// Bounds within those of the profiles.
    pub caps: Caps,
}

impl Default for Tuner {
    fn default() -> Self {
        Self {
            aim: Aim::Off,
            caps: Caps::default(),
        }
    }
}

/// Reads the table; what does not fit is noted.
pub(super) fn read(section: &Section<'_>) -> Tuner {
    Tuner {
        aim: aim(section).unwrap_or(Aim::Off),
        caps: Caps {
            chip_c: section.number("max_chip_c", 40.0..=120.0),
            board_c: section.number("max_board_c", 30.0..=120.0),
            fan_percent: section.number("max_fan_percent", 10.0..=100.0),
            watts: section.number("max_watts", WATTS),
            mv: None,
        },
    }
}

/// Input power that one may ask for, W.
const WATTS: std::ops::RangeInclusive<f64> = 1.0..=1_000_000.0;

fn aim(section: &Section<'_>) -> Option<Aim> {
    if !section.has("target") {
        return None;
    }
    if !section.is_table("target") {
        return match section.text("target")? {
            "efficiency" => Some(Aim::Efficiency),
            "off" => Some(Aim::Off),
            other => {
                let message = format!(
                    "\"{other}\" is not known; write \"efficiency\", \"off\", {{ watts = 900 }}, \
                     {{ hashrate = \"95 TH/s\" }} or {{ price_per_kwh = 0.12, revenue_per_ths_day = 0.05 }}"
                );
                section.bad("target", message);
                None
            }
        };
    }
    let table = section.table("target", "tuner.target")?;
    let watts = table.number("watts", WATTS);
    let hashrate = table.text("hashrate").and_then(|text| {
        let ths = terahashes(text);
        if ths.is_none() {
            let message = format!("\"{text}\" is not a hashrate; write for instance \"95 TH/s\"");
            table.bad("hashrate", message);
        }
        ths
    });
    let price = table.number("price_per_kwh", 0.0..=1e6);
    let revenue = table.number("revenue_per_ths_day", 1e-9..=1e6);
    match (watts, hashrate, price, revenue) {
        (Some(watts), None, None, None) => Some(Aim::Watts(watts)),
        (None, Some(ths), None, None) => Some(Aim::Hashrate(ths)),
        (None, None, Some(price_per_kwh), Some(revenue_per_ths_day)) => Some(Aim::Profit {
            price_per_kwh,
            revenue_per_ths_day,
        }),
        _ => {
            section.bad(
                "target",
                "must have one aim: watts, or hashrate, or both price_per_kwh and revenue_per_ths_day",
            );
            None
        }
    }
}

/// A hashrate as people write it, in TH/s: `95 TH/s`, `1.2TH/s`, `900 GH/s`.
#[must_use]
pub fn terahashes(text: &str) -> Option<f64> {
    let text = text.trim().trim_end_matches("/s");
    let unit = text.find(|c: char| c.is_ascii_alphabetic())?;
    let number: f64 = text[..unit].trim().parse().ok()?;
    let scale = match &text[unit..] {
        "GH" => 1e-3,
        "TH" => 1.0,
        "PH" => 1e3,
        _ => return None,
    };
    let ths = number * scale;
    (ths.is_finite() && ths > 0.0).then_some(ths)
}
