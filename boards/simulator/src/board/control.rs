//! The controller's end of the control protocol, as public firmware speaks it: requests out of bytes, answers into bytes, and how
//! a port can fail. What a request does to the board is the board's business.

use std::collections::VecDeque;

use super::{fault::Fault, spec::Controller};
use crate::rng::Rng;

/// A request is its header and up to 4092 bytes.
const REQUEST_LIMIT: usize = 4098;
const HEADER: usize = 6;

/// Half a request is dropped when nothing more comes for so long.
const HALF_REQUEST_NS: u64 = 4_000_000;

/// Firmware sends an answer as one USB packet; longer ones are lost.
const PACKET: usize = 64;

/// Bytes that wait for a host that does not read.
const OUTPUT_LIMIT: usize = 1 << 16;

/// A well-formed request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) id: u8,
    pub(super) bus: u8,
    pub(super) page: u8,
    pub(super) command: u8,
    pub(super) data: Vec<u8>,
}

/// What comes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Data.
    Done(Vec<u8>),
    /// Nobody knows such a request. Answered under id 0xFF.
    Invalid,
    /// A text; all that firmware tells of a failed transaction.
    Failed(&'static str),
    /// No answer at all: the controller restarts.
    Silence,
}

/// One control port.
#[derive(Debug)]
pub(super) struct ControlPort {
    kind: Controller,
    rx: Vec<u8>,
    heard_at: u64,
    out: VecDeque<(u64, Vec<u8>)>,
    waiting: usize,
    rng: Rng,
}

impl ControlPort {
    pub(super) fn new(kind: Controller, seed: u64) -> Self {
        Self {
            kind,
            rx: Vec::new(),
            heard_at: 0,
            out: VecDeque::new(),
            waiting: 0,
            rng: Rng::new(seed ^ 0x0043_4F4E_5452_4F4C),
        }
    }

    /// Takes bytes that came in one go; returns how many requests the firmware will look for.
    pub(super) fn receive(&mut self, ns: u64, bytes: &[u8]) -> usize {
        if ns.saturating_sub(self.heard_at) > HALF_REQUEST_NS {
            self.rx.clear();
        }
        self.heard_at = ns;
        let room = REQUEST_LIMIT.saturating_sub(self.rx.len());
        self.rx.extend_from_slice(&bytes[..bytes.len().min(room)]);
        bytes.len().div_ceil(PACKET)
    }

    /// The next request; `Err` for one that no firmware can make sense of.
    pub(super) fn request(&mut self) -> Option<Result<Request, ()>> {
        let [low, high, ..] = self.rx[..] else {
            return None;
        };
        let length = usize::from(u16::from_le_bytes([low, high]));
        if !(HEADER..=REQUEST_LIMIT).contains(&length) {
            self.rx.clear();
            return Some(Err(()));
        }
        if self.rx.len() < length {
            return None;
        }
        let packet: Vec<u8> = self.rx.drain(..length).collect();
        Some(Ok(Request {
            id: packet[2],
            bus: packet[3],
            page: packet[4],
            command: packet[5],
            data: packet[HEADER..].to_vec(),
        }))
    }

    /// Sends what came of a request, unless a fault keeps it back.
    pub(super) fn answer(&mut self, ns: u64, id: u8, outcome: &Outcome, faults: &[(Fault, u64)]) {
        if let Some(frame) = encode(self.kind, id, outcome)
            && frame.len() <= PACKET
        {
            self.send(ns, frame, faults);
        }
    }

    /// Sends finished answers.
    pub(super) fn send(&mut self, ns: u64, mut frame: Vec<u8>, faults: &[(Fault, u64)]) {
        let mut at = ns;
        for (fault, _) in faults {
            match fault {
                Fault::ControlSilent | Fault::ControlClosed => return,
                Fault::ControlSlow { ms } => {
                    at = at.saturating_add((ms.clamp(0.0, 1e9) * 1e6) as u64);
                }
                Fault::ControlGarbage => {
                    let rng = &mut self.rng;
                    frame.iter_mut().for_each(|b| *b = rng.next_u64() as u8);
                }
                _ => {}
            }
        }
        if self.waiting + frame.len() <= OUTPUT_LIMIT {
            self.waiting += frame.len();
            self.out.push_back((at, frame));
        }
    }

    pub(super) fn take_output(&mut self, ns: u64, out: &mut Vec<u8>) {
        while let Some((at, frame)) = self.out.front()
            && *at <= ns
        {
            out.extend_from_slice(frame);
            self.waiting -= frame.len();
            self.out.pop_front();
        }
    }

    /// When the next bytes are there to read.
    pub(super) fn next_output(&self) -> Option<u64> {
        self.out.front().map(|(at, _)| *at)
    }

    /// The port was closed: what was under way is gone.
    pub(super) fn close(&mut self) {
        self.rx.clear();
        self.out.clear();
        self.waiting = 0;
    }
}

/// An answer as bytes.
fn encode(kind: Controller, id: u8, outcome: &Outcome) -> Option<Vec<u8>> {
    let (id, code, data) = match outcome {
        Outcome::Done(data) => (id, None, data.as_slice()),
        Outcome::Invalid => (0xFF, Some(0x11), [].as_slice()),
        Outcome::Failed(text) => (id, Some(0xFF), text.as_bytes()),
        Outcome::Silence => return None,
    };
    let status = kind == Controller::Emberone;
    let head = match (status, code) {
        (true, code) => vec![id, code.unwrap_or(0)],
        (false, Some(code)) => vec![id, code],
        (false, None) => vec![id],
    };
    let total = 2 + head.len() + data.len();
    // The oldest format counts only the data, but everything where it tells of an error.
    let counts_data = matches!(kind, Controller::BitaxeRaw | Controller::Bitcrane);
    let length = if counts_data && code.is_none() {
        data.len()
    } else {
        total
    };
    let mut frame = (length as u16).to_le_bytes().to_vec();
    frame.extend(head);
    frame.extend_from_slice(data);
    Some(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: Controller, outcome: &Outcome) -> Vec<u8> {
        encode(kind, 0x2A, outcome).unwrap()
    }

    #[test]
    fn answers_look_as_published() {
        let level = Outcome::Done(vec![1]);
        assert_eq!(frame(Controller::BitaxeRaw, &level), [1, 0, 0x2A, 1]);
        assert_eq!(frame(Controller::BitaxeRawTotal, &level), [4, 0, 0x2A, 1]);
        assert_eq!(frame(Controller::Emberone, &level), [5, 0, 0x2A, 0, 1]);
        assert_eq!(
            frame(Controller::BitaxeRaw, &Outcome::Invalid),
            [4, 0, 0xFF, 0x11]
        );
        assert_eq!(
            frame(Controller::BitaxeRaw, &Outcome::Failed("no")),
            [6, 0, 0x2A, 0xFF, b'n', b'o']
        );
        assert_eq!(
            frame(Controller::Emberone, &Outcome::Failed("no")),
            [6, 0, 0x2A, 0xFF, b'n', b'o']
        );
    }

    #[test]
    fn half_a_request_is_forgotten_after_four_milliseconds() {
        let mut port = ControlPort::new(Controller::BitaxeRaw, 0);
        port.receive(0, &[6, 0, 1, 0]);
        assert_eq!(port.request(), None);
        port.receive(5_000_000, &[6, 0, 2, 0, 6, 0]);
        assert_eq!(port.request().unwrap().unwrap().id, 2);
    }

    #[test]
    fn a_request_comes_together_from_pieces() {
        let mut port = ControlPort::new(Controller::BitaxeRaw, 0);
        port.receive(0, &[8, 0, 1, 0, 5]);
        assert_eq!(port.request(), None);
        port.receive(3_000_000, &[0x20, 0x4F, 0xDE]);
        let request = port.request().unwrap().unwrap();
        assert_eq!((request.page, request.command), (5, 0x20));
        assert_eq!(request.data, [0x4F, 0xDE]);
        assert_eq!(port.request(), None);
    }

    #[test]
    fn nonsense_lengths_are_answered_and_dropped() {
        let mut port = ControlPort::new(Controller::BitaxeRaw, 0);
        for length in [0_u16, 5, 4099, 0xFFFF] {
            port.receive(0, &length.to_le_bytes());
            assert_eq!(port.request(), Some(Err(())));
            assert_eq!(port.request(), None);
        }
    }
}
