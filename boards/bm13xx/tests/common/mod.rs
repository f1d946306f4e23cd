//! What the tests share: vectors from files, and plans as lines of text.
#![allow(dead_code, reason = "each test file uses its part")]

use bm13xx::{ChipKind, Command, Destination, Step};
use serde_json::Value;

/// A vector file.
pub(crate) fn vectors(name: &str) -> Value {
    let path = format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

pub(crate) fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().unwrap()
}

pub(crate) fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap()
}

pub(crate) fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect()
}

pub(crate) fn hex_u32(value: &Value, key: &str) -> u32 {
    u32::from_str_radix(text(value, key), 16).unwrap()
}

pub(crate) fn hex_u8(value: &Value, key: &str) -> u8 {
    u8::from_str_radix(text(value, key), 16).unwrap()
}

pub(crate) fn chip(value: &Value) -> ChipKind {
    text(value, "chip").parse().unwrap()
}

/// A step as one line, in the notation of `tests/data/sequences`.
pub(crate) fn line(step: &Step) -> String {
    match step {
        Step::Write(frame) => match Command::parse(frame.as_bytes()).unwrap() {
            Command::Write {
                to: Destination::All,
                register,
                value,
            } => {
                format!("all {register:02X}={value:08X}")
            }
            Command::Write {
                to: Destination::Chip(chip),
                register,
                value,
            } => {
                format!("chip {:02X} {register:02X}={value:08X}", chip.get())
            }
            Command::Read {
                from: Destination::All,
                register,
            } => format!("read {register:02X} all"),
            Command::Read {
                from: Destination::Chip(chip),
                register,
            } => {
                format!("read {register:02X} chip {:02X}", chip.get())
            }
            Command::SetAddress(address) => format!("address {:02X}", address.get()),
            Command::ChainInactive => "inactive".into(),
            Command::Job(payload) => format!("job of {} bytes", payload.len()),
        },
        Step::Wait(time) => format!("wait {}", time.as_millis()),
        Step::HostBaud(baud) => format!("host {}", baud.get()),
        Step::Discover => "count".into(),
        Step::Ramped(clock) => format!("clock {}", clock.get()),
    }
}

pub(crate) fn lines(steps: impl IntoIterator<Item = Step>) -> Vec<String> {
    steps.into_iter().map(|step| line(&step)).collect()
}

/// The lines of a sequence file, without comments.
pub(crate) fn sequence(name: &str) -> Vec<String> {
    let path = format!("{}/tests/data/sequences/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path)
        .unwrap()
        .lines()
        .map(|line| line.split('#').next().unwrap().trim())
        .filter(|line| !line.is_empty())
        .map(String::from)
        .collect()
}
