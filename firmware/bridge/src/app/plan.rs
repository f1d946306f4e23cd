//! What a board is made of, as data for the application: which pins do what, where the guard's readings
//! come from, what switches the core. Indices of sensors, fans and rails are those of the guard's limits.

use board_devices::{ds4432u, emc2302, tps546};
use guard::{CentiCelsius, Limits, LimitsError, MAX_FANS, MAX_RAILS, MAX_SENSORS, Slots};

use crate::answer::Format;
use crate::page::FanPage;

/// The most pins that a host may name.
pub const MAX_PINS: usize = 8;

/// A board as the application sees it.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How answers are framed.
    pub format: Format,
    /// Which fan page hosts use.
    pub fan_page: FanPage,
    /// The guard's hard limits.
    pub limits: Limits,
    /// Pins. Others do not exist for hosts.
    pub pins: Slots<PinPlan, MAX_PINS>,
    /// Where each of the guard's sensors is read.
    pub sensors: Slots<SensorPlan, MAX_SENSORS>,
    /// Where each of the guard's fans is driven and counted.
    pub fans: Slots<FanPlan, MAX_FANS>,
    /// Where each of the guard's rails is watched and switched off.
    pub rails: Slots<RailPlan, MAX_RAILS>,
}

impl Plan {
    /// A board without anything on it yet.
    pub fn new(format: Format, limits: Limits) -> Self {
        Self {
            format,
            fan_page: FanPage::Device,
            limits,
            pins: Slots::new(),
            sensors: Slots::new(),
            fans: Slots::new(),
            rails: Slots::new(),
        }
    }

    /// Whether limits and parts belong together.
    ///
    /// # Errors
    ///
    /// [`PlanError`] names what does not.
    pub fn check(&self) -> Result<(), PlanError> {
        self.limits.check()?;
        for (what, plans, limits) in [
            ("sensors", self.sensors.len(), self.limits.sensors.len()),
            ("fans", self.fans.len(), self.limits.fans.len()),
            ("rails", self.rails.len(), self.limits.rails.len()),
        ] {
            if plans != limits {
                return Err(PlanError::Count {
                    what,
                    plans,
                    limits,
                });
            }
        }
        let switch = self.pins.iter().any(|pin| pin.role == PinRole::Core)
            || self
                .rails
                .iter()
                .any(|rail| matches!(rail, RailPlan::Tps546 { .. }));
        if switch {
            Ok(())
        } else {
            Err(PlanError::NoSwitch)
        }
    }

    pub(crate) fn pin(&self, number: u8) -> Option<&PinPlan> {
        self.pins.iter().find(|pin| pin.number == number)
    }

    /// The first pin of a role.
    pub(crate) fn pin_of(&self, role: PinRole) -> Option<&PinPlan> {
        self.pins.iter().find(|pin| pin.role == role)
    }
}

/// What makes no sense in a [`Plan`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The limits do not protect.
    #[error(transparent)]
    Limits(#[from] LimitsError),
    /// Parts and limits have different numbers of something.
    #[error("there are {plans} {what}, and limits for {limits}")]
    Count {
        /// Of what.
        what: &'static str,
        /// How many are planned.
        plans: usize,
        /// How many have limits.
        limits: usize,
    },
    /// Nothing on the board can switch the core off.
    #[error("no pin and no regulator can switch the core off")]
    NoSwitch,
}

/// A pin that hosts may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PinPlan {
    /// The number that hosts use.
    pub number: u8,
    /// What it does.
    pub role: PinRole,
    /// The level at which it does it: in reset, supply on.
    pub active_high: bool,
}

/// What a pin does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PinRole {
    /// Holds the chips in reset.
    Reset,
    /// Switches the chips' core supply on.
    Core,
    /// Switches another supply of the chips on.
    Supply,
    /// Anything that is not guarded.
    Free,
    /// Can only be read.
    Input,
}

impl PinPlan {
    /// Whether this level needs the guard's grant: out of reset, or supply on.
    pub fn needs_grant(&self, level: bool) -> bool {
        let active = level == self.active_high;
        match self.role {
            PinRole::Reset => !active,
            PinRole::Core | PinRole::Supply => active,
            PinRole::Free | PinRole::Input => false,
        }
    }

    /// The level without power; `None` for pins that do not matter.
    pub fn safe_level(&self) -> Option<bool> {
        match self.role {
            PinRole::Reset => Some(self.active_high),
            PinRole::Core | PinRole::Supply => Some(!self.active_high),
            PinRole::Free | PinRole::Input => None,
        }
    }
}

/// Where a temperature is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SensorPlan {
    /// Which bus.
    pub bus: u8,
    /// 7-bit address.
    pub address: u8,
    /// Which part, and what of it.
    pub source: SensorSource,
    /// Added to each reading.
    pub offset: CentiCelsius,
}

/// Parts that measure temperatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SensorSource {
    /// The EMC2101 itself.
    Emc2101,
    /// The diode at an EMC2101.
    Emc2101Diode,
    /// TMP1075.
    Tmp1075,
    /// LM75 and its kin.
    Lm75,
    /// The TMP451 itself.
    Tmp451,
    /// The diode at a TMP451.
    Tmp451Diode,
    /// The TPS546 of the rail with this index.
    Regulator {
        /// Index of the rail.
        rail: u8,
    },
}

/// Where a fan is driven and counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FanPlan {
    /// EMC2101, with ideality and beta codes for its diode where the chips need them.
    Emc2101 {
        /// Which bus.
        bus: u8,
        /// 7-bit address.
        address: u8,
        /// Ideality code of the diode.
        ideality: Option<u8>,
        /// Beta compensation code of the diode.
        beta: Option<u8>,
    },
    /// One fan of an EMC2302.
    Emc2302 {
        /// Which bus.
        bus: u8,
        /// 7-bit address.
        address: u8,
        /// Which of its two fans.
        fan: emc2302::Fan,
    },
    /// A PWM output and a tach input of the controller.
    Pwm {
        /// Its index there.
        fan: u8,
    },
}

/// Where a rail is watched and switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RailPlan {
    /// TPS546 that feeds the chips. The application sets it up.
    Tps546 {
        /// Which bus.
        bus: u8,
        /// 7-bit address.
        address: u8,
        /// How the board wants it.
        config: tps546::Config,
    },
    /// A regulator whose output a DS4432U sets and the core pin switches, with an INA260 at its input.
    Ds4432u {
        /// Which bus.
        bus: u8,
        /// 7-bit address.
        address: u8,
        /// The resistors around it.
        network: ds4432u::Network,
        /// Which of its outputs.
        output: ds4432u::Output,
        /// 7-bit address of the INA260 on the same bus.
        monitor: Option<u8>,
    },
}
