//! Registers of the chips: addresses, and one type per register whose bits are understood.
//!
//! No datasheet is public. Names are the ones the field uses; each type says where its layout was
//! observed and what is unknown. A register without a type here is written with the words that
//! captures of working machines show, and nothing more is known of it.

use core::time::Duration;

use crate::units::{Baud, ChipAddress};

/// The crystal that clocks every board.
pub const CRYSTAL_HZ: u32 = 25_000_000;

macro_rules! registers {
    ($($(#[$doc:meta])* $name:ident = $address:literal,)*) => {
        /// Register addresses.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Register {
            $($(#[$doc])* $name = $address,)*
        }

        impl Register {
            /// Every register named here, by address.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The register at `address`, if it has a name.
            #[must_use]
            pub const fn from_address(address: u8) -> Option<Self> {
                match address {
                    $($address => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

registers! {
    /// Chip id and address, see [`ChipIdentity`]. A broadcast read is how chips are found.
    ChipId = 0x00,
    /// Momentary hashrate of a BM1397, see [`hashrate`].
    HashRate = 0x04,
    /// Hash clock, see [`Pll`](crate::Pll).
    Pll = 0x08,
    /// Where a BM1370 of a chain starts its sweep, see [`NonceOffset`].
    NonceOffset = 0x0C,
    /// Sweep length in crystal ticks; 0 stops hashing. Not on the BM1397.
    HashCountingNumber = 0x10,
    /// Nonce filter, see [`TicketMask`](crate::TicketMask).
    TicketMask = 0x14,
    /// Nonce reporting and reset details; on the BM1397 also the baud divider, see [`MiscControl`].
    MiscControl = 0x18,
    /// Written with 0 on BM1372/73 before the cores are set up; meaning unknown.
    Unnamed19 = 0x19,
    /// I2C master for sensors behind the chip (older boards).
    I2cControl = 0x1C,
    /// Ordered clock enable on the BM1397; I2C on older chips.
    OrderedClockEnable = 0x20,
    /// UART rate, see [`FastUart`].
    FastUart = 0x28,
    /// Relays of a voltage domain, see [`UartRelay`].
    UartRelay = 0x2C,
    /// Window to the registers inside the cores, see [`CoreMailbox`].
    CoreMailbox = 0x3C,
    /// External temperature sensor (older boards).
    ExternalSensor = 0x44,
    /// Error flags; layout unknown.
    ErrorFlag = 0x48,
    /// Counts hashing errors, all chips.
    ErrorCounter = 0x4C,
    /// What the analog pin shows: 2 the temperature diode (BM1370), 3 the value of other chips.
    AnalogMux = 0x54,
    /// Strength of the output pins, see [`DriveStrength`].
    DriveStrength = 0x58,
    /// Second PLL of older chips.
    Pll1 = 0x60,
    /// Third PLL of older chips.
    Pll2 = 0x64,
    /// Fourth PLL (BM1397); ring-oscillator pads on BM1368/70/72, where 0x5AA55AA5 turns them off.
    RingOscillatorPads = 0x68,
    /// Divider of the first PLL on the BM1397, written with 0x0F0F0F00 before each change of clock.
    PllDivider = 0x70,
    /// Clock order control 0 (BM1397).
    ClockOrder0 = 0x80,
    /// Clock order control 1 (BM1397).
    ClockOrder1 = 0x84,
    /// Hashes done by domain 0 in units of 2³², BM1366 and later.
    HashCount0 = 0x88,
    /// Hashes done by domain 1.
    HashCount1 = 0x89,
    /// Hashes done by domain 2.
    HashCount2 = 0x8A,
    /// Hashes done by domain 3.
    HashCount3 = 0x8B,
    /// Hashes done by the whole chip in units of 2³², BM1366 and later.
    HashCountTotal = 0x8C,
    /// Hash counter that a write of 0 clears.
    HashCounter = 0x90,
    /// Version rolling, see [`VersionRolling`].
    VersionRolling = 0xA4,
    /// Soft resets; always followed by a write of [`Register::MiscControl`].
    SoftReset = 0xA8,
    /// Starts a temperature conversion (BM1368).
    TemperatureControl = 0xB0,
    /// Result of the last temperature conversion (BM1368), see [`temperature`].
    TemperatureResult = 0xB4,
    /// Voltage converter, configuration.
    Adc0 = 0xB8,
    /// Written with 0x00004480 around the change of the analog mux on the BM1370.
    Adc1 = 0xB9,
    /// Voltage converter; use unknown.
    Adc2 = 0xBA,
    /// Voltage converter; use unknown.
    Adc3 = 0xBB,
    /// Voltage converter; use unknown.
    Adc4 = 0xBC,
    /// Voltage converter, result, see [`voltage`].
    AdcResult = 0xBD,
    /// Automatic work of BM1372/73, switched off before the fast UART is switched on.
    AutoWork = 0xC4,
}

impl Register {
    /// The address byte.
    #[must_use]
    pub const fn address(self) -> u8 {
        self as u8
    }
}

/// Value of register 0x00, seen in the id replies of every chip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChipIdentity {
    /// Which chip, e.g. 0x1370.
    pub chip_id: u16,
    /// Called the core number by the field: 0x18 on a BM1397, 0 on all later chips seen.
    pub core_number: u8,
    /// The address handed out, 0 before that.
    pub address: ChipAddress,
}

impl ChipIdentity {
    /// Reads the register value.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self {
            chip_id: (bits >> 16) as u16,
            core_number: (bits >> 8) as u8,
            address: ChipAddress::new(bits as u8),
        }
    }

    /// The register value.
    #[must_use]
    pub const fn to_bits(self) -> u32 {
        (self.chip_id as u32) << 16 | (self.core_number as u32) << 8 | self.address.get() as u32
    }
}

/// Value of register 0x0C, observed on captures of S21 Pro, where each chip gets one after the first
/// job. The sweep of a core starts at `offset << 9`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NonceOffset(pub u16);

impl NonceOffset {
    const ENABLE: u32 = 1 << 31;

    /// Offset of chip `index` in a chain of `chips`: multiples of 2¹⁶ / chips, rounded up, as the
    /// factory firmware of the S21 Pro spaces them.
    #[must_use]
    pub const fn spread(index: u16, chips: u16) -> Self {
        if chips == 0 || index >= chips {
            return Self(0);
        }
        Self((((index as u32) << 16).div_ceil(chips as u32)) as u16)
    }

    /// The register value, with the enable bit.
    #[must_use]
    pub const fn to_bits(self) -> u32 {
        Self::ENABLE | self.0 as u32
    }

    /// Reads the register value; `None` if the offset is not enabled.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Option<Self> {
        if bits & Self::ENABLE == 0 {
            None
        } else {
            Some(Self(bits as u16))
        }
    }
}

/// Words of register 0x18. The bits are not understood one by one, except that the top ones enable
/// nonce reporting and that bits 12..8 are the baud divider of the BM1397.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MiscControl(pub u32);

impl MiscControl {
    /// After reset: no nonces are reported.
    pub const RESET: Self = Self(0x0000_C100);
    /// BM1362, on captures of S19j Pro.
    pub const BM1362: Self = Self(0xB000_C100);
    /// BM1366 and BM1368, to all chips, before addresses.
    pub const BROADCAST: Self = Self(0xFF0F_C100);
    /// BM1366 and BM1368 chip by chip, BM1370 always (captures of S21 Pro).
    pub const REPORTING: Self = Self(0xF000_C100);
    /// BM1372/73 as ESP-Miner writes it.
    pub const BM1372: Self = Self(0xFF00_C100);
    /// BM1397 without its baud divider, which reads 0 = 3.125 Mbaud.
    pub const BM1397: Self = Self(0x0000_6031);

    /// The same word with the BM1397 baud divider `divider` (0..=31) in bits 12..8.
    #[must_use]
    pub const fn with_bm1397_divider(self, divider: u8) -> Self {
        Self(self.0 & !0x1f00 | ((divider & 0x1f) as u32) << 8)
    }
}

/// Value of register 0x28 on chips that take a divider there: 25 MHz / (8 × (divider + 1)).
///
/// The divider is established. The other bits are copied from working machines: 0x1130 above it on
/// BM1362, BM1366, BM1368 and Bitaxe BM1370 boards, 0x0130 on an S21 Pro at 3.125 Mbaud.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FastUart {
    /// Bits 31..16 as observed.
    pub mode: u16,
    /// Bits 15..8.
    pub divider: u8,
}

impl FastUart {
    /// The register value.
    #[must_use]
    pub const fn to_bits(self) -> u32 {
        (self.mode as u32) << 16 | (self.divider as u32) << 8
    }

    /// Reads the register value; bits 7..0 have only been seen as 0.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self {
            mode: (bits >> 16) as u16,
            divider: (bits >> 8) as u8,
        }
    }

    /// The rate that the divider gives, rounded to the nearest baud.
    #[must_use]
    pub const fn baud(self) -> Baud {
        divided_baud(self.divider)
    }
}

/// 25 MHz / (8 × (divider + 1)), rounded.
pub(crate) const fn divided_baud(divider: u8) -> Baud {
    let divisor = 8 * (divider as u32 + 1);
    Baud::new((CRYSTAL_HZ + divisor / 2) / divisor)
}

/// Value of register 0x2C, which makes the first and last chip of a voltage domain carry the serial
/// lines on to the next. Observed on captures of S21 Pro and, for one chip, on BM1366 boards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UartRelay {
    /// Gap count, bits 31..16. Its unit is unknown; it falls by one per chip of distance.
    pub gap: u16,
    /// Bit 1: relay replies.
    pub replies: bool,
    /// Bit 0: relay commands.
    pub commands: bool,
}

impl UartRelay {
    /// Gap that factory firmware leaves on top of the number of chips from a domain's first to the end
    /// of the chain. 65 chips give 0x4F in the first domain of an S21 Pro, 5 give 0x13 in the last, and
    /// the word copied to BM1366 boards, 0x007C0003, is what 110 chips (S19 XP) give.
    const GAP_MARGIN: u16 = 14;

    /// The relay of a domain whose first chip has `chips_to_end` chips from itself to the end of the chain.
    #[must_use]
    pub const fn for_domain(chips_to_end: u16) -> Self {
        Self {
            gap: chips_to_end.saturating_add(Self::GAP_MARGIN),
            replies: true,
            commands: true,
        }
    }

    /// The register value.
    #[must_use]
    pub const fn to_bits(self) -> u32 {
        (self.gap as u32) << 16 | (self.replies as u32) << 1 | self.commands as u32
    }

    /// Reads the register value.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self {
            gap: (bits >> 16) as u16,
            replies: bits & 2 != 0,
            commands: bits & 1 != 0,
        }
    }
}

/// A word for register 0x3C: writes one register inside every core. Reads through it have never
/// been seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CoreMailbox {
    /// Register inside the core, 0..=0x7F.
    pub register: u8,
    /// Its new value.
    pub value: u8,
}

impl CoreMailbox {
    /// Core register: clock delay.
    pub const CLOCK_DELAY: u8 = 0x00;
    /// Core register: core enable, [`CoreMailbox::ENABLE`].
    pub const CORE_ENABLE: u8 = 0x02;
    /// Core register: clock select of BM1362 and BM1366.
    pub const CLOCK_SELECT: u8 = 0x05;
    /// Core register: clock select of BM1368 and later.
    pub const CLOCK_SELECT_LATER: u8 = 0x0B;
    /// Core register: nonce overflow control (BM1370, BM1372/73).
    pub const NONCE_OVERFLOW: u8 = 0x0D;
    /// Starts the cores; the same word on every chip from BM1362 on.
    pub const ENABLE: Self = Self {
        register: Self::CORE_ENABLE,
        value: 0xAA,
    };

    const WRITE_ALL_CORES: u32 = 0x8000_8000;

    /// The register value.
    #[must_use]
    pub const fn to_bits(self) -> u32 {
        Self::WRITE_ALL_CORES | ((self.register & 0x7f) as u32) << 8 | self.value as u32
    }

    /// Reads a register value; `None` if it is not a write to all cores.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Option<Self> {
        if bits & 0xffff_8000 == Self::WRITE_ALL_CORES {
            Some(Self {
                register: (bits >> 8) as u8 & 0x7f,
                value: bits as u8,
            })
        } else {
            None
        }
    }
}

/// Words of register 0x58: a strength of four bits per output, upwards from bit 0 for command,
/// busy, reset, clock and reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DriveStrength(pub u32);

impl DriveStrength {
    /// Strength 1 on every output: chips of BM1362, BM1370 and BM1372/73.
    pub const NORMAL: Self = Self(0x0001_1111);
    /// Strongest clock output: last chip of each voltage domain on BM1370 and BM1372/73 chains.
    pub const DOMAIN_END: Self = Self(0x0001_F111);
    /// BM1366 and BM1368 boards.
    pub const BM1366: Self = Self(0x0211_1111);
}

/// Value of register 0xA4: which version bits the chip rolls. Writing it also makes a chip answer with
/// 11 bytes instead of 9.
///
/// The field holds bits 28..13 of the BIP320 mask. The top half word 0x9000 is the same in every
/// capture (rolling on). What a read returns there is unknown, so only the field is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionRolling {
    /// Rollable bits, shifted down by 13.
    pub field: u16,
}

impl VersionRolling {
    /// All bits that BIP320 leaves to miners.
    pub const FULL_MASK: u32 = 0x1FFF_E000;

    const ENABLE: u32 = 0x9000_0000;

    /// From a mask over the header version; bits outside 28..13 are dropped, chips cannot roll them.
    #[must_use]
    pub const fn from_mask(mask: u32) -> Self {
        Self {
            field: ((mask & Self::FULL_MASK) >> 13) as u16,
        }
    }

    /// The mask over the header version.
    #[must_use]
    pub const fn mask(self) -> u32 {
        (self.field as u32) << 13
    }

    /// The register value.
    #[must_use]
    pub const fn to_bits(self) -> u32 {
        Self::ENABLE | self.field as u32
    }

    /// Reads the register value.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self { field: bits as u16 }
    }
}

/// Hashes that one count of registers 0x88..=0x8C stands for.
pub const HASHES_PER_COUNT: u64 = 1 << 32;

/// Hashes between two readings of a hash counter (0x88..=0x8C); the counter may have wrapped once.
#[must_use]
pub const fn hashes_between(earlier: u32, later: u32) -> u64 {
    (later.wrapping_sub(earlier) as u64) << 32
}

/// Hashrate in hashes per second from register 0x04 of a BM1397: unit 2²⁰. `None` while bit 31 marks
/// the value as not valid, or it is the not-measured pattern 0x7FFFFF.
#[must_use]
pub const fn hashrate(bits: u32) -> Option<u64> {
    if bits >> 31 != 0 || bits == 0x7f_ffff {
        None
    } else {
        Some((bits as u64) << 20)
    }
}

/// Chip temperature in °C from register 0xB4 of a BM1368; `None` while bit 31 does not mark it valid.
/// The line was fitted by others to a handful of machines.
#[must_use]
pub fn temperature(bits: u32) -> Option<f64> {
    (bits >> 31 != 0).then(|| f64::from(bits as u16) * 0.171_342 - 299.514_4)
}

/// Time between starting a temperature conversion on a BM1368 and a dependable result.
pub const TEMPERATURE_CONVERSION: Duration = Duration::from_secs(15);

/// Words for register 0xB0 that start a temperature conversion on a BM1368, in order.
pub const TEMPERATURE_START: [u32; 4] = [0x8000_0000, 0x0002_0000, 0x0102_0000, 0x1002_0000];

/// Voltage from register 0xBD in volts, before the divider of the chip (× 0.6 on a BM1368); `None` while
/// bit 31 does not mark it valid.
#[must_use]
pub fn voltage(bits: u32) -> Option<f64> {
    (bits >> 31 != 0).then(|| f64::from(bits as u16) / 16384.0 - 1.0)
}
