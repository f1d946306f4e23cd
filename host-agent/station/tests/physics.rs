//! Fan control and throttle against the simulator's physics, with the profiles' own numbers.

mod support;

use std::{sync::Arc, time::Duration};

use board_profiles::Control;
use board_simulator::physics::{ChipActivity, Machine, presets};
use station::{
    SetPoint, StationConfig,
    cooling::{FanControl, FanInput, Mode},
    derate::Derate,
};
use support::rig::profile;

/// A board that hashes, its fans and its throttle.
struct World {
    machine: Machine,
    fan: FanControl,
    derate: Derate,
    config: StationConfig,
    seconds: u64,
    duties: Vec<f64>,
    temperatures: Vec<f64>,
    point: SetPoint,
}

impl World {
    fn new(name: &str) -> Self {
        let config = StationConfig::single(Arc::new(profile(name)), Control::Bridge, name);
        let mut physics = presets::by_name(name).unwrap().with_boards(1);
        physics.thermal.sensors.clone_from(
            &config
                .profile
                .simulation
                .physics
                .as_ref()
                .unwrap()
                .thermal
                .sensors,
        );
        let mut machine = Machine::new(physics).unwrap();
        machine.set_all_fans(100.0);
        machine.enable_supply(true);
        Self {
            machine,
            fan: FanControl::new(config.fan_settings(), Mode::Auto),
            derate: Derate::new(config.derate_settings()),
            point: config.default_set_point(),
            config,
            seconds: 0,
            duties: Vec::new(),
            temperatures: Vec::new(),
        }
    }

    /// The hottest sensor of the kind that cooling holds.
    fn temperature(&self) -> f64 {
        let sensors = self.machine.spec().thermal.sensors.len();
        if self.config.profile.cooling.sensor == board_profiles::SensorKind::Chip {
            return self.machine.hottest_c();
        }
        (0..sensors)
            .filter_map(|sensor| self.machine.sensor_c(0, sensor))
            .fold(f64::MIN, f64::max)
    }

    fn run(&mut self, seconds: u64) {
        let profile = Arc::clone(&self.config.profile);
        let wanted = self.config.default_set_point();
        let lowest = profile.frequency.min_mhz / wanted.mhz;
        let scale = match profile.voltage.scope {
            board_profiles::VoltageScope::Chip => f64::from(profile.chain.domains),
            _ => 1.0,
        };
        for _ in 0..seconds {
            self.seconds += 1;
            let now = Duration::from_secs(self.seconds);
            let celsius = Some(self.temperature());
            let duty = self.fan.update(
                now,
                FanInput {
                    temperature_c: celsius,
                    power_w: self.machine.board_w(0),
                    powered: true,
                },
            );
            self.derate.update(now, celsius, lowest);
            let curve = self.config.curve();
            self.point = self.derate.apply(wanted, profile.frequency.min_mhz, &curve);
            let duty = if self.derate.active() { 100.0 } else { duty };
            self.machine.set_all_fans(duty);
            self.machine.set_supply_mv(f64::from(self.point.mv) * scale);
            for chip in 0..usize::from(profile.chain.chips) {
                let activity = ChipActivity {
                    mhz: self.point.mhz,
                    hashing: true,
                };
                self.machine.set_activity(0, chip, activity);
            }
            self.machine.advance(now);
            self.duties.push(duty);
            self.temperatures.push(self.temperature());
        }
    }

    fn hottest(&self) -> f64 {
        self.temperatures.iter().copied().fold(f64::MIN, f64::max)
    }

    fn swing(&self, seconds: usize) -> f64 {
        let tail = &self.duties[self.duties.len() - seconds..];
        tail.iter().copied().fold(f64::MIN, f64::max)
            - tail.iter().copied().fold(f64::MAX, f64::min)
    }
}

const BOARDS: [&str; 7] = [
    "bitaxe-gamma",
    "bitaxe-supra",
    "bitaxe-ultra",
    "bitaxe-hex",
    "s19-xp",
    "s19k-pro",
    "s21-pro",
];

#[test]
fn every_board_settles_at_its_target_quietly() {
    for name in BOARDS {
        let mut world = World::new(name);
        world.run(1500);
        let settings = world.config.fan_settings();
        let (end, duty) = (world.temperature(), world.fan.duty());
        let quiet = duty <= settings.min_percent + 0.5;
        let loud = duty >= 99.0;
        assert!(
            (end - settings.target_c).abs() < 1.5
                || (quiet && end < settings.target_c)
                || (loud && end < settings.hot_c),
            "{name}: {end} at {duty}"
        );
        assert!(
            world.hottest() < settings.hot_c,
            "{name}: {}",
            world.hottest()
        );
        assert!(
            world.swing(300) < 4.0,
            "{name} hunts by {}",
            world.swing(300)
        );
        assert!(!world.derate.active(), "{name}");
    }
}

#[test]
fn a_hot_day_with_dust_is_survived_by_throttling() {
    for name in BOARDS {
        let mut world = World::new(name);
        world.run(600);
        world.machine.set_ambient_c(35.0);
        world.machine.set_dust(1.2);
        world.run(1800);
        let settings = world.config.derate_settings();
        assert!(
            world.hottest() < settings.limit_c,
            "{name}: {}",
            world.hottest()
        );
        world.machine.set_ambient_c(20.0);
        world.machine.set_dust(1.0);
        world.run(1800);
        assert_eq!(world.point, world.config.default_set_point(), "{name}");
    }
}
