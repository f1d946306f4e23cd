//! A board of another make: core supply on a pin, its voltage set by a DAC, power measured at the input, two fans on PWM
//! outputs of the controller and the fan page of bitcrane.

use std::time::Duration;

use board_devices::ds4432u;
use bridge::answer::Expect;
use bridge::app::{
    App, Boot, Broken, FanPlan, Hardware, PinPlan, PinRole, Plan, PlanError, RailPlan, SensorPlan,
    SensorSource,
};
use bridge::client::Firmware;
use bridge::{AdcInput, Client, Exchange, FanPage, Format};
use embedded_hal::i2c::{ErrorType, I2c, Operation};
use guard::{
    CentiCelsius, FanLimits, FaultCode, Kilohertz, Limits, Millivolts, Milliwatts, Percent,
    RailLimits, Rpm, SensorKind, SensorLimits, SetPoint,
};

use crate::bench::{BusFails, Silence};

const RESET: u8 = 0;
const CORE: u8 = 1;
const DAC: u8 = 0x48;
const MONITOR: u8 = 0x40;
const SENSOR: u8 = 0x4A;
const POINT: SetPoint = SetPoint {
    voltage: Millivolts(1_300),
    frequency: Kilohertz(400_000),
};

fn plan() -> Plan {
    let mut limits = Limits::new(Kilohertz(600_000), Millivolts(1_400));
    limits.max_power = Some(Milliwatts(25_000));
    let celsius = CentiCelsius::from_degrees;
    let sensor = SensorLimits::new(SensorKind::Board, celsius(75));
    limits.sensors.push(sensor).expect("room");
    let mut rail = RailLimits::core(Millivolts(1_400));
    rail.tolerance = Millivolts(100);
    limits.rails.push(rail).expect("room");
    let mut plan = Plan::new(Format::V0, limits);
    plan.fan_page = FanPage::Bitcrane;
    for fan in 0..2 {
        plan.limits
            .fans
            .push(FanLimits::new(Rpm(4_000)))
            .expect("room");
        plan.fans.push(FanPlan::Pwm { fan }).expect("room");
    }
    for (number, role) in [(RESET, PinRole::Reset), (CORE, PinRole::Core)] {
        let active_high = role == PinRole::Core;
        plan.pins
            .push(PinPlan {
                number,
                role,
                active_high,
            })
            .expect("room");
    }
    plan.sensors
        .push(SensorPlan {
            bus: 0,
            address: SENSOR,
            source: SensorSource::Tmp1075,
            offset: CentiCelsius(500),
        })
        .expect("room");
    plan.rails
        .push(RailPlan::Ds4432u {
            bus: 0,
            address: DAC,
            network: ds4432u::Network::BITAXE,
            output: ds4432u::Output::Zero,
            monitor: Some(MONITOR),
        })
        .expect("room");
    plan
}

struct Ember {
    pins: [bool; 2],
    code: u8,
    watts: u16,
    duty: [u8; 2],
    dither: u16,
    broken: bool,
}

struct Bus<'a>(&'a mut Ember);

impl ErrorType for Bus<'_> {
    type Error = BusFails;
}

impl I2c for Bus<'_> {
    fn transaction(
        &mut self,
        address: u8,
        operations: &mut [Operation<'_>],
    ) -> Result<(), BusFails> {
        let mut register = 0;
        for operation in operations {
            match operation {
                Operation::Write(data) => {
                    register = data.first().copied().unwrap_or_default();
                    if let (DAC, [0xF8, code]) = (address, &**data) {
                        self.0.code = *code;
                    }
                }
                Operation::Read(to) => {
                    self.0.dither += 1;
                    let word = match (address, register) {
                        (DAC, 0xF8) => u16::from(self.0.code) << 8,
                        (SENSOR, 0x0F) => 0x7500,
                        (SENSOR, _) if self.0.broken => 0xFF00,
                        (SENSOR, _) => 30 << 8 | (self.0.dither % 3) << 4,
                        (MONITOR, 0xFE) => 0x5449,
                        (MONITOR, 0xFF) => 0x2270,
                        (MONITOR, 0x00) => 0x6527,
                        (MONITOR, 0x01) => 800,
                        (MONITOR, 0x02) => 4_000,
                        (MONITOR, 0x03) => self.0.watts * 100,
                        _ => return Err(BusFails::Nak),
                    };
                    for (to, from) in to.iter_mut().zip(word.to_be_bytes()) {
                        *to = from;
                    }
                }
            }
        }
        Ok(())
    }
}

impl Hardware for Ember {
    type I2c<'a> = Bus<'a>;

    fn i2c(&mut self, bus: u8) -> Option<Bus<'_>> {
        (bus == 0).then_some(Bus(self))
    }

    fn set_i2c_frequency(&mut self, _bus: u8, _hertz: u32) -> Result<(), Broken> {
        Ok(())
    }

    fn set_pin(&mut self, pin: u8, level: bool) -> Result<(), Broken> {
        self.pins[usize::from(pin)] = level;
        Ok(())
    }

    fn pin(&mut self, pin: u8) -> Result<bool, Broken> {
        Ok(self.pins[usize::from(pin)])
    }

    fn set_duty(&mut self, fan: u8, duty: Percent) -> Result<(), Broken> {
        self.duty[usize::from(fan)] = duty.get();
        Ok(())
    }

    fn rpm(&mut self, fan: u8) -> Result<Rpm, Broken> {
        Ok(Rpm(u32::from(self.duty[usize::from(fan)]) * 39))
    }

    fn adc(&mut self, _input: AdcInput) -> Result<u16, Broken> {
        Err(Broken::Missing)
    }

    fn set_led(&mut self, _red: u8, _green: u8, _blue: u8) -> Result<(), Broken> {
        Ok(())
    }

    fn reboot(&mut self, _boot: Boot) {}
}

struct Bench {
    app: App,
    board: Ember,
    now: Duration,
}

impl Bench {
    fn new() -> Self {
        let mut bench = Self {
            app: App::new(&plan()).expect("plan"),
            board: Ember {
                pins: [true, true],
                code: 0,
                watts: 0,
                duty: [0; 2],
                dither: 0,
                broken: false,
            },
            now: Duration::ZERO,
        };
        bench.app.start(bench.now, &mut bench.board);
        bench
    }

    /// With a grant, and nothing switched on yet.
    fn granted() -> Self {
        let mut bench = Self::new();
        bench.host().guard().power_on(POINT).expect("asked");
        for _ in 0..30 {
            if !bench.app.decision().power {
                bench.pass(1);
            }
        }
        assert!(bench.app.decision().power, "{:?}", bench.app.decision());
        bench
    }

    fn running() -> Self {
        let mut bench = Self::granted();
        bench.set_output(1_300);
        bench.host().set_pin(CORE, true).expect("granted");
        bench.board.watts = 15;
        bench.host().set_pin(RESET, true).expect("granted");
        bench.pass(10);
        bench
    }

    fn set_output(&mut self, mv: u32) {
        let mut host = self.host();
        let (network, output) = (ds4432u::Network::BITAXE, ds4432u::Output::Zero);
        ds4432u::Ds4432u::new(host.i2c(0), DAC, network, output)
            .set_output_mv(mv)
            .expect("within");
    }

    fn pass(&mut self, seconds: u32) {
        for _ in 0..seconds * 4 {
            self.host().guard().heartbeat().expect("heartbeat");
            self.now += Duration::from_millis(250);
            self.app.tick(self.now, &mut self.board);
        }
    }

    fn host(&mut self) -> Client<&mut Self> {
        let firmware = Firmware {
            format: None,
            fans: FanPage::Bitcrane,
        };
        Client::new(self, firmware)
    }
}

impl Exchange for Bench {
    type Error = Silence;

    fn exchange(
        &mut self,
        request: &[u8],
        expect: Option<Expect>,
        response: &mut [u8],
    ) -> Result<usize, Silence> {
        self.app.receive(self.now, &mut self.board, request);
        let mut receiver = expect.ok_or(Silence)?.receiver(response);
        let mut packet = [0; 260];
        let len = self.app.take_output(&mut packet);
        receiver.push(&packet[..len]);
        receiver.finish().ok_or(Silence)
    }
}

#[test]
fn a_core_supply_on_a_pin_needs_the_grant_and_falls_with_it() {
    let mut bench = Bench::new();
    assert_eq!(
        bench.board.pins,
        [false, false],
        "off at boot, whatever it was"
    );
    assert!(
        bench
            .host()
            .set_pin(CORE, true)
            .expect_err("no grant")
            .is_denied()
    );

    let mut bench = Bench::running();
    assert_eq!(bench.board.pins, [true, true]);

    // More power than the board may draw.
    bench.board.watts = 30;
    bench.pass(5);
    assert_eq!(bench.board.pins, [false, false]);
    let fault = bench.host().guard().state().expect("state").fault;
    assert_eq!(fault.expect("fault").code, FaultCode::OverPower);
}

#[test]
fn a_core_that_would_come_up_above_the_limit_is_not_switched_on() {
    // The divider alone gives 1458 mV, the limit is 1400 mV.
    let mut bench = Bench::granted();
    assert_eq!(bench.board.code, 0);
    let error = bench.host().set_pin(CORE, true).expect_err("1458 mV");
    assert!(error.is_denied());
    assert!(!bench.board.pins[usize::from(CORE)]);
    bench.set_output(1_400);
    bench.host().set_pin(CORE, true).expect("within");
}

#[test]
fn an_offset_does_not_hide_what_no_sensor_gives() {
    let mut bench = Bench::running();
    // -1 °C, which the sensor's offset of 5 K would turn into 4 °C.
    bench.board.broken = true;
    bench.pass(2);
    assert_eq!(bench.board.pins, [false, false]);
    let fault = bench.host().guard().state().expect("state").fault;
    assert_eq!(
        fault.expect("fault").code,
        FaultCode::TemperatureImplausible
    );
}

#[test]
fn the_dac_never_asks_for_more_than_the_limit() {
    // Around the Bitaxe's divider: 1458 mV at code 0, more with bit 7 clear, less with it set.
    let mut bench = Bench::new();
    let mut host = bench.host();
    let mut dac = ds4432u::Ds4432u::new(
        host.i2c(0),
        DAC,
        ds4432u::Network::BITAXE,
        ds4432u::Output::Zero,
    );
    dac.set_output_mv(1_300).expect("within");
    dac.set_output_mv(1_420).expect_err("above the limit");
    for code in [0x00, 0x01, 0x7F, 0x80] {
        assert!(
            host.i2c_write(0, DAC, &[0xF8, code])
                .expect_err("above")
                .is_denied()
        );
    }
    // The other output and the monitor's setting are not the host's to change.
    assert!(host.i2c_write(0, DAC, &[0xF9, 0x10]).is_err());
    assert!(host.i2c_write(0, MONITOR, &[0x00, 0x80, 0x00]).is_err());
    host.i2c_write(0, MONITOR, &[0x00, 0x65, 0x27])
        .expect("as it is");
    let mv = ds4432u::Network::BITAXE
        .voltage_uv(bench.board.code)
        .expect("set")
        / 1_000;
    assert!((1_290..=1_300).contains(&mv), "{mv}");
}

#[test]
fn fans_of_the_controller_stay_within_the_guards_bounds() {
    let mut bench = Bench::new();
    bench.pass(60);
    bench.host().set_fan(1, 0).expect("clamped");
    let floor = bench.app.decision().fan_floor.get();
    assert_eq!(bench.board.duty, [100, floor]);
    bench.host().set_fan(1, 50).expect("above the floor");
    assert_eq!(bench.board.duty, [100, 50.max(floor)]);
    assert_eq!(bench.host().fan_rpm(0), Ok(3_900));
    assert!(bench.host().set_fan(2, 50).is_err(), "there are two");
}

#[test]
fn a_plan_that_does_not_fit_its_limits_is_refused() {
    let mut less = plan();
    less.rails = guard::Slots::new();
    assert!(matches!(
        App::new(&less).expect_err("rails"),
        PlanError::Count {
            what: "rails",
            plans: 0,
            limits: 1
        }
    ));
    let mut pins = plan();
    pins.pins = guard::Slots::new();
    assert_eq!(App::new(&pins).expect_err("no switch"), PlanError::NoSwitch);
}
