//! Whatever arrives on the wire, a chain neither panics nor grows without bound.

mod bench;

use std::time::Duration;

use bench::{command, job, midstate_job, read, write};
use board_simulator::{ChainSpec, Chip, HostBaud, LineNoise, Noise, Target, VirtualChain};
use proptest::prelude::*;

/// Something a host might do.
#[derive(Debug, Clone)]
enum Act {
    Bytes(Vec<u8>),
    Baud(Option<u32>),
    Reset(bool),
    Wait(u64),
}

fn target() -> impl Strategy<Value = Target> {
    prop_oneof![Just(Target::All), any::<u8>().prop_map(Target::One)]
}

/// Registers that do something, with values that often make sense.
fn poke() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        (0x08, 0x40A8_0230),
        (0x08, 0x4044_0221),
        (0x0C, 0x8000_1234),
        (0x10, 0x1EB5),
        (0x10, 1),
        (0x10, u32::MAX),
        (0x14, 0xFF),
        (0x18, 0xF000_C100),
        (0x20, 1),
        (0x28, 0),
        (0x28, 0x8000_0000),
        (0x3C, 0x8000_82AA),
        (0x3C, 0x8000_8074),
        (0x80, 0),
        (0x84, 0),
        (0xA4, 0x9000_FFFF),
        (0xA4, 0x9000_0005),
        (0xC4, 0),
    ]);
    let word = prop_oneof![4 => known, 1 => (any::<u8>(), any::<u32>())];
    (target(), word).prop_map(|(target, (register, value))| write(target, register, value))
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => poke().prop_map(Act::Bytes),
        2 => (target(), any::<u8>()).prop_map(|(t, r)| Act::Bytes(read(t, r))),
        1 => Just(Act::Bytes(command(&[0x53, 5, 0, 0]))),
        2 => any::<u8>().prop_map(|a| Act::Bytes(command(&[0x40, 5, a, 0]))),
        2 => (any::<u8>(), 0..4_u32).prop_map(|(id, seed)| Act::Bytes(job(id, &bench::header(seed)))),
        1 => (any::<u8>(), 0..4_u32, any::<u8>()).prop_map(|(id, s, n)| Act::Bytes(midstate_job(id, s, n))),
        1 => prop::collection::vec(any::<u8>(), 0..200).prop_map(Act::Bytes),
        1 => prop::option::of(prop_oneof![Just(115_200), Just(3_125_000), any::<u32>()]).prop_map(Act::Baud),
        1 => any::<bool>().prop_map(Act::Reset),
        4 => (0..40_000_000_u64).prop_map(Act::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn no_input_panics_or_floods(
        chip in prop::sample::select(Chip::ALL.to_vec()),
        chips in 1_u16..20,
        scale_bits in 32_u8..=40,
        noise in prop_oneof![Just(0.0), Just(0.05)],
        acts in prop::collection::vec(act(), 0..60),
    ) {
        let noise = LineNoise { lost: noise, flipped: noise, split: noise };
        let spec = ChainSpec {
            noise: Noise { to_chips: noise, to_host: noise },
            ..ChainSpec::new(chip, chips, scale_bits)
        };
        let mut chain = VirtualChain::new(spec).unwrap();
        let mut now = Duration::ZERO;
        let mut out = Vec::new();
        for act in acts {
            match act {
                Act::Bytes(bytes) => chain.receive(now, &bytes),
                Act::Baud(rate) => chain.set_host_baud(rate.map_or(HostBaud::Unknown, HostBaud::Rate)),
                Act::Reset(low) => chain.reset_line(low, now),
                Act::Wait(nanos) => now += Duration::from_nanos(nanos),
            }
            if let Some(next) = chain.next_event() {
                prop_assert!(next < now + Duration::from_secs(3600));
            }
            chain.take_output(now, &mut out);
        }
        // 16 queued replies of 11 bytes, each byte perhaps split, leave a chip after its last order.
        let report = chain.report();
        prop_assert!(out.len() as u64 <= report.replies * 22);
        for chip in &report.chips {
            prop_assert!(chip.repeats + chip.overlaps <= chip.nonces);
        }
    }
}

#[test]
fn extreme_times_and_baud_rates_are_harmless() {
    let mut chain = VirtualChain::new(ChainSpec::new(Chip::Bm1370, 3, 40)).unwrap();
    chain.set_host_baud(HostBaud::Rate(0));
    chain.receive(Duration::from_secs(5), &read(Target::All, 0));
    chain.set_host_baud(HostBaud::Rate(u32::MAX));
    chain.receive(Duration::from_secs(1), &read(Target::All, 0));
    let mut out = Vec::new();
    chain.take_output(Duration::MAX, &mut out);
    chain.receive(Duration::MAX, &read(Target::All, 0));
    chain.take_output(Duration::MAX, &mut out);
    assert!(chain.next_event().is_some(), "the last read never arrives");
    assert!(chain.drained_at() > Duration::from_secs(1 << 30));
}

#[test]
fn a_host_that_never_reads_or_never_stops_writing_is_bounded() {
    let mut chain = VirtualChain::new(ChainSpec::new(Chip::Bm1370, 1, 40)).unwrap();
    let frame = read(Target::All, 0);
    for _ in 0..100_000 {
        chain.receive(Duration::ZERO, &frame);
    }
    let report = chain.report();
    assert!(report.count(board_simulator::Notice::HostOverran) > 400_000);
    chain.advance(Duration::from_secs(100));
    assert!(chain.report().frames.reads < 38_000);
}
