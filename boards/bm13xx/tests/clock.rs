//! Clocks, sweep lengths and epochs, against vectors.

mod common;

use std::time::Duration;

use bm13xx::registers::{NonceOffset, UartRelay};
use bm13xx::{
    Baud, ChainConfig, ChainPlan, ChipKind, MAX_ERROR, Megahertz, Pll, Register, TicketMask, sweep,
};
use common::{chip, hex_u32, list, text, vectors};
use proptest::prelude::*;
use serde_json::Value;

fn mhz(vector: &Value) -> Megahertz {
    Megahertz::new(vector["mhz"].as_f64().unwrap())
}

fn number(vector: &Value, key: &str) -> u64 {
    vector[key].as_u64().unwrap()
}

fn chain(kind: ChipKind, chips: u16) -> ChainPlan {
    let target = Megahertz::new(if kind == ChipKind::Bm1372 {
        327.0
    } else {
        500.0
    });
    ChainPlan::new(ChainConfig::new(kind, chips, target)).unwrap()
}

#[test]
fn dividers_are_those_of_working_firmware() {
    for vector in list(&vectors("pll.json"), "same") {
        let kind = chip(vector);
        let pll = kind.model().pll(mhz(vector)).unwrap();
        let expected = hex_u32(vector, "register");
        assert_eq!(
            pll.register(kind),
            expected,
            "{vector}: {:08X}",
            pll.register(kind)
        );
        assert_eq!(Pll::from_register(kind, expected), Some(pll));
        let gives = vector["gives"].as_f64().unwrap_or(mhz(vector).get());
        assert!((pll.frequency().get() - gives).abs() < 0.001, "{vector}");
    }
}

#[test]
fn oscillator_stays_in_its_window_where_other_rules_leave_it() {
    for vector in list(&vectors("pll.json"), "differs") {
        let kind = chip(vector);
        let theirs = Pll::from_register(kind, hex_u32(vector, "esp_register")).unwrap();
        assert_eq!(theirs.vco().get(), vector["esp_vco"].as_f64().unwrap());
        assert!(!kind.model().vco_mhz.contains(&theirs.vco().get()));

        let ours = kind.model().pll(mhz(vector)).unwrap();
        assert!(kind.model().vco_mhz.contains(&ours.vco().get()));
        assert_eq!(u64::from(ours.fb()), number(vector, "fb"));
        assert_eq!(u64::from(ours.divisor()), 2 * number(vector, "post"));
        assert!((ours.frequency().get() - vector["gives"].as_f64().unwrap()).abs() < 0.001);
    }
}

#[test]
fn dividers_of_other_firmware_are_read() {
    for vector in list(&vectors("pll.json"), "other_rule") {
        let pll = Pll::from_register(ChipKind::Bm1370, hex_u32(vector, "register")).unwrap();
        assert_eq!(pll.frequency(), mhz(vector), "{vector}");
        assert_eq!(pll.register(ChipKind::Bm1370), hex_u32(vector, "register"));
    }
}

#[test]
fn clocks_out_of_reach_are_refused_with_the_nearest() {
    let error = ChipKind::Bm1370
        .model()
        .pll(Megahertz::new(20.0))
        .unwrap_err();
    assert_eq!(error.target.get(), 20.0);
    assert!((error.nearest.get() - 25.0 * 160.0 / 84.0).abs() < 1e-9);
    for bad in [0.0, -5.0, f64::NAN, f64::INFINITY, 5000.0, f64::MAX] {
        for kind in ChipKind::ALL {
            assert!(
                kind.model().pll(Megahertz::new(bad)).is_err(),
                "{kind} {bad}"
            );
        }
    }
}

#[test]
fn registers_without_dividers_are_no_clock() {
    assert_eq!(Pll::from_register(ChipKind::Bm1370, 0), None);
    assert_eq!(Pll::from_register(ChipKind::Bm1397, 0x4044_0200), None);
}

#[test]
fn every_clock_of_the_ramp_grid_can_be_made() {
    for kind in ChipKind::ALL {
        for step in 8..=128 {
            let target = Megahertz::new(6.25 * f64::from(step));
            assert!(kind.model().pll(target).is_ok(), "{kind} {target}");
        }
    }
}

#[test]
fn sweep_lengths_match_esp_miner() {
    for vector in list(&vectors("sweep.json"), "esp") {
        let model = chip(vector).model();
        let pll = model.pll(mhz(vector)).unwrap();
        let slice = sweep::slice(model.cores, number(vector, "chips") as u16);
        let ticks = sweep::ticks(slice, &pll, number(vector, "guard") as u32);
        assert_eq!(ticks, hex_u32(vector, "ticks"), "{vector}");
    }
}

#[test]
fn chain_takes_the_guard_of_its_chip() {
    for vector in list(&vectors("sweep.json"), "esp") {
        let chain = chain(chip(vector), number(vector, "chips") as u16);
        let full = hex_u32(vector, "ticks") + number(vector, "guard") as u32;
        let guard = if chip(vector) == ChipKind::Bm1370 {
            268
        } else {
            200
        };
        assert_eq!(chain.sweep_ticks(mhz(vector)), full - guard, "{vector}");
    }
}

#[test]
fn sweep_of_the_newest_chips_is_fixed() {
    for vector in list(&vectors("sweep.json"), "fixed") {
        for chips in [1, 4] {
            let config = ChainConfig::new(chip(vector), chips, Megahertz::new(327.0));
            let chain = ChainPlan::new(config).unwrap();
            assert_eq!(
                chain.sweep_ticks(Megahertz::new(410.0)),
                hex_u32(vector, "ticks")
            );
        }
    }
}

#[test]
fn factory_sweeps_give_the_factory_epochs() {
    for vector in list(&vectors("sweep.json"), "factory") {
        let epoch = sweep::epoch(
            1 << 16,
            chip(vector).model().sub_cores,
            hex_u32(vector, "ticks"),
        );
        assert!(
            (epoch.as_secs_f64() - vector["epoch"].as_f64().unwrap()).abs() < 0.005,
            "{vector}"
        );
    }
}

#[test]
fn nonce_space_lasts_as_long_as_esp_miner_says() {
    for vector in list(&vectors("sweep.json"), "space_time") {
        let time = sweep::space_time(
            mhz(vector).hz(),
            number(vector, "chips") as u16,
            number(vector, "small_cores") as u32,
            number(vector, "cores") as u16,
            number(vector, "versions") as u32,
        );
        let millis = time.as_secs_f64() * 1000.0 * vector["part"].as_f64().unwrap();
        assert!(
            (millis - vector["ms"].as_f64().unwrap()).abs() < 0.001,
            "{vector}: {millis}"
        );
    }
}

#[test]
fn epoch_shrinks_with_the_version_mask() {
    let chain = chain(ChipKind::Bm1370, 1);
    let f = Megahertz::new(500.0);
    let full = chain.version_epoch(f);
    assert_eq!(chain.version_epoch_with(f, 0x1FFF_C000), full / 2);
    // 16 sub-cores take 16 versions at once; fewer do not make a sweep shorter.
    let sweep = Duration::from_nanos(40 * u64::from(chain.sweep_ticks(f)));
    assert_eq!(chain.version_epoch_with(f, 0x0001_E000), sweep);
    assert_eq!(chain.version_epoch_with(f, 0), sweep);
}

#[test]
fn bm1397_epoch_is_its_midstates() {
    let chain = chain(ChipKind::Bm1397, 1);
    let millis = |mask| {
        chain
            .version_epoch_with(Megahertz::new(425.0), mask)
            .as_secs_f64()
            * 1000.0
    };
    assert!((millis(0x1FFF_E000) - 39.476).abs() < 0.001);
    assert!((millis(0) - 39.476 / 4.0).abs() < 0.001);
}

#[test]
fn offsets_are_those_of_an_s21_pro() {
    for vector in list(&vectors("sweep.json"), "offsets") {
        let offset = NonceOffset::spread(number(vector, "chip") as u16, 65);
        assert_eq!(u32::from(offset.0), hex_u32(vector, "offset"), "{vector}");
        assert_eq!(NonceOffset::from_bits(offset.to_bits()), Some(offset));
    }
}

#[test]
fn gap_counts_are_those_of_an_s21_pro() {
    let gaps = vectors("sweep.json");
    for (domain, gap) in list(&gaps, "gaps").iter().enumerate() {
        let relay = UartRelay::for_domain(65 - 5 * domain as u16);
        let expected = u32::from_str_radix(gap.as_str().unwrap(), 16).unwrap() << 16 | 3;
        assert_eq!(relay.to_bits(), expected);
        assert_eq!(UartRelay::from_bits(expected), relay);
    }
}

#[test]
fn ticket_masks_match_esp_miner() {
    for vector in list(&vectors("sweep.json"), "tickets") {
        let ticket = TicketMask::from_difficulty(number(vector, "difficulty") as f64);
        assert_eq!(ticket.to_bits(), hex_u32(vector, "value"), "{vector}");
        assert_eq!(TicketMask::from_bits(ticket.to_bits()), Some(ticket));
        assert_eq!(ticket.difficulty(), number(vector, "difficulty"));
    }
}

#[test]
fn ticket_never_hides_a_share() {
    for (difficulty, bits) in [
        (f64::NAN, 0),
        (-1.0, 0),
        (0.5, 0),
        (1.0, 0),
        (1.99, 0),
        (2.0, 1),
        (1023.9, 9),
        (1e300, 32),
    ] {
        assert_eq!(
            TicketMask::from_difficulty(difficulty).extra_zero_bits(),
            bits,
            "{difficulty}"
        );
    }
    assert_eq!(TicketMask::from_bits(0x0000_00F1), None);
}

#[test]
fn baud_registers_are_those_of_working_machines() {
    let change = |kind: ChipKind, baud| kind.model().baud_change(Baud::new(baud)).unwrap();
    let last = |kind, baud| change(kind, baud).writes[1];
    for kind in [ChipKind::Bm1366, ChipKind::Bm1368, ChipKind::Bm1370] {
        assert_eq!(
            last(kind, 1_000_000),
            Some((Register::FastUart, 0x1130_0200))
        );
        assert_eq!(change(kind, 1_000_000).baud.get(), 1_041_667);
    }
    assert_eq!(
        last(ChipKind::Bm1362, 3_125_000),
        Some((Register::FastUart, 0x1130_0000))
    );
    assert_eq!(
        last(ChipKind::Bm1370, 3_125_000),
        Some((Register::FastUart, 0x0130_0000))
    );
    assert_eq!(
        last(ChipKind::Bm1397, 3_125_000),
        Some((Register::MiscControl, 0x0000_6031))
    );
    assert_eq!(
        last(ChipKind::Bm1397, 115_200),
        Some((Register::MiscControl, 0x0000_7A31))
    );
    assert_eq!(change(ChipKind::Bm1397, 115_200).baud.get(), 115_741);
    let newest = change(ChipKind::Bm1372, 3_000_000);
    assert_eq!(newest.writes[0], Some((Register::AutoWork, 0)));
    assert_eq!(newest.writes[1], Some((Register::FastUart, 0x8000_0000)));
    assert_eq!(newest.baud.get(), 3_000_000);
}

#[test]
fn rates_out_of_reach_are_refused() {
    assert!(
        ChipKind::Bm1370
            .model()
            .baud_change(Baud::new(2_000_000))
            .is_err()
    );
    assert!(
        ChipKind::Bm1370
            .model()
            .baud_change(Baud::new(12_000_000))
            .is_err()
    );
    assert!(
        ChipKind::Bm1372
            .model()
            .baud_change(Baud::new(1_000_000))
            .is_err()
    );
    assert!(ChipKind::Bm1370.model().baud_change(Baud::new(0)).is_err());
}

#[test]
fn hashrate_is_clock_times_small_cores() {
    let rate = |kind: ChipKind, f, chips| kind.model().hashrate_hps(Megahertz::new(f), chips);
    assert_eq!(rate(ChipKind::Bm1370, 525.0, 1), 1.071e12);
    assert_eq!(rate(ChipKind::Bm1366, 485.0, 6), 2.60154e12);
}

#[test]
fn chips_are_known_by_name_and_id() {
    for kind in ChipKind::ALL {
        assert_eq!(kind.to_string().parse(), Ok(kind));
        assert_eq!(kind.to_string().to_lowercase().parse(), Ok(kind));
        assert_eq!(ChipKind::from_chip_id(kind.model().chip_id), Some(kind));
        assert_eq!(format!("BM{:04X}", kind.model().chip_id), kind.to_string());
        assert_eq!(kind.model().kind, kind);
    }
    assert!("BM1399".parse::<ChipKind>().is_err());
    assert_eq!(ChipKind::from_chip_id(0x1399), None);
}

#[test]
fn vector_files_name_every_chip_with_a_clock_table() {
    let named: std::collections::BTreeSet<_> = list(&vectors("pll.json"), "same")
        .iter()
        .map(|vector| text(vector, "chip").to_owned())
        .collect();
    assert_eq!(named.len(), 6);
}

proptest! {
    #[test]
    fn dividers_are_bounded_and_close(target in 48.0..830.0f64) {
        for kind in ChipKind::ALL {
            let model = kind.model();
            let pll = model.pll(Megahertz::new(target)).unwrap();
            prop_assert!(model.fb.contains(&pll.fb()));
            prop_assert!(model.vco_mhz.contains(&pll.vco().get()));
            prop_assert!((pll.frequency().get() - target).abs() <= MAX_ERROR.get());
            prop_assert_eq!(Pll::from_register(kind, pll.register(kind)), Some(pll));
            // Independent of the solver: the clock from the register's bits.
            let bits = pll.register(kind);
            let add = u32::from(kind != ChipKind::Bm1397);
            let (fb, reference) = (bits >> 16 & 0xFFF, bits >> 8 & 0x3F);
            let (post1, post2) = ((bits >> 4 & 0xF) + add, (bits & 0xF) + add);
            prop_assert!(post1 > post2 && post2 >= 1 && post1 <= 7);
            let clock = 25.0 * f64::from(fb) / f64::from(reference * post1 * post2);
            prop_assert!((clock - pll.frequency().get()).abs() < 1e-9);
        }
    }

    #[test]
    fn no_dividers_in_the_window_are_closer(target in 48.0..830.0f64) {
        let model = ChipKind::Bm1370.model();
        let ours = (model.pll(Megahertz::new(target)).unwrap().frequency().get() - target).abs();
        for fb in model.fb.clone() {
            for reference in [1u32, 2] {
                let vco = 25.0 * f64::from(fb) / f64::from(reference);
                if !model.vco_mhz.contains(&vco) { continue; }
                for post1 in 2..=7u32 {
                    for post2 in 1..post1 {
                        let error = (vco / f64::from(post1 * post2) - target).abs();
                        prop_assert!(ours <= error + 1e-4);
                    }
                }
            }
        }
    }

    #[test]
    fn sweeps_never_reach_the_next_slice(target in 50.0..800.0f64, chips in 1u16..=128) {
        for kind in [ChipKind::Bm1362, ChipKind::Bm1366, ChipKind::Bm1368, ChipKind::Bm1370] {
            let chain = chain(kind, chips);
            let f = Megahertz::new(target);
            let real = kind.model().pll(f).unwrap().frequency();
            // Two nonces per clock, with the longest overrun that was measured.
            let nonces = f64::from(chain.sweep_ticks(f) + 132) / 25.0 * real.get() * 2.0;
            let slice = 2f64.powi(32) / 128.0 / f64::from(chips.next_power_of_two());
            prop_assert!(nonces <= slice, "{} chips at {}: {} of {}", chips, real, nonces, slice);
        }
    }

    #[test]
    fn any_register_value_decodes_without_panic(bits: u32) {
        for kind in ChipKind::ALL {
            if let Some(pll) = Pll::from_register(kind, bits) {
                prop_assert!(pll.frequency().get() > 0.0);
            }
        }
        if let Some(ticket) = TicketMask::from_bits(bits) {
            prop_assert_eq!(ticket.to_bits(), bits);
        }
    }
}
