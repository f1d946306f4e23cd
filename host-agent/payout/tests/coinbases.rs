//! Coinbases from blocks, documents and recordings, and such as the `bitcoin` crate builds.

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use bitcoin::absolute::LockTime;
use bitcoin::script::{Builder, PushBytesBuf};
use bitcoin::transaction::Version;
use bitcoin::{
    Address, Amount, OutPoint, ScriptBuf, Sequence, Transaction, TxIn, TxOut, Witness, consensus,
};
use mining::Job;
use payout::{
    Coinbase, DecodeError, Kind, Network, PayoutAddress, Place, Problem, decode, subsidy_sat,
};
use proptest::prelude::*;
use serde_json::Value;
use support::{MAIN_HEIGHT, job, unhex};

#[test]
fn the_genesis_coinbase_pays_fifty_to_a_key_that_everybody_knows() {
    let bytes = unhex(concat!(
        "01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff4d04",
        "ffff001d0104455468652054696d65732030332f4a616e2f32303039204368616e63656c6c6f72206f6e20",
        "6272696e6b206f66207365636f6e64206261696c6f757420666f722062616e6b73ffffffff0100f2052a01",
        "000000434104678afdb0fe5548271967f1a67130b7105cd6a828e03909a67962e0ea1f61deb649f6bc3f4c",
        "ef38c4f35504e51ec112de5c384df7ba0b8d578a4c702b6bf11d5fac00000000"
    ));
    let coinbase = decode(&job(&bytes, &[], 0, &[]), Some(Network::Bitcoin)).unwrap();
    // It is older than BIP 34.
    assert_eq!(coinbase.height, None);
    assert_eq!(coinbase.problems, [Problem::NoHeight]);
    assert_eq!(
        coinbase.tag.line(),
        "EThe Times 03/Jan/2009 Chancellor on brink of second bailout for banks"
    );
    assert_eq!(coinbase.extranonce, Place::Nowhere);
    let [output] = &coinbase.outputs[..] else {
        panic!("{:?}", coinbase.outputs)
    };
    assert_eq!(output.value_sat, subsidy_sat(Network::Bitcoin, 0));
    assert_eq!((output.kind, &output.address), (Kind::P2pk, &None));
}

#[test]
fn the_example_of_the_stratum_documents_reads_as_it_says() {
    let mut job = job(
        &unhex(
            "01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff20020862062f503253482f04b8864e5008",
        ),
        &unhex("08000002"),
        4,
        &unhex(
            "072f736c7573682f000000000100f2052a010000001976a914d23fcdf86f7e756a64a7a9688ef9903327048ed988ac00000000",
        ),
    );
    (job.nbits, job.ntime) = (0x1c2a_c4af, 0x504e_86b9);
    let coinbase = decode(&job, None).unwrap();
    assert_eq!(coinbase.height, Some(0x6208));
    assert_eq!(coinbase.tag.texts, ["/P2SH/", "/slush/"]);
    assert_eq!(coinbase.tag.pool, Some("Braiins Pool"));
    assert_eq!(coinbase.total_sat, 5_000_000_000);
    assert_eq!(coinbase.outputs[0].kind, Kind::P2pkh);
    assert_eq!(coinbase.extranonce, Place::ScriptSig);
    assert_eq!(coinbase.problems, []);
}

/// The job of a recorded notify, with the extranonce of its connection.
fn recorded_jobs(name: &str) -> (Option<String>, Vec<Job>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../stratum/tests/data/transcripts")
        .join(name);
    let text = std::fs::read_to_string(path).unwrap();
    let (mut user, mut extranonce, mut jobs) = (None, None, Vec::new());
    for line in text.lines() {
        let entry: Value = serde_json::from_str(line).unwrap();
        let Some(message) = entry["raw"].as_str() else {
            continue;
        };
        let Ok(message) = serde_json::from_str::<Value>(message) else {
            continue;
        };
        let params = &message["params"];
        let hex = |value: &Value| unhex(value.as_str().unwrap());
        let number = |value: &Value| u32::from_str_radix(value.as_str().unwrap(), 16).unwrap();
        match message["method"].as_str() {
            Some("mining.authorize") if user.is_none() => {
                user = params[0].as_str().map(str::to_owned);
            }
            Some("mining.notify") => {
                let (first, length): &(Vec<u8>, usize) = extranonce.as_ref().unwrap();
                let mut job = job(&hex(&params[2]), first, *length, &hex(&params[3]));
                job.nbits = number(&params[6]);
                job.ntime = number(&params[7]);
                job.prev_hash.copy_from_slice(&hex(&params[1]));
                jobs.push(job);
            }
            _ => {
                if let Some(length) = message["result"][2].as_u64() {
                    extranonce = Some((hex(&message["result"][1]), length as usize));
                }
            }
        }
    }
    (user, jobs)
}

#[test]
fn recorded_jobs_of_solo_pools_pay_all_to_the_user() {
    // Pool program, its text, network of the node.
    let recordings = [
        ("v1-ckpool-2017", "/h-sv2 test/", Network::Regtest),
        ("v1-ckpool-lhr", "/h-sv2 test/", Network::Regtest),
        ("v1-ckpool-lhr-core-block", "ckpool-lhr", Network::Regtest),
        (
            "v1-ckpool-lhr-resume-2-after",
            "ckpool-lhr",
            Network::Regtest,
        ),
        ("v1-vbits-ckpool-lhr", "ckpool-lhr", Network::Regtest),
        ("v1-public-pool-regtest", "h-sv2", Network::Regtest),
        ("v1-public-pool-signet", "h-sv2", Network::Signet),
        (
            "v1-sri-translator-signet",
            "Sv2/h-sv2 test//",
            Network::Signet,
        ),
        (
            "v1-vbits-sri-translator",
            "Sv2/h-sv2 test//",
            Network::Regtest,
        ),
    ];
    for (name, text, network) in recordings {
        let (user, jobs) = recorded_jobs(&format!("{name}.jsonl"));
        let user = user.unwrap();
        let address = PayoutAddress::in_user(&user).unwrap();
        assert!(user.starts_with(&address.to_string()), "{user}");
        assert!(!jobs.is_empty(), "{name}");
        for job in jobs {
            let coinbase = decode(&job, None).unwrap();
            let height = coinbase.height.unwrap();
            // The chains' blocks were empty: they pay the new coins exactly, which confirms the height.
            assert_eq!(coinbase.total_sat, subsidy_sat(network, height), "{name}");
            let own = coinbase.portion_of(std::slice::from_ref(&address));
            assert_eq!((own.sat, own.percent), (coinbase.total_sat, 100.0));
            // Regtest and test networks share their old addresses, but not the new ones.
            let mut addresses = coinbase.outputs.iter().filter_map(|o| o.address.clone());
            assert_eq!(addresses.next(), Some(address.to_string()), "{name}");
            assert!(coinbase.tag.line().contains(text), "{:?}", coinbase.tag);
            assert!(coinbase.witness_commitment.is_some());
            assert_eq!(coinbase.extranonce, Place::ScriptSig);
            let odd = match name {
                // Height 2 as a pushed number, where consensus wants the opcode.
                "v1-public-pool-signet" if height <= 16 => vec![Problem::HeightForm(height)],
                _ => vec![],
            };
            assert_eq!(coinbase.problems, odd, "{name} {height}");
        }
    }
}

#[test]
fn a_recorded_v2_job_reads_like_its_v1_form() {
    // SRI pool on a signet: prefix, extranonce prefix of the channel, 16 bytes, suffix.
    let mut job = job(
        &unhex(
            "02000000010000000000000000000000000000000000000000000000000000000000000000ffffffff2752105376322f682d73763220746573742f2f14",
        ),
        &unhex("01000000"),
        16,
        &unhex(
            "feffffff0200f2052a01000000160014751e76e8199196d454941c45d1b3a323f1433bd60000000000000000266a24aa21a9ede2f61c3f71d1defd3fa999dfa36953755c690689799962b48bebd836974e8cf901000000",
        ),
    );
    job.nbits = 0x1e03_77ae;
    let coinbase = decode(&job, None).unwrap();
    assert_eq!(coinbase.height, Some(2));
    assert_eq!(coinbase.tag.texts, ["Sv2/h-sv2 test//"]);
    assert_eq!(coinbase.network, Network::Testnet);
    assert_eq!(
        coinbase.outputs[0].address.as_deref(),
        Some("tb1qw508d6qejxtdg4y5r3zarvary0c5xw7kxpjzsx")
    );
    assert_eq!(coinbase.outputs[1].kind, Kind::WitnessCommitment);
    // An empty block's commitment: hash of two times 32 zero bytes, which BIP 141 defines.
    assert_eq!(
        coinbase.witness_commitment.unwrap().to_vec(),
        unhex("e2f61c3f71d1defd3fa999dfa36953755c690689799962b48bebd836974e8cf9")
    );
    assert_eq!(coinbase.problems, []);
}

/// A coinbase as the `bitcoin` crate builds it, around an extranonce of `room` bytes.
fn built(height: u32, text: &str, room: usize, outputs: Vec<TxOut>) -> Transaction {
    let text = PushBytesBuf::try_from(text.as_bytes().to_vec()).unwrap();
    let extranonce = PushBytesBuf::try_from(vec![0; room]).unwrap();
    let script = Builder::new()
        .push_int(i64::from(height))
        .push_slice(text)
        .push_slice(extranonce)
        .into_script();
    Transaction {
        version: Version::TWO,
        lock_time: LockTime::ZERO,
        input: vec![TxIn {
            previous_output: OutPoint::null(),
            script_sig: script,
            sequence: Sequence::MAX,
            witness: Witness::new(),
        }],
        output: outputs,
    }
}

/// The job that asks for this coinbase, with the extranonce at the end of the input's script.
fn job_of(transaction: &Transaction, first: usize, second: usize) -> Job {
    let bytes = consensus::serialize(transaction);
    let script = transaction.input[0].script_sig.len();
    let marker = if transaction.input[0].witness.is_empty() {
        0
    } else {
        2
    };
    let end = 4 + marker + 1 + 36 + 1 + script;
    let at = end - first - second;
    job(&bytes[..at], &bytes[at..at + first], second, &bytes[end..])
}

fn pay(address: &str, sat: u64) -> TxOut {
    let address: Address<_> = address.parse().unwrap();
    TxOut {
        value: Amount::from_sat(sat),
        script_pubkey: address.assume_checked().script_pubkey(),
    }
}

const P2PKH: &str = "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa";
const P2WPKH: &str = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4";
const P2SH: &str = "3P14159f73E4gFr7JterCCQh9QjiTjiZrG";
const P2TR: &str = "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0";
const P2WSH: &str = "bc1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3qccfmv3";

#[test]
fn every_type_of_address_is_found_with_its_part() {
    let addresses = [P2PKH, P2WPKH, P2SH, P2TR, P2WSH];
    let outputs: Vec<TxOut> = addresses
        .iter()
        .zip(1..)
        .map(|(address, sat)| pay(address, 1000 * sat))
        .collect();
    let coinbase = decode(&job_of(&built(MAIN_HEIGHT, "/x/", 12, outputs), 4, 8), None).unwrap();
    let shown: Vec<&str> = coinbase
        .outputs
        .iter()
        .filter_map(|output| output.address.as_deref())
        .collect();
    assert_eq!(shown, addresses);
    let kinds = [
        Kind::P2pkh,
        Kind::P2wpkh,
        Kind::P2sh,
        Kind::P2tr,
        Kind::P2wsh,
    ];
    assert!(coinbase.outputs.iter().map(|o| o.kind).eq(kinds));
    for (address, sat) in addresses.iter().zip(1..) {
        let address = PayoutAddress::parse(address, Some(Network::Bitcoin)).unwrap();
        let own = coinbase.portion_of(&[address]);
        assert_eq!(own.sat, 1000 * sat);
        assert!((own.percent - 100.0 * sat as f64 / 15.0).abs() < 1e-9);
    }
}

#[test]
fn data_counts_as_nothing_that_can_be_spent() {
    let note = b"RSKBLOCK:0123456789";
    let data = TxOut {
        value: Amount::from_sat(500),
        script_pubkey: ScriptBuf::new_op_return(PushBytesBuf::try_from(note.to_vec()).unwrap()),
    };
    let outputs = vec![data, pay(P2TR, 1500)];
    let coinbase = decode(&job_of(&built(MAIN_HEIGHT, "/x/", 12, outputs), 4, 8), None).unwrap();
    assert_eq!((coinbase.total_sat, coinbase.spendable_sat), (2000, 1500));
    assert_eq!(coinbase.payments().count(), 1);
    assert_eq!(coinbase.outputs[0].kind, Kind::Data);
    assert_eq!(
        coinbase.outputs[0].text().as_deref(),
        Some("RSKBLOCK:0123456789")
    );
}

#[test]
fn a_coinbase_that_pays_nobody_is_odd() {
    let coinbase = decode(&job_of(&built(MAIN_HEIGHT, "/x/", 8, vec![]), 4, 4), None).unwrap();
    assert_eq!(coinbase.problems, [Problem::PaysNobody]);
}

#[test]
fn witness_data_is_read_and_named() {
    let mut transaction = built(MAIN_HEIGHT, "/x/", 8, vec![pay(P2TR, 7)]);
    transaction.input[0].witness.push([0; 32]);
    let coinbase = decode(&job_of(&transaction, 4, 4), None).unwrap();
    assert_eq!(coinbase.problems, [Problem::WitnessData]);
    assert_eq!(coinbase.total_sat, 7);
}

#[test]
fn an_extranonce_in_data_is_fine_and_in_a_payment_pays_nobody_for_certain() {
    let split = |transaction: &Transaction, at: usize, length: usize| {
        let bytes = consensus::serialize(transaction);
        let end = bytes.len() - at;
        job(&bytes[..end - length], &[], length, &bytes[end..])
    };
    let note = ScriptBuf::new_op_return(PushBytesBuf::try_from(vec![0; 8]).unwrap());
    let data = TxOut {
        value: Amount::ZERO,
        script_pubkey: note,
    };
    let outputs = vec![pay(P2TR, 5), data];
    let coinbase = decode(&split(&built(MAIN_HEIGHT, "/x/", 0, outputs), 4, 8), None).unwrap();
    assert_eq!(coinbase.extranonce, Place::Output(1));
    assert_eq!((coinbase.problems.len(), coinbase.spendable_sat), (0, 5));
    assert_eq!(coinbase.outputs[0].address.as_deref(), Some(P2TR));

    // The last eight bytes of an address of zeros, which an extranonce2 of zeros would match.
    let zeros = ScriptBuf::from_bytes([vec![0, 20], vec![0; 20]].concat());
    let address = Address::from_script(&zeros, Network::Bitcoin).unwrap();
    let outputs = vec![pay(&address.to_string(), 5)];
    let coinbase = decode(&split(&built(MAIN_HEIGHT, "/x/", 0, outputs), 4, 8), None).unwrap();
    assert_eq!(coinbase.outputs[0].kind, Kind::Varies);
    assert_eq!(coinbase.outputs[0].address, None);
    let own = PayoutAddress::parse(&address.to_string(), None).unwrap();
    assert_eq!(coinbase.portion_of(&[own]).sat, 0);
    assert_eq!(coinbase.problems, [Problem::ReceiverVaries(0)]);
}

#[test]
fn an_extranonce_in_an_amount_is_refused() {
    let transaction = built(MAIN_HEIGHT, "/x/", 0, vec![pay(P2TR, 5)]);
    let bytes = consensus::serialize(&transaction);
    let amount = bytes.len() - 4 - 35 - 8;
    let job = job(&bytes[..amount], &[], 4, &bytes[amount + 4..]);
    assert_eq!(decode(&job, None), Err(DecodeError::Unfixed("amount")));
}

#[test]
fn a_fixed_merkle_root_shows_nothing() {
    let mut job = job(&[], &[], 0, &[]);
    job.fixed_root = Some([1; 32]);
    assert_eq!(decode(&job, None), Err(DecodeError::FixedRoot));
}

#[test]
fn broken_coinbases_are_named() {
    let whole = consensus::serialize(&built(MAIN_HEIGHT, "/x/", 8, vec![pay(P2TR, 5)]));
    let read = |bytes: &[u8]| decode(&job(bytes, &[], 0, &[]), None);
    assert!(read(&whole).is_ok());
    for end in 0..whole.len() {
        let error = read(&whole[..end]).unwrap_err();
        assert!(matches!(error, DecodeError::CutOff(_)), "{end}: {error}");
    }
    let longer = [&whole[..], &[0, 0]].concat();
    assert_eq!(read(&longer), Err(DecodeError::Trailing(2)));
    let mut spending = whole.clone();
    spending[10] = 1;
    assert!(matches!(read(&spending), Err(DecodeError::NotCoinbase(_))));
    let mut endless = job(&whole, &[], usize::MAX, &[]);
    assert_eq!(
        decode(&endless, None),
        Err(DecodeError::ExtranonceLength(usize::MAX))
    );
    endless.extranonce2_len = 4;
    assert!(matches!(
        decode(&endless, None),
        Err(DecodeError::Trailing(4))
    ));
}

#[test]
fn heights_that_do_not_go_with_the_time_are_odd_on_the_main_network() {
    let at = |height: u32| {
        let job = job_of(&built(height, "/x/", 8, vec![pay(P2TR, 5)]), 4, 4);
        let coinbase = decode(&job, Some(Network::Bitcoin)).unwrap();
        assert_eq!(coinbase.height, Some(height));
        coinbase.problems
    };
    assert_eq!(at(MAIN_HEIGHT), []);
    assert!(matches!(at(100)[..], [Problem::HeightImplausible { .. }]));
    assert!(matches!(
        at(2_000_000)[..],
        [Problem::HeightImplausible {
            height: 2_000_000,
            ..
        }]
    ));
}

#[test]
fn the_reward_halves() {
    let main = |height| subsidy_sat(Network::Bitcoin, height);
    assert_eq!(main(209_999), 5_000_000_000);
    assert_eq!(main(210_000), 2_500_000_000);
    // The fourth halving.
    assert_eq!(main(840_000), 312_500_000);
    assert_eq!(main(6_930_000), 0);
    assert_eq!(main(u32::MAX), 0);
    assert_eq!(subsidy_sat(Network::Regtest, 150), 2_500_000_000);
}

#[test]
fn addresses_of_the_wrong_network_are_refused_in_words() {
    let error = PayoutAddress::parse(P2TR, Some(Network::Signet)).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("main network") && text.contains("signet"),
        "{text}"
    );
    let old = "mpLQjfK79b7CCV4VMJWEWAj5Mpx8Up5zxB";
    for network in [Network::Testnet, Network::Signet, Network::Regtest] {
        assert!(PayoutAddress::parse(old, Some(network)).is_ok());
    }
    assert!(PayoutAddress::parse(old, Some(Network::Bitcoin)).is_err());
    let typo = P2WPKH.replace("w508", "w509");
    let text = PayoutAddress::parse(&typo, None).unwrap_err().to_string();
    assert!(text.contains("not a Bitcoin address"), "{text}");
}

#[test]
fn the_address_in_a_user_name_is_found() {
    let found = |user: &str| PayoutAddress::in_user(user).map(|found| found.to_string());
    for rest in ["", ".worker1", "_rig", "/a.b", "+x"] {
        assert_eq!(found(&format!("{P2WPKH}{rest}")).as_deref(), Some(P2WPKH));
    }
    for user in ["", "alice.rig", "é", "bc1q", "."] {
        assert_eq!(found(user), None, "{user}");
    }
}

fn any_script() -> impl Strategy<Value = ScriptBuf> {
    let of = |start: &'static [u8], length: usize, end: &'static [u8]| {
        prop::collection::vec(any::<u8>(), length)
            .prop_map(move |hash| ScriptBuf::from_bytes([start, &hash, end].concat()))
    };
    prop_oneof![
        of(&[0x76, 0xa9, 20], 20, &[0x88, 0xac]),
        of(&[0xa9, 20], 20, &[0x87]),
        of(&[0, 20], 20, &[]),
        of(&[0, 32], 32, &[]),
        of(&[0x51, 32], 32, &[]),
        of(&[0x6a, 36, 0xaa, 0x21, 0xa9, 0xed], 32, &[]),
        prop::collection::vec(any::<u8>(), 0..300).prop_map(ScriptBuf::from_bytes),
    ]
}

fn any_output() -> impl Strategy<Value = TxOut> {
    (0..2_100_000_000_u64, any_script()).prop_map(|(sat, script_pubkey)| TxOut {
        value: Amount::from_sat(sat),
        script_pubkey,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_the_bitcoin_crate_builds_decodes_to_its_outputs(
        height in 1..10_000_000_u32,
        text in "[a-z]{6,20}",
        outputs in prop::collection::vec(any_output(), 0..30),
        (first, second) in (0..20_usize, 1..16_usize),
        witness in any::<bool>(),
    ) {
        let mut transaction = built(height, &text, first + second, outputs);
        if witness {
            transaction.input[0].witness.push([0; 32]);
        }
        let coinbase: Coinbase =
            decode(&job_of(&transaction, first, second), Some(Network::Testnet4)).unwrap();
        prop_assert_eq!(coinbase.height, Some(height));
        prop_assert!(coinbase.tag.line().contains(&text));
        prop_assert_eq!(coinbase.extranonce, Place::ScriptSig);
        prop_assert_eq!(coinbase.outputs.len(), transaction.output.len());
        let mut paid = BTreeMap::new();
        for (read, made) in coinbase.outputs.iter().zip(&transaction.output) {
            prop_assert_eq!(read.value_sat, made.value.to_sat());
            prop_assert_eq!(&read.script[..], made.script_pubkey.as_bytes());
            let data = made.script_pubkey.is_op_return();
            prop_assert_eq!(read.is_spendable(), !data);
            let address = Address::from_script(&made.script_pubkey, Network::Testnet4).ok();
            prop_assert_eq!(read.address.clone(), address.map(|address| address.to_string()));
            if !data {
                *paid.entry(read.script.clone()).or_insert(0) += made.value.to_sat();
            }
        }
        prop_assert_eq!(paid.values().sum::<u64>(), coinbase.spendable_sat);
        for output in coinbase.outputs.iter().filter(|output| output.address.is_some()) {
            let text = output.address.clone().unwrap();
            let own = PayoutAddress::parse(&text, Some(Network::Testnet4)).unwrap();
            prop_assert_eq!(coinbase.portion_of(&[own]).sat, paid[&output.script]);
        }
    }

    #[test]
    fn no_bytes_panic(
        first in prop::collection::vec(any::<u8>(), 0..200),
        second in prop::collection::vec(any::<u8>(), 0..200),
        length in 0..200_usize,
    ) {
        let _ = decode(&job(&first, &[1, 2], length, &second), None);
    }

    /// Nearly right coinbases go deeper than noise.
    #[test]
    fn no_damaged_coinbase_panics(
        outputs in prop::collection::vec(any_output(), 0..4),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        at in any::<prop::sample::Index>(),
        length in 0..40_usize,
    ) {
        let mut bytes = consensus::serialize(&built(MAIN_HEIGHT, "/text/", 12, outputs));
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        let at = at.index(bytes.len());
        let end = bytes.len().min(at + length);
        let _ = decode(&job(&bytes[..at], &[], end - at, &bytes[end..]), None);
    }
}

#[test]
fn a_mistyped_address_is_called_mistyped() {
    let text = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5";
    let error = PayoutAddress::parse(text, None).unwrap_err().to_string();
    assert!(
        error.contains("checksum") && !error.contains("base58"),
        "{error}"
    );
}
