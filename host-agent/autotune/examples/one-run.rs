#![allow(unreachable_pub)]
//! One tuning run on a simulated machine, told step by step: `one-run BOARD SEED good|normal|poor AMBIENT_C eff|SHARE_OF_NOMINAL_WATTS|wWATTS`.
#[path = "../tests/bench/mod.rs"]
mod bench;
use autotune::Aim;
use board_simulator::physics::Quality;
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let name = args[1].as_str();
    let seed: u64 = args[2].parse().unwrap();
    let quality = match args[3].as_str() {
        "good" => Quality::GOOD,
        "poor" => Quality::POOR,
        _ => Quality::NORMAL,
    };
    let ambient: f64 = args[4].parse().unwrap();
    let (_, layout, _) = bench::layout(name);
    let nominal = layout.nominal_ths * layout.nominal_j_per_th * layout.boards() as f64;
    let aim = if args[5] == "eff" {
        Aim::Efficiency
    } else if let Some(watts) = args[5].strip_prefix('w') {
        Aim::Watts(watts.parse().unwrap())
    } else {
        Aim::Watts(nominal * args[5].parse::<f64>().unwrap())
    };
    let clock = std::time::Instant::now();
    let out = bench::run(name, quality, seed, ambient, aim);
    println!("aim {aim:?} took {:.1}s", clock.elapsed().as_secs_f64());
    println!(
        "tuner   {:.3} TH {:.1} W {:.3} J/TH",
        out.ths,
        out.watts,
        out.watts / out.ths
    );
    println!(
        "oracle  {:.3} TH {:.1} W {:.3} J/TH",
        out.oracle_ths,
        out.oracle_watts,
        out.oracle_watts / out.oracle_ths
    );
    println!(
        "factory {:.3} TH {:.1} W {:.3} J/TH",
        out.factory_ths,
        out.factory_watts,
        out.factory_watts / out.factory_ths
    );
    println!(
        "sweep   {:.3} TH {:.1} W {:.3} J/TH {:.0} s",
        out.sweep_ths,
        out.sweep_watts,
        out.sweep_watts / out.sweep_ths,
        out.sweep_s
    );
    println!(
        "tuned {:.0} 95% {:.0} 99% {:.0} lost {:.2}% viol {} rounds {} restart {:.0} {}",
        out.tuned_s,
        out.to_95_s,
        out.to_99_s,
        100.0 * out.lost,
        out.violations,
        out.rounds,
        out.restart_s,
        out.kinds
    );
}
