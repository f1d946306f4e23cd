//! Feeds a Stratum V2 session, below its encryption, what servers could say, well formed and not,
//! while shares, time and broken connections come in between. It must not panic, must account for
//! every share, must not wait for a time that is over, must hand out sound jobs only, and must
//! come to the same conclusions however the bytes are cut. Another session gets the same bytes
//! in place of the encrypted handshake.
#![no_main]

use std::sync::Arc;
use std::time::Duration;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use mining::{Job, Share};
use stratum::v2::{ChannelKind, Config, Session};
use stratum::{Action, Event, Opening, Reason, Sequence, Session as _, Stats};

#[derive(Arbitrary, Debug)]
struct Input {
    seed: u64,
    /// Size of the pieces in which the second session gets the bytes.
    piece: u8,
    steps: Vec<Step>,
}

#[derive(Arbitrary, Debug)]
enum Step {
    /// Bytes as they are.
    Raw(Vec<u8>),
    /// A frame of any kind, of a length that fits or one that does not.
    Frame {
        extension: u16,
        kind: u8,
        payload: Vec<u8>,
        longer: u8,
    },
    SetUp(u32),
    Opened {
        standard: bool,
        target: Target,
        size: u8,
        prefix: Vec<u8>,
    },
    Job {
        channel: u8,
        id: u8,
        min_ntime: Option<u32>,
        version: u32,
        rolling: bool,
        branches: u8,
        witness: bool,
    },
    Root {
        channel: u8,
        id: u8,
        min_ntime: Option<u32>,
    },
    Tip {
        channel: u8,
        job: u8,
        byte: u8,
        min_ntime: u32,
    },
    SetTarget {
        channel: u8,
        target: Target,
    },
    Prefix {
        channel: u8,
        prefix: Vec<u8>,
    },
    Group {
        group: u8,
        channels: Vec<u8>,
    },
    Accepted {
        last: u8,
        ahead: bool,
    },
    Refused {
        sequence: u8,
        code: u8,
    },
    Reconnect {
        host: u8,
        port: u16,
    },
    Closed(u8),
    Share {
        job: u8,
        ntime: u16,
        nonce: u32,
        version: u32,
        long: bool,
    },
    Hashrate(f64),
    Passes {
        deciseconds: u16,
    },
    UntilDue,
    Connects,
    HangsUp,
    Stops,
    Starts,
}

#[derive(Arbitrary, Debug)]
enum Target {
    Zero,
    All,
    Some(u8),
}

impl Target {
    fn bytes(&self) -> [u8; 32] {
        match self {
            Self::Zero => [0; 32],
            Self::All => [0xff; 32],
            Self::Some(at) => {
                let mut bytes = [0; 32];
                bytes[usize::from(at % 32)] = 1;
                bytes
            }
        }
    }
}

fn frame(channel: bool, kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, if channel { 0x80 } else { 0 }, kind];
    bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes()[..3]);
    bytes.extend_from_slice(payload);
    bytes
}

/// Numbers as messages have them; channels and groups are few, so that they meet.
fn numbers(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|n| n.to_le_bytes()).collect()
}

fn address(channel: u8) -> u32 {
    u32::from(channel % 4)
}

fn short(bytes: &[u8]) -> Vec<u8> {
    let bytes = &bytes[..bytes.len().min(255)];
    [&[bytes.len() as u8], bytes].concat()
}

fn optional(number: Option<u32>) -> Vec<u8> {
    number.map_or(vec![0], |n| [vec![1], numbers(&[n])].concat())
}

fn bytes(step: &Step) -> Option<Vec<u8>> {
    Some(match step {
        Step::Raw(bytes) => bytes.clone(),
        Step::Frame {
            extension,
            kind,
            payload,
            longer,
        } => {
            let mut bytes = frame(true, kind % 0x28, payload);
            if extension % 8 == 0 {
                bytes[..2].copy_from_slice(&extension.to_le_bytes());
            }
            bytes[3] = bytes[3].saturating_add(longer / 64);
            bytes
        }
        Step::SetUp(flags) => {
            let flags = if flags % 2 == 0 { 0 } else { *flags };
            frame(false, 1, &[&[2, 0][..], &numbers(&[flags])].concat())
        }
        Step::Opened {
            standard,
            target,
            size,
            prefix,
        } => {
            let mut payload = numbers(&[1, 2]);
            payload.extend(target.bytes());
            if !standard {
                payload.extend([size % 40, 0]);
            }
            payload.extend(short(prefix));
            payload.extend(numbers(&[1]));
            frame(false, if *standard { 0x11 } else { 0x14 }, &payload)
        }
        Step::Job {
            channel,
            id,
            min_ntime,
            version,
            rolling,
            branches,
            witness,
        } => {
            let mut payload = numbers(&[address(*channel), u32::from(id % 8)]);
            payload.extend(optional(*min_ntime));
            payload.extend(numbers(&[*version]));
            payload.extend([u8::from(*rolling), branches % 8]);
            payload.extend(vec![*id; 32 * usize::from(branches % 8)]);
            let marker: &[u8] = if *witness { &[0, 1] } else { &[1, 0] };
            let suffix = [&[*id; 40][..], &[1, 32], &[0; 32], &[0; 4]].concat();
            for half in [[&[2, 0, 0, 0][..], marker, &[*id; 35]].concat(), suffix] {
                payload.extend((half.len() as u16).to_le_bytes());
                payload.extend(half);
            }
            frame(true, 0x1f, &payload)
        }
        Step::Root {
            channel,
            id,
            min_ntime,
        } => {
            let mut payload = numbers(&[address(*channel), u32::from(id % 8)]);
            payload.extend(optional(*min_ntime));
            payload.extend(numbers(&[0x2000_0000]));
            payload.extend([*id; 32]);
            frame(true, 0x15, &payload)
        }
        Step::Tip {
            channel,
            job,
            byte,
            min_ntime,
        } => {
            let mut payload = numbers(&[address(*channel), u32::from(job % 8)]);
            payload.extend([*byte; 32]);
            payload.extend(numbers(&[*min_ntime, 0x1d00_ffff]));
            frame(true, 0x20, &payload)
        }
        Step::SetTarget { channel, target } => {
            let payload = [&numbers(&[address(*channel)])[..], &target.bytes()].concat();
            frame(true, 0x21, &payload)
        }
        Step::Prefix { channel, prefix } => frame(
            true,
            0x19,
            &[numbers(&[address(*channel)]), short(prefix)].concat(),
        ),
        Step::Group { group, channels } => {
            let mut payload = numbers(&[address(*group)]);
            payload.extend((channels.len() as u16).to_le_bytes());
            channels
                .iter()
                .for_each(|channel| payload.extend(numbers(&[address(*channel)])));
            frame(false, 0x25, &payload)
        }
        Step::Accepted { last, ahead } => {
            let last = if *ahead { u32::MAX } else { u32::from(*last) };
            frame(true, 0x1c, &numbers(&[2, last, 1, 0, 0]))
        }
        Step::Refused { sequence, code } => {
            let code: &[u8] = [
                &b"stale-share"[..],
                b"invalid-channel-id",
                b"",
                b"\xff\x1b[2J",
            ][usize::from(code % 4)];
            frame(
                true,
                0x1d,
                &[numbers(&[2, u32::from(*sequence)]), short(code)].concat(),
            )
        }
        Step::Reconnect { host, port } => {
            let host: &[u8] = [&b""[..], b"other.example", b"not a host"][usize::from(host % 3)];
            frame(
                false,
                4,
                &[short(host), port.to_le_bytes().to_vec()].concat(),
            )
        }
        Step::Closed(channel) => frame(
            true,
            0x18,
            &[numbers(&[address(*channel)]), short(b"x")].concat(),
        ),
        _ => return None,
    })
}

/// A session in its shell.
struct Shell {
    session: Session,
    now: Duration,
    jobs: Vec<Arc<Job>>,
    handed_in: u64,
    events: Vec<Event>,
    /// Whether the session waits for a connection.
    wanted: bool,
}

impl Shell {
    fn new(seed: u64, plain: bool) -> Self {
        const KEY: &str = "9bXiEd8boQVhq7WddEcERUL5tyyJVFYdU8th3HfbNXK3Yw6GRXh";
        let key = if seed & 1 != 0 { KEY } else { "" };
        let url = format!("stratum2+tcp://pool.example:3336/{key}");
        let mut config = Config::new(url.parse().expect("a URL"), "alice.rig");
        if seed & 2 != 0 {
            config.channel = ChannelKind::Standard;
        }
        let session = Session::new(config, seed, Sequence::new()).expect("good settings");
        Self {
            session: if plain {
                session.without_encryption()
            } else {
                session
            },
            now: Duration::ZERO,
            jobs: Vec::new(),
            handed_in: 0,
            events: Vec::new(),
            wanted: false,
        }
    }

    fn drain(&mut self) {
        while let Some(action) = self.session.poll_action() {
            self.wanted = matches!(action, Action::Connect { .. });
        }
        while let Some(message) = self.session.poll_transmit() {
            assert!(message.len() < 8192);
        }
        while let Some(event) = self.session.poll_event() {
            if let Event::Job(job) = &event {
                assert!(job.extranonce1.len() + job.extranonce2_len <= 32);
                assert!(job.extranonce2_len <= 16);
                assert_eq!(job.fixed_root.is_some(), job.extranonce2_len == 0);
                let before = self.jobs.last().map_or(0, |job| job.generation);
                assert!(job.generation >= before);
                self.jobs.push(Arc::clone(job));
            }
            self.events.push(event);
        }
    }

    /// Lets time pass as the shell does, with every deadline in it.
    fn pass(&mut self, end: Duration) {
        for round in 0.. {
            let Some(due) = self.session.poll_timeout().filter(|due| *due <= end) else {
                break;
            };
            self.now = self.now.max(due);
            self.session.handle_timeout(self.now);
            self.drain();
            assert!(round < 20_000, "a deadline that does not go away");
        }
        self.now = self.now.max(end);
    }

    fn take(&mut self, step: &Step, piece: usize) {
        if let Some(bytes) = bytes(step) {
            for bytes in bytes.chunks(piece) {
                self.session.handle_bytes(self.now, bytes);
            }
        }
        match step {
            Step::Share {
                job,
                ntime,
                nonce,
                version,
                long,
            } => {
                let newest_first = self.jobs.iter().rev();
                let at = usize::from(*job) % self.jobs.len().max(1);
                let Some(job) = newest_first.clone().nth(at) else {
                    return;
                };
                let share = Share {
                    job: Arc::clone(job),
                    extranonce2: vec![7; job.extranonce2_len + usize::from(*long)],
                    ntime: job.ntime.wrapping_add(u32::from(*ntime)),
                    nonce: *nonce,
                    version: job.version ^ (version & job.version_mask),
                    hash: [0; 32],
                };
                self.handed_in += 1;
                // A refusal is counted as well.
                let _ = self.session.submit(self.now, share);
            }
            Step::Hashrate(rate) => self.session.set_hashrate(self.now, *rate),
            Step::Passes { deciseconds } => {
                self.pass(self.now + Duration::from_millis(100 * u64::from(*deciseconds)));
            }
            Step::UntilDue => {
                if let Some(due) = self.session.poll_timeout() {
                    self.pass(due);
                }
            }
            Step::Connects if self.wanted => {
                self.wanted = false;
                let opening = Opening {
                    unix_time: Duration::from_secs(1_790_000_000),
                    entropy: [42; 32],
                };
                self.session.connected(self.now, opening);
            }
            Step::HangsUp => self.session.disconnected(self.now, Reason::PeerClosed),
            Step::Stops => self.session.stop(self.now),
            Step::Starts => self.session.start(self.now),
            _ => {}
        }
        self.drain();
        let stats = self.session.stats();
        let ended = stats.accepted + stats.rejected + stats.unconfirmed + stats.dropped;
        assert_eq!(ended + stats.open, self.handed_in, "{stats:?}");
    }

    fn end(mut self) -> (Vec<Event>, Stats) {
        self.session.stop(self.now);
        self.drain();
        assert_eq!(self.session.poll_timeout(), None);
        let stats = self.session.stats();
        assert_eq!(stats.open, 0);
        (self.events, stats)
    }
}

fuzz_target!(|input: Input| {
    let run = |plain: bool, piece: usize| {
        let mut shell = Shell::new(input.seed, plain);
        shell.take(&Step::Starts, piece);
        shell.take(&Step::Connects, piece);
        for step in &input.steps {
            shell.take(step, piece);
        }
        shell.end()
    };
    let piece = usize::from(input.piece).max(1);
    assert_eq!(run(true, usize::MAX), run(true, piece));
    assert_eq!(run(false, usize::MAX), run(false, piece));
});
