//! `[tuner]`: what clocks and voltage are tuned for, and what changes that by time, price, surplus and heat. Nothing here
//! can pass a limit of a profile.

use std::path::PathBuf;
use std::time::Duration;

use autotune::{Aim, Caps};
use demand::{Days, Entry, Fallback, HeatRule, PriceRule, PriceStep, SurplusRule, Then, TimeOfDay};
use jiff::tz::TimeZone;

use super::reader::Section;
use super::tables::Tables;

/// Most entries of the schedule.
const MAX_ENTRIES: usize = 64;
/// Most steps of the price.
const MAX_STEPS: usize = 16;
/// Longest time for which something told may hold, s.
const MAX_VALID_S: u64 = 30 * 24 * 3600;
/// The hottest part is held so far below the point of throttling unless the config says otherwise, K.
const MARGIN_K: f64 = 3.0;

/// `[tuner]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Tuner {
    /// What the miner is tuned for; [`Aim::Off`] leaves clocks and voltage as configured. Watts and hashrate are
    /// those of all boards together.
    pub aim: Aim,
    /// Bounds within those of the profiles.
    pub caps: Caps,
    /// What changes them.
    pub rules: Rules,
}

impl Default for Tuner {
    fn default() -> Self {
        Self {
            aim: Aim::Off,
            caps: Caps::default(),
            rules: Rules::default(),
        }
    }
}

/// What makes aim and caps tighter.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// Where the miner is; none for the time zone of the computer.
    pub zone: Option<TimeZone>,
    /// Times of day with rules of their own.
    pub schedule: Vec<Entry>,
    /// What the price of power rules.
    pub price: Option<PriceRule>,
    /// A file that tells the price.
    pub price_file: Option<PathBuf>,
    /// What the surplus of power rules.
    pub surplus: Option<SurplusRule>,
    /// A file that tells the surplus.
    pub surplus_file: Option<PathBuf>,
    /// How heat takes power away.
    pub heat: Option<HeatRule>,
    /// Once awake, price and surplus let the miner sleep only after this time.
    pub least_awake: Duration,
    /// Once asleep, it sleeps at least for this time.
    pub least_asleep: Duration,
    /// The time on the wall when the program starts, seconds since 1970, for those who run it in virtual time; none for
    /// the computer's clock.
    pub start_unix_s: Option<u64>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            zone: None,
            schedule: Vec::new(),
            price: None,
            price_file: None,
            surplus: None,
            surplus_file: None,
            heat: Some(HeatRule { margin_k: MARGIN_K }),
            least_awake: Duration::from_secs(300),
            least_asleep: Duration::from_secs(120),
            start_unix_s: None,
        }
    }
}

/// Reads the table; what does not fit is noted.
pub(super) fn read<'r>(tables: &Tables<'r>, section: &Section<'r>) -> Tuner {
    Tuner {
        aim: aim(section, "tuner.target").unwrap_or(Aim::Off),
        caps: Caps {
            chip_c: section.number("max_chip_c", 40.0..=120.0),
            board_c: section.number("max_board_c", 30.0..=120.0),
            fan_percent: section.number("max_fan_percent", 10.0..=100.0),
            watts: section.number("max_watts", WATTS),
            mv: section.number("max_mv", 1.0..=100_000.0),
        },
        rules: rules(tables, section),
    }
}

fn rules<'r>(tables: &Tables<'r>, section: &Section<'r>) -> Rules {
    let usual = Rules::default();
    let seconds = |key, usual| {
        let given = section.integer(key, 0..=24 * 3600);
        given.map_or(usual, Duration::from_secs)
    };
    let zone = section.text("time_zone").and_then(|text| {
        let zone = TimeZone::get(text).or_else(|_| TimeZone::posix(text));
        if zone.is_err() {
            let message = format!(
                "\"{text}\" is not known on this computer; write a name like \"Europe/Berlin\" (which needs the package \
                 tzdata) or the rule itself like \"CET-1CEST,M3.5.0,M10.5.0/3\""
            );
            section.bad("time_zone", message);
        }
        zone.ok()
    });
    let margin = section.number("heat_margin_k", 0.0..=20.0);
    let margin = margin.unwrap_or(MARGIN_K);
    let entries = section.tables_of("schedule", "tuner.schedule");
    if entries.len() > MAX_ENTRIES {
        let message = format!("{} are too many; at most {MAX_ENTRIES}", entries.len());
        section.bad("schedule", message);
    }
    let price = section.table("price", "tuner.price");
    let surplus = section.table("surplus", "tuner.surplus");
    let file = |section: Option<&Section<'r>>| {
        let text = section?.text("file")?;
        if text.is_empty() {
            section?.bad("file", "must name a file");
        }
        Some(tables.path(text))
    };
    Rules {
        zone,
        schedule: entries.iter().filter_map(entry).collect(),
        price_file: file(price.as_ref()),
        price: price.as_ref().map(self::price),
        surplus_file: file(surplus.as_ref()),
        surplus: surplus.as_ref().and_then(self::surplus),
        heat: (margin > 0.0).then_some(HeatRule { margin_k: margin }),
        least_awake: seconds("min_awake_s", usual.least_awake),
        least_asleep: seconds("min_asleep_s", usual.least_asleep),
        start_unix_s: None,
    }
}

fn entry(section: &Section<'_>) -> Option<Entry> {
    let days = match section.texts("days").map(Days::of) {
        None => Some(Days::ALL),
        Some(Ok(days)) => Some(days),
        Some(Err(message)) => {
            section.bad("days", message);
            None
        }
    };
    section.required("from");
    section.required("to");
    let from: Option<TimeOfDay> = section.parsed("from");
    let to: Option<TimeOfDay> = section.parsed("to");
    let aim = aim(section, "tuner.target");
    let then = then(section);
    if !["target", "watts", "sleep"]
        .iter()
        .any(|key| section.has(key))
    {
        section.bad(
            "",
            "says when, but not what: give target, watts, or sleep = true",
        );
    }
    Some(Entry {
        days: days?,
        from: from?,
        to: to?,
        aim,
        then,
    })
}

/// `watts` or `sleep = true`.
fn then(section: &Section<'_>) -> Option<Then> {
    let watts = section.number("watts", WATTS);
    let sleep = section.boolean("sleep");
    if sleep == Some(false) {
        section.bad("sleep", "can only be true; leave it out otherwise");
    }
    if section.has("watts") && section.has("sleep") {
        section.bad("watts", "does not go with sleep; give one of both");
    }
    match (watts, sleep) {
        (_, Some(true)) => Some(Then::Sleep),
        (watts, _) => watts.map(Then::Watts),
    }
}

fn price(section: &Section<'_>) -> PriceRule {
    let steps = section.tables_of("step", "tuner.price.step");
    if steps.len() > MAX_STEPS {
        let message = format!("{} are too many; at most {MAX_STEPS}", steps.len());
        section.bad("step", message);
    }
    let step = |section: &Section<'_>| {
        if !section.has("above") {
            section.bad("above", "is missing; for instance above = 0.35");
        }
        let above = section.number("above", MONEY);
        let then = then(section);
        if !section.has("watts") && !section.has("sleep") {
            section.bad("", "says no more than a price: give watts, or sleep = true");
        }
        Some(PriceStep {
            above: above?,
            then: then?,
        })
    };
    PriceRule {
        steps: steps.iter().filter_map(step).collect(),
        hysteresis: section.number("hysteresis", 0.0..=1e6).unwrap_or(0.0),
        valid: valid(section, 7200),
        stale: stale(section).unwrap_or(Fallback::Ignore),
    }
}

fn surplus(section: &Section<'_>) -> Option<SurplusRule> {
    if !section.has("floor_watts") {
        section.bad(
            "floor_watts",
            "is missing: the surplus below which the miner sleeps; for instance floor_watts = 400",
        );
    }
    let floor = section.number("floor_watts", WATTS);
    let wake = section.number("wake_watts", WATTS);
    if let (Some(floor), Some(wake)) = (floor, wake)
        && wake < floor
    {
        section.bad(
            "wake_watts",
            format!("must be at least floor_watts, {floor}"),
        );
    }
    let smoothing = section.integer("smooth_s", 0..=3600).unwrap_or(60);
    let at_meter = section.boolean("at_meter").unwrap_or(false);
    let (valid, stale) = (valid(section, 300), stale(section));
    Some(SurplusRule {
        floor_w: floor?,
        wake_w: wake.unwrap_or(floor? * 1.1),
        at_meter,
        smoothing: Duration::from_secs(smoothing),
        valid,
        stale: stale.unwrap_or(Fallback::Then(Then::Sleep)),
    })
}

fn valid(section: &Section<'_>, usual: u64) -> Duration {
    let given = section.integer("valid_s", 1..=MAX_VALID_S);
    Duration::from_secs(given.unwrap_or(usual))
}

fn stale(section: &Section<'_>) -> Option<Fallback> {
    if !section.has("stale") {
        return None;
    }
    if !section.is_table("stale") {
        return match section.text("stale")? {
            "ignore" => Some(Fallback::Ignore),
            "sleep" => Some(Fallback::Then(Then::Sleep)),
            other => {
                let message = format!(
                    "\"{other}\" is not known; write \"ignore\", \"sleep\" or {{ watts = 800 }}"
                );
                section.bad("stale", message);
                None
            }
        };
    }
    let table = section.table("stale", "tuner.stale")?;
    if !table.has("watts") {
        table.bad("watts", "is missing; for instance watts = 800");
    }
    let watts = table.number("watts", WATTS)?;
    Some(Fallback::Then(Then::Watts(watts)))
}

/// Prices that one may name.
const MONEY: std::ops::RangeInclusive<f64> = -1e6..=1e6;

/// Input power that one may ask for, W.
const WATTS: std::ops::RangeInclusive<f64> = 1.0..=1_000_000.0;

/// `target`; `name` is what the reference calls its table.
fn aim(section: &Section<'_>, name: &'static str) -> Option<Aim> {
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
    let table = section.table("target", name)?;
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
