//! Power, heat, fans and events as tables for people.

use rpc::event::Entry;
use rpc::query::Cooling;
use station::Severity;
use station::status::{
    CoolingStatus, FanStatus, GuardLocation, GuardStatus, Phase, Reading, Source, Unit,
};

use super::{LINE, cell, known};
use crate::format::{self, Column, Table};
use crate::state::StationStatus;

/// Oldest reading that is still news, seconds.
const FRESH_S: f64 = 2.0;

/// Each station: what its guard says and why, then what it measures, in tables of at most `width`
/// characters.
#[must_use]
pub fn stations(stations: &[StationStatus], width: Option<usize>) -> String {
    let mut lines = Vec::new();
    for station in stations {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.extend(one_station(station, width));
    }
    lines.join("\n")
}

fn one_station(station: &StationStatus, width: Option<usize>) -> Vec<String> {
    let status = &station.status;
    let points = &status.set_points;
    let mut lines = vec![format!(
        "{}: {}, guard {}",
        boards(&station.boards),
        phase(status.phase),
        guard(&status.guard)
    )];
    for note in &station.notes {
        lines.push(format!("! {}", format::plain(note, 2 * LINE)));
    }
    if let Some(fault) = &status.guard.fault {
        let code = cell(&fault.code);
        let seen = if fault.latched {
            "latched fault"
        } else {
            "fault"
        };
        lines.push(format!(
            "! {seen} {code}, {} ago: {}",
            format::duration(fault.age_s),
            format::plain(&fault.what, LINE)
        ));
        lines.push(format!("  {}", format::plain(&fault.advice, LINE)));
        if let (true, Some(board)) = (fault.latched, station.boards.first()) {
            lines.push(format!(
                "  when that is done: hashwright clear-fault --board {board} {code}"
            ));
        }
    }
    for reason in &status.reasons {
        lines.push(format!("- {}", format::plain(reason, LINE)));
    }
    if status.guard.location == GuardLocation::Agent && station.control != "linux" {
        lines.push(
            "- the board's controller has no guard of its own: if this computer hangs, power stays on"
                .to_owned(),
        );
    }
    let mut points_told = Vec::new();
    if let Some(wanted) = points.wanted {
        points_told.push(format!("wanted {} MHz {} mV", wanted.mhz, wanted.mv));
    }
    if let Some(derated) = points.derated.filter(|point| Some(*point) != points.wanted) {
        points_told.push(format!("held to {} MHz {} mV", derated.mhz, derated.mv));
    }
    if let (Some(mhz), Some(mv)) = (points.actual_mhz, points.actual_mv) {
        points_told.push(format!("now {mhz:.0} MHz {mv:.0} mV"));
    }
    if !points_told.is_empty() {
        lines.push(format!("  {}", points_told.join(", ")));
    }
    lines.extend(readings(&status.readings, &status.fans, width));
    lines
}

/// How boards are cooled, with their fans.
#[must_use]
pub fn cooling(stations: &[Cooling]) -> String {
    if stations.is_empty() {
        return "The agent cools no board: all have control = \"external\".".to_owned();
    }
    let mut lines = Vec::new();
    for station in stations {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        let CoolingStatus {
            temperature_c,
            hottest,
            target_c,
            hot_c,
            limit_c,
            throttle,
            ..
        } = &station.cooling;
        lines.push(format!(
            "{}: {}",
            boards(&station.boards),
            mode(station.cooling.mode)
        ));
        let mut line = |name: &str, value: String| lines.push(format!("  {name:<10} {value}"));
        let from = hottest
            .as_deref()
            .map_or(String::new(), |name| format!(" ({})", cell(name)));
        line(
            "hottest",
            known(*temperature_c, |celsius| format!("{celsius:.1} °C{from}")),
        );
        line(
            "levels",
            format!("target {target_c} °C, throttled from {hot_c} °C, off at {limit_c} °C"),
        );
        if *throttle < 1.0 {
            line(
                "throttle",
                format!("{:.0} % of the wanted clock", throttle * 100.0),
            );
        }
        let none = station.fans.is_empty().then(|| "none".to_owned());
        let duty = || {
            format!(
                "{} %, guard wants at least {} %",
                station.cooling.duty_percent, station.fan_floor_percent
            )
        };
        line("fans", none.unwrap_or_else(duty));
        line("why", format::plain(&station.cooling.reason, LINE));
        lines.extend(readings(&[], &station.fans, None));
    }
    lines.join("\n")
}

/// Entries of the event log, oldest first, with advice below what needs it.
#[must_use]
pub fn events(entries: &[Entry]) -> String {
    if entries.is_empty() {
        return "Nothing has happened yet.".to_owned();
    }
    let lines: Vec<_> = entries.iter().map(event).collect();
    lines.join("\n")
}

/// An entry of the event log in a line, and its advice in another.
#[must_use]
pub fn event(entry: &Entry) -> String {
    let notice = &entry.notice;
    let mark = match notice.severity {
        Severity::Info => ' ',
        Severity::Warning => '!',
        Severity::Fault | Severity::Critical => 'X',
    };
    let who = match &entry.boards[..] {
        [] => String::new(),
        list => format!("{}: ", boards(list)),
    };
    let again = match entry.count {
        0 | 1 => String::new(),
        count => format!(" ({count} times)"),
    };
    let mut text = format!(
        "{}  {mark} {:<22} {who}{}{again}",
        time_of_day(entry.unix_s),
        cell(&notice.code),
        format::plain(&notice.text, LINE)
    );
    if !notice.advice.is_empty() {
        let advice = format::plain(&notice.advice, LINE);
        text.push_str(&format!("\n{:>34}{advice}", ""));
    }
    text
}

/// Values with unit, source and age, and fans.
fn readings(readings: &[Reading], fans: &[FanStatus], width: Option<usize>) -> Vec<String> {
    if readings.is_empty() && fans.is_empty() {
        return Vec::new();
    }
    let mut table = Table::new([
        Column::left("  reading"),
        Column::right("value"),
        Column::right("off at").gives_way(2),
        Column::left("source").gives_way(1),
        Column::right("age").gives_way(3),
        Column::left("note"),
    ]);
    for reading in readings {
        table.push([
            format!("  {}", cell(&reading.name)),
            known(reading.value, |value| quantity(value, reading.unit)),
            known(reading.limit, |limit| quantity(limit, reading.unit)),
            match reading.source {
                Source::Measured => "measured",
                Source::Estimated => "estimated",
                Source::Nameplate => "nameplate",
            }
            .to_owned(),
            age(reading.age_s),
            reading.trouble.as_deref().map_or(String::new(), cell),
        ]);
    }
    for fan in fans {
        let slow = fan
            .expected_rpm
            .map_or(String::new(), |rpm| format!("at least {rpm} rpm expected"));
        table.push([
            format!("  {}, {} %", cell(&fan.name), fan.duty_percent),
            known(fan.rpm, |rpm| format!("{rpm} rpm")),
            "–".to_owned(),
            "measured".to_owned(),
            age(fan.age_s),
            fan.trouble.as_deref().map_or(slow, cell),
        ]);
    }
    table.lines(width)
}

fn quantity(value: f64, unit: Unit) -> String {
    let digits = match unit {
        Unit::Celsius | Unit::Watts => 1,
        Unit::Amperes => 2,
        Unit::Millivolts | Unit::Rpm => 0,
    };
    format!("{value:.digits$} {}", unit.symbol())
}

fn age(seconds: Option<f64>) -> String {
    match seconds {
        None => "–".to_owned(),
        Some(age) if age < FRESH_S => "now".to_owned(),
        Some(age) => format::duration(age),
    }
}

fn guard(guard: &GuardStatus) -> String {
    let state = cell(&guard.state);
    let place = match guard.location {
        GuardLocation::Agent => "in the agent",
        GuardLocation::Board => "on the board and in the agent",
    };
    let retry = guard.retry_in_s.map_or(String::new(), |wait| {
        format!(", next try in {}", format::duration(wait))
    });
    format!("{place}: {state}{retry}")
}

fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Off => "off",
        Phase::Identifying => "looking at its parts",
        Phase::Checking => "checking fans and temperatures",
        Phase::PoweringUp => "powering up",
        Phase::Running => "running",
        Phase::WindingDown => "winding down",
        Phase::Held => "held without power",
    }
}

fn mode(mode: station::Mode) -> String {
    match mode {
        station::Mode::Auto => "automatic".to_owned(),
        station::Mode::Manual { percent } => format!("manual, {percent} %"),
        station::Mode::Immersion { .. } => {
            "no fans watched (immersion, or cooled elsewhere)".to_owned()
        }
    }
}

fn boards(boards: &[usize]) -> String {
    let list: Vec<_> = boards.iter().map(ToString::to_string).collect();
    let word = if list.len() == 1 { "board" } else { "boards" };
    format!("{word} {}", list.join(", "))
}

/// Hours, minutes and seconds of the day, UTC.
pub(crate) fn time_of_day(unix_s: u64) -> String {
    let s = unix_s % 86_400;
    format!("{:02}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
}
