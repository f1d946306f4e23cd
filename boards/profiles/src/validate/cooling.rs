//! Fans, temperatures and the voltage curve.

use super::Check;
use crate::schema::{Profile, SensorKind};

/// Least distance between the start of throttling and the limit, K: what is left between them
/// has to be covered before power goes.
const THROTTLE_ROOM_K: f64 = 2.0;

pub(super) fn curve(profile: &Profile, check: &mut Check) {
    let (f, v) = (&profile.frequency, &profile.voltage);
    for (index, point) in profile.curve.iter().enumerate() {
        let field = |key: &str| format!("curve[{index}].{key}");
        check.within(f.min_mhz..=f.max_mhz, field("mhz"), point.mhz, "MHz");
        let good = (v.min_mv..=v.max_mv).contains(&point.mv);
        check.require(good, field("mv"), point.mv, || {
            format!("is outside min_mv to max_mv, {} to {}", v.min_mv, v.max_mv)
        });
    }
    for (index, pair) in profile.curve.windows(2).enumerate() {
        let field = |key: &str| format!("curve[{}].{key}", index + 1);
        check.require(pair[0].mhz < pair[1].mhz, field("mhz"), pair[1].mhz, || {
            format!("follows {}, but clocks must ascend", pair[0].mhz)
        });
        check.require(pair[0].mv <= pair[1].mv, field("mv"), pair[1].mv, || {
            format!(
                "follows {}, but a higher clock needs no less voltage",
                pair[0].mv
            )
        });
    }
    let needed = profile.voltage_for(f.default_mhz);
    check.require(
        profile.curve.is_empty() || needed <= v.default_mv,
        "voltage.default_mv",
        v.default_mv,
        || {
            format!(
                "is less than the {needed} mV that [[curve]] asks for at default_mhz = {}",
                f.default_mhz
            )
        },
    );
}

pub(super) fn cooling(profile: &Profile, check: &mut Check) {
    let c = &profile.cooling;
    let whole = [
        ("cooling.fans", f64::from(c.fans), 0.0, 8.0, ""),
        (
            "cooling.max_rpm",
            f64::from(c.max_rpm),
            200.0,
            30_000.0,
            "rpm",
        ),
        (
            "cooling.tolerance_percent",
            f64::from(c.tolerance_percent),
            5.0,
            80.0,
            "percent",
        ),
        (
            "cooling.dead_band_percent",
            f64::from(c.dead_band_percent),
            0.0,
            50.0,
            "percent",
        ),
        ("cooling.spin_up_s", c.spin_up_s, 0.5, 30.0, "s"),
        ("cooling.target_c", c.target_c, 25.0, 100.0, "°C"),
    ];
    for (field, value, low, high, unit) in whole {
        check.within(low..=high, field, value, unit);
    }
    check.require(
        c.fans == 0 || c.min_percent > c.dead_band_percent,
        "cooling.min_percent",
        c.min_percent,
        || {
            format!(
                "fans stand still up to dead_band_percent = {}; the floor must be above it",
                c.dead_band_percent
            )
        },
    );
    check.require(
        (c.min_percent..=100).contains(&c.start_percent),
        "cooling.start_percent",
        c.start_percent,
        || format!("must be min_percent = {} to 100 percent", c.min_percent),
    );
    check.require(c.hot_c > c.target_c, "cooling.hot_c", c.hot_c, || {
        format!("must be above target_c = {}", c.target_c)
    });
    sensor(profile, check);
    fan_sources(profile, check);
}

fn sensor(profile: &Profile, check: &mut Check) {
    let c = &profile.cooling;
    let word = c.sensor.key();
    let Some(limit) = profile.limit_c(c.sensor) else {
        check.require(false, "cooling.sensor", format!("{word:?}"), || {
            "there is no limit for it in [limits]".into()
        });
        return;
    };
    check.require(
        c.hot_c <= limit - THROTTLE_ROOM_K,
        "cooling.hot_c",
        c.hot_c,
        || {
            format!(
                "must be at least {THROTTLE_ROOM_K} K below the limit of {limit} °C, at which power goes"
            )
        },
    );
    for revision in super::revisions(profile) {
        let devices = profile.devices_for(revision);
        let found = devices.flat_map(|device| &device.sensors);
        let (mut any, mut kind, mut early) = (false, false, false);
        for sensor in found {
            any = true;
            kind |= sensor.kind == c.sensor;
            early |= !sensor.needs_power && sensor.kind != SensorKind::Inlet;
        }
        let on = revision.map_or_else(String::new, |name| format!(" on revision {name}"));
        check.require(!any || kind, "cooling.sensor", format!("{word:?}"), || {
            format!("no device has a sensor of this kind{on}")
        });
        check.require(any, "device.sensors", "[]", || {
            format!("nothing measures a temperature{on}; power is never granted without one")
        });
        check.require(!any || early, "device.sensors", "needs_power", || {
            format!(
                "every sensor{on} needs power, but power is only granted with a temperature; \
                 add one that reads without"
            )
        });
    }
}

/// The fans of `[cooling]` have to be those that something drives.
fn fan_sources(profile: &Profile, check: &mut Check) {
    use crate::schema::BridgeFans;

    let fans = usize::from(profile.cooling.fans);
    let paged = profile.bridge.as_ref().map(|bridge| bridge.fans);
    for revision in super::revisions(profile) {
        let devices = profile.devices_for(revision);
        let driven: usize = devices.map(|device| device.fans.len()).sum();
        let good = match paged {
            None => driven == 0 || driven == fans,
            Some(BridgeFans::Device) => driven == fans && fans > 0,
            Some(BridgeFans::Bonanza) => driven == 0 && fans == 1,
            Some(BridgeFans::Bitcrane) => driven == 0 && (1..=4).contains(&fans),
            Some(BridgeFans::None) => driven == 0 && fans == 0,
        };
        check.require(good, "cooling.fans", fans, || {
            let page = match paged {
                None => "no fan page",
                Some(BridgeFans::Device) => "bridge.fans = \"device\"",
                Some(BridgeFans::Bonanza) => "one fan on the fan page",
                Some(BridgeFans::Bitcrane) => "up to four fans on the fan page",
                Some(BridgeFans::None) => "bridge.fans = \"none\"",
            };
            let on = revision.map_or_else(String::new, |name| format!(" on revision {name}"));
            format!("but devices drive {driven}{on}, with {page}")
        });
    }
}
