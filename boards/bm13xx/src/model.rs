//! What differs between the chips, as data: one [`ChipModel`] per chip.

use core::fmt;
use core::ops::RangeInclusive;
use core::str::FromStr;

use crate::decoder::ReplyLengths;
use crate::registers::{self, FastUart, MiscControl, Register};
use crate::units::{Baud, Megahertz};

/// The chips that this crate knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChipKind {
    /// S19j Pro, EmberOne00.
    Bm1362,
    /// S19 XP, S19k Pro, Bitaxe Ultra and Hex.
    Bm1366,
    /// S21, T21, Bitaxe Supra.
    Bm1368,
    /// S21 Pro, S21 XP, Bitaxe Gamma and GT.
    Bm1370,
    /// Newest generation.
    Bm1372,
    /// Newest generation, driven like the BM1372.
    Bm1373,
    /// S17, T17, Bitaxe Max.
    Bm1397,
}

impl ChipKind {
    /// Every chip.
    pub const ALL: [Self; 7] = [
        Self::Bm1362,
        Self::Bm1366,
        Self::Bm1368,
        Self::Bm1370,
        Self::Bm1372,
        Self::Bm1373,
        Self::Bm1397,
    ];

    /// The facts about this chip.
    #[must_use]
    pub const fn model(self) -> &'static ChipModel {
        match self {
            Self::Bm1362 => &BM1362,
            Self::Bm1366 => &BM1366,
            Self::Bm1368 => &BM1368,
            Self::Bm1370 => &BM1370,
            Self::Bm1372 => &BM1372,
            Self::Bm1373 => &BM1373,
            Self::Bm1397 => &BM1397,
        }
    }

    /// The chip that reports `chip_id` in register 0x00.
    #[must_use]
    pub fn from_chip_id(chip_id: u16) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.model().chip_id == chip_id)
    }
}

impl fmt::Display for ChipKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.model().name)
    }
}

impl FromStr for ChipKind {
    type Err = UnknownChip;

    /// Reads a name such as `BM1370`, in upper or lower case.
    fn from_str(name: &str) -> Result<Self, UnknownChip> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.model().name.eq_ignore_ascii_case(name))
            .ok_or(UnknownChip)
    }
}

/// A name that is no chip's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown chip; known are BM1362, BM1366, BM1368, BM1370, BM1372, BM1373 and BM1397")]
pub struct UnknownChip;

/// What a job of a chip contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobFormat {
    /// The whole header; the chip rolls the version itself.
    Header,
    /// One or four midstates; the host rolls the version.
    Midstate,
}

/// The facts about a chip. Counts of cores are the ones that programs of the field calculate with;
/// nobody outside the factory knows the silicon.
#[derive(Clone, Debug, PartialEq)]
pub struct ChipModel {
    /// Which chip.
    pub kind: ChipKind,
    /// Its name, e.g. `BM1370`.
    pub name: &'static str,
    /// The id in register 0x00.
    pub chip_id: u16,
    /// Cores; each has its own part of the nonce space.
    pub cores: u16,
    /// Sub-cores of a core, which hash the same nonces with different versions. For BM1372/73 this is
    /// inferred: the small cores divided among the cores, rounded up to a power of two.
    pub sub_cores: u16,
    /// Hashes per clock of the whole chip.
    pub small_cores: u32,
    /// What a job contains.
    pub job_format: JobFormat,
    /// Jobs that a chip can tell apart: live slots are 0..slots.
    pub slots: u8,
    /// Hash counters besides the total (registers 0x88 and up); 0 on chips without those counters.
    pub hash_domains: u8,
    /// Feedback divider of the PLL. For the BM1362 inferred from its oscillator window.
    pub fb: RangeInclusive<u16>,
    /// Oscillator window of the PLL in MHz.
    pub vco_mhz: RangeInclusive<f64>,
    /// The fastest rate in common use on single boards.
    pub run_baud: Baud,
    /// Lengths of replies.
    pub replies: ReplyLengths,
    /// Ticks taken off the sweep length against overlap: 268 on the BM1370 as ESP-Miner does, elsewhere 200
    /// (an overrun of 109 to 132 ticks was measured).
    pub sweep_guard: u32,
    /// Sweep length that fits at any clock and chain length, for chips on which the formula makes chips
    /// overlap.
    pub fixed_sweep: Option<u32>,
    pub(crate) ids: JobIds,
    pub(crate) nonces: NonceLayout,
    pub(crate) addresses: AddressScale,
    pub(crate) uart: UartControl,
}

impl ChipModel {
    /// Hashes per second of `chips` chips at clock `f`.
    #[must_use]
    pub fn hashrate_hps(&self, f: Megahertz, chips: u16) -> f64 {
        f.hz() * f64::from(self.small_cores) * f64::from(chips)
    }

    /// The id byte that a job in `slot` carries to the chips. Slots beyond [`ChipModel::slots`] wrap.
    #[must_use]
    pub const fn wire_id(&self, slot: u8) -> u8 {
        (slot % self.slots) << self.ids.out_shift
    }

    /// The slot, always below [`ChipModel::slots`], that the id byte of a nonce reply stands for, and
    /// what else it holds: the midstate index on a BM1397, the sub-core on all others.
    #[must_use]
    pub const fn slot_of(&self, reply_id: u8) -> (u8, u8) {
        let slot = (reply_id >> self.ids.back_shift) % self.slots;
        (slot, reply_id & ((1 << self.ids.back_shift) - 1))
    }

    /// Register writes that set the UART of the chips to the rate closest to `wanted`, and that rate.
    ///
    /// # Errors
    ///
    /// When no rate within 5 % exists.
    pub fn baud_change(&self, wanted: Baud) -> Result<BaudChange, BaudError> {
        let (baud, writes) = match self.uart {
            UartControl::FastUart { mode, top_mode } => {
                let divider = nearest_divider(wanted, u8::MAX);
                let mode = if divider == 0 { top_mode } else { mode };
                let uart = FastUart { mode, divider };
                (
                    uart.baud(),
                    [None, Some((Register::FastUart, uart.to_bits()))],
                )
            }
            UartControl::MiscControl => {
                let divider = nearest_divider(wanted, 31);
                let misc = MiscControl::BM1397.with_bm1397_divider(divider);
                (
                    registers::divided_baud(divider),
                    [None, Some((Register::MiscControl, misc.0))],
                )
            }
            UartControl::Fixed3M => (
                Baud::new(3_000_000),
                [
                    Some((Register::AutoWork, 0)),
                    Some((Register::FastUart, 0x8000_0000)),
                ],
            ),
        };
        if baud.get().abs_diff(wanted.get()) > wanted.get() / 20 {
            return Err(BaudError {
                chip: self.name,
                wanted,
                nearest: baud,
            });
        }
        Ok(BaudChange { baud, writes })
    }
}

/// How to set the UART of the chips to a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BaudChange {
    /// The rate that the chips will really have.
    pub baud: Baud,
    /// Writes to all chips, in order. The chips change over after the last.
    pub writes: [Option<(Register, u32)>; 2],
}

/// A UART rate that a chip cannot make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a {chip} cannot talk at {wanted}; the closest rate it has is {nearest}")]
pub struct BaudError {
    /// Name of the chip.
    pub chip: &'static str,
    /// What was asked.
    pub wanted: Baud,
    /// The closest rate.
    pub nearest: Baud,
}

/// Positions of the job id in the byte that goes out and the one that comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JobIds {
    out_shift: u8,
    back_shift: u8,
}

/// How the chip that found a nonce shows in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NonceLayout {
    /// The sweep starts at the chip's address.
    Address,
    /// The sweep starts at the offset written to register 0x0C.
    Offset,
}

/// How addresses are spread over the chips.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AddressScale {
    /// 256 divided by the chip count, rounded up to a power of two.
    PowerOfTwo,
    /// BM1372/73: address 16 × index; commands to one chip use a quarter of that, and nonces 256
    /// divided by the chip count.
    Sixteen,
}

/// How the baud rate is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UartControl {
    /// Register 0x28 with a divider; `top_mode` goes with divider 0.
    FastUart { mode: u16, top_mode: u16 },
    /// Register 0x18 (BM1397).
    MiscControl,
    /// 3 Mbaud or the reset rate, nothing else; only a reset leads back.
    Fixed3M,
}

const BM1362: ChipModel = ChipModel {
    kind: ChipKind::Bm1362,
    name: "BM1362",
    chip_id: 0x1362,
    cores: 65,
    sub_cores: 8,
    small_cores: 514,
    job_format: JobFormat::Header,
    slots: 32,
    hash_domains: 0,
    fb: 160..=239,
    vco_mhz: 2000.0..=3200.0,
    run_baud: registers::divided_baud(0),
    replies: ReplyLengths::Growing,
    sweep_guard: 200,
    fixed_sweep: None,
    ids: JobIds {
        out_shift: 3,
        back_shift: 3,
    },
    nonces: NonceLayout::Address,
    addresses: AddressScale::PowerOfTwo,
    uart: UartControl::FastUart {
        mode: 0x1130,
        top_mode: 0x1130,
    },
};

const BM1366: ChipModel = ChipModel {
    kind: ChipKind::Bm1366,
    name: "BM1366",
    chip_id: 0x1366,
    cores: 112,
    sub_cores: 8,
    small_cores: 894,
    slots: 16,
    hash_domains: 4,
    fb: 144..=235,
    vco_mhz: 1800.0..=3000.0,
    run_baud: registers::divided_baud(2),
    ..BM1362
};

const BM1368: ChipModel = ChipModel {
    kind: ChipKind::Bm1368,
    name: "BM1368",
    chip_id: 0x1368,
    cores: 80,
    sub_cores: 16,
    small_cores: 1276,
    ids: JobIds {
        out_shift: 3,
        back_shift: 4,
    },
    ..BM1366
};

const BM1370: ChipModel = ChipModel {
    kind: ChipKind::Bm1370,
    name: "BM1370",
    chip_id: 0x1370,
    cores: 128,
    small_cores: 2040,
    fb: 160..=239,
    vco_mhz: 1600.0..=3200.0,
    sweep_guard: 268,
    nonces: NonceLayout::Offset,
    uart: UartControl::FastUart {
        mode: 0x1130,
        top_mode: 0x0130,
    },
    ..BM1368
};

const BM1372: ChipModel = ChipModel {
    kind: ChipKind::Bm1372,
    name: "BM1372",
    chip_id: 0x1372,
    sub_cores: 64,
    small_cores: 6725,
    vco_mhz: 1800.0..=3000.0,
    run_baud: Baud::new(3_000_000),
    replies: ReplyLengths::ShortId,
    fixed_sweep: Some(0x1EB5),
    nonces: NonceLayout::Address,
    addresses: AddressScale::Sixteen,
    uart: UartControl::Fixed3M,
    ..BM1370
};

const BM1373: ChipModel = ChipModel {
    kind: ChipKind::Bm1373,
    name: "BM1373",
    chip_id: 0x1373,
    ..BM1372
};

const BM1397: ChipModel = ChipModel {
    kind: ChipKind::Bm1397,
    name: "BM1397",
    chip_id: 0x1397,
    cores: 168,
    sub_cores: 4,
    small_cores: 672,
    job_format: JobFormat::Midstate,
    slots: 32,
    hash_domains: 0,
    fb: 60..=200,
    vco_mhz: 750.0..=2500.0,
    run_baud: registers::divided_baud(0),
    replies: ReplyLengths::Short,
    ids: JobIds {
        out_shift: 2,
        back_shift: 2,
    },
    uart: UartControl::MiscControl,
    ..BM1362
};

fn nearest_divider(wanted: Baud, most: u8) -> u8 {
    (0..=most)
        .min_by_key(|&divider| {
            registers::divided_baud(divider)
                .get()
                .abs_diff(wanted.get())
        })
        .unwrap_or(most)
}
