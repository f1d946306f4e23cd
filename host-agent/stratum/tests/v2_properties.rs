//! Nothing that a server sends can make a session panic, hold more and more, or say something
//! else when the bytes are cut in another way.
#![cfg(feature = "sv2")]

#[path = "v2_support/mod.rs"]
mod support;

use proptest::collection::vec;
use proptest::prelude::*;
use stratum::v2::wire::{Frame, FrameReader, ServerMessage};
use stratum::v2::{ChannelKind, Session};
use stratum::{Event, Opening, Sequence, Session as _};
use support::{EASY, Rig, TIP_TIME, share};

/// Frames of a server that is in the main sensible, and of one that is not.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    let address = 0_u32..4;
    let id = 0_u32..6;
    let min_ntime = prop_oneof![Just(None), any::<u32>().prop_map(Some)];
    let target = prop_oneof![
        Just(EASY),
        Just([0; 32]),
        Just([0xff; 32]),
        any::<[u8; 32]>()
    ];
    prop_oneof![
        any::<u32>().prop_map(support::setup_done),
        (
            0_u32..3,
            address.clone(),
            target.clone(),
            0_u16..40,
            vec(any::<u8>(), 0..33)
        )
            .prop_map(
                |(request, channel, target, size, prefix)| support::opened_extended(
                    request, channel, &target, size, &prefix, 1
                )
            ),
        (
            0_u32..3,
            address.clone(),
            target.clone(),
            vec(any::<u8>(), 0..33)
        )
            .prop_map(
                |(request, channel, target, prefix)| support::opened_standard(
                    request, channel, &target, &prefix, 1
                )
            ),
        (address.clone(), id.clone(), min_ntime.clone())
            .prop_map(|(channel, id, min_ntime)| support::job(channel, id, min_ntime)),
        (
            address.clone(),
            id.clone(),
            min_ntime.clone(),
            vec(any::<[u8; 32]>(), 0..4),
            vec(any::<u8>(), 0..60),
            vec(any::<u8>(), 0..60),
        )
            .prop_map(|(channel, id, min_ntime, branch, prefix, suffix)| {
                support::job_with(channel, id, min_ntime, true, &branch, &prefix, &suffix)
            }),
        (address.clone(), id.clone(), min_ntime)
            .prop_map(|(channel, id, time)| support::standard_job(channel, id, time, [4; 32])),
        (address.clone(), id.clone(), any::<u8>())
            .prop_map(|(channel, job, byte)| support::tip(channel, job, byte)),
        (address.clone(), target)
            .prop_map(|(channel, target)| support::set_target(channel, &target)),
        (address.clone(), vec(any::<u8>(), 0..33))
            .prop_map(|(channel, prefix)| support::set_prefix(channel, &prefix)),
        (address.clone(), vec(address.clone(), 0..4))
            .prop_map(|(group, channels)| support::set_group(group, &channels)),
        (address.clone(), 0_u32..20, any::<u32>())
            .prop_map(|(channel, last, count)| support::accepted(channel, last, count)),
        (address.clone(), 0_u32..20, ".{0,20}")
            .prop_map(|(channel, sequence, code)| support::refused(channel, sequence, &code)),
        (address, ".{0,20}").prop_map(|(channel, code)| support::update_refused(channel, &code)),
        (any::<u16>(), any::<u8>(), vec(any::<u8>(), 0..80)).prop_map(
            |(extension, kind, payload)| support::extension_frame(extension, kind, &payload)
        ),
        (0_u8..0x30, vec(any::<u8>(), 0..120))
            .prop_map(|(kind, payload)| support::extension_frame(0x8000, kind, &payload)),
    ]
}

/// A session that is played with, on an open channel or at the very start.
fn rig(open: bool, kind: ChannelKind) -> Rig {
    match (open, kind) {
        (true, ChannelKind::Extended) => Rig::open(),
        (true, ChannelKind::Standard) => Rig::open_standard(),
        (false, ChannelKind::Extended) => Rig::plain(support::config()),
        (false, ChannelKind::Standard) => Rig::plain(support::standard()),
    }
}

fn kind() -> impl Strategy<Value = ChannelKind> {
    prop_oneof![Just(ChannelKind::Extended), Just(ChannelKind::Standard)]
}

/// What must hold for all that a session says.
fn check(rig: &Rig) {
    let stats = rig.session.stats();
    let answered = stats.accepted + stats.rejected + stats.unconfirmed;
    assert_eq!(answered + stats.open, stats.submitted);
    let mut generation = 0;
    for event in &rig.events {
        if let Event::Job(job) = event {
            assert!(job.generation >= generation);
            generation = job.generation;
            assert!(job.extranonce2_len <= 16);
            assert!(job.extranonce1.len() + job.extranonce2_len <= 32);
            assert_eq!(job.fixed_root.is_some(), job.extranonce2_len == 0);
            assert_eq!(job.version_mask & !0x1fff_e000, 0);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_frames_in_any_order_are_survived(
        open: bool,
        kind in kind(),
        frames in vec(frames(), 0..40),
        shares in vec(0_u32..1000, 40),
    ) {
        let mut rig = rig(open, kind);
        for (frame, nonce) in frames.iter().zip(shares) {
            rig.feed(frame);
            if let Some(job) = rig.jobs().last() {
                let job = job.clone();
                let _ = rig.submit(share(&job, nonce));
            }
            rig.set_hashrate(f64::from(nonce) * 1e9);
            rig.pass(f64::from(nonce) / 50.0);
            let up = rig.session.stats().state;
            if up == "connecting" {
                rig.connect();
            }
            check(&rig);
        }
    }

    #[test]
    fn the_way_in_which_bytes_are_cut_makes_no_difference(
        kind in kind(),
        frames in vec(frames(), 1..20),
        cuts in vec(1_usize..200, 1..20),
    ) {
        let bytes = frames.concat();
        let mut whole = rig(true, kind);
        whole.feed(&bytes);
        let mut pieces = rig(true, kind);
        let mut rest = bytes.as_slice();
        for cut in cuts.iter().cycle() {
            let (piece, behind) = rest.split_at(rest.len().min(*cut));
            pieces.feed(piece);
            rest = behind;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(&whole.events, &pieces.events);
        prop_assert_eq!(&whole.sent, &pieces.sent);
    }

    #[test]
    fn random_bytes_never_panic(
        plain: bool,
        pieces in vec(vec(any::<u8>(), 0..400), 0..8),
    ) {
        let session = Session::new(support::config(), 7, Sequence::new()).unwrap();
        let session = if plain { session.without_encryption() } else { session };
        let mut rig = Rig::new(session);
        rig.start();
        let unix_time = std::time::Duration::ZERO;
        let entropy = [3; 32];
        rig.session.connected(rig.now, Opening { unix_time, entropy });
        for piece in pieces {
            rig.feed(&piece);
        }
        check(&rig);
    }

    #[test]
    fn any_payload_is_read_or_refused(kind: u8, payload in vec(any::<u8>(), 0..300)) {
        let _ = ServerMessage::read(Frame { extension: 0, kind, payload });
    }

    #[test]
    fn a_known_message_that_is_cut_off_is_never_taken(frame in frames(), cut in 1_usize..200) {
        let mut bytes = frame.as_slice();
        let whole = FrameReader::default().next(&mut bytes, None).unwrap().unwrap();
        let read = ServerMessage::read(whole.clone());
        if let Ok(message) = read
            && !matches!(message, ServerMessage::Unknown { .. })
            && let Some(left) = whole.payload.len().checked_sub(cut)
        {
            let mut short = whole;
            short.payload.truncate(left);
            // What was cut off may have been behind the last field.
            if let Ok(again) = ServerMessage::read(short) {
                prop_assert_eq!(again, message);
            }
        }
    }
}

#[test]
fn a_server_that_announces_jobs_for_ever_fills_no_memory() {
    // The first job is let go: nobody but us knows it in the end.
    let (mut rig, first) = Rig::mining();
    for id in 2..200 {
        rig.feed(&support::job(2, id, Some(TIP_TIME)));
    }
    rig.events.clear();
    assert_eq!(std::sync::Arc::strong_count(&first), 1);
}
