//! From a board's profile to the simulator's description of it: chips, physics, and the parts and
//! pins that a driver meets. The two rooms know nothing of each other, so that a mistake in one does
//! not cancel one in the other; this is the only place that knows both.

use std::sync::Arc;

use anyhow::{Context, anyhow};
use board_devices::Part as Driver;
use board_profiles::{
    Active, BridgeFans, ConverterRole, Device, PinRole as ProfileRole, Profile, ResponseFormat,
    Sensor, SensorChannel, SensorKind, SupplyPhysics,
};
use board_simulator::board::{
    AdcSpec, BoardSpec, Controller, DeviceSpec, Feedback, Part, PinRole, PinSpec, Probe,
};
use board_simulator::physics::{
    ChipConstants, FanSpec, PhysicsSpec, PsuSpec, Quality, RegulatorSpec, SupplySpec, ThermalSpec,
    presets,
};
use board_simulator::{ChainSpec, Chip, LineNoise, Noise};

use station::StationConfig;

use crate::config::{self, Sim};

/// What an APW12 answers to the question for its type.
const APW12: u8 = 0x71;
/// Size of an EEPROM that the profile does not tell, bytes.
const EEPROM_BYTES: u32 = 256;

/// The virtual chain of a profile.
///
/// # Errors
///
/// When the simulator does not know the chip.
pub fn chain(profile: &Profile, sim: &Sim) -> anyhow::Result<ChainSpec> {
    let noise = LineNoise {
        lost: sim.lost_bytes,
        flipped: sim.flipped_bytes,
        split: sim.split_bytes,
    };
    Ok(ChainSpec {
        chip: profile.chain.chip.to_string().parse::<Chip>()?,
        chips: profile.chain.chips,
        domains: profile.chain.domains,
        scale_bits: sim.scale_bits,
        seed: sim.seed,
        noise: Noise {
            to_chips: noise,
            to_host: noise,
        },
    })
}

/// Power, heat and air of a whole machine of such boards.
///
/// # Errors
///
/// When the profile says nothing of them.
pub fn physics(
    profile: &Profile,
    quality: config::Quality,
    seed: u64,
) -> anyhow::Result<PhysicsSpec> {
    let own = profile.simulation.physics.as_ref().ok_or_else(|| {
        anyhow!(
            "the profile of {} has no [simulation.physics] table, so that only its bare chips can \
             be simulated: control = \"external\"",
            profile.model
        )
    })?;
    let (chain, chip, thermal) = (&profile.chain, &own.chip, &own.thermal);
    // What profiles do not tell is taken to be alike everywhere.
    let assumed = presets::bitaxe_gamma();
    Ok(PhysicsSpec {
        boards: chain.boards_per_machine,
        domains: chain.domains,
        chips_per_domain: chain.chips_per_domain,
        chip: ChipConstants {
            hashes_per_clock: profile.hashrate_hps(chip.nominal_mhz)
                / (chip.nominal_mhz * 1e6 * f64::from(chain.chips)),
            nominal_mhz: chip.nominal_mhz,
            nominal_mv: chip.nominal_mv,
            k_dynamic: chip.k_dynamic,
            k_leak: chip.k_leak,
            leak_scale_k: chip.leak_scale_k,
            mu_mv: chip.mu_mv,
            sigma_mv: chip.sigma_mv,
            slope_mv_per_mhz: chip.slope_mv_per_mhz,
            warm_shift_per_k: chip.warm_shift_per_k,
            ..assumed.chip
        },
        thermal: ThermalSpec {
            die_k_per_w: thermal.die_k_per_w,
            die_tau_s: thermal.die_tau_s,
            sink_k_per_w: thermal.sink_k_per_w,
            sink_j_per_k: thermal.sink_j_per_k,
            flow_exponent: thermal.flow_exponent,
            flow_m3_s: thermal.flow_m3_s,
            still_flow: thermal.still_flow,
            sensors: thermal.sensors.clone(),
            damage_c: thermal.damage_c,
            death_c: assumed.thermal.death_c.max(thermal.damage_c),
        },
        fans: FanSpec {
            count: own.fans.count.into(),
            max_rpm: own.fans.max_rpm,
            dead_band_percent: own.fans.dead_band_percent,
            lag_s: own.fans.lag_s,
            tach_step_rpm: own.fans.tach_step_rpm,
            ..assumed.fans
        },
        supply: supply(&own.supply),
        path_ohm: own.path_ohm,
        auxiliary_w: own.auxiliary_w,
        quality: match quality {
            config::Quality::Good => Quality::GOOD,
            config::Quality::Normal => Quality::NORMAL,
            config::Quality::Poor => Quality::POOR,
        },
        age_hours: 0.0,
        dust: 1.0,
        seed,
    })
}

fn supply(supply: &SupplyPhysics) -> SupplySpec {
    match supply {
        SupplyPhysics::Regulator(own) => SupplySpec::Regulator(RegulatorSpec {
            input_mv: own.input_mv,
            input_ohm: own.input_ohm,
            input_off_mv: own.input_off_mv,
            input_max_mv: own.input_max_mv,
            output_mv: own.output_mv.into(),
            step_mv: own.step_mv,
            trip_a: own.trip_a,
            rise_s: own.rise_s,
            efficiency: own.efficiency,
            loss_k_per_w: own.loss_k_per_w,
        }),
        SupplyPhysics::Psu(own) => SupplySpec::Psu(PsuSpec {
            mains_v: own.mains_v,
            brown_out_v: own.brown_out_v,
            rated_w: own.rated_w,
            efficiency: own.efficiency.iter().copied().map(Into::into).collect(),
            trip_a: own.trip_a,
            output_mv: own.output_mv.into(),
            step_mv: own.step_mv,
            command_delay_s: own.command_delay_s,
            rise_s: own.rise_s,
        }),
    }
}

/// The whole board of a profile: alone on its supply, with the fans' air for one board.
///
/// # Errors
///
/// When the profile does not describe a controller, or a part that the simulator does not have.
pub fn board(profile: &Profile, sim: &Sim) -> anyhow::Result<BoardSpec> {
    let bridge = profile.bridge.as_ref().ok_or_else(|| {
        anyhow!(
            "the profile of {} has no [bridge] table, so that only its bare chips can be \
             simulated: control = \"external\"",
            profile.model
        )
    })?;
    let controller = match sim.controller {
        Some(controller) => controller,
        None => match (bridge.fans, bridge.response) {
            (BridgeFans::Bitcrane, _) => Controller::Bitcrane,
            (BridgeFans::Bonanza, _) | (_, ResponseFormat::V0Total) => Controller::BitaxeRawTotal,
            (_, ResponseFormat::V1) | (BridgeFans::None, _) => Controller::Emberone,
            _ => Controller::BitaxeRaw,
        },
    };
    let physics = physics(profile, sim.quality, sim.seed)?.with_boards(1);
    let mut spec = BoardSpec::new(chain(profile, sim)?, physics, controller);
    if controller == Controller::Guarded {
        let config = StationConfig::single(
            Arc::new(profile.clone()),
            board_profiles::Control::Bridge,
            &profile.name,
        );
        spec.plan = Some(station::controller_plan(&config)?);
    }
    spec.ambient_c = sim.ambient_c;
    spec.seed = sim.seed;
    let reset = bridge.reset_in(0);
    spec.pins = vec![pin(reset.pin, PinRole::Reset, reset.active)];
    for enable in bridge.enables_in(0) {
        let role = match enable.role {
            ProfileRole::Vddio => PinRole::Vddio,
            ProfileRole::Core => PinRole::Core,
            ProfileRole::Psu => PinRole::Psu,
        };
        spec.pins.push(pin(enable.pin, role, enable.active));
    }
    if let Some(plug) = bridge.plug_in(0) {
        spec.pins.push(pin(plug.pin, PinRole::Plug, plug.active));
    }
    spec.adc = bridge
        .adc
        .iter()
        .map(|adc| AdcSpec {
            channel: adc.channel,
            core: adc.role == ConverterRole::Core,
            full_scale_mv: adc.full_scale_mv.into(),
            full_scale: adc.full_scale,
        })
        .collect();
    let mut places = Places {
        last_chip: profile.chain.chips - 1,
        ..Places::default()
    };
    for device in profile.devices_for(None) {
        // Parts without a driver are those without a bus that anybody could talk to.
        let (Some(driver), Some(address)) = (Driver::named(&device.part), device.address_in(0))
        else {
            continue;
        };
        spec.devices.push(DeviceSpec {
            part: part(driver, device, &mut places)
                .with_context(|| format!("{} on {}", device.part, profile.model))?,
            bus: bridge.bus_number(&device.bus),
            address,
        });
    }
    Ok(spec)
}

/// Places of fans and board sensors that are given out in the order of the devices.
#[derive(Default)]
struct Places {
    fans: u8,
    sensors: u8,
    last_chip: u16,
}

impl Places {
    /// Fans at channels 1, 2, ... of a part.
    fn fans<const N: usize>(&mut self, device: &Device) -> [Option<u8>; N] {
        let mut fans = [None; N];
        for channel in &device.fans {
            if let Some(fan) = fans.get_mut(usize::from(channel.saturating_sub(1))) {
                *fan = Some(self.fans);
            }
            self.fans = self.fans.saturating_add(1);
        }
        fans
    }

    /// What a part's own sensor feels.
    fn local(&mut self, device: &Device) -> Probe {
        let kind =
            |sensor: &Sensor| (sensor.channel == SensorChannel::Local).then_some(sensor.kind);
        match device.sensors.iter().find_map(kind) {
            Some(SensorKind::Regulator) => Probe::Regulator,
            Some(SensorKind::Board | SensorKind::Chip) => {
                let place = self.sensors;
                self.sensors = self.sensors.saturating_add(1);
                Probe::Board(place)
            }
            Some(SensorKind::Inlet) | None => Probe::Inlet,
        }
    }

    /// What a part's external diode is.
    fn diode(&self, device: &Device, channel: SensorChannel) -> Option<Probe> {
        let sensor = device
            .sensors
            .iter()
            .find(|sensor| sensor.channel == channel)?;
        Some(match (sensor.kind, channel) {
            (SensorKind::Chip, SensorChannel::Remote2) => Probe::Die(self.last_chip),
            (SensorKind::Chip, _) => Probe::Die(0),
            (SensorKind::Regulator, _) => Probe::Regulator,
            (SensorKind::Board, _) => Probe::Outlet,
            (SensorKind::Inlet, _) => Probe::Inlet,
        })
    }
}

fn part(driver: Driver, device: &Device, places: &mut Places) -> anyhow::Result<Part> {
    Ok(match driver {
        Driver::Emc2101 => Part::Emc2101 {
            fan: places.fans::<1>(device)[0],
            local: places.local(device),
            diode: places.diode(device, SensorChannel::Remote),
            // A profile that sets the register does so because of the chip.
            ideality: match device.ideality {
                Some(_) => Part::BM1370_IDEALITY,
                None => Part::DEFAULT_IDEALITY,
            },
        },
        Driver::Emc2103 => Part::Emc2103 {
            fan: places.fans::<1>(device)[0],
            local: places.local(device),
            diodes: [SensorChannel::Remote, SensorChannel::Remote2]
                .map(|channel| places.diode(device, channel)),
        },
        Driver::Emc2302 => Part::Emc2302 {
            fans: places.fans(device),
        },
        Driver::Tmp1075 => Part::Tmp1075 {
            local: places.local(device),
        },
        Driver::Tmp451 => {
            let remote = |sensor: &&Sensor| sensor.channel == SensorChannel::Remote;
            let sensor = device.sensors.iter().find(remote);
            Part::Tmp451 {
                local: places.local(device),
                remote: places.diode(device, SensorChannel::Remote),
                remote_error_k: sensor.map_or(0.0, |sensor| -sensor.offset_k),
            }
        }
        Driver::Lm75 => Part::Lm75 {
            local: places.local(device),
            bits: if device.part == "LM75" { 9 } else { 12 },
        },
        Driver::Ina260 => Part::Ina260,
        Driver::Ds4432u => {
            let feedback = device
                .feedback
                .context("the profile does not say what it pulls at")?;
            Part::Ds4432u {
                output: device.channel.unwrap_or(0),
                feedback: Feedback {
                    reference_mv: feedback.reference_mv,
                    upper_ohm: feedback.upper_ohm,
                    lower_ohm: feedback.lower_ohm,
                    full_scale_ua: feedback.full_scale_ua,
                },
            }
        }
        Driver::Tps546 => Part::Tps546 {
            id: Part::TPS546D24A_ID,
        },
        Driver::Tps53647 => Part::Tps53647,
        Driver::Tps53667 => Part::Tps53667,
        Driver::Fxl6408 => Part::Fxl6408 { base: 0 },
        Driver::At24 => Part::At24 {
            size: EEPROM_BYTES,
            contents: device.id.first().map_or(Vec::new(), |id| bytes_of(id)),
        },
        Driver::Apw => Part::Apw { model: APW12 },
    })
}

fn pin(number: u8, role: PinRole, active: Active) -> PinSpec {
    PinSpec {
        number,
        role,
        active_high: active.level(true),
    }
}

/// Bytes of hexadecimal digits; profiles are checked, so there are no others.
fn bytes_of(digits: &str) -> Vec<u8> {
    (0..digits.len() / 2)
        .filter_map(|at| u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok())
        .collect()
}
