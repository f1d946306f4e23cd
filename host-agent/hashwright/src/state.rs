//! The state tree: the only thing that the API, the live view and `status` read.
//!
//! Tasks publish their part; [`Snapshot`] is the whole at one moment. Rates are in hashes per
//! second, times in seconds, and everything that a simulated board contributes is marked.

use serde::{Deserialize, Serialize};

/// A hashrate estimate from counted shares, with its statistical error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// Hashes per second.
    pub hps: f64,
    /// One standard deviation of `hps`, hashes per second.
    pub sigma_hps: f64,
}

/// Hashrate over the four windows in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Rates {
    /// Over the last 5 seconds.
    pub s5: Rate,
    /// Over the last minute.
    pub m1: Rate,
    /// Over the last 10 minutes.
    pub m10: Rate,
    /// Over the last hour.
    pub h1: Rate,
}

/// What this program and machine are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SystemInfo {
    /// The agent's name from the config.
    pub name: String,
    /// Program version.
    pub version: String,
    /// Seconds since the agent started.
    pub uptime_s: f64,
    /// SHA-256d backend in use, e.g. `sha-ni`.
    pub sha256d_backend: String,
    /// Resident memory of the agent, bytes; 0 where unknown.
    pub resident_bytes: u64,
}

/// Counters of nonces and shares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NonceCounters {
    /// Nonces received that meet the chips' ticket.
    pub valid: u64,
    /// Of those, nonces that met the pool's target and were handed to the pool.
    pub shares: u64,
    /// Nonces whose hash does not meet the ticket: hardware errors.
    pub hardware_errors: u64,
    /// Nonces reported twice.
    pub duplicates: u64,
    /// Nonces for work that a clean job had voided.
    pub stale: u64,
}

/// The whole miner in one line.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MinerStatus {
    /// `starting`, `mining`, `waiting for a pool`, `degraded`, `stopping`.
    pub state: String,
    /// True if any board is simulated: its rates are scaled and earn nothing.
    pub simulated: bool,
    /// Hashrate of all boards.
    pub hashrate: Rates,
    /// What the chips should deliver at their present clocks, hashes per second.
    pub expected_hps: f64,
    /// Sums over all boards.
    pub nonces: NonceCounters,
    /// Shares that pools accepted.
    pub accepted: u64,
    /// Shares that pools rejected.
    pub rejected: u64,
    /// Highest share difficulty found in this run (real difficulty of the real hash).
    pub best_difficulty: f64,
}

/// One hash board.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BoardStatus {
    /// Position in the config, from 0.
    pub index: usize,
    /// Profile name, e.g. `bitaxe-gamma`.
    pub profile: String,
    /// Name for people, e.g. `Bitaxe Gamma`.
    pub model: String,
    /// Chip name, e.g. `BM1370`.
    pub chip: String,
    /// Where its UART is, as in the config.
    pub uart: String,
    /// True for a simulated board.
    pub simulated: bool,
    /// Scale 2^-k of a simulated board's work; 0 for real boards.
    pub scale_bits: u8,
    /// `off`, `checking`, `powering`, `opening`, `starting`, `ramping`, `verifying`, `idle`, `mining`,
    /// `stopping`, `stopped`, `failed`; `held` while the guard holds power back, `latched` until a
    /// person clears its fault.
    pub state: String,
    /// Last problem and what to do, if any.
    pub problem: Option<String>,
    /// What guards the board's power and heat: `board` for a guard on its controller, `agent` for the
    /// agent's alone, which cannot help if this computer hangs, or `none`.
    pub guard: String,
    /// Who controls power and fans, as in the config.
    pub control: String,
    /// Its station, by position in [`Snapshot::stations`]; none if nobody in this program controls it.
    pub station: Option<usize>,
    /// Hottest temperature on the scale of the chips, °C; none where nothing measures it.
    pub temperature_c: Option<f64>,
    /// Input power of the board's station, W; none where nothing measures or estimates it.
    pub power_w: Option<f64>,
    /// Duty that the fans of its station are told, percent.
    pub fan_percent: Option<u8>,
    /// Chips found on the chain.
    pub chips_found: u16,
    /// Chips that the profile expects.
    pub chips_expected: u16,
    /// Clock now, MHz.
    pub frequency_mhz: f64,
    /// Clock aimed at, MHz.
    pub target_mhz: f64,
    /// Hashrate of this board.
    pub hashrate: Rates,
    /// Expected at the present clock, hashes per second.
    pub expected_hps: f64,
    /// Nonces of this board.
    pub nonces: NonceCounters,
    /// Shares that found no room on the way to the pool, or no pool in use.
    pub shares_lost: u64,
    /// Jobs sent to the chips.
    pub jobs_sent: u64,
    /// Reply bytes that belonged to no good frame.
    pub dropped_bytes: u64,
    /// Reply frames with a bad checksum.
    pub crc_errors: u64,
    /// Times that the board was started again after a failure.
    pub restarts: u64,
}

/// Power, heat and fans of boards that are switched together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StationStatus {
    /// Position among the stations, from 0.
    pub index: usize,
    /// Its boards, by position in the config; the status counts them in this order.
    pub boards: Vec<usize>,
    /// How it is reached: a port, `linux` or `sim`.
    pub control: String,
    /// What a person should know of it from the start, e.g. that a latched fault could not be kept.
    pub notes: Vec<String>,
    /// What it says.
    pub status: station::Status,
}

/// One chip of a board.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ChipStatus {
    /// Board index.
    pub board: usize,
    /// Position in the chain, 0 nearest the host.
    pub index: u16,
    /// Assigned chip address.
    pub address: u8,
    /// Voltage domain, from 0.
    pub domain: u16,
    /// Clock now, MHz.
    pub frequency_mhz: f64,
    /// Nonces found.
    pub nonces: u64,
    /// Hardware errors.
    pub hardware_errors: u64,
    /// Rate over the last ten minutes.
    pub hashrate: Rate,
    /// Expected at the present clock, hashes per second.
    pub expected_hps: f64,
}

/// Rejects of one kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RejectReason {
    /// Normalised kind, e.g. `low difficulty`.
    pub reason: String,
    /// The pool's own words, last seen.
    pub text: String,
    /// How often.
    pub count: u64,
}

/// One configured pool.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PoolStatus {
    /// Position in the config, from 0.
    pub index: usize,
    /// URL without secrets.
    pub url: String,
    /// User as configured.
    pub user: String,
    /// True for the pool that gets our work now.
    pub active: bool,
    /// `unused`, `connecting`, `handshake`, `mining`, `retrying`.
    pub state: String,
    /// Last problem, if any.
    pub problem: Option<String>,
    /// Last message that the pool asked us to show.
    pub message: Option<String>,
    /// Share difficulty in force.
    pub difficulty: f64,
    /// Version rolling mask agreed, 0 if none.
    pub version_mask: u32,
    /// Job now worked on.
    pub job_id: Option<String>,
    /// Jobs received.
    pub jobs: u64,
    /// Shares sent.
    pub submitted: u64,
    /// Shares accepted.
    pub accepted: u64,
    /// Sum of the difficulties of accepted shares.
    pub accepted_difficulty: f64,
    /// Shares rejected.
    pub rejected: u64,
    /// Rejects by reason.
    pub reject_reasons: Vec<RejectReason>,
    /// Shares sent that were never answered.
    pub unconfirmed: u64,
    /// Shares dropped before sending because their session or job had gone.
    pub dropped: u64,
    /// Median time from submit to answer, milliseconds.
    pub latency_ms: Option<f64>,
    /// Connections made.
    pub connects: u64,
    /// Best share difficulty at this pool.
    pub best_difficulty: f64,
}

/// Everything at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Program and machine.
    pub system: SystemInfo,
    /// The whole miner.
    pub miner: MinerStatus,
    /// Boards in config order.
    pub boards: Vec<BoardStatus>,
    /// Stations in the order of their first boards.
    pub stations: Vec<StationStatus>,
    /// Chips of all boards, in chain order.
    pub chips: Vec<ChipStatus>,
    /// Pools in config order.
    pub pools: Vec<PoolStatus>,
}
