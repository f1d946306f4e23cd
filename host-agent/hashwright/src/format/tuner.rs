//! The tuner in words and short numbers: the same wherever people read of it.

use autotune::{Aim, Caps, Prediction, Reach};
use rpc::tuner::{ChipQuality, DemandStatus, StationTuner, TunerStatus};

use super::{duration, plain, rate};
use crate::state::{BoardStatus, Rate};

/// Longest reason that is put into a line, characters.
const REASON: usize = 160;

/// An aim, e.g. `2400 W`, `95 TH/s`, `least energy per work`.
#[must_use]
pub fn aim(aim: &Aim) -> String {
    match *aim {
        Aim::Off => "off".to_owned(),
        Aim::Efficiency => "least energy per work".to_owned(),
        Aim::Watts(watts) => self::watts(watts),
        Aim::Hashrate(ths) => self::ths(ths),
        Aim::Profit {
            price_per_kwh,
            revenue_per_ths_day,
        } => {
            format!("profit at {price_per_kwh} per kWh and {revenue_per_ths_day} per TH/s and day")
        }
    }
}

/// Bounds, e.g. `at most 1800 W, chips at most 75 °C`; nothing if there are none.
#[must_use]
pub fn caps(caps: &Caps) -> Option<String> {
    let parts = [
        caps.watts
            .map(|watts| format!("at most {}", self::watts(watts))),
        caps.chip_c
            .map(|celsius| format!("chips at most {celsius} °C")),
        caps.board_c
            .map(|celsius| format!("boards at most {celsius} °C")),
        caps.fan_percent
            .map(|percent| format!("fans at most {percent} %")),
        caps.mv.map(|mv| format!("at most {}", volts(mv))),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// What an outcome of planning means; nothing if the aim is reached.
#[must_use]
pub fn reach(reach: Reach) -> Option<&'static str> {
    match reach {
        Reach::Reached => None,
        Reach::TooLittlePower => Some("even the lowest setting draws more power than that"),
        Reach::TooMuchWork => {
            Some("that is more work than is safe here; the nearest setting is shown")
        }
        Reach::TooMuchPower => Some("the boards cannot use that much power"),
        Reach::NoProfit => Some("power costs more than any setting earns"),
    }
}

/// The same by its name in the API. Names that this version does not know are shown as they are.
#[must_use]
pub fn reach_named(name: &str) -> Option<String> {
    let known = serde_json::from_value::<Reach>(name.into());
    match known {
        Ok(reach) => self::reach(reach).map(str::to_owned),
        Err(_) if name.is_empty() => None,
        Err(_) => Some(plain(name, REASON)),
    }
}

/// What a station's tuner does, e.g. `measuring, 40 %, about 6 min 00 s left`.
#[must_use]
pub fn activity(tuner: &StationTuner) -> String {
    let mut text = plain(&tuner.activity, 20);
    if let Some(because) = &tuner.because {
        text = format!("{text} ({})", plain(because, REASON));
    }
    if let Some(percent) = tuner.progress_percent {
        text = format!("{text}, {percent:.0} %");
    }
    if let Some(left) = tuner.remaining_s {
        text = format!("{text}, about {} left", duration(left));
    }
    text
}

/// Power, work and energy per work, e.g. `848 W, 98.1 TH/s, 8.64 J/TH`; nothing if there is none.
#[must_use]
pub fn promise(watts: f64, ths: f64) -> Option<String> {
    (watts > 0.0 && ths > 0.0).then(|| {
        format!(
            "{}, {}, {}",
            self::watts(watts),
            self::ths(ths),
            joules(watts / ths)
        )
    })
}

/// The tuner of the whole miner in a line; nothing where it was never asked for anything.
#[must_use]
pub fn line(status: &TunerStatus) -> Option<String> {
    let demand = &status.demand;
    if status.aim == Aim::Off && demand.reasons.is_empty() && !demand.asleep {
        return None;
    }
    let mut parts = vec![self::aim(&status.aim)];
    if demand.asleep {
        parts.push("asleep".to_owned());
    } else if demand.aim != status.aim || demand.caps.watts != status.caps.watts {
        // An agent without rules tells nothing of what holds.
        let now = wanted(demand);
        if !now.is_empty() {
            parts.push(format!("now {now}"));
        }
    }
    let at_work = |station: &&StationTuner| status.aim != Aim::Off || station.activity != "off";
    let mut activities: Vec<_> = status
        .stations
        .iter()
        .filter(at_work)
        .map(activity)
        .collect();
    activities.dedup();
    match &activities[..] {
        [] => {}
        [one] => parts.push(one.clone()),
        several => parts.push(format!(
            "{} stations: {}",
            several.len(),
            several.join("; ")
        )),
    }
    let total = |value: fn(&StationTuner) -> f64| status.stations.iter().map(value).sum();
    let promise = promise(total(|s| s.watts), total(|s| s.ths));
    parts.extend(promise.map(|promise| format!("promises {promise}")));
    Some(parts.join("; "))
}

/// What holds at this moment, e.g. `1800 W`, or `least energy per work, at most 1800 W`.
#[must_use]
pub fn wanted(demand: &DemandStatus) -> String {
    let aim = (demand.aim != Aim::Off).then(|| self::aim(&demand.aim));
    let parts: Vec<_> = aim.into_iter().chain(self::caps(&demand.caps)).collect();
    parts.join(", ")
}

/// Why it is not what the owner wants in general, a line for each reason.
#[must_use]
pub fn reasons(demand: &DemandStatus) -> Vec<String> {
    let reasons = demand.reasons.iter();
    reasons
        .map(|reason| {
            let (code, text) = (plain(&reason.code, 24), plain(&reason.text, REASON));
            // Some say by themselves what rules.
            match text.starts_with(&code) {
                true => text,
                false => format!("{code}: {text}"),
            }
        })
        .collect()
}

/// How good a chip is, e.g. `weak`, and its offset, e.g. `+8.1 ± 1.2 mV`.
#[must_use]
pub fn quality(quality: Option<&ChipQuality>) -> (String, String) {
    quality.map_or(("–".to_owned(), "–".to_owned()), |quality| {
        let offset = format!("{:+.1} ± {:.1} mV", quality.offset_mv, quality.sd_mv);
        (plain(&quality.grade, 10), offset)
    })
}

/// A prediction's likely value with half of its interval, in the given unit.
#[must_use]
pub fn interval([likely, low, high]: [f64; 3], unit: &str) -> String {
    let places = places(likely);
    let half = (high - low) / 2.0;
    if half.is_finite() && half > 0.0 {
        // At least one digit of the doubt is shown.
        let places = match half {
            half if half < 0.05 => 2,
            half if half < 0.5 => places.max(1),
            _ => places,
        };
        format!("{likely:.places$} ± {half:.places$} {unit}")
    } else {
        format!("{likely:.places$} {unit}")
    }
}

/// A prediction in a line.
#[must_use]
pub fn prediction(prediction: &Prediction) -> String {
    format!(
        "{}, {}, {}",
        interval(prediction.watts, "W"),
        interval(prediction.ths, "TH/s"),
        interval(prediction.j_per_th, "J/TH"),
    )
}

/// Watts.
#[must_use]
pub fn watts(watts: f64) -> String {
    let places = if watts.abs() < 99.95 { 1 } else { 0 };
    format!("{watts:.places$} W")
}

/// Terahashes per second.
#[must_use]
pub fn ths(ths: f64) -> String {
    super::hashrate(ths * 1e12)
}

/// Energy per work.
#[must_use]
pub fn joules(j_per_th: f64) -> String {
    format!("{j_per_th:.2} J/TH")
}

/// A voltage at the terminals of a board.
#[must_use]
pub fn volts(mv: f64) -> String {
    if mv >= 2_000.0 {
        format!("{:.2} V", mv / 1e3)
    } else {
        format!("{mv:.0} mV")
    }
}

/// What boards do at present: power of their station and the sum of their rates over a minute. A longer one would mix
/// the power of now with the work of the setting before.
#[must_use]
pub fn present(boards: &[&BoardStatus]) -> String {
    let hps: f64 = boards.iter().map(|board| board.hashrate.m1.hps).sum();
    let square = |board: &&BoardStatus| board.hashrate.m1.sigma_hps.powi(2);
    let sigma_hps = boards.iter().map(square).sum::<f64>().sqrt();
    let mut parts = Vec::new();
    let power = boards.first().and_then(|board| board.power_w);
    parts.extend(power.map(watts));
    parts.push(rate(Rate { hps, sigma_hps }));
    if let Some(power) = power
        && hps > 0.0
        && power > 0.0
    {
        parts.push(joules(power / (hps / 1e12)));
    }
    parts.join(", ")
}

fn places(value: f64) -> usize {
    match value.abs() {
        value if value < 9.995 => 2,
        value if value < 99.95 => 1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rpc::tuner::Reason;

    fn tuner() -> StationTuner {
        StationTuner {
            activity: "measuring".into(),
            progress_percent: Some(40.4),
            remaining_s: Some(360.0),
            watts: 850.0,
            ths: 100.0,
            ..StationTuner::default()
        }
    }

    #[test]
    fn a_line_tells_aim_activity_and_promise() {
        let mut status = TunerStatus {
            aim: Aim::Watts(850.0),
            stations: vec![tuner()],
            ..TunerStatus::default()
        };
        status.demand.aim = status.aim;
        assert_eq!(
            line(&status).unwrap(),
            "850 W; measuring, 40 %, about 6 min 00 s left; promises 850 W, 100 TH/s, 8.50 J/TH"
        );
        status.demand.caps.watts = Some(600.0);
        assert!(
            line(&status)
                .unwrap()
                .contains("; now 850 W, at most 600 W; ")
        );
        status.demand.asleep = true;
        assert!(line(&status).unwrap().starts_with("850 W; asleep; "));
        assert_eq!(line(&TunerStatus::default()), None);
    }

    #[test]
    fn what_comes_from_outside_is_made_safe() {
        let demand = DemandStatus {
            reasons: vec![Reason {
                code: "price\u{1b}".into(),
                text: "0.41\nper kWh".into(),
            }],
            ..DemandStatus::default()
        };
        assert_eq!(reasons(&demand), ["price·: 0.41·per kWh"]);
        let said = DemandStatus {
            reasons: vec![Reason {
                code: "curtailment".into(),
                text: "curtailment to 12 W".into(),
            }],
            ..DemandStatus::default()
        };
        assert_eq!(reasons(&said), ["curtailment to 12 W"]);
        let tuner = StationTuner {
            because: Some("\u{1b}[2Jgone".into()),
            ..tuner()
        };
        assert!(activity(&tuner).starts_with("measuring (·[2Jgone), 40 %"));
    }

    #[test]
    fn aims_and_bounds_are_words() {
        assert_eq!(aim(&Aim::Hashrate(95.0)), "95.0 TH/s");
        assert_eq!(aim(&Aim::Watts(18.25)), "18.2 W");
        let bounds = Caps {
            watts: Some(900.0),
            fan_percent: Some(60.0),
            mv: Some(13_500.0),
            ..Caps::default()
        };
        assert_eq!(
            caps(&bounds).unwrap(),
            "at most 900 W, fans at most 60 %, at most 13.50 V"
        );
        assert_eq!(caps(&Caps::default()), None);
    }

    #[test]
    fn what_keeps_from_the_aim_is_said() {
        assert_eq!(reach_named("reached"), None);
        assert_eq!(reach_named(""), None);
        assert!(
            reach_named("too_little_power")
                .unwrap()
                .contains("lowest setting")
        );
        assert_eq!(reach_named("new_reason").unwrap(), "new_reason");
    }

    #[test]
    fn an_interval_shows_a_digit_of_its_doubt() {
        assert_eq!(interval([2400.0, 2370.0, 2430.0], "W"), "2400 ± 30 W");
        assert_eq!(interval([101.3, 101.0, 101.6], "TH/s"), "101.3 ± 0.3 TH/s");
        assert_eq!(interval([15.44, 15.40, 15.48], "J/TH"), "15.44 ± 0.04 J/TH");
        assert_eq!(interval([15.4, 15.4, 15.4], "J/TH"), "15.4 J/TH");
    }
}
