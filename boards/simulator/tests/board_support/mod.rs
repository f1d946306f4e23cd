//! A bench for boards: a host that speaks the control protocol with frames written out by hand, and a clock.
#![allow(dead_code, reason = "each test file uses its part")]

#[path = "../bench/mod.rs"]
pub(crate) mod wire;

use std::time::Duration;

use board_simulator::Target;
use board_simulator::{
    ChainSpec, Chip,
    board::{BoardSpec, Controller, DeviceSpec, Fault, Part, PinSpec, Probe, Truth, VirtualBoard},
    physics::PhysicsSpec,
};
use embedded_hal::i2c::{ErrorKind, ErrorType, I2c, NoAcknowledgeSource, Operation};

pub(crate) struct Bench {
    pub(crate) board: VirtualBoard,
    pub(crate) now: Duration,
    id: u8,
}

pub(crate) fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

pub(crate) fn device(address: u8, part: Part) -> DeviceSpec {
    DeviceSpec {
        part,
        bus: 0,
        address,
    }
}

/// A board of any chips with those parts, behind bitaxe-raw.
pub(crate) fn bench(physics: PhysicsSpec, devices: Vec<DeviceSpec>) -> Bench {
    Bench::new(&spec(physics, devices))
}

pub(crate) fn spec(mut physics: PhysicsSpec, devices: Vec<DeviceSpec>) -> BoardSpec {
    if physics.thermal.sensors.is_empty() {
        physics.thermal.sensors.push(0.5);
    }
    let mut chain = ChainSpec::new(Chip::Bm1370, physics.chips(), 32);
    chain.domains = physics.domains;
    BoardSpec {
        devices,
        ..BoardSpec::new(chain, physics, Controller::BitaxeRaw)
    }
}

/// Bitaxe Gamma with all its parts.
pub(crate) fn gamma_spec() -> BoardSpec {
    spec(
        board_simulator::physics::presets::bitaxe_gamma(),
        vec![
            device(
                0x4C,
                Part::Emc2101 {
                    fan: Some(0),
                    local: Probe::Board(0),
                    diode: Some(Probe::Die(0)),
                    ideality: Part::DEFAULT_IDEALITY,
                },
            ),
            device(
                0x24,
                Part::Tps546 {
                    id: Part::TPS546D24A_ID,
                },
            ),
        ],
    )
}

impl Bench {
    pub(crate) fn new(spec: &BoardSpec) -> Self {
        Self {
            board: VirtualBoard::new(spec).unwrap(),
            now: Duration::ZERO,
            id: 0,
        }
    }

    /// The same board with another pin.
    pub(crate) fn add_pin(&mut self, pin: PinSpec) {
        let mut spec = self.board.spec().clone();
        spec.pins.push(pin);
        *self = Self::new(&spec);
    }

    pub(crate) fn pass(&mut self, time: Duration) {
        self.now += time;
        self.board.advance(self.now);
    }

    pub(crate) fn truth(&mut self) -> Truth {
        self.board.truth(self.now)
    }

    pub(crate) fn inject(&mut self, fault: Fault) {
        self.board.inject(self.now, fault);
    }

    pub(crate) fn heal(&mut self, fault: Fault) {
        self.board.heal(self.now, fault);
    }

    /// Sends a request and returns everything that comes back.
    pub(crate) fn ask_raw(&mut self, bus: u8, page: u8, command: u8, data: &[u8]) -> Vec<u8> {
        self.id = self.id.wrapping_add(1) & 0x7F;
        let mut request = (6 + data.len() as u16).to_le_bytes().to_vec();
        request.extend([self.id, bus, page, command]);
        request.extend_from_slice(data);
        self.board.control_receive(self.now, &request);
        let mut answer = Vec::new();
        self.board.control_take_output(self.now, &mut answer);
        answer
    }

    /// Data of a good answer; none for an error or silence.
    pub(crate) fn ask(&mut self, bus: u8, page: u8, command: u8, data: &[u8]) -> Option<Vec<u8>> {
        let kind = self.board.spec().controller;
        let answer = self.ask_raw(bus, page, command, data);
        let length = usize::from(u16::from_le_bytes([*answer.first()?, *answer.get(1)?]));
        let head = match kind {
            Controller::BitaxeRaw | Controller::Bitcrane | Controller::Guarded => {
                (length + 3 == answer.len()).then_some(3)
            }
            // Shorter than its total only for lack of data.
            Controller::BitaxeRawTotal => (length == answer.len()).then_some(3),
            _ => (answer.get(3) == Some(&0)).then_some(4),
        };
        (answer[2] == self.id).then(|| Some(answer[head?..].to_vec()))?
    }

    pub(crate) fn pin(&mut self, pin: u8, level: bool) {
        let answer = self.ask(0, 0x06, pin, &[u8::from(level)]);
        assert_eq!(answer, Some(vec![u8::from(level)]));
    }

    /// Says something to the chips and waits two milliseconds; what they say in the meantime is returned.
    pub(crate) fn say(&mut self, frame: &[u8]) -> Vec<u8> {
        self.board.uart_receive(self.now, frame);
        self.now += Duration::from_millis(2);
        let mut heard = Vec::new();
        self.board.uart_take_output(self.now, &mut heard);
        heard
    }

    /// How many chips answer to a read of their id; only before version rolling is on.
    pub(crate) fn answering(&mut self) -> usize {
        let mut heard = self.say(&wire::read(Target::All, 0x00));
        for _ in 0..50 {
            self.now += Duration::from_millis(5);
            self.board.uart_take_output(self.now, &mut heard);
        }
        heard
            .windows(2)
            .filter(|pair| *pair == [0xAA, 0x55])
            .count()
    }

    /// Brings BM1370 chips to a clock and ready for jobs.
    pub(crate) fn start_chips(&mut self, pll: u32, sweep: u32) {
        let chips = self.board.spec().chain.chips;
        let all = |register, value| wire::write(Target::All, register, value);
        self.say(&all(0xA4, 0x9000_FFFF));
        self.say(&all(0xA8, 0x0007_0000));
        self.say(&all(0x18, 0xF000_C100));
        self.say(&wire::command(&[0x53, 5, 0, 0]));
        let interval = 256 / chips.next_power_of_two();
        let address = |chip: u16| (chip * interval.min(255)) as u8;
        for chip in 0..chips {
            self.say(&wire::command(&[0x40, 5, address(chip), 0]));
        }
        self.say(&all(0x14, 0xFF));
        for chip in 0..chips {
            for (register, value) in [
                (0xA8, 0x0007_01F0),
                (0x18, 0xF000_C100),
                (0x3C, 0x8000_8B00),
                (0x3C, 0x8000_800C),
                (0x3C, 0x8000_82AA),
            ] {
                self.say(&wire::write(Target::One(address(chip)), register, value));
            }
            let offset = u32::from(chip) * 0x1_0000 / u32::from(chips);
            let target = Target::One(address(chip));
            self.say(&wire::write(target, 0x0C, 0x8000_0000 | offset));
        }
        self.say(&all(0x08, pll));
        self.say(&all(0x10, sweep));
        self.say(&all(0xA4, 0x9000_FFFF));
    }

    /// Mines for a while, with a new job every second; returns the bytes that came back.
    pub(crate) fn mine(&mut self, time: Duration) -> Vec<u8> {
        let end = self.now + time;
        let mut heard = Vec::new();
        while self.now < end {
            let seed = self.now.as_millis() as u32;
            let job = wire::job((seed / 100 % 16) as u8 * 8, &wire::header(seed));
            self.board.uart_receive(self.now, &job);
            let next = (self.now + Duration::from_secs(1)).min(end);
            while let Some(event) = self.board.next_event().filter(|event| *event < next) {
                self.now = event.max(self.now);
                self.board.uart_take_output(self.now, &mut heard);
            }
            self.now = next;
            self.board.uart_take_output(self.now, &mut heard);
        }
        heard
    }

    pub(crate) fn i2c(&mut self, bus: u8) -> Wire<'_> {
        Wire { bench: self, bus }
    }

    pub(crate) fn write(&mut self, address: u8, bytes: &[u8]) -> bool {
        let data: Vec<u8> = std::iter::once(address)
            .chain(bytes.iter().copied())
            .collect();
        self.ask(0, 0x05, 0x20, &data).is_some()
    }

    pub(crate) fn read(&mut self, address: u8, register: u8, count: u8) -> Option<Vec<u8>> {
        self.ask(0, 0x05, 0x40, &[address, register, count])
    }

    /// Brings a Gamma up by register writes: fan at full, 1.15 V, reset released; then half a minute.
    pub(crate) fn power_gamma(&mut self) {
        for bytes in [[0x03, 0x04], [0x4A, 0x23], [0x4D, 0x1F], [0x4C, 0x3F]] {
            assert!(self.write(0x4C, &bytes));
        }
        for bytes in [
            // The command decides; up to 2 V; limits of the 5 V boards; 1.15 V.
            &[0x02, 0x1B][..],
            &[0x24, 0x00, 0x04],
            &[0x2B, 0x00, 0x02],
            &[0x40, 0x80, 0x02],
            &[0x42, 0x52, 0x02],
            &[0x35, 0x66, 0xCA],
            &[0x36, 0x40, 0xCA],
            &[0x21, 0x4D, 0x02],
            &[0x01, 0x80],
        ] {
            assert!(self.write(0x24, bytes));
        }
        self.pin(0, true);
        self.pass(seconds(30.0));
    }
}

pub(crate) struct Wire<'a> {
    bench: &'a mut Bench,
    bus: u8,
}

#[derive(Debug)]
pub(crate) struct Nak;

impl embedded_hal::i2c::Error for Nak {
    fn kind(&self) -> ErrorKind {
        ErrorKind::NoAcknowledge(NoAcknowledgeSource::Unknown)
    }
}

impl ErrorType for Wire<'_> {
    type Error = Nak;
}

impl I2c for Wire<'_> {
    fn transaction(&mut self, address: u8, operations: &mut [Operation<'_>]) -> Result<(), Nak> {
        let bus = self.bus;
        match operations {
            [Operation::Write(write)] => {
                let data: Vec<u8> = std::iter::once(address)
                    .chain(write.iter().copied())
                    .collect();
                self.bench.ask(bus, 0x05, 0x20, &data).ok_or(Nak)?;
            }
            [Operation::Read(read)] => {
                let data = [address, read.len() as u8];
                let answer = self.bench.ask(bus, 0x05, 0x30, &data).ok_or(Nak)?;
                read.copy_from_slice(&answer);
            }
            [Operation::Write(write), Operation::Read(read)] => {
                let mut data = vec![address];
                data.extend_from_slice(write);
                data.push(read.len() as u8);
                let answer = self.bench.ask(bus, 0x05, 0x40, &data).ok_or(Nak)?;
                read.copy_from_slice(&answer);
            }
            other => panic!("the control protocol has no {other:?}"),
        }
        Ok(())
    }
}
