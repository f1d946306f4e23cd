//! The wire as captured frames and published vectors define it: enumeration, addresses, registers, baud rates, jobs.

mod bench;

use std::time::Duration;

use bench::{Bench, Heard, Run, command, crc5, hex, id_of, job, read, write};
use board_simulator::{
    ChainSpec, Chip, HostBaud, Job, JobError, LineNoise, Noise, Notice, Target, VirtualChain,
};
use serde_json::Value;
use sha2::{Digest, Sha256};

fn vectors() -> Value {
    serde_json::from_str(include_str!("data/wire.json")).unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    hex(value.as_str().unwrap())
}

/// Chains as they are built.
const CHAINS: [(Chip, u16); 9] = [
    (Chip::Bm1397, 1),
    (Chip::Bm1397, 3),
    (Chip::Bm1362, 12),
    (Chip::Bm1362, 126),
    (Chip::Bm1366, 77),
    (Chip::Bm1368, 108),
    (Chip::Bm1370, 1),
    (Chip::Bm1370, 65),
    (Chip::Bm1373, 4),
];

#[test]
fn published_commands_are_accepted() {
    for frame in vectors()["commands"].as_array().unwrap() {
        let mut chain = VirtualChain::new(ChainSpec::new(Chip::Bm1366, 1, 30)).unwrap();
        chain.receive(Duration::ZERO, &bytes(frame));
        chain.advance(Duration::from_millis(5));
        let frames = chain.report().frames;
        assert_eq!(
            frames.writes + frames.reads + frames.set_addresses + frames.inactives,
            1,
            "{frame}"
        );
    }
}

#[test]
fn header_job_decodes_to_the_header_and_hash_of_the_vector() {
    let vectors = vectors();
    let vector = &vectors["jobs"]["header"];
    let frame = bytes(&vector["frame"]);
    for chip in [Chip::Bm1366, Chip::Bm1370, Chip::Bm1372] {
        let job = Job::from_frame(chip, &frame).unwrap();
        assert_eq!(job.id(), 0x18);
        let nonce: [u8; 4] = bytes(&vector["nonce"]).try_into().unwrap();
        let header = job.header(nonce, 0).unwrap();
        assert_eq!(header.to_vec(), bytes(&vector["header"]));
        let mut display = job.hash(nonce, 0);
        display.reverse();
        assert_eq!(display.to_vec(), bytes(&vector["hash_display"]));
    }
}

#[test]
fn rolled_version_lands_in_bits_28_to_13() {
    let frame = bytes(&vectors()["jobs"]["header"]["frame"]);
    let job = Job::from_frame(Chip::Bm1370, &frame).unwrap();
    let header = job.header([1, 2, 3, 4], 0xFFFF).unwrap();
    assert_eq!(header[..4], 0x3FFF_E004_u32.to_le_bytes());
    assert_eq!(header[76..], [1, 2, 3, 4]);
    assert_eq!(
        job.hash([1, 2, 3, 4], 0xFFFF).to_vec(),
        Sha256::digest(Sha256::digest(header)).to_vec()
    );
}

#[test]
fn midstate_job_decodes_to_the_hash_of_its_header() {
    let vectors = vectors();
    let vector = &vectors["jobs"]["midstate"];
    let job = Job::from_frame(Chip::Bm1397, &bytes(&vector["frame"])).unwrap();
    assert_eq!((job.id(), job.midstate_count()), (4, 4));
    let mut header = bytes(&vector["header"]);
    header[76..].copy_from_slice(&[9, 8, 7, 6]);
    assert_eq!(
        job.hash([9, 8, 7, 6], 0).to_vec(),
        Sha256::digest(Sha256::digest(header)).to_vec()
    );
    assert_eq!(job.header([9, 8, 7, 6], 0), None);

    let vector = &vectors["jobs"]["midstate_hardware"];
    let job = Job::from_frame(Chip::Bm1397, &bytes(&vector["frame"])).unwrap();
    let mut display = job.hash(bytes(&vector["nonce"]).try_into().unwrap(), 2);
    display.reverse();
    assert_eq!(display.to_vec(), bytes(&vector["hash_display"]));
}

#[test]
fn jobs_of_the_other_format_are_refused() {
    let vectors = vectors();
    let header = bytes(&vectors["jobs"]["header"]["frame"]);
    let midstates = bytes(&vectors["jobs"]["midstate"]["frame"]);
    assert!(matches!(
        Job::from_frame(Chip::Bm1397, &header),
        Err(JobError::Length { got: 82, .. })
    ));
    assert!(matches!(
        Job::from_frame(Chip::Bm1370, &midstates),
        Err(JobError::Length { got: 146, .. })
    ));
    let mut damaged = header.clone();
    damaged[40] ^= 1;
    assert!(matches!(
        Job::from_frame(Chip::Bm1370, &damaged),
        Err(JobError::Crc { .. })
    ));
    assert!(matches!(
        Job::from_frame(Chip::Bm1370, &[0x55]),
        Err(JobError::NotAJob)
    ));
    assert!(matches!(
        Job::from_frame(Chip::Bm1370, &[0x55, 0xAA, 0x21, 0]),
        Err(JobError::NotAJob | JobError::Crc { .. })
    ));
}

#[test]
fn the_factory_length_byte_is_accepted_too() {
    let mut bench = Bench::new(Chip::Bm1370, 1, 30);
    let mut frame = job(0x18, &bench::header(1));
    frame[3] = 0x36;
    let end = frame.len() - 2;
    let crc = bench::crc16(&frame[2..end]).to_be_bytes();
    frame[end..].copy_from_slice(&crc);
    bench.send(&frame);
    assert_eq!(bench.chain.report().frames.jobs, 1);
}

#[test]
fn fresh_chips_answer_with_the_published_id_replies() {
    let vectors = vectors();
    for (name, reply) in vectors["chip_id_replies"].as_object().unwrap() {
        let chip: Chip = name.parse().unwrap();
        let mut bench = Bench::new(chip, 1, 30);
        let expected = bytes(reply);
        if expected.len() == 11 {
            bench.all(0xA4, 0x9000_FFFF);
        }
        bench.send(&read(Target::All, 0));
        bench.drain();
        assert_eq!(bench.raw, expected, "{name}");
    }
}

#[test]
fn replies_have_nine_bytes_until_version_rolling_is_enabled() {
    let mut bench = Bench::new(Chip::Bm1370, 1, 30);
    bench.send(&read(Target::All, 0));
    bench.drain();
    assert_eq!(bench.raw.len(), 9);
    assert_eq!(crc5(&bench.raw[2..]), 0);
}

#[test]
fn every_chip_of_an_unaddressed_chain_answers_as_address_zero() {
    for (chip, chips) in CHAINS {
        let mut bench = Bench::new(chip, chips, 30);
        bench.send(&read(Target::All, 0));
        bench.drain();
        let ids = bench.replies();
        assert_eq!(ids.len(), usize::from(chips));
        for id in ids {
            let Heard::Register {
                value,
                address: 0,
                register: 0,
            } = id
            else {
                panic!("{id:?}")
            };
            assert_eq!(value >> 16, u32::from(id_of(chip)));
            assert_eq!(value as u8, 0);
        }
        // A read of address 0 alone reaches them all as well.
        bench.send(&read(Target::One(0), 0));
        bench.drain();
        assert_eq!(bench.replies().len(), usize::from(chips));
    }
}

#[test]
fn addressed_chips_answer_one_by_one_in_chain_order() {
    for (chip, chips) in CHAINS {
        let mut bench = Bench::new(chip, chips, 30);
        bench.assign_addresses();
        bench.send(&read(Target::All, 0));
        bench.drain();
        let addresses: Vec<u8> = bench
            .replies()
            .into_iter()
            .map(|reply| match reply {
                Heard::Register {
                    value,
                    address,
                    register: 0,
                } if value as u8 == address => address,
                other => panic!("{other:?}"),
            })
            .collect();
        let expected: Vec<u8> = (0..chips).map(|i| bench.address(i)).collect();
        assert_eq!(addresses, expected, "{chip} x {chips}");
        for index in [0, chips / 2, chips - 1] {
            bench.send(&read(Target::One(bench.command_address(index)), 0x08));
            bench.drain();
            let replies = bench.replies();
            assert!(
                matches!(replies[..], [Heard::Register { address, register: 8, .. }] if address == bench.address(index)),
                "{chip} {index}: {replies:?}"
            );
        }
    }
}

#[test]
fn surplus_addresses_fall_off_the_end() {
    let mut bench = Bench::new(Chip::Bm1366, 77, 30);
    bench.assign_addresses();
    for address in (154..=254).step_by(2) {
        bench.send(&command(&[0x40, 5, address, 0]));
    }
    let taken: Vec<u8> = bench.chain.chips().map(|c| c.address.unwrap()).collect();
    assert_eq!(taken, (0..77).map(|i| i * 2).collect::<Vec<u8>>());
    assert_eq!(bench.chain.report().notices, []);
}

#[test]
fn chips_waiting_for_an_address_keep_commands_to_themselves() {
    let mut bench = Bench::new(Chip::Bm1366, 4, 30);
    bench.send(&command(&[0x53, 5, 0, 0]));
    bench.send(&command(&[0x40, 5, 0, 0]));
    bench.send(&command(&[0x40, 5, 64, 0]));
    bench.send(&read(Target::All, 0));
    bench.drain();
    // Two with addresses and the first that waits for one.
    assert_eq!(bench.replies().len(), 3);
}

#[test]
fn addresses_without_chain_inactive_are_not_taken() {
    let mut bench = Bench::new(Chip::Bm1366, 2, 30);
    bench.send(&command(&[0x40, 5, 64, 0]));
    assert!(bench.chain.chips().all(|c| c.address.is_none()));
    assert_eq!(
        bench.chain.report().count(Notice::AddressWithoutInactive),
        1
    );
}

#[test]
fn replies_follow_one_another_at_the_speed_of_the_line() {
    let mut bench = Bench::new(Chip::Bm1362, 126, 30);
    bench.assign_addresses();
    let asked = bench.now;
    bench.send(&read(Target::All, 0));
    bench.drain();
    // 7 bytes out and 126 x 9 bytes back at 25 MHz / 216, ten bits each.
    let line_time = Duration::from_secs_f64(f64::from(7 + 126 * 9) * 10.0 * 216.0 / 25e6);
    let taken = bench.now - asked;
    assert!(
        taken.abs_diff(line_time) < Duration::from_micros(10),
        "{taken:?} instead of {line_time:?}"
    );
}

#[test]
fn registers_keep_their_values_per_chip() {
    let mut bench = Bench::new(Chip::Bm1370, 3, 30);
    bench.assign_addresses();
    bench.all(0x58, 0x0001_1111);
    bench.one(2, 0x58, 0x0001_F111);
    let seen: Vec<_> = bench
        .chain
        .report()
        .recent_writes
        .iter()
        .map(|w| (w.target, w.register, w.value, w.taken_by))
        .collect();
    assert_eq!(
        seen,
        [
            (Target::All, 0x58, 0x0001_1111, 3),
            (Target::One(128), 0x58, 0x0001_F111, 1)
        ]
    );
    bench.send(&read(Target::All, 0x58));
    bench.drain();
    let values: Vec<u32> = bench
        .replies()
        .into_iter()
        .map(|r| {
            if let Heard::Register {
                value,
                register: 0x58,
                ..
            } = r
            {
                value
            } else {
                panic!("{r:?}")
            }
        })
        .collect();
    assert_eq!(values, [0x0001_1111, 0x0001_1111, 0x0001_F111]);
}

#[test]
fn commands_with_a_bad_checksum_are_ignored_and_counted() {
    let mut bench = Bench::new(Chip::Bm1370, 1, 30);
    let mut frame = write(Target::All, 0x14, 0xFF);
    *frame.last_mut().unwrap() ^= 1;
    bench.chain.receive(bench.now, &frame);
    let mut damaged = job(8, &bench::header(1));
    damaged[50] ^= 0x10;
    bench.chain.receive(bench.now, &damaged);
    bench.millis(50);
    let report = bench.chain.report();
    assert_eq!(
        (
            report.count(Notice::BadCommandCrc),
            report.count(Notice::BadJobCrc)
        ),
        (1, 1)
    );
    assert_eq!((report.frames.writes, report.frames.jobs), (0, 0));
    assert_eq!(bench.chain.register(0, 0x14), Some(0));
}

#[test]
fn a_lost_byte_costs_a_frame_and_not_the_line() {
    let mut bench = Bench::new(Chip::Bm1370, 1, 30);
    let frame = write(Target::All, 0x14, 0xFF);
    bench.chain.receive(bench.now, &frame[..frame.len() - 1]);
    bench.chain.receive(bench.now, &frame);
    bench.millis(10);
    // The second frame's first byte completed the first; what remained of the second was noise.
    bench.send(&write(Target::All, 0x14, 0xF0));
    assert_eq!(bench.chain.register(0, 0x14), Some(0xF0));
}

#[test]
fn a_baud_change_takes_effect_after_the_command() {
    for (chip, register, value, rate) in [
        (Chip::Bm1397, 0x18, 0x0000_6031, 3_125_000),
        (Chip::Bm1366, 0x28, 0x1130_0200, 1_000_000),
        (Chip::Bm1362, 0x28, 0x1130_0000, 3_125_000),
        (Chip::Bm1370, 0x28, 0x0130_0000, 3_125_000),
    ] {
        let mut bench = Bench::new(chip, 2, 30);
        bench.set_baud(115_200);
        bench.all(register, value);
        // The old rate is noise now.
        bench.chain.receive(bench.now, &read(Target::All, 0));
        bench.millis(50);
        assert!(bench.raw.is_empty(), "{chip}");
        assert_eq!(
            bench.chain.report().count(Notice::BaudMismatch),
            7,
            "{chip}"
        );
        bench.set_baud(rate);
        // Garbage may have left half a preamble.
        bench.send(&read(Target::All, 0));
        bench.drain();
        assert_eq!(bench.replies().len(), 2, "{chip}");
    }
}

#[test]
fn a_host_that_did_not_follow_reads_garbage() {
    let mut bench = Bench::new(Chip::Bm1370, 2, 30);
    bench.set_baud(115_200);
    bench.send(&read(Target::All, 0));
    bench.set_baud(1_000_000);
    bench.drain();
    assert_eq!(bench.raw.len(), 18);
    assert!(
        !bench.raw.windows(2).any(|w| w == [0xAA, 0x55]),
        "{:02X?}",
        bench.raw
    );
    assert_eq!(bench.chain.report().damaged, 2);
}

#[test]
fn the_newest_chips_leave_their_fast_rate_only_by_reset() {
    let mut bench = Bench::new(Chip::Bm1372, 2, 30);
    bench.set_baud(115_200);
    bench.all(0x28, 0x8000_0000);
    assert!(
        bench.chain.chips().all(|c| c.baud == 115_740),
        "needs register C4 first"
    );
    bench.all(0xC4, 0);
    bench.all(0x28, 0x8000_0000);
    assert!(bench.chain.chips().all(|c| c.baud == 3_000_000));
    bench.set_baud(3_000_000);
    bench.all(0x28, 0x0000_1A00);
    assert!(bench.chain.chips().all(|c| c.baud == 3_000_000));
    bench.chain.reset_line(true, bench.now);
    bench.millis(100);
    bench.chain.reset_line(false, bench.now);
    assert!(bench.chain.chips().all(|c| c.baud == 115_740));
}

#[test]
fn reset_makes_chips_fresh_and_deaf_while_it_lasts() {
    let mut bench = Bench::new(Chip::Bm1366, 2, 30);
    bench.bring_up(Run::new(0x40A0_0230, 0x115A));
    bench.job(8, 1);
    bench.millis(100);
    bench.chain.reset_line(true, bench.now);
    bench.raw.clear();
    bench.chain.receive(bench.now, &read(Target::All, 0));
    bench.millis(500);
    assert!(bench.raw.is_empty());
    assert_eq!(bench.chain.next_event(), None);
    bench.chain.reset_line(false, bench.now);
    bench.millis(1);
    bench.rolling = false;
    bench.send(&read(Target::All, 0));
    bench.drain();
    let replies = bench.replies();
    assert!(replies.iter().all(|r| matches!(
        r,
        Heard::Register {
            value: 0x1366_0000,
            address: 0,
            register: 0
        }
    )));
    assert_eq!(replies.len(), 2);
}

#[test]
fn a_flood_of_reads_overflows_the_chips_queues() {
    let mut bench = Bench::new(Chip::Bm1366, 12, 30);
    bench.assign_addresses();
    for _ in 0..60 {
        bench.chain.receive(bench.now, &read(Target::All, 0x8C));
    }
    bench.drain();
    let replies = bench.replies();
    let report = bench.chain.report();
    let lost: u64 = report.chips.iter().map(|c| c.lost).sum();
    assert!(lost > 0);
    assert_eq!(replies.len() as u64 + lost, 60 * 12);
    // Those nearer the host go first.
    assert_eq!(report.chips[0].lost, 0);
    assert!(report.chips[11].lost > 0);
}

#[test]
fn the_temperature_sensor_converts_on_command() {
    let mut bench = Bench::new(Chip::Bm1368, 1, 30);
    bench.chain.set_chip_temperature(0, 53.45);
    bench.all(0xA4, 0x9000_FFFF);
    for value in [0x8000_0000, 0x0002_0000, 0x0102_0000, 0x1002_0000] {
        bench.all(0xB0, value);
    }
    assert_eq!(bench.chain.register(0, 0xB4), Some(0));
    bench.millis(15_000);
    bench.send(&read(Target::All, 0xB4));
    bench.drain();
    assert_eq!(bench.raw, hex("AA558000080C00B400001A"));
}

#[test]
fn noise_is_done_and_counted_in_both_directions() {
    let noise = LineNoise {
        lost: 0.01,
        flipped: 0.02,
        split: 0.03,
    };
    let spec = ChainSpec {
        noise: Noise {
            to_chips: noise,
            to_host: noise,
        },
        ..ChainSpec::new(Chip::Bm1366, 4, 30)
    };
    let mut bench = Bench::with(spec);
    let mut bytes = 0;
    for _ in 0..2000 {
        let frame = read(Target::All, 0);
        bytes += frame.len();
        bench.chain.receive(bench.now, &frame);
        bench.millis(10);
    }
    bench.drain();
    let report = bench.chain.report();
    let sent = report.replies * 9;
    for (counts, total) in [
        (report.noise_to_chips, bytes as f64),
        (report.noise_to_host, sent as f64),
    ] {
        for (count, probability) in [
            (counts.lost, 0.01),
            (counts.flipped, 0.02),
            (counts.split, 0.03),
        ] {
            let expected = total * probability;
            assert!(
                (count as f64 - expected).abs() < 5.0 * expected.sqrt(),
                "{count} instead of {expected}"
            );
        }
    }
    let expected =
        sent as i64 + report.noise_to_host.split as i64 - report.noise_to_host.lost as i64;
    assert_eq!(bench.raw.len() as i64, expected);
    // Replies whose bytes all arrived still stand in the stream.
    let whole = bench
        .raw
        .windows(9)
        .filter(|w| w[..2] == [0xAA, 0x55] && crc5(&w[2..]) == 0)
        .count() as u64;
    assert!(
        whole >= report.replies - report.damaged,
        "{whole} of {}",
        report.replies - report.damaged
    );
    assert!(report.damaged > 0);
    assert_eq!(
        report.damaged_replies.len() as u64,
        report.damaged.min(board_simulator::LOG_LIMIT as u64)
    );
    assert!(report.frames.reads < 2000);
    assert!(report.count(Notice::BadCommandCrc) > 0);
}

#[test]
fn specs_outside_their_ranges_are_refused() {
    let good = ChainSpec::new(Chip::Bm1370, 65, 30);
    let bad = [
        ChainSpec { chips: 0, ..good },
        ChainSpec { chips: 129, ..good },
        ChainSpec {
            domains: 66,
            ..good
        },
        ChainSpec { domains: 0, ..good },
        ChainSpec {
            scale_bits: 41,
            ..good
        },
        ChainSpec {
            noise: Noise {
                to_chips: LineNoise {
                    lost: f64::NAN,
                    ..LineNoise::default()
                },
                ..Noise::default()
            },
            ..good
        },
        ChainSpec {
            noise: Noise {
                to_host: LineNoise {
                    lost: 0.6,
                    flipped: 0.6,
                    split: 0.0,
                },
                ..Noise::default()
            },
            ..good
        },
    ];
    for spec in bad {
        assert!(VirtualChain::new(spec).is_err(), "{spec:?}");
    }
    assert!(VirtualChain::new(good).is_ok());
    assert!("BM1999".parse::<Chip>().is_err());
    assert_eq!("bm1370".parse(), Ok(Chip::Bm1370));
}

#[test]
fn a_chip_at_a_rate_of_its_own_is_out_of_reach() {
    let mut bench = Bench::new(Chip::Bm1366, 3, 30);
    bench.set_baud(115_200);
    bench.assign_addresses();
    bench.one(1, 0x28, 0x1130_0200);
    bench.send(&read(Target::All, 0));
    bench.drain();
    let addresses: Vec<u8> = bench
        .replies()
        .iter()
        .map(|r| match r {
            Heard::Register { address, .. } => *address,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(addresses, [0, 128]);
    bench.set_baud(1_041_667);
    bench.send(&write(Target::All, 0x28, 0x1130_1A00));
    bench.set_baud(115_200);
    bench.send(&read(Target::All, 0));
    bench.drain();
    assert_eq!(bench.replies().len(), 3);
}

#[test]
fn a_stream_without_baud_follows_every_change() {
    let mut bench = Bench::new(Chip::Bm1370, 1, 30);
    bench.chain.set_host_baud(HostBaud::Unknown);
    for divider in [0x0000_0200, 0, 0x0000_1A00] {
        bench.all(0x28, divider);
        bench.send(&read(Target::All, 0));
        bench.drain();
        assert_eq!(bench.replies().len(), 1);
    }
}
