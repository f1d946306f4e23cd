//! What a machine is made of and how far it may be driven, taken from its board profile. Nothing here comes from a measurement.

use std::cmp::Ordering;

use board_profiles::{Profile, SensorKind, VoltageScope};

/// Bytes of a nonce reply on chips of today; with start and stop bits ten times as many bits.
const REPLY_BYTES: f64 = 11.0;
/// Share of a line's capacity that nonces may take while measuring.
const LINE_SHARE: f64 = 0.25;
/// Nonces a second and board that a small host still verifies in passing.
const HOST_NONCES: f64 = 2500.0;
/// Kelvins below the point where throttling begins that the tuner stays.
pub(crate) const HEAT_MARGIN_K: f64 = 1.0;

/// What one voltage setting feeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every board has its own regulator.
    Board,
    /// One supply feeds all boards.
    Machine,
}

/// A machine to tune: equal boards on one station.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// Name of the profile.
    pub model: String,
    /// Serial numbers of the boards in their slots; none where a board has none that can be read.
    pub serials: Vec<Option<String>>,
    /// Domains in series on a board.
    pub domains: usize,
    /// Chips in parallel in a domain.
    pub per_domain: usize,
    /// Hashes per clock of a chip.
    pub hashes_per_clock: f64,
    /// Lowest, usual and highest clock, MHz.
    pub clock_mhz: (f64, f64, f64),
    /// Grid of clocks that the PLL is asked for, MHz.
    pub grid_mhz: f64,
    /// What one voltage setting feeds.
    pub scope: Scope,
    /// Lowest, usual and highest voltage at a board's terminals, mV over all domains.
    pub mv: (f64, f64, f64),
    /// Terminal voltage over setting: the number of domains where settings are per chip.
    pub mv_per_setting: f64,
    /// Grid of voltage settings, mV.
    pub step_mv: f64,
    /// Published voltage for clocks, MHz and mV at the terminals, ascending.
    pub curve: Vec<(f64, f64)>,
    /// Nominal work of a board, TH/s, at the usual clock.
    pub nominal_ths: f64,
    /// Nominal energy of a board at the input, J/TH.
    pub nominal_j_per_th: f64,
    /// Highest input power of a board, W.
    pub power_w: f64,
    /// Temperatures that the tuner stays below: chips and boards, °C. Below where throttling begins.
    pub hot_c: (f64, Option<f64>),
    /// Places of the board sensors along the air's way, 0 inlet to 1 outlet; empty where only chips tell their temperature.
    pub sensors: Vec<f64>,
    /// Die over board at nominal power, K.
    pub die_over_board_k: f64,
    /// Power beside the boards, fans and control, W of the machine.
    pub auxiliary_w: f64,
    /// Supply between input and boards: a mains supply of this rating in W, or a regulator of fixed efficiency.
    pub rated_w: Option<f64>,
    /// Extra zero bits of the ticket while mining.
    pub ticket_bits: u8,
    /// Fewer extra zero bits are never asked for; above 0 for simulated chips only, which need some to tell right from wrong.
    pub least_ticket_bits: u8,
    /// Baud rate of a chain.
    pub baud: u32,
}

impl Layout {
    /// The layout of `serials.len()` boards of a profile. Facts that profiles do not tell are assumed here: auxiliary power of 75 W
    /// for machines on the mains and 2 W otherwise, dies 15 K over board sensors at nominal load.
    #[must_use]
    pub fn from_profile(profile: &Profile, serials: Vec<Option<String>>) -> Self {
        let (chain, frequency, voltage) = (&profile.chain, &profile.frequency, &profile.voltage);
        let boards = serials.len().max(1) as f64;
        let domains = usize::from(chain.domains.max(1));
        let scale = match voltage.scope {
            VoltageScope::Chip => domains as f64,
            VoltageScope::Board | VoltageScope::Psu => 1.0,
        };
        let mains = voltage.scope == VoltageScope::Psu;
        let mut curve: Vec<(f64, f64)> = profile
            .curve
            .iter()
            .map(|point| (point.mhz, f64::from(point.mv) * scale))
            .collect();
        if curve.is_empty() {
            curve = [frequency.min_mhz, frequency.default_mhz]
                .map(|mhz| (mhz, f64::from(profile.voltage_for(mhz)) * scale))
                .to_vec();
        }
        let has_board_sensors = profile.devices.iter().any(|device| {
            device
                .sensors
                .iter()
                .any(|sensor| sensor.kind == SensorKind::Board)
        });
        let single = chain.chips == 1;
        let nominal_ths = profile.nominal.hashrate_ths;
        let hot = |kind| profile.hot_c(kind).map(|c| c - HEAT_MARGIN_K);
        Self {
            model: profile.name.clone(),
            domains,
            per_domain: usize::from(chain.chips_per_domain.max(1)),
            hashes_per_clock: f64::from(chain.chip.model().small_cores),
            clock_mhz: (frequency.min_mhz, frequency.default_mhz, frequency.max_mhz),
            grid_mhz: 3.125,
            scope: if mains { Scope::Machine } else { Scope::Board },
            mv: (
                f64::from(voltage.min_mv) * scale,
                f64::from(voltage.default_mv) * scale,
                f64::from(voltage.max_mv) * scale,
            ),
            mv_per_setting: scale,
            // A conversion code of the usual mains supply is 12.7 mV.
            step_mv: if mains { 10.0 } else { 1.0 },
            curve,
            nominal_ths,
            nominal_j_per_th: profile.nominal.efficiency_j_per_th.unwrap_or(25.0),
            power_w: profile.limits.power_w,
            hot_c: (
                hot(SensorKind::Chip).unwrap_or(profile.limits.chip_c - 5.0),
                hot(SensorKind::Board),
            ),
            sensors: match (single || !has_board_sensors, mains) {
                (true, _) => Vec::new(),
                (false, true) => vec![0.0, 0.6],
                (false, false) => vec![0.25, 0.75],
            },
            die_over_board_k: if mains { 15.0 } else { 8.0 },
            auxiliary_w: if mains { 25.0 * boards } else { 2.0 },
            rated_w: mains.then_some(1200.0 * boards),
            ticket_bits: ilog2(chain.ticket_difficulty),
            least_ticket_bits: 0,
            baud: chain.baud,
            serials,
        }
    }

    /// Boards.
    #[must_use]
    pub fn boards(&self) -> usize {
        self.serials.len()
    }

    /// Chips of one board.
    #[must_use]
    pub fn chips(&self) -> usize {
        self.domains * self.per_domain
    }

    /// Voltage per domain at a clock by the published curve, mV; the last slopes go on beyond its ends.
    #[must_use]
    pub fn curve_mv(&self, mhz: f64) -> f64 {
        let at = |mhz: f64| {
            let points = &self.curve;
            match points.iter().position(|point| point.0 >= mhz) {
                None => points.last().map_or(self.mv.1, |last| last.1),
                Some(0) => points[0].1,
                Some(i) => {
                    let (a, b) = (points[i - 1], points[i]);
                    a.1 + (b.1 - a.1) * (mhz - a.0) / (b.0 - a.0).max(1e-9)
                }
            }
        };
        at(mhz) / self.domains as f64
    }

    /// Smallest number of extra zero bits at which the nonces of a board still fit through its line and its host.
    #[must_use]
    pub fn measuring_bits(&self) -> u8 {
        let line = f64::from(self.baud) / 10.0 / REPLY_BYTES * LINE_SHARE;
        let most = line.min(HOST_NONCES);
        let hps = self.chips() as f64 * self.hashes_per_clock * self.clock_mhz.2 * 1e6;
        (self.least_ticket_bits..self.ticket_bits)
            .find(|&bits| hps / nonce_hashes(bits) <= most)
            .unwrap_or(self.ticket_bits)
    }

    /// Efficiency of the supply at this output, W: middles of the published ranges of mains supplies; 0.92 for regulators.
    #[must_use]
    pub fn supply_efficiency(&self, output_w: f64) -> f64 {
        const CURVE: [(f64, f64); 5] = [
            (0.15, 0.80),
            (0.33, 0.875),
            (0.5, 0.90),
            (0.75, 0.93),
            (1.0, 0.945),
        ];
        let Some(rated) = self.rated_w else {
            return 0.92;
        };
        let load = (output_w / rated).clamp(CURVE[0].0, 1.0);
        CURVE
            .windows(2)
            .find(|pair| load <= pair[1].0)
            .map_or(0.945, |pair| {
                let share = (load - pair[0].0) / (pair[1].0 - pair[0].0);
                pair[0].1 + share * (pair[1].1 - pair[0].1)
            })
    }

    /// A clock on the grid within the range, nearest to `mhz`.
    #[must_use]
    pub fn on_grid(&self, mhz: f64) -> f64 {
        let grid = self.grid_mhz.max(1e-3);
        let mhz = if mhz.is_nan() { self.clock_mhz.0 } else { mhz };
        let low = (self.clock_mhz.0 / grid).ceil() * grid;
        let high = (self.clock_mhz.2 / grid).floor() * grid;
        ((mhz / grid).round() * grid).min(high).max(low)
    }

    /// A voltage at the terminals on the grid within the range, nearest to `mv`.
    #[must_use]
    pub fn on_step(&self, mv: f64) -> f64 {
        let step = self.step_mv.max(1e-3) * self.mv_per_setting;
        let mv = if mv.is_nan() { self.mv.0 } else { mv };
        ((mv / step).round() * step).min(self.mv.2).max(self.mv.0)
    }

    /// Says what makes the layout unusable, if anything does.
    ///
    /// # Errors
    ///
    /// [`LayoutError`] with what is wrong.
    pub fn check(&self) -> Result<(), LayoutError> {
        let ordered = |(low, usual, high): (f64, f64, f64)| {
            low > 0.0
                && low.partial_cmp(&usual) != Some(Ordering::Greater)
                && usual.partial_cmp(&high) != Some(Ordering::Greater)
                && high.is_finite()
        };
        if self.serials.is_empty() || self.serials.len() > 64 {
            return Err(LayoutError::Boards(self.serials.len()));
        }
        if self.chips() == 0 || self.chips() > 1024 {
            return Err(LayoutError::Chips(self.chips()));
        }
        if !ordered(self.clock_mhz) {
            return Err(LayoutError::Clock(self.clock_mhz));
        }
        if !ordered(self.mv) || self.curve.is_empty() {
            return Err(LayoutError::Voltage(self.mv));
        }
        Ok(())
    }
}

/// Why a layout cannot be tuned.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LayoutError {
    /// Number of boards outside 1..=64.
    #[error("{0} boards; a machine has 1 to 64")]
    Boards(usize),
    /// Number of chips outside 1..=1024.
    #[error("{0} chips on a board; a board has 1 to 1024")]
    Chips(usize),
    /// Clocks not in order.
    #[error("clocks {0:?} MHz are not lowest, usual, highest")]
    Clock((f64, f64, f64)),
    /// Voltages not in order, or no curve.
    #[error("voltages {0:?} mV are not lowest, usual, highest, or there is no curve")]
    Voltage((f64, f64, f64)),
}

/// Hashes that a nonce stands for at a ticket of so many extra zero bits.
#[must_use]
pub fn nonce_hashes(bits: u8) -> f64 {
    2.0_f64.powi(32 + i32::from(bits.min(64)))
}

fn ilog2(difficulty: u32) -> u8 {
    u8::try_from(difficulty.max(1).ilog2()).unwrap_or(0)
}
