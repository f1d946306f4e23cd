//! One virtual chip: its registers, its address, and what it is hashing. It knows nothing of bytes or lines; the chain hands
//! it frames and asks it to run up to a crystal tick.

use std::sync::Arc;

use crate::{
    clock::Clock,
    condition::ChipCondition,
    frame::{Reply, Target, is_long},
    job::{Job, Ticket},
    physics::ChipActivity,
    report::{ChipReport, Notice},
    rng::mix,
    silicon::{BaudControl, CRYSTAL_HZ, RESET_BAUD, Silicon, Walk},
    sweep::Sweep,
};

mod mining;

pub(crate) use mining::Found;

/// Register numbers that do something here; all others only keep their value.
mod reg {
    pub(super) const CHIP_ID: u8 = 0x00;
    pub(super) const HASHRATE: u8 = 0x04;
    pub(super) const PLL: u8 = 0x08;
    pub(super) const NONCE_OFFSET: u8 = 0x0C;
    pub(super) const SWEEP: u8 = 0x10;
    pub(super) const TICKET: u8 = 0x14;
    pub(super) const MISC: u8 = 0x18;
    pub(super) const ORDERED_CLOCK: u8 = 0x20;
    pub(super) const FAST_UART: u8 = 0x28;
    pub(super) const CORE: u8 = 0x3C;
    pub(super) const ERRORS: u8 = 0x4C;
    pub(super) const CLOCK_ORDER_0: u8 = 0x80;
    pub(super) const CLOCK_ORDER_1: u8 = 0x84;
    pub(super) const DOMAIN_HASHES: u8 = 0x88;
    pub(super) const TOTAL_HASHES: u8 = 0x8C;
    pub(super) const CLEARABLE_HASHES: u8 = 0x90;
    pub(super) const ROLLING: u8 = 0xA4;
    pub(super) const SOFT_RESET: u8 = 0xA8;
    pub(super) const SENSOR: u8 = 0xB0;
    pub(super) const TEMPERATURE: u8 = 0xB4;
    pub(super) const AUTO_WORK: u8 = 0xC4;
}

/// Ticks that a real sweep runs beyond register 0x10: 109 to 132 were measured on BM1370.
const OVERRUN_TICKS: std::ops::RangeInclusive<u64> = 109..=132;

/// How long a BM1368 temperature conversion takes. Only known: drivers wait 15 s between polls.
const CONVERSION_TICKS: u64 = 10 * CRYSTAL_HZ;

/// Whether commands pass through a chip, and what it answers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relay {
    /// Out of reset: relays everything, counts as address 0.
    Fresh,
    /// After chain inactive: keeps everything to itself and waits for an address.
    Waiting,
    /// Holds an address and relays.
    Addressed,
}

/// One chip.
#[derive(Debug)]
pub(crate) struct ChipState {
    silicon: &'static Silicon,
    index: u16,
    chain_len: u16,
    scale_bits: u8,
    overrun: u64,
    condition: ChipCondition,
    /// Decides which work is lost.
    luck: u64,

    registers: Box<[u32; 256]>,
    pub(crate) relay: Relay,
    pub(crate) address: u8,
    pub(crate) baud: u32,
    /// BM1372/73: 3 Mbaud until the reset line says otherwise.
    latched: bool,
    auto_work_cleared: bool,
    /// BM1397: clock-order words written so far.
    clock_order: u8,
    cores_enabled: bool,
    clock: Result<Clock, Notice>,
    job: Option<Arc<Job>>,
    ticket: Ticket,
    sweep: Option<Sweep>,
    converted_at: Option<u64>,

    /// Hash clocks done before `counted_tick`.
    clocks_done: u64,
    counted_tick: u64,
    /// Part of a clock not counted yet, in units of 1 / the PLL's divider.
    clock_fraction: u64,
    clocks_at_clear: u64,
    pub(crate) stats: Stats,
}

/// Counters that survive a reset, for the report.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Stats {
    clocks: u64,
    tested: u64,
    pub(crate) nonces: u64,
    pub(crate) repeats: u64,
    pub(crate) overlaps: u64,
    pub(crate) sent: u64,
    pub(crate) nonces_sent: u64,
    pub(crate) lost: u64,
    silent: u64,
    wrong: u64,
    jobs: u64,
    writes: u64,
    epochs_repeated: u64,
}

impl ChipState {
    pub(crate) fn new(
        silicon: &'static Silicon,
        index: u16,
        chain_len: u16,
        scale_bits: u8,
        seed: u64,
    ) -> Self {
        let span = OVERRUN_TICKS.end() - OVERRUN_TICKS.start() + 1;
        let mut chip = Self {
            silicon,
            index,
            chain_len,
            scale_bits,
            overrun: OVERRUN_TICKS.start() + mix(seed, 0x07E2, u64::from(index)) % span,
            condition: ChipCondition::default(),
            luck: mix(seed, 0x0010_0CC5, u64::from(index)),
            registers: Box::new([0; 256]),
            relay: Relay::Fresh,
            address: 0,
            baud: RESET_BAUD,
            latched: false,
            auto_work_cleared: false,
            clock_order: 0,
            cores_enabled: false,
            clock: Err(Notice::PllOff),
            job: None,
            ticket: Ticket::new(0, scale_bits),
            sweep: None,
            converted_at: None,
            clocks_done: 0,
            counted_tick: 0,
            clock_fraction: 0,
            clocks_at_clear: 0,
            stats: Stats::default(),
        };
        chip.power_on();
        chip
    }

    /// What the reset line does: everything but the statistics starts afresh.
    pub(crate) fn reset(&mut self, tick: u64) {
        self.count(tick);
        self.power_on();
        self.counted_tick = tick;
    }

    fn power_on(&mut self) {
        self.registers.fill(0);
        self.registers[usize::from(reg::PLL)] = self.silicon.power_on_pll;
        self.registers[usize::from(reg::MISC)] = self.silicon.power_on_misc;
        self.relay = Relay::Fresh;
        self.address = 0;
        self.baud = RESET_BAUD;
        self.latched = false;
        self.auto_work_cleared = false;
        self.clock_order = 0;
        self.cores_enabled = false;
        self.clock = Clock::from_register(self.silicon, self.silicon.power_on_pll);
        self.job = None;
        self.ticket = Ticket::new(0, self.scale_bits);
        self.sweep = None;
        self.converted_at = None;
        self.clocks_done = 0;
        self.clocks_at_clear = 0;
    }

    /// Whether a command for `target` is for this chip.
    pub(crate) fn answers_to(&self, target: Target) -> bool {
        match target {
            Target::All => true,
            // The newest chips are spoken to at a quarter of the address they were given.
            Target::One(address) if self.silicon.walk == Walk::ByPosition => {
                self.address >> 2 == address
            }
            Target::One(address) => self.address == address,
        }
    }

    pub(crate) fn take_address(&mut self, address: u8, tick: u64) {
        self.address = address;
        self.relay = Relay::Addressed;
        self.move_start(tick);
    }

    pub(crate) fn go_inactive(&mut self, tick: u64) {
        self.address = 0;
        self.relay = Relay::Waiting;
        self.move_start(tick);
    }

    /// Takes a register write at `tick`, up to which the chip has run.
    pub(crate) fn write(
        &mut self,
        register: u8,
        value: u32,
        tick: u64,
        notice: &mut impl FnMut(Notice),
    ) {
        self.stats.writes += 1;
        self.count(tick);
        let before = std::mem::replace(&mut self.registers[usize::from(register)], value);
        match register {
            reg::PLL => {
                self.clock = Clock::from_register(self.silicon, value);
                if before != value {
                    self.clock_fraction = 0;
                }
                if let Err(what) = self.clock {
                    notice(what);
                }
                if let (Some(sweep), Ok(clock)) = (&mut self.sweep, self.clock)
                    && before != value
                {
                    sweep.set_clock(clock, tick);
                }
            }
            reg::NONCE_OFFSET if before != value => self.move_start(tick),
            reg::SWEEP if before != value && value != 0 => {
                let ticks = self.batch_ticks();
                if let (Some(sweep), Some(ticks)) = (&mut self.sweep, ticks) {
                    sweep.set_batch_ticks(ticks, tick);
                }
            }
            reg::TICKET => {
                self.ticket = Ticket::new(value, self.scale_bits);
                if 32 + value.count_ones() < u32::from(self.scale_bits) {
                    notice(Notice::ScaleTooCoarse);
                }
            }
            // A change of the mask starts the versions over.
            reg::ROLLING if before != value => self.sweep = None,
            reg::MISC if self.silicon.baud == BaudControl::Misc => {
                self.baud = baud_of(value >> 8 & 0x1F)
            }
            reg::AUTO_WORK => self.auto_work_cleared = value == 0,
            reg::FAST_UART => self.fast_uart(value),
            reg::CLOCK_ORDER_0 if self.silicon.walk == Walk::Midstates => self.clock_order |= 1,
            reg::CLOCK_ORDER_1 if self.silicon.walk == Walk::Midstates => self.clock_order |= 2,
            reg::ORDERED_CLOCK if self.silicon.walk == Walk::Midstates && value & 1 != 0 => {
                self.clock_order |= 4
            }
            reg::CORE => self.core_word(value),
            reg::SOFT_RESET => {
                // What it resets is unpublished; every driver repeats misc control and the core words after it.
                self.registers[usize::from(reg::MISC)] = self.silicon.power_on_misc;
                self.cores_enabled = false;
            }
            reg::CLEARABLE_HASHES if value == 0 => self.clocks_at_clear = self.clocks_done,
            reg::SENSOR if value == 0x1002_0000 => {
                self.converted_at = Some(tick.saturating_add(CONVERSION_TICKS))
            }
            _ => {}
        }
        self.refresh(tick);
    }

    /// The reply to a register read.
    pub(crate) fn read(&mut self, register: u8, tick: u64) -> Reply {
        self.count(tick);
        let value = self.value(register, tick);
        Reply::register(
            self.long(register == reg::CHIP_ID),
            value,
            self.address,
            register,
        )
    }

    /// What power and heat do to the chip.
    pub(crate) fn condition(&mut self) -> &mut ChipCondition {
        &mut self.condition
    }

    /// Whether it hears, answers and passes on.
    pub(crate) fn is_alive(&self) -> bool {
        self.condition.alive
    }

    /// What it is doing, for a model of its power.
    pub(crate) fn activity(&self) -> ChipActivity {
        ChipActivity {
            mhz: self.clock.map_or(0.0, |clock| clock.hz() / 1e6),
            hashing: self.sweep.is_some(),
        }
    }

    pub(crate) fn register(&self, register: u8, tick: u64) -> u32 {
        self.value(register, tick)
    }

    pub(crate) fn report(&self, tick: u64) -> ChipReport {
        let stats = self.stats;
        let clocks = stats.clocks + self.uncounted(tick).0;
        ChipReport {
            index: self.index,
            address: (self.relay == Relay::Addressed).then_some(self.address),
            baud: self.baud,
            clock_hz: self.clock.ok().map(Clock::hz),
            hashing: self.sweep.is_some(),
            hashes: u128::from(clocks) * u128::from(self.silicon.small_cores),
            tested: stats.tested,
            nonces: stats.nonces,
            repeats: stats.repeats,
            overlaps: stats.overlaps,
            sent: stats.sent,
            nonces_sent: stats.nonces_sent,
            lost: stats.lost,
            silent: stats.silent,
            wrong: stats.wrong,
            jobs: stats.jobs,
            writes: stats.writes,
            epochs_repeated: stats.epochs_repeated,
        }
    }

    fn long(&self, chip_id: bool) -> bool {
        is_long(self.silicon.replies, self.rolling(), chip_id)
    }

    fn fast_uart(&mut self, value: u32) {
        match self.silicon.baud {
            BaudControl::Misc => {}
            BaudControl::FastUart => self.baud = baud_of(value >> 8 & 0xFF),
            BaudControl::Latched => {
                if value == 0x8000_0000 && self.auto_work_cleared {
                    self.latched = true;
                    self.baud = 3_000_000;
                } else if !self.latched && value & 0x8000_0000 == 0 {
                    self.baud = baud_of(value >> 8 & 0xFF);
                }
            }
        }
    }

    fn core_word(&mut self, value: u32) {
        // Writes to all cores: 0x8000, then the write bit and the core register, then its value.
        if value & 0xFFFF_8000 != 0x8000_8000 {
            return;
        }
        let (register, value) = (value >> 8 & 0x7F, value & 0xFF);
        match self.silicon.walk {
            Walk::Midstates => {
                if register == 0 && self.clock_order == 7 {
                    self.cores_enabled = true;
                }
            }
            _ => {
                if register == 2 {
                    self.cores_enabled = value == 0xAA;
                }
            }
        }
    }

    fn value(&self, register: u8, tick: u64) -> u32 {
        let stored = self.registers[usize::from(register)];
        let small_cores = u128::from(self.silicon.small_cores);
        let clocks = self.clocks_done + self.uncounted(tick).0;
        let units = |clocks: u64| ((u128::from(clocks) * small_cores) >> 32) as u32;
        match register {
            reg::CHIP_ID => {
                u32::from(self.silicon.id) << 16
                    | u32::from(self.silicon.core_number) << 8
                    | u32::from(self.address)
            }
            reg::HASHRATE if self.silicon.walk == Walk::Midstates => {
                match (&self.sweep, self.clock) {
                    (Some(_), Ok(clock)) => ((clock.hz() * f64::from(self.silicon.small_cores)
                        / f64::from(1 << 20)) as u32)
                        .min(0x7F_FFFE),
                    _ => 0,
                }
            }
            // No simulated core errs yet.
            reg::ERRORS => 0,
            reg::TOTAL_HASHES if self.silicon.hash_counters => units(clocks),
            reg::DOMAIN_HASHES..reg::TOTAL_HASHES if self.silicon.hash_counters => {
                units(clocks / 4)
            }
            reg::CLEARABLE_HASHES if self.silicon.hash_counters => {
                units(clocks.saturating_sub(self.clocks_at_clear))
            }
            reg::TEMPERATURE if self.silicon.id == 0x1368 => {
                if self.converted_at.is_some_and(|at| tick >= at) {
                    let code = ((self.condition.celsius + 299.5144) / 0.171_342)
                        .round()
                        .clamp(0.0, 65535.0);
                    0x8000_0000 | code as u32
                } else {
                    0
                }
            }
            _ => stored,
        }
    }
}

/// 25 MHz / (8 x (divider + 1)).
fn baud_of(divider: u32) -> u32 {
    CRYSTAL_HZ as u32 / (8 * (divider + 1))
}
