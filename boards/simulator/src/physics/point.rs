//! Steady states as tables show them: set a clock, a voltage and a fan, and wait until nothing changes.

use super::{
    chips::ChipActivity,
    machine::Machine,
    spec::{PhysicsError, PhysicsSpec},
};

/// A machine in its steady state.
#[derive(Debug, Clone, PartialEq)]
pub struct OperatingPoint {
    /// Clock of all chips, MHz.
    pub mhz: f64,
    /// Output of the supply, mV.
    pub mv: f64,
    /// Correct work, TH/s.
    pub hashrate_ths: f64,
    /// Share of correct work, mean of all chips.
    pub delivered: f64,
    /// Share of correct work of the worst chip.
    pub worst_delivered: f64,
    /// Wrong nonces among all nonces.
    pub wrong: f64,
    /// Power at the terminals of the boards, W.
    pub output_w: f64,
    /// Input power, auxiliaries included, W.
    pub input_w: f64,
    /// Input energy per correct work, J/TH; infinite without work.
    pub j_per_th: f64,
    /// Output current of the supply, A.
    pub output_a: f64,
    /// Mean voltage of the dies, mV.
    pub die_mv: f64,
    /// Sensors of the warmest board, °C.
    pub sensors_c: Vec<f64>,
    /// The hottest die, °C.
    pub die_c: f64,
    /// Air behind the warmest board, °C.
    pub outlet_c: f64,
    /// Whether there is a steady state at all; otherwise leakage runs away and the numbers are those of a fire.
    pub steady: bool,
}

/// The steady state with all chips at `mhz` and the supply at `mv` (over all domains in series), air of `ambient_c` and all
/// fans at `fan_percent`. Chips are taken as unharmed, whatever the voltage.
///
/// # Errors
///
/// [`PhysicsError`] when a number of `spec` is outside its range.
pub fn operating_point(
    spec: &PhysicsSpec,
    mhz: f64,
    mv: f64,
    ambient_c: f64,
    fan_percent: f64,
) -> Result<OperatingPoint, PhysicsError> {
    let mut machine = Machine::new(spec.clone())?;
    machine.set_ambient_c(ambient_c);
    machine.set_all_fans(fan_percent);
    run_all(&mut machine, mhz, mv);
    let steady = machine.settle();
    Ok(read(&machine, mhz, steady))
}

/// The same with every die held at `die_c`, for comparison with measurements that tell the temperature of the chip.
///
/// # Errors
///
/// [`PhysicsError`] when a number of `spec` is outside its range.
pub fn operating_point_at(
    spec: &PhysicsSpec,
    mhz: f64,
    mv: f64,
    die_c: f64,
) -> Result<OperatingPoint, PhysicsError> {
    let mut machine = Machine::new(spec.clone())?;
    run_all(&mut machine, mhz, mv);
    machine.hold_dies_at(die_c);
    Ok(read(&machine, mhz, true))
}

fn run_all(machine: &mut Machine, mhz: f64, mv: f64) {
    let hashing = ChipActivity { mhz, hashing: true };
    for board in 0..usize::from(machine.spec().boards) {
        for chip in 0..usize::from(machine.spec().chips()) {
            machine.set_activity(board, chip, hashing);
        }
    }
    machine.set_supply_mv(mv);
    machine.enable_supply(true);
}

fn read(machine: &Machine, mhz: f64, steady: bool) -> OperatingPoint {
    let spec = machine.spec();
    let boards = 0..usize::from(spec.boards);
    let chips: Vec<_> = boards
        .clone()
        .flat_map(|board| (0..usize::from(spec.chips())).map(move |chip| (board, chip)))
        .filter_map(|(board, chip)| machine.chip(board, chip))
        .collect();
    let count = chips.len().max(1) as f64;
    let delivered = chips.iter().map(|chip| chip.delivered).sum::<f64>() / count;
    let wrong = chips
        .iter()
        .map(|chip| chip.wrong * chip.delivered)
        .sum::<f64>()
        / count;
    let hashrate_ths = count * spec.chip.hashes_per_clock * mhz * delivered / 1e6;
    let supply = machine.supply();
    let warmest = boards
        .max_by(|&a, &b| {
            machine
                .outlet_c(a)
                .partial_cmp(&machine.outlet_c(b))
                .unwrap_or(std::cmp::Ordering::Equal)
        })
        .unwrap_or(0);
    OperatingPoint {
        mhz,
        mv: supply.output_mv,
        hashrate_ths,
        delivered,
        worst_delivered: chips.iter().map(|chip| chip.delivered).fold(1.0, f64::min),
        wrong: wrong / (wrong + delivered).max(1e-12),
        output_w: supply.output_w,
        input_w: supply.input_w,
        j_per_th: supply.input_w / hashrate_ths,
        output_a: supply.output_a,
        die_mv: chips.iter().map(|chip| chip.mv).sum::<f64>() / count,
        sensors_c: (0..spec.thermal.sensors.len())
            .filter_map(|sensor| machine.sensor_c(warmest, sensor))
            .collect(),
        die_c: machine.hottest_c(),
        outlet_c: machine.outlet_c(warmest).unwrap_or(f64::NAN),
        steady,
    }
}
