//! What our own controller firmware has to know of a board to guard it by itself: the same sensors,
//! fans, rails and limits as the station's guard, from the same profile.

use board_devices::{Part, emc2302};
use board_profiles::{PinRole as Role, ResponseFormat, SensorChannel};
use bridge::{
    FanPage,
    answer::Format,
    app::{FanPlan, PinPlan, PinRole, Plan, RailPlan, SensorPlan, SensorSource},
};
use guard::CentiCelsius;

use crate::{
    config::{ConfigError, StationConfig},
    layout::{FanAt, Layout},
    parts::{Place, Supply},
};

/// The plan of a board for the controller application of `bridge`, for a station of one board.
///
/// # Errors
///
/// As [`crate::Station::new`], and when the board carries a part that the controller application has
/// no driver for.
pub fn controller_plan(config: &StationConfig) -> Result<Plan, ConfigError> {
    let layout = Layout::new(config)?;
    let profile = &config.profile;
    let Some(bridge) = &profile.bridge else {
        return Err(ConfigError::Control(format!(
            "{} has no board controller",
            profile.model
        )));
    };
    let lacking = |what: &str| ConfigError::Lacking {
        model: profile.model.clone(),
        what: format!("{what} that our controller firmware can drive"),
    };
    let format = match bridge.response {
        ResponseFormat::V0 | ResponseFormat::Probe => Format::V0,
        ResponseFormat::V0Total => Format::V0Total,
        ResponseFormat::V1 => Format::V1,
    };
    let slot = config.boards.first().map_or(0, |board| board.slot);
    let number = |place: &Place| bridge.bus_number(&place.bus);
    let mut plan = Plan::new(format, layout.limits);
    plan.fan_page = FanPage::Device;
    let full = |_| lacking("so many pins, sensors, fans or rails");

    let reset = bridge.reset_in(slot);
    plan.pins
        .push(PinPlan {
            number: reset.pin,
            role: PinRole::Reset,
            active_high: reset.level(true),
        })
        .map_err(full)?;
    for enable in bridge.enables_in(slot) {
        plan.pins
            .push(PinPlan {
                number: enable.pin,
                role: match enable.role {
                    Role::Core | Role::Psu => PinRole::Core,
                    Role::Vddio => PinRole::Supply,
                },
                active_high: enable.active.level(true),
            })
            .map_err(full)?;
    }
    for sensor in &layout.sensors {
        let local = sensor.channel == SensorChannel::Local;
        let source = match (sensor.place.part, local) {
            (Part::Emc2101, true) => SensorSource::Emc2101,
            (Part::Emc2101, false) => SensorSource::Emc2101Diode,
            (Part::Tmp1075, _) => SensorSource::Tmp1075,
            (Part::Lm75, _) => SensorSource::Lm75,
            (Part::Tmp451, true) => SensorSource::Tmp451,
            (Part::Tmp451, false) => SensorSource::Tmp451Diode,
            (Part::Tps546, _) => SensorSource::Regulator { rail: 0 },
            (part, _) => return Err(lacking(&format!("a sensor other than the {}", part.name()))),
        };
        plan.sensors
            .push(SensorPlan {
                bus: number(&sensor.place),
                address: sensor.place.address,
                source,
                offset: CentiCelsius(sensor.offset_centi),
            })
            .map_err(full)?;
    }
    for fan in &layout.fans {
        let fan = match &fan.at {
            FanAt::Device(place, _) if place.part == Part::Emc2101 => {
                let identity = layout.identities.iter().find(|id| id.place == *place);
                FanPlan::Emc2101 {
                    bus: number(place),
                    address: place.address,
                    ideality: identity.and_then(|id| id.ideality),
                    beta: identity.and_then(|id| id.beta),
                }
            }
            FanAt::Device(place, channel) if place.part == Part::Emc2302 => FanPlan::Emc2302 {
                bus: number(place),
                address: place.address,
                fan: emc2302::Fan::from_channel(channel.saturating_sub(1))
                    .unwrap_or(emc2302::Fan::One),
            },
            FanAt::Device(place, _) => {
                let name = place.part.name();
                return Err(lacking(&format!("a fan controller other than the {name}")));
            }
            FanAt::Controller(index) => FanPlan::Pwm {
                fan: u8::try_from(*index).unwrap_or(u8::MAX),
            },
        };
        plan.fans.push(fan).map_err(full)?;
    }
    let place = &layout.supply_at;
    let rail = match layout.supply {
        Supply::Tps546(config) => RailPlan::Tps546 {
            bus: number(place),
            address: place.address,
            config,
        },
        Supply::Dac(network, output) => RailPlan::Ds4432u {
            bus: number(place),
            address: place.address,
            network,
            output,
            monitor: layout.monitors.first().map(|monitor| monitor.address),
        },
        Supply::Tps536x7(_) | Supply::Psu => {
            return Err(lacking(&format!(
                "a core supply other than the {}",
                layout.supply_name
            )));
        }
    };
    plan.rails.push(rail).map_err(full)?;
    plan.check().map_err(|error| ConfigError::Limits {
        model: profile.model.clone(),
        reason: error.to_string(),
    })?;
    Ok(plan)
}
