//! The benchmarks run to their end with tiny parameters and say what they promise. Nothing here
//! judges how fast anything was.

use std::process::Command;

use serde_json::Value;

fn bench(arguments: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_hashwright"))
        .arg("bench")
        .args(arguments)
        .arg("--json")
        .output()
        .expect("the program starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {errors}");
    serde_json::from_slice(&output.stdout).expect("one line of JSON")
}

#[test]
fn hash_has_every_backend_beside_the_peer() {
    let rows = bench(&["hash", "--seconds", "0.2"]);
    let rows = rows.as_array().expect("rows");
    assert_eq!(rows[0]["engine"], "sha2");
    assert_eq!(rows[0]["ratio_to_sha2_midstate"], 1.0);
    let backends = sha256d::Engine::available().count();
    assert_eq!(rows.len(), 2 + 3 * backends);
    for row in rows {
        assert!(row["hashes_per_second"].as_f64() > Some(0.0), "{row}");
    }
}

#[test]
fn the_decoder_finds_all_replies_of_a_clean_line() {
    let rows = bench(&["decoder", "--seconds", "0.2"]);
    let rows = rows.as_array().expect("rows");
    assert_eq!(rows[0]["replies_found"], 1.0);
    assert_eq!(rows[1]["replies_found"], 1.0);
    for row in rows {
        assert!(row["replies_found"].as_f64() > Some(0.8), "{row}");
        assert!(row["ratio_to_line"].as_f64() > Some(0.0), "{row}");
    }
}

/// Protocols that pools of this build speak.
const PROTOCOLS: usize = if cfg!(feature = "sv2") { 2 } else { 1 };

#[test]
fn the_path_is_measured_on_a_real_agent_with_every_protocol() {
    let outcome = bench(&["path", "--chains", "2", "--events", "8"]);
    let runs = outcome["runs"].as_array().expect("runs");
    assert_eq!(runs.len(), PROTOCOLS);
    assert_eq!(outcome["v2_to_v1"].is_object(), PROTOCOLS == 2);
    for run in runs {
        assert_eq!(run["notify_to_job"]["count"], 16, "{run}");
        assert!(run["nonce_to_submit"]["count"].as_u64() >= Some(8), "{run}");
        assert_eq!(run["relay_to_chains"]["count"], 16, "{run}");
        assert!(run["accepted"].as_u64() >= Some(8), "{run}");
        assert_eq!(run["rejected"], 0, "{run}");
        assert!(run["steady"]["rss_mb"].as_f64() > Some(0.0), "{run}");
    }
}

#[test]
fn the_next_pool_gets_the_work_when_the_first_one_dies() {
    let rows = bench(&["failover", "--rounds", "1"]);
    let rows = rows.as_array().expect("rows");
    assert_eq!(rows.len(), PROTOCOLS);
    for row in rows {
        assert_eq!(row["death_to_job"]["count"], 1, "{row}");
        assert!(row["death_to_job"]["p50_ms"].as_f64() > Some(0.0), "{row}");
    }
}

#[test]
fn every_share_that_a_pool_would_take_arrives_once() {
    let rows = bench(&["reconnects", "--reconnects", "3"]);
    let rows = rows.as_array().expect("rows");
    assert_eq!(rows.len(), 1 + PROTOCOLS);
    assert_eq!(rows[0]["resumed"], 3, "{}", rows[0]);
    let count = |row: &Value, key: &str| row[key].as_u64().expect("a count");
    let answered = count(&rows[0], "accepted") + count(&rows[0], "rejected");
    assert_eq!(count(&rows[0], "found"), answered, "{}", rows[0]);
    for row in rows {
        assert_eq!(row["reconnects"], 3, "{row}");
        assert!(row["accepted"].as_u64() >= Some(6), "{row}");
        assert_eq!(count(row, "twice"), 0, "{row}");
        // Whatever did not arrive has been refused by the pool as stale.
        assert_eq!(count(row, "lost"), count(row, "rejected"), "{row}");
    }
}
