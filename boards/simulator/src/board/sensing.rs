//! Temperature inputs between the physics and the parts: where they sit, how they dither, and how they lie.

use std::f64::consts::TAU;

use super::{
    bus::Reading,
    fault::Fault,
    spec::{BoardSpec, Probe},
};
use crate::rng::{Rng, mix};

/// A temperature input of a board.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SensorInfo {
    /// Which device of the board's specification it belongs to.
    pub device: usize,
    /// Number of that device's part, e.g. `EMC2101`.
    pub part: &'static str,
    /// What it feels.
    pub probe: Probe,
    /// Whether it is an external diode, whose wires can break.
    pub remote: bool,
}

/// All temperature inputs.
#[derive(Debug)]
pub(super) struct Sensing {
    sensors: Vec<SensorInfo>,
    /// What each gave when it froze.
    frozen: Vec<Option<Reading>>,
    seed: u64,
    phases: [f64; 2],
}

/// How often converters convert, and so how often noise changes.
const CONVERSION_NS: u64 = 100_000_000;

/// A lab's air is never still: amplitude in K and period in s of two slow movements.
const WANDER: [(f64, f64); 2] = [(0.35, 427.0), (0.15, 97.0)];

/// Standard deviation of a conversion, K: about one step of a twelve-bit part.
const NOISE_K: f64 = 0.07;
/// The same for a diode beside a switching load.
const DIODE_NOISE_K: f64 = 0.15;

impl Sensing {
    pub(super) fn new(spec: &BoardSpec) -> Self {
        let mut sensors = Vec::new();
        for (device, DeviceProbes { part, probes, own }) in
            spec.devices.iter().map(DeviceProbes::of).enumerate()
        {
            for (index, &probe) in probes.iter().enumerate() {
                sensors.push(SensorInfo {
                    device,
                    part,
                    probe,
                    remote: index < probes.len() - own,
                });
            }
        }
        let mut rng = Rng::new(spec.seed ^ 0x0053_454E_5345);
        Self {
            frozen: vec![None; sensors.len()],
            sensors,
            seed: rng.next_u64(),
            phases: [rng.unit() * TAU, rng.unit() * TAU],
        }
    }

    pub(super) fn list(&self) -> &[SensorInfo] {
        &self.sensors
    }

    /// What all inputs deliver at `ns`; `truth` tells the temperature at a probe, none where nothing can be measured.
    pub(super) fn readings(
        &self,
        ns: u64,
        faults: &[(Fault, u64)],
        truth: impl Fn(Probe) -> Felt,
    ) -> Vec<Reading> {
        let seconds = ns as f64 / 1e9;
        let wander: f64 = WANDER
            .iter()
            .zip(self.phases)
            .map(|(&(kelvin, period), phase)| kelvin * (TAU * seconds / period + phase).sin())
            .sum();
        self.sensors
            .iter()
            .enumerate()
            .map(|(index, sensor)| {
                let key = mix(self.seed, index as u64, ns / CONVERSION_NS);
                let mut rng = Rng::new(key);
                let reading = match truth(sensor.probe) {
                    Felt::Celsius(celsius) => {
                        let sigma = match sensor.probe {
                            Probe::Die(_) => DIODE_NOISE_K,
                            _ => NOISE_K,
                        };
                        Reading::Celsius(celsius + wander + sigma * bell(&mut rng))
                    }
                    Felt::Garbage => Reading::Celsius(-10.0 + 120.0 * rng.unit()),
                    Felt::Nothing => Reading::Open,
                };
                self.broken(index, reading, ns, faults, &mut rng)
            })
            .collect()
    }

    /// Remembers what sensors give that begin to freeze.
    pub(super) fn freeze(&mut self, sensor: usize, reading: Option<Reading>) {
        if let Some(frozen) = self.frozen.get_mut(sensor) {
            *frozen = reading;
        }
    }

    fn broken(
        &self,
        index: usize,
        mut reading: Reading,
        ns: u64,
        faults: &[(Fault, u64)],
        rng: &mut Rng,
    ) -> Reading {
        for &(fault, since) in faults {
            let shift = match fault {
                Fault::SensorFrozen { sensor } if sensor == index => {
                    reading = self.frozen[index].unwrap_or(reading);
                    continue;
                }
                Fault::SensorReads { celsius, sensor } if sensor == index => {
                    reading = Reading::Celsius(celsius);
                    continue;
                }
                Fault::SensorOpen { sensor } if sensor == index && self.sensors[index].remote => {
                    reading = Reading::Open;
                    continue;
                }
                Fault::SensorShort { sensor } if sensor == index && self.sensors[index].remote => {
                    reading = Reading::Short;
                    continue;
                }
                Fault::SensorOffset { kelvin, sensor } if sensor == index => kelvin,
                Fault::SensorDrift {
                    kelvin_per_minute,
                    sensor,
                } if sensor == index => kelvin_per_minute * ns.saturating_sub(since) as f64 / 60e9,
                Fault::SensorJumps { sensor } if sensor == index && rng.unit() < 0.125 => {
                    120.0 * rng.unit() - 60.0
                }
                _ => continue,
            };
            if let Reading::Celsius(celsius) = &mut reading {
                *celsius += shift;
            }
        }
        reading
    }
}

/// What there is to feel at a probe.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Felt {
    Celsius(f64),
    /// The first conversions of a diode whose chip has just come up.
    Garbage,
    /// The diode's chip has no power.
    Nothing,
}

/// The temperature inputs of one device: external ones first, then its own.
struct DeviceProbes {
    part: &'static str,
    probes: Vec<Probe>,
    own: usize,
}

impl DeviceProbes {
    fn of(device: &super::spec::DeviceSpec) -> Self {
        let probes = device.part.connections().1;
        Self {
            part: device.part.name(),
            own: probes.len().min(1),
            probes,
        }
    }
}

/// A value with mean 0 and deviation 1, close to normal, within ±3.5.
fn bell(rng: &mut Rng) -> f64 {
    let sum: f64 = (0..4).map(|_| rng.unit()).sum();
    (sum - 2.0) * 3.0_f64.sqrt()
}
