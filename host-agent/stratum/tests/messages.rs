//! Messages as pools and other miners' tests have them, and what they mean.

mod support;

use serde_json::{Value, json};
use stratum::RejectKind;
use stratum::v1::answer::{Verdict, verdict};
use stratum::v1::message::{
    Extranonce, Incoming, MessageError, Reconnect, RequestId, Response, parse, parse_configuration,
    parse_subscription,
};
use stratum::v1::notify::Notify;

const PREV_HASH: &str = "ef4b9a48c7986466de4adc002f7337a6e121bc43000376ea0000000000000000";
const COINBASE1: &str = "01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff4b03a5020cfabe6d6d379ae882651f6469f2ed6b8b40a4f9a4b41fd838a3ad6de8cba775f4e8f1d3080100000000000000";
const COINBASE2: &str = "41903d4c1b2f736c7573682f0000000003ca890d27000000001976a9147c154ed1dc59609e3d26abb2df2ea3d587cd8c4188ac00000000000000002c6a4c2952534b424c4f434b3a4cb4cb2ddfc37c41baf5ef6b6b4899e3253a8f1dfc7e5dd68a5b5b27005014ef0000000000000000266a24aa21a9ed5caa249f1af9fbf71c986fea8e076ca34ae3514fb2f86400561b28c7b15949bf00000000";

fn line(value: &Value) -> Result<Incoming, MessageError> {
    parse(value.to_string().as_bytes())
}

fn job(more: &[Value]) -> Value {
    let branch: Vec<String> = (0..12).map(|i| format!("{i:064x}")).collect();
    let mut params = vec![
        json!("1b4c3d9041"),
        json!(PREV_HASH),
        json!(COINBASE1),
        json!(COINBASE2),
        json!(branch),
        json!("20000004"),
        json!("1705c739"),
        json!("64495522"),
    ];
    params.extend_from_slice(more);
    json!({"id": null, "method": "mining.notify", "params": params})
}

fn read_job(value: &Value) -> Notify {
    match line(value) {
        Ok(Incoming::Notify(notify)) => *notify,
        other => panic!("no job: {other:?}"),
    }
}

fn response(value: &Value) -> Response {
    match line(value) {
        Ok(Incoming::Response(response)) => response,
        other => panic!("no response: {other:?}"),
    }
}

fn rejected(value: &Value) -> (RejectKind, String) {
    match verdict(&response(value)) {
        Verdict::Rejected { kind, text } => (kind, text),
        Verdict::Accepted => panic!("accepted: {value}"),
    }
}

#[test]
fn the_last_parameter_of_notify_is_the_clean_flag() {
    assert!(!read_job(&job(&[json!(false)])).clean);
    assert!(read_job(&job(&[json!(true)])).clean);
    assert!(read_job(&job(&[json!("64495522"), json!(true)])).clean);
    assert!(!read_job(&job(&[])).clean);
    assert!(!read_job(&job(&[json!(0)])).clean);
    assert!(read_job(&job(&[json!(1)])).clean);
}

#[test]
fn numbers_of_a_job_are_big_endian_text_and_hashes_get_header_order() {
    let job = read_job(&job(&[json!(false)]));
    assert_eq!(job.id, "1b4c3d9041");
    assert_eq!(
        (job.version, job.nbits, job.ntime),
        (0x2000_0004, 0x1705_c739, 0x6449_5522)
    );
    // Each word of the previous hash is turned around; the last words are zero, as they
    // must be in a header of a block with difficulty.
    assert_eq!(support::hex(&job.prev_hash[..8]), "489a4bef666498c7");
    assert_eq!(job.prev_hash[24..], [0; 8]);
    assert_eq!(job.merkle_branch.len(), 12);
    assert_eq!(support::hex(&job.merkle_branch[11]), format!("{:064x}", 11));
    assert_eq!(support::hex(&job.coinbase1), COINBASE1);
}

#[test]
fn jobs_with_wrong_parts_are_refused_by_name() {
    let wrong = |index: usize, value: Value| {
        let mut job = job(&[json!(false)]);
        job["params"][index] = value;
        line(&job).unwrap_err().to_string()
    };
    assert!(wrong(0, json!(7)).contains("id is 7"));
    assert!(wrong(0, json!("")).contains("id"));
    assert!(wrong(0, json!("x".repeat(257))).contains("id"));
    assert!(wrong(1, json!("00")).contains("previous hash"));
    assert!(wrong(2, json!("0g")).contains("coinbase"));
    assert!(wrong(3, json!("00".repeat(65_536))).contains("coinbase"));
    assert!(wrong(4, json!(["00"])).contains("merkle branch"));
    assert!(wrong(4, json!(vec!["00".repeat(32); 65])).contains("a list of 65 items"));
    assert!(wrong(5, json!(536_870_912)).contains("version"));
    assert!(wrong(6, json!("xyz")).contains("nbits"));
    assert!(wrong(7, json!("-1")).contains("ntime"));
    assert!(wrong(8, json!("true")).contains("clean flag"));
    assert!(line(&json!({"method": "mining.notify", "params": []})).is_err());
    assert!(line(&json!({"method": "mining.notify"})).is_err());
}

#[test]
fn lines_that_are_no_object_are_refused() {
    for text in [
        "",
        "this is not json",
        "[]",
        "7",
        "\"x\"",
        "{\"a\": NaN}",
        "{\"a\": 1e999}",
    ] {
        assert!(
            matches!(parse(text.as_bytes()), Err(MessageError::NotJson(_))),
            "{text}"
        );
    }
    assert!(line(&json!({"method": 7})).is_err());
}

#[test]
fn difficulties_are_fractions_as_well_as_integers() {
    let read = |digits: &str| match parse(
        format!(r#"{{"method":"mining.set_difficulty","params":[{digits}]}}"#).as_bytes(),
    ) {
        Ok(Incoming::SetDifficulty(difficulty)) => Some(difficulty.get()),
        Err(_) => None,
        Ok(other) => panic!("{other:?}"),
    };
    assert_eq!(read("1638"), Some(1638.0));
    assert_eq!(read("100.5"), Some(100.5));
    assert_eq!(read("0.00050000000000000001"), Some(0.0005));
    assert_eq!(
        read("0.00002328294192111002"),
        Some(2.328_294_192_111_002e-5)
    );
    assert_eq!(read("4294967295"), Some(4_294_967_295.0));
    for refused in [
        "0", "-1", "1e30", "1e-300", "1e999", "NaN", "null", "\"easy\"", "[1]", "true",
    ] {
        assert_eq!(read(refused), None, "{refused}");
    }
}

#[test]
fn notifications_are_told_by_their_method_whatever_their_id() {
    for id in [json!(null), json!(42), json!("x"), json!([1])] {
        let ping = line(&json!({"id": id, "method": "mining.ping", "params": []})).unwrap();
        let answerable = id.is_number() || id.is_string();
        assert_eq!(ping, Incoming::Ping(RequestId(answerable.then_some(id))));
    }
    assert_eq!(
        line(&json!({"method": "client.get_version", "id": 10})).unwrap(),
        Incoming::GetVersion(RequestId(Some(json!(10))))
    );
    assert_eq!(
        line(&json!({"method": "mining.set_version_mask", "params": ["1fffe000"], "id": 1}))
            .unwrap(),
        Incoming::SetVersionMask(0x1fff_e000)
    );
    assert_eq!(
        line(&json!({"method": "mining.hashrate", "params": {}})).unwrap(),
        Incoming::Unknown("mining.hashrate".into())
    );
}

#[test]
fn extranonces_have_sizes_that_fit_a_coinbase() {
    let read =
        |params: Value| match line(&json!({"method": "mining.set_extranonce", "params": params})) {
            Ok(Incoming::SetExtranonce(extranonce)) => Some(extranonce),
            _ => None,
        };
    let extranonce1 = vec![0xde, 0xad, 0xbe, 0xef];
    assert_eq!(
        read(json!(["deadbeef", 8])),
        Some(Extranonce {
            extranonce1,
            extranonce2_len: 8
        })
    );
    assert!(read(json!(["", 1])).is_some());
    assert!(read(json!(["00".repeat(32), 16])).is_some());
    for refused in [
        json!([]),
        json!(["00".repeat(33), 8]),
        json!(["00", 0]),
        json!(["00", 17]),
        json!(["00", -1]),
        json!(["00", 2.5]),
        json!(["0", 4]),
        json!(["xy", 4]),
        json!([5, 4]),
    ] {
        assert_eq!(read(refused.clone()), None, "{refused}");
    }
}

#[test]
fn wishes_to_reconnect_take_numbers_and_texts() {
    let read = |params: Value| match line(&json!({"method": "client.reconnect", "params": params}))
    {
        Ok(Incoming::Reconnect(wish)) => wish,
        other => panic!("{other:?}"),
    };
    assert_eq!(read(json!([])), Reconnect::default());
    let wish = Reconnect {
        host: Some("pool".into()),
        port: Some(3334),
        wait_s: 5,
    };
    assert_eq!(read(json!(["pool", 3334, 5])), wish);
    assert_eq!(read(json!(["pool", "3334", "5"])), wish);
    assert_eq!(read(json!(["", 0, -1])), Reconnect::default());
    assert_eq!(read(json!([null, 70_000, 1e18])).port, None);
}

#[test]
fn messages_for_the_owner_are_made_fit_to_show() {
    let read = |params: Value| line(&json!({"method": "client.show_message", "params": params}));
    assert_eq!(
        read(json!(["Welcome to the pool!"])),
        Ok(Incoming::ShowMessage("Welcome to the pool!".into()))
    );
    assert!(matches!(read(json!([])), Ok(Incoming::Unknown(_))));
    let Ok(Incoming::ShowMessage(long)) = read(json!(["\u{1b}]0;x\u{7}".repeat(9999)])) else {
        panic!("no message");
    };
    assert!(long.chars().count() <= 301 && !long.contains('\u{1b}'));
    let latin = b"{\"method\":\"client.show_message\",\"params\":[\"gr\xfc\xdfe\"]}";
    assert!(matches!(parse(latin), Ok(Incoming::ShowMessage(_))));
}

#[test]
fn subscriptions_come_with_and_without_a_session_id() {
    let read = |result: Value| parse_subscription(&result).map(|s| s.session_id);
    let plain =
        parse_subscription(&json!([[["mining.notify", "695482c0"]], "4de05269", 8])).unwrap();
    assert_eq!(plain.extranonce.extranonce1, [0x4d, 0xe0, 0x52, 0x69]);
    assert_eq!(plain.extranonce.extranonce2_len, 8);
    assert_eq!(plain.session_id.as_deref(), Some("695482c0"));
    let second = json!([
        [["mining.set_difficulty", "1"], ["mining.notify", "ae68"]],
        "01",
        4
    ]);
    assert_eq!(read(second), Ok(Some("ae68".into())));
    assert_eq!(
        read(json!([["mining.notify", "flat"], "01", 4])),
        Ok(Some("flat".into()))
    );
    assert_eq!(read(json!([[], "01", 4])), Ok(None));
    assert_eq!(read(json!([null, "01", 4])), Ok(None));
    assert_eq!(
        read(json!([[["mining.notify", "x".repeat(300)]], "01", 4])),
        Ok(None)
    );
    assert!(read(json!([[["mining.notify", "695482c0"]], "4de05269"])).is_err());
    assert!(read(json!({"extranonce1": "01"})).is_err());
    assert!(read(json!([[], "01", 200])).is_err());
    assert!(read(json!([[], "e1e1xyz1", 4])).is_err());
}

#[test]
fn version_rolling_is_granted_only_in_so_many_words() {
    let granted = json!({"version-rolling": true, "version-rolling.mask": "1fffe000"});
    assert_eq!(parse_configuration(&granted), Some(0x1fff_e000));
    let translator = json!({"minimum-difficulty": false, "version-rolling": true,
        "version-rolling.mask": "1fffe000", "version-rolling.min-bit-count": "00000002"});
    assert_eq!(parse_configuration(&translator), Some(0x1fff_e000));
    assert_eq!(
        parse_configuration(&json!({"version-rolling": true})),
        Some(0)
    );
    assert_eq!(
        parse_configuration(&json!({"version-rolling": false})),
        None
    );
    assert_eq!(parse_configuration(&json!({})), None);
    assert_eq!(parse_configuration(&json!(false)), None);
}

#[test]
fn acceptance_keeps_the_id() {
    for id in [4, 5, 32_769, 65_536] {
        let said = response(&json!({"id": id, "result": true, "error": null}));
        assert_eq!((said.id, verdict(&said)), (Some(id), Verdict::Accepted));
    }
    assert_eq!(response(&json!({"id": "7", "result": true})).id, Some(7));
    for foreign in [json!(null), json!(-1), json!("x"), json!([4]), json!(1.5)] {
        assert_eq!(response(&json!({"id": foreign, "result": true})).id, None);
    }
}

#[test]
fn rejects_are_understood_in_all_their_forms() {
    use RejectKind::*;
    let cases = [
        (
            json!({"result": false, "error": [22, "Duplicate", null]}),
            Duplicate,
            "Duplicate",
        ),
        (
            json!({"result": null, "error": [21, "Job not found", ""]}),
            Stale,
            "Job not found",
        ),
        (
            json!({"result": null, "error": [23, "Low difficulty share", null]}),
            LowDifficulty,
            "Low difficulty share",
        ),
        (json!({"result": false, "error": "Stale"}), Stale, "Stale"),
        (json!({"result": null, "error": "Stale"}), Stale, "Stale"),
        (
            json!({"result": false, "error": "Worker mismatch"}),
            Unauthorized,
            "Worker mismatch",
        ),
        (
            json!({"result": false, "error": null, "reject-reason": "Above target 2"}),
            LowDifficulty,
            "Above target 2",
        ),
        (
            json!({"result": false, "error": null, "reject-reason": "Invalid JobID"}),
            Stale,
            "Invalid JobID",
        ),
        (
            json!({"jsonrpc": "2.0", "error": {"code": 22, "message": "duplicate share"}}),
            Duplicate,
            "duplicate share",
        ),
        (json!({"result": false, "error": null}), Unexplained, ""),
        (json!({"result": null, "error": null}), Unexplained, ""),
        (json!({}), Unexplained, ""),
        (
            json!({"result": true, "error": [20, "yes and no", null]}),
            Other,
            "yes and no",
        ),
        (
            json!({"result": false, "error": [20, "Ntime out of range", null]}),
            TimeOutOfRange,
            "Ntime out of range",
        ),
        (
            json!({"result": false, "error": [20, "Invalid version mask", null]}),
            VersionBits,
            "Invalid version mask",
        ),
        (
            json!({"result": null, "error": [24, "Unauthorized worker", null]}),
            Unauthorized,
            "Unauthorized worker",
        ),
        (
            json!({"result": null, "error": [25, "Not subscribed", null]}),
            NotSubscribed,
            "Not subscribed",
        ),
        (
            json!({"result": false, "error": [99, "Server on fire", null]}),
            Other,
            "Server on fire",
        ),
        (json!({"result": false, "error": 23}), LowDifficulty, ""),
        (
            json!({"result": null, "error": [20, "stale-share", null]}),
            Stale,
            "stale-share",
        ),
        (
            json!({"result": null, "error": {"code": -1, "message": "difficulty-too-low"}}),
            LowDifficulty,
            "difficulty-too-low",
        ),
    ];
    for (mut said, kind, text) in cases {
        said["id"] = json!(9);
        assert_eq!(rejected(&said), (kind, text.to_owned()), "{said}");
    }
}

#[test]
fn long_reasons_are_cut() {
    let (_, text) = rejected(&json!({"id": 1, "result": false, "error": "no\n".repeat(500)}));
    assert!(text.chars().count() <= 201 && !text.contains('\n'));
}
