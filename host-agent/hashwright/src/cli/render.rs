//! Agent data as tables for people. Every function returns text without a final line break.

use rpc::settings::{Changed, Constraint, View};
use rpc::stream::{Level as LogLevel, LogLine};
use rpc::tuner::TunerStatus;
use serde_json::Value;

use crate::format::{self, Column, Table};
use crate::state::{BoardStatus, ChipStatus, MinerStatus, PoolStatus, StationStatus, SystemInfo};
use crate::view::chipmap::{self, Level, Piece};

pub mod control;
mod pools;

pub use pools::{pool_details, pools};

/// Longest text from outside in a table cell, characters.
const CELL: usize = 48;

/// Longest text from outside in a line of its own, characters.
const LINE: usize = 200;

/// Chips named below a map at most.
const OUTLIERS: usize = 10;

const NO_CHIPS: &str = "No chips have been found. `hashwright boards` tells why.";

/// The whole miner: program, rates, shares, then boards and pools.
pub fn status(
    system: &SystemInfo,
    miner: &MinerStatus,
    boards: &[BoardStatus],
    stations: &[StationStatus],
    pools: &[PoolStatus],
    tuner: Option<&TunerStatus>,
    width: Option<usize>,
) -> String {
    let simulated = if miner.simulated {
        "  SIMULATED (rates are scaled and earn nothing)"
    } else {
        ""
    };
    let nonces = &miner.nonces;
    let rates = &miner.hashrate;
    let mut text = format!(
        "{}  {}{simulated}\n",
        format::plain(&system.name, CELL),
        format::plain(&miner.state, CELL),
    );
    let mut line = |name: &str, value: String| text.push_str(&format!("{name:<10} {value}\n"));
    line("program", program(system));
    line(
        "hashrate",
        format!("{:<22} over 5 s", format::rate(rates.s5)),
    );
    line("", format!("{:<22} over 1 min", format::rate(rates.m1)));
    line("", format!("{:<22} over 10 min", format::rate(rates.m10)));
    line("", format!("{:<22} over 1 h", format::rate(rates.h1)));
    line("expected", format::hashrate(miner.expected_hps));
    if let Some(watts) = miner.power_w {
        let joules = miner.efficiency_j_th;
        let joules = joules.map_or(String::new(), |joules| format!(", {joules:.1} J/TH"));
        line("power", format!("{watts:.0} W{joules}"));
    }
    if let Some(celsius) = miner.hottest_c {
        line("hottest", format!("{celsius:.1} °C"));
    }
    line(
        "shares",
        format!(
            "{} accepted, {} rejected, best {}",
            miner.accepted,
            miner.rejected,
            format::difficulty(miner.best_difficulty)
        ),
    );
    line(
        "nonces",
        format!(
            "{} valid, {} HW errors, {} duplicates, {} stale",
            nonces.valid, nonces.hardware_errors, nonces.duplicates, nonces.stale
        ),
    );
    if let Some(tuner) = tuner {
        line("tuner", tuner_line(tuner));
        for reason in format::tuner::reasons(&tuner.demand) {
            line("", format!("- {reason}"));
        }
    }
    let parts = [
        Some(self::boards(boards, width)),
        (!stations.is_empty()).then(|| control::stations(stations, width)),
        Some(self::pools(pools, width)),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    format!("{text}\n{}", parts.join("\n\n"))
}

/// What the tuner does, in a line.
fn tuner_line(tuner: &TunerStatus) -> String {
    format::tuner::line(tuner).unwrap_or_else(|| "off".to_owned())
}

/// A line per board, then the boards' problems. Columns give way where the table would be wider than
/// `width` characters.
pub fn boards(boards: &[BoardStatus], width: Option<usize>) -> String {
    if boards.is_empty() {
        return "No boards are configured.".into();
    }
    let mut table = Table::new([
        Column::left("board"),
        Column::left("chip").gives_way(5),
        Column::right("found"),
        Column::left("state"),
        Column::right("clock MHz").gives_way(2),
        Column::right("rate, 10 min"),
        Column::right("expected").gives_way(3),
        Column::right("HW err").gives_way(4),
        Column::right("dup").gives_way(9),
        Column::right("CRC err").gives_way(8),
        Column::right("restarts").gives_way(7),
        Column::right("°C"),
        Column::right("W").gives_way(1),
        Column::right("fan").gives_way(2),
        Column::left("guard").gives_way(6),
        Column::left("uart").gives_way(10),
    ]);
    for board in boards {
        table.push([
            format!("{} {}", board.index, cell(&board.model)),
            cell(&board.chip),
            format!("{}/{}", board.chips_found, board.chips_expected),
            cell(&board.state),
            clock(board.frequency_mhz, board.target_mhz),
            format::rate(board.hashrate.m10),
            format::hashrate(board.expected_hps),
            board.nonces.hardware_errors.to_string(),
            board.nonces.duplicates.to_string(),
            board.crc_errors.to_string(),
            board.restarts.to_string(),
            known(board.temperature_c, |celsius| format!("{celsius:.1}")),
            known(board.power_w, |watts| format!("{watts:.1}")),
            known(board.fan_percent, |percent| format!("{percent} %")),
            cell(&board.guard),
            cell(&board.uart),
        ]);
    }
    let problems = boards.iter().filter_map(|board| {
        let problem = board.problem.as_deref()?;
        Some(format!(
            "! board {}: {}",
            board.index,
            format::plain(problem, LINE)
        ))
    });
    let notes = problems.chain(simulated_note(boards));
    table
        .lines(width)
        .into_iter()
        .chain(notes)
        .collect::<Vec<_>>()
        .join("\n")
}

/// A map of the chips of each board: marks in a row for each voltage domain, then what stands out. The marks
/// are coloured by ANSI codes if `colour` is set.
pub fn chip_map(
    chips: &[ChipStatus],
    boards: &[BoardStatus],
    width: usize,
    colour: bool,
) -> String {
    if chips.is_empty() {
        return NO_CHIPS.into();
    }
    let mut lines = Vec::new();
    let shown = || {
        let has_chips = |board: &&BoardStatus| chips.iter().any(|chip| chip.board == board.index);
        boards.iter().filter(has_chips)
    };
    for board in shown() {
        let own: Vec<_> = chips
            .iter()
            .filter(|chip| chip.board == board.index)
            .cloned()
            .collect();
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.push(format!(
            "board {} {}: {} of {} chips, {} of {} expected",
            board.index,
            cell(&board.model),
            own.len(),
            board.chips_expected,
            format::rate(board.hashrate.m10),
            format::hashrate(board.expected_hps),
        ));
        let map = chipmap::lines(&own, width);
        lines.extend(map.iter().map(|pieces| ansi(pieces, colour)));
        let outliers = chipmap::outliers(&own, OUTLIERS);
        lines.extend(outliers.iter().map(|text| format!("  {text}")));
        lines.extend(chipmap::qualities(&own).map(|text| format!("  quality: {text}")));
    }
    let legend = chipmap::LEGEND
        .map(|(level, meaning)| format!("{} {meaning}", painted(level.mark(), level, colour)));
    lines.push(String::new());
    lines.push(legend.join("  "));
    lines.extend(simulated_note(shown()));
    lines.join("\n")
}

/// A line per chip; the boards tell which of them are simulated.
pub fn chips(chips: &[ChipStatus], boards: &[BoardStatus], width: Option<usize>) -> String {
    if chips.is_empty() {
        return NO_CHIPS.into();
    }
    let mut table = Table::new([
        Column::right("board"),
        Column::right("chip"),
        Column::right("address").gives_way(3),
        Column::right("domain").gives_way(2),
        Column::right("clock MHz").gives_way(4),
        Column::right("rate, 10 min"),
        Column::right("expected").gives_way(1),
        Column::right("nonces").gives_way(5),
        Column::right("HW err"),
        Column::left("quality"),
        Column::right("threshold").gives_way(6),
    ]);
    for chip in chips {
        let (grade, offset) = format::tuner::quality(chip.quality.as_ref());
        table.push([
            chip.board.to_string(),
            chip.index.to_string(),
            format!("0x{:02x}", chip.address),
            chip.domain.to_string(),
            format!("{:.1}", chip.frequency_mhz),
            format::rate(chip.hashrate),
            format::hashrate(chip.expected_hps),
            chip.nonces.to_string(),
            chip.hardware_errors.to_string(),
            grade,
            offset,
        ]);
    }
    let shown = boards
        .iter()
        .filter(|board| chips.iter().any(|chip| chip.board == board.index));
    let mut lines = table.lines(width);
    lines.extend(simulated_note(shown));
    lines.join("\n")
}

/// A line of the log, at most `longest` characters of its text.
pub fn log_line(line: &LogLine, longest: usize) -> String {
    let level = match line.level {
        LogLevel::Error => "ERROR",
        LogLevel::Warn => " WARN",
        LogLevel::Info => " INFO",
        LogLevel::Debug => "DEBUG",
        LogLevel::Trace => "TRACE",
    };
    // The cast saturates, and a clock before 1970 is as wrong as any.
    let time = control::time_of_day(line.unix_s as u64);
    format!("{time} {level} {}", format::plain(&line.text, longest))
}

/// What changed, or would: a line for each setting, then notes and what is to be done to keep it.
pub fn changed(changed: &Changed) -> String {
    let mut lines = Vec::new();
    if changed.changes.is_empty() {
        lines.push("Nothing to change: it is so already.".to_owned());
    }
    for change in &changed.changes {
        lines.push(format!(
            "{}: {} → {}",
            cell(&change.path),
            value(&change.from),
            value(&change.to)
        ));
    }
    match (&changed.pending, changed.applied) {
        (_, false) => lines.push("A dry run: nothing was changed.".to_owned()),
        (Some(pending), true) => lines.push(format!(
            "Undone in {} unless confirmed: hashwright config confirm {}",
            format::duration(pending.rolls_back_in_s),
            cell(&pending.id)
        )),
        (None, true) if changed.changes.is_empty() => {}
        (None, true) => lines.push(if changed.saved {
            "Done, and saved in the agent's config.".to_owned()
        } else {
            "Done; not saved, so that a restart undoes it.".to_owned()
        }),
    }
    let notes = changed.notes.iter();
    lines.extend(notes.map(|note| format!("! {}", format::plain(note, LINE))));
    lines.join("\n")
}

/// The settings in force.
pub fn settings(view: &View, width: Option<usize>) -> String {
    let file = match (&view.file, view.writable) {
        (Some(file), true) => format!("from {}", cell(file)),
        (Some(file), false) => format!("from {}, which the agent cannot write", cell(file)),
        (None, _) => "without a config file".to_owned(),
    };
    let mut table = Table::new([
        Column::left("setting"),
        Column::left("value"),
        Column::left("origin").gives_way(1),
    ]);
    for setting in &view.settings {
        let value = match (setting.secret, &setting.value) {
            (true, _) => "(secret)".to_owned(),
            (false, value) => self::value(value),
        };
        table.push([cell(&setting.path), value, cell(&setting.origin)]);
    }
    let mut lines = vec![file];
    lines.extend(table.lines(width));
    lines.join("\n")
}

/// What settings may be.
pub fn constraints(constraints: &[Constraint], width: Option<usize>) -> String {
    let mut table = Table::new([
        Column::left("setting"),
        Column::left("may be"),
        Column::left("default").gives_way(1),
        Column::left("role").gives_way(2),
        Column::left("what it is").gives_way(3),
    ]);
    for constraint in constraints {
        let unit = constraint
            .unit
            .as_deref()
            .map_or(String::new(), |unit| format!(" {unit}"));
        let range = match (constraint.min, constraint.max) {
            (Some(min), Some(max)) => format!("{min} to {max}{unit}"),
            (Some(min), None) => format!("{min}{unit} or more"),
            (None, Some(max)) => format!("{max}{unit} or less"),
            (None, None) if !constraint.choices.is_empty() => constraint.choices.join(", "),
            (None, None) => constraint.kind.clone(),
        };
        let restart = if constraint.restart {
            " (after a restart)"
        } else {
            ""
        };
        table.push([
            cell(&constraint.path),
            format::plain(&range, LINE),
            value(&constraint.default),
            constraint.role.to_string(),
            format!("{}{restart}", format::plain(&constraint.description, LINE)),
        ]);
    }
    table.lines(width).join("\n")
}

/// A value of a setting as people write it.
pub fn value(value: &Value) -> String {
    match value {
        Value::Null => "(none)".to_owned(),
        Value::String(text) => format::plain(text, LINE),
        other => format::plain(&other.to_string(), LINE),
    }
}

/// Says which boards are simulated, if any: nobody should take their rates for real ones.
fn simulated_note<'a>(boards: impl IntoIterator<Item = &'a BoardStatus>) -> Option<String> {
    let simulated = boards.into_iter().filter(|board| board.simulated);
    let indices: Vec<_> = simulated.map(|board| board.index.to_string()).collect();
    let note = "SIMULATED (rates are scaled and earn nothing): board";
    (!indices.is_empty()).then(|| format!("{note} {}", indices.join(", ")))
}

/// Pieces as a line for the terminal.
pub(super) fn ansi(pieces: &[Piece], colour: bool) -> String {
    let piece = |piece: &Piece| match piece.level {
        Some(level) => painted(&piece.text, level, colour),
        None => piece.text.clone(),
    };
    let line: String = pieces.iter().map(piece).collect();
    line.trim_end().to_owned()
}

/// Marks in the colour of their level.
fn painted(marks: impl std::fmt::Display, level: Level, colour: bool) -> String {
    if !colour {
        return marks.to_string();
    }
    let code = match level {
        Level::Unknown => "2",
        Level::Full => "32",
        Level::Below => "92",
        Level::Low => "33",
        Level::Poor => "91",
        Level::Dead => "1;31",
        Level::Errors => "1;35",
    };
    format!("\u{1b}[{code}m{marks}\u{1b}[0m")
}

fn program(system: &SystemInfo) -> String {
    let memory = match system.resident_bytes {
        0 => String::new(),
        bytes => format!(", {:.1} MB", bytes as f64 / 1e6),
    };
    format!(
        "hashwright {}, up {}, SHA-256d by {}{memory}",
        cell(&system.version),
        format::duration(system.uptime_s),
        cell(&system.sha256d_backend),
    )
}

/// The clock, with its target while that is not reached.
fn clock(now: f64, target: f64) -> String {
    if target > 0.0 && now < 0.995 * target {
        format!("{now:.0} of {target:.0}")
    } else {
        format!("{now:.0}")
    }
}

fn known<T>(value: Option<T>, text: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| "–".to_owned(), text)
}

fn cell(text: &str) -> String {
    format::plain(text, CELL)
}
