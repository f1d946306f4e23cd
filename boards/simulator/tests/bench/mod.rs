//! A host for tests: builds frames from their definitions, brings chains up by the published sequences, and reads replies.
//! It shares nothing with the driver.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::time::Duration;

use board_simulator::{ChainSpec, Chip, HostBaud, Target, VirtualChain};
use sha2::{Digest, Sha256};

/// CRC5 with polynomial x^5 + x^2 + 1 from 0x1F, one bit at a time.
pub(crate) fn crc5(bytes: &[u8]) -> u8 {
    let mut crc = 0x1F;
    for bit in bytes
        .iter()
        .flat_map(|b| (0..8).rev().map(move |i| b >> i & 1))
    {
        let out = crc >> 4 & 1;
        crc = crc << 1 & 0x1F;
        if out != bit {
            crc ^= 0b00101;
        }
    }
    crc
}

/// CRC16 CCITT-FALSE.
pub(crate) fn crc16(bytes: &[u8]) -> u16 {
    let mut crc = 0xFFFF_u16;
    for bit in bytes
        .iter()
        .flat_map(|b| (0..8).rev().map(move |i| u16::from(b >> i & 1)))
    {
        let out = crc >> 15;
        crc <<= 1;
        if out != bit {
            crc ^= 0x1021;
        }
    }
    crc
}

/// A command frame around its body without checksum.
pub(crate) fn command(body: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x55, 0xAA];
    frame.extend(body);
    frame.push(crc5(body));
    frame
}

pub(crate) fn write(target: Target, register: u8, value: u32) -> Vec<u8> {
    let (header, address) = match target {
        Target::All => (0x51, 0),
        Target::One(address) => (0x41, address),
    };
    let mut body = vec![header, 9, address, register];
    body.extend(value.to_be_bytes());
    command(&body)
}

pub(crate) fn read(target: Target, register: u8) -> Vec<u8> {
    match target {
        Target::All => command(&[0x52, 5, 0, register]),
        Target::One(address) => command(&[0x42, 5, address, register]),
    }
}

pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .bytes()
        .map(|c| (c as char).to_digit(16).unwrap() as u8)
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

/// Some valid header that differs by `seed`.
pub(crate) fn header(seed: u32) -> [u8; 80] {
    let mut header = [0; 80];
    header[..4].copy_from_slice(&0x2000_0000_u32.to_le_bytes());
    for (i, chunk) in header[4..68].chunks_mut(32).enumerate() {
        chunk.copy_from_slice(&Sha256::digest(
            [seed.to_le_bytes().as_slice(), &[i as u8]].concat(),
        ));
    }
    header[68..72].copy_from_slice(&0x6400_0000_u32.to_le_bytes());
    header[72..76].copy_from_slice(&0x1705_AE3A_u32.to_le_bytes());
    header
}

fn words_reversed(bytes: &[u8]) -> Vec<u8> {
    bytes.chunks(4).rev().flatten().copied().collect()
}

/// A header job frame.
pub(crate) fn job(id: u8, header: &[u8; 80]) -> Vec<u8> {
    let mut body = vec![0x21, 0x56, id, 1, 0, 0, 0, 0];
    body.extend(&header[72..76]);
    body.extend(&header[68..72]);
    body.extend(words_reversed(&header[36..68]));
    body.extend(words_reversed(&header[4..36]));
    body.extend(&header[..4]);
    let crc = crc16(&body);
    [&[0x55, 0xAA], body.as_slice(), &crc.to_be_bytes()].concat()
}

/// A job frame of ready midstates; their content need not be the midstate of anything.
pub(crate) fn midstate_job(id: u8, seed: u32, count: u8) -> Vec<u8> {
    let template = header(seed);
    let mut body = vec![0x21, 0x96, id, count, 0, 0, 0, 0];
    body.extend(&template[72..76]);
    body.extend(&template[68..72]);
    body.extend(&template[64..68]);
    for i in 0..4_u32 {
        body.extend(Sha256::digest([seed, i].map(u32::to_le_bytes).concat()));
    }
    let crc = crc16(&body);
    [&[0x55, 0xAA], body.as_slice(), &crc.to_be_bytes()].concat()
}

/// A reply as the host decodes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    Register {
        value: u32,
        address: u8,
        register: u8,
    },
    Nonce {
        nonce: [u8; 4],
        margin: u8,
        id: u8,
        version: Option<u16>,
    },
}

/// A chain and a host in front of it.
pub(crate) struct Bench {
    pub(crate) chain: VirtualChain,
    pub(crate) now: Duration,
    pub(crate) chip: Chip,
    pub(crate) chips: u16,
    pub(crate) raw: Vec<u8>,
    pub(crate) rolling: bool,
    interval: u8,
}

/// How to hash: everything that a bring-up needs to know about the wanted operating point.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    pub(crate) pll: u32,
    pub(crate) sweep: u32,
    pub(crate) ticket: u32,
    pub(crate) mask: u16,
}

impl Run {
    pub(crate) fn new(pll: u32, sweep: u32) -> Self {
        Self {
            pll,
            sweep,
            ticket: 0xFF,
            mask: 0xFFFF,
        }
    }
}

impl Bench {
    pub(crate) fn new(chip: Chip, chips: u16, scale_bits: u8) -> Self {
        Self::with(ChainSpec::new(chip, chips, scale_bits))
    }

    pub(crate) fn with(spec: ChainSpec) -> Self {
        let interval = (256 / u32::from(spec.chips).next_power_of_two()).min(255) as u8;
        Self {
            chain: VirtualChain::new(spec).unwrap(),
            now: Duration::ZERO,
            chip: spec.chip,
            chips: spec.chips,
            raw: Vec::new(),
            rolling: false,
            interval,
        }
    }

    /// The address that chip `index` is given.
    pub(crate) fn address(&self, index: u16) -> u8 {
        if self.newest() {
            index as u8 * 16
        } else {
            index as u8 * self.interval
        }
    }

    /// The address byte of commands for chip `index`.
    pub(crate) fn command_address(&self, index: u16) -> u8 {
        if self.newest() {
            self.address(index) >> 2
        } else {
            self.address(index)
        }
    }

    fn newest(&self) -> bool {
        matches!(self.chip, Chip::Bm1372 | Chip::Bm1373)
    }

    pub(crate) fn run(&mut self, time: Duration) {
        self.now += time;
        self.chain.take_output(self.now, &mut self.raw);
    }

    pub(crate) fn millis(&mut self, millis: u64) {
        self.run(Duration::from_millis(millis));
    }

    /// Writes and waits until the last byte has arrived.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let before = bytes_arrived(&self.chain);
        self.chain.receive(self.now, bytes);
        while bytes_arrived(&self.chain) == before {
            let next = self
                .chain
                .next_event()
                .expect("bytes under way are an event");
            self.now = next.max(self.now);
            self.chain.take_output(self.now, &mut self.raw);
        }
    }

    pub(crate) fn all(&mut self, register: u8, value: u32) {
        self.rolling |= register == 0xA4;
        self.chain
            .receive(self.now, &write(Target::All, register, value));
        self.millis(2);
    }

    pub(crate) fn one(&mut self, index: u16, register: u8, value: u32) {
        let target = Target::One(self.command_address(index));
        self.chain
            .receive(self.now, &write(target, register, value));
        self.millis(2);
    }

    /// Sends a job.
    pub(crate) fn job(&mut self, id: u8, seed: u32) {
        let frame = if self.chip == Chip::Bm1397 {
            midstate_job(id, seed, 4)
        } else {
            job(id, &header(seed))
        };
        self.chain.receive(self.now, &frame);
    }

    /// Chain inactive, then an address for every chip.
    pub(crate) fn assign_addresses(&mut self) {
        self.chain.receive(self.now, &command(&[0x53, 5, 0, 0]));
        self.millis(2);
        for index in 0..self.chips {
            self.chain
                .receive(self.now, &command(&[0x40, 5, self.address(index), 0]));
            self.millis(2);
        }
    }

    /// The published sequence for the model, without its pauses, up to but not including the first job.
    pub(crate) fn bring_up(&mut self, run: Run) {
        if self.chip == Chip::Bm1397 {
            self.assign_addresses();
            for (register, value) in [
                (0x80, 0),
                (0x84, 0),
                (0x20, 1),
                (0x3C, 0x8000_8074),
                (0x14, run.ticket),
            ] {
                self.all(register, value);
            }
            self.all(0x68, 0xC070_0111);
            self.all(0x28, 0x0600_000F);
            self.all(0x18, 0x0000_7A31);
            self.all(0x08, run.pll);
            return;
        }
        if self.newest() {
            self.assign_addresses();
            self.all(0x3C, 0x8000_8D04);
            self.all(0x14, run.ticket);
            self.all(0x58, 0x0001_1111);
            self.all(0xC4, 0);
            self.all(0x28, 0x8000_0000);
            for (register, value) in [
                (0xA8, 0xF007_01F0),
                (0x18, 0xFF00_C100),
                (0x19, 0),
                (0x3C, 0x8000_8B00),
                (0x3C, 0x8000_805A),
            ] {
                self.all(register, value);
            }
            self.all(0x3C, 0x8000_82AA);
        } else {
            let (broadcast, misc) = match self.chip {
                Chip::Bm1362 => (0xB000_C100, 0xB000_C100),
                Chip::Bm1370 => (0xF000_C100, 0xF000_C100),
                _ => (0xFF0F_C100, 0xF000_C100),
            };
            self.all(0xA4, 0x9000_0000 | u32::from(run.mask));
            self.all(0xA8, 0x0007_0000);
            self.all(0x18, broadcast);
            self.assign_addresses();
            self.all(0x14, run.ticket);
            self.all(0x28, 0x1130_0000);
            for index in 0..self.chips {
                for (register, value) in [
                    (0xA8, 0x0007_01F0),
                    (0x18, misc),
                    (0x3C, 0x8000_8B00),
                    (0x3C, 0x8000_800C),
                    (0x3C, 0x8000_82AA),
                ] {
                    self.one(index, register, value);
                }
            }
        }
        self.all(0x08, run.pll);
        if self.chip == Chip::Bm1370 && self.chips > 1 {
            self.write_offsets();
        }
        self.all(0x10, run.sweep);
        self.all(0xA4, 0x9000_0000 | u32::from(run.mask));
    }

    /// BM1370: 2^16 divided evenly.
    pub(crate) fn write_offsets(&mut self) {
        for index in 0..self.chips {
            let offset = u32::from(index) * 0x1_0000 / u32::from(self.chips);
            self.one(index, 0x0C, 0x8000_0000 | offset);
        }
    }

    /// Mines for `time`, a new job every `period`; returns the jobs' seeds by id as they stand at the end.
    pub(crate) fn mine(&mut self, time: Duration, period: Duration, first_seed: u32) {
        let end = self.now + time;
        let mut seed = first_seed;
        while self.now < end {
            self.job(job_id(self.chip, seed), seed);
            seed += 1;
            self.run(period.min(end - self.now));
        }
    }

    /// Takes the replies so far apart, asserting that every byte belongs to a good one.
    pub(crate) fn replies(&mut self) -> Vec<Heard> {
        let mut heard = Vec::new();
        let raw = std::mem::take(&mut self.raw);
        let mut rest = raw.as_slice();
        while !rest.is_empty() {
            let id = u16::from_be_bytes([rest[2], rest[3]]) == id_of(self.chip) && rest[7] == 0;
            let long = match self.chip {
                Chip::Bm1397 => false,
                Chip::Bm1372 | Chip::Bm1373 => !id,
                _ => self.rolling,
            };
            let len = if long { 11 } else { 9 };
            assert!(rest.len() >= len, "a whole reply, not {rest:02X?}");
            let (frame, after) = rest.split_at(len);
            rest = after;
            assert_eq!(frame[..2], [0xAA, 0x55]);
            assert_eq!(crc5(&frame[2..]), 0, "{frame:02X?}");
            let four = [frame[2], frame[3], frame[4], frame[5]];
            heard.push(match frame[len - 1] >> 5 {
                0 => Heard::Register {
                    value: u32::from_be_bytes(four),
                    address: frame[6],
                    register: frame[7],
                },
                4 => Heard::Nonce {
                    nonce: four,
                    margin: frame[6],
                    id: frame[7],
                    version: long.then(|| u16::from_be_bytes([frame[8], frame[9]])),
                },
                flags => panic!("flags {flags} in {frame:02X?}"),
            });
        }
        heard
    }

    /// Waits for the line to fall silent.
    pub(crate) fn drain(&mut self) {
        while let Some(next) = self.chain.next_event() {
            self.now = next.max(self.now);
            self.chain.take_output(self.now, &mut self.raw);
        }
    }

    /// Gives replies half a second to come.
    pub(crate) fn drain_some(&mut self) {
        self.millis(500);
    }

    pub(crate) fn set_baud(&mut self, rate: u32) {
        self.chain.set_host_baud(HostBaud::Rate(rate));
    }
}

/// A job byte that every layout can carry, new for 16 jobs in a row.
pub(crate) fn job_id(chip: Chip, seed: u32) -> u8 {
    match chip {
        Chip::Bm1397 => (seed % 32) as u8 * 4,
        _ => (seed % 16) as u8 * 8,
    }
}

pub(crate) fn id_of(chip: Chip) -> u16 {
    u16::from_str_radix(&chip.name()[2..], 16).unwrap()
}

/// Leading zero bits of a header's double hash, by the plain library path.
pub(crate) fn zero_bits(header: &[u8; 80]) -> u32 {
    let hash = Sha256::digest(Sha256::digest(header));
    let mut zeros = 0;
    for byte in hash.iter().rev() {
        zeros += byte.leading_zeros();
        if *byte != 0 {
            break;
        }
    }
    zeros
}

/// The header that a nonce reply stands for.
pub(crate) fn rolled(seed: u32, nonce: [u8; 4], version: u16) -> [u8; 80] {
    let mut header = header(seed);
    let rolled =
        u32::from_le_bytes([header[0], header[1], header[2], header[3]]) | u32::from(version) << 13;
    header[..4].copy_from_slice(&rolled.to_le_bytes());
    header[76..].copy_from_slice(&nonce);
    header
}

fn bytes_arrived(chain: &VirtualChain) -> u64 {
    let report = chain.report();
    let frames = report.frames;
    frames.writes + frames.reads + frames.set_addresses + frames.inactives + frames.jobs
}
