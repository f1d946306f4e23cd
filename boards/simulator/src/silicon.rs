//! What differs between chip models, as data: geometry of the search, job and reply layouts, power-on register values and
//! PLL limits. All of it was observed on real machines or in open drivers; where nobody published a value, the comment says
//! that this one was chosen.

use crate::spec::Chip;

/// Constants of one chip model.
#[derive(Debug)]
pub(crate) struct Silicon {
    /// Upper half of register 0x00.
    pub(crate) id: u16,
    /// Third byte of register 0x00.
    pub(crate) core_number: u8,
    /// Sub-cores that share a core's nonces and differ by version.
    pub(crate) sub_cores: u32,
    /// Hashes per hash clock of the whole chip.
    pub(crate) small_cores: u32,
    /// How the search space is walked.
    pub(crate) walk: Walk,
    /// How job ids come back.
    pub(crate) ids: IdLayout,
    /// Reply lengths.
    pub(crate) replies: Replies,
    /// VCO limits in MHz; outside, the PLL does not lock.
    pub(crate) vco_mhz: (u32, u32),
    /// Whether the PLL post dividers are stored minus one.
    pub(crate) post_minus_one: bool,
    /// Which register sets the baud rate.
    pub(crate) baud: BaudControl,
    /// Whether registers 0x88..0x8C and 0x90 count hashes.
    pub(crate) hash_counters: bool,
    /// PLL register after reset: about 50 MHz on every model (the exact power-on value is not published).
    pub(crate) power_on_pll: u32,
    /// Misc control after reset.
    pub(crate) power_on_misc: u32,
}

/// Where a chip starts in the counter and how fast the counter runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Walk {
    /// 25-bit counter below a 7-bit core field, two counters per clock, start from address bits 7..1.
    ByAddress,
    /// The same, start from register 0x0C.
    ByOffset,
    /// The same with four counters per clock, start from an address rescaled by the chip count.
    ByPosition,
    /// Midstate jobs: 22-bit counter below a 2-bit small core and an 8-bit core, one counter per midstate and clock.
    Midstates,
}

/// Which bits of the job byte come back, beside what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IdLayout {
    /// Bits 7..2, midstate index below.
    High6,
    /// Bits 7..3, sub-core below.
    High5,
    /// Bits 6..3 moved up by one, sub-core below.
    Mid4,
}

/// Lengths of replies on the wire, preamble included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replies {
    /// Always 9.
    Short,
    /// 9 until version rolling is enabled, then 11.
    LongWithRolling,
    /// Chip id 9, everything else 11.
    ShortId,
}

/// How the baud rate is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BaudControl {
    /// Divider in register 0x18, bits 12..8.
    Misc,
    /// Divider in register 0x28, bits 15..8.
    FastUart,
    /// 3 Mbaud by 0xC4 = 0 and 0x28 = 0x80000000; only the reset line undoes it.
    Latched,
}

/// Crystal frequency: the tick of register 0x10 and the base of PLL and UART.
pub(crate) const CRYSTAL_HZ: u64 = 25_000_000;
/// Nanoseconds per crystal tick.
pub(crate) const TICK_NS: u64 = 40;
/// Divider at reset: 25 MHz / (8 x 27).
pub(crate) const RESET_BAUD: u32 = 115_740;

impl Walk {
    /// Counters that pass per hash clock.
    pub(crate) fn counters_per_clock(self) -> u64 {
        match self {
            Walk::ByAddress | Walk::ByOffset => 2,
            Walk::ByPosition => 4,
            Walk::Midstates => 1,
        }
    }
}

/// The constants of a model.
pub(crate) fn silicon(chip: Chip) -> &'static Silicon {
    match chip {
        Chip::Bm1397 => &BM1397,
        Chip::Bm1362 => &BM1362,
        Chip::Bm1366 => &BM1366,
        Chip::Bm1368 => &BM1368,
        Chip::Bm1370 => &BM1370,
        Chip::Bm1372 => &BM1372,
        Chip::Bm1373 => &BM1373,
    }
}

static BM1397: Silicon = Silicon {
    id: 0x1397,
    core_number: 0x18,
    sub_cores: 4,
    small_cores: 672,
    walk: Walk::Midstates,
    ids: IdLayout::High6,
    replies: Replies::Short,
    // Open drivers run it from feedback 60 / reference 2 upwards.
    vco_mhz: (700, 3200),
    post_minus_one: false,
    baud: BaudControl::Misc,
    hash_counters: false,
    power_on_pll: 0x403C_0253,
    power_on_misc: 0x0000_7A31,
};

static BM1362: Silicon = Silicon {
    id: 0x1362,
    core_number: 0,
    sub_cores: 8,
    small_cores: 514,
    walk: Walk::ByAddress,
    ids: IdLayout::High5,
    replies: Replies::LongWithRolling,
    vco_mhz: (2000, 3200),
    post_minus_one: true,
    baud: BaudControl::FastUart,
    hash_counters: false,
    power_on_pll: 0x40A8_0265,
    power_on_misc: 0x0000_C100,
};

static BM1366: Silicon = Silicon {
    id: 0x1366,
    small_cores: 894,
    vco_mhz: (1600, 3200),
    hash_counters: true,
    ..BM1362
};

static BM1368: Silicon = Silicon {
    id: 0x1368,
    sub_cores: 16,
    small_cores: 1276,
    ids: IdLayout::Mid4,
    ..BM1366
};

static BM1370: Silicon = Silicon {
    id: 0x1370,
    small_cores: 2040,
    walk: Walk::ByOffset,
    ..BM1368
};

static BM1372: Silicon = Silicon {
    id: 0x1372,
    small_cores: 6725,
    walk: Walk::ByPosition,
    replies: Replies::ShortId,
    baud: BaudControl::Latched,
    ..BM1368
};

static BM1373: Silicon = Silicon {
    id: 0x1373,
    ..BM1372
};
