//! Every backend that this processor can run, against the `sha2` crate and recorded headers.

use std::ops::ControlFlow;

use proptest::prelude::*;
use sha2::{Digest, Sha256};
use sha256d::{Bound, Candidate, Engine, Hash, Hit, Midstate, Template};

fn reference(data: &[u8]) -> Hash {
    Sha256::digest(Sha256::digest(data)).into()
}

fn with_nonce(header: &[u8; 80], nonce: u32) -> [u8; 80] {
    let mut header = *header;
    header[76..].copy_from_slice(&nonce.to_le_bytes());
    header
}

fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    assert_eq!(hex.len(), 2 * N, "{hex}");
    std::array::from_fn(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
}

/// Main network block 0, and its hash as it is displayed.
fn genesis() -> ([u8; 80], Hash) {
    let header = bytes(
        "0100000000000000000000000000000000000000000000000000000000000000000000003ba3edfd7a7b12b2\
         7ac72c3e67768f617fc81bc3888a51323a9fb8aa4b1e5e4a29ab5f49ffff001d1dac2b7c",
    );
    let mut hash: Hash = bytes("000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f");
    hash.reverse();
    (header, hash)
}

/// The target of difficulty 1.
fn difficulty_1() -> Bound {
    let mut bound = [0; 32];
    bound[4..6].fill(0xff);
    Bound::from_be_bytes(bound)
}

/// A bound that about one hash in `2^zero_bits` meets.
fn zero_bits(zero_bits: u32) -> Bound {
    let top = u64::MAX >> zero_bits;
    let mut bound = [0xff; 32];
    bound[..8].copy_from_slice(&top.to_be_bytes());
    Bound::from_be_bytes(bound)
}

fn all_hits(
    engine: Engine,
    header: &[u8; 80],
    nonces: std::ops::RangeInclusive<u32>,
    bound: &Bound,
) -> Vec<Hit> {
    let mut hits = Vec::new();
    let end = engine.scan(&engine.template(header), nonces, bound, |hit| {
        hits.push(hit);
        ControlFlow::Continue(())
    });
    assert_eq!(end, ControlFlow::Continue(()));
    hits
}

#[test]
fn the_backends_that_should_run_here_do() {
    let names: Vec<_> = Engine::available().map(Engine::name).collect();
    eprintln!("backends: {}", names.join(", "));
    assert_eq!(names.last(), Some(&"scalar"));
    assert_eq!(Engine::best().name(), names[0]);
    for name in names {
        assert_eq!(Engine::by_name(name).map(Engine::name), Ok(name));
    }
    // Where a run is meant to prove a certain backend, its absence is a failure.
    if let Ok(name) = std::env::var("SHA256D_REQUIRE") {
        Engine::by_name(&name).expect("the required backend runs here");
    }
}

#[test]
fn an_unknown_backend_is_refused_with_the_names_that_exist() {
    let error = Engine::by_name("abacus").unwrap_err().to_string();
    assert!(
        error.contains("abacus") && error.contains("scalar"),
        "{error}"
    );
}

#[test]
fn genesis_block_has_its_hash() {
    let (header, hash) = genesis();
    for engine in Engine::available() {
        assert_eq!(engine.hash_header(&header), hash, "{}", engine.name());
    }
}

#[test]
fn scan_finds_the_genesis_nonce_and_stops_when_told() {
    let (header, hash) = genesis();
    let nonce = 0x7c2b_ac1d;
    for engine in Engine::available() {
        let template = engine.template(&header);
        let mut seen = Vec::new();
        let end = engine.scan(&template, nonce - 1001..=u32::MAX, &difficulty_1(), |hit| {
            seen.push(hit);
            ControlFlow::Break(())
        });
        assert_eq!(end, ControlFlow::Break(()), "{}", engine.name());
        assert_eq!(seen, [Hit { nonce, hash }], "{}", engine.name());
    }
}

#[test]
fn recorded_headers_have_their_midstates_and_hashes() {
    let cases: serde_json::Value =
        serde_json::from_str(include_str!("data/header-chain.json")).unwrap();
    let mut midstates = 0;
    let mut hashes = 0;
    for case in cases.as_array().unwrap() {
        let (Some(header), Some(midstate)) =
            (case["header"].as_str(), case["midstate_be_words"].as_str())
        else {
            continue;
        };
        let header: [u8; 80] = bytes(header);
        let block = header.first_chunk().unwrap();
        let midstate: [u8; 32] = bytes(midstate);
        for engine in Engine::available() {
            let state = engine.midstate(block).0.map(u32::to_be_bytes);
            assert_eq!(state.as_flattened(), midstate, "{}", engine.name());
            assert_eq!(engine.hash_header(&header), reference(&header));
        }
        midstates += 1;
        if let Some(displayed) = case["hash_display"].as_str() {
            let mut hash: Hash = bytes(displayed);
            hash.reverse();
            for engine in Engine::available() {
                assert_eq!(engine.hash_header(&header), hash, "{}", engine.name());
            }
            hashes += 1;
        }
    }
    assert_eq!((midstates, hashes), (3, 1));
}

/// A job given to a BM1397 as a midstate, and the nonce that the chip found in it.
#[test]
fn a_midstate_job_of_real_hardware_has_its_hash() {
    // Words a to h; the wire carries them last one first.
    let midstate = Midstate([
        0x1b22_d229,
        0xb776_0f7b,
        0x2821_6118,
        0x6ab4_76d3,
        0x7344_faf7,
        0x3ea0_1a52,
        0xb1ac_baf2,
        0x7e02_7035,
    ]);
    // End of the merkle root, ntime, nbits, as in the header.
    let template = Template::new(midstate, &bytes("50e37161a08473643aae0517"));
    let nonce = 0x0a4c_049b;
    let mut hash: Hash = bytes("000000000002d330e1b68e2ab8a0039df1eeaa77654c5743f7b70e03817ef55a");
    hash.reverse();
    for engine in Engine::available() {
        assert_eq!(engine.hash(&template, nonce), hash, "{}", engine.name());
        let mut hits = Vec::new();
        let _ = engine.scan(
            &template,
            nonce - 5000..=nonce + 5000,
            &difficulty_1(),
            |hit| {
                hits.push(hit);
                ControlFlow::Continue(())
            },
        );
        assert_eq!(hits, [Hit { nonce, hash }], "{}", engine.name());
    }
}

#[test]
fn hello_twice_hashed() {
    let expected = bytes("9595c9df90075148eb06860365df33584b75bff782a510c6cd4883a419833d50");
    for engine in Engine::available() {
        assert_eq!(engine.sha256d(b"hello"), expected);
    }
}

#[test]
fn data_of_every_length_up_to_three_blocks_is_padded_right() {
    let data: Vec<u8> = (0..=200).collect();
    for engine in Engine::available() {
        for len in 0..data.len() {
            let data = &data[..len];
            assert_eq!(engine.sha256(data), <Hash>::from(Sha256::digest(data)));
            assert_eq!(engine.sha256d(data), reference(data));
        }
    }
}

#[test]
fn ranges_of_all_small_sizes_are_searched_to_their_very_ends() {
    let (header, _) = genesis();
    for engine in Engine::available() {
        for first in [0, 1, 0x7fff_fffb, u32::MAX - 40] {
            for len in 0..40 {
                let nonces = first..=first + len;
                let hits = all_hits(engine, &header, nonces.clone(), &Bound::MAX);
                let expected: Vec<Hit> = nonces
                    .map(|nonce| Hit {
                        nonce,
                        hash: reference(&with_nonce(&header, nonce)),
                    })
                    .collect();
                assert_eq!(hits, expected, "{} {first} +{len}", engine.name());
            }
        }
        assert_eq!(
            all_hits(engine, &header, u32::MAX..=u32::MAX, &Bound::MAX).len(),
            1
        );
        #[expect(clippy::reversed_empty_ranges)]
        let empty = 5..=4;
        assert_eq!(all_hits(engine, &header, empty, &Bound::MAX), []);
    }
}

#[test]
fn all_backends_find_the_same_hits_over_a_long_range() {
    let (header, _) = genesis();
    for (bits, nonces) in [(5, 0..=9_999), (12, 0x1234_5678..=0x1234_5678 + 150_000)] {
        let bound = zero_bits(bits);
        let expected: Vec<Hit> = nonces
            .clone()
            .map(|nonce| Hit {
                nonce,
                hash: reference(&with_nonce(&header, nonce)),
            })
            .filter(|hit| bound.is_met_by(&hit.hash))
            .collect();
        assert!(expected.len() > 10);
        for engine in Engine::available() {
            let hits = all_hits(engine, &header, nonces.clone(), &bound);
            assert_eq!(hits, expected, "{} at {bits} bits", engine.name());
        }
    }
}

#[test]
fn bounds_are_met_by_hashes_that_are_not_greater() {
    let mut hash = [0; 32];
    hash[31] = 0x01;
    hash[0] = 0x05;
    let mut bound = [0; 32];
    bound[0] = 0x01;
    bound[31] = 0x05;
    assert!(Bound::from_be_bytes(bound).is_met_by(&hash));
    bound[31] = 0x04;
    assert!(!Bound::from_be_bytes(bound).is_met_by(&hash));
    bound[31] = 0x06;
    assert!(Bound::from_be_bytes(bound).is_met_by(&hash));
    bound[0] = 0;
    assert!(!Bound::from_be_bytes(bound).is_met_by(&hash));
    assert!(Bound::MAX.is_met_by(&[0xff; 32]));
    assert!(Bound::from_be_bytes([0; 32]).is_met_by(&[0; 32]));
}

fn header() -> impl Strategy<Value = [u8; 80]> {
    prop_oneof![
        any::<[[u8; 40]; 2]>().prop_map(|halves| {
            let mut header = [0; 80];
            header.copy_from_slice(halves.as_flattened());
            header
        }),
        Just([0; 80]),
        Just([0xff; 80]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_header_hashes_as_the_sha2_crate_says(header in header()) {
        for engine in Engine::available() {
            prop_assert_eq!(engine.hash_header(&header), reference(&header), "{}", engine.name());
        }
    }

    #[test]
    fn check_agrees_with_the_full_comparison(header in header(), nonce: u32, bits in 0u32..8) {
        let bound = zero_bits(bits);
        let hash = reference(&with_nonce(&header, nonce));
        for engine in Engine::available() {
            let found = engine.check(&engine.template(&header), nonce, &bound);
            prop_assert_eq!(found, bound.is_met_by(&hash).then_some(hash));
        }
    }

    #[test]
    fn batches_of_any_size_hash_each_candidate_with_its_own_template(
        items in proptest::collection::vec((header(), any::<u32>()), 0..35),
        places in 0usize..35,
    ) {
        for engine in Engine::available() {
            let templates: Vec<_> = items.iter().map(|(h, _)| engine.template(h)).collect();
            let candidates: Vec<_> = templates
                .iter()
                .zip(&items)
                .map(|(template, &(_, nonce))| Candidate { template, nonce })
                .collect();
            let mut hashes = vec![[0xaa; 32]; places];
            engine.hash_batch(&candidates, &mut hashes);
            for (i, hash) in hashes.iter().enumerate() {
                let expected = match items.get(i) {
                    Some((header, nonce)) => reference(&with_nonce(header, *nonce)),
                    None => [0xaa; 32],
                };
                prop_assert_eq!(*hash, expected, "{} place {}", engine.name(), i);
            }
        }
    }

    #[test]
    fn scans_report_exactly_the_nonces_that_meet_the_bound(
        header in header(),
        first: u32,
        len in 0u32..60,
        bound in any::<[u8; 32]>(),
    ) {
        let bound = Bound::from_be_bytes(bound);
        let nonces = first..=first.saturating_add(len);
        let expected: Vec<Hit> = nonces
            .clone()
            .map(|nonce| Hit { nonce, hash: reference(&with_nonce(&header, nonce)) })
            .filter(|hit| bound.is_met_by(&hit.hash))
            .collect();
        for engine in Engine::available() {
            let hits = all_hits(engine, &header, nonces.clone(), &bound);
            prop_assert_eq!(&hits, &expected, "{}", engine.name());
        }
    }
}
