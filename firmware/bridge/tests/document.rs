//! Keeps the table of fault numbers in `docs/control-protocol.md` what the code says. To write it anew:
//! `UPDATE_DOCS=1 cargo test -p bridge`.

use std::fmt::Write as _;
use std::{env, fs, path::Path};

use guard::FaultCode;

const FROM: &str = "<!-- faults: written by UPDATE_DOCS=1 cargo test -p bridge -->\n";
const TO: &str = "<!-- end of faults -->\n";

#[test]
fn fault_numbers_stand_in_the_document() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/control-protocol.md");
    let text = fs::read_to_string(&path).expect("the document");
    let (before, rest) = text.split_once(FROM).expect("the first mark");
    let (_, after) = rest.split_once(TO).expect("the second mark");
    let mut table = String::from("| number | fault |\n|---|---|\n");
    for code in FaultCode::ALL {
        writeln!(table, "| {:02X} | `{code}` |", code.number()).expect("a string takes all");
    }
    let wanted = format!("{before}{FROM}{table}{TO}{after}");
    if env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, wanted).expect("written");
        return;
    }
    assert!(
        text == wanted,
        "docs/control-protocol.md is out of date; run UPDATE_DOCS=1 cargo test -p bridge"
    );
}
