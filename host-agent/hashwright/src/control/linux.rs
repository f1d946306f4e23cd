//! The lines, buses and fans of this machine, as a profile's `[linux]` table names them.

use std::sync::Arc;

use board_profiles::Profile;
use station::buses::Bus;
use station::{BusError, Buses, Line};

/// Hardware of the Linux control board that the agent runs on.
#[derive(Debug)]
pub(super) struct LinuxBuses {
    profile: Arc<Profile>,
    slots: Vec<u8>,
}

impl LinuxBuses {
    pub(super) fn new(profile: Arc<Profile>, slots: Vec<u8>) -> Self {
        Self { profile, slots }
    }
}

impl Buses for LinuxBuses {
    fn i2c(&mut self, _board: usize, bus: &str) -> Result<Bus<'_>, BusError> {
        Err(BusError::Missing(bus.to_owned()))
    }

    fn set_line(&mut self, line: Line, _asserted: bool) -> Result<bool, BusError> {
        Err(BusError::Missing(format!("{line:?}")))
    }

    fn line(&mut self, line: Line) -> Result<bool, BusError> {
        Err(BusError::Missing(format!("{line:?}")))
    }

    fn set_fan(&mut self, fan: usize, _percent: u8) -> Result<(), BusError> {
        Err(BusError::Missing(format!("fan {fan}")))
    }

    fn fan_rpm(&mut self, fan: usize) -> Result<u32, BusError> {
        Err(BusError::Missing(format!("fan {fan}")))
    }
}
