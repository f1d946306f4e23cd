//! A process that is killed in the middle of writing leaves a file that opens and has everything up to
//! its last word.

mod support;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use history::{FilePages, Settings};
use support::{Run, T0, assert_true};

const FILE: &str = "HISTORY_KILL_TEST_FILE";

/// Runs as a child: writes without end and says how far it has come.
#[test]
fn child() {
    let Some(file) = std::env::var_os(FILE) else {
        return;
    };
    let pages = FilePages::open(file.as_ref()).unwrap();
    let mut run = Run::begin(pages, Settings::default(), T0);
    loop {
        run.run(60);
        run.archive.flush().unwrap();
        println!("\nat {}", run.now());
    }
}

#[test]
fn a_killed_process_loses_only_what_it_had_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("history.ring");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["child", "--exact", "--nocapture", "--test-threads=1"])
        .env(FILE, &file)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = T0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        if let Some(at) = line.unwrap().strip_prefix("at ") {
            said = at.parse().unwrap();
        }
        if said >= T0 + 3 * 3600 {
            break;
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();

    let pages = FilePages::open(&file).unwrap();
    // Long after, as it may have come further than it said.
    let mut run = Run::begin(pages, Settings::default(), T0 + 86_400);
    run.run(1);
    let minutes = run.temperatures(T0, said, 60);
    assert_eq!(assert_true(&minutes), 180);
    assert!(minutes.covered_s.iter().all(|covered| *covered == 60));
    let info = run.archive.info();
    assert!(info.damaged_pages <= 1, "{info:?}");
}
