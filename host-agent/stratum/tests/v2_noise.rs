//! The encrypted handshake against the server side of the reference crate, and servers that do
//! not take part in it.
#![cfg(feature = "sv2")]

#[path = "v2_support/mod.rs"]
mod support;

use std::time::Duration;

use noise_sv2::{NoiseEngine, Responder};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use stratum::v2::{AuthorityKey, Config, ConfigError, Session};
use stratum::{Event, Opening, Reason, Sequence, Session as _};
use support::{Fields, Rig, UNIX_NOW};

/// The private key 1 with the x coordinate of its point, which is the generator of the curve, and
/// the x coordinate of twice the generator.
const AUTHORITY: ([u8; 32], [u8; 32]) = {
    let mut secret = [0; 32];
    secret[31] = 1;
    (
        secret,
        hex("79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"),
    )
};
const STRANGER: [u8; 32] = hex("c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5");

const fn hex(digits: &str) -> [u8; 32] {
    const fn digit(byte: u8) -> u8 {
        match byte {
            b'0'..=b'9' => byte - b'0',
            _ => byte - b'a' + 10,
        }
    }
    let digits = digits.as_bytes();
    let mut bytes = [0; 32];
    let mut at = 0;
    while at < 32 {
        bytes[at] = digit(digits[2 * at]) << 4 | digit(digits[2 * at + 1]);
        at += 1;
    }
    bytes
}

/// How long the certificates of [`Server`] are valid.
const VALIDITY: u64 = 3600;

/// The reference crate's side of one connection.
struct Server(NoiseEngine);

impl Server {
    /// Answers a client's first bytes with a certificate made at `made`, seconds since 1970.
    fn answer(hello: &[u8], made: u64) -> (Self, Vec<u8>) {
        let mut rng = ChaCha20Rng::from_seed([9; 32]);
        let validity = Duration::from_secs(VALIDITY);
        let mut responder =
            Responder::from_authority_kp_with_rng(&AUTHORITY.1, &AUTHORITY.0, validity, &mut rng)
                .unwrap();
        let hello = hello.try_into().expect("64 bytes come first");
        let (answer, engine) = responder
            .step_1_with_now_rng(hello, made as u32, &mut rng)
            .unwrap();
        (Self(engine), answer.to_vec())
    }

    /// Seals a plain frame in pieces, as the specification cuts them.
    fn seal(&mut self, frame: &[u8]) -> Vec<u8> {
        let (header, payload) = frame.split_at(6);
        let mut sealed = Vec::new();
        for piece in std::iter::once(header).chain(payload.chunks(65_519)) {
            let mut piece = piece.to_vec();
            self.0.encrypt(&mut piece).unwrap();
            sealed.extend(piece);
        }
        sealed
    }

    /// Opens a frame whose payload fits into one piece.
    fn open(&mut self, sealed: &[u8]) -> Vec<u8> {
        let (header, payload) = sealed.split_at(22);
        let mut frame = header.to_vec();
        self.0.decrypt(&mut frame).unwrap();
        let mut payload = payload.to_vec();
        self.0.decrypt(&mut payload).unwrap();
        frame.extend(payload);
        frame
    }
}

fn config(key: Option<[u8; 32]>) -> Config {
    let mut config = support::config();
    config.authority_key = key.map(AuthorityKey::from_bytes);
    config
}

/// A session that has sent its first bytes.
fn greeted(key: Option<[u8; 32]>, unix_time: u64) -> Rig {
    let session = Session::new(config(key), 7, Sequence::new()).unwrap();
    let mut rig = Rig::new(session);
    rig.start();
    let opening = Opening {
        unix_time: Duration::from_secs(unix_time),
        entropy: [42; 32],
    };
    rig.session.connected(rig.now, opening);
    rig.drain();
    rig
}

/// The same, with the server's answer to it.
fn answered(key: Option<[u8; 32]>, unix_time: u64, made: u64) -> (Rig, Server) {
    let mut rig = greeted(key, unix_time);
    let hello = rig.sent.pop_front().unwrap();
    let (server, answer) = Server::answer(&hello, made);
    assert_eq!(answer.len(), 234);
    rig.feed(&answer);
    (rig, server)
}

#[test]
fn a_server_with_the_right_key_is_spoken_to() {
    let (mut rig, mut server) = answered(Some(AUTHORITY.1), UNIX_NOW, UNIX_NOW - 60);
    let setup = server.open(&rig.sent.pop_front().unwrap());
    assert_eq!(setup[..3], [0, 0, 0]);
    let mut fields = Fields::of(&setup);
    assert_eq!(fields.u8(), 0, "the mining protocol");
    assert_eq!((fields.u16(), fields.u16()), (2, 2));
    assert_eq!(fields.u32(), 0b100, "version rolling");
    assert_eq!(fields.short(), b"127.0.0.1");
    assert_eq!(fields.u16(), 34254);
    rig.feed(&server.seal(&support::setup_done(0)));
    let open = server.open(&rig.sent.pop_front().unwrap());
    assert_eq!(open[2], 0x13);
    let opened = support::opened_extended(1, 2, &support::EASY, 8, &[1, 2], 1);
    rig.feed(&server.seal(&opened));
    rig.feed(&server.seal(&support::job(2, 1, None)));
    rig.feed(&server.seal(&support::tip(2, 1, 1)));
    let job = rig.job();
    rig.submit(support::share(&job, 77)).unwrap();
    let share = server.open(&rig.sent.pop_front().unwrap());
    assert_eq!(share[2], 0x1b);
    rig.feed(&server.seal(&support::accepted(2, 1, 1)));
    assert_eq!(rig.session.stats().accepted, 1);
}

#[test]
fn a_job_with_the_largest_coinbase_and_branch_comes_through_sealed_in_pieces() {
    let (mut rig, mut server) = answered(Some(AUTHORITY.1), UNIX_NOW, UNIX_NOW);
    rig.feed(&server.seal(&support::setup_done(0)));
    let opened = support::opened_extended(1, 2, &support::EASY, 8, &[1, 2], 1);
    rig.feed(&server.seal(&opened));
    let (prefix, suffix) = (vec![3; 65_535], vec![4; 65_535]);
    let branch: Vec<_> = (0..255).map(|n| [n; 32]).collect();
    let job = support::job_with(2, 1, None, true, &branch, &prefix, &suffix);
    rig.feed(&server.seal(&job));
    rig.feed(&server.seal(&support::tip(2, 1, 1)));
    let job = rig.job();
    assert_eq!((&job.coinbase1, &job.coinbase2), (&prefix, &suffix));
    assert_eq!(job.merkle_branch, branch);
}

#[test]
fn a_wrong_key_is_told_apart_from_a_wrong_clock() {
    let (rig, _) = answered(Some(STRANGER), UNIX_NOW, UNIX_NOW);
    let expected = AuthorityKey::from_bytes(STRANGER).to_string();
    assert_eq!(rig.end(), Reason::KeyMismatch { expected });
    assert!(rig.sent.is_empty(), "nothing is told to a stranger");
    // Both wrong: the key counts, since no clock would make it right.
    let (rig, _) = answered(Some(STRANGER), 0, UNIX_NOW);
    assert!(matches!(rig.end(), Reason::KeyMismatch { .. }));
}

#[test]
fn a_certificate_that_is_not_valid_now_is_refused_with_its_times() {
    for (unix_time, word) in [
        (UNIX_NOW + VALIDITY + 11, "has run out"),
        (UNIX_NOW - 11, "check the clock"),
        (3600, "set the clock"),
    ] {
        let (rig, _) = answered(Some(AUTHORITY.1), unix_time, UNIX_NOW);
        let reason = rig.end();
        assert_eq!(
            reason,
            Reason::Certificate {
                valid_from: UNIX_NOW,
                valid_until: UNIX_NOW + VALIDITY,
                now: unix_time,
            }
        );
        assert!(reason.to_string().contains(word), "{reason}");
        assert!(rig.sent.is_empty());
    }
}

#[test]
fn ten_seconds_of_difference_between_the_clocks_are_forgiven() {
    for unix_time in [UNIX_NOW - 10, UNIX_NOW + VALIDITY + 10] {
        let (rig, _) = answered(Some(AUTHORITY.1), unix_time, UNIX_NOW);
        assert_eq!(rig.ends(), []);
        assert_eq!(rig.sent.len(), 1);
    }
}

#[test]
fn the_clock_goes_on_while_a_connection_waits() {
    let mut rig = greeted(Some(AUTHORITY.1), UNIX_NOW);
    let (_, answer) = Server::answer(&rig.sent.pop_front().unwrap(), UNIX_NOW - VALIDITY);
    rig.now += Duration::from_secs(11);
    rig.feed(&answer);
    assert!(matches!(rig.end(), Reason::Certificate { now, .. } if now == UNIX_NOW + 11));
}

#[test]
fn without_a_key_any_server_passes() {
    let (rig, _) = answered(None, 0, UNIX_NOW);
    assert_eq!(rig.ends(), []);
    assert_eq!(rig.sent.len(), 1);
}

#[test]
fn a_key_that_is_no_point_of_the_curve_is_refused_at_once() {
    let key = AuthorityKey::from_bytes([0xff; 32]);
    let result = Session::new(config(Some([0xff; 32])), 7, Sequence::new());
    assert_eq!(result.err(), Some(ConfigError::Key(key)));
}

#[test]
fn each_connection_has_a_key_of_its_own_made_of_its_entropy() {
    let hello = |entropy| {
        let session = Session::new(config(None), 7, Sequence::new()).unwrap();
        let mut rig = Rig::new(session);
        rig.start();
        let unix_time = Duration::from_secs(UNIX_NOW);
        rig.session
            .connected(rig.now, Opening { unix_time, entropy });
        rig.drain();
        rig.sent.pop_front().unwrap()
    };
    assert_eq!(hello([1; 32]), hello([1; 32]));
    assert_ne!(hello([1; 32]), hello([2; 32]));
    assert_eq!(hello([3; 32]).len(), 64);
}

#[test]
fn a_changed_answer_or_frame_ends_the_connection() {
    let mut rig = greeted(Some(AUTHORITY.1), UNIX_NOW);
    let (_, mut answer) = Server::answer(&rig.sent.pop_front().unwrap(), UNIX_NOW);
    answer[200] ^= 1;
    rig.feed(&answer);
    assert!(matches!(rig.end(), Reason::Noise(_)), "{:?}", rig.end());

    let (mut rig, mut server) = answered(Some(AUTHORITY.1), UNIX_NOW, UNIX_NOW);
    let mut sealed = server.seal(&support::setup_done(0));
    let last = sealed.len() - 1;
    sealed[last] ^= 1;
    rig.feed(&sealed);
    assert!(matches!(rig.end(), Reason::Protocol(_)), "{:?}", rig.end());
    assert!(rig.end().to_string().contains("decrypted"), "{}", rig.end());
}

#[test]
fn servers_of_other_protocols_are_named() {
    for (answer, url) in [
        (
            &b"{\"id\":null,\"result\":null,\"error\":[-1,\"?\",null]}\n"[..],
            "stratum+tcp://",
        ),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "http://"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "stratum+tls://"),
    ] {
        let mut rig = greeted(Some(AUTHORITY.1), UNIX_NOW);
        rig.feed(answer);
        let reason = rig.end();
        assert!(matches!(reason, Reason::WrongProtocol(_)), "{reason:?}");
        assert!(reason.to_string().contains(url), "{reason}");
    }
    // Too short to be sure of, until nothing more comes.
    let mut rig = greeted(Some(AUTHORITY.1), UNIX_NOW);
    rig.feed(b"{\"id\":1}\n");
    assert_eq!(rig.ends(), []);
    rig.disconnect(Reason::PeerClosed);
    assert!(matches!(rig.end(), Reason::WrongProtocol(_)));
}

#[test]
fn a_server_that_hangs_up_or_stays_silent_gets_its_likely_causes_told() {
    let mut rig = greeted(Some(AUTHORITY.1), UNIX_NOW);
    rig.disconnect(Reason::PeerClosed);
    assert!(rig.end().to_string().contains("likely this is no V2 port"));

    let mut rig = greeted(Some(AUTHORITY.1), UNIX_NOW);
    rig.pass(9.0);
    assert_eq!(rig.ends(), []);
    rig.pass(2.0);
    assert!(rig.end().to_string().contains("stayed silent"));
}

#[test]
fn any_cut_of_the_servers_bytes_gives_the_same_events() {
    let bytes_and_events = |cut: usize| -> Vec<Event> {
        let mut rig = greeted(Some(AUTHORITY.1), UNIX_NOW);
        let (mut server, mut bytes) = Server::answer(&rig.sent.pop_front().unwrap(), UNIX_NOW);
        for frame in [
            support::setup_done(0),
            support::opened_extended(1, 2, &support::EASY, 8, &[1, 2], 1),
            support::job(2, 1, None),
            support::tip(2, 1, 1),
            support::job(1, 2, Some(support::TIP_TIME)),
        ] {
            bytes.extend(server.seal(&frame));
        }
        for piece in bytes.chunks(cut) {
            rig.feed(piece);
        }
        rig.events
    };
    let whole = bytes_and_events(usize::MAX);
    assert_eq!(whole.len(), 7);
    for cut in [1, 2, 5, 21, 22, 23, 64, 233, 234, 235] {
        assert_eq!(bytes_and_events(cut), whole, "cut every {cut} bytes");
    }
}
