//! Breaking and mending: what a fault means to physics, parts and lines.

use std::time::Duration;

use super::{Fault, VirtualBoard, bus::Damage};
use crate::physics::{FanFault, SupplyFault, SupplySpec};

impl VirtualBoard {
    /// Breaks something from `now` on. What is broken in the same way already is broken anew.
    pub fn inject(&mut self, now: Duration, fault: Fault) {
        self.advance(now);
        self.faults.retain(|(other, _)| !other.same_place(&fault));
        match fault {
            Fault::SensorFrozen { sensor } => {
                let reading = self.senses().readings.get(sensor).copied();
                self.sensing.freeze(sensor, reading);
            }
            Fault::ControlClosed => self.control_closed(now),
            Fault::SupplyTrips => {
                // A moment, not a state.
                self.tripped = self.applied.as_ref().is_some_and(|applied| applied.on);
                self.react();
                return;
            }
            _ => {}
        }
        self.faults.push((fault, self.now));
        self.mend(&fault, true);
        self.react();
    }

    /// Mends what [`VirtualBoard::inject`] broke in the same place and way, whatever the numbers; dead chips are exchanged for
    /// new ones of the same quality.
    pub fn heal(&mut self, now: Duration, fault: Fault) {
        self.advance(now);
        let before = self.faults.len();
        self.faults.retain(|(other, _)| !other.same_place(&fault));
        if self.faults.len() < before {
            self.mend(&fault, false);
            self.react();
        }
    }

    /// Mends everything.
    pub fn heal_all(&mut self, now: Duration) {
        for fault in self.faults() {
            self.heal(now, fault);
        }
    }

    /// What is broken now, oldest first.
    pub fn faults(&self) -> Vec<Fault> {
        self.faults.iter().map(|(fault, _)| *fault).collect()
    }

    /// Brings a fault to the physics and the parts, or takes it away.
    fn mend(&mut self, fault: &Fault, broken: bool) {
        match *fault {
            Fault::ChipDead { chip } => self.machine.set_chip_dead(0, chip.into(), broken),
            Fault::ChipSlow { mv, chip } => {
                let mv = if broken { mv } else { 0.0 };
                self.machine.weaken_chip(0, chip.into(), mv);
            }
            Fault::DomainOpen { domain } => self.machine.open_domain(0, domain.into(), broken),
            Fault::DeviceAbsent { device } => self.buses.set_absent(device, broken),
            Fault::DeviceWrong { device } => self.buses.pretend(device, broken),
            Fault::BusStuck { bus } => self.buses.set_stuck(bus, broken),
            Fault::EepromCorrupt | Fault::EepromForeign => self.buses.corrupt(match fault {
                _ if !broken => Damage::None,
                Fault::EepromCorrupt => Damage::FlippedCell,
                _ => Damage::OtherBoard,
            }),
            Fault::SensorFrozen { sensor } if !broken => self.sensing.freeze(sensor, None),
            Fault::Ambient { celsius } => {
                self.machine
                    .set_ambient_c(if broken { celsius } else { self.spec.ambient_c })
            }
            Fault::Dust { factor } => {
                let factor = if broken { factor } else { 1.0 };
                self.machine.set_dust(self.spec.physics.dust * factor);
            }
            Fault::InputVoltage { volts } => {
                self.machine.set_input_v(match &self.spec.physics.supply {
                    _ if broken => volts,
                    SupplySpec::Regulator(regulator) => regulator.input_mv / 1000.0,
                    SupplySpec::Psu(psu) => psu.mains_v,
                })
            }
            _ => {}
        }
        self.machine.set_supply_fault(self.supply_fault());
        for fan in 0..usize::from(self.spec.physics.fans.count) {
            self.machine.set_fan_fault(fan, self.fan_fault(fan));
        }
    }

    fn supply_fault(&self) -> Option<SupplyFault> {
        self.faults.iter().rev().find_map(|(fault, _)| match fault {
            Fault::SupplyStuckOn => Some(SupplyFault::StuckOn),
            Fault::SupplyDead => Some(SupplyFault::Dead),
            Fault::SupplyWrong { factor } => Some(SupplyFault::Wrong(*factor)),
            Fault::SupplyFrozen => Some(SupplyFault::Frozen),
            _ => None,
        })
    }

    fn fan_fault(&self, index: usize) -> Option<FanFault> {
        self.faults
            .iter()
            .rev()
            .find_map(|(fault, _)| match *fault {
                Fault::FansDead => Some(FanFault::Stuck),
                Fault::FanStuck { fan } if fan == index => Some(FanFault::Stuck),
                Fault::FanTachLost { fan } if fan == index => Some(FanFault::TachLost),
                Fault::FanTachFrozen { rpm, fan } if fan == index => {
                    Some(FanFault::TachFrozen(rpm))
                }
                Fault::FanFaked { rpm, fan } if fan == index => Some(FanFault::Faked(rpm)),
                Fault::FanInverted { fan } if fan == index => Some(FanFault::Inverted),
                Fault::FanWorn { share, fan } if fan == index => Some(FanFault::Worn(share)),
                _ => None,
            })
    }

    /// What the line does to bytes of the chips' port.
    pub(super) fn spoil(&mut self, bytes: &mut Vec<u8>) {
        for (fault, _) in &self.faults {
            match *fault {
                Fault::UartDead => bytes.clear(),
                Fault::UartNoise { share } => {
                    for byte in bytes.iter_mut() {
                        if self.uart_noise.unit() < share {
                            *byte ^= 1 << (self.uart_noise.next_u64() & 7);
                        }
                    }
                }
                _ => {}
            }
        }
    }
}
