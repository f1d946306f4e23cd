//! `docs/config.md` and `docs/hardware.md` hold generated parts between marker lines. These
//! tests fail when a part differs from the code; `UPDATE_DOCS=1 cargo test -p hashwright
//! config` writes it anew.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use board_profiles::{Basis, Profile, VoltageScope};

use super::{Fake, reference};

fn document(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(name)
}

/// The part of a document between its marker lines must be `expected`.
fn check_part(name: &str, part: &str, expected: &str) {
    let path = document(name);
    let text = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = (
        format!("<!-- {part}: generated -->\n"),
        format!("<!-- {part}: end -->"),
    );
    let start = text
        .find(&begin)
        .expect("the document has the part's first marker")
        + begin.len();
    let stop = start
        + text[start..]
            .find(&end)
            .expect("the document has the part's last marker");
    let wanted = format!("\n{expected}\n");
    if text[start..stop] == wanted {
        return;
    }
    assert!(
        std::env::var_os("UPDATE_DOCS").is_some(),
        "docs/{name} is out of date; run UPDATE_DOCS=1 cargo test -p hashwright config"
    );
    let updated = format!("{}{wanted}{}", &text[..start], &text[stop..]);
    std::fs::write(&path, updated).unwrap();
}

#[test]
fn the_config_page_lists_every_key() {
    check_part("config.md", "reference", reference::markdown().trim_end());
    check_part("config.md", "faults", reference::faults().trim_end());
}

#[test]
fn the_hardware_page_lists_every_board() {
    check_part("hardware.md", "boards", boards().trim_end());
    check_part("hardware.md", "evidence", evidence().trim_end());
}

#[test]
fn configs_shown_in_documents_are_good() {
    let fake = Fake::default()
        .file("/etc/hashwright/pool.secret", "secret\n")
        .variable("POOL_PASSWORD", "secret");
    let mut shown = 0;
    for name in ["config.md", "hardware.md"] {
        let text = std::fs::read_to_string(document(name)).unwrap();
        for block in text.split("```toml\n").skip(1) {
            let block = block.split("```").next().unwrap();
            if !block.contains("[[board]]") {
                continue;
            }
            shown += 1;
            let parsed = fake.parse(block);
            assert!(
                parsed.is_ok(),
                "{name} shows\n{block}\n{}",
                parsed.unwrap_err()
            );
        }
    }
    assert!(shown >= 3, "only {shown} examples found");
}

#[test]
fn examples_of_keys_are_valid_toml() {
    for section in reference::SECTIONS {
        for key in section.keys {
            let line = format!("{} = {}", key.name, key.example);
            assert!(line.parse::<toml::Table>().is_ok(), "{line}");
        }
    }
}

/// The table of boards.
fn boards() -> String {
    let mut out = String::from(
        "| profile | board | chips | clock, MHz: min / default / max | volts: min / default / max \
         | expected | switched off at |\n|---|---|---|---|---|---|---|\n",
    );
    for profile in all() {
        let (c, f, v, l) = (
            &profile.chain,
            &profile.frequency,
            &profile.voltage,
            &profile.limits,
        );
        let scope = match v.scope {
            VoltageScope::Chip => "per chip",
            VoltageScope::Board => "board rail",
            VoltageScope::Psu => "power supply",
        };
        let volts = |mv: u32| format!("{}", f64::from(mv) / 1000.0);
        let domains = match c.domains {
            1 => String::new(),
            n => format!(", {n} x {} in series", c.chips_per_domain),
        };
        let expected = profile.hashrate_hps(f.default_mhz);
        let _ = writeln!(
            out,
            "| `{}` | {} | {} {}{domains} | {} / {} / {} | {} / {} / {} ({scope}) | {} | {} W, \
             chip {} °C |",
            profile.name,
            profile.model,
            c.chips,
            c.chip,
            f.min_mhz,
            f.default_mhz,
            f.max_mhz,
            volts(v.min_mv),
            volts(v.default_mv),
            volts(v.max_mv),
            crate::format::hashrate(expected),
            l.power_w,
            l.chip_c,
        );
    }
    out
}

/// The table of evidence.
fn evidence() -> String {
    let mut out = String::from(
        "| profile | chain | clock | voltage | limits | nominal | devices | curve | cooling | bridge \
         | linux | physics |\n|---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for profile in all() {
        let e = &profile.evidence;
        let claims = [
            Some(&e.chain),
            Some(&e.frequency),
            Some(&e.voltage),
            Some(&e.limits),
            Some(&e.nominal),
            Some(&e.devices),
            e.curve.as_ref(),
            Some(&e.cooling),
            e.bridge.as_ref(),
            e.linux.as_ref(),
            e.physics.as_ref(),
        ];
        let words = claims.map(|claim| match claim.map(|claim| claim.basis) {
            Some(Basis::Published) => "published",
            Some(Basis::MeasuredOnOneUnit) => "one unit",
            Some(Basis::Assumed) => "**assumed**",
            None => "–",
        });
        let _ = writeln!(out, "| `{}` | {} |", profile.name, words.join(" | "));
    }
    out
}

fn all() -> impl Iterator<Item = Profile> {
    Profile::names().map(|name| Profile::builtin(name).unwrap())
}
