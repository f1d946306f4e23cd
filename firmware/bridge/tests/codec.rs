//! The codec against byte examples of the controllers' own documentation, and against noise.

use std::time::Duration;

use bridge::answer::{MAX_ANSWER, UNPARSED_ID};
use bridge::frame::HALF_REQUEST;
use bridge::{
    AdcInput, AnswerError, Command, Expect, FanPage, Format, Incoming, Progress, Refusal, Request,
    RequestDecoder,
};
use proptest::prelude::*;

const T0: Duration = Duration::from_secs(1);

fn hex(text: &str) -> Vec<u8> {
    text.split_whitespace()
        .map(|byte| u8::from_str_radix(byte, 16).expect("hex"))
        .collect()
}

/// What the documentation of bitaxe-raw, emberOne and bitcrane firmware shows, with id and firmware.
#[rustfmt::skip]
fn examples() -> Vec<(&'static str, u8, FanPage, Command<'static>)> {
    use FanPage::{Bitcrane, Bonanza, Device, Duty};
    vec![
        ("08 00 01 00 05 20 4F DE", 1, Device, Command::I2cWrite { bus: 0, address: 0x4F, data: &[0xDE] }),
        ("08 00 01 00 05 30 4C 01", 1, Device, Command::I2cRead { bus: 0, address: 0x4C, length: 1 }),
        ("09 00 01 00 05 40 32 FE 02", 1, Device, Command::I2cWriteRead { bus: 0, address: 0x32, data: &[0xFE], length: 2 }),
        ("0A 00 01 00 05 10 80 1A 06 00", 1, Device, Command::I2cFrequency { bus: 0, hertz: 400_000 }),
        ("07 00 00 00 06 00 01", 0, Device, Command::GpioSet { pin: 0, level: true }),
        ("07 00 00 00 06 00 00", 0, Device, Command::GpioSet { pin: 0, level: false }),
        ("06 00 00 00 06 10", 0, Bitcrane, Command::GpioGet { pin: 0x10 }),
        ("07 00 00 00 06 50 01", 0, Bitcrane, Command::GpioSet { pin: 0x50, level: true }),
        ("06 00 02 00 07 50", 2, Device, Command::Adc(AdcInput::Vdd)),
        ("06 00 02 00 07 51", 2, Device, Command::Adc(AdcInput::Vin)),
        ("09 00 00 00 08 10 FF 00 FF", 0, Device, Command::Led { red: 255, green: 0, blue: 255 }),
        ("07 00 00 00 09 11 32", 0, Bitcrane, Command::FanSet { fan: 0, percent: 50 }),
        ("07 00 00 00 09 14 5A", 0, Bitcrane, Command::FanSet { fan: 3, percent: 90 }),
        ("06 00 00 00 09 23", 0, Bitcrane, Command::FanTach { fan: 2 }),
        ("07 00 05 00 09 10 64", 5, Bonanza, Command::FanSet { fan: 0, percent: 100 }),
        ("06 00 05 00 09 20", 5, Bonanza, Command::FanTach { fan: 0 }),
        ("07 00 05 00 08 00 FF", 5, Duty, Command::FanSet { fan: 0, percent: 100 }),
        ("06 00 05 00 08 01", 5, Duty, Command::FanTach { fan: 0 }),
        ("0A 00 07 00 09 01 DE AD BE EF", 7, Device, Command::Reboot),
        ("0A 00 07 00 09 02 B0 07 10 AD", 7, Device, Command::BootLoader),
    ]
}

#[test]
fn requests_are_written_and_read_as_documented() {
    for (text, id, fans, command) in examples() {
        let packet = hex(text);
        let mut out = [0; 64];
        let len = command.emit(id, fans, &mut out).expect(text);
        assert_eq!(&out[..len], packet, "{text}");

        let request = Request::parse(&packet).expect(text);
        assert_eq!(request.id, id);
        assert_eq!(Command::parse(&request, fans), Some(command), "{text}");
    }
}

#[test]
fn a_fan_page_never_reaches_the_system_page_of_other_firmware() {
    let mut out = [0; 64];
    for fans in [FanPage::Bonanza, FanPage::Bitcrane] {
        assert!(Command::Reboot.emit(1, fans, &mut out).is_err());
    }
    for fan in [
        Command::FanSet { fan: 0, percent: 0 },
        Command::FanTach { fan: 0 },
    ] {
        assert!(fan.emit(1, FanPage::Device, &mut out).is_err());
        assert!(
            Command::FanTach { fan: 4 }
                .emit(1, FanPage::Bitcrane, &mut out)
                .is_err()
        );
        assert!(
            Command::FanTach { fan: 1 }
                .emit(1, FanPage::Bonanza, &mut out)
                .is_err()
        );
    }
    // A fan set to more than everything would be refused as invalid, not obeyed.
    let request = Request {
        id: 1,
        bus: 0,
        page: 9,
        command: 0x10,
        data: &[101],
    };
    assert_eq!(Command::parse(&request, FanPage::Bonanza), None);
}

/// An answer with its request's id and expected data, and what it must mean.
struct Answer {
    format: Format,
    bytes: &'static str,
    data: usize,
    means: Result<&'static [u8], Refusal>,
}

#[rustfmt::skip]
fn answers() -> Vec<Answer> {
    use Format::{V0, V0Total, V1};
    let answer = |format, bytes, data, means| Answer { format, bytes, data, means };
    let i2c = || Refusal::Message("I2C Read Error".into());
    vec![
        answer(V0, "01 00 07 01", 1, Ok(&[1])),
        answer(V0, "02 00 07 10 11", 2, Ok(&[0x10, 0x11])),
        answer(V0, "04 00 07 11", 1, Err(Refusal::Invalid)),
        answer(V0, "04 00 07 10", 4, Err(Refusal::Timeout)),
        answer(V0, "04 00 07 12", 2, Err(Refusal::Overflow)),
        answer(V0, "05 00 07 FF 11", 1, Err(Refusal::Invalid)),
        answer(V0, "12 00 07 FF 49 32 43 20 52 65 61 64 20 45 72 72 6F 72", 2, Err(i2c())),
        answer(V0, "12 00 07 FF 49 32 43 20 52 65 61 64 20 45 72 72 6F 72", 18, Err(i2c())),
        answer(V0, "04 00 FF 11", 4, Err(Refusal::Invalid)),
        answer(V0Total, "04 00 07 01", 1, Ok(&[1])),
        answer(V0Total, "05 00 07 10 11", 2, Ok(&[0x10, 0x11])),
        answer(V0Total, "04 00 07 12", 2, Err(Refusal::Denied)),
        answer(V0Total, "04 00 07 13", 0, Err(Refusal::Fault)),
        answer(V0Total, "12 00 07 FF 49 32 43 20 52 65 61 64 20 45 72 72 6F 72", 2, Err(i2c())),
        answer(V0Total, "12 00 07 FF 49 32 43 20 52 65 61 64 20 45 72 72 6F 72", 15, Err(i2c())),
        answer(V1, "05 00 07 00 01", 1, Ok(&[1])),
        answer(V1, "06 00 07 00 10 11", 2, Ok(&[0x10, 0x11])),
        answer(V1, "04 00 07 11", 2, Err(Refusal::Invalid)),
        answer(V1, "04 00 07 12", 2, Err(Refusal::Overflow)),
        answer(V1, "04 00 FF 11", 2, Err(Refusal::Invalid)),
        answer(V1, "12 00 07 FF 49 32 43 20 52 65 61 64 20 45 72 72 6F 72", 2, Err(i2c())),
        answer(V1, "04 00 07 33", 2, Err(Refusal::Code(0x33))),
    ]
}

#[test]
fn answers_mean_what_firmware_means() {
    for answer in answers() {
        let bytes = hex(answer.bytes);
        let expect = Expect::new(7, answer.format, answer.data, answer.data);
        let mut buffer = [0; MAX_ANSWER];
        let mut receiver = expect.receiver(&mut buffer);
        for (at, byte) in bytes.iter().enumerate() {
            assert_ne!(receiver.progress(), Progress::Complete, "after {at} bytes");
            receiver.push(&[*byte]);
        }
        let len = receiver.finish().expect(answer.bytes);
        let means = expect.decode(&buffer[..len]);
        assert_eq!(
            means,
            answer.means.map_err(AnswerError::Refused),
            "{:?} {}",
            answer.format,
            answer.bytes
        );
    }
}

#[test]
fn an_error_that_may_be_the_start_of_data_waits_for_silence() {
    // Four bytes of data asked for: this is an error, or the first byte of four.
    let expect = Expect::new(7, Format::V0, 4, 4);
    let mut buffer = [0; MAX_ANSWER];
    let mut receiver = expect.receiver(&mut buffer);
    assert_eq!(receiver.push(&hex("04 00 07 11")), Progress::Settling);
    assert_eq!(receiver.push(&hex("22 33 44")), Progress::Complete);
    let len = receiver.finish().expect("complete");
    assert_eq!(
        expect.decode(&buffer[..len]),
        Ok(&[0x11, 0x22, 0x33, 0x44][..])
    );
}

#[test]
fn late_answers_to_earlier_requests_are_passed_over() {
    for (format, late, ours) in [
        (Format::V0, "01 00 06 00", "01 00 07 01"),
        (Format::V0Total, "07 00 06 04 00 07 00", "04 00 07 01"),
        (Format::V1, "09 00 06 00 05 00 07 00 00", "05 00 07 00 01"),
    ] {
        let expect = Expect::new(7, format, 1, 1);
        let mut buffer = [0; MAX_ANSWER];
        let mut receiver = expect.receiver(&mut buffer);
        assert_eq!(receiver.push(&hex(late)), Progress::Incomplete, "{format}");
        assert_eq!(receiver.push(&hex(ours)), Progress::Complete, "{format}");
        let len = receiver.finish().expect("complete");
        assert_eq!(expect.decode(&buffer[..len]), Ok(&[1][..]), "{format}");
    }
}

#[test]
fn the_level_of_pin_0_tells_the_format() {
    for (bytes, means) in [
        ("01 00 07 01", Some(Format::V0)),
        ("01 00 07 00", Some(Format::V0)),
        ("04 00 07 00", Some(Format::V0Total)),
        ("05 00 07 00 01", Some(Format::V1)),
        // Refusals look the same in all formats.
        ("04 00 07 11", None),
        ("05 00 07 FF 11", None),
        ("04 00 FF 11", None),
    ] {
        let bytes_there = hex(bytes);
        let mut buffer = [0; MAX_ANSWER];
        let mut receiver = Expect::probe(7).receiver(&mut buffer);
        assert_eq!(receiver.push(&bytes_there), Progress::Complete, "{bytes}");
        let len = receiver.finish().expect("complete");
        assert_eq!(
            Expect::decode_format(&buffer[..len], 7).ok(),
            means,
            "{bytes}"
        );
    }
}

#[test]
fn requests_come_in_any_portions() {
    let stream = hex("07 00 03 00 06 00 01 06 00 04 00 07 50");
    for size in 1..stream.len() {
        let mut decoder: RequestDecoder = RequestDecoder::new();
        let mut ids = Vec::new();
        for portion in stream.chunks(size) {
            let mut input = portion;
            while let Some(incoming) = decoder.next(T0, &mut input) {
                match incoming {
                    Incoming::Request(request) => ids.push(request.id),
                    other => panic!("{other:?}"),
                }
            }
        }
        assert_eq!(ids, [3, 4], "in portions of {size}");
    }
}

#[test]
fn a_half_request_is_forgotten_after_silence() {
    let mut decoder: RequestDecoder = RequestDecoder::new();
    let mut half = &hex("07 00 03 00 06")[..];
    assert_eq!(decoder.next(T0, &mut half), None);
    let packet = hex("06 00 04 00 07 50");
    let mut whole = &packet[..];
    let later = T0 + HALF_REQUEST;
    assert!(matches!(
        decoder.next(later, &mut whole),
        Some(Incoming::Request(Request { id: 4, page: 7, .. }))
    ));
    assert_eq!(decoder.dropped(), 1);
}

#[test]
fn nothing_is_done_while_out_of_step() {
    // A length that no request has, then bytes that would release reset.
    let mut decoder: RequestDecoder = RequestDecoder::new();
    let bytes = hex("03 00 01 07 00 03 00 06 00 01");
    let mut input = &bytes[..];
    assert_eq!(decoder.next(T0, &mut input), Some(Incoming::Malformed));
    assert_eq!(decoder.next(T0, &mut input), None);
    let mut more = &hex("07 00 03 00 06 00 01")[..];
    assert_eq!(decoder.next(T0, &mut more), None);
    // After a silence it is in step again.
    let packet = hex("07 00 03 00 06 00 01");
    let mut again = &packet[..];
    assert!(matches!(
        decoder.next(T0 + HALF_REQUEST, &mut again),
        Some(Incoming::Request(_))
    ));
}

#[test]
fn a_request_beyond_the_buffer_is_passed_over_whole() {
    let mut decoder: RequestDecoder<16> = RequestDecoder::new();
    let mut bytes = hex("20 00 09 00 05 20");
    bytes.resize(0x20, 0x07);
    bytes.extend(hex("06 00 04 00 07 50"));
    let mut input = &bytes[..];
    assert_eq!(
        decoder.next(T0, &mut input),
        Some(Incoming::TooLong { id: 9 })
    );
    assert!(matches!(
        decoder.next(T0, &mut input),
        Some(Incoming::Request(Request { id: 4, .. }))
    ));
    assert_eq!(decoder.next(T0, &mut input), None);
}

fn formats() -> impl Strategy<Value = Format> {
    prop_oneof![Just(Format::V0), Just(Format::V0Total), Just(Format::V1)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn noise_upsets_neither_end(
        portions in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..40), 0u64..8), 0..12),
        format in formats(),
        id in any::<u8>(),
        min in 0usize..300,
        more in 0usize..300,
        room in 0usize..300,
    ) {
        let mut decoder: RequestDecoder<64> = RequestDecoder::new();
        let expect = Expect::new(id, format, min, min + more);
        let mut buffer = vec![0; room];
        let mut receiver = expect.receiver(&mut buffer);
        let mut now = T0;
        for (bytes, gap) in &portions {
            now += Duration::from_millis(*gap);
            let mut input = &bytes[..];
            while let Some(incoming) = decoder.next(now, &mut input) {
                if let Incoming::Request(request) = incoming {
                    for fans in [FanPage::Device, FanPage::Duty, FanPage::Bonanza, FanPage::Bitcrane] {
                        let _ = Command::parse(&request, fans);
                    }
                }
            }
            prop_assert!(input.is_empty());
            receiver.push(bytes);
        }
        if let Some(len) = receiver.finish() {
            // What was gathered can be read, as data or as a refusal.
            let means = expect.decode(&buffer[..len]);
            let malformed = matches!(means, Err(AnswerError::Malformed { .. }));
            prop_assert!(!malformed, "{:?}", means);
        }
    }

    #[test]
    fn every_command_comes_back_as_it_was_sent(
        id in any::<u8>(),
        bus in any::<u8>(),
        address in 0u8..128,
        data in prop::collection::vec(any::<u8>(), 0..=255),
        length in any::<u8>(),
        hertz in any::<u32>(),
    ) {
        for command in [
            Command::I2cFrequency { bus, hertz },
            Command::I2cWrite { bus, address, data: &data },
            Command::I2cRead { bus, address, length },
            Command::I2cWriteRead { bus, address, data: &data, length },
        ] {
            let mut out = [0; 300];
            let len = command.emit(id, FanPage::Device, &mut out).expect("fits");
            let request = Request::parse(&out[..len]).expect("whole");
            prop_assert_eq!(request.id, id);
            prop_assert_eq!(Command::parse(&request, FanPage::Device), Some(command));
        }
    }

    #[test]
    fn every_answer_comes_back_as_it_was_sent(
        format in formats(),
        id in 0..UNPARSED_ID,
        data in prop::collection::vec(any::<u8>(), 0..=256),
        chunk in 1usize..70,
    ) {
        // The one case that no host can tell apart: with total lengths, FF and a text are an error.
        let text = |b: &u8| *b == b' ' || b.is_ascii_graphic();
        prop_assume!(!(data.first() == Some(&0xFF) && data.len() > 4 && data[1..].iter().all(text)));
        let mut packet = [0; MAX_ANSWER];
        let len = format.emit(id, Ok(&data), &mut packet).expect("fits");
        let expect = Expect::new(id, format, data.len(), data.len());
        let mut buffer = [0; MAX_ANSWER];
        let mut receiver = expect.receiver(&mut buffer);
        for part in packet[..len].chunks(chunk) {
            receiver.push(part);
        }
        prop_assert_eq!(receiver.progress(), Progress::Complete);
        let got = receiver.finish().expect("complete");
        prop_assert_eq!(expect.decode(&buffer[..got]), Ok(&data[..]));
    }

    #[test]
    fn a_refusal_is_never_taken_for_data(
        format in formats(),
        id in 0..UNPARSED_ID,
        wanted in 0usize..256,
        which in 0usize..4,
    ) {
        let refusal = [
            Refusal::Timeout,
            Refusal::Invalid,
            Refusal::denied("no power grant"),
            Refusal::Message("I2C Write Error".into()),
        ][which];
        // With total lengths a code looks like one byte of data; the client asks such questions twice.
        prop_assume!(!(format == Format::V0Total && wanted == 1));
        let mut packet = [0; MAX_ANSWER];
        let len = format.emit(id, Err(&refusal), &mut packet).expect("fits");
        let expect = Expect::new(id, format, wanted, wanted);
        let mut buffer = [0; MAX_ANSWER];
        let mut receiver = expect.receiver(&mut buffer);
        receiver.push(&packet[..len]);
        let got = receiver.finish().expect("complete after silence");
        prop_assert_eq!(expect.decode(&buffer[..got]), Err(AnswerError::Refused(refusal)));
    }
}
