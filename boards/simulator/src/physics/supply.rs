//! The supply: a regulator on the board or the machine's power supply. Orders take effect with its delays, the output rises
//! and falls, and it protects itself by switching off.

use super::spec::{PsuSpec, RegulatorSpec, SupplySpec};

/// Why a supply switched itself off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trip {
    /// Output current; stays until it is switched off and on again.
    OverCurrent,
    /// Input too low; ends by itself when the input is back.
    InputLow,
    /// Input too high; ends by itself.
    InputHigh,
}

/// How a supply fails.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SupplyFault {
    /// It cannot be switched off.
    StuckOn,
    /// It does not switch on.
    Dead,
    /// The output is this factor times what was asked for.
    Wrong(f64),
    /// New set points have no effect.
    Frozen,
}

/// A supply as a perfect instrument would see it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SupplyState {
    /// Whether it is told to be on.
    pub enabled: bool,
    /// What it is set to, in the steps that it can do, mV.
    pub set_mv: f64,
    /// Output voltage, mV.
    pub output_mv: f64,
    /// Output current, all boards, A.
    pub output_a: f64,
    /// Output power, W.
    pub output_w: f64,
    /// Input power with auxiliaries, W.
    pub input_w: f64,
    /// Input voltage: mains, or the regulator's input under load, V.
    pub input_v: f64,
    /// Input current, A.
    pub input_a: f64,
    /// Temperature of the regulator; of a power supply on the mains, of its outlet, °C.
    pub celsius: f64,
    /// Why it is off although enabled.
    pub trip: Option<Trip>,
}

/// A supply that lives.
#[derive(Debug, Clone)]
pub(crate) struct Supply {
    spec: SupplySpec,
    enabled: bool,
    set_mv: f64,
    /// Set points under way, each with seconds left.
    pending: Vec<(f64, f64)>,
    output_mv: f64,
    trip: Option<Trip>,
    fault: Option<SupplyFault>,
    input_v: f64,
    pub(crate) amps: f64,
}

impl Supply {
    pub(crate) fn new(spec: &SupplySpec) -> Self {
        Self {
            enabled: false,
            set_mv: match spec {
                SupplySpec::Regulator(_) => 0.0,
                SupplySpec::Psu(psu) => psu.output_mv.0,
            },
            pending: Vec::new(),
            output_mv: 0.0,
            trip: None,
            fault: None,
            input_v: match spec {
                SupplySpec::Regulator(regulator) => regulator.input_mv / 1000.0,
                SupplySpec::Psu(psu) => psu.mains_v,
            },
            amps: 0.0,
            spec: spec.clone(),
        }
    }

    pub(crate) fn enable(&mut self, on: bool) {
        self.enabled = on;
        if !on && self.trip == Some(Trip::OverCurrent) {
            self.trip = None;
        }
        if !self.running() {
            self.output_mv = 0.0;
        }
    }

    pub(crate) fn set(&mut self, mv: f64) {
        let (low, high) = self.range();
        let mv = if mv.is_finite() { mv } else { low };
        let step = match &self.spec {
            SupplySpec::Regulator(regulator) => regulator.step_mv,
            SupplySpec::Psu(psu) => psu.step_mv,
        };
        let steps = if step > 0.0 {
            (mv / step).round() * step
        } else {
            mv
        };
        let delay = match &self.spec {
            SupplySpec::Regulator(_) => 0.0,
            SupplySpec::Psu(psu) => psu.command_delay_s,
        };
        // One conversation at a time: what has not begun to act is overtaken.
        self.pending.clear();
        self.pending.push((delay, steps.clamp(low, high)));
        if delay == 0.0 {
            self.take_due(0.0);
        }
    }

    pub(crate) fn set_fault(&mut self, fault: Option<SupplyFault>) {
        self.fault = fault;
        if !self.running() {
            self.output_mv = 0.0;
        }
    }

    pub(crate) fn set_input(&mut self, volts: f64) {
        self.input_v = if volts.is_finite() {
            volts.clamp(0.0, 1000.0)
        } else {
            0.0
        };
    }

    pub(crate) fn output_mv(&self) -> f64 {
        self.output_mv
    }

    /// Trips, takes due set points, lets the output move for `dt` seconds; true while something still changes.
    pub(crate) fn step(&mut self, dt: f64) -> bool {
        let before = (self.output_mv, self.trip);
        self.protect();
        self.take_due(dt);
        let target = self.target();
        let slew = self.slew(dt);
        self.output_mv = if target == 0.0 {
            0.0
        } else {
            self.output_mv + (target - self.output_mv).clamp(-slew, slew)
        };
        !self.pending.is_empty() || before != (self.output_mv, self.trip)
    }

    /// The output at its final value.
    pub(crate) fn settle(&mut self) {
        self.take_due(f64::MAX);
        self.output_mv = self.target();
    }

    pub(crate) fn trips_at(&self) -> f64 {
        match &self.spec {
            SupplySpec::Regulator(regulator) => regulator.trip_a,
            SupplySpec::Psu(psu) => psu.trip_a,
        }
    }

    /// What instruments would see; `ambient` and `board` are temperatures.
    pub(crate) fn state(&self, auxiliary_w: f64, ambient: f64, board: f64) -> SupplyState {
        let output_w = self.output_mv / 1000.0 * self.amps;
        let (input_w, input_v, celsius) = match &self.spec {
            SupplySpec::Regulator(regulator) => {
                let input_w = output_w / regulator.efficiency + auxiliary_w;
                let loss = output_w * (1.0 / regulator.efficiency - 1.0);
                (
                    input_w,
                    regulator_input_v(self.input_v, regulator.input_ohm, input_w),
                    board + regulator.loss_k_per_w * loss,
                )
            }
            SupplySpec::Psu(psu) => {
                let load = output_w / psu.rated_w;
                let loss = output_w * (1.0 / efficiency(psu, load) - 1.0);
                // Its own small fan holds it about 15 K over the room at full load.
                let warm = 15.0 * load;
                (output_w + loss + auxiliary_w, self.input_v, ambient + warm)
            }
        };
        SupplyState {
            enabled: self.enabled,
            set_mv: self.set_mv,
            output_mv: self.output_mv,
            output_a: self.amps,
            output_w,
            input_w,
            input_v,
            input_a: if input_v > 0.0 {
                input_w / input_v
            } else {
                0.0
            },
            celsius,
            trip: self.trip,
        }
    }

    /// Heat that the supply leaves on the board, W.
    pub(crate) fn board_loss_w(&self) -> f64 {
        match &self.spec {
            SupplySpec::Regulator(regulator) => {
                self.output_mv / 1000.0 * self.amps * (1.0 / regulator.efficiency - 1.0)
            }
            SupplySpec::Psu(_) => 0.0,
        }
    }

    fn protect(&mut self) {
        let running = self.running();
        if running && self.amps > self.trips_at() {
            self.trip = Some(Trip::OverCurrent);
        }
        if self.trip == Some(Trip::OverCurrent) {
            return;
        }
        let (low, high, hysteresis) = match &self.spec {
            SupplySpec::Regulator(RegulatorSpec {
                input_off_mv,
                input_max_mv,
                ..
            }) => (input_off_mv / 1000.0, input_max_mv / 1000.0, 0.3),
            SupplySpec::Psu(psu) => (psu.brown_out_v, f64::MAX, 10.0),
        };
        let input = match &self.spec {
            SupplySpec::Regulator(regulator) => {
                let watts = self.output_mv / 1000.0 * self.amps / regulator.efficiency;
                regulator_input_v(self.input_v, regulator.input_ohm, watts)
            }
            SupplySpec::Psu(_) => self.input_v,
        };
        let back = if self.trip == Some(Trip::InputLow) {
            hysteresis
        } else {
            0.0
        };
        self.trip = if input < low + back {
            Some(Trip::InputLow)
        } else if input > high {
            Some(Trip::InputHigh)
        } else {
            None
        };
    }

    fn running(&self) -> bool {
        self.trip.is_none()
            && match self.fault {
                Some(SupplyFault::StuckOn) => true,
                Some(SupplyFault::Dead) => false,
                _ => self.enabled,
            }
    }

    fn target(&self) -> f64 {
        if !self.running() {
            return 0.0;
        }
        match self.fault {
            Some(SupplyFault::Wrong(factor)) => self.set_mv * factor.clamp(0.0, 2.0),
            _ => self.set_mv,
        }
    }

    fn take_due(&mut self, dt: f64) {
        for (left, _) in &mut self.pending {
            *left -= dt;
        }
        // Half a tick of rounding must not cost another tick.
        while let Some(&(left, mv)) = self.pending.first()
            && left <= 1e-6
        {
            self.pending.remove(0);
            if self.fault != Some(SupplyFault::Frozen) {
                self.set_mv = mv;
            }
        }
    }

    /// How far the output moves in `dt` seconds, mV.
    fn slew(&self, dt: f64) -> f64 {
        let rise = match &self.spec {
            SupplySpec::Regulator(regulator) => regulator.rise_s,
            SupplySpec::Psu(psu) => psu.rise_s,
        };
        let full = 2.0 * self.range().1;
        full.min(full / 2.0 * dt / rise.max(1e-6))
    }

    fn range(&self) -> (f64, f64) {
        match &self.spec {
            SupplySpec::Regulator(regulator) => regulator.output_mv,
            SupplySpec::Psu(psu) => psu.output_mv,
        }
    }
}

/// Voltage left of `open_v` behind `ohm` when `watts` are drawn; half of it when the source cannot give that much.
fn regulator_input_v(open_v: f64, ohm: f64, watts: f64) -> f64 {
    let discriminant = open_v * open_v - 4.0 * ohm * watts;
    0.5 * (open_v + discriminant.max(0.0).sqrt())
}

fn efficiency(psu: &PsuSpec, load: f64) -> f64 {
    let mut before = match psu.efficiency.first() {
        Some(&first) => first,
        None => return 1.0,
    };
    for &(at, value) in &psu.efficiency {
        if load <= at {
            let span = at - before.0;
            let share = if span > 0.0 {
                ((load - before.0) / span).max(0.0)
            } else {
                1.0
            };
            return before.1 + (value - before.1) * share;
        }
        before = (at, value);
    }
    before.1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn psu() -> Supply {
        Supply::new(&SupplySpec::Psu(PsuSpec {
            mains_v: 230.0,
            brown_out_v: 85.0,
            rated_w: 3600.0,
            efficiency: vec![(0.33, 0.885), (0.5, 0.915), (1.0, 0.945)],
            trip_a: 300.0,
            output_mv: (12_000.0, 15_000.0),
            step_mv: 12.7,
            command_delay_s: 0.4,
            rise_s: 1.0,
        }))
    }

    fn run(supply: &mut Supply, seconds: f64) {
        for _ in 0..(seconds * 10.0).round() as u32 {
            supply.step(0.1);
        }
    }

    #[test]
    fn a_set_point_acts_after_the_delay_and_the_output_takes_its_rise() {
        let mut psu = psu();
        psu.enable(true);
        run(&mut psu, 0.4);
        assert!((5_000.0..7_000.0).contains(&psu.output_mv()));
        run(&mut psu, 1.0);
        assert_eq!(psu.output_mv(), 12_000.0, "its least until told otherwise");
        psu.set(13_500.0);
        run(&mut psu, 0.3);
        assert_eq!(psu.output_mv(), 12_000.0);
        run(&mut psu, 0.3);
        assert!((psu.output_mv() - 13_500.0).abs() <= 12.7 / 2.0);
        psu.enable(false);
        assert_eq!(psu.output_mv(), 0.0);
    }

    #[test]
    fn over_current_latches_until_it_is_switched_off() {
        let mut psu = psu();
        psu.enable(true);
        psu.set(13_000.0);
        run(&mut psu, 2.0);
        psu.amps = 301.0;
        run(&mut psu, 0.1);
        assert_eq!((psu.output_mv(), psu.trip), (0.0, Some(Trip::OverCurrent)));
        psu.amps = 0.0;
        psu.enable(true);
        run(&mut psu, 2.0);
        assert_eq!(psu.output_mv(), 0.0);
        psu.enable(false);
        psu.enable(true);
        run(&mut psu, 2.0);
        assert!(psu.output_mv() > 12_900.0);
    }

    #[test]
    fn a_brown_out_ends_by_itself() {
        let mut psu = psu();
        psu.enable(true);
        psu.set(13_000.0);
        run(&mut psu, 2.0);
        psu.set_input(80.0);
        run(&mut psu, 0.1);
        assert_eq!((psu.output_mv(), psu.trip), (0.0, Some(Trip::InputLow)));
        psu.set_input(90.0);
        run(&mut psu, 2.0);
        assert_eq!(psu.output_mv(), 0.0, "needs 10 V more than it fell at");
        psu.set_input(230.0);
        run(&mut psu, 2.0);
        assert!(psu.output_mv() > 12_900.0);
    }

    #[test]
    fn faults_do_what_they_say() {
        let mut supply = psu();
        supply.enable(true);
        supply.set(13_000.0);
        run(&mut supply, 2.0);
        supply.set_fault(Some(SupplyFault::StuckOn));
        supply.enable(false);
        run(&mut supply, 1.0);
        assert!(supply.output_mv() > 12_900.0);
        supply.enable(true);
        supply.set_fault(Some(SupplyFault::Wrong(1.1)));
        run(&mut supply, 2.0);
        assert!(supply.output_mv() > 14_200.0);
        supply.set_fault(Some(SupplyFault::Frozen));
        supply.set(12_500.0);
        run(&mut supply, 2.0);
        assert!((supply.output_mv() - 13_000.0).abs() < 10.0);
        supply.set_fault(Some(SupplyFault::Dead));
        run(&mut supply, 0.1);
        assert_eq!(supply.output_mv(), 0.0);
    }

    #[test]
    fn cable_resistance_lowers_the_input_under_load() {
        assert_eq!(regulator_input_v(5.0, 0.0, 20.0), 5.0);
        let volts = regulator_input_v(5.0, 0.05, 20.0);
        assert!(((5.0 - volts) / 0.05 * volts - 20.0).abs() < 1e-6);
    }
}
