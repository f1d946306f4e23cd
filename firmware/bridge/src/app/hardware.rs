//! What the application needs of the microcontroller: buses, pins, fans, inputs. [`Parts`] puts it together
//! from `embedded-hal` pieces; a simulator implements [`Hardware`] directly.

use embedded_hal::digital::{OutputPin as _, StatefulOutputPin};
use embedded_hal::i2c::I2c;
use embedded_hal::pwm::SetDutyCycle;
use guard::{Percent, Rpm};

use crate::page::AdcInput;

/// Something on the controller itself did not work or does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// There is no such bus, pin, fan or input.
    #[error("this controller has no such thing")]
    Missing,
    /// The microcontroller reports an error.
    #[error("the controller's hardware failed")]
    Failed,
}

/// What to start after a reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Boot {
    /// The firmware.
    Firmware,
    /// The boot loader.
    Loader,
}

/// A microcontroller with a hash board around it. Calls are short and never wait for events.
pub trait Hardware {
    /// An I2C bus while it is borrowed.
    type I2c<'a>: I2c
    where
        Self: 'a;

    /// The I2C bus of that number.
    fn i2c(&mut self, bus: u8) -> Option<Self::I2c<'_>>;

    /// Sets the clock of an I2C bus, in Hz.
    ///
    /// # Errors
    ///
    /// [`Broken::Missing`] if there is no such bus or its clock is fixed.
    fn set_i2c_frequency(&mut self, bus: u8, hertz: u32) -> Result<(), Broken>;

    /// Sets the level of a pin.
    ///
    /// # Errors
    ///
    /// [`Broken`]; also for a pin that is an input.
    fn set_pin(&mut self, pin: u8, level: bool) -> Result<(), Broken>;

    /// The level of a pin; of an output the level that it is driven to.
    ///
    /// # Errors
    ///
    /// [`Broken`].
    fn pin(&mut self, pin: u8) -> Result<bool, Broken>;

    /// Sets the duty of a fan on a PWM output of the controller.
    ///
    /// # Errors
    ///
    /// [`Broken`].
    fn set_duty(&mut self, fan: u8, duty: Percent) -> Result<(), Broken>;

    /// The speed of a fan whose tach the controller counts.
    ///
    /// # Errors
    ///
    /// [`Broken`].
    fn rpm(&mut self, fan: u8) -> Result<Rpm, Broken>;

    /// Raw counts of an analogue input.
    ///
    /// # Errors
    ///
    /// [`Broken`].
    fn adc(&mut self, input: AdcInput) -> Result<u16, Broken>;

    /// Sets the colour of the LED.
    ///
    /// # Errors
    ///
    /// [`Broken`].
    fn set_led(&mut self, red: u8, green: u8, blue: u8) -> Result<(), Broken>;

    /// Starts anew. It may return, when the restart comes a little later.
    fn reboot(&mut self, boot: Boot);
}

/// Counts a fan's turns.
pub trait Tach {
    /// The speed, from the pulses of about the last second; zero if there were none.
    ///
    /// # Errors
    ///
    /// [`Broken`] if the counter does not work.
    fn rpm(&mut self) -> Result<Rpm, Broken>;
}

/// Measures a voltage.
pub trait Analog {
    /// Raw counts.
    ///
    /// # Errors
    ///
    /// [`Broken`] if the converter does not answer.
    fn read(&mut self) -> Result<u16, Broken>;
}

/// Shows a colour.
pub trait Light {
    /// Sets the colour.
    fn set(&mut self, red: u8, green: u8, blue: u8);
}

/// What only the chip's own library can do.
pub trait Chip {
    /// The kind of I2C bus.
    type I2c: I2c;
    /// The kind of pins. Inputs are pins that the application never sets.
    type Pin: StatefulOutputPin;
    /// The kind of PWM outputs.
    type Pwm: SetDutyCycle;
    /// The kind of tach counters.
    type Tach: Tach;
    /// The kind of analogue inputs.
    type Analog: Analog;
    /// The kind of LED.
    type Light: Light;

    /// Sets the clock of a bus, in Hz.
    ///
    /// # Errors
    ///
    /// [`Broken::Missing`] if it is fixed.
    fn set_i2c_frequency(&mut self, bus: &mut Self::I2c, hertz: u32) -> Result<(), Broken> {
        let _ = (bus, hertz);
        Err(Broken::Missing)
    }

    /// Resets the chip.
    fn reboot(&mut self, boot: Boot);
}

/// The most buses, pins and fans of [`Parts`].
pub const MAX_PARTS: usize = 8;

/// A board from `embedded-hal` pieces. What is not there stays `None`; pins carry the numbers that hosts use.
#[derive(Debug)]
pub struct Parts<C: Chip> {
    /// The chip itself.
    pub chip: C,
    /// I2C buses by number.
    pub i2c: [Option<C::I2c>; 2],
    /// Pins with their numbers.
    pub pins: [Option<(u8, C::Pin)>; MAX_PARTS],
    /// PWM outputs of fans, from fan 0.
    pub pwm: [Option<C::Pwm>; MAX_PARTS],
    /// Tach inputs of fans, from fan 0.
    pub tach: [Option<C::Tach>; MAX_PARTS],
    /// Core voltage.
    pub vdd: Option<C::Analog>,
    /// Input voltage.
    pub vin: Option<C::Analog>,
    /// The LED.
    pub light: Option<C::Light>,
}

impl<C: Chip> Parts<C> {
    /// A chip with nothing around it yet.
    pub fn new(chip: C) -> Self {
        Self {
            chip,
            i2c: [const { None }; 2],
            pins: [const { None }; MAX_PARTS],
            pwm: [const { None }; MAX_PARTS],
            tach: [const { None }; MAX_PARTS],
            vdd: None,
            vin: None,
            light: None,
        }
    }

    fn pin_mut(&mut self, pin: u8) -> Result<&mut C::Pin, Broken> {
        self.pins
            .iter_mut()
            .flatten()
            .find_map(|(number, slot)| (*number == pin).then_some(slot))
            .ok_or(Broken::Missing)
    }
}

impl<C: Chip> Hardware for Parts<C> {
    type I2c<'a>
        = &'a mut C::I2c
    where
        Self: 'a;

    fn i2c(&mut self, bus: u8) -> Option<Self::I2c<'_>> {
        self.i2c.get_mut(usize::from(bus))?.as_mut()
    }

    fn set_i2c_frequency(&mut self, bus: u8, hertz: u32) -> Result<(), Broken> {
        let bus = self
            .i2c
            .get_mut(usize::from(bus))
            .and_then(Option::as_mut)
            .ok_or(Broken::Missing)?;
        self.chip.set_i2c_frequency(bus, hertz)
    }

    fn set_pin(&mut self, pin: u8, level: bool) -> Result<(), Broken> {
        self.pin_mut(pin)?
            .set_state(level.into())
            .map_err(|_| Broken::Failed)
    }

    fn pin(&mut self, pin: u8) -> Result<bool, Broken> {
        self.pin_mut(pin)?.is_set_high().map_err(|_| Broken::Failed)
    }

    fn set_duty(&mut self, fan: u8, duty: Percent) -> Result<(), Broken> {
        self.pwm
            .get_mut(usize::from(fan))
            .and_then(Option::as_mut)
            .ok_or(Broken::Missing)?
            .set_duty_cycle_percent(duty.get())
            .map_err(|_| Broken::Failed)
    }

    fn rpm(&mut self, fan: u8) -> Result<Rpm, Broken> {
        self.tach
            .get_mut(usize::from(fan))
            .and_then(Option::as_mut)
            .ok_or(Broken::Missing)?
            .rpm()
    }

    fn adc(&mut self, input: AdcInput) -> Result<u16, Broken> {
        match input {
            AdcInput::Vdd => &mut self.vdd,
            AdcInput::Vin => &mut self.vin,
        }
        .as_mut()
        .ok_or(Broken::Missing)?
        .read()
    }

    fn set_led(&mut self, red: u8, green: u8, blue: u8) -> Result<(), Broken> {
        self.light
            .as_mut()
            .ok_or(Broken::Missing)?
            .set(red, green, blue);
        Ok(())
    }

    fn reboot(&mut self, boot: Boot) {
        self.chip.reboot(boot);
    }
}
