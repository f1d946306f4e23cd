//! What follows from a profile: the voltage for a clock, the limit for a sensor, the devices of
//! a revision, and why a way of control cannot be used.

use std::collections::BTreeSet;

use crate::schema::{
    Active, BridgePin, Control, CurvePoint, Device, Line, PinRole, Profile, SensorChannel,
    SensorKind, VoltageScope,
};

/// How far below a sensor's limit throttling begins where `[cooling]` does not say, at least, K.
const LEAST_MARGIN_K: f64 = 2.0;

impl Profile {
    /// Setting of `[voltage]`, mV, that a clock of `mhz` needs: from `[[curve]]`, or on the line
    /// from the lowest to the default settings. Straight between points, level beyond the ends,
    /// never outside `min_mv` to `max_mv`.
    #[must_use]
    pub fn voltage_for(&self, mhz: f64) -> u32 {
        let (f, v) = (&self.frequency, &self.voltage);
        let line = [
            CurvePoint {
                mhz: f.min_mhz,
                mv: v.min_mv,
            },
            CurvePoint {
                mhz: f.default_mhz,
                mv: v.default_mv,
            },
        ];
        let points = if self.curve.is_empty() {
            &line[..]
        } else {
            &self.curve
        };
        let above = points.iter().position(|point| point.mhz >= mhz);
        let mv = match above {
            None => points[points.len() - 1].mv,
            Some(0) => points[0].mv,
            Some(at) => {
                let (low, high) = (points[at - 1], points[at]);
                let share = (mhz - low.mhz) / (high.mhz - low.mhz);
                let mv = f64::from(low.mv) + share * (f64::from(high.mv) - f64::from(low.mv));
                // Within the u32s on both sides; up, so that a chip never gets less than it needs.
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                let mv = mv.ceil() as u32;
                mv
            }
        };
        // Not `clamp`, which panics where a profile that was never checked has them in disorder.
        mv.max(v.min_mv).min(v.max_mv)
    }

    /// Temperature at which power goes for sensors of this kind, °C; none where the board has no
    /// limit for it. Inlet air has none of its own.
    #[must_use]
    pub fn limit_c(&self, kind: SensorKind) -> Option<f64> {
        match kind {
            SensorKind::Chip => Some(self.limits.chip_c),
            SensorKind::Board => self.limits.board_c,
            SensorKind::Regulator => self.limits.regulator_c,
            SensorKind::Inlet => None,
        }
    }

    /// Temperature from which the clock is throttled for sensors of this kind, °C: what
    /// `[cooling]` says for its sensor, and as far below the limit for the others.
    #[must_use]
    pub fn hot_c(&self, kind: SensorKind) -> Option<f64> {
        let cooling = &self.cooling;
        if kind == cooling.sensor {
            return Some(cooling.hot_c);
        }
        let margin = self
            .limit_c(cooling.sensor)
            .map_or(LEAST_MARGIN_K, |limit| limit - cooling.hot_c);
        self.limit_c(kind)
            .map(|limit| limit - margin.max(LEAST_MARGIN_K))
    }

    /// The revision that is meant when none is named: the last of `revisions`, which is the
    /// newest.
    #[must_use]
    pub fn newest_revision(&self) -> Option<&str> {
        self.revisions.last().map(String::as_str)
    }

    /// Devices of a board of this revision; `None` means the newest one. A revision that the
    /// profile does not know has the devices that all revisions share.
    pub fn devices_for<'a>(
        &'a self,
        revision: Option<&'a str>,
    ) -> impl Iterator<Item = &'a Device> + 'a {
        let revision = revision.or(self.newest_revision());
        let devices = self.devices.iter();
        devices.filter(move |device| is_on(&device.revisions, revision))
    }

    /// The profile of a board of this revision alone, `None` meaning the newest: without the
    /// devices, pins and ADC channels that only other revisions have.
    #[must_use]
    pub fn for_revision(&self, revision: Option<&str>) -> Self {
        let revision = revision.or(self.newest_revision());
        let mut only = self.clone();
        only.devices
            .retain(|device| is_on(&device.revisions, revision));
        if let Some(bridge) = &mut only.bridge {
            bridge.enables.retain(|pin| is_on(&pin.revisions, revision));
            bridge.adc.retain(|adc| is_on(&adc.revisions, revision));
        }
        // From here on this is the newest one.
        if let Some(name) = revision.filter(|name| only.revisions.iter().any(|r| r == name)) {
            only.revisions = vec![name.to_owned()];
        }
        only
    }

    /// Why the board cannot be controlled in this way, in words for its owner, or nothing if it
    /// can.
    #[must_use]
    pub fn control_gap(&self, control: Control) -> Option<String> {
        let name = match control {
            Control::Bridge => "a control port",
            Control::Linux => "the Linux control board",
            Control::External => "somebody else",
        };
        if !self.control.contains(&control) {
            let known: Vec<&str> = self.control.iter().map(|way| way.key()).collect();
            return Some(format!(
                "{} cannot be controlled by {name}; its profile allows {}",
                self.model,
                known.join(", ")
            ));
        }
        let missing = match control {
            Control::Bridge if self.bridge.is_none() => vec!["[bridge]".to_owned()],
            Control::Linux => self.linux_gaps(),
            Control::Bridge | Control::External => Vec::new(),
        };
        (!missing.is_empty()).then(|| {
            format!(
                "the profile of {} lacks {}, because this is not published; copy the profile, \
                 fill it in for your control board and name the file",
                self.model,
                missing.join(", ")
            )
        })
    }

    /// What a Linux control board needs and `[linux]` does not tell.
    fn linux_gaps(&self) -> Vec<String> {
        let Some(linux) = &self.linux else {
            return vec!["[linux]".to_owned()];
        };
        let mut gaps = Vec::new();
        let buses: BTreeSet<&str> = self
            .devices_for(None)
            .filter(|device| device.address.is_some())
            .map(|device| device.bus.as_str())
            .collect();
        for bus in buses {
            if !linux.i2c.contains_key(bus) {
                gaps.push(format!("linux.i2c.{bus}"));
            }
        }
        if linux.boards.is_empty() {
            gaps.push("[[linux.board]]".to_owned());
        }
        if linux.fans.len() != usize::from(self.cooling.fans)
            && self.devices_for(None).all(|device| device.fans.is_empty())
        {
            gaps.push("[[linux.fan]]".to_owned());
        }
        let psu = linux.enables.iter().any(|pin| pin.role == PinRole::Psu);
        if self.voltage.scope == VoltageScope::Psu && !psu {
            gaps.push("linux.enables with role = \"psu\"".to_owned());
        }
        gaps
    }
}

impl Control {
    /// The word for it in profiles.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Bridge => "bridge",
            Self::Linux => "linux",
            Self::External => "external",
        }
    }
}

impl SensorKind {
    /// The word for it in profiles.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Chip => "chip",
            Self::Board => "board",
            Self::Regulator => "regulator",
            Self::Inlet => "inlet",
        }
    }
}

impl SensorChannel {
    /// The word for it in profiles.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Remote => "remote",
            Self::Remote2 => "remote2",
        }
    }
}

impl Device {
    /// I2C address of the device on the board in `slot`, from 0; none if the device has none.
    #[must_use]
    pub fn address_in(&self, slot: u8) -> Option<u8> {
        if !self.slot_addresses.is_empty() {
            return self.slot_addresses.get(usize::from(slot)).copied();
        }
        let step = self.slot_stride.checked_mul(slot)?;
        self.address?.checked_add(step)
    }
}

impl crate::schema::Bridge {
    /// Number of the bus that a device names.
    #[must_use]
    pub fn bus_number(&self, bus: &str) -> u8 {
        self.i2c.get(bus).copied().unwrap_or(0)
    }

    /// Reset line of the board in `slot`, from 0.
    #[must_use]
    pub fn reset_in(&self, slot: u8) -> Line {
        self.line_in(self.reset, slot)
    }

    /// Line that tells whether the board in `slot` is plugged in.
    #[must_use]
    pub fn plug_in(&self, slot: u8) -> Option<Line> {
        self.plug.map(|line| self.line_in(line, slot))
    }

    /// Supplies of the board in `slot`, of all revisions, in the order in which they go on; those
    /// of the power supply are the same for all boards.
    pub fn enables_in(&self, slot: u8) -> impl Iterator<Item = BridgePin> + '_ {
        self.enables.iter().map(move |enable| {
            if enable.role == PinRole::Psu {
                return enable.clone();
            }
            let line = Line {
                pin: enable.pin,
                active: enable.active,
            };
            BridgePin {
                pin: self.line_in(line, slot).pin,
                ..enable.clone()
            }
        })
    }

    fn line_in(&self, line: Line, slot: u8) -> Line {
        Line {
            pin: line
                .pin
                .saturating_add(self.slot_stride.saturating_mul(slot)),
            ..line
        }
    }
}

impl Line {
    /// Level of the line, `true` for high, when it does what it is called.
    #[must_use]
    pub fn level(self, active: bool) -> bool {
        self.active.level(active)
    }
}

impl Active {
    /// Level of the line, `true` for high, when it is `active`.
    #[must_use]
    pub fn level(self, active: bool) -> bool {
        match self {
            Self::High => active,
            Self::Low => !active,
        }
    }
}

/// Whether something with these `revisions` is on a board of `revision`.
fn is_on(revisions: &[String], revision: Option<&str>) -> bool {
    revisions.is_empty() || revision.is_some_and(|wanted| revisions.iter().any(|r| r == wanted))
}
