//! The write lists of the chips, in order, as data.
//!
//! Two sequences exist. [`Sequence::Board`] is what ESP-Miner writes on Bitaxe boards, observed to run
//! on one to six chips. [`Sequence::HashBoard`] follows captures of Antminer boards: domains get their
//! drive strength and relays, addresses are handed out until they run out, and the UART is raised
//! before the chips are set up one by one. Nobody has found out which writes could be left out, so none
//! is. What no capture shows is marked as inferred.

use crate::model::ChipKind;
use crate::registers::{CoreMailbox, DriveStrength, MiscControl, Register, UartRelay};

/// Baud divider that a BM1397 has after reset: 25 MHz / (8 × 27) = 115 740 baud.
pub(crate) const BM1397_RESET_DIVIDER: u8 = 26;

/// Which bring-up a chain gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sequence {
    /// A few chips on one board, as Bitaxe boards have them.
    Board,
    /// A long chain of many voltage domains.
    HashBoard,
}

/// One line of a script.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Op {
    /// Write to all chips.
    All(Register, u32),
    /// Write to the chip nearest to the host.
    FirstChip(Register, u32),
    /// Do all of this for one chip after the other.
    EachChip(&'static [PerChip]),
    /// Write to the last chip of each domain.
    DomainEnds(Register, u32),
    /// Relay register of the first and last chip of each domain.
    DomainRelays,
    /// Configured version mask to all chips.
    VersionMask,
    /// Configured ticket mask to all chips.
    Ticket,
    /// Take all addresses away.
    Inactive,
    /// Hand out addresses.
    Addresses,
    /// Read all chip ids.
    Discover,
    /// Change to the configured baud rate, if it is not the one after reset.
    Baud,
    /// Nonce offset of each chip.
    NonceOffsets,
    /// Clock from where the plan starts to where it ends.
    Ramp,
    /// Sweep length for the clock at which the plan ends.
    Sweep,
    /// Sweep length 0.
    StopSweep,
    /// Wait this many milliseconds.
    Wait(u16),
}

/// One line for a single chip.
#[derive(Clone, Copy, Debug)]
pub(crate) enum PerChip {
    Write(Register, u32),
    Wait(u16),
}

/// The scripts of one chip and sequence.
pub(crate) struct Scripts {
    /// Up to the read of all ids.
    pub(crate) discovery: &'static [Op],
    /// From there to the ramp.
    pub(crate) bring_up: &'static [Op],
    /// After the first ramp.
    pub(crate) after_ramp: &'static [Op],
    /// After the first job.
    pub(crate) after_first_job: &'static [Op],
}

impl Scripts {
    pub(crate) fn of(kind: ChipKind, sequence: Sequence, chips: u16) -> Self {
        let hash_board = sequence == Sequence::HashBoard;
        match kind {
            ChipKind::Bm1362 => Self {
                discovery: DISCOVERY_3,
                bring_up: if hash_board {
                    BM1362_HASH_BOARD
                } else {
                    BM1362_BOARD
                },
                after_ramp: BM1362_AFTER_RAMP,
                after_first_job: &[],
            },
            ChipKind::Bm1366 => Self {
                discovery: DISCOVERY_3,
                bring_up: if hash_board {
                    BM1366_HASH_BOARD
                } else {
                    BM1366_BOARD
                },
                after_ramp: SWEEP_AND_MASK,
                after_first_job: &[],
            },
            ChipKind::Bm1368 => Self {
                discovery: DISCOVERY_4,
                bring_up: if hash_board {
                    BM1368_HASH_BOARD
                } else {
                    BM1368_BOARD
                },
                after_ramp: SWEEP_AND_MASK,
                after_first_job: &[],
            },
            ChipKind::Bm1370 => Self {
                discovery: DISCOVERY_3,
                bring_up: if hash_board {
                    BM1370_HASH_BOARD
                } else {
                    BM1370_BOARD
                },
                // Factory firmware writes both after the offsets. By then the first job may have brought
                // another mask, so here they come before it, where ESP-Miner's sweep length is too.
                after_ramp: if hash_board {
                    SWEEP_AND_MASK
                } else {
                    &[Op::Sweep]
                },
                after_first_job: if chips > 1 { &[Op::NonceOffsets] } else { &[] },
            },
            ChipKind::Bm1372 | ChipKind::Bm1373 => Self {
                discovery: &[Op::Discover],
                bring_up: BM1372,
                after_ramp: SWEEP_AND_MASK,
                after_first_job: &[],
            },
            ChipKind::Bm1397 => Self {
                discovery: &[Op::Discover],
                bring_up: BM1397,
                after_ramp: &[],
                after_first_job: &[],
            },
        }
    }
}

/// A live change upwards: the shorter sweep first, so that chips never overlap on the way.
pub(crate) const RAMP_UP: &[Op] = &[Op::Sweep, Op::Ramp, Op::Sweep];
/// A live change downwards.
pub(crate) const RAMP_DOWN: &[Op] = &[Op::Ramp, Op::Sweep];
/// The first ramp; what follows it stands in [`Scripts::after_ramp`].
pub(crate) const RAMP: &[Op] = &[Op::Ramp];
pub(crate) const STOP: &[Op] = &[Op::StopSweep, Op::Ramp];

const DISCOVERY_3: &[Op] = &[
    Op::VersionMask,
    Op::VersionMask,
    Op::VersionMask,
    Op::Discover,
];
const DISCOVERY_4: &[Op] = &[
    Op::VersionMask,
    Op::VersionMask,
    Op::VersionMask,
    Op::VersionMask,
    Op::Discover,
];
const SWEEP_AND_MASK: &[Op] = &[Op::Sweep, Op::VersionMask];

/// Default of the soft reset register from BM1366 on.
const RESET_DEFAULT: u32 = 0x0007_0000;
/// Soft reset of one chip before its cores are set up, from BM1366 on.
const RESET_CHIP: u32 = 0x0007_01F0;
/// Soft reset of one BM1362.
const RESET_BM1362: u32 = 0x0000_0002;
/// Temperature diode mux of BM1362, BM1366 and BM1368.
const MUX_DEFAULT: u32 = 3;
/// Temperature diode mux of BM1370 and later.
const MUX_DIODE: u32 = 2;
/// Turns the ring-oscillator pads off.
const PADS_OFF: u32 = 0x5AA5_5AA5;
/// Written to register 0xB9 before and after the mux on the BM1370.
const AROUND_MUX: u32 = 0x0000_4480;

const fn core(register: u8, value: u8) -> u32 {
    CoreMailbox { register, value }.to_bits()
}

const CORE_ENABLE: u32 = CoreMailbox::ENABLE.to_bits();
const SELECT: u32 = core(CoreMailbox::CLOCK_SELECT, 0x40);
const SELECT_LATER: u32 = core(CoreMailbox::CLOCK_SELECT_LATER, 0x00);
/// Clock delay seen on captures of S19j Pro.
const DELAY_1362: u32 = core(CoreMailbox::CLOCK_DELAY, 0x08);
const DELAY_1366: u32 = core(CoreMailbox::CLOCK_DELAY, 0x20);
const DELAY_1368: u32 = core(CoreMailbox::CLOCK_DELAY, 0x18);
const DELAY_1370: u32 = core(CoreMailbox::CLOCK_DELAY, 0x0C);

macro_rules! per_chip {
    ($reset:expr, $misc:expr, $select:expr, $delay:expr $(, wait $millis:literal)?) => {
        &[
            PerChip::Write(Register::SoftReset, $reset),
            PerChip::Write(Register::MiscControl, $misc.0),
            PerChip::Write(Register::CoreMailbox, $select),
            PerChip::Write(Register::CoreMailbox, $delay),
            PerChip::Write(Register::CoreMailbox, CORE_ENABLE),
            $(PerChip::Wait($millis),)?
        ]
    };
}

/// BM1362: values from captures of S19j Pro; their order is inferred from the general one. The clock is
/// ramped before the cores are enabled, so that part stands in [`BM1362_AFTER_RAMP`].
const BM1362_BOARD: &[Op] = &[
    Op::All(Register::SoftReset, 0),
    Op::All(Register::MiscControl, MiscControl::BM1362.0),
    Op::Inactive,
    Op::Addresses,
    Op::All(Register::CoreMailbox, SELECT),
    Op::All(Register::CoreMailbox, DELAY_1362),
    Op::Ticket,
    Op::All(Register::AnalogMux, MUX_DEFAULT),
    Op::All(Register::DriveStrength, DriveStrength::NORMAL.0),
    Op::Baud,
];

/// The same with the pauses of a long chain. Relays and domain ends are left alone: the capture
/// never writes them.
const BM1362_HASH_BOARD: &[Op] = &[
    Op::All(Register::SoftReset, 0),
    Op::All(Register::MiscControl, MiscControl::BM1362.0),
    Op::Wait(30),
    Op::Inactive,
    Op::Wait(30),
    Op::Addresses,
    Op::Wait(50),
    Op::All(Register::CoreMailbox, SELECT),
    Op::All(Register::CoreMailbox, DELAY_1362),
    Op::Ticket,
    Op::All(Register::AnalogMux, MUX_DEFAULT),
    Op::All(Register::DriveStrength, DriveStrength::NORMAL.0),
    Op::Baud,
    Op::Wait(100),
];

const BM1362_AFTER_RAMP: &[Op] = &[
    Op::EachChip(per_chip!(
        RESET_BM1362,
        MiscControl::BM1362,
        SELECT,
        DELAY_1362
    )),
    Op::Sweep,
    Op::VersionMask,
];

const BM1366_CHIP: &[PerChip] = per_chip!(RESET_CHIP, MiscControl::REPORTING, SELECT, DELAY_1366);

const BM1366_BOARD: &[Op] = &[
    Op::All(Register::SoftReset, RESET_DEFAULT),
    Op::All(Register::MiscControl, MiscControl::BROADCAST.0),
    Op::Inactive,
    Op::Addresses,
    Op::All(Register::CoreMailbox, SELECT),
    Op::All(Register::CoreMailbox, DELAY_1366),
    Op::Ticket,
    Op::All(Register::AnalogMux, MUX_DEFAULT),
    Op::All(Register::DriveStrength, DriveStrength::BM1366.0),
    // The word of the first domain of an S19 XP, written to the first chip of any board.
    Op::FirstChip(Register::UartRelay, UartRelay::for_domain(110).to_bits()),
    Op::EachChip(BM1366_CHIP),
    Op::Baud,
];

/// Inferred: the general order of long chains with the values of BM1366 boards. Relays on every domain
/// are inferred from the gap count in the word that such boards write, which fits 110 chips.
const BM1366_HASH_BOARD: &[Op] = &[
    Op::All(Register::SoftReset, RESET_DEFAULT),
    Op::All(Register::MiscControl, MiscControl::BROADCAST.0),
    Op::Wait(30),
    Op::Inactive,
    Op::Wait(30),
    Op::Addresses,
    Op::Wait(50),
    Op::All(Register::CoreMailbox, SELECT),
    Op::All(Register::CoreMailbox, DELAY_1366),
    Op::Ticket,
    Op::All(Register::AnalogMux, MUX_DEFAULT),
    Op::All(Register::DriveStrength, DriveStrength::BM1366.0),
    Op::DomainRelays,
    Op::Baud,
    Op::Wait(100),
    Op::EachChip(BM1366_CHIP),
    Op::Wait(100),
];

const BM1368_BOARD: &[Op] = &[
    Op::Inactive,
    Op::All(Register::SoftReset, RESET_DEFAULT),
    Op::All(Register::MiscControl, MiscControl::BROADCAST.0),
    Op::All(Register::CoreMailbox, SELECT_LATER),
    Op::All(Register::CoreMailbox, DELAY_1368),
    // Difficulty 256 whatever the configuration; the configured one follows.
    Op::All(Register::TicketMask, 0x0000_00FF),
    Op::All(Register::AnalogMux, MUX_DEFAULT),
    Op::All(Register::DriveStrength, DriveStrength::BM1366.0),
    Op::Addresses,
    Op::EachChip(per_chip!(RESET_CHIP, MiscControl::REPORTING, SELECT_LATER, DELAY_1368, wait 500)),
    Op::Ticket,
    Op::Baud,
];

/// Inferred: the order of BM1368 boards without their half second per chip, which would take a minute
/// here, with ring-oscillator pads off and pauses as long chains have them.
const BM1368_HASH_BOARD: &[Op] = &[
    Op::Inactive,
    Op::Wait(30),
    Op::All(Register::SoftReset, RESET_DEFAULT),
    Op::All(Register::MiscControl, MiscControl::BROADCAST.0),
    Op::All(Register::CoreMailbox, SELECT_LATER),
    Op::All(Register::CoreMailbox, DELAY_1368),
    Op::All(Register::TicketMask, 0x0000_00FF),
    Op::All(Register::AnalogMux, MUX_DEFAULT),
    Op::All(Register::DriveStrength, DriveStrength::BM1366.0),
    Op::All(Register::RingOscillatorPads, PADS_OFF),
    Op::Wait(30),
    Op::Addresses,
    Op::Wait(50),
    Op::Baud,
    Op::Wait(100),
    Op::EachChip(per_chip!(
        RESET_CHIP,
        MiscControl::REPORTING,
        SELECT_LATER,
        DELAY_1368
    )),
    Op::Wait(200),
    Op::Ticket,
];

const BM1370_CHIP: &[PerChip] =
    per_chip!(RESET_CHIP, MiscControl::REPORTING, SELECT_LATER, DELAY_1370);

const BM1370_BOARD: &[Op] = &[
    Op::VersionMask,
    Op::All(Register::SoftReset, RESET_DEFAULT),
    Op::All(Register::MiscControl, MiscControl::REPORTING.0),
    Op::Inactive,
    Op::Addresses,
    Op::All(Register::CoreMailbox, SELECT_LATER),
    Op::All(Register::CoreMailbox, DELAY_1370),
    Op::Ticket,
    Op::All(Register::DriveStrength, DriveStrength::NORMAL.0),
    Op::EachChip(BM1370_CHIP),
    Op::All(Register::Adc1, AROUND_MUX),
    Op::All(Register::AnalogMux, MUX_DIODE),
    Op::All(Register::Adc1, AROUND_MUX),
    Op::All(
        Register::CoreMailbox,
        core(CoreMailbox::NONCE_OVERFLOW, 0xEE),
    ),
    Op::Baud,
];

/// As captured on S21 Pro.
const BM1370_HASH_BOARD: &[Op] = &[
    Op::VersionMask,
    Op::All(Register::SoftReset, RESET_DEFAULT),
    Op::All(Register::MiscControl, MiscControl::REPORTING.0),
    Op::Wait(30),
    Op::Inactive,
    Op::Wait(30),
    Op::Addresses,
    Op::Wait(50),
    Op::All(Register::CoreMailbox, SELECT_LATER),
    Op::All(Register::CoreMailbox, DELAY_1370),
    Op::Ticket,
    Op::All(Register::DriveStrength, DriveStrength::NORMAL.0),
    Op::DomainEnds(Register::DriveStrength, DriveStrength::DOMAIN_END.0),
    Op::All(Register::RingOscillatorPads, PADS_OFF),
    Op::DomainRelays,
    Op::Wait(30),
    Op::Baud,
    Op::Wait(100),
    Op::EachChip(BM1370_CHIP),
    Op::Wait(100),
    Op::All(Register::Adc1, AROUND_MUX),
    Op::All(Register::AnalogMux, MUX_DIODE),
    Op::All(Register::Adc1, AROUND_MUX),
    Op::All(
        Register::CoreMailbox,
        core(CoreMailbox::NONCE_OVERFLOW, 0xEE),
    ),
    Op::Wait(100),
];

/// BM1372/73 as ESP-Miner writes it; the same for any chain that its addresses allow.
const BM1372: &[Op] = &[
    Op::Inactive,
    Op::Wait(10),
    Op::Addresses,
    Op::Wait(10),
    Op::All(
        Register::CoreMailbox,
        core(CoreMailbox::NONCE_OVERFLOW, 0x04),
    ),
    Op::Ticket,
    Op::All(Register::DriveStrength, DriveStrength::NORMAL.0),
    Op::DomainEnds(Register::DriveStrength, DriveStrength::DOMAIN_END.0),
    Op::All(Register::RingOscillatorPads, PADS_OFF),
    Op::Wait(10),
    Op::Baud,
    Op::Wait(10),
    // Fast soft reset.
    Op::All(Register::SoftReset, 0xF007_01F0),
    Op::Wait(20),
    Op::All(Register::MiscControl, MiscControl::BM1372.0),
    Op::Wait(10),
    Op::All(Register::Unnamed19, 0),
    Op::Wait(10),
    Op::All(Register::CoreMailbox, SELECT_LATER),
    Op::Wait(10),
    Op::All(Register::CoreMailbox, core(CoreMailbox::CLOCK_DELAY, 0x5A)),
    Op::Wait(10),
    Op::All(Register::CoreMailbox, CORE_ENABLE),
    Op::Wait(10),
    Op::All(Register::AnalogMux, MUX_DIODE),
];

const BM1397: &[Op] = &[
    Op::Wait(20),
    Op::Inactive,
    Op::Addresses,
    Op::All(Register::ClockOrder0, 0),
    Op::All(Register::ClockOrder1, 0),
    Op::All(Register::OrderedClockEnable, 1),
    Op::All(Register::CoreMailbox, core(CoreMailbox::CLOCK_DELAY, 0x74)),
    Op::Ticket,
    // Fourth PLL, for the fast UART.
    Op::All(Register::RingOscillatorPads, 0xC070_0111),
    Op::All(Register::FastUart, 0x0600_000F),
    Op::All(
        Register::MiscControl,
        MiscControl::BM1397
            .with_bm1397_divider(BM1397_RESET_DIVIDER)
            .0,
    ),
    Op::Baud,
];
