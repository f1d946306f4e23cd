//! Any reply of a node is read or refused; whatever is taken for a template gives a block that the
//! `bitcoin` crate can read back and whose parts agree.
#![no_main]

use std::sync::OnceLock;
use std::time::Duration;

use bitcoin::consensus::deserialize;
use bitcoin::{Block, Script};
use libfuzzer_sys::fuzz_target;
use mining::{Target, header};
use solo::candidate::Stamp;
use solo::node::{Mood, TestNode};
use solo::rpc::{Method, Reply, read_reply};
use solo::{Candidate, Template};

fuzz_target!(|data: &[u8]| {
    for method in [
        Method::ChainInfo,
        Method::BestBlock,
        Method::Submit,
        Method::Template,
    ] {
        if let Ok(Reply::Template(template)) = read_reply(method, 200, data) {
            check(*template);
        }
    }
    read(data);
    // A good template with a piece replaced, which gets further than bytes from nowhere.
    if let [a, b, cut, piece @ ..] = data {
        let mut text = good().to_vec();
        let at = usize::from(u16::from_be_bytes([*a, *b])) % text.len();
        let end = (at + usize::from(*cut)).min(text.len());
        text.splice(at..end, piece.iter().copied());
        read(&text);
    }
});

fn read(text: &[u8]) {
    if let Ok(text) = std::str::from_utf8(text)
        && let Ok(template) = Template::parse(text)
    {
        check(template);
    }
}

fn good() -> &'static [u8] {
    static GOOD: OnceLock<String> = OnceLock::new();
    let good = GOOD.get_or_init(|| {
        let node = TestNode::new(Mood::default());
        node.add_transactions(2, true);
        node.add_transactions(2, false);
        // Stated values would make every change a contradiction.
        node.set(|mood| {
            for field in ["default_witness_commitment", "target"] {
                mood.template.insert(field.into(), ().into());
            }
        });
        let call = br#"{"method":"getblocktemplate","params":[{"rules":["segwit"]}]}"#;
        let (_, answer) = node.respond(call).unwrap();
        let mut template = answer["result"].clone();
        for transaction in template["transactions"].as_array_mut().unwrap() {
            for field in ["txid", "hash"] {
                transaction.as_object_mut().unwrap().remove(field);
            }
        }
        template.to_string()
    });
    good.as_bytes()
}

fn check(template: Template) {
    let payout = Script::from_bytes(
        b"\x00\x14\x75\x1e\x76\xe8\x19\x91\x96\xd4\x54\x94\x1c\x45\xd1\xb3\xa3\x23\xf1\x43\x3b\xd6",
    );
    let candidate = Candidate::new(template, payout, b"/fuzz/", &[1, 2, 3, 4]).unwrap();
    let job = candidate.job(Stamp {
        session: 1,
        id: "1",
        generation: 1,
        target: Target::MAX,
        received: Duration::ZERO,
    });
    let extranonce2 = [5; 8];
    let root = candidate.merkle_root(&extranonce2);
    let header = header::assemble(job.version, &job.prev_hash, &root, job.ntime, job.nbits, 0);
    let block: Block = deserialize(&candidate.block(&header, &extranonce2)).unwrap();
    assert!(block.check_merkle_root());
    assert!(block.check_witness_commitment());
    let paid: u64 = block.txdata[0]
        .output
        .iter()
        .map(|output| output.value.to_sat())
        .sum();
    assert_eq!(paid, candidate.template().coinbase_value);
}
