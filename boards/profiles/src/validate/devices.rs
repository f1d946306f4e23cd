//! Devices: addresses that do not clash, and for each part what its driver needs to know.

use std::collections::HashSet;

use super::{Check, is_slug, is_text, known_revisions, quoted, revisions};
use crate::schema::{Device, DeviceKind, Feedback, Profile, SensorChannel, SensorKind};

/// Largest correction that a reading may get, K.
const OFFSET_MAX_K: f64 = 40.0;

pub(super) fn devices(profile: &Profile, check: &mut Check) {
    let mut taken = HashSet::new();
    for (index, device) in profile.devices.iter().enumerate() {
        let field = |key: &str| format!("device[{index}].{key}");
        let part = &device.part;
        check.require(is_text(part, 40), field("part"), quoted(part), || {
            "must be 1 to 40 printable characters".into()
        });
        let bus = &device.bus;
        check.require(is_slug(bus), field("bus"), quoted(bus), || {
            "must be lower-case letters, digits and dashes, e.g. i2c0".into()
        });
        known_revisions(profile, &field("revisions"), &device.revisions, check);
        addresses(profile, device, &field, &mut taken, check);
        sensors(profile, device, &field, check);
        fans(device, &field, check);
        settings(profile, device, &field, check);
    }
}

type Taken = HashSet<(String, u8, Option<String>)>;

fn addresses(
    profile: &Profile,
    device: &Device,
    field: &impl Fn(&str) -> String,
    taken: &mut Taken,
    check: &mut Check,
) {
    let listed = &device.slot_addresses;
    check.require(
        listed.is_empty() || (listed.first().copied() == device.address && device.slot_stride == 0),
        field("slot_addresses"),
        format!("{listed:#04x?}"),
        || "its first entry must be `address`, and there can be no slot_stride beside it".into(),
    );
    let boards = if device.kind == DeviceKind::Psu {
        1
    } else {
        boards_on_a_bus(profile)
    };
    check.require(
        listed.is_empty() || listed.len() >= usize::from(boards),
        field("slot_addresses"),
        listed.len(),
        || format!("one for each of {boards} boards is needed"),
    );
    let mut mine = HashSet::new();
    for slot in 0..boards {
        let Some(address) = device.address_in(slot) else {
            let given = device.address.is_some() && listed.is_empty();
            check.require(!given, field("slot_stride"), device.slot_stride, || {
                format!("leads beyond all addresses in slot {slot}")
            });
            continue;
        };
        let value = format!("{address:#04x}");
        let key = field("address");
        check.require((0x08..=0x77).contains(&address), &key, &value, || {
            "7-bit I2C addresses are 0x08 to 0x77".into()
        });
        check.require(mine.insert(address), &key, &value, || {
            format!(
                "{boards} boards share bus {}, but the device has the same address on each; say \
                 slot_stride or slot_addresses",
                device.bus
            )
        });
    }
    for address in mine {
        let free = revisions(profile)
            .filter(|revision| on_revision(device, *revision))
            .filter(|revision| {
                let key = (device.bus.clone(), address, revision.map(str::to_owned));
                !taken.insert(key)
            })
            .count()
            == 0;
        let value = format!("{address:#04x}");
        check.require(free, field("address"), value, || {
            format!("another device has this address on bus {}", device.bus)
        });
    }
}

fn boards_on_a_bus(profile: &Profile) -> u8 {
    let bridge = profile.bridge.as_ref().map_or(1, |bridge| bridge.boards);
    let linux = profile.linux.as_ref().map_or(1, |linux| linux.boards.len());
    bridge
        .max(u8::try_from(linux).unwrap_or(u8::MAX))
        .clamp(1, 16)
}

fn on_revision(device: &Device, revision: Option<&str>) -> bool {
    device.revisions.is_empty()
        || revision.is_some_and(|wanted| device.revisions.iter().any(|found| found == wanted))
}

fn sensors(profile: &Profile, device: &Device, field: &impl Fn(&str) -> String, check: &mut Check) {
    let able = matches!(
        device.kind,
        DeviceKind::TemperatureSensor | DeviceKind::FanController | DeviceKind::Regulator
    );
    check.require(
        able || device.sensors.is_empty(),
        field("sensors"),
        device.sensors.len(),
        || "only temperature sensors, fan controllers and regulators measure temperatures".into(),
    );
    let on_bus = device.address.is_some();
    check.require(
        on_bus || device.sensors.is_empty(),
        field("sensors"),
        device.sensors.len(),
        || "a device without an address cannot be read".into(),
    );
    let mut seen = HashSet::new();
    for (number, sensor) in device.sensors.iter().enumerate() {
        let key = |key: &str| field(&format!("sensors[{number}].{key}"));
        check.within(
            -OFFSET_MAX_K..=OFFSET_MAX_K,
            key("offset_k"),
            sensor.offset_k,
            "K",
        );
        let word = quoted(sensor.kind.key());
        check.require(
            seen.insert((sensor.kind, sensor.channel)),
            key("kind"),
            &word,
            || "is there twice for the same channel".into(),
        );
        let limited = sensor.kind == SensorKind::Inlet || profile.limit_c(sensor.kind).is_some();
        check.require(limited, key("kind"), &word, || {
            format!("has no limit; add limits.{}_c", sensor.kind.key())
        });
        let local_only = device.kind == DeviceKind::Regulator
            || ["TMP1075", "TMP75", "LM75"].contains(&device.part.as_str());
        check.require(
            !local_only || sensor.channel == SensorChannel::Local,
            key("channel"),
            quoted(sensor.channel.key()),
            || format!("a {} measures its own temperature only", device.part),
        );
        check.require(
            !sensor.needs_power || sensor.channel != SensorChannel::Local,
            key("needs_power"),
            true,
            || "the part reads its own temperature whether or not the chips have power".into(),
        );
    }
}

fn fans(device: &Device, field: &impl Fn(&str) -> String, check: &mut Check) {
    check.require(
        device.fans.is_empty() || device.kind == DeviceKind::FanController,
        field("fans"),
        format!("{:?}", device.fans),
        || "only fan controllers drive fans".into(),
    );
    let mut seen = HashSet::new();
    for channel in &device.fans {
        check.require(
            (1..=5).contains(channel) && seen.insert(*channel),
            field("fans"),
            channel,
            || "channels are numbered from 1 to 5, each at most once".into(),
        );
    }
}

/// What only some parts have: there for those, and nowhere else.
fn settings(
    profile: &Profile,
    device: &Device,
    field: &impl Fn(&str) -> String,
    check: &mut Check,
) {
    let part = device.part.as_str();
    let on_bus = device.address.is_some();
    let emc2101 = part == "EMC2101";
    let most_phases = match part {
        "TPS53647" => 4,
        "TPS53667" => 6,
        _ => 0,
    };
    let dac = device.kind == DeviceKind::VoltageDac;
    let rows = [
        (
            "init",
            device.init.is_some(),
            part.starts_with("TPS546"),
            on_bus,
        ),
        ("phases", device.phases.is_some(), most_phases > 0, on_bus),
        ("channel", device.channel.is_some(), dac, true),
        ("feedback", device.feedback.is_some(), dac, true),
        ("ideality", device.ideality.is_some(), emc2101, false),
        ("beta", device.beta.is_some(), emc2101, false),
    ];
    for (key, given, fits, needed) in rows {
        check.require(fits || !given, field(key), "present", || {
            format!("a {part} has no such setting; remove it")
        });
        check.require(given || !fits || !needed, field(key), "missing", || {
            format!("required, because a {part} cannot be set up without it")
        });
    }
    if let Some(phases) = device.phases {
        let good = most_phases == 0 || (1..=most_phases).contains(&phases);
        check.require(good, field("phases"), phases, || {
            format!("a {part} has 1 to {most_phases}")
        });
    }
    if let Some(channel) = device.channel {
        check.require(channel <= 1, field("channel"), channel, || {
            "outputs are numbered 0 and 1".into()
        });
    }
    if let Some(code) = device.ideality {
        check.require(code <= 0x3f, field("ideality"), code, || {
            "the register has six bits".into()
        });
    }
    if let Some(code) = device.beta {
        check.require(code <= 0x0f, field("beta"), code, || {
            "the register has four bits".into()
        });
    }
    for id in &device.id {
        let good = (2..=64).contains(&id.len())
            && id.len() % 2 == 0
            && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        check.require(good, field("id"), quoted(id), || {
            "must be 1 to 32 bytes in hexadecimal digits".into()
        });
    }
    if let Some(network) = &device.feedback {
        feedback(profile, network, field, check);
    }
}

/// The DAC has to reach the whole range of `[voltage]`.
fn feedback(
    profile: &Profile,
    network: &Feedback,
    field: &impl Fn(&str) -> String,
    check: &mut Check,
) {
    let values = [
        ("reference_mv", network.reference_mv, 100.0, 5000.0, "mV"),
        ("upper_ohm", network.upper_ohm, 10.0, 1e6, "ohm"),
        ("lower_ohm", network.lower_ohm, 10.0, 1e6, "ohm"),
        ("full_scale_ua", network.full_scale_ua, 1.0, 1000.0, "µA"),
    ];
    for (key, value, low, high, unit) in values {
        check.within(low..=high, field(&format!("feedback.{key}")), value, unit);
    }
    let middle = network.reference_mv * (1.0 + network.upper_ohm / network.lower_ohm);
    let span = network.full_scale_ua * network.upper_ohm / 1000.0;
    let voltage = &profile.voltage;
    for (key, setting) in [
        ("voltage.min_mv", voltage.min_mv),
        ("voltage.max_mv", voltage.max_mv),
    ] {
        let rail = f64::from(profile.rail_mv(setting));
        check.require((rail - middle).abs() <= span, key, setting, || {
            format!("the current DAC can move the regulator's {middle:.0} mV by {span:.0} mV only")
        });
    }
}
