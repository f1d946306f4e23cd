//! The state tree: the only thing that the API, the live view and `status` read.
//!
//! Tasks publish their part; [`Snapshot`] is the whole at one moment. Rates are in hashes per
//! second, times in seconds, and everything that a simulated board contributes is marked.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::tuner::{ChipQuality, TunerStatus};

/// A hashrate estimate from counted shares, with its statistical error.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rate {
    /// Hashes per second.
    pub hps: f64,
    /// One standard deviation of `hps`, hashes per second.
    pub sigma_hps: f64,
}

/// Hashrate over the four windows in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    /// Name of the computer.
    #[serde(default)]
    pub hostname: String,
    /// Hardware address of its first network interface that is not loopback, `aa:bb:cc:dd:ee:ff`; none
    /// if it has none.
    #[serde(default)]
    pub mac: Option<String>,
    /// Its IP addresses, without loopback and link-local ones.
    #[serde(default)]
    pub addresses: Vec<String>,
    /// When the agent started, seconds since 1970 by the clock of now; corrected if that clock is.
    #[serde(default)]
    pub started_unix_s: u64,
}

/// Counters of nonces and shares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MinerStatus {
    /// `starting`, `mining`, `waiting for a pool`, `asleep` (without power because no pool has given
    /// work for too long), `degraded`, `paused` (by a person), `disabled` (a person has switched
    /// off all boards), `stopping`.
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
    /// Input power of all stations, W; none unless every station tells its own.
    #[serde(default)]
    pub power_w: Option<f64>,
    /// Energy for the work of the last ten minutes' rate, joules per terahash; none without power or rate.
    #[serde(default)]
    pub efficiency_j_th: Option<f64>,
    /// Hottest temperature of all boards on the scale of the chips, °C; none where nothing measures it.
    #[serde(default)]
    pub hottest_c: Option<f64>,
    /// Blocks that nodes are known to have taken from this miner in this run.
    #[serde(default)]
    pub found_blocks: u64,
    /// A person has paused mining; boards are without power until they resume.
    #[serde(default)]
    pub paused: bool,
}

/// One hash board.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    /// person clears its fault; `paused` with the whole miner, `disabled` when a person has switched it off.
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
    /// Core voltage ordered, mV as the profile counts it; none where nobody in this program sets it.
    #[serde(default)]
    pub voltage_set_mv: Option<u32>,
    /// Extra zero bits that the chips' ticket wants of a hash beyond the 32 of difficulty 1.
    #[serde(default)]
    pub ticket_bits: u8,
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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    /// Nonces reported twice.
    #[serde(default)]
    pub duplicates: u64,
    /// Rate over the last ten minutes.
    pub hashrate: Rate,
    /// Expected at the present clock, hashes per second.
    pub expected_hps: f64,
    /// How good it is; none before the tuner knows.
    #[serde(default)]
    pub quality: Option<ChipQuality>,
}

/// Rejects of one kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RejectReason {
    /// Normalised kind, e.g. `low difficulty`.
    pub reason: String,
    /// The pool's own words, last seen.
    pub text: String,
    /// How often.
    pub count: u64,
}

/// One configured pool, or node for solo mining.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PoolStatus {
    /// Position in the config, from 0.
    pub index: usize,
    /// URL without secrets.
    pub url: String,
    /// What is spoken with it, e.g. `Stratum V1`.
    pub protocol: String,
    /// User as configured.
    pub user: String,
    /// True for a pool that gets our work now.
    pub active: bool,
    /// What it is for now: `unused`, `connecting`, `returning` while it proves itself, `standby`,
    /// `active`, `leaving`.
    pub role: String,
    /// Part of the work that it gets now, percent.
    pub work_percent: f64,
    /// Part of the work that the config gives it, percent; none with another strategy than quotas.
    pub quota_percent: Option<f64>,
    /// `unused`, `connecting`, `handshake`, `mining`, `refused` (it gives work that the owner's rule
    /// forbids), `retrying`.
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
    /// When the last share was accepted, uptime of the agent in seconds.
    pub last_share_s: Option<f64>,
    /// Shares rejected.
    pub rejected: u64,
    /// Rejected shares whose job was out of date or unknown.
    pub stale: u64,
    /// Rejects by reason.
    pub reject_reasons: Vec<RejectReason>,
    /// Shares sent that were never answered.
    pub unconfirmed: u64,
    /// Shares dropped before sending because their session or job had gone.
    pub dropped: u64,
    /// Blocks that it is known to have taken; only nodes tell.
    pub blocks: u64,
    /// Median time from submit to answer, milliseconds.
    pub latency_ms: Option<f64>,
    /// Nine of ten answers came within this, milliseconds.
    pub latency_p90_ms: Option<f64>,
    /// 99 of 100 answers came within this, milliseconds.
    pub latency_p99_ms: Option<f64>,
    /// Connections made.
    pub connects: u64,
    /// Best share difficulty at this pool.
    pub best_difficulty: f64,
    /// Last warning about what it lets us mine, e.g. that other addresses are paid than before.
    pub alarm: Option<String>,
    /// What its last job pays, and whom; none before the first job.
    pub payout: Option<PayoutStatus>,
}

/// What a job pays, and whom.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PayoutStatus {
    /// Why it cannot be said; the fields below are empty then.
    pub unknown: Option<String>,
    /// Why the job was refused by the owner's rule.
    pub refused: Option<String>,
    /// Height of the block to be mined, if the coinbase says it.
    pub height: Option<u32>,
    /// Network that addresses are written for: `bitcoin`, `testnet`, `testnet4`, `signet`, `regtest`.
    pub network: String,
    /// Pool that the marks in the coinbase are known of. Anybody can write them.
    pub pool: Option<String>,
    /// Readable text in the coinbase.
    pub tag: String,
    /// All that the block pays, satoshi.
    pub total_sat: u64,
    /// Addresses of the owner that are looked for.
    pub own_addresses: Vec<String>,
    /// What goes to them, satoshi; none if none are known.
    pub own_sat: Option<u64>,
    /// The same in percent of what can be spent.
    pub own_percent: Option<f64>,
    /// Work that pays them less than this percentage is refused; none without such a rule.
    pub min_percent: Option<f64>,
    /// The outputs that somebody can spend, largest first, at most 12.
    pub outputs: Vec<PayoutOutput>,
    /// How many there are.
    pub output_count: usize,
    /// What is odd about the coinbase.
    pub problems: Vec<String>,
}

/// One output of a job's coinbase.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PayoutOutput {
    /// Address, or what the script is.
    pub receiver: String,
    /// Kind of script, e.g. `P2WPKH`.
    pub kind: String,
    /// Satoshi.
    pub value_sat: u64,
    /// Percent of what can be spent.
    pub percent: f64,
    /// It pays the owner.
    pub own: bool,
}

/// Everything at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    /// What the miner is tuned for, and how far that is.
    #[serde(default)]
    pub tuner: TunerStatus,
}
