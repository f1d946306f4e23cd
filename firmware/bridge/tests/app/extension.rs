//! Our own page byte for byte, as docs/control-protocol.md has it.

use std::time::Duration;

use crate::bench::{Bench, FANS, POINT};
use bridge::{Command, extension::Ask, extension::ReadingKind};
use guard::{CoolingMode, FaultCode, Percent};

fn hex(text: &str) -> Vec<u8> {
    text.split_whitespace()
        .map(|byte| u8::from_str_radix(byte, 16).expect("hex"))
        .collect()
}

/// The answer to a request on the page, without the frame around it.
fn ask(bench: &mut Bench, request: &str) -> Vec<u8> {
    let mut packet = hex("00 00 07 00 48");
    packet.extend(hex(request));
    packet[0] = packet.len() as u8;
    bench.app.receive(bench.now, &mut bench.board, &packet);
    let mut out = [0; 260];
    let len = bench.app.take_output(&mut out);
    assert_eq!(usize::from(u16::from_le_bytes([out[0], out[1]])), len);
    assert_eq!(out[2..4], [7, 0], "{:02X?}", &out[..len]);
    out[4..len].to_vec()
}

#[test]
fn requests_are_as_documented() {
    let manual = CoolingMode::Manual(Percent::new(70));
    for (ask, bytes) in [
        (Ask::Capabilities, "06 00 07 00 48 01"),
        (Ask::Heartbeat, "06 00 07 00 48 02"),
        (Ask::State, "06 00 07 00 48 03"),
        (Ask::Limits, "06 00 07 00 48 04"),
        (Ask::Clear(FaultCode::FanStalled), "07 00 07 00 48 05 05"),
        (Ask::Power(None), "07 00 07 00 48 06 00"),
        (
            Ask::Power(Some(POINT)),
            "0F 00 07 00 48 06 01 7E 04 00 00 C8 02 08 00",
        ),
        (
            Ask::SetPoint(POINT),
            "0E 00 07 00 48 07 7E 04 00 00 C8 02 08 00",
        ),
        (Ask::Cooling(CoolingMode::Auto), "07 00 07 00 48 08 00"),
        (Ask::Cooling(manual), "08 00 07 00 48 08 01 46"),
        (
            Ask::Cooling(CoolingMode::Immersion),
            "0B 00 07 00 48 08 02 57 45 54 21",
        ),
        (Ask::Readings(ReadingKind::Rails), "07 00 07 00 48 09 02"),
    ] {
        let mut out = [0; 32];
        let len = Command::Extension(ask)
            .emit(7, FANS, &mut out)
            .expect("fits");
        assert_eq!(out[..len], hex(bytes), "{ask:?}");
    }
}

#[test]
fn answers_are_as_documented() {
    let mut bench = Bench::new();
    bench.pass(Duration::from_secs(60));
    // Version, commands 1 to 9, lease of 3 s, two sensors, one fan, one rail.
    assert_eq!(ask(&mut bench, "01"), hex("01 FE 03 B8 0B 00 00 02 01 01"));
    // Off, no power, fans anywhere, no fault.
    let brief = ask(&mut bench, "02");
    assert_eq!(brief.len(), 5);
    assert_eq!((brief[0], brief[1], brief[3], brief[4]), (0, 0, 100, 0));

    let state = ask(&mut bench, "03");
    assert_eq!(state.len(), 42);
    // No clock, no voltage, no retry, nothing wanted, cooling auto, no fault.
    assert_eq!(
        state[5..],
        hex(
            "00 00 00 00 00 00 00 00 FF FF FF FF 00 00 00 00 00 00 00 00 \
             00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00"
        )
    );
    // 625 MHz, 1250 mV, 40 W, 4.5 to 5.5 V, 20 %, 3 s, two sensors: a die that needs power, a board.
    assert_eq!(
        ask(&mut bench, "04"),
        hex(
            "68 89 09 00 E2 04 00 00 40 9C 00 00 94 11 00 00 7C 15 00 00 14 B8 0B 00 00 02 \
             00 03 58 1B 00 00 4C 1D 00 00 01 01 58 1B 00 00 4C 1D 00 00"
        )
    );
    // The die was never read; the board reads 30 or 31 °C.
    let sensors = ask(&mut bench, "09 00");
    assert_eq!(sensors[..10], hex("02 00 00 00 00 00 00 00 00 00"));
    assert_eq!(sensors[10], 1);
    let board = i32::from_le_bytes(sensors[15..19].try_into().expect("four"));
    assert!(matches!(board, 3_000 | 3_100), "{board}");
    // One rail: read, off, 0 mV, 0 mA, 0 mW, 5000 mV at its input, no complaints.
    let rails = ask(&mut bench, "09 02");
    assert_eq!(rails[..2], hex("01 01"));
    assert_eq!(
        rails[6..],
        hex("00 00 00 00 00 00 00 00 00 00 00 00 00 88 13 00 00 00 00")
    );
}

#[test]
fn a_fault_comes_with_its_values() {
    let mut bench = Bench::running();
    bench.pass(Duration::from_secs(5));
    let state = ask(&mut bench, "03");
    // Cooling, heartbeat-lost, the supervisor, and after how many ms.
    assert_eq!((state[0], state[1], state[4]), (3, 0, 15));
    assert_eq!(state[27..30], [5, 0, 0]);
    let number = |at: usize| i32::from_le_bytes(state[at..at + 4].try_into().expect("four"));
    assert_eq!((number(30), number(34)), (3_000, 3_000));
    assert!((1_500..=2_500).contains(&number(38)), "{}", number(38));
}
