//! Stations over virtual boards: bring-up, wind-down, and every kind of bad hardware.

mod support;

use support::rig::Rig;

/// Boards with every kind of regulator, fan and controller.
const BOARDS: [&str; 8] = [
    "bitaxe-gamma",
    "bitaxe-ultra",
    "bitaxe-max",
    "bitaxe-gt",
    "bitaxe-hex",
    "nerdqaxe-pp",
    "s19k-pro",
    "s21-pro",
];

#[test]
fn every_board_comes_up() {
    for name in BOARDS {
        println!("=== {name}");
        let mut rig = Rig::new(name);
        rig.up();
        rig.run(120.0);
        for (at, notice) in &rig.notices {
            println!("{at:?} {:?} {}: {}", notice.severity, notice.code, notice.text);
        }
        let status = rig.status();
        println!("{:?} {:?} {:?}", status.phase, status.power, status.set_points);
        for reading in &status.readings {
            println!("{} {:?} {} {:?} {:?}", reading.name, reading.value, reading.unit.symbol(), reading.source, reading.trouble);
        }
        println!("{:?} {:?}", status.fans, status.cooling);
        println!("{:?}", rig.truth());
    }
}
