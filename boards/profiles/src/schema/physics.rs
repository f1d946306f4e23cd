//! Constants of the simulated board's power, heat and yield. What they mean together is told by
//! the simulator's model of physics, whose names these are; here they are numbers with units.

use serde::{Deserialize, Serialize};

/// Power, heat and yield of a board, for the simulator. How many chips, domains and boards
/// there are stands in `[chain]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Physics {
    /// Resistance between the output of the supply or regulator and the first and last domain of
    /// one board, Ω.
    pub path_ohm: f64,
    /// Control electronics and fans at full speed, W: of the machine where boards share a power
    /// supply, else of the board.
    pub auxiliary_w: f64,
    /// Constants of the silicon.
    pub chip: ChipPhysics,
    /// How heat leaves the chips.
    pub thermal: ThermalPhysics,
    /// The fans that move the air.
    pub fans: FanPhysics,
    /// What feeds the boards.
    pub supply: SupplyPhysics,
}

/// One kind of chip at the board's nominal point. Voltages are per domain, at the terminals of
/// the board or the output of its regulator.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChipPhysics {
    /// Nominal clock, MHz.
    pub nominal_mhz: f64,
    /// Nominal voltage of a domain, mV.
    pub nominal_mv: f64,
    /// Switching power, W per MHz and V².
    pub k_dynamic: f64,
    /// Leakage at 60 °C, W per V².
    pub k_leak: f64,
    /// Leakage grows e-fold over so many kelvins.
    pub leak_scale_k: f64,
    /// Voltage at which half of the cores work right, at the nominal clock and 65 °C, mV.
    pub mu_mv: f64,
    /// Spread of that voltage over the cores of a chip, mV.
    pub sigma_mv: f64,
    /// Its rise with the clock, mV per MHz.
    pub slope_mv_per_mhz: f64,
    /// Its rise with temperature, share of the nominal voltage per kelvin; negative where warm
    /// chips need less.
    pub warm_shift_per_k: f64,
}

/// How heat gets from the chips into the room.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThermalPhysics {
    /// Chip over the board or heat sink at it, K per W of one chip.
    pub die_k_per_w: f64,
    /// Time constant of that, s.
    pub die_tau_s: f64,
    /// Board or heat sink over the air around it at full flow, K per W of one whole board.
    pub sink_k_per_w: f64,
    /// Heat capacity of one board with its sinks, J/K.
    pub sink_j_per_k: f64,
    /// How that resistance falls with the flow: as flow to the power of minus this.
    pub flow_exponent: f64,
    /// Flow through one board with all fans at full speed, m³/s. Absent: a small board in the
    /// open, whose own heat does not warm the air that reaches it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flow_m3_s: Option<f64>,
    /// Flow by convection alone, share of the full flow.
    pub still_flow: f64,
    /// Where each board sensor sits along the air's way, 0 inlet to 1 outlet, in the order of
    /// the profile's sensors of kind `board`.
    #[serde(default)]
    pub sensors: Vec<f64>,
    /// Temperature above which a chip takes damage, °C: the absolute limit that no die may pass.
    pub damage_c: f64,
}

/// A set of equal fans as they turn.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FanPhysics {
    /// How many; 0 for boards that somebody else cools, which then have full flow.
    pub count: u8,
    /// Speed at full duty, rpm.
    pub max_rpm: f64,
    /// Duty up to which the rotor does not turn, percent.
    pub dead_band_percent: f64,
    /// Time constant of the speed, s.
    pub lag_s: f64,
    /// Steps in which the tach counts, rpm.
    pub tach_step_rpm: f64,
}

/// What feeds the boards.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SupplyPhysics {
    /// A regulator on the board.
    Regulator(RegulatorPhysics),
    /// The power supply of the machine, whose output all boards share.
    Psu(PsuPhysics),
}

/// A step-down regulator on the board.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegulatorPhysics {
    /// Voltage at the board's input without load, mV.
    pub input_mv: f64,
    /// Resistance of cable and source, Ω.
    pub input_ohm: f64,
    /// Input below which it switches off, mV.
    pub input_off_mv: f64,
    /// Input above which it switches off, mV.
    pub input_max_mv: f64,
    /// Lowest and highest output, mV.
    pub output_mv: [f64; 2],
    /// Steps of the output, mV; 0 for none.
    pub step_mv: f64,
    /// Output current at which it trips, A.
    pub trip_a: f64,
    /// Time from off to full output, s.
    pub rise_s: f64,
    /// Output over input power, 0 to 1.
    pub efficiency: f64,
    /// Its own temperature over the board's, K per W lost in it.
    pub loss_k_per_w: f64,
}

/// A power supply on the mains.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PsuPhysics {
    /// Mains voltage, V.
    pub mains_v: f64,
    /// Mains below which it switches off, V.
    pub brown_out_v: f64,
    /// Rated output, W.
    pub rated_w: f64,
    /// Efficiency by share of the rated load, ascending; straight between the points.
    pub efficiency: Vec<[f64; 2]>,
    /// Output current at which it trips, A.
    pub trip_a: f64,
    /// Lowest and highest output, mV.
    pub output_mv: [f64; 2],
    /// Steps of the output, mV.
    pub step_mv: f64,
    /// Time until a new set point begins to act, s.
    pub command_delay_s: f64,
    /// Time from off to full output, s.
    pub rise_s: f64,
}
