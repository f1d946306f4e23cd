//! What a machine is made of, as plain numbers with units. A board profile fills them in; [`super::presets`] holds the
//! published families. Voltages are per domain and as seen at the terminals of the board (Antminers) or of the regulator
//! (single boards), which is how they are published; the model moves them to the dies itself.

use thiserror::Error;

/// Most boards, domains or fans that a machine may have.
const MAX_PARTS: u16 = 64;

/// A machine to simulate: one or more equal hash boards that share air, fans and a supply.
#[derive(Debug, Clone, PartialEq)]
pub struct PhysicsSpec {
    /// Boards, 1..=64. [`PhysicsSpec::with_boards`] changes the number together with what the boards share.
    pub boards: u16,
    /// Voltage domains in series on each board, 1..=64.
    pub domains: u16,
    /// Chips in parallel in each domain, 1..=128 chips per board in all.
    pub chips_per_domain: u16,
    /// Constants of the silicon.
    pub chip: ChipConstants,
    /// How heat leaves the dies.
    pub thermal: ThermalSpec,
    /// The fans.
    pub fans: FanSpec,
    /// What feeds the boards.
    pub supply: SupplySpec,
    /// Resistance between the supply's or regulator's output and the first and last domain of one board, Ω.
    pub path_ohm: f64,
    /// Control electronics and fans at full speed, W, drawn from the input whether or not the boards are fed.
    pub auxiliary_w: f64,
    /// How much the chips of this machine differ.
    pub quality: Quality,
    /// Hours that the chips have hashed; see [`ChipConstants::ageing`].
    pub age_hours: f64,
    /// Factor on the thermal resistance to air: 1 clean, 1.5 dusty.
    pub dust: f64,
    /// Seed of chip and fan differences, sensor noise and random failures.
    pub seed: u64,
}

/// Constants of one chip model at one board's nominal point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChipConstants {
    /// Hashes per hash clock.
    pub hashes_per_clock: f64,
    /// Nominal clock, MHz.
    pub nominal_mhz: f64,
    /// Nominal voltage per domain at the terminals, mV.
    pub nominal_mv: f64,
    /// Switching power, W per MHz and V².
    pub k_dynamic: f64,
    /// Leakage at 60 °C, W per V².
    pub k_leak: f64,
    /// Leakage grows e-fold over this many kelvins.
    pub leak_scale_k: f64,
    /// Voltage per domain at which half the cores work right, at the nominal clock and 65 °C, mV.
    pub mu_mv: f64,
    /// Spread of that voltage over the cores of a chip, mV.
    pub sigma_mv: f64,
    /// Its rise with the clock, mV per MHz.
    pub slope_mv_per_mhz: f64,
    /// Its rise with temperature, share of the nominal voltage per kelvin. Negative for inverse temperature dependence.
    pub warm_shift_per_k: f64,
    /// Its rise after 1000 hours, share of the nominal voltage; grows with the fifth root of time, as bias temperature
    /// instability does. Assumed.
    pub ageing: f64,
    /// Share of the switching power that a clocked chip draws without work. Assumed.
    pub idle_share: f64,
    /// Share of lost work that comes back as wrong nonces; the rest is silent. Assumed.
    pub wrong_share: f64,
}

/// Spread between chips.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quality {
    /// Standard deviation of the chips' threshold voltage, share of the nominal voltage.
    pub sigma_q: f64,
    /// Standard deviation of the switching power, share.
    pub dynamic_spread: f64,
    /// Standard deviation of the logarithm of the leakage, beside what goes with the threshold.
    pub leak_spread: f64,
}

impl Quality {
    /// All chips alike.
    pub const EQUAL: Self = Self {
        sigma_q: 0.0,
        dynamic_spread: 0.0,
        leak_spread: 0.0,
    };
    /// A well matched board: 0.4 %.
    pub const GOOD: Self = Self::spread(0.004);
    /// A usual board: 0.6 %.
    pub const NORMAL: Self = Self::spread(0.006);
    /// A badly matched or repaired board: 1.2 %.
    pub const POOR: Self = Self::spread(0.012);

    const fn spread(sigma_q: f64) -> Self {
        Self {
            sigma_q,
            dynamic_spread: 0.015,
            leak_spread: 0.10,
        }
    }
}

/// How heat gets from the dies into the room.
#[derive(Debug, Clone, PartialEq)]
pub struct ThermalSpec {
    /// Die over the board or heat sink under it, K per W of one chip.
    pub die_k_per_w: f64,
    /// Time constant of that, s.
    pub die_tau_s: f64,
    /// Board or heat sink over the air around it at full flow, K per W of one whole board.
    pub sink_k_per_w: f64,
    /// Heat capacity of one board with its sinks, J/K.
    pub sink_j_per_k: f64,
    /// How that resistance falls with flow: R ~ flow^-exponent.
    pub flow_exponent: f64,
    /// Flow through one board with all fans at full speed, m³/s. None: a small board in the open, whose own heat does not
    /// warm the air that reaches it.
    pub flow_m3_s: Option<f64>,
    /// Flow by convection alone, share of the full flow.
    pub still_flow: f64,
    /// Board temperature sensors: where each sits along the air's way, 0 inlet to 1 outlet.
    pub sensors: Vec<f64>,
    /// Die temperature above which a chip takes damage: the absolute limit, °C.
    pub damage_c: f64,
    /// Die temperature at which a chip dies at once, °C. Assumed.
    pub death_c: f64,
}

/// A set of equal fans.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FanSpec {
    /// How many, 0..=64; 0 for boards that somebody else cools, which then have full flow.
    pub count: u16,
    /// Speed at 100 %, rpm.
    pub max_rpm: f64,
    /// How much fans of a kind differ in speed, share.
    pub tolerance: f64,
    /// Duty up to which the rotor does not turn, percent.
    pub dead_band_percent: f64,
    /// Time constant of the speed, s.
    pub lag_s: f64,
    /// Steps in which the tachometer counts, rpm.
    pub tach_step_rpm: f64,
    /// Flow that a standing fan costs beside its own share, as a share of that: air flows back through it and its
    /// partner blows against it. Assumed.
    pub backflow: f64,
}

/// What feeds the boards.
#[derive(Debug, Clone, PartialEq)]
pub enum SupplySpec {
    /// A regulator on the board: Bitaxe class.
    Regulator(RegulatorSpec),
    /// The power supply of the machine, whose output voltage all boards share: Antminer class.
    Psu(PsuSpec),
}

/// A buck regulator.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RegulatorSpec {
    /// Voltage at the board's input without load, mV.
    pub input_mv: f64,
    /// Resistance of cable and source, Ω.
    pub input_ohm: f64,
    /// Below this input the regulator switches off, mV.
    pub input_off_mv: f64,
    /// Above this input it switches off, mV.
    pub input_max_mv: f64,
    /// Lowest and highest output that it can be set to, mV.
    pub output_mv: (f64, f64),
    /// Steps of the output, mV; 0 for none.
    pub step_mv: f64,
    /// Output current at which it trips, A.
    pub trip_a: f64,
    /// Time from off to full output, s.
    pub rise_s: f64,
    /// Output over input power.
    pub efficiency: f64,
    /// Its own temperature over the board's, K per W lost in it. Assumed.
    pub loss_k_per_w: f64,
}

/// A power supply on the mains.
#[derive(Debug, Clone, PartialEq)]
pub struct PsuSpec {
    /// Mains voltage, V.
    pub mains_v: f64,
    /// Mains below which it switches off, V; it starts again 10 V higher.
    pub brown_out_v: f64,
    /// Rated output, W: what the efficiency curve refers to.
    pub rated_w: f64,
    /// Efficiency by share of the rated load, ascending; straight between the points.
    pub efficiency: Vec<(f64, f64)>,
    /// Output current at which it trips, A.
    pub trip_a: f64,
    /// Lowest and highest output that it can be set to, mV.
    pub output_mv: (f64, f64),
    /// Steps of the output, mV: one conversion code.
    pub step_mv: f64,
    /// Time until a new set point begins to act, s.
    pub command_delay_s: f64,
    /// Time from off to full output, s.
    pub rise_s: f64,
}

impl PhysicsSpec {
    /// The same machine with another number of boards: flow per board stays, so fans serve fewer boards with less air in
    /// all; rating, trip current and auxiliary power of the supply scale.
    #[must_use]
    pub fn with_boards(mut self, boards: u16) -> Self {
        let factor = f64::from(boards) / f64::from(self.boards.max(1));
        self.boards = boards;
        self.auxiliary_w *= factor;
        if let SupplySpec::Psu(psu) = &mut self.supply {
            psu.rated_w *= factor;
            psu.trip_a *= factor;
        }
        self
    }

    /// Chips on one board.
    pub fn chips(&self) -> u16 {
        self.domains.saturating_mul(self.chips_per_domain)
    }

    /// Power of one chip at the nominal point at 60 °C, W.
    pub fn nominal_chip_w(&self) -> f64 {
        let volts = self.chip.nominal_mv / 1000.0;
        volts * volts * (self.chip.k_dynamic * self.chip.nominal_mhz + self.chip.k_leak)
    }

    /// Drop along the path at the nominal point, mV per domain.
    pub fn nominal_droop_mv(&self) -> f64 {
        let amps = self.nominal_chip_w() * f64::from(self.chips_per_domain)
            / (self.chip.nominal_mv / 1000.0);
        amps * self.path_ohm * 1000.0 / f64::from(self.domains.max(1))
    }

    /// Refuses numbers that no machine can have.
    ///
    /// # Errors
    ///
    /// [`PhysicsError`] names the first field outside its range.
    pub fn check(&self) -> Result<(), PhysicsError> {
        let whole = |field, value: u16, min, max| {
            within(field, f64::from(value), f64::from(min), f64::from(max))
        };
        whole("boards", self.boards, 1, MAX_PARTS)?;
        whole("domains", self.domains, 1, MAX_PARTS)?;
        whole("chips_per_domain", self.chips_per_domain, 1, 128)?;
        whole("domains * chips_per_domain", self.chips(), 1, 128)?;
        within("path_ohm", self.path_ohm, 0.0, 1.0)?;
        within("auxiliary_w", self.auxiliary_w, 0.0, 1000.0)?;
        within("age_hours", self.age_hours, 0.0, 1e6)?;
        within("dust", self.dust, 0.1, 10.0)?;
        self.chip.check()?;
        within("quality.sigma_q", self.quality.sigma_q, 0.0, 0.1)?;
        within(
            "quality.dynamic_spread",
            self.quality.dynamic_spread,
            0.0,
            0.2,
        )?;
        within("quality.leak_spread", self.quality.leak_spread, 0.0, 1.0)?;
        within(
            "path_ohm: nominal drop over nominal_mv",
            self.nominal_droop_mv() / self.chip.nominal_mv,
            0.0,
            0.3,
        )?;
        self.thermal.check()?;
        self.fans.check()?;
        self.supply.check()
    }
}

impl ChipConstants {
    fn check(&self) -> Result<(), PhysicsError> {
        within("chip.hashes_per_clock", self.hashes_per_clock, 1.0, 1e6)?;
        within("chip.nominal_mhz", self.nominal_mhz, 10.0, 5000.0)?;
        within("chip.nominal_mv", self.nominal_mv, 100.0, 5000.0)?;
        within("chip.k_dynamic", self.k_dynamic, 1e-6, 10.0)?;
        // Without leakage an idle domain would have no conductance at all.
        within("chip.k_leak", self.k_leak, 1e-3, 1000.0)?;
        within("chip.leak_scale_k", self.leak_scale_k, 5.0, 1000.0)?;
        within("chip.mu_mv", self.mu_mv, 50.0, 5000.0)?;
        within("chip.sigma_mv", self.sigma_mv, 0.1, 1000.0)?;
        within("chip.slope_mv_per_mhz", self.slope_mv_per_mhz, 0.0, 10.0)?;
        within("chip.warm_shift_per_k", self.warm_shift_per_k, -0.01, 0.01)?;
        within("chip.ageing", self.ageing, 0.0, 0.1)?;
        within("chip.idle_share", self.idle_share, 0.0, 1.0)?;
        within("chip.wrong_share", self.wrong_share, 0.0, 1.0)
    }
}

impl ThermalSpec {
    fn check(&self) -> Result<(), PhysicsError> {
        within("thermal.die_k_per_w", self.die_k_per_w, 0.0, 100.0)?;
        within("thermal.die_tau_s", self.die_tau_s, 0.01, 100.0)?;
        within("thermal.sink_k_per_w", self.sink_k_per_w, 1e-4, 100.0)?;
        within("thermal.sink_j_per_k", self.sink_j_per_k, 1.0, 1e6)?;
        within("thermal.flow_exponent", self.flow_exponent, 0.0, 2.0)?;
        within("thermal.still_flow", self.still_flow, 1e-4, 1.0)?;
        if let Some(flow) = self.flow_m3_s {
            within("thermal.flow_m3_s", flow, 1e-6, 10.0)?;
        }
        if self.sensors.len() > 16 {
            return Err(PhysicsError {
                field: "thermal.sensors: count",
                value: self.sensors.len() as f64,
                min: 0.0,
                max: 16.0,
            });
        }
        for &place in &self.sensors {
            within("thermal.sensors: place", place, 0.0, 1.0)?;
        }
        within("thermal.damage_c", self.damage_c, 0.0, 500.0)?;
        within("thermal.death_c", self.death_c, self.damage_c, 1000.0)
    }
}

impl FanSpec {
    fn check(&self) -> Result<(), PhysicsError> {
        within(
            "fans.count",
            f64::from(self.count),
            0.0,
            f64::from(MAX_PARTS),
        )?;
        within("fans.max_rpm", self.max_rpm, 1.0, 100_000.0)?;
        within("fans.tolerance", self.tolerance, 0.0, 0.5)?;
        within("fans.dead_band_percent", self.dead_band_percent, 0.0, 99.0)?;
        within("fans.lag_s", self.lag_s, 0.01, 100.0)?;
        within("fans.tach_step_rpm", self.tach_step_rpm, 0.1, 1000.0)?;
        within("fans.backflow", self.backflow, 0.0, 5.0)
    }
}

impl SupplySpec {
    fn check(&self) -> Result<(), PhysicsError> {
        match self {
            SupplySpec::Regulator(regulator) => {
                within("supply.input_mv", regulator.input_mv, 0.0, 100_000.0)?;
                within("supply.input_ohm", regulator.input_ohm, 0.0, 1.0)?;
                within(
                    "supply.input_off_mv",
                    regulator.input_off_mv,
                    0.0,
                    100_000.0,
                )?;
                within(
                    "supply.input_max_mv",
                    regulator.input_max_mv,
                    regulator.input_off_mv,
                    100_000.0,
                )?;
                output_range(regulator.output_mv)?;
                within("supply.step_mv", regulator.step_mv, 0.0, 1000.0)?;
                within("supply.trip_a", regulator.trip_a, 0.1, 10_000.0)?;
                within("supply.rise_s", regulator.rise_s, 0.0, 10.0)?;
                within("supply.efficiency", regulator.efficiency, 0.1, 1.0)?;
                within("supply.loss_k_per_w", regulator.loss_k_per_w, 0.0, 1000.0)
            }
            SupplySpec::Psu(psu) => {
                within("supply.mains_v", psu.mains_v, 0.0, 1000.0)?;
                within("supply.brown_out_v", psu.brown_out_v, 0.0, 1000.0)?;
                within("supply.rated_w", psu.rated_w, 1.0, 1e6)?;
                let mut last = 0.0;
                for &(load, efficiency) in &psu.efficiency {
                    within("supply.efficiency: load", load, last, 10.0)?;
                    within("supply.efficiency", efficiency, 0.1, 1.0)?;
                    last = load;
                }
                if psu.efficiency.is_empty() {
                    return Err(PhysicsError {
                        field: "supply.efficiency: points",
                        value: 0.0,
                        min: 1.0,
                        max: 100.0,
                    });
                }
                within("supply.trip_a", psu.trip_a, 0.1, 100_000.0)?;
                output_range(psu.output_mv)?;
                within("supply.step_mv", psu.step_mv, 0.0, 1000.0)?;
                within("supply.command_delay_s", psu.command_delay_s, 0.0, 100.0)?;
                within("supply.rise_s", psu.rise_s, 0.0, 100.0)
            }
        }
    }
}

/// A number that no machine can have.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
#[error("physics: {field} is {min} to {max}, not {value}")]
pub struct PhysicsError {
    /// Name of the field.
    pub field: &'static str,
    /// What it was.
    pub value: f64,
    /// Least allowed.
    pub min: f64,
    /// Most allowed.
    pub max: f64,
}

fn within(field: &'static str, value: f64, min: f64, max: f64) -> Result<(), PhysicsError> {
    // Also refuses NaN.
    if (min..=max).contains(&value) {
        Ok(())
    } else {
        Err(PhysicsError {
            field,
            value,
            min,
            max,
        })
    }
}

fn output_range((low, high): (f64, f64)) -> Result<(), PhysicsError> {
    within("supply.output_mv: lowest", low, 0.0, 100_000.0)?;
    within("supply.output_mv: highest", high, low, 100_000.0)
}
