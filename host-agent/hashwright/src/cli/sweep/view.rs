//! What a sweep looks at: a board and its station at one moment, taken out of the state of the agent.

use rpc::state::{BoardStatus, Snapshot, StationStatus};
use station::status::Source;

use super::outcome::Verdict;
use super::plan::Point;

/// Hashes that a nonce of ticket difficulty 1 stands for.
const HASHES_PER_NONCE: f64 = 4_294_967_296.0;

/// Distance to a clock at which it counts as reached: half a step of the chips' ramp, MHz.
pub const NEAR_MHZ: f64 = 3.2;

/// Time without an answer after which a reading is no news, s.
const OLD_S: f64 = 10.0;

/// A fault of the station.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// What it says of the point; none if the setting is not to blame.
    pub verdict: Option<Verdict>,
    /// In words.
    pub text: String,
    /// Only a person can clear it.
    pub latched: bool,
    /// What to do.
    pub advice: String,
}

/// A board at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BoardView {
    /// Uptime of the agent, s.
    pub at_s: f64,
    /// Its state, as the API names it.
    pub state: String,
    /// Last problem.
    pub problem: Option<String>,
    /// Clock now, MHz.
    pub mhz: f64,
    /// Clock that the chain goes to, MHz.
    pub target_mhz: f64,
    /// Chips found.
    pub chips: u16,
    /// Promised at the present clock, hashes per second.
    pub expected_hps: f64,
    /// Ticket of the chips beyond difficulty 1, bits.
    pub ticket_bits: u8,
    /// Good nonces.
    pub nonces: u64,
    /// Wrong nonces.
    pub wrong: u64,
    /// Times that the chain was started again.
    pub restarts: u64,
    /// Hashes of all boards of the station so far.
    pub station_hashes: f64,
    /// Share of the wanted clock that heat allows.
    pub throttle: f64,
    /// Hottest temperature, °C.
    pub celsius: Option<f64>,
    /// Throttling begins there, °C.
    pub hot_c: Option<f64>,
    /// Input power of the station, W.
    pub watts: Option<f64>,
    /// It was measured.
    pub watts_measured: bool,
    /// Voltage read back, mV.
    pub actual_mv: Option<f64>,
    /// What the station is asked for.
    pub wanted: Option<Point>,
    /// What it is held to, where that is less and not for heat.
    pub held: Option<String>,
    /// Its supply is where it is to be, as far as that can be seen.
    pub derated_arrived: bool,
    /// What is wrong.
    pub fault: Option<Fault>,
}

impl BoardView {
    /// The board in that state; none if the agent has no such board.
    #[must_use]
    pub fn of(snapshot: &Snapshot, index: usize) -> Option<Self> {
        let board = snapshot.boards.get(index)?;
        let mut view = Self {
            at_s: snapshot.system.uptime_s,
            state: board.state.clone(),
            problem: board.problem.clone(),
            mhz: board.frequency_mhz,
            target_mhz: board.target_mhz,
            chips: board.chips_found,
            expected_hps: board.expected_hps,
            ticket_bits: board.ticket_bits,
            nonces: board.nonces.valid,
            wrong: board.nonces.hardware_errors,
            restarts: board.restarts,
            station_hashes: hashes(board),
            throttle: 1.0,
            derated_arrived: true,
            ..Self::default()
        };
        let station = board.station.and_then(|at| snapshot.stations.get(at));
        if let Some(station) = station {
            view.under(station);
            let boards = station.boards.iter();
            let boards = boards.filter_map(|index| snapshot.boards.get(*index));
            view.station_hashes = boards.map(hashes).sum();
        }
        Some(view)
    }

    fn under(&mut self, station: &StationStatus) {
        let status = &station.status;
        let fresh = |age: Option<f64>| age.is_some_and(|age| age < OLD_S);
        self.throttle = status.cooling.throttle;
        self.celsius = status.cooling.temperature_c;
        self.hot_c = Some(status.cooling.hot_c).filter(|hot| *hot > 0.0);
        if let Some(power) = status
            .reading("input power")
            .filter(|power| fresh(power.age_s))
        {
            self.watts = power.value;
            self.watts_measured = power.source == Source::Measured;
        }
        let points = &status.set_points;
        self.actual_mv = points.actual_mv;
        let point = |point: station::SetPoint| Point {
            mhz: point.mhz,
            mv: Some(point.mv),
        };
        self.wanted = points.wanted.map(point);
        if let (Some(wanted), Some(derated)) = (points.wanted, points.derated) {
            let less = derated.mhz < wanted.mhz - 0.01 || derated.mv < wanted.mv;
            if less && self.throttle >= 1.0 {
                self.held = Some(format!("{} MHz {} mV", derated.mhz, derated.mv));
            }
            // Read back through a droop, so within some percent; where it cannot be read, the clock tells.
            self.derated_arrived = points
                .actual_mv
                .is_none_or(|mv| (mv / f64::from(derated.mv.max(1)) - 1.0).abs() < 0.04);
        }
        let guard = &status.guard;
        if let Some(fault) = guard.fault.as_ref().filter(|_| !guard.power) {
            let verdict = match fault.code.as_str() {
                "temperature-limit" => Some(Verdict::Hot),
                "over-current" | "over-power" | "regulator-fault" | "voltage-mismatch" => {
                    Some(Verdict::Power)
                }
                // Fans, sensors and what else fails whatever the setting is.
                _ => None,
            };
            self.fault = Some(Fault {
                verdict,
                text: format!("{}: {}", fault.code, fault.what),
                latched: fault.latched,
                advice: fault.advice.clone(),
            });
        }
    }

    /// Who has changed the board meanwhile, if somebody has.
    #[must_use]
    pub fn taken(&self, at: &Point) -> Option<String> {
        if ["paused", "disabled", "asleep", "stopping", "stopped", "off"]
            .contains(&self.state.as_str())
        {
            return Some(format!("somebody has stopped it: it is {}", self.state));
        }
        let wanted = self.wanted?;
        (!self.is_asked_for(at)).then(|| format!("somebody else has set it to {wanted}"))
    }

    /// Its station is asked for that point, or there is none that could tell.
    #[must_use]
    pub fn is_asked_for(&self, at: &Point) -> bool {
        self.wanted.is_none_or(|wanted| {
            (wanted.mhz - at.mhz).abs() < 0.01 && (at.mv.is_none() || at.mv == wanted.mv)
        })
    }

    /// Its clock has arrived, as near as its chips' steps allow.
    #[must_use]
    pub fn is_at_its_clock(&self) -> bool {
        (self.mhz - self.target_mhz).abs() < NEAR_MHZ
    }

    /// It mines at what is wanted of it, and nothing holds it back.
    #[must_use]
    pub fn is_well(&self) -> bool {
        let cool = match (self.celsius, self.hot_c) {
            (Some(celsius), Some(hot)) => celsius < hot - 1.0,
            _ => true,
        };
        let arrived = self.is_at_its_clock();
        self.state == "mining" && self.fault.is_none() && self.throttle >= 1.0 && cool && arrived
    }
}

/// Hashes that the nonces of a board stand for.
fn hashes(board: &BoardStatus) -> f64 {
    board.nonces.valid as f64 * HASHES_PER_NONCE * 2f64.powi(board.ticket_bits.into())
}
