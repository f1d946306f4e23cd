//! From coinbase to header, against recorded chains.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{branch_of, header_chains, hex, hex32, job_of, number, solved_chain};
use mining::{Assignment, Partition, Target, VersionMask, WorkSource, hash_difficulty, header};

#[test]
fn coinbase_hashes_and_merkle_roots_are_those_recorded() {
    let mut roots = 0;
    for chain in header_chains() {
        let coinbase: Vec<u8> = ["coinbase1", "extranonce1", "extranonce2", "coinbase2"]
            .into_iter()
            .flat_map(|part| hex(chain[part].as_str().unwrap()))
            .collect();
        let hash = header::coinbase_hash(&coinbase);
        assert_eq!(
            hash,
            hex32(chain["coinbase_hash_internal"].as_str().unwrap())
        );
        if let Some(root) = chain["merkle_root_internal"].as_str() {
            assert_eq!(header::merkle_root(hash, &branch_of(&chain)), hex32(root));
            roots += 1;
        }
    }
    assert_eq!(roots, 5);
}

#[test]
fn without_a_branch_the_coinbase_hash_is_the_root() {
    assert_eq!(header::merkle_root([7; 32], &[]), [7; 32]);
}

#[test]
fn work_of_recorded_jobs_has_their_headers_and_midstates() {
    let mut seen = 0;
    for chain in header_chains() {
        let Some(expected) = chain["header"].as_str() else {
            continue;
        };
        let mut source = WorkSource::new(Partition::WHOLE);
        let assignment = Assignment::single(Arc::new(job_of(&chain)));
        source.set_assignment(Duration::ZERO, Arc::new(assignment));
        let at = Duration::from_secs(100);
        let wanted = hex(chain["extranonce2"].as_str().unwrap());
        let work = (0..2)
            .map(|_| source.next_work(at).unwrap())
            .find(|work| work.extranonce2 == wanted)
            .expect("the extranonce2 is among the first two");
        let nonce = chain["nonce"].as_str().map_or(0, number);
        assert_eq!(work.header(work.version, nonce).to_vec(), hex(expected));
        assert_eq!(work.merkle_tail().to_vec(), hex(expected)[64..68]);

        let midstates = work.midstates();
        assert_eq!(midstates.len(), 4);
        let first: Vec<u8> = midstates[0]
            .iter()
            .flat_map(|word| word.to_be_bytes())
            .collect();
        assert_eq!(first, hex(chain["midstate_be_words"].as_str().unwrap()));
        seen += 1;
    }
    assert_eq!(seen, 3);
}

#[test]
fn the_recorded_nonce_has_the_recorded_difficulty() {
    let chain = solved_chain();
    let mut hash = hex32(chain["hash_display"].as_str().unwrap());
    hash.reverse();
    assert_eq!(
        hash_difficulty(&hash),
        chain["difficulty"].as_f64().unwrap()
    );
    assert!(job_of(&chain).target.is_met_by(&hash));
}

/// Observed on a BM1397: work with only its third midstate filled, and the chip's answer.
#[test]
fn a_hash_of_a_known_header_has_its_difficulty() {
    let mut hash = hex32("000000000002d330e1b68e2ab8a0039df1eeaa77654c5743f7b70e03817ef55a");
    hash.reverse();
    assert_eq!(hash_difficulty(&hash), 23198.520579758067);

    let header = hex(
        "04000020fc102bd0ea11470daf05a8e133a8a8505e21a2122b7f010000000000000000006d0359c451434605\
         c52a5a9ce074340be47c2c63840731f9edf1db3f26b1cdd9a9f16f643aae051747896e27",
    );
    let assembled = header::assemble(
        0x2000_0004,
        &header::prevhash_from_stratum_words(hex32(
            "d02b10fc0d4711eae1a805af50a8a83312a2215e00017f2b0000000000000000",
        )),
        &hex32("6d0359c451434605c52a5a9ce074340be47c2c63840731f9edf1db3f26b1cdd9"),
        0x646f_f1a9,
        0x1705_ae3a,
        0x276e_8947,
    );
    assert_eq!(assembled.to_vec(), header);
    let hash = common::sha256d(&assembled);
    assert_eq!(hash_difficulty(&hash), 18.043465815769544);
}

#[test]
fn prevhash_bytes_are_reversed_within_each_word() {
    let counted: [u8; 32] = std::array::from_fn(|i| i as u8);
    let expected: [u8; 32] = std::array::from_fn(|i| (i ^ 3) as u8);
    assert_eq!(header::prevhash_from_stratum_words(counted), expected);
}

#[test]
fn versions_count_up_inside_the_mask() {
    let mask = VersionMask::new(0x00ff_ff00);
    let mut version = 0x2000_0004;
    for expected in [0x2000_0104, 0x2000_0204, 0x2000_0304, 0x2000_0404] {
        version = mask.next(version);
        assert_eq!(version, expected);
    }
    assert_eq!(mask.nth(0x2000_0004, 4), 0x2000_0404);
    assert_eq!(mask.nth(0x2000_0004, 0), 0x2000_0004);
}

#[test]
fn a_carry_skips_bits_outside_the_mask_and_wraps_at_the_end() {
    let mask = VersionMask::new(0b1010_0100);
    let versions: Vec<u32> = (0..9).map(|i| mask.nth(0b0001, i)).collect();
    assert_eq!(
        versions,
        [
            0b0000_0001,
            0b0000_0101,
            0b0010_0001,
            0b0010_0101,
            0b1000_0001,
            0b1000_0101,
            0b1010_0001,
            0b1010_0101,
            0b0000_0001
        ]
    );
    assert_eq!(mask.unique_versions(), 8);
    assert!(VersionMask::are_unique(&versions[..8]));
    assert!(!VersionMask::are_unique(&versions));
}

#[test]
fn bits_that_the_job_sets_are_not_rolled() {
    let mask = VersionMask::BIP320.zero_in(0x3000_2000);
    assert_eq!(mask.bits(), 0x0fff_c000);
    assert_eq!(mask.chip_field(), 0x7ffe);
    assert_eq!(mask.unique_versions(), 1 << 14);
    assert_eq!(VersionMask::NONE.unique_versions(), 1);
    assert_eq!(VersionMask::new(u32::MAX).unique_versions(), 1 << 32);
}

#[test]
fn nbits_give_the_network_difficulty() {
    let target = Target::from_nbits(0x1701_cdfb).unwrap();
    // Exactly 155973032196071.94703...; floats of this size are 1/32 apart.
    assert_eq!(target.difficulty(), 155_973_032_196_071.94);
}
