//! Faults drawn from a seed, at any moment, alone and together: power never stays on without the
//! guard's consent while the hardware can be reached, and nothing panics.

mod support;

use std::time::Duration;

use board_simulator::board::Fault;
use proptest::prelude::*;
use station::{Command, Mode, Power};
use support::rig::Rig;

/// Faults after which nobody can switch off, or nobody can know.
fn out_of_reach(fault: Fault) -> bool {
    matches!(
        fault,
        Fault::SupplyStuckOn
            | Fault::ControlSilent
            | Fault::ControlGarbage
            | Fault::ControlSlow { .. }
            | Fault::ControlClosed
            | Fault::BusStuck { .. }
            | Fault::DeviceAbsent { .. }
            | Fault::DeviceWrong { .. }
    )
}

fn fault() -> impl Strategy<Value = Fault> {
    let sensor = 0..3usize;
    prop_oneof![
        (-20.0f64..140.0, sensor.clone())
            .prop_map(|(celsius, sensor)| Fault::SensorReads { celsius, sensor }),
        sensor
            .clone()
            .prop_map(|sensor| Fault::SensorFrozen { sensor }),
        sensor
            .clone()
            .prop_map(|sensor| Fault::SensorJumps { sensor }),
        sensor
            .clone()
            .prop_map(|sensor| Fault::SensorOpen { sensor }),
        (-30.0f64..30.0, sensor)
            .prop_map(|(kelvin, sensor)| Fault::SensorOffset { kelvin, sensor }),
        (0..4usize).prop_map(|device| Fault::DeviceAbsent { device }),
        (0..4usize).prop_map(|device| Fault::DeviceWrong { device }),
        Just(Fault::BusStuck { bus: 0 }),
        Just(Fault::SupplyStuckOn),
        Just(Fault::SupplyDead),
        (0.5f64..1.5).prop_map(|factor| Fault::SupplyWrong { factor }),
        (0.5f64..1.5).prop_map(|factor| Fault::SupplyMisreports { factor }),
        Just(Fault::SupplyFrozen),
        Just(Fault::SupplyTrips),
        (0..4usize).prop_map(|fan| Fault::FanStuck { fan }),
        (0..4usize).prop_map(|fan| Fault::FanTachLost { fan }),
        (0..4usize).prop_map(|fan| Fault::FanInverted { fan }),
        Just(Fault::FansDead),
        (0.0f64..70.0).prop_map(|celsius| Fault::Ambient { celsius }),
        Just(Fault::ControlSilent),
        Just(Fault::ControlGarbage),
        Just(Fault::EepromForeign),
    ]
}

#[derive(Clone, Debug)]
enum Act {
    Inject(Fault),
    HealAll,
    Run(f64),
    Stop,
    Start,
    Cut,
    Mode(Mode),
    Silence,
    Speak,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => fault().prop_map(Act::Inject),
        1 => Just(Act::HealAll),
        5 => (0.05f64..40.0).prop_map(Act::Run),
        1 => Just(Act::Stop),
        2 => Just(Act::Start),
        1 => Just(Act::Cut),
        1 => (0u8..=100).prop_map(|percent| Act::Mode(Mode::Manual { percent })),
        1 => Just(Act::Mode(Mode::Auto)),
        1 => Just(Act::Silence),
        1 => Just(Act::Speak),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn power_is_never_on_without_consent(
        board in prop::sample::select(vec!["bitaxe-gamma", "bitaxe-max", "nerdqaxe-pp", "s19k-pro"]),
        acts in prop::collection::vec(act(), 1..14),
    ) {
        let mut rig = Rig::new(board);
        let mut faults: Vec<Fault> = Vec::new();
        // Since when power is on although the guard does not want it, and nothing keeps us from it.
        let mut since: Option<Duration> = None;
        rig.command(Command::Run(rig.station.default_set_point()));
        for act in acts {
            match act {
                Act::Inject(fault) => {
                    rig.inject(fault);
                    faults.push(fault);
                }
                Act::HealAll => {
                    for fault in faults.drain(..) {
                        rig.heal(fault);
                    }
                }
                Act::Run(seconds) => {
                    let end = rig.now + Duration::from_secs_f64(seconds);
                    while rig.now < end {
                        rig.run(0.25);
                        let (status, truth) = (rig.status(), rig.truth());
                        let reachable = !faults.iter().any(|fault| out_of_reach(*fault));
                        let illegal = truth.core_on && !status.guard.power;
                        since = match since {
                            _ if !(illegal && reachable) => None,
                            None => Some(rig.now),
                            Some(at) => Some(at),
                        };
                        if let Some(at) = since {
                            // A machine's supply takes a moment to fall.
                            prop_assert!(
                                rig.now - at <= Duration::from_secs(2),
                                "{board}: on without consent since {at:?}\n{}", rig.log()
                            );
                        }
                        prop_assert!(truth.die_limit_passed.is_none());
                        prop_assert_eq!(truth.nvm_stores, 0);
                        if reachable && status.power == Power::Off {
                            prop_assert!(!truth.core_on, "{board} says off\n{}", rig.log());
                        }
                    }
                }
                Act::Stop => rig.command(Command::Stop),
                Act::Start => rig.command(Command::Run(rig.station.default_set_point())),
                Act::Cut => rig.station.cut(rig.now),
                // The guard may refuse.
                Act::Mode(mode) => {
                    let _ = rig.station.handle(rig.now, Command::Cooling(mode));
                }
                Act::Silence => rig.alive = false,
                Act::Speak => rig.alive = true,
            }
        }
    }
}
