//! Templates and what becomes of them, judged by real blocks and by the `bitcoin` crate.

use std::sync::Arc;
use std::time::Duration;

use bitcoin::consensus::{deserialize, encode};
use bitcoin::hashes::Hash as _;
use bitcoin::{Block, Script, Transaction};
use mining::{Share, Target, header};
use proptest::prelude::*;
use serde_json::{Value, json};
use solo::blocks::FoundBlock;
use solo::candidate::{EXTRANONCE2_LEN, MAX_TAG, Stamp};
use solo::node::{Mood, TestNode, a_transaction};
use solo::{Candidate, Template, TemplateError};
use stratum::Refusal;

/// The node's template as text, with some fields changed; `null` takes a field out.
fn template_with(change: Value) -> String {
    let node = TestNode::new(Mood::default());
    node.add_transactions(3, true);
    ask(&node, change)
}

fn ask(node: &TestNode, change: Value) -> String {
    let Value::Object(fields) = change else {
        panic!("not an object");
    };
    node.set(|mood| mood.template = fields);
    let call = json!({"method": "getblocktemplate", "params": [{"rules": ["segwit", "signet"]}]});
    let (_, answer) = node.respond(call.to_string().as_bytes()).unwrap();
    answer["result"].to_string()
}

fn refusal(change: Value) -> TemplateError {
    Template::parse(&template_with(change)).unwrap_err()
}

/// P2WPKH of BIP 173's example key.
fn payout() -> &'static Script {
    Script::from_bytes(
        b"\x00\x14\x75\x1e\x76\xe8\x19\x91\x96\xd4\x54\x94\x1c\x45\xd1\xb3\xa3\x23\xf1\x43\x3b\xd6",
    )
}

fn stamp() -> Stamp<'static> {
    Stamp {
        session: 1,
        id: "1.1",
        generation: 1,
        target: Target::MAX,
        received: Duration::ZERO,
    }
}

/// A share of any hash.
fn share(candidate: &Candidate, extranonce2: [u8; 8], nonce: u32) -> Share {
    let job = Arc::new(candidate.job(stamp()));
    let coinbase = [
        &*job.coinbase1,
        &job.extranonce1,
        &extranonce2,
        &job.coinbase2,
    ]
    .concat();
    let root = header::merkle_root(header::coinbase_hash(&coinbase), &job.merkle_branch);
    let header = header::assemble(
        job.version,
        &job.prev_hash,
        &root,
        job.ntime,
        job.nbits,
        nonce,
    );
    Share {
        extranonce2: extranonce2.to_vec(),
        ntime: job.ntime,
        nonce,
        version: job.version,
        hash: header::coinbase_hash(&header),
        job,
    }
}

fn block_of(candidate: &Candidate, share: &Share) -> Block {
    let proof = candidate.prove(share).unwrap();
    let bytes = candidate.block(&proof.header, &share.extranonce2);
    deserialize(&bytes).unwrap()
}

#[test]
fn real_blocks_give_back_their_merkle_root_and_commitment() {
    let blocks: Value = serde_json::from_str(include_str!("data/testnet-blocks.json")).unwrap();
    let mut with_witness = 0;
    for known in blocks.as_array().unwrap() {
        let block: Block = encode::deserialize_hex(known["block"].as_str().unwrap()).unwrap();
        assert_eq!(
            block.block_hash().to_string(),
            known["hash"].as_str().unwrap()
        );
        let coinbase = &block.txdata[0];
        let segwit = !coinbase.input[0].witness.is_empty();
        let transactions: Vec<Value> = block.txdata[1..]
            .iter()
            .map(|transaction| {
                json!({
                    "data": encode::serialize_hex(transaction),
                    "txid": transaction.compute_txid().to_string(),
                    "hash": transaction.compute_wtxid().to_string(),
                })
            })
            .collect();
        let template = json!({
            "version": block.header.version.to_consensus(),
            "previousblockhash": block.header.prev_blockhash.to_string(),
            "transactions": transactions,
            "coinbasevalue": 50_0000_0000_u64,
            "bits": format!("{:08x}", block.header.bits.to_consensus()),
            "curtime": block.header.time,
            "height": known["height"],
            "rules": if segwit { json!(["segwit"]) } else { json!([]) },
        });
        let template = Template::parse(&template.to_string()).unwrap();
        let coinbase_hash = coinbase.compute_txid().to_byte_array();
        assert_eq!(
            header::merkle_root(coinbase_hash, &template.merkle_branch),
            block.header.merkle_root.to_byte_array(),
            "block {}",
            known["height"]
        );
        assert_eq!(
            template.prev_hash,
            block.header.prev_blockhash.to_byte_array()
        );
        if let Some(ours) = template.witness_commitment {
            with_witness += 1;
            let script = [&[0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed], &ours[..]].concat();
            let mut outputs = coinbase
                .output
                .iter()
                .map(|output| output.script_pubkey.as_bytes());
            assert!(
                outputs.any(|output| output == script),
                "block {}",
                known["height"]
            );
        }
    }
    assert!(with_witness > 0);
}

#[test]
fn the_job_stands_for_the_block_that_is_built() {
    let node = TestNode::new(Mood::default());
    node.add_transactions(5, true);
    let template = Template::parse(&ask(&node, json!({}))).unwrap();
    let candidate = Candidate::new(template, payout(), b"/tag/", &[1, 2, 3, 4]).unwrap();
    let share = share(&candidate, *b"extranon", 7);
    let block = block_of(&candidate, &share);
    assert_eq!(block.block_hash().to_byte_array(), share.hash);
    assert!(block.check_merkle_root());
    assert!(block.check_witness_commitment());
    assert_eq!(block.txdata.len(), 6);
    let coinbase = &block.txdata[0];
    assert!(coinbase.is_coinbase());
    assert_eq!(coinbase.output[0].value.to_sat(), 50_0000_0000 + 5 * 1000);
    assert_eq!(coinbase.output[0].script_pubkey.as_script(), payout());
    let script = coinbase.input[0].script_sig.as_bytes();
    assert!(script.windows(5).any(|part| part == b"/tag/"));
    assert!(
        script
            .windows(12)
            .any(|part| part == b"\x01\x02\x03\x04extranon")
    );
}

#[test]
fn heights_are_written_as_bip_34_and_core_want_them() {
    // By hand from BIP 34 and the rules of script numbers: opcode or length, little-endian, and a
    // zero byte where the top bit is set.
    for (height, bytes) in [
        (1, &[0x51][..]),
        (16, &[0x60]),
        (17, &[0x01, 0x11]),
        (127, &[0x01, 0x7f]),
        (128, &[0x02, 0x80, 0x00]),
        (255, &[0x02, 0xff, 0x00]),
        (256, &[0x02, 0x00, 0x01]),
        (32768, &[0x03, 0x00, 0x80, 0x00]),
        (227_836, &[0x03, 0xfc, 0x79, 0x03]),
        (8_388_608, &[0x04, 0x00, 0x00, 0x80, 0x00]),
    ] {
        let template = Template::parse(&template_with(json!({"height": height}))).unwrap();
        let candidate = Candidate::new(template, payout(), b"", &[]).unwrap();
        let block = block_of(&candidate, &share(&candidate, [0; 8], 0));
        let script = block.txdata[0].input[0].script_sig.as_bytes();
        assert!(script.starts_with(bytes), "{height}: {script:02x?}");
        assert!((2..=100).contains(&script.len()), "{height}");
        // Final in its own block, and as BIP 54 will have it.
        assert_eq!(block.txdata[0].lock_time.to_consensus_u32(), height - 1);
    }
}

#[test]
fn the_longest_tag_fits_at_the_greatest_height() {
    let highest = json!({"height": i32::MAX, "coinbaseaux": {"flags": "00".repeat(50)}});
    let template = Template::parse(&template_with(highest)).unwrap();
    let tag = vec![b'x'; MAX_TAG];
    let candidate = Candidate::new(template.clone(), payout(), &tag, &[9; 8]).unwrap();
    let block = block_of(&candidate, &share(&candidate, [0; 8], 0));
    let script = block.txdata[0].input[0].script_sig.as_bytes();
    assert_eq!(script.len(), 100);
    let longer = vec![b'x'; MAX_TAG + 1];
    assert!(Candidate::new(template, payout(), &longer, &[]).is_err());
}

#[test]
fn what_the_node_wants_in_the_coinbase_is_there() {
    let template = template_with(json!({"coinbaseaux": {"flags": "6d696e65642062792062636f696e"}}));
    let template = Template::parse(&template).unwrap();
    let candidate = Candidate::new(template, payout(), b"/tag/", &[1; 4]).unwrap();
    let block = block_of(&candidate, &share(&candidate, [0; 8], 0));
    let script = block.txdata[0].input[0].script_sig.as_bytes();
    assert!(script.ends_with(b"mined by bcoin"));
}

#[test]
fn without_segwit_there_is_no_commitment_and_no_witness() {
    let node = TestNode::new(Mood {
        segwit: false,
        rules: vec!["csv".into()],
        ..Mood::default()
    });
    node.add_transactions(2, false);
    let template = Template::parse(&ask(&node, json!({}))).unwrap();
    let candidate = Candidate::new(template, payout(), b"", &[]).unwrap();
    let block = block_of(&candidate, &share(&candidate, [0; 8], 0));
    assert!(block.check_merkle_root());
    assert_eq!(block.txdata[0].output.len(), 1);
    assert!(block.txdata[0].input[0].witness.is_empty());
    // Nor can there be transactions that need it.
    node.add_transactions(1, true);
    let error = Template::parse(&ask(&node, json!({}))).unwrap_err();
    assert!(
        error.to_string().contains("segwit is not in force"),
        "{error}"
    );
}

#[test]
fn the_commitment_is_made_without_the_nodes_help() {
    let stated = Template::parse(&template_with(json!({}))).unwrap();
    let own = Template::parse(&template_with(json!({"default_witness_commitment": null}))).unwrap();
    assert_eq!(stated.witness_commitment, own.witness_commitment);
    assert!(own.witness_commitment.is_some());
    let wrong = format!("6a24aa21a9ed{}", "00".repeat(32));
    for stated in [wrong.as_str(), "", "zz"] {
        let error = refusal(json!({"default_witness_commitment": stated}));
        assert!(matches!(error, TemplateError::Commitment { .. }), "{error}");
    }
}

#[test]
fn rules_that_are_not_known_are_refused_only_if_they_must_be() {
    assert!(Template::parse(&template_with(json!({"rules": ["!segwit", "newfork"]}))).is_ok());
    let error = refusal(json!({"rules": ["!segwit", "!newfork"]}));
    assert_eq!(error, TemplateError::UnknownRule("newfork".into()));
}

#[test]
fn only_signets_without_signatures_can_be_mined() {
    let open = json!({"rules": ["!segwit", "!signet"], "signet_challenge": "51"});
    assert!(Template::parse(&template_with(open)).is_ok());
    // The challenge of the public signet begins so.
    let error = refusal(json!({"rules": ["!signet"], "signet_challenge": "512103ad5e0edad1"}));
    assert!(error.to_string().contains("must be signed"), "{error}");
}

#[test]
fn bad_templates_are_refused_with_a_word_about_what_is_wrong() {
    let spend = encode::serialize_hex(&a_transaction(1, true));
    let coinbase = encode::serialize_hex(&Transaction {
        input: vec![bitcoin::TxIn::default()],
        ..a_transaction(1, false)
    });
    let list = |items: &[&str]| -> Value {
        items
            .iter()
            .map(|data| json!({"data": data}))
            .collect::<Vec<_>>()
            .into()
    };
    let cases = [
        (json!({"height": null}), "missing field `height`"),
        (
            json!({"transactions": null}),
            "missing field `transactions`",
        ),
        (
            json!({"previousblockhash": null}),
            "missing field `previousblockhash`",
        ),
        (json!({"bits": null}), "missing field `bits`"),
        (json!({"curtime": null}), "missing field `curtime`"),
        (json!({"version": null}), "missing field `version`"),
        (
            json!({"coinbasevalue": null}),
            "a coinbase made by the node",
        ),
        (
            json!({"height": 0}),
            "height is 0, expected 1 to 2147483647",
        ),
        (json!({"height": -5}), "height is -5"),
        (json!({"height": "7"}), "expected i64"),
        (
            json!({"curtime": 5_000_000_000_i64}),
            "curtime is 5000000000",
        ),
        (
            json!({"mintime": 1_790_000_001}),
            "before its own earliest time",
        ),
        (json!({"coinbasevalue": -1}), "coinbasevalue is -1"),
        (json!({"coinbasevalue": 2_999}), "fees are 3000"),
        (
            json!({"coinbasevalue": 500_000_003_001_i64}),
            "the subsidy is 0 to",
        ),
        (
            json!({"previousblockhash": "00"}),
            "expected 64 hexadecimal digits",
        ),
        (
            json!({"previousblockhash": "zz".repeat(32)}),
            "expected 64 hexadecimal digits",
        ),
        (json!({"bits": "207fff"}), "expected 8 hexadecimal digits"),
        (json!({"bits": "207ffffe"}), "stand for the target"),
        (
            json!({"bits": "20ffffff", "target": null}),
            "negative target",
        ),
        (
            json!({"bits": "00000000", "target": null}),
            "target of zero",
        ),
        (json!({"target": "00"}), "template's target"),
        (json!({"version": 1_i64 << 40}), "version is 1099511627776"),
        (
            json!({"noncerange": "0000000000ffffff"}),
            "only a part of the nonces",
        ),
        (json!({"coinbaseaux": {"flags": "xy"}}), "coinbaseaux"),
        (
            json!({"longpollid": "x".repeat(2000)}),
            "longpollid has 2000 bytes",
        ),
        (
            json!({"transactions": list(&["00ff"])}),
            "transaction 1 of the template cannot be read",
        ),
        (json!({"transactions": list(&["0"])}), "is not hexadecimal"),
        (
            json!({"transactions": list(&[&format!("{spend}00")])}),
            "cannot be read",
        ),
        (
            json!({"transactions": list(&[&spend, &spend])}),
            "transaction 2 of the template is there twice",
        ),
        (json!({"transactions": list(&[&coinbase])}), "is a coinbase"),
        (
            json!({"transactions": [{"data": spend, "txid": "00".repeat(32)}]}),
            "has the txid",
        ),
        (
            json!({"transactions": [{"data": spend, "hash": "00".repeat(32)}]}),
            "has the hash",
        ),
        (
            json!({"transactions": [{"data": spend, "fee": -1}]}),
            "fee of a transaction is -1",
        ),
        (json!({"weightlimit": 2000}), "no room for a coinbase"),
    ];
    for (mut change, words) in cases {
        // Other transactions have another commitment; that is not the point here.
        if change.get("transactions").is_some() {
            change["default_witness_commitment"] = Value::Null;
        }
        let said = refusal(change.clone()).to_string();
        assert!(said.contains(words), "{change}: {said}");
    }
}

#[test]
fn endless_lists_do_not_fill_the_memory() {
    let many = format!("[{}{{\"data\":\"\"}}]", "{\"data\":\"\"},".repeat(50_000));
    let error = Template::parse(&format!("{{\"transactions\":{many}}}")).unwrap_err();
    assert!(error.to_string().contains("at most 50000"), "{error}");
}

#[test]
fn version_bits_that_the_node_would_vote_on_are_left_alone() {
    let change = json!({"version": 0x3000_0000, "vbavailable": {"one": 14, "wide": 99, "odd": -1}});
    let template = Template::parse(&template_with(change)).unwrap();
    // 1fffe000 without bit 28, which is set, and without bit 14.
    assert_eq!(template.version_mask, 0x0fff_a000);
}

#[test]
fn a_share_is_taken_only_for_what_it_is() {
    let template = Template::parse(&template_with(json!({"mintime": 1_789_999_990}))).unwrap();
    let candidate = Candidate::new(template, payout(), b"", &[]).unwrap();
    let good = share(&candidate, [5; EXTRANONCE2_LEN], 1);
    assert!(candidate.prove(&good).is_ok());
    let spoilt = |spoil: fn(&mut Share)| {
        let mut share = good.clone();
        spoil(&mut share);
        candidate.prove(&share)
    };
    assert_eq!(spoilt(|share| share.nonce = 2), Err(Refusal::UnknownJob));
    assert_eq!(spoilt(|share| share.hash[0] ^= 1), Err(Refusal::UnknownJob));
    assert_eq!(
        spoilt(|share| share.extranonce2 = vec![1; 7]),
        Err(Refusal::Extranonce2Length)
    );
    assert_eq!(
        spoilt(|share| share.version ^= 1),
        Err(Refusal::VersionBits)
    );
    assert_eq!(
        spoilt(|share| share.ntime = 1),
        Err(Refusal::TimeOutOfRange)
    );
    assert_eq!(
        spoilt(|share| share.ntime += 7001),
        Err(Refusal::TimeOutOfRange)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_template_gives_a_block_whose_parts_agree(
        transactions in proptest::collection::vec((any::<u32>(), any::<bool>()), 0..40),
        height in 1..5_000_000u32,
        value in 0..50_0000_0000u64,
        tag in proptest::collection::vec(any::<u8>(), 0..=MAX_TAG),
        extranonce1 in proptest::collection::vec(any::<u8>(), 0..=8),
        extranonce2: [u8; 8],
        nonce: u32,
    ) {
        let mut seen = std::collections::HashSet::new();
        let list: Vec<Value> = transactions
            .iter()
            .filter(|(number, _)| seen.insert(*number))
            .map(|(number, witness)| {
                json!({"data": encode::serialize_hex(&a_transaction(*number, *witness))})
            })
            .collect();
        let count = list.len();
        let template = template_with(json!({
            "transactions": list, "height": height, "coinbasevalue": value,
            "default_witness_commitment": null,
        }));
        let template = Template::parse(&template).unwrap();
        let candidate = Candidate::new(template, payout(), &tag, &extranonce1).unwrap();
        let share = share(&candidate, extranonce2, nonce);
        let block = block_of(&candidate, &share);
        prop_assert_eq!(block.block_hash().to_byte_array(), share.hash);
        prop_assert!(block.check_merkle_root());
        prop_assert!(block.check_witness_commitment());
        prop_assert_eq!(FoundBlock::parse(&encode::serialize_hex(&block)).unwrap().height, height);
        prop_assert_eq!(block.txdata.len(), count + 1);
        let paid: u64 = block.txdata[0].output.iter().map(|output| output.value.to_sat()).sum();
        prop_assert_eq!(paid, value);
        prop_assert!(block.txdata[0].input[0].script_sig.len() <= 100);
    }

    #[test]
    fn a_template_with_a_piece_replaced_is_refused_or_gives_a_good_block(
        at: proptest::sample::Index,
        cut in 0..64usize,
        piece in "[ -~]{0,12}|[0-9a-f]{0,64}",
    ) {
        // Stated values would make every change a contradiction.
        let silent = json!({"default_witness_commitment": null, "target": null});
        let mut text = template_with(silent);
        let at = at.index(text.len());
        let end = (at + cut).min(text.len());
        text.replace_range(at..end, &piece);
        if let Ok(template) = Template::parse(&text) {
            let value = template.coinbase_value;
            let candidate = Candidate::new(template, payout(), b"/tag/", &[1; 4]).unwrap();
            // The time may be any, so the share is not asked for its own.
            let extranonce2 = [5; 8];
            let job = candidate.job(stamp());
            let root = candidate.merkle_root(&extranonce2);
            let header = header::assemble(job.version, &job.prev_hash, &root, job.ntime, job.nbits, 0);
            let block: Block = deserialize(&candidate.block(&header, &extranonce2)).unwrap();
            prop_assert!(block.check_merkle_root());
            prop_assert!(block.check_witness_commitment());
            prop_assert_eq!(block.txdata[0].output[0].value.to_sat(), value);
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text: String) {
        let _ = Template::parse(&text);
    }

    #[test]
    fn a_template_with_a_damaged_field_is_read_or_refused(
        field in proptest::sample::select(vec![
            "version", "previousblockhash", "transactions", "bits", "curtime", "height", "rules",
            "vbavailable", "coinbaseaux", "coinbasevalue", "mintime", "target", "noncerange",
            "sizelimit", "weightlimit", "longpollid", "workid", "default_witness_commitment",
            "signet_challenge",
        ]),
        number: i64,
        text: String,
        form in 0..6,
    ) {
        let value = match form {
            0 => json!(number),
            1 => json!(text),
            2 => json!([text, number]),
            3 => json!({text: number}),
            4 => json!(number as f64 / 3.0),
            _ => json!([{"data": text, "fee": number}]),
        };
        let _ = Template::parse(&template_with(json!({field: value})));
    }
}
