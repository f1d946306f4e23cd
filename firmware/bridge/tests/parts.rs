//! A board put together from `embedded-hal` pieces, as the firmware of a real controller does it.

use bridge::AdcInput;
use bridge::app::hardware::{Analog, Chip, Light, Tach};
use bridge::app::{Boot, Broken, Hardware, Parts};
use embedded_hal::i2c::I2c as _;
use embedded_hal_mock::eh1::digital::{Mock as PinMock, State, Transaction as PinStep};
use embedded_hal_mock::eh1::i2c::{Mock as I2cMock, Transaction as I2cStep};
use embedded_hal_mock::eh1::pwm::{Mock as PwmMock, Transaction as PwmStep};
use guard::{Percent, Rpm};

#[derive(Default)]
struct Pico {
    hertz: u32,
    rebooted: Option<Boot>,
}

struct Count(u32);

impl Tach for Count {
    fn rpm(&mut self) -> Result<Rpm, Broken> {
        Ok(Rpm(self.0))
    }
}

struct Volts(u16);

impl Analog for Volts {
    fn read(&mut self) -> Result<u16, Broken> {
        Ok(self.0)
    }
}

struct Lamp([u8; 3]);

impl Light for Lamp {
    fn set(&mut self, red: u8, green: u8, blue: u8) {
        self.0 = [red, green, blue];
    }
}

impl Chip for Pico {
    type I2c = I2cMock;
    type Pin = PinMock;
    type Pwm = PwmMock;
    type Tach = Count;
    type Analog = Volts;
    type Light = Lamp;

    fn set_i2c_frequency(&mut self, _bus: &mut I2cMock, hertz: u32) -> Result<(), Broken> {
        self.hertz = hertz;
        Ok(())
    }

    fn reboot(&mut self, boot: Boot) {
        self.rebooted = Some(boot);
    }
}

#[test]
fn each_piece_is_found_under_its_number() {
    let mut i2c = I2cMock::new(&[I2cStep::write(0x4C, vec![0x4C, 63])]);
    let mut reset = PinMock::new(&[PinStep::set(State::High), PinStep::get_state(State::High)]);
    let mut pwm = PwmMock::new(&[PwmStep::max_duty_cycle(1_000), PwmStep::set_duty_cycle(300)]);
    let mut board = Parts::new(Pico::default());
    board.i2c[1] = Some(i2c.clone());
    board.pins[0] = Some((0x10, reset.clone()));
    board.pwm[2] = Some(pwm.clone());
    board.tach[2] = Some(Count(2_100));
    board.vin = Some(Volts(777));
    board.light = Some(Lamp([0; 3]));

    board
        .i2c(1)
        .expect("bus 1")
        .write(0x4C, &[0x4C, 63])
        .expect("acknowledged");
    assert!(board.i2c(0).is_none());
    assert!(board.i2c(2).is_none());
    board.set_i2c_frequency(1, 100_000).expect("bus 1");
    assert_eq!(board.chip.hertz, 100_000);
    board.set_pin(0x10, true).expect("pin");
    assert_eq!(board.pin(0x10), Ok(true));
    assert_eq!(board.set_pin(0, true), Err(Broken::Missing));
    board.set_duty(2, Percent::new(30)).expect("fan");
    assert_eq!(board.rpm(2), Ok(Rpm(2_100)));
    assert_eq!(board.rpm(9), Err(Broken::Missing));
    assert_eq!(board.adc(AdcInput::Vin), Ok(777));
    assert_eq!(board.adc(AdcInput::Vdd), Err(Broken::Missing));
    board.set_led(1, 2, 3).expect("light");
    assert_eq!(board.light.as_ref().expect("light").0, [1, 2, 3]);
    board.reboot(Boot::Loader);
    assert_eq!(board.chip.rebooted, Some(Boot::Loader));
    i2c.done();
    reset.done();
    pwm.done();
}
