//! What chips should hold after bring-up, to be compared with what they answer.

use crate::chain::ChainPlan;
use crate::frame::Frame;
use crate::model::ChipKind;
use crate::registers::{ChipIdentity, Register, VersionRolling};
use crate::units::{Megahertz, Target};

impl ChainPlan {
    /// Registers whose content is known after bring-up and can be read.
    #[must_use]
    pub fn verified_registers(&self) -> &'static [Register] {
        const COMMON: &[Register] = &[
            Register::ChipId,
            Register::Pll,
            Register::TicketMask,
            Register::VersionRolling,
        ];
        // The BM1397 does not roll versions.
        if self.config().kind == ChipKind::Bm1397 {
            &COMMON[..3]
        } else {
            COMMON
        }
    }

    /// What `register` of a chip should hold after bring-up with the chip at clock `f`, or `None` if that
    /// is not known.
    #[must_use]
    pub fn expected(&self, chip: u16, register: Register, f: Megahertz) -> Option<Expected> {
        let config = self.config();
        let (value, mask) = match register {
            Register::ChipId => {
                let identity = ChipIdentity {
                    chip_id: config.kind.model().chip_id,
                    core_number: 0,
                    address: self.address(chip),
                };
                // The byte between id and address differs from chip to chip.
                (identity.to_bits(), 0xffff_00ff)
            }
            // The dividers only: above them are range and lock bits.
            Register::Pll => (self.nearest(f).register(config.kind), 0x0fff_3fff),
            Register::TicketMask => (config.ticket.to_bits(), u32::MAX),
            Register::VersionRolling if config.kind != ChipKind::Bm1397 => (
                VersionRolling::from_mask(config.version_mask).to_bits(),
                0xffff,
            ),
            _ => return None,
        };
        Some(Expected { value, mask })
    }

    /// Every register of every chip that can be verified after bring-up, with all chips at the configured
    /// target clock. Reads are to one chip each; with [`verified_registers`](Self::verified_registers),
    /// [`expected`](Self::expected) and broadcast reads the same takes fewer commands.
    #[must_use]
    pub fn verification(&self) -> Verification {
        Verification {
            chain: *self,
            next: 0,
        }
    }
}

/// What a register should hold, see [`ChainPlan::expected`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expected {
    /// The value as written.
    pub value: u32,
    /// Bits that are known to read back as written.
    pub mask: u32,
}

impl Expected {
    /// Whether `found` is this value, as far as that can be told.
    #[must_use]
    pub const fn agrees(&self, found: u32) -> bool {
        (found ^ self.value) & self.mask == 0
    }
}

/// One register of one chip, and what it should hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadBack {
    /// The chip, counted from the host.
    pub chip: u16,
    /// Which register.
    pub register: Register,
    /// The read command to send.
    pub read: Frame,
    /// The value to expect.
    pub expected: Expected,
}

/// Register values to expect, from [`ChainPlan::verification`].
#[derive(Clone, Debug)]
pub struct Verification {
    chain: ChainPlan,
    next: u32,
}

impl Iterator for Verification {
    type Item = ReadBack;

    fn next(&mut self) -> Option<ReadBack> {
        let registers = self.chain.verified_registers();
        let len = registers.len().max(1) as u32;
        let chip = u16::try_from(self.next / len)
            .ok()
            .filter(|&chip| chip < self.chain.config().chips)?;
        let register = *registers.get((self.next % len) as usize)?;
        let expected = self
            .chain
            .expected(chip, register, self.chain.config().target)?;
        self.next += 1;
        let read = self.chain.read_register(register, Target::Chip(chip));
        Some(ReadBack {
            chip,
            register,
            read,
            expected,
        })
    }
}
