//! A Bitaxe Gamma in a few lines: the registers that the drivers touch, a fan, a die that warms up. It knows nothing of
//! the application; what it counts, it counts for the tests to judge.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use board_devices::pmbus::slinear11;
use board_devices::tps546;
use bridge::answer::Expect;
use bridge::app::{
    App, Boot, Broken, FanPlan, Hardware, PinPlan, PinRole, Plan, RailPlan, SensorPlan,
    SensorSource,
};
use bridge::{AdcInput, Client, Exchange, FanPage, Format, Progress};
use embedded_hal::i2c::{self, I2c, NoAcknowledgeSource, Operation};
use guard::{
    CentiCelsius, FanLimits, Kilohertz, Limits, Milliamps, Millivolts, Milliwatts, Percent,
    RailLimits, Rpm, SensorKind, SensorLimits, SetPoint,
};

pub(crate) const RESET: u8 = 0;
pub(crate) const VDDIO: u8 = 1;
pub(crate) const BUTTON: u8 = 5;
pub(crate) const FAN_CHIP: u8 = 0x4C;
pub(crate) const REGULATOR: u8 = 0x24;
pub(crate) const POINT: SetPoint = SetPoint {
    voltage: Millivolts(1_150),
    frequency: Kilohertz(525_000),
};

/// The Gamma's parts and limits.
pub(crate) fn plan(format: Format) -> Plan {
    let mut limits = Limits::new(Kilohertz(625_000), Millivolts(1_250));
    limits.max_power = Some(Milliwatts(40_000));
    limits.input = Some((Millivolts(4_500), Millivolts(5_500)));
    let celsius = CentiCelsius::from_degrees;
    let mut die = SensorLimits::new(SensorKind::Chip, celsius(75));
    die.needs_power = true;
    limits.sensors.push(die).expect("room");
    let mut board = SensorLimits::new(SensorKind::Board, celsius(75));
    board.frozen_after = SensorLimits::frozen_after(celsius(1));
    limits.sensors.push(board).expect("room");
    limits
        .fans
        .push(FanLimits {
            tach_proof: true,
            ..FanLimits::new(Rpm(5_000))
        })
        .expect("room");
    limits
        .rails
        .push(RailLimits {
            max_current: Some(Milliamps(25_000)),
            ..RailLimits::core(Millivolts(1_250))
        })
        .expect("room");

    let mut plan = Plan::new(format, limits);
    for (number, role, active_high) in [
        (RESET, PinRole::Reset, false),
        (VDDIO, PinRole::Supply, true),
        (BUTTON, PinRole::Input, false),
    ] {
        plan.pins
            .push(PinPlan {
                number,
                role,
                active_high,
            })
            .expect("room");
    }
    for source in [SensorSource::Emc2101Diode, SensorSource::Emc2101] {
        plan.sensors
            .push(SensorPlan {
                bus: 0,
                address: FAN_CHIP,
                source,
                offset: CentiCelsius(0),
            })
            .expect("room");
    }
    plan.fans
        .push(FanPlan::Emc2101 {
            bus: 0,
            address: FAN_CHIP,
            ideality: Some(0x24),
            beta: Some(0),
        })
        .expect("room");
    plan.rails
        .push(RailPlan::Tps546 {
            bus: 0,
            address: REGULATOR,
            config: tps546::Config::BITAXE_5V,
        })
        .expect("room");
    plan
}

/// The board.
pub(crate) struct Gamma {
    pub(crate) pins: BTreeMap<u8, bool>,
    fan_chip: [u8; 256],
    regulator: BTreeMap<u8, Vec<u8>>,
    /// Writes with data that reached a part.
    pub(crate) written: Vec<(u8, Vec<u8>)>,
    pub(crate) die: f64,
    pub(crate) ambient: f64,
    pub(crate) fan_stuck: bool,
    /// Nobody answers on the bus.
    pub(crate) bus_dead: bool,
    /// The regulator ignores the command to switch off.
    pub(crate) stuck_on: bool,
    /// A register of the regulator whose writes fail on the bus.
    pub(crate) lost_register: Option<u8>,
    /// A register of the regulator that does not take what is written.
    pub(crate) deaf_register: Option<u8>,
    /// What was started, and whether the board was without power by then.
    pub(crate) rebooted: Option<(Boot, bool)>,
    rpm: f64,
    dither: u8,
}

impl Gamma {
    pub(crate) fn new() -> Self {
        let mut fan_chip = [0; 256];
        fan_chip[0xFD] = 0x16;
        fan_chip[0x4C] = 20;
        Self {
            pins: BTreeMap::from([(RESET, false), (VDDIO, false), (BUTTON, true)]),
            fan_chip,
            regulator: power_on_registers(),
            written: Vec::new(),
            die: 25.0,
            ambient: 25.0,
            fan_stuck: false,
            bus_dead: false,
            stuck_on: false,
            deaf_register: None,
            lost_register: None,
            rebooted: None,
            rpm: 0.0,
            dither: 0,
        }
    }

    /// The regulator starts anew, as after a dip of its input.
    pub(crate) fn forget(&mut self) {
        self.regulator = power_on_registers();
    }

    /// The regulator gives core voltage.
    pub(crate) fn core_on(&self) -> bool {
        self.regulator[&0x01][0] & 0x80 != 0 || self.stuck_on
    }

    /// The voltage that the regulator is set to, in mV.
    pub(crate) fn set_mv(&self) -> u32 {
        let word = &self.regulator[&0x21];
        u32::from(u16::from_le_bytes([word[0], word[1]])) * 1_000 / 512
    }

    pub(crate) fn register(&self, command: u8) -> Option<&[u8]> {
        self.regulator.get(&command).map(Vec::as_slice)
    }

    pub(crate) fn duty(&self) -> u8 {
        u8::try_from(u16::from(self.fan_chip[0x4C] & 63) * 100 / 63).expect("percent")
    }

    /// Nothing is powered, chips are in reset, the fan at full.
    pub(crate) fn is_safe(&self) -> bool {
        !self.core_on() && !self.pins[&RESET] && !self.pins[&VDDIO] && self.duty() == 100
    }

    fn advance(&mut self, time: Duration) {
        let s = time.as_secs_f64();
        let goal = if self.fan_stuck {
            0.0
        } else {
            f64::from(self.duty()) * 48.0
        };
        self.rpm += (goal - self.rpm) * (s / 1.5).min(1.0);
        let goal = self.ambient + if self.core_on() { 30.0 } else { 0.0 };
        self.die += (goal - self.die) * (s / 10.0).min(1.0);
        self.dither = self.dither.wrapping_add(1);
    }

    fn read(&mut self, address: u8, register: u8, to: &mut [u8]) -> bool {
        match address {
            FAN_CHIP => {
                let tach = match self.rpm {
                    rpm if rpm < 90.0 => 0xFFFF,
                    rpm => (5_400_000.0 / rpm) as u16,
                };
                let code = (self.die * 8.0) as u16 + u16::from(self.dither % 3);
                let [high, low] = (code << 5).to_be_bytes();
                self.fan_chip[0x00] = self.ambient as u8 + 5 + self.dither % 2;
                (self.fan_chip[0x01], self.fan_chip[0x10]) = (high, low);
                [self.fan_chip[0x47], self.fan_chip[0x46]] = tach.to_be_bytes();
                for (offset, byte) in to.iter_mut().enumerate() {
                    *byte = self.fan_chip[(usize::from(register) + offset) & 0xFF];
                }
                true
            }
            REGULATOR => {
                let on = self.core_on();
                let linear = |milli| slinear11::from_milli(milli).to_le_bytes().to_vec();
                let value = match register {
                    0x79 => u16::to_le_bytes(if on { 0 } else { 0x0840 }).to_vec(),
                    0x7A..=0x80 => vec![0],
                    0x88 => linear(5_000),
                    0x8B if on => self.regulator[&0x21].clone(),
                    0x8B => vec![0, 0],
                    0x8C => linear(if on { 12_000 } else { 0 }),
                    0x8D => linear(45_000),
                    other => self.regulator.get(&other).cloned().unwrap_or(vec![0; 7]),
                };
                for (byte, from) in to.iter_mut().zip(value.into_iter().chain([0xFF; 255])) {
                    *byte = from;
                }
                true
            }
            _ => false,
        }
    }

    fn write(&mut self, address: u8, data: &[u8]) -> bool {
        if let [_, _, ..] = data {
            self.written.push((address, data.to_vec()));
        }
        match (address, data) {
            (FAN_CHIP, [register, value @ ..]) => {
                for (offset, byte) in value.iter().enumerate() {
                    self.fan_chip[(usize::from(*register) + offset) & 0xFF] = *byte;
                }
                true
            }
            (REGULATOR, [command, value @ ..]) => {
                if !value.is_empty() && self.deaf_register != Some(*command) {
                    self.regulator.insert(*command, value.to_vec());
                }
                true
            }
            (FAN_CHIP | REGULATOR, []) => true,
            _ => false,
        }
    }
}

fn power_on_registers() -> BTreeMap<u8, Vec<u8>> {
    BTreeMap::from([
        (0x01, vec![0x00]),
        (0x20, vec![0x97]),
        (0x21, vec![0x00, 0x02]),
        (0xAD, vec![6, 0x54, 0x49, 0x54, 0x6D, 0x24, 0x41]),
    ])
}

/// The board's I2C bus.
pub(crate) struct Bus<'a>(&'a mut Gamma);

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum BusFails {
    /// Nobody answers.
    Nak,
    /// Somebody else was on the bus.
    Lost,
}

impl i2c::Error for BusFails {
    fn kind(&self) -> i2c::ErrorKind {
        match self {
            Self::Nak => i2c::ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address),
            Self::Lost => i2c::ErrorKind::ArbitrationLoss,
        }
    }
}

impl i2c::ErrorType for Bus<'_> {
    type Error = BusFails;
}

impl I2c for Bus<'_> {
    fn transaction(
        &mut self,
        address: u8,
        operations: &mut [Operation<'_>],
    ) -> Result<(), BusFails> {
        if self.0.bus_dead {
            return Err(BusFails::Nak);
        }
        let mut register = 0;
        for operation in operations {
            let there = match operation {
                Operation::Write(data) => {
                    register = data.first().copied().unwrap_or_default();
                    if address == REGULATOR
                        && data.len() > 1
                        && self.0.lost_register == Some(register)
                    {
                        return Err(BusFails::Lost);
                    }
                    self.0.write(address, data)
                }
                Operation::Read(to) => self.0.read(address, register, to),
            };
            if !there {
                return Err(BusFails::Nak);
            }
        }
        Ok(())
    }
}

impl Hardware for Gamma {
    type I2c<'a> = Bus<'a>;

    fn i2c(&mut self, bus: u8) -> Option<Bus<'_>> {
        (bus == 0).then_some(Bus(self))
    }

    fn set_i2c_frequency(&mut self, bus: u8, _hertz: u32) -> Result<(), Broken> {
        (bus == 0).then_some(()).ok_or(Broken::Missing)
    }

    fn set_pin(&mut self, pin: u8, level: bool) -> Result<(), Broken> {
        *self.pins.get_mut(&pin).ok_or(Broken::Missing)? = level;
        Ok(())
    }

    fn pin(&mut self, pin: u8) -> Result<bool, Broken> {
        self.pins.get(&pin).copied().ok_or(Broken::Missing)
    }

    fn set_duty(&mut self, _fan: u8, _duty: Percent) -> Result<(), Broken> {
        Err(Broken::Missing)
    }

    fn rpm(&mut self, _fan: u8) -> Result<Rpm, Broken> {
        Err(Broken::Missing)
    }

    fn adc(&mut self, input: AdcInput) -> Result<u16, Broken> {
        match input {
            AdcInput::Vdd => Ok(0x0234),
            AdcInput::Vin => Err(Broken::Missing),
        }
    }

    fn set_led(&mut self, _red: u8, _green: u8, _blue: u8) -> Result<(), Broken> {
        Err(Broken::Missing)
    }

    fn reboot(&mut self, boot: Boot) {
        self.rebooted = Some((boot, self.is_safe()));
    }
}

/// A board with its application, and the time.
pub(crate) struct Bench {
    pub(crate) app: App,
    pub(crate) board: Gamma,
    pub(crate) now: Duration,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(Format::V1)
    }

    pub(crate) fn with(format: Format) -> Self {
        let mut bench = Self {
            app: App::new(&plan(format)).expect("a plan that makes sense"),
            board: Gamma::new(),
            now: Duration::from_secs(10),
        };
        bench.app.start(bench.now, &mut bench.board);
        bench
    }

    /// Lets time pass without a host.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            let due = self.app.tick(self.now, &mut self.board);
            assert!(due > self.now, "a tick that is due at once would never end");
            let next = due.min(end);
            self.board.advance(next - self.now);
            self.now = next;
        }
        self.app.tick(self.now, &mut self.board);
    }

    /// Lets time pass with a host that sends heartbeats.
    pub(crate) fn pass_alive(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.host().guard().heartbeat().expect("heartbeat");
            let step = Duration::from_millis(500).min(end - self.now);
            self.pass(step);
        }
    }

    /// A host at the control port.
    pub(crate) fn host(&mut self) -> Client<&mut Self> {
        Client::new(self, bridge::client::Firmware::default())
    }

    /// Up to a grant, as a host does it.
    pub(crate) fn granted() -> Self {
        let mut bench = Self::new();
        bench.host().guard().power_on(POINT).expect("asked");
        for _ in 0..60 {
            bench.pass_alive(Duration::from_secs(1));
            if bench.app.decision().power {
                return bench;
            }
        }
        panic!("no grant: {:?}", bench.app.decision());
    }

    /// A board that mines, as far as its controller can see.
    pub(crate) fn running() -> Self {
        let mut bench = Self::granted();
        let mut host = bench.host();
        host.set_pin(VDDIO, true).expect("granted");
        let config = tps546::Config::BITAXE_5V;
        let mut regulator = board_devices::Tps546::new(host.i2c(0), REGULATOR, config);
        regulator.set_output_mv(POINT.voltage.0).expect("voltage");
        regulator.turn_on().expect("granted");
        host.set_pin(RESET, true).expect("granted");
        bench.pass_alive(Duration::from_secs(10));
        assert!(bench.app.decision().power, "{:?}", bench.app.decision());
        assert!(bench.board.core_on());
        bench
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Silence;

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no answer in time")
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
        // What is left over from earlier is forgotten.
        while self.app.take_output(&mut [0; 64]) > 0 {}
        self.app.receive(self.now, &mut self.board, request);
        let Some(expect) = expect else {
            return Ok(0);
        };
        let mut receiver = expect.receiver(response);
        let mut packet = [0; 64];
        loop {
            match self.app.take_output(&mut packet) {
                0 => return receiver.finish().ok_or(Silence),
                len => {
                    if receiver.push(&packet[..len]) == Progress::Complete {
                        return receiver.finish().ok_or(Silence);
                    }
                }
            }
        }
    }
}

/// The fan page of the Gamma.
pub(crate) const FANS: FanPage = FanPage::Device;
