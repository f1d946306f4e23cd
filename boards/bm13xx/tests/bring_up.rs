//! Plans: which writes, in which order, for single boards and for long chains.

mod common;

use std::time::Duration;

use bm13xx::registers::ChipIdentity;
use bm13xx::{
    Baud, ChainConfig, ChainPlan, ChipKind, Command, Destination, Megahertz, PlanError, Register,
    RegisterReply, Sequence, Step, Target, TicketMask,
};
use common::{lines, list, sequence, vectors};
use proptest::prelude::*;

const KINDS: [ChipKind; 7] = ChipKind::ALL;

fn mhz(f: f64) -> Megahertz {
    Megahertz::new(f)
}

fn board(kind: ChipKind, chips: u16, target: f64) -> ChainPlan {
    ChainPlan::new(ChainConfig {
        baud: Baud::new(match kind {
            ChipKind::Bm1372 | ChipKind::Bm1373 => 3_000_000,
            ChipKind::Bm1362 | ChipKind::Bm1397 => 3_125_000,
            _ => 1_000_000,
        }),
        ..ChainConfig::new(kind, chips, mhz(target))
    })
    .unwrap()
}

fn hash_board(kind: ChipKind, chips: u16, domains: u16, target: f64) -> ChainPlan {
    ChainPlan::new(ChainConfig {
        domains,
        baud: Baud::new(3_125_000),
        ..ChainConfig::new(kind, chips, mhz(target))
    })
    .unwrap()
}

fn s21_pro() -> ChainPlan {
    hash_board(ChipKind::Bm1370, 65, 13, 593.75)
}

/// The whole way from reset to the clock, with the steps of the ramp in one line.
fn whole(plan: &ChainPlan) -> Vec<String> {
    let mut all = lines(plan.discovery().chain(plan.bring_up()));
    let ramp = lines(plan.ramp(plan.config().start, plan.config().target));
    let last = ramp
        .iter()
        .rposition(|line| line.starts_with("clock "))
        .unwrap();
    all.push("ramp".into());
    all.extend_from_slice(&ramp[last + 1..]);
    all
}

/// Writes to one register: chip address (`None` for all) and value, in order.
fn writes(steps: impl IntoIterator<Item = Step>, wanted: Register) -> Vec<(Option<u8>, u32)> {
    steps
        .into_iter()
        .filter_map(|step| match step {
            Step::Write(frame) => match Command::parse(frame.as_bytes()).unwrap() {
                Command::Write {
                    to,
                    register,
                    value,
                } if register == wanted.address() => Some((
                    match to {
                        Destination::All => None,
                        Destination::Chip(address) => Some(address.get()),
                    },
                    value,
                )),
                _ => None,
            },
            _ => None,
        })
        .collect()
}

fn clocks(steps: impl IntoIterator<Item = Step>) -> Vec<f64> {
    steps
        .into_iter()
        .filter_map(|step| match step {
            Step::Ramped(clock) => Some(clock.get()),
            _ => None,
        })
        .collect()
}

/// Position of the first line that starts like this.
fn at(lines: &[String], start: &str) -> usize {
    lines
        .iter()
        .position(|line| line.starts_with(start))
        .unwrap_or_else(|| panic!("no line {start} in {lines:#?}"))
}

#[test]
fn single_chips_get_the_writes_of_esp_miner_in_order() {
    for (kind, target, file) in [
        (ChipKind::Bm1366, 485.0, "bm1366-board.txt"),
        (ChipKind::Bm1368, 490.0, "bm1368-board.txt"),
        (ChipKind::Bm1370, 525.0, "bm1370-board.txt"),
        (ChipKind::Bm1397, 425.0, "bm1397-board.txt"),
    ] {
        assert_eq!(whole(&board(kind, 1, target)), sequence(file), "{kind}");
    }
}

#[test]
fn newest_chips_use_their_address_scales() {
    for kind in [ChipKind::Bm1372, ChipKind::Bm1373] {
        let plan = ChainPlan::new(ChainConfig {
            domains: 2,
            ..ChainConfig::new(kind, 2, mhz(327.0))
        })
        .unwrap();
        assert_eq!(whole(&plan), sequence("bm1372-board.txt"));
        assert_eq!(plan.address(1).get(), 0x10);
        assert_eq!(plan.command_address(1).get(), 0x04);
        assert_eq!(plan.chip_at(0x10), Some(1));
        assert_eq!(plan.chip_at(0x04), None);
    }
}

#[test]
fn bm1362_cores_are_enabled_after_the_ramp() {
    assert_eq!(
        whole(&board(ChipKind::Bm1362, 2, 525.0)),
        sequence("bm1362-chain.txt")
    );
}

#[test]
fn six_chips_are_spread_over_the_addresses() {
    let plan = board(ChipKind::Bm1366, 6, 485.0);
    let all = lines(plan.bring_up());
    let addresses: Vec<_> = all
        .iter()
        .filter(|line| line.starts_with("address"))
        .collect();
    assert_eq!(
        addresses,
        [
            "address 00",
            "address 20",
            "address 40",
            "address 60",
            "address 80",
            "address A0"
        ]
    );
    // Only the first chip gets the relay word, every chip gets its reset and cores.
    assert_eq!(
        writes(plan.bring_up(), Register::UartRelay),
        [(Some(0), 0x007C_0003)]
    );
    let resets = writes(plan.bring_up(), Register::SoftReset);
    assert_eq!(resets.len(), 7);
    assert_eq!(resets[6], (Some(0xA0), 0x0007_01F0));
}

#[test]
fn long_chains_hand_out_all_addresses() {
    for (kind, chips, domains, f) in [
        (ChipKind::Bm1362, 126, 42, 525.0),
        (ChipKind::Bm1366, 110, 11, 485.0),
        (ChipKind::Bm1366, 77, 11, 485.0),
        (ChipKind::Bm1368, 108, 12, 490.0),
        (ChipKind::Bm1370, 65, 13, 593.75),
    ] {
        let plan = hash_board(kind, chips, domains, f);
        let all = lines(plan.bring_up());
        let addresses: Vec<_> = all
            .iter()
            .filter(|line| line.starts_with("address"))
            .collect();
        assert_eq!(addresses.len(), 128, "{kind}");
        assert_eq!(addresses[0], "address 00");
        assert_eq!(addresses[1], "address 02");
        assert_eq!(addresses[127], "address FE");
        assert_eq!(plan.address(chips - 1).get(), (2 * (chips - 1)) as u8);
    }
}

#[test]
fn s21_pro_domains_get_their_relays_and_clock_drive() {
    let plan = s21_pro();
    let drive = writes(plan.bring_up(), Register::DriveStrength);
    assert_eq!(drive[0], (None, 0x0001_1111));
    let ends: Vec<_> = (0..13)
        .map(|domain| (Some(2 * (5 * domain + 4)), 0x0001_F111))
        .collect();
    assert_eq!(drive[1..], ends);

    let gaps = vectors("sweep.json");
    let relays: Vec<_> = list(&gaps, "gaps")
        .iter()
        .zip(0u8..)
        .flat_map(|(gap, domain)| {
            let word = u32::from_str_radix(gap.as_str().unwrap(), 16).unwrap() << 16 | 3;
            [(Some(10 * domain), word), (Some(10 * domain + 8), word)]
        })
        .collect();
    assert_eq!(writes(plan.bring_up(), Register::UartRelay), relays);
}

#[test]
fn s21_pro_steps_keep_their_order() {
    let all = lines(s21_pro().bring_up());
    let order = [
        "all A8=00070000",
        "all 18=F000C100",
        "inactive",
        "address 00",
        "all 3C=80008B00",
        "all 3C=8000800C",
        "all 14=",
        "all 58=00011111",
        "chip 08 58=0001F111",
        "all 68=5AA55AA5",
        "chip 00 2C=004F0003",
        "all 28=01300000",
        "wait 60",
        "host 3125000",
        "chip 00 A8=000701F0",
        "chip 80 3C=800082AA",
        "all B9=00004480",
        "all 54=00000002",
        "all 3C=80008DEE",
    ];
    let places: Vec<_> = order.iter().map(|line| at(&all, line)).collect();
    assert!(places.is_sorted(), "{places:?}");
}

#[test]
fn chips_of_an_s21_pro_get_their_offsets_after_the_first_job() {
    let plan = s21_pro();
    let offsets = writes(plan.after_first_job(), Register::NonceOffset);
    assert_eq!(offsets.len(), 65);
    assert_eq!(offsets[0], (Some(0x00), 0x8000_0000));
    assert_eq!(offsets[1], (Some(0x02), 0x8000_03F1));
    assert_eq!(offsets[64], (Some(0x80), 0x8000_FC10));
    // Nothing else, because mask and clock may no longer be the configured ones.
    assert!(
        lines(plan.after_first_job())
            .iter()
            .all(|line| line.contains(" 0C=") || line == "wait 10")
    );
    for step in [
        plan.discovery(),
        plan.bring_up(),
        plan.ramp(mhz(50.0), mhz(593.75)),
    ] {
        assert_eq!(writes(step, Register::NonceOffset), []);
    }
}

#[test]
fn only_chains_of_bm1370_have_offsets() {
    for kind in KINDS {
        let offsets = lines(board(kind, 2, 400.0).after_first_job());
        assert_eq!(offsets.is_empty(), kind != ChipKind::Bm1370, "{kind}");
        assert_eq!(lines(board(kind, 1, 400.0).after_first_job()), [""; 0]);
    }
}

#[test]
fn long_chains_pause_between_writes() {
    let steps: Vec<_> = s21_pro().bring_up().collect();
    for pair in steps.windows(2) {
        if matches!(pair[0], Step::Write(_)) {
            assert!(
                matches!(pair[1], Step::Wait(time) if time >= Duration::from_millis(10)),
                "{pair:?}"
            );
        }
    }
    let discovery = lines(s21_pro().discovery());
    assert_eq!(discovery[discovery.len() - 2..], ["read 00 all", "count"]);
}

#[test]
fn chips_that_already_talk_at_the_rate_are_left_at_it() {
    for kind in KINDS {
        let config = ChainConfig {
            baud: Baud::RESET,
            ..ChainConfig::new(kind, 1, mhz(400.0))
        };
        let plan = ChainPlan::new(config).unwrap();
        assert!(
            !plan
                .bring_up()
                .any(|step| matches!(step, Step::HostBaud(_))),
            "{kind}"
        );
        assert_eq!(plan.run_baud(), Baud::RESET);
    }
}

#[test]
fn first_ramp_is_76_steps_of_a_tenth_of_a_second() {
    let plan = board(ChipKind::Bm1370, 1, 525.0);
    let steps: Vec<_> = plan.ramp(mhz(50.0), mhz(525.0)).collect();
    let clocks = clocks(steps.iter().copied());
    assert_eq!(clocks.len(), 76);
    assert_eq!(clocks[0], 56.25);
    assert_eq!(clocks[75], 525.0);
    assert!(clocks.is_sorted());
    let waited: Duration = steps
        .iter()
        .map(|step| match step {
            Step::Wait(time) => *time,
            _ => Duration::ZERO,
        })
        .sum();
    assert_eq!(waited, Duration::from_millis(7500));
}

#[test]
fn ramp_goes_down_by_the_same_grid() {
    let plan = board(ChipKind::Bm1366, 1, 485.0);
    let down = clocks(plan.ramp(mhz(485.0), mhz(450.0)));
    assert_eq!(down, [481.25, 475.0, 468.75, 462.5, 456.25, 450.0]);
    let up = clocks(plan.ramp(mhz(450.0), mhz(485.0)));
    assert_eq!(up, [456.25, 462.5, 468.75, 475.0, 481.25, 485.0]);
}

#[test]
fn small_changes_are_one_step() {
    let plan = board(ChipKind::Bm1370, 1, 525.0);
    assert_eq!(clocks(plan.ramp(mhz(520.0), mhz(525.0))), [525.0]);
    assert_eq!(clocks(plan.ramp(mhz(525.0), mhz(525.0))), [525.0]);
    // Even where a point of the grid lies between.
    assert_eq!(clocks(plan.ramp(mhz(522.0), mhz(528.0))).len(), 1);
    assert_eq!(clocks(plan.ramp(mhz(525.0), mhz(520.0))).len(), 1);
}

#[test]
fn live_ramps_up_shorten_the_sweep_first() {
    let plan = board(ChipKind::Bm1370, 1, 525.0);
    let ticks = |f| format!("all 10={:08X}", plan.sweep_ticks(mhz(f)));
    let up = lines(plan.ramp(mhz(525.0), mhz(600.0)));
    assert_eq!(up[0], ticks(600.0));
    assert_eq!(up[up.len() - 1], ticks(600.0));
    let down = lines(plan.ramp(mhz(600.0), mhz(525.0)));
    assert!(down[0].starts_with("all 08="));
    assert_eq!(down[down.len() - 1], ticks(525.0));
}

#[test]
fn live_ramps_leave_version_mask_and_cores_alone() {
    for kind in KINDS {
        let plan = board(kind, 2, 400.0);
        for (from, to) in [(400.0, 350.0), (350.0, 400.0)] {
            let ramp = || plan.ramp(mhz(from), mhz(to));
            assert_eq!(writes(ramp(), Register::VersionRolling), []);
            assert_eq!(writes(ramp(), Register::CoreMailbox), []);
        }
    }
}

#[test]
fn bm1397_clock_is_written_twice_with_pauses() {
    let plan = board(ChipKind::Bm1397, 1, 425.0);
    let step = [
        "wait 10",
        "all 70=0F0F0F00",
        "wait 10",
        "all 70=0F0F0F00",
        "wait 10",
        "all 08=40440221",
        "wait 10",
        "all 08=40440221",
        "clock 425",
    ];
    assert_eq!(lines(plan.ramp(mhz(424.0), mhz(425.0))), step);
    assert_eq!(clocks(plan.ramp(mhz(50.0), mhz(425.0))).len(), 60);
    assert_eq!(plan.pause(), None);
    assert_eq!(plan.resume(mhz(425.0)), None);
}

#[test]
fn one_chip_gets_its_own_clock_and_sweep() {
    let plan = s21_pro();
    let ticks = plan.sweep_ticks(mhz(600.0));
    let expected = [
        "chip 06 08=50C00230".into(),
        format!("chip 06 10={ticks:08X}"),
        "wait 10".into(),
    ];
    assert_eq!(lines(plan.chip_frequency(3, mhz(600.0))), expected);
    let ramp = plan.chip_ramp(3, mhz(593.75), mhz(612.5));
    let written = writes(ramp.clone(), Register::Pll);
    assert_eq!(written.len(), 3);
    assert!(written.iter().all(|(chip, _)| *chip == Some(6)));
    assert_eq!(clocks(ramp), [0.0; 0]);
}

#[test]
fn stopping_ends_the_sweep_before_the_clock_goes_down() {
    let plan = board(ChipKind::Bm1370, 1, 525.0);
    let stop = lines(plan.stop(mhz(525.0)));
    assert_eq!(stop[0], "all 10=00000000");
    assert_eq!(stop[stop.len() - 1], "clock 50");
    assert_eq!(
        writes(plan.stop(mhz(525.0)), Register::HashCountingNumber).len(),
        1
    );
    assert_eq!(
        common::line(&Step::Write(plan.pause().unwrap())),
        "all 10=00000000"
    );
}

#[test]
fn temperature_is_started_on_bm1368_only() {
    let words: Vec<_> = board(ChipKind::Bm1368, 1, 490.0)
        .start_temperature()
        .map(|frame| common::line(&Step::Write(frame)))
        .collect();
    assert_eq!(
        words,
        [
            "all B0=80000000",
            "all B0=00020000",
            "all B0=01020000",
            "all B0=10020000"
        ]
    );
    assert_eq!(
        board(ChipKind::Bm1370, 1, 490.0)
            .start_temperature()
            .count(),
        0
    );
}

#[test]
fn domains_divide_the_chain() {
    let plan = s21_pro();
    assert_eq!(plan.domain(0), 0);
    assert_eq!(plan.domain(4), 0);
    assert_eq!(plan.domain(5), 1);
    assert_eq!(plan.domain(64), 12);
    assert_eq!(plan.domain(1000), 12);
    assert_eq!(plan.domain_chips(0), Some((0, 4)));
    assert_eq!(plan.domain_chips(12), Some((60, 64)));
    assert_eq!(plan.domain_chips(13), None);
}

#[test]
fn verification_asks_every_chip_for_what_was_written() {
    let plan = board(ChipKind::Bm1370, 2, 525.0);
    let asked: Vec<_> = plan
        .verification()
        .map(|item| (common::line(&Step::Write(item.read)), item.expected.value))
        .collect();
    assert_eq!(
        asked,
        [
            ("read 00 chip 00".to_owned(), 0x1370_0000),
            ("read 08 chip 00".to_owned(), 0x40A8_0230),
            ("read 14 chip 00".to_owned(), 0x0000_00FF),
            ("read A4 chip 00".to_owned(), 0x9000_FFFF),
            ("read 00 chip 80".to_owned(), 0x1370_0080),
            ("read 08 chip 80".to_owned(), 0x40A8_0230),
            ("read 14 chip 80".to_owned(), 0x0000_00FF),
            ("read A4 chip 80".to_owned(), 0x9000_FFFF),
        ]
    );
    assert_eq!(board(ChipKind::Bm1397, 1, 425.0).verification().count(), 3);
}

#[test]
fn verification_overlooks_what_is_not_known_to_read_back() {
    let plan = board(ChipKind::Bm1397, 1, 425.0);
    let expected = |register| plan.expected(0, register, mhz(425.0)).unwrap();
    // A core number in the id, the lock bit in the clock.
    assert!(expected(Register::ChipId).agrees(0x1397_1800));
    assert!(!expected(Register::ChipId).agrees(0x1397_1802));
    assert!(expected(Register::Pll).agrees(0xC044_0221));
    assert!(!expected(Register::Pll).agrees(0x4044_0231));
    assert_eq!(plan.expected(0, Register::VersionRolling, mhz(425.0)), None);
}

#[test]
fn bm1372_answers_with_the_address_it_was_given() {
    let config = ChainConfig::new(ChipKind::Bm1372, 3, mhz(327.0));
    let plan = ChainPlan::new(config).unwrap();
    let second = plan.verification().nth(4).unwrap();
    assert_eq!(common::line(&Step::Write(second.read)), "read 00 chip 04");
    let reply = RegisterReply {
        value: 0x1372_0010,
        address: 0x10,
        register: 0,
    };
    assert!(second.expected.agrees(reply.value));
    assert_eq!(
        ChipIdentity::from_bits(reply.value).address,
        plan.address(1)
    );
}

#[test]
fn reads_go_to_all_or_one() {
    let plan = s21_pro();
    let read = |target| {
        common::line(&Step::Write(
            plan.read_register(Register::HashCountTotal, target),
        ))
    };
    assert_eq!(read(Target::All), "read 8C all");
    assert_eq!(read(Target::Chip(64)), "read 8C chip 80");
}

#[test]
fn impossible_chains_are_refused() {
    let base = ChainConfig::new(ChipKind::Bm1370, 65, mhz(525.0));
    let refused = |config| ChainPlan::new(config).unwrap_err();
    assert!(matches!(
        refused(ChainConfig { chips: 0, ..base }),
        PlanError::Chips { most: 128, .. }
    ));
    assert!(matches!(
        refused(ChainConfig { chips: 129, ..base }),
        PlanError::Chips { .. }
    ));
    assert!(matches!(
        refused(ChainConfig { domains: 0, ..base }),
        PlanError::Domains { .. }
    ));
    assert!(matches!(
        refused(ChainConfig {
            domains: 66,
            ..base
        }),
        PlanError::Domains { .. }
    ));
    assert!(matches!(
        refused(ChainConfig {
            target: mhz(2000.0),
            ..base
        }),
        PlanError::Pll(_)
    ));
    assert!(matches!(
        refused(ChainConfig {
            start: mhz(5.0),
            ..base
        }),
        PlanError::Pll(_)
    ));
    assert!(matches!(
        refused(ChainConfig {
            baud: Baud::new(9_000_000),
            ..base
        }),
        PlanError::Baud(_)
    ));
    let newest = ChainConfig::new(ChipKind::Bm1372, 17, mhz(327.0));
    assert!(matches!(refused(newest), PlanError::Chips { most: 16, .. }));
    let text = refused(ChainConfig { chips: 129, ..base }).to_string();
    assert_eq!(text, "129 chips; a chain of BM1370 has from 1 to 128");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn plans_end_and_never_panic(
        kind in 0usize..7, chips in 1u16..=16, domains in 1u16..=16, long: bool,
        from in 0.0..3000.0f64, to in 0.0..3000.0f64,
    ) {
        let kind = KINDS[kind];
        let plan = ChainPlan::new(ChainConfig {
            domains: domains.min(chips),
            sequence: if long { Sequence::HashBoard } else { Sequence::Board },
            ..ChainConfig::new(kind, chips, mhz(400.0))
        }).unwrap();
        let limit = 20_000;
        for steps in [
            plan.discovery(), plan.bring_up(), plan.after_first_job(), plan.ramp(mhz(from), mhz(to)),
            plan.ramp(plan.config().start, mhz(to)), plan.stop(mhz(from)), plan.stop(mhz(f64::MAX)),
            plan.chip_frequency(9999, mhz(to)), plan.chip_ramp(0, mhz(from), mhz(to)),
        ] {
            prop_assert!(steps.take(limit).count() < limit);
        }
    }

    #[test]
    fn ramps_never_jump(kind in 0usize..7, from in 50.0..800.0f64, to in 50.0..800.0f64) {
        let plan = board(KINDS[kind], 1, 400.0);
        let steps = clocks(plan.ramp(mhz(from), mhz(to)));
        let mut last = from;
        for &clock in &steps {
            // Twice the half step that dividers may miss a point of the grid by.
            prop_assert!((clock - last).abs() <= 12.5, "{last} to {clock} in {steps:?}");
            last = clock;
        }
        prop_assert!((last - to).abs() <= 3.125);
    }

    #[test]
    fn every_chip_is_in_the_domain_that_holds_it(chips in 1u16..=128, pick: u16) {
        let domains = pick % chips + 1;
        let plan = hash_board(ChipKind::Bm1370, chips, domains, 400.0);
        let mut next = 0;
        for domain in 0..domains {
            let (first, last) = plan.domain_chips(domain).unwrap();
            prop_assert_eq!(first, next);
            for chip in first..=last {
                prop_assert_eq!(plan.domain(chip), domain);
            }
            next = last + 1;
        }
        prop_assert_eq!(next, chips);
    }

    #[test]
    fn addresses_are_all_different(chips in 1u16..=128) {
        let plan = hash_board(ChipKind::Bm1366, chips, 1, 400.0);
        for chip in 0..chips {
            prop_assert_eq!(plan.chip_at(plan.address(chip).get()), Some(chip));
            prop_assert_eq!(plan.address(chip).get() % 2, 0);
        }
    }

    #[test]
    fn ticket_frame_carries_the_mask(bits in 0u8..=32) {
        let plan = s21_pro();
        let ticket = TicketMask::from_extra_zero_bits(bits);
        let frame = plan.set_ticket(ticket);
        let written = writes([Step::Write(frame)], Register::TicketMask);
        // Independent of the type: reverse each byte of 2^N - 1.
        let mask = ((1u64 << bits) - 1) as u32;
        let expected = u32::from_be_bytes(mask.to_be_bytes().map(u8::reverse_bits));
        prop_assert_eq!(written, [(None, expected)]);
    }
}
