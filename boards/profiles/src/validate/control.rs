//! Lines and buses of controllers: nothing is there twice, and the core can be switched off.

use std::collections::HashSet;

use super::{Check, is_slug, quoted, revisions};
use crate::schema::{
    Control, DeviceKind, Linux, LinuxBus, LinuxLine, LinuxPin, LinuxTach, PinRole, Profile,
};

/// Longest wait for a supply to settle, ms.
const SETTLE_MAX_MS: u32 = 10_000;

pub(super) fn bridge(profile: &Profile, check: &mut Check) {
    let Some(bridge) = &profile.bridge else {
        let needed = profile.control.contains(&Control::Bridge);
        check.require(!needed, "bridge", "missing", || {
            "required, because control lists \"bridge\"".into()
        });
        return;
    };
    if let Some(rate) = bridge.i2c_hz {
        let good = (10_000..=1_000_000).contains(&rate);
        check.require(good, "bridge.i2c_hz", rate, || {
            "must be 10000 to 1000000 Hz".into()
        });
    }
    for bus in bridge.i2c.keys() {
        check.require(is_slug(bus), "bridge.i2c", quoted(bus), || {
            "names of buses are lower-case letters, digits and dashes".into()
        });
    }
    check.require(
        (1..=8).contains(&bridge.boards),
        "bridge.boards",
        bridge.boards,
        || "a controller drives 1 to 8 boards".into(),
    );
    let last = bridge.boards.clamp(1, 8) - 1;
    let own = bridge.enables.iter().filter(|pin| pin.role != PinRole::Psu);
    let own = [bridge.reset.pin]
        .into_iter()
        .chain(bridge.plug.map(|line| line.pin))
        .chain(own.map(|pin| pin.pin));
    let shared = bridge.enables.iter().filter(|pin| pin.role == PinRole::Psu);
    let mut pins: Vec<u32> = shared.map(|pin| u32::from(pin.pin)).collect();
    for pin in own {
        for slot in 0..=u32::from(last) {
            pins.push(u32::from(pin) + slot * u32::from(bridge.slot_stride));
        }
    }
    let mut seen = HashSet::new();
    for pin in pins {
        check.require(pin <= 255, "bridge.slot_stride", bridge.slot_stride, || {
            format!("leads to pin {pin}, but pins go to 255")
        });
        check.require(seen.insert(pin), "bridge", format!("pin {pin}"), || {
            "does two things; with several boards say slot_stride".into()
        });
    }
    let settles = bridge.enables.iter().map(|pin| pin.settle_ms);
    let roles = bridge.enables.iter().map(|pin| pin.role);
    supplies("bridge.enables", roles, settles, check);
    for revision in revisions(profile) {
        let one = profile.for_revision(revision);
        let switched = one.bridge.as_ref().is_some_and(|bridge| {
            let mut roles = bridge.enables.iter().map(|pin| pin.role);
            roles.any(|role| matches!(role, PinRole::Core | PinRole::Psu))
        });
        let by_bus = one
            .devices
            .iter()
            .any(|device| device.kind == DeviceKind::Regulator && device.address.is_some());
        check.require(switched || by_bus, "bridge.enables", "[]", || {
            let on = revision.map_or_else(String::new, |name| format!(" of revision {name}"));
            format!(
                "nothing can switch the core{on} off: the regulator has no bus, so a pin of role \
                 core or psu has to"
            )
        });
    }
    let pins = bridge
        .enables
        .iter()
        .map(|pin| ("bridge.enables.revisions", &pin.revisions));
    let channels = bridge
        .adc
        .iter()
        .map(|adc| ("bridge.adc.revisions", &adc.revisions));
    for (field, named) in pins.chain(channels) {
        super::known_revisions(profile, field, named, check);
    }
    for converter in &bridge.adc {
        let good = converter.full_scale > 0 && converter.full_scale_mv > 0;
        check.require(good, "bridge.adc.full_scale", converter.full_scale, || {
            "must be above 0, and so must full_scale_mv".into()
        });
    }
}

pub(super) fn linux(profile: &Profile, check: &mut Check) {
    let Some(linux) = &profile.linux else { return };
    check.require(
        linux.boards.len() <= 16,
        "linux.board",
        linux.boards.len(),
        || "a machine has 1 to 16 boards".into(),
    );
    for bus in linux.i2c.keys() {
        check.require(is_slug(bus), "linux.i2c", quoted(bus), || {
            "names of buses are lower-case letters, digits and dashes".into()
        });
    }
    let mut seen = HashSet::new();
    for (field, chip, line) in lines(linux) {
        check.require(is_device(chip), &field, quoted(chip), || {
            "a GPIO chip is a character device, e.g. /dev/gpiochip0".into()
        });
        check.require(seen.insert((chip, line)), &field, line, || {
            format!("line {line} of {chip} does two things")
        });
    }
    for (field, path) in paths(linux) {
        check.require(is_path(path), &field, quoted(path), || {
            "must be an absolute path".into()
        });
    }
    for (index, fan) in linux.fans.iter().enumerate() {
        let good = (1_000..=1_000_000_000).contains(&fan.period_ns);
        let field = format!("linux.fan[{index}].period_ns");
        check.require(good, field, fan.period_ns, || {
            "must be 1000 to 1000000000 ns; fans with a PWM input want 40000".into()
        });
    }
    let fans = linux.fans.len();
    check.require(
        fans == 0 || fans == usize::from(profile.cooling.fans),
        "linux.fan",
        fans,
        || format!("cooling.fans = {}", profile.cooling.fans),
    );
    let groups = linux.boards.iter().map(|board| &board.enables);
    for enables in groups.chain([&linux.enables]) {
        let settles = enables.iter().map(|pin| pin.settle_ms);
        supplies(
            "linux.enables",
            enables.iter().map(|pin| pin.role),
            settles,
            check,
        );
    }
}

/// The rails of the chips' inputs and outputs come before the core, and what feeds both first.
fn supplies(
    field: &str,
    roles: impl Iterator<Item = PinRole>,
    settles: impl Iterator<Item = u32>,
    check: &mut Check,
) {
    let order = |role: PinRole| match role {
        PinRole::Psu => 0,
        PinRole::Vddio => 1,
        PinRole::Core => 2,
    };
    let steps: Vec<u8> = roles.map(order).collect();
    check.require(
        steps.is_sorted(),
        field,
        format!("{} supplies", steps.len()),
        || "must go on in the order psu, vddio, core".into(),
    );
    for settle in settles {
        check.require(settle <= SETTLE_MAX_MS, field, settle, || {
            format!("settle_ms is at most {SETTLE_MAX_MS}")
        });
    }
}

/// Every GPIO line with the field that names it.
fn lines(linux: &Linux) -> Vec<(String, &str, u32)> {
    fn add<'a>(out: &mut Vec<(String, &'a str, u32)>, field: String, line: &'a LinuxLine) {
        out.push((field, &line.chip, line.line));
    }
    fn switch<'a>(out: &mut Vec<(String, &'a str, u32)>, field: &str, pins: &'a [LinuxPin]) {
        for pin in pins {
            out.push((field.to_owned(), &pin.chip, pin.line));
        }
    }
    let mut out = Vec::new();
    switch(&mut out, "linux.enables", &linux.enables);
    for (index, board) in linux.boards.iter().enumerate() {
        add(
            &mut out,
            format!("linux.board[{index}].reset"),
            &board.reset,
        );
        if let Some(plug) = &board.plug {
            add(&mut out, format!("linux.board[{index}].plug"), plug);
        }
        switch(
            &mut out,
            &format!("linux.board[{index}].enables"),
            &board.enables,
        );
    }
    for bus in linux.i2c.values() {
        if let LinuxBus::Lines { chip, scl, sda } = bus {
            out.push(("linux.i2c".to_owned(), chip, *scl));
            out.push(("linux.i2c".to_owned(), chip, *sda));
        }
    }
    for (index, fan) in linux.fans.iter().enumerate() {
        if let LinuxTach::Line { chip, line, .. } = &fan.tach {
            out.push((format!("linux.fan[{index}].tach"), chip, *line));
        }
    }
    out
}

/// Every path but those of GPIO chips, with the field that names it.
fn paths(linux: &Linux) -> Vec<(String, &str)> {
    let mut out = Vec::new();
    for (name, bus) in &linux.i2c {
        if let LinuxBus::Device(path) = bus {
            out.push((format!("linux.i2c.{name}"), path.as_str()));
        }
    }
    for (index, board) in linux.boards.iter().enumerate() {
        if let Some(uart) = &board.uart {
            out.push((format!("linux.board[{index}].uart"), uart));
        }
    }
    for (index, fan) in linux.fans.iter().enumerate() {
        out.push((format!("linux.fan[{index}].pwm"), &fan.pwm));
        if let LinuxTach::File(path) = &fan.tach {
            out.push((format!("linux.fan[{index}].tach"), path));
        }
    }
    out
}

fn is_path(path: &str) -> bool {
    path.len() > 1 && path.starts_with('/') && !path.chars().any(char::is_control)
}

fn is_device(path: &str) -> bool {
    is_path(path) && path.len() > "/dev/".len() && path.starts_with("/dev/")
}
