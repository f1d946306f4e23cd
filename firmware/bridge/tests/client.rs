//! The host's end against scripted firmware: what goes out, what comes back, what an error says.

use std::collections::VecDeque;
use std::fmt;

use bridge::answer::Expect;
use bridge::client::{ClientErrorKind, Firmware};
use bridge::{Client, Exchange, FanPage, Format, Progress, Refusal};
use embedded_hal::digital::{InputPin, OutputPin};
use embedded_hal::i2c::{self, Error as _, I2c, NoAcknowledgeSource, Operation};

/// Firmware that knows its lines. An empty answer is silence.
#[derive(Default)]
struct Script {
    lines: VecDeque<(Vec<u8>, Vec<u8>)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Silence;

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no answer in time")
    }
}

impl Exchange for Script {
    type Error = Silence;

    fn exchange(
        &mut self,
        request: &[u8],
        expect: Option<Expect>,
        response: &mut [u8],
    ) -> Result<usize, Silence> {
        let (asked, answer) = self.lines.pop_front().expect("a question too many");
        assert_eq!(request, asked);
        let Some(expect) = expect else {
            return Ok(0);
        };
        let mut receiver = expect.receiver(response);
        if receiver.push(&answer) == Progress::Incomplete {
            return Err(Silence);
        }
        receiver.finish().ok_or(Silence)
    }
}

fn hex(text: &str) -> Vec<u8> {
    text.split_whitespace()
        .map(|byte| u8::from_str_radix(byte, 16).expect("hex"))
        .collect()
}

fn script(lines: &[(&str, &str)]) -> Script {
    Script {
        lines: lines
            .iter()
            .map(|(asked, answer)| (hex(asked), hex(answer)))
            .collect(),
    }
}

fn client(format: Format, lines: &[(&str, &str)]) -> Client<Script> {
    let firmware = Firmware {
        format: Some(format),
        fans: FanPage::Device,
    };
    Client::new(script(lines), firmware)
}

/// "I2C Read Error" and "I2C Write Error" as V0 firmware sends them under id 1.
const READ_ERROR: &str = "12 00 01 FF 49 32 43 20 52 65 61 64 20 45 72 72 6F 72";
const WRITE_ERROR: &str = "13 00 01 FF 49 32 43 20 57 72 69 74 65 20 45 72 72 6F 72";

#[test]
fn the_first_question_finds_out_the_format() {
    for (answer, format, level) in [
        ("01 00 01 01", Format::V0, "01 00 02 00"),
        ("04 00 01 01", Format::V0Total, "04 00 02 00"),
        ("05 00 01 00 01", Format::V1, "05 00 02 00 00"),
    ] {
        let lines = [("06 00 01 00 06 00", answer), ("06 00 02 00 06 03", level)];
        let mut client = Client::new(script(&lines), Firmware::default());
        assert_eq!(client.pin_level(3), Ok(false));
        assert_eq!(client.format(), Some(format));
    }
}

#[test]
fn a_host_works_with_firmware_that_has_no_guard() {
    // As V0 firmware refuses an unknown page: under the id of unparsed requests.
    let lines = [
        ("06 00 01 00 48 01", "04 00 FF 11"),
        ("08 00 02 00 05 40 4C FD 01", "01 00 02 16"),
    ];
    let mut client = client(Format::V0, &lines[..1]);
    assert_eq!(client.capabilities(), Ok(None));

    let lines = [
        ("06 00 01 00 48 01", "04 00 01 11"),
        ("09 00 02 00 05 40 4C FD 01", "01 00 02 16"),
    ];
    let mut client = Client::new(
        script(&lines),
        Firmware {
            format: Some(Format::V0),
            fans: FanPage::Device,
        },
    );
    assert_eq!(client.capabilities(), Ok(None));
    let mut id = [0];
    client
        .i2c(0)
        .write_read(0x4C, &[0xFD], &mut id)
        .expect("id");
    assert_eq!(id, [0x16]);
}

#[test]
fn firmware_that_ignores_unknown_pages_has_no_guard() {
    let lines = [
        ("06 00 01 00 48 01", ""),
        ("06 00 02 00 06 00", "01 00 02 00"),
        ("06 00 03 00 48 01", ""),
    ];
    assert_eq!(client(Format::V0, &lines).capabilities(), Ok(None));

    // One lost answer is not enough.
    let lost = [
        ("06 00 01 00 48 01", ""),
        ("06 00 02 00 06 00", "01 00 02 00"),
        (
            "06 00 03 00 48 01",
            "0A 00 03 01 FE 03 B8 0B 00 00 02 01 01",
        ),
    ];
    let found = client(Format::V0, &lost).capabilities().expect("asked");
    assert_eq!(found.expect("a guard").sensors, 2);

    // A port that answers nothing at all is an error, not a board without a guard.
    let dead = [("06 00 01 00 48 01", ""), ("06 00 02 00 06 00", "")];
    let error = client(Format::V0, &dead).capabilities().expect_err("dead");
    assert_eq!(error.kind, ClientErrorKind::Port(Silence));
}

#[test]
fn a_failed_transfer_reads_as_a_device_that_is_not_there() {
    let mut host = client(Format::V0, &[("08 00 01 00 05 30 4A 02", READ_ERROR)]);
    let error = host.i2c(0).read(0x4A, &mut [0; 2]).expect_err("no device");
    assert_eq!(
        error.kind(),
        i2c::ErrorKind::NoAcknowledge(NoAcknowledgeSource::Unknown)
    );
    assert_eq!(
        error.to_string(),
        "reading from I2C address 0x4a on bus 0: the controller says \"I2C Read Error\""
    );

    let mut host = client(Format::V0, &[("09 00 01 00 05 20 24 01 80", WRITE_ERROR)]);
    let error = host.i2c(0).write(0x24, &[0x01, 0x80]).expect_err("none");
    assert!(error.to_string().starts_with("writing to I2C address 0x24"));
}

#[test]
fn neighbouring_operations_are_one_transfer() {
    let lines = [
        ("0B 00 01 00 05 40 50 00 10 20 03", "03 00 01 AA BB CC"),
        ("0A 00 02 00 05 20 50 00 10 20", "01 00 02 03"),
    ];
    let mut host = client(Format::V0, &lines);
    let (mut first, mut rest) = ([0; 1], [0; 2]);
    host.i2c(0)
        .transaction(
            0x50,
            &mut [
                Operation::Write(&[0x00, 0x10]),
                Operation::Write(&[0x20]),
                Operation::Read(&mut first),
                Operation::Read(&mut rest),
            ],
        )
        .expect("one write and read");
    assert_eq!((first, rest), ([0xAA], [0xBB, 0xCC]));
    host.i2c(0)
        .transaction(
            0x50,
            &mut [Operation::Write(&[0x00, 0x10]), Operation::Write(&[0x20])],
        )
        .expect("one write");

    // What the protocol cannot do in one transfer is not done in two.
    let mut byte = [0];
    assert!(
        host.i2c(0)
            .transaction(
                0x50,
                &mut [Operation::Read(&mut byte), Operation::Write(&[0])]
            )
            .is_err()
    );
    assert!(host.i2c(0).read(0x50, &mut [0; 256]).is_err());
    assert!(host.i2c(0).write(0x50, &[0; 256]).is_err());
}

#[test]
fn fewer_bytes_written_than_asked_is_an_error() {
    let mut host = client(
        Format::V1,
        &[("09 00 01 00 05 20 24 21 66", "05 00 01 00 01")],
    );
    let error = host.i2c_write(0, 0x24, &[0x21, 0x66]).expect_err("short");
    assert_eq!(
        error.kind,
        ClientErrorKind::Short {
            wrote: 2,
            accepted: 1
        }
    );
}

#[test]
fn a_pin_that_stays_where_it_was_is_an_error() {
    let lines = [
        ("07 00 01 00 06 02 01", "05 00 01 00 00"),
        ("07 00 02 00 06 02 00", "05 00 02 00 00"),
        ("06 00 03 00 06 02", "05 00 03 00 01"),
    ];
    let mut host = client(Format::V1, &lines);
    let error = host.pin(2).set_high().expect_err("stays low");
    assert_eq!(
        error.to_string(),
        "setting pin 2 to 1: the pin is at the other level"
    );
    host.pin(2).set_low().expect("low");
    assert_eq!(host.pin(2).is_high(), Ok(true));
}

#[test]
fn with_total_lengths_a_byte_like_an_error_code_is_asked_for_twice() {
    // 0x11 is a value here: two bytes come when two are asked for.
    let value = [
        ("09 00 01 00 05 40 4C 00 01", "04 00 01 11"),
        ("09 00 02 00 05 40 4C 00 02", "05 00 02 11 40"),
    ];
    let mut byte = [0];
    let mut host = client(Format::V0Total, &value);
    host.i2c_write_read(0, 0x4C, &[0], &mut byte)
        .expect("value");
    assert_eq!(byte, [0x11]);

    // And an error here.
    let error = [
        ("09 00 01 00 05 40 4C 00 01", "04 00 01 10"),
        ("09 00 02 00 05 40 4C 00 02", "04 00 02 10"),
    ];
    let mut host = client(Format::V0Total, &error);
    let error = host
        .i2c_write_read(0, 0x4C, &[0], &mut byte)
        .expect_err("time-out");
    assert_eq!(error.refusal(), Some(&Refusal::Timeout));

    // A count or a level can only be an error then.
    let mut host = client(
        Format::V0Total,
        &[
            ("08 00 01 00 05 20 4C 00", "04 00 01 12"),
            ("07 00 02 00 06 00 01", "04 00 02 12"),
        ],
    );
    assert!(
        host.i2c_write(0, 0x4C, &[0])
            .expect_err("denied")
            .is_denied()
    );
    assert!(host.set_pin(0, true).expect_err("denied").is_denied());
}

#[test]
fn the_id_of_unparsed_requests_is_never_used() {
    let mut host = Client::new(Counter::default(), Firmware::default());
    for _ in 0..600 {
        host.pin_level(0).expect("level");
    }
    let seen = host.into_port().seen;
    assert!(!seen[0xFF]);
    assert!(seen[..0xFF].iter().all(|seen| *seen));
}

/// Answers every question about a pin with V1, and remembers the ids.
struct Counter {
    seen: [bool; 256],
}

impl Default for Counter {
    fn default() -> Self {
        Self { seen: [false; 256] }
    }
}

impl Exchange for Counter {
    type Error = Silence;

    fn exchange(
        &mut self,
        request: &[u8],
        expect: Option<Expect>,
        response: &mut [u8],
    ) -> Result<usize, Silence> {
        self.seen[usize::from(request[2])] = true;
        let mut receiver = expect.ok_or(Silence)?.receiver(response);
        receiver.push(&[5, 0, request[2], 0, 1]);
        receiver.finish().ok_or(Silence)
    }
}

#[test]
fn fans_of_the_controller_are_driven_as_its_firmware_wants() {
    for (fans, lines, rpm) in [
        (
            FanPage::Bitcrane,
            [
                ("07 00 01 00 09 12 32", "01 00 01 00"),
                ("06 00 02 00 09 22", "02 00 02 10 0E"),
            ],
            3_600,
        ),
        (
            FanPage::Duty,
            [
                ("07 00 01 00 08 00 80", "01 00 01 80"),
                ("06 00 02 00 08 01", "04 00 02 10 0E 00 00"),
            ],
            3_600,
        ),
    ] {
        let firmware = Firmware {
            format: Some(Format::V0),
            fans,
        };
        let mut host = Client::new(script(&lines), firmware);
        let fan = if fans == FanPage::Bitcrane { 1 } else { 0 };
        host.set_fan(fan, 50).expect("duty");
        assert_eq!(host.fan_rpm(fan), Ok(rpm));
    }
    let mut host = client(Format::V0, &[]);
    let error = host.set_fan(0, 50).expect_err("fans hang on a device");
    assert_eq!(
        error.to_string(),
        "setting fan 0 to 50 %: this controller's firmware has no command for that"
    );
}
