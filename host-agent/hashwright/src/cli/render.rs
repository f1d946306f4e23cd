//! Agent data as tables for people. Every function returns text without a final line break.

use crate::format::{self, Column, Table};
use crate::state::{BoardStatus, ChipStatus, MinerStatus, PoolStatus, StationStatus, SystemInfo};

pub mod control;
mod pools;

pub use pools::{pool_details, pools};

/// Longest text from outside in a table cell, characters.
const CELL: usize = 48;

/// Longest text from outside in a line of its own, characters.
const LINE: usize = 200;

/// The whole miner: program, rates, shares, then boards and pools.
pub fn status(
    system: &SystemInfo,
    miner: &MinerStatus,
    boards: &[BoardStatus],
    stations: &[StationStatus],
    pools: &[PoolStatus],
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
    let parts = [
        Some(self::boards(boards)),
        (!stations.is_empty()).then(|| control::stations(stations)),
        Some(self::pools(pools)),
    ];
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    format!("{text}\n{}", parts.join("\n\n"))
}

/// A line per board, then the boards' problems.
pub fn boards(boards: &[BoardStatus]) -> String {
    if boards.is_empty() {
        return "No boards are configured.".into();
    }
    let mut table = Table::new([
        Column::left("board"),
        Column::left("chip"),
        Column::right("found"),
        Column::left("state"),
        Column::right("clock MHz"),
        Column::right("rate, 10 min"),
        Column::right("expected"),
        Column::right("HW err"),
        Column::right("dup"),
        Column::right("CRC err"),
        Column::right("restarts"),
        Column::right("°C"),
        Column::right("W"),
        Column::right("fan"),
        Column::left("guard"),
        Column::left("uart"),
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
        .lines(None)
        .into_iter()
        .chain(notes)
        .collect::<Vec<_>>()
        .join("\n")
}

/// A line per chip; the boards tell which of them are simulated.
pub fn chips(chips: &[ChipStatus], boards: &[BoardStatus]) -> String {
    if chips.is_empty() {
        return "No chips have been found. `hashwright boards` tells why.".into();
    }
    let mut table = Table::new([
        Column::right("board"),
        Column::right("chip"),
        Column::right("address"),
        Column::right("domain"),
        Column::right("clock MHz"),
        Column::right("rate, 10 min"),
        Column::right("expected"),
        Column::right("nonces"),
        Column::right("HW err"),
    ]);
    for chip in chips {
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
        ]);
    }
    let shown = boards
        .iter()
        .filter(|board| chips.iter().any(|chip| chip.board == board.index));
    let mut lines = table.lines(None);
    lines.extend(simulated_note(shown));
    lines.join("\n")
}

/// Says which boards are simulated, if any: nobody should take their rates for real ones.
fn simulated_note<'a>(boards: impl IntoIterator<Item = &'a BoardStatus>) -> Option<String> {
    let simulated = boards.into_iter().filter(|board| board.simulated);
    let indices: Vec<_> = simulated.map(|board| board.index.to_string()).collect();
    let note = "SIMULATED (rates are scaled and earn nothing): board";
    (!indices.is_empty()).then(|| format!("{note} {}", indices.join(", ")))
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
