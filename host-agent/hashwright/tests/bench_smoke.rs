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

#[test]
fn the_path_is_measured_on_a_real_agent() {
    let outcome = bench(&["path", "--chains", "2", "--events", "8"]);
    assert_eq!(outcome["notify_to_job"]["count"], 16);
    assert!(outcome["nonce_to_submit"]["count"].as_u64() >= Some(8));
    assert_eq!(outcome["relay_to_chains"]["count"], 16);
    assert!(outcome["accepted"].as_u64() >= Some(8));
    assert_eq!(outcome["rejected"], 0);
    assert!(outcome["steady"]["rss_mb"].as_f64() > Some(0.0));
}
