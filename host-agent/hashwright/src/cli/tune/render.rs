//! What tuners say, as text for people.

use autotune::{Aim, Explanation};
use rpc::tuner::{DemandStatus, ProfileInfo, StationTuner, TunerStatus, TunerStep};

use crate::cli::Look;
use crate::cli::render::control::time_of_day;
use crate::format::{self, Column, Table, tuner};
use crate::state::{BoardStatus, ChipStatus};

/// Longest text of a tuner in a line, characters.
const LINE: usize = 300;
/// Width of a bar of progress, characters.
const BAR: usize = 24;
/// Silent chips that are named at most.
const NAMED: usize = 12;

/// `tune status`: what is wanted, what holds and why, then each tuner.
pub(super) fn status(status: &TunerStatus, boards: &[BoardStatus], look: Look) -> String {
    let mut lines = vec![wish(status)];
    lines.extend(demand(&status.demand));
    for station in &status.stations {
        lines.push(String::new());
        lines.extend(one(station, boards, look));
    }
    if status.stations.is_empty() {
        lines.push(
            "No board here can be tuned: nobody in this program sets its voltage.".to_owned(),
        );
    }
    let fit = |line: String| match look.width {
        Some(width) => format::wrapped(&line, width),
        None => vec![line],
    };
    lines
        .into_iter()
        .flat_map(fit)
        .collect::<Vec<_>>()
        .join("\n")
}

fn wish(status: &TunerStatus) -> String {
    let bounds = tuner::caps(&status.caps).map_or(String::new(), |caps| format!(", {caps}"));
    match status.aim {
        Aim::Off => {
            "Tuning is off: clock and voltage are as configured. `hashwright tune start` begins."
                .to_owned()
        }
        aim => format!("Tuned for {}{bounds}.", tuner::aim(&aim)),
    }
}

/// What holds at this moment and why, if rules or feeds have a say; what was told of price and surplus.
#[must_use]
pub fn demand(demand: &DemandStatus) -> Vec<String> {
    let mut lines = Vec::new();
    if demand.asleep {
        lines.push("Asleep now: the boards have no power.".to_owned());
    } else if !demand.reasons.is_empty() {
        let now = tuner::wanted(demand);
        if !now.is_empty() {
            lines.push(format!("Now {now}."));
        }
    }
    let reasons = tuner::reasons(demand);
    lines.extend(reasons.into_iter().map(|reason| format!("- {reason}")));
    if let Some(watts) = demand.curtailed_to_w {
        lines.push(match watts {
            watts if watts > 0.0 => format!("Curtailed to {}.", tuner::watts(watts)),
            _ => "Curtailed to nothing: no power.".to_owned(),
        });
    }
    if let Some(unix_s) = demand.next_change_unix_s {
        lines.push(format!("Next change at {} UTC.", time_of_day(unix_s)));
    }
    let age = |age: Option<f64>| {
        age.map_or(String::new(), |age| {
            format!(", told {} ago", format::duration(age))
        })
    };
    if let Some(price) = demand.price_per_kwh {
        lines.push(format!("Price {price} per kWh{}.", age(demand.price_age_s)));
    }
    if let Some(revenue) = demand.revenue_per_ths_day {
        lines.push(format!("Revenue {revenue} per TH/s and day."));
    }
    if let Some(surplus) = demand.surplus_w {
        lines.push(format!(
            "Surplus {}{}.",
            tuner::watts(surplus),
            age(demand.surplus_age_s)
        ));
    }
    if lines.is_empty() {
        lines.push("No rule, feed or curtailment changes that.".to_owned());
    }
    lines
}

fn one(station: &StationTuner, boards: &[BoardStatus], look: Look) -> Vec<String> {
    let own: Vec<_> = boards
        .iter()
        .filter(|board| station.boards.contains(&board.index))
        .collect();
    let names: Vec<_> = station.boards.iter().map(ToString::to_string).collect();
    let word = if names.len() == 1 { "board" } else { "boards" };
    let model = own.first().map_or(String::new(), |board| {
        format!(" ({})", format::plain(&board.model, 40))
    });
    let mut lines = vec![format!(
        "{word} {}{model}: {}",
        names.join(", "),
        doing(station)
    )];
    if station.activity == "off" {
        return lines;
    }
    if let Some(progress) = progress(station, look) {
        lines.push(format!("  {progress}"));
    }
    let mut line = |name: &str, value: String| lines.push(format!("  {name:<9} {value}"));
    if station.mhz > 0.0 {
        line(
            "ordered",
            format!(
                "{}, {:.0} MHz on the average",
                tuner::volts(station.mv),
                station.mhz
            ),
        );
    }
    if let Some(promise) = tuner::promise(station.watts, station.ths) {
        line("promised", promise);
    }
    if !own.is_empty() {
        line("now", format!("{} over 1 min", tuner::present(&own)));
    }
    if station.rounds > 0 {
        line(
            "doubt",
            format!(
                "{:.2} % of the work may be lost for want of knowledge, after {} settings",
                station.regret_percent, station.rounds
            ),
        );
    }
    if let Some(reach) = tuner::reach_named(&station.reach) {
        lines.push(format!("  ! {reach}"));
    }
    if !station.silent.is_empty() {
        let named: Vec<_> = station
            .silent
            .iter()
            .take(NAMED)
            .map(|chip| format!("{}.{}", chip.board, chip.chip))
            .collect();
        let more = match station.silent.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        lines.push(format!(
            "  ! chips that do not answer: {}{more}",
            named.join(", ")
        ));
    }
    if let Some(trouble) = &station.trouble {
        lines.push(format!("  ! {}", format::plain(trouble, LINE)));
    }
    if let Some(last) = &station.last {
        lines.push("  last step".to_owned());
        lines.extend(
            step(last)
                .into_iter()
                .skip(1)
                .map(|line| format!("  {line}")),
        );
    }
    lines
}

/// What a tuner does, in a sentence that says what that is for.
fn doing(station: &StationTuner) -> String {
    let why = station
        .because
        .as_deref()
        .map(|because| format::plain(because, LINE));
    let with = |text: &str| match &why {
        Some(why) => format!("{text}: {why}"),
        None => text.to_owned(),
    };
    match station.activity.as_str() {
        "off" => with("not tuned"),
        "waiting" => with("waiting"),
        "moving" => with("moving to another setting"),
        "measuring" => with("measuring until the counts say enough"),
        "keeping" => with("keeping the best setting and watching"),
        "held" => with("held at the best safe setting"),
        other => with(&format::plain(other, 20)),
    }
}

/// A bar with the share that is learned and the time that is left; nothing where that is not known.
pub(super) fn progress(station: &StationTuner, look: Look) -> Option<String> {
    let percent = station.progress_percent?.clamp(0.0, 100.0);
    // The cast saturates and takes NaN as 0.
    let full = ((percent / 100.0 * BAR as f64).round() as usize).min(BAR);
    let bar = format!("{}{}", "█".repeat(full), "░".repeat(BAR - full));
    let bar = match look.colour {
        true => format!("\u{1b}[32m{bar}\u{1b}[0m"),
        false => bar,
    };
    let left = station.remaining_s.map_or(String::new(), |left| {
        format!(", about {} left", format::duration(left))
    });
    Some(format!("{bar} {percent:.0} %{left}"))
}

/// Steps with their reasons, oldest first, in lines of at most `width` characters.
#[must_use]
pub fn steps(steps: &[TunerStep], width: Option<usize>) -> String {
    if steps.is_empty() {
        return "No step was taken yet. `hashwright tune status` shows what is waited for."
            .to_owned();
    }
    let mut lines = Vec::new();
    for one in steps {
        for line in step(one) {
            match width {
                Some(width) => lines.extend(format::wrapped(&line, width)),
                None => lines.push(line),
            }
        }
    }
    lines.join("\n")
}

/// A step in lines: when, then what was supposed, seen, how sure that is, and what follows.
pub(super) fn step(step: &TunerStep) -> Vec<String> {
    let text = |text: &str| format::plain(text, LINE);
    vec![
        format!("{}  station {}", time_of_day(step.unix_s), step.station),
        format!("  supposed  {}", text(&step.hypothesis)),
        format!("  seen      {}", text(&step.evidence)),
        format!("  sure      {}", confidence(step.confidence)),
        format!("  decided   {}", text(&step.decision)),
    ]
}

/// A probability in percent, with so many digits that certainty is not overstated.
fn confidence(share: f64) -> String {
    let percent = 100.0 * share;
    match 1.0 - share {
        doubt if doubt.is_nan() => "?".to_owned(),
        doubt if doubt >= 0.01 => format!("{percent:.0} %"),
        doubt if doubt >= 0.001 => format!("{percent:.1} %"),
        doubt if doubt >= 0.000_1 => format!("{percent:.2} %"),
        _ => "more than 99.99 %".to_owned(),
    }
}

/// Why a chip sits where it sits.
#[must_use]
pub fn explanation(
    board: usize,
    chip: usize,
    why: &Explanation,
    now: Option<&ChipStatus>,
) -> String {
    let (offset, sd) = why.offset_mv;
    let needs = if offset > 2.0 * sd {
        "needs more voltage than the average chip"
    } else if offset < -2.0 * sd {
        "needs less voltage than the average chip"
    } else {
        "cannot be told from the average chip"
    };
    let against = match why.mhz - why.board_mhz {
        more if more.abs() < 0.05 => "as its board on the average".to_owned(),
        more => format!(
            "{more:+.1} MHz against the {:.1} of its board",
            why.board_mhz
        ),
    };
    let mut lines = vec![format::plain(&why.words, 2 * LINE)];
    let mut line = |name: &str, value: String| lines.push(format!("  {name:<10} {value}"));
    line("chip", format!("{board}.{chip}"));
    line("clock", format!("{:.1} MHz, {against}", why.mhz));
    line("threshold", format!("{offset:+.1} ± {sd:.1} mV: {needs}"));
    line(
        "margin",
        format!(
            "{:.1} spreads of its cores above it; {:.1} % of its work should be right",
            why.margin,
            100.0 * why.delivered
        ),
    );
    if let Some(chip) = now {
        let wrong = chip.hardware_errors as f64;
        let all = chip.nonces.saturating_add(chip.hardware_errors) as f64;
        line(
            "now",
            format!(
                "{} of {} expected, {} of its nonces wrong",
                format::rate(chip.hashrate),
                format::hashrate(chip.expected_hps),
                match all > 0.0 {
                    true => format!("{:.2} %", 100.0 * wrong / all),
                    false => "none".to_owned(),
                }
            ),
        );
        if let Some(quality) = &chip.quality {
            line("quality", format::plain(&quality.grade, 20));
        }
    }
    lines.join("\n")
}

/// `tune profiles`.
pub(super) fn profiles(profiles: &[ProfileInfo], width: Option<usize>) -> String {
    if profiles.is_empty() {
        return "Nothing is known of any board yet. `hashwright tune start` learns it, `hashwright tune import` \
                brings it from elsewhere."
            .to_owned();
    }
    let mut table = Table::new([
        Column::left("serial"),
        Column::right("board"),
        Column::left("profile").gives_way(2),
        Column::left("state"),
        Column::right("doubt").gives_way(1),
        Column::left("kept, UTC").gives_way(3),
    ]);
    for profile in profiles {
        table.push([
            format::plain(&profile.serial, 40),
            profile
                .board
                .map_or("–".to_owned(), |board| board.to_string()),
            format::plain(&profile.profile, 24),
            match profile.complete {
                true => "tuned",
                false => "learning",
            }
            .to_owned(),
            format!("{:.2} %", profile.regret_percent),
            profile.kept_unix_s.map_or("–".to_owned(), day_and_time),
        ]);
    }
    table.lines(width).join("\n")
}

/// Date and time of day, UTC, e.g. `2026-03-01 12:00`.
fn day_and_time(unix_s: u64) -> String {
    // Days since 0000-03-01: leap days are then the last of their years.
    let days = (unix_s / 86_400).min(3_000_000) + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let (day, month, later) = match (of_year - (153 * month + 2) / 5 + 1, month) {
        (day, month @ 0..=9) => (day, month + 3, 0),
        (day, month) => (day, month - 9, 1),
    };
    let time = time_of_day(unix_s);
    format!(
        "{:04}-{month:02}-{day:02} {}",
        400 * era + year + later,
        time.get(..5).unwrap_or_default()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (unix_s, text) in [
            (0, "1970-01-01 00:00"),
            (951_782_400, "2000-02-29 00:00"),
            (1_709_251_199, "2024-02-29 23:59"),
            (1_795_420_800, "2026-11-23 08:00"),
            (4_107_542_400, "2100-03-01 00:00"),
        ] {
            assert_eq!(day_and_time(unix_s), text);
        }
    }

    #[test]
    fn certainty_is_not_overstated() {
        for (share, text) in [
            (0.5, "50 %"),
            (0.95, "95 %"),
            (0.999, "99.9 %"),
            (0.9995, "99.95 %"),
            (1.0, "more than 99.99 %"),
            (f64::NAN, "?"),
        ] {
            assert_eq!(confidence(share), text);
        }
    }
}
