//! The lines, buses and fans of this machine, as a profile's `[linux]` table names them: I2C and GPIO
//! character devices, PWM and tach files of sysfs. Everything is opened when it is first needed and
//! stays open.

mod bitbang;
mod tach;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use board_profiles::{Active, Linux, LinuxBus, LinuxFan, LinuxTach, Profile};
use embedded_hal::i2c::{self, ErrorType, I2c, Operation};
use linux_embedded_hal::I2cdev;
use linux_embedded_hal::gpio_cdev::{Chip, LineHandle, LineRequestFlags};
use station::buses::Bus;
use station::{BusError, Buses, Line};

use bitbang::{BitBang, GpioWires};
use tach::PulseCounter;

/// How the kernel names the user of a line.
const CONSUMER: &str = "hashwright";

/// Hardware of the Linux control board that the agent runs on.
pub(super) struct LinuxBuses {
    linux: Linux,
    slots: Vec<u8>,
    lines: HashMap<(String, u32), LineHandle>,
    i2c: HashMap<String, Port>,
    counters: HashMap<(String, u32), PulseCounter>,
    /// Duty that each fan was told, percent; full until told otherwise.
    duties: Vec<u8>,
    /// No access to a bus after this moment.
    until: Option<Instant>,
}

enum Port {
    Kernel(I2cdev),
    Lines(BitBang<GpioWires>),
}

impl LinuxBuses {
    /// Nothing is opened yet. A profile without a `[linux]` table has nothing to open.
    pub(super) fn new(profile: &Profile, slots: Vec<u8>) -> Self {
        let linux = profile.linux.clone().unwrap_or_default();
        Self {
            duties: vec![100; linux.fans.len()],
            linux,
            slots,
            lines: HashMap::new(),
            i2c: HashMap::new(),
            counters: HashMap::new(),
            until: None,
        }
    }

    /// Character device, offset and the level at which a line is asserted.
    fn place(&self, line: Line) -> Result<(String, u32, bool), BusError> {
        let missing = || BusError::Missing(format!("line {line:?} in its [linux] table"));
        let board = |board: usize| {
            let slot = self.slots.get(board)?;
            self.linux.boards.get(usize::from(*slot))
        };
        let of =
            |chip: &str, line: u32, active: Active| (chip.to_owned(), line, active.level(true));
        Ok(match line {
            Line::Reset { board: at } => {
                let reset = &board(at).ok_or_else(missing)?.reset;
                of(&reset.chip, reset.line, reset.active)
            }
            Line::Enable { board: at, index } => {
                let enables = &board(at).ok_or_else(missing)?.enables;
                let enable = enables.get(index).ok_or_else(missing)?;
                of(&enable.chip, enable.line, enable.active)
            }
            Line::Shared { index } => {
                let enable = self.linux.enables.get(index).ok_or_else(missing)?;
                of(&enable.chip, enable.line, enable.active)
            }
        })
    }
}

impl Buses for LinuxBuses {
    fn bound(&mut self, time: Option<Duration>) {
        self.until = time.and_then(|time| Instant::now().checked_add(time));
    }

    fn i2c(&mut self, _board: usize, bus: &str) -> Result<Bus<'_>, BusError> {
        in_time(self.until)?;
        let place = self
            .linux
            .i2c
            .get(bus)
            .ok_or_else(|| BusError::Missing(format!("bus {bus} in its [linux] table")))?;
        if !self.i2c.contains_key(bus) {
            let port = match place {
                LinuxBus::Device(path) => I2cdev::new(path)
                    .map(Port::Kernel)
                    .map_err(|e| trouble(path, &e))?,
                LinuxBus::Lines { chip, scl, sda } => {
                    let wires = GpioWires::open(chip, *scl, *sda).map_err(|e| trouble(chip, &e))?;
                    Port::Lines(BitBang::new(wires))
                }
            };
            self.i2c.insert(bus.to_owned(), port);
        }
        match self.i2c.get_mut(bus) {
            Some(Port::Kernel(port)) => Ok(Box::new(Kernel(port, self.until))),
            Some(Port::Lines(port)) => Ok(Box::new(port)),
            None => Err(BusError::Missing(bus.to_owned())),
        }
    }

    fn set_line(&mut self, line: Line, asserted: bool) -> Result<bool, BusError> {
        let (chip, offset, active) = self.place(line)?;
        let level = u8::from(asserted == active);
        let key = (chip, offset);
        if !self.lines.contains_key(&key) {
            // The level is set together with the direction, so that nothing glitches.
            let handle = output(&key.0, offset, level).map_err(|e| trouble(&key.0, &e))?;
            self.lines.insert(key.clone(), handle);
        }
        let Some(handle) = self.lines.get(&key) else {
            return Err(BusError::Missing(key.0));
        };
        handle.set_value(level).map_err(|e| trouble(&key.0, &e))?;
        let now = handle.get_value().map_err(|e| trouble(&key.0, &e))?;
        Ok((now != 0) == active)
    }

    fn line(&mut self, line: Line) -> Result<bool, BusError> {
        let (chip, offset, active) = self.place(line)?;
        let level = match self.lines.get(&(chip.clone(), offset)) {
            Some(handle) => handle.get_value(),
            // Only looked at: what nobody has set is left as it is.
            None => input(&chip, offset).and_then(|handle| handle.get_value()),
        };
        let level = level.map_err(|e| trouble(&chip, &e))?;
        Ok((level != 0) == active)
    }

    fn set_fan(&mut self, fan: usize, percent: u8) -> Result<(), BusError> {
        let missing = || BusError::Missing(format!("fan {fan} in its [linux] table"));
        let place = self.linux.fans.get(fan).ok_or_else(missing)?;
        *self.duties.get_mut(fan).ok_or_else(missing)? = percent.min(100);
        // Fans on one output turn as the one that needs it most.
        let shared = self.linux.fans.iter().zip(&self.duties);
        let duty = shared.filter(|(other, _)| other.pwm == place.pwm);
        let duty = duty.map(|(_, duty)| *duty).max().unwrap_or(100);
        set_pwm(place, duty).map_err(|error| trouble(&place.pwm, &error))
    }

    fn fan_rpm(&mut self, fan: usize) -> Result<u32, BusError> {
        let missing = || BusError::Missing(format!("fan {fan} in its [linux] table"));
        match &self.linux.fans.get(fan).ok_or_else(missing)?.tach {
            LinuxTach::File(path) => {
                let text = fs::read_to_string(path).map_err(|error| trouble(path, &error))?;
                text.trim()
                    .parse()
                    .map_err(|_| BusError::Port(format!("{path} holds no speed")))
            }
            LinuxTach::Line { chip, line, pulses } => {
                let key = (chip.clone(), *line);
                if !self.counters.contains_key(&key) {
                    let counter = PulseCounter::open(chip, *line, *pulses)
                        .map_err(|error| trouble(chip, &error))?;
                    self.counters.insert(key.clone(), counter);
                }
                let counter = self.counters.get_mut(&key).ok_or_else(missing)?;
                counter.rpm()
            }
        }
    }
}

fn in_time(until: Option<Instant>) -> Result<(), BusError> {
    match until {
        Some(until) if Instant::now() >= until => {
            Err(BusError::Gone("the buses answer too slowly".to_owned()))
        }
        _ => Ok(()),
    }
}

fn output(
    chip: &str,
    offset: u32,
    level: u8,
) -> Result<LineHandle, linux_embedded_hal::gpio_cdev::Error> {
    Chip::new(chip)?
        .get_line(offset)?
        .request(LineRequestFlags::OUTPUT, level, CONSUMER)
}

fn input(chip: &str, offset: u32) -> Result<LineHandle, linux_embedded_hal::gpio_cdev::Error> {
    Chip::new(chip)?
        .get_line(offset)?
        .request(LineRequestFlags::INPUT, 0, CONSUMER)
}

/// Sets a PWM output of sysfs, and looks whether it was taken.
fn set_pwm(fan: &LinuxFan, percent: u8) -> io::Result<()> {
    let folder = Path::new(&fan.pwm);
    if !folder.exists() {
        export(folder)?;
    }
    let read = |name: &str| -> io::Result<u64> {
        let text = fs::read_to_string(folder.join(name))?;
        text.trim().parse().map_err(io::Error::other)
    };
    let write = |name: &str, value: u64| fs::write(folder.join(name), value.to_string());
    let period = u64::from(fan.period_ns);
    if read("period")? != period {
        // A period shorter than the pulse is refused.
        write("duty_cycle", 0)?;
        write("period", period)?;
    }
    let percent = u64::from(if fan.inverted { 100 - percent } else { percent });
    let pulse = period * percent / 100;
    write("duty_cycle", pulse)?;
    if read("enable")? != 1 {
        write("enable", 1)?;
    }
    let taken = read("duty_cycle")?;
    if taken.abs_diff(pulse) > period / 100 {
        return Err(io::Error::other(format!(
            "a pulse of {pulse} ns was set, {taken} ns is in force"
        )));
    }
    Ok(())
}

/// Asks the kernel for a PWM channel: `.../pwmchip0/pwm1` is made by writing 1 to `.../pwmchip0/export`.
fn export(folder: &Path) -> io::Result<()> {
    let number = folder
        .file_name()
        .and_then(|name| name.to_str()?.strip_prefix("pwm"))
        .ok_or_else(|| io::Error::other("is no PWM channel, which would end in pwmN"))?;
    let chip: PathBuf = folder.parent().unwrap_or(Path::new("/")).join("export");
    fs::write(chip, number)
}

fn trouble(place: &str, error: &dyn std::fmt::Display) -> BusError {
    BusError::Port(format!("{place}: {error}"))
}

/// A bus of the kernel with errors that stations understand.
struct Kernel<'a>(&'a mut I2cdev, Option<Instant>);

impl ErrorType for Kernel<'_> {
    type Error = BusError;
}

impl I2c for Kernel<'_> {
    fn transaction(
        &mut self,
        address: u8,
        operations: &mut [Operation<'_>],
    ) -> Result<(), BusError> {
        in_time(self.1)?;
        I2c::<i2c::SevenBitAddress>::transaction(self.0, address, operations).map_err(|error| {
            match i2c::Error::kind(&error) {
                i2c::ErrorKind::NoAcknowledge(_) => BusError::NotAcknowledged,
                i2c::ErrorKind::Bus | i2c::ErrorKind::ArbitrationLoss => BusError::Timeout,
                _ => BusError::Port(error.to_string()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fan(folder: &Path, inverted: bool) -> LinuxFan {
        LinuxFan {
            pwm: folder.join("pwm1").display().to_string(),
            period_ns: 40_000,
            inverted,
            tach: LinuxTach::File(folder.join("fan1_input").display().to_string()),
        }
    }

    /// Files as sysfs has them after the export.
    fn sysfs() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let pwm = folder.path().join("pwm1");
        fs::create_dir(&pwm).unwrap();
        for (name, value) in [("period", "0\n"), ("duty_cycle", "0\n"), ("enable", "0\n")] {
            fs::write(pwm.join(name), value).unwrap();
        }
        fs::write(folder.path().join("fan1_input"), "2340\n").unwrap();
        folder
    }

    fn buses(fans: Vec<LinuxFan>) -> LinuxBuses {
        LinuxBuses {
            duties: vec![100; fans.len()],
            linux: Linux {
                fans,
                ..Linux::default()
            },
            slots: vec![0],
            lines: HashMap::new(),
            i2c: HashMap::new(),
            counters: HashMap::new(),
            until: None,
        }
    }

    fn duty(folder: &Path) -> String {
        fs::read_to_string(folder.join("pwm1/duty_cycle")).unwrap()
    }

    #[test]
    fn a_fan_is_set_over_sysfs_and_its_speed_is_read() {
        let folder = sysfs();
        let mut buses = buses(vec![fan(folder.path(), false)]);
        buses.set_fan(0, 30).unwrap();
        assert_eq!(duty(folder.path()), "12000");
        for (file, value) in [("period", "40000"), ("enable", "1")] {
            let path = folder.path().join("pwm1").join(file);
            assert_eq!(fs::read_to_string(path).unwrap().trim(), value, "{file}");
        }
        assert_eq!(buses.fan_rpm(0).unwrap(), 2340);
    }

    #[test]
    fn an_inverted_output_stops_the_fan_with_a_full_pulse() {
        let folder = sysfs();
        let mut buses = buses(vec![fan(folder.path(), true)]);
        buses.set_fan(0, 100).unwrap();
        assert_eq!(duty(folder.path()), "0");
    }

    #[test]
    fn fans_on_one_output_turn_as_fast_as_any_of_them_must() {
        let folder = sysfs();
        let mut buses = buses(vec![fan(folder.path(), false), fan(folder.path(), false)]);
        buses.set_fan(0, 20).unwrap();
        assert_eq!(
            duty(folder.path()),
            "40000",
            "the other has not been told yet"
        );
        buses.set_fan(1, 50).unwrap();
        assert_eq!(duty(folder.path()), "20000");
        buses.set_fan(0, 60).unwrap();
        assert_eq!(duty(folder.path()), "24000");
    }

    #[test]
    fn what_is_missing_is_named() {
        let mut buses = buses(Vec::new());
        let missing = |error: BusError| error.to_string();
        assert!(missing(buses.set_fan(0, 1).unwrap_err()).contains("fan 0"));
        assert!(missing(buses.fan_rpm(3).unwrap_err()).contains("fan 3"));
        let reset = Line::Reset { board: 0 };
        assert!(missing(buses.set_line(reset, true).unwrap_err()).contains("Reset"));
        let error = buses.i2c(0, "psu").err().unwrap();
        assert!(missing(error).contains("psu"));
    }
}
