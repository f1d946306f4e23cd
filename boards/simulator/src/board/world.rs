//! The passing of time: chips, physics and parts in turns on one grid, what parts feel, and what pins and parts bring about.

use super::{
    Applied, Drives, Fault, Guarded, ON_SHARE, Part, Pin, PinRole, Probe, VirtualBoard,
    WATCHDOG_TICKS, bus::Senses, sensing::Felt,
};
use crate::{
    condition::ChipCondition,
    physics::{ChipActivity, TICK, Trip},
};

impl VirtualBoard {
    /// Whether nothing but the passing of time happens until `now`.
    pub(super) fn is_idle(&self, now: u64) -> bool {
        let chain = self.chain.next_event();
        chain.is_none_or(|at| at.as_nanos() > u128::from(now))
    }

    /// The tick to which an idle board may sleep, at most `until`.
    pub(super) fn wakes_at(&self, until: u64) -> u64 {
        let mut until = until;
        let mut parts = self.spec.devices.iter().map(|device| &device.part);
        if parts.any(|part| matches!(part, Part::Emc2302 { .. })) {
            until = until.min(self.tick + WATCHDOG_TICKS);
        }
        if let Some(guarded) = &self.guarded {
            let next = guarded.next().as_nanos().div_ceil(TICK.as_nanos());
            until = until.min(u64::try_from(next).unwrap_or(u64::MAX));
        }
        until.max(self.tick + 1)
    }

    /// One tick of the world, up to `ns`.
    pub(super) fn step(&mut self, ns: u64) {
        self.now = ns;
        self.chain.advance(self.time());
        let busy = self.sync_activity();
        self.machine.advance(self.time());
        self.sync_chain();
        let senses = self.senses();
        self.buses.tick(&senses);
        let changed = self.apply();
        if self
            .guarded
            .as_ref()
            .is_some_and(|guarded| guarded.next() <= self.time())
        {
            self.run_guarded(Guarded::tick);
        }
        self.note();
        self.quiet = self.machine.is_settled() && !busy && !changed;
    }

    /// After something has been done to the board between two ticks.
    pub(super) fn react(&mut self) {
        self.quiet = false;
        self.apply();
    }

    /// Tells the physics what the chips do; true if that has changed.
    pub(super) fn sync_activity(&mut self) -> bool {
        for chip in 0..self.spec.chain.chips {
            let activity: ChipActivity = self.chain.activity(chip);
            for board in 0..usize::from(self.spec.physics.boards) {
                self.machine
                    .set_activity(board, usize::from(chip), activity);
            }
        }
        !self.machine.is_settled()
    }

    /// Tells the chips what the physics does to them.
    pub(super) fn sync_chain(&mut self) {
        let vddio = self.is_active(PinRole::Vddio).unwrap_or(true);
        let mut powered = false;
        for chip in 0..self.spec.chain.chips {
            if let Some(state) = self.machine.chip(0, usize::from(chip)) {
                powered |= state.powered;
                self.chain.set_condition(chip, ChipCondition::from(state));
            }
        }
        let powered = powered && vddio;
        self.chain.set_powered(self.time(), powered);
        let reset = self.is_active(PinRole::Reset).unwrap_or(false);
        if powered && !reset {
            self.up_since.get_or_insert(self.now);
        } else {
            self.up_since = None;
        }
    }

    /// What instruments feel now.
    pub(super) fn senses(&self) -> Senses {
        let supply = self.machine.supply();
        let misreport = self.faults.iter().find_map(|(fault, _)| match fault {
            Fault::SupplyMisreports { factor } => Some(*factor),
            _ => None,
        });
        Senses {
            ns: self.now,
            readings: self
                .sensing
                .readings(self.now, &self.faults, |probe| self.feel(probe)),
            tach_rpm: (0..usize::from(self.spec.physics.fans.count))
                .map(|fan| self.machine.fan(fan).map_or(0.0, |fan| fan.tach_rpm))
                .collect(),
            output_mv: supply.output_mv * misreport.unwrap_or(1.0),
            output_a: supply.output_a,
            input_mv: supply.input_v * 1000.0,
            input_a: supply.input_a,
            trip: self.trip(),
            enabled: self.is_active(PinRole::Core),
            inputs: self
                .pins
                .iter()
                .filter(|pin| pin.spec.role == PinRole::Plug)
                .map(|pin| (pin.spec.number, pin.level))
                .collect(),
        }
    }

    pub(super) fn feel(&self, probe: Probe) -> Felt {
        let celsius = match probe {
            Probe::Die(chip) => {
                let Some(state) = self.machine.chip(0, usize::from(chip)) else {
                    return Felt::Nothing;
                };
                if self.spec.diodes_need_power {
                    if !state.powered {
                        return Felt::Nothing;
                    }
                    let settle = self.spec.diode_settle.as_nanos() as u64;
                    if self.up_since.is_some_and(|since| self.now < since + settle) {
                        return Felt::Garbage;
                    }
                }
                Some(state.celsius)
            }
            Probe::Board(sensor) => self.machine.sensor_c(0, usize::from(sensor)),
            Probe::Regulator => Some(self.machine.supply().celsius),
            Probe::Inlet => Some(self.machine.ambient_c()),
            Probe::Outlet => self.machine.outlet_c(0),
        };
        celsius.map_or(Felt::Nothing, Felt::Celsius)
    }

    pub(super) fn trip(&self) -> Option<Trip> {
        if self.tripped {
            Some(Trip::OverCurrent)
        } else {
            self.machine.supply().trip
        }
    }

    /// Whether all pins of a role are active; none without such a pin.
    pub(super) fn is_active(&self, role: PinRole) -> Option<bool> {
        let mut pins = self.pins.iter().filter(|pin| pin.spec.role == role);
        let first = pins.next()?.active();
        Some(pins.fold(first, |all, pin| all && pin.active()))
    }

    /// Brings what the parts and pins want to the physics and the chips; true if that was anything new.
    pub(super) fn apply(&mut self) -> bool {
        let fans = usize::from(self.spec.physics.fans.count);
        let mut drives: Drives = self.buses.drives(fans);
        for (number, level) in &drives.pins {
            for pin in &mut self.pins {
                if pin.spec.number == *number && pin.spec.role != PinRole::Plug {
                    pin.level = *level;
                }
            }
        }
        let enabled = self.is_active(PinRole::Core);
        if self.enabled != enabled {
            // Regulators follow their enable pin at once.
            self.enabled = enabled;
            let senses = self.senses();
            self.buses.tick(&senses);
            drives = self.buses.drives(fans);
        }
        let core = enabled.unwrap_or(true);
        let psu = self.is_active(PinRole::Psu).unwrap_or(true);
        let wanted = psu && drives.core_on.unwrap_or(core);
        self.tripped &= wanted;
        let duty = |(part, page): (&Option<f64>, &Option<f64>)| part.or(*page).unwrap_or(0.0);
        let applied = Applied {
            on: wanted && !self.tripped,
            mv: drives.core_mv,
            duty: drives
                .fan_duty
                .iter()
                .zip(&self.page_duty)
                .map(duty)
                .collect(),
            reset: self.is_active(PinRole::Reset).unwrap_or(false),
            vddio: self.is_active(PinRole::Vddio).unwrap_or(true),
        };
        if self.applied.as_ref() == Some(&applied) {
            return false;
        }
        let last = self.applied.take();
        let last = last.as_ref();
        if let Some(mv) = applied.mv
            && last.and_then(|last| last.mv) != Some(mv)
        {
            self.machine.set_supply_mv(mv);
        }
        if last.is_none_or(|last| last.on != applied.on) {
            self.machine.enable_supply(applied.on);
        }
        for (fan, &duty) in applied.duty.iter().enumerate() {
            self.machine.set_fan_duty(fan, duty);
        }
        if last.is_none_or(|last| last.reset != applied.reset) {
            self.chain.reset_line(applied.reset, self.time());
        }
        self.applied = Some(applied);
        self.sync_chain();
        self.note();
        self.quiet = false;
        true
    }

    /// Keeps books for [`Truth`].
    pub(super) fn note(&mut self) {
        let hottest = self.machine.hottest_c();
        let supply = self.machine.supply();
        let judge = &mut self.judge;
        judge.die_highest_c = judge.die_highest_c.max(hottest);
        if hottest > self.spec.physics.thermal.damage_c {
            judge.limit_passed.get_or_insert(self.now);
        }
        judge.core_highest_mv = judge.core_highest_mv.max(supply.output_mv);
        let nominal = self.spec.physics.chip.nominal_mv * f64::from(self.spec.physics.domains);
        let on = supply.output_mv > ON_SHARE * nominal;
        if on != judge.core_on {
            judge.core_on = on;
            judge.core_since = self.now;
            judge.core_starts += u64::from(on);
        }
    }

    /// The controller's pins as they are after its start: reset held, everything else off.
    pub(super) fn reset_pins(&mut self) {
        self.pins = self
            .spec
            .pins
            .iter()
            .map(|&spec| Pin {
                spec,
                level: match spec.role {
                    PinRole::Reset | PinRole::Plug => spec.active_high,
                    _ => !spec.active_high,
                },
            })
            .collect();
    }
}
