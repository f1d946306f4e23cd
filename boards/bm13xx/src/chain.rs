//! A chain of chips: its description, and everything that can be said to it or read from what it says.

use core::time::Duration;

use crate::config::{ChainConfig, PlanError};
use crate::frame::{Destination, Frame};
use crate::job::{self, HeaderJob};
use crate::model::{AddressScale, BaudChange, ChipKind, NonceLayout};
use crate::plan::Plan;
use crate::pll::Pll;
use crate::registers::{MiscControl, Register, TEMPERATURE_START, VersionRolling};
use crate::reply::NonceReply;
use crate::script::{self, BM1397_RESET_DIVIDER, Scripts, Sequence};
use crate::sweep;
use crate::units::{Baud, ChipAddress, Megahertz, Target, TicketMask};

/// A checked chain. Small and cheap to copy.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChainPlan {
    config: ChainConfig,
    target: Pll,
    baud: Option<BaudChange>,
}

impl ChainPlan {
    /// Checks a description.
    ///
    /// # Errors
    ///
    /// When chips or domains are too few or too many, or clock or baud rate cannot be made.
    pub fn new(config: ChainConfig) -> Result<Self, PlanError> {
        let model = config.kind.model();
        let most = match model.addresses {
            AddressScale::PowerOfTwo => 128,
            AddressScale::Sixteen => 16,
        };
        if config.chips == 0 || config.chips > most {
            return Err(PlanError::Chips {
                chip: model.name,
                found: config.chips,
                most,
            });
        }
        if config.domains == 0 || config.domains > config.chips {
            return Err(PlanError::Domains {
                found: config.domains,
                chips: config.chips,
            });
        }
        model.pll(config.start)?;
        let target = model.pll(config.target)?;
        let stays = config.baud.get().abs_diff(Baud::RESET.get()) < Baud::RESET.get() / 20;
        let baud = if stays {
            None
        } else {
            Some(model.baud_change(config.baud)?)
        };
        Ok(Self {
            config,
            target,
            baud,
        })
    }

    /// The description that this plan was made from.
    #[must_use]
    pub const fn config(&self) -> &ChainConfig {
        &self.config
    }

    /// The rate at which the chips talk after bring-up, exactly: the host's port has to match it within
    /// about 3 %, and 1 Mbaud is really 1 041 667.
    #[must_use]
    pub fn run_baud(&self) -> Baud {
        self.baud.map_or(Baud::RESET, |change| change.baud)
    }

    /// The address that a chip gets and puts into its register replies. Chips are counted from the host.
    #[must_use]
    pub fn address(&self, chip: u16) -> ChipAddress {
        ChipAddress::new(self.spacing().wrapping_mul(chip) as u8)
    }

    /// The address by which a command calls a chip: the one it was given, except that BM1372/73 want
    /// a quarter of it.
    #[must_use]
    pub fn command_address(&self, chip: u16) -> ChipAddress {
        match self.config.kind.model().addresses {
            AddressScale::PowerOfTwo => self.address(chip),
            AddressScale::Sixteen => ChipAddress::new(self.address(chip).get() >> 2),
        }
    }

    /// The chip that answers with `address`, or `None` if no chip has it.
    #[must_use]
    pub fn chip_at(&self, address: u8) -> Option<u16> {
        (0..self.config.chips).find(|&chip| self.address(chip).get() == address)
    }

    /// The voltage domain of a chip, counted from the host. Chips beyond the chain count to the last.
    #[must_use]
    pub fn domain(&self, chip: u16) -> u16 {
        let chips = u32::from(self.config.chips);
        let chip = u32::from(chip).min(chips - 1);
        (((chip + 1) * u32::from(self.config.domains) - 1) / chips) as u16
    }

    /// First and last chip of a domain, or `None` if there is no such domain.
    #[must_use]
    pub fn domain_chips(&self, domain: u16) -> Option<(u16, u16)> {
        if domain >= self.config.domains {
            return None;
        }
        let end = |domain: u16| {
            (u32::from(domain) * u32::from(self.config.chips) / u32::from(self.config.domains))
                as u16
        };
        Some((end(domain), end(domain + 1) - 1))
    }

    /// Up to and including the read of all chip ids, for chips that have just been reset.
    #[must_use]
    pub fn discovery(&self) -> Plan {
        Plan::script(self, self.scripts().discovery)
    }

    /// From the count of chips to the ramp: addresses, registers, cores, baud rate.
    #[must_use]
    pub fn bring_up(&self) -> Plan {
        Plan::script(self, self.scripts().bring_up)
    }

    /// Takes the clock of all chips from `from` to `to` (or as close as the chip can come) in steps of
    /// [`RAMP_STEP`](crate::RAMP_STEP), and sets the sweep length for it.
    ///
    /// A ramp from [`ChainConfig::start`] is taken to be the one of the bring-up, and ends with what follows
    /// that on this chip: on a BM1362 enabling the cores, on most the configured version mask once more.
    /// Whoever has set another mask since has to set it again after such a ramp.
    ///
    /// Any other is a live change that leaves all else alone; when it goes up, the shorter sweep
    /// is set first, so that chips never overlap.
    #[must_use]
    pub fn ramp(&self, from: Megahertz, to: Megahertz) -> Plan {
        let target = self.nearest(to);
        let ops = if from == self.config.start {
            [script::RAMP, self.scripts().after_ramp]
        } else {
            [live_ramp(from, target), &[]]
        };
        Plan::clocked(self, ops, Target::All, self.bounded(from), target)
    }

    /// What follows the first job: nonce offsets on chains of BM1370, else nothing. Until they are
    /// written, such chips search the same nonces.
    #[must_use]
    pub fn after_first_job(&self) -> Plan {
        Plan::clocked(
            self,
            [self.scripts().after_first_job, &[]],
            Target::All,
            self.config.target,
            self.target,
        )
    }

    /// Sets the clock of one chip in one step, and its sweep length.
    #[must_use]
    pub fn chip_frequency(&self, chip: u16, f: Megahertz) -> Plan {
        let target = self.nearest(f);
        Plan::clocked(
            self,
            [script::RAMP_DOWN, &[]],
            Target::Chip(chip),
            target.frequency(),
            target,
        )
    }

    /// Takes the clock of one chip from `from` to `to` in steps, like [`ramp`](Self::ramp) does for all; the
    /// plan has no [`Step::Ramped`](crate::Step::Ramped).
    #[must_use]
    pub fn chip_ramp(&self, chip: u16, from: Megahertz, to: Megahertz) -> Plan {
        let target = self.nearest(to);
        Plan::clocked(
            self,
            [live_ramp(from, target), &[]],
            Target::Chip(chip),
            self.bounded(from),
            target,
        )
    }

    /// Stops hashing, then takes the clock from `from` down to [`ChainConfig::start`]. A ramp from there
    /// resumes.
    #[must_use]
    pub fn stop(&self, from: Megahertz) -> Plan {
        let target = self.nearest(self.config.start);
        Plan::clocked(
            self,
            [script::STOP, &[]],
            Target::All,
            self.bounded(from),
            target,
        )
    }

    /// Starts a temperature conversion on all chips of a BM1368 chain; on other chips does nothing. Read
    /// [`Register::TemperatureResult`] after
    /// [`TEMPERATURE_CONVERSION`](crate::registers::TEMPERATURE_CONVERSION).
    pub fn start_temperature(&self) -> impl Iterator<Item = Frame> + use<> {
        let words: &[u32] = if self.config.kind == ChipKind::Bm1368 {
            &TEMPERATURE_START
        } else {
            &[]
        };
        words
            .iter()
            .map(|&word| Frame::write(Destination::All, Register::TemperatureControl, word))
    }

    /// Lets chips roll the bits of `mask` (over the header version; only bits 28..13 can be rolled).
    ///
    /// Chips OR what they roll into the version of the job, counting through the bits of the mask from 0
    /// for each job. So a version that has bits of the pool's mask set needs a mask without those.
    /// The reply has the rolled bits in place (header version = job version | bits << 13), whatever
    /// the mask. A BM1397 has no such register and ignores the frame.
    #[must_use]
    pub fn set_version_mask(&self, mask: u32) -> Frame {
        let value = VersionRolling::from_mask(mask).to_bits();
        Frame::write(Destination::All, Register::VersionRolling, value)
    }

    /// Changes the nonce filter of all chips.
    #[must_use]
    pub fn set_ticket(&self, ticket: TicketMask) -> Frame {
        Frame::write(Destination::All, Register::TicketMask, ticket.to_bits())
    }

    /// Asks for a register. Each chip asked answers with a
    /// [`RegisterReply`](crate::RegisterReply).
    #[must_use]
    pub fn read_register(&self, register: Register, target: Target) -> Frame {
        Frame::read(self.destination(target), register)
    }

    /// A job for chips that take a full header. Slots beyond the model's wrap.
    #[must_use]
    pub fn header_job(&self, slot: u8, job: &HeaderJob) -> Frame {
        job::header_frame(self.config.kind.model().wire_id(slot), job)
    }

    /// A job for chips that take midstates (one or four); see [`job::midstate_frame`]. Slots beyond the
    /// model's wrap.
    #[must_use]
    pub fn midstate_job(
        &self,
        slot: u8,
        midstates: &[[u32; 8]],
        merkle_tail: [u8; 4],
        ntime: u32,
        nbits: u32,
    ) -> Frame {
        let id = self.config.kind.model().wire_id(slot);
        job::midstate_frame(id, midstates, merkle_tail, ntime, nbits)
    }

    /// Where a nonce comes from.
    ///
    /// The chip follows the reading of ESP-Miner and of S21 Pro experiments. It has been seen to fit on
    /// boards of a few chips; captures of BM1362 chains show nonces that it does not explain, so take
    /// it as a statistic over many nonces, not as proof about one.
    #[must_use]
    pub fn locate(&self, nonce: &NonceReply) -> Origin {
        let model = self.config.kind.model();
        let (slot, sub_core_or_midstate) = model.slot_of(nonce.id);
        // As received, read as one big-endian number.
        let wire = nonce.nonce.swap_bytes();
        let chip = match (self.config.chips, model.nonces) {
            (1, _) => 0,
            (chips, NonceLayout::Address) => {
                let interval = match model.addresses {
                    AddressScale::PowerOfTwo => self.spacing(),
                    AddressScale::Sixteen => 256 / chips,
                };
                u16::from((wire >> 17) as u8) / interval.max(1)
            }
            (chips, NonceLayout::Offset) => {
                let upper = wire >> 9 & 0xffff;
                ((upper * u32::from(chips)) >> 16) as u16
            }
        };
        Origin {
            slot,
            chip: Some(chip).filter(|&chip| chip < self.config.chips),
            core: (wire >> 25) as u16,
            sub_core_or_midstate,
        }
    }

    /// Sweep length (register 0x10) at the clock closest to `f`, in ticks of 40 ns.
    #[must_use]
    pub fn sweep_ticks(&self, f: Megahertz) -> u32 {
        self.sweep_ticks_for(&self.nearest(f))
    }

    /// Time after which chips at clock `f` start over on a job, with the configured version mask: new work
    /// has to be there before. Counts sweeps without their overrun, so the truth is up to a few percent longer.
    #[must_use]
    pub fn version_epoch(&self, f: Megahertz) -> Duration {
        self.version_epoch_with(f, self.config.version_mask)
    }

    /// The same with another version mask.
    ///
    /// For a BM1397 this is the time to work through the midstates of a job: four if the mask has any bit, else
    /// one.
    #[must_use]
    pub fn version_epoch_with(&self, f: Megahertz, mask: u32) -> Duration {
        let model = self.config.kind.model();
        let pll = self.nearest(f);
        if self.config.kind == ChipKind::Bm1397 {
            let versions = if mask == 0 {
                1
            } else {
                job::MAX_MIDSTATES as u32
            };
            return sweep::space_time(
                pll.frequency().hz(),
                self.config.chips,
                model.small_cores,
                model.cores,
                versions,
            );
        }
        let versions = 1 << VersionRolling::from_mask(mask).field.count_ones();
        sweep::epoch(versions, model.sub_cores, self.sweep_ticks_for(&pll))
    }

    /// What chips that were found at their run rate need before they can be brought up: a BM1397 is sent
    /// back to the rate after reset, because its bring-up writes that rate among other things.
    /// `None` for all others, which keep theirs. The host follows once the frame has left.
    #[must_use]
    pub fn back_to_reset_baud(&self) -> Option<Frame> {
        (self.config.kind == ChipKind::Bm1397 && self.baud.is_some()).then(|| {
            let misc = MiscControl::BM1397.with_bm1397_divider(BM1397_RESET_DIVIDER);
            Frame::write(Destination::All, Register::MiscControl, misc.0)
        })
    }

    /// Stops hashing without a change of clock: sweep length 0. `None` on a BM1397, which has no such
    /// register and stops when it runs out of midstates.
    #[must_use]
    pub fn pause(&self) -> Option<Frame> {
        self.sweep_frame(Target::All, 0)
    }

    /// Lets chips that run at clock `f` hash again after [`pause`](Self::pause).
    #[must_use]
    pub fn resume(&self, f: Megahertz) -> Option<Frame> {
        self.sweep_frame(Target::All, self.sweep_ticks(f))
    }

    pub(crate) fn nearest(&self, f: Megahertz) -> Pll {
        Pll::nearest(self.config.kind.model(), f)
    }

    pub(crate) fn sweep_ticks_for(&self, pll: &Pll) -> u32 {
        let model = self.config.kind.model();
        model.fixed_sweep.unwrap_or_else(|| {
            sweep::ticks(
                sweep::slice(model.cores, self.config.chips),
                pll,
                model.sweep_guard,
            )
        })
    }

    /// Sets the sweep length; `None` on a BM1397, which has no such register.
    pub(crate) fn sweep_frame(&self, target: Target, ticks: u32) -> Option<Frame> {
        (self.config.kind != ChipKind::Bm1397).then(|| {
            Frame::write(
                self.destination(target),
                Register::HashCountingNumber,
                ticks,
            )
        })
    }

    pub(crate) fn baud_change(&self) -> Option<BaudChange> {
        self.baud
    }

    pub(crate) fn destination(&self, target: Target) -> Destination {
        match target {
            Target::All => Destination::All,
            Target::Chip(chip) => Destination::Chip(self.command_address(chip)),
        }
    }

    /// The address byte of set-address command number `i`. Factory firmware goes on until addresses run
    /// out, whatever the length of the chain.
    pub(crate) fn assigned_byte(&self, i: u32) -> Option<u8> {
        let byte = u8::try_from(i.checked_mul(u32::from(self.spacing()))?).ok()?;
        let all = self.config.sequence == Sequence::HashBoard;
        (all || i < u32::from(self.config.chips)).then_some(byte)
    }

    fn scripts(&self) -> Scripts {
        Scripts::of(self.config.kind, self.config.sequence, self.config.chips)
    }

    /// Distance of addresses; 256 for a single chip.
    fn spacing(&self) -> u16 {
        match self.config.kind.model().addresses {
            AddressScale::PowerOfTwo => 256 / self.config.chips.next_power_of_two(),
            AddressScale::Sixteen => 16,
        }
    }

    /// A clock to ramp from that is not beyond what the chip can do.
    fn bounded(&self, from: Megahertz) -> Megahertz {
        let top = self.nearest(Megahertz::new(f64::MAX)).frequency();
        if from > top { top } else { from }
    }
}

/// Where a nonce comes from, see [`ChainPlan::locate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The job slot, always below the model's number of slots.
    pub slot: u8,
    /// The chip, counted from the host, or `None` if the nonce is in no chip's range.
    pub chip: Option<u16>,
    /// The core, from the top seven bits. A BM1397 has more cores than that can tell apart.
    pub core: u16,
    /// The midstate index on a BM1397, the sub-core on all others.
    pub sub_core_or_midstate: u8,
}

fn live_ramp(from: Megahertz, to: Pll) -> &'static [script::Op] {
    if to.frequency() > from {
        script::RAMP_UP
    } else {
        script::RAMP_DOWN
    }
}
