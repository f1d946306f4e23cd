//! Proof of the tuner on simulated machines, against an oracle, the factory's setting and the published sweep.
//!
//! `proof run FILE BOARD SEEDS AIM [AMBIENTS]` appends a line per run to FILE (AIM: `watts` or `efficiency`; AMBIENTS: `10,25,35`) and
//! leaves out the runs that FILE has already;
//! `proof render FILE OUT.md` writes the tables and the plots beside them.
#![allow(unreachable_pub)]

#[path = "../tests/bench/mod.rs"]
mod bench;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;

use autotune::Aim;
use board_simulator::physics::Quality;

const QUALITIES: [(&str, Quality); 3] = [
    ("good", Quality::GOOD),
    ("normal", Quality::NORMAL),
    ("poor", Quality::POOR),
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["run", file, board, seeds, aim, rest @ ..] => {
            let ambients = rest.first().copied().unwrap_or("10,25,35");
            run(file, board, seeds.parse().unwrap_or(20), aim, ambients);
        }
        ["render", file, out] => render(file, out),
        _ => eprintln!(
            "usage: proof run FILE BOARD SEEDS watts|efficiency [AMBIENTS] | proof render FILE OUT.md"
        ),
    }
}

fn run(file: &str, board: &str, seeds: u64, aim_name: &str, ambients: &str) {
    let (_, layout, _) = bench::layout(board);
    let nominal = layout.nominal_ths * layout.nominal_j_per_th * layout.boards() as f64;
    let aim = match aim_name {
        "efficiency" => Aim::Efficiency,
        _ => Aim::Watts((0.85 * nominal).round().max(1.0)),
    };
    let done = fs::read_to_string(file).unwrap_or_default();
    for seed in 1..=seeds {
        for (quality_name, quality) in QUALITIES {
            for ambient in ambients.split(',') {
                let key = format!("{board}\t{aim_name}\t{quality_name}\t{ambient}\t{seed}\t");
                if done.lines().any(|line| line.starts_with(&key)) {
                    continue;
                }
                let celsius: f64 = ambient.parse().unwrap_or(25.0);
                let mut machine = bench::Bench::new(board, quality, seed, celsius);
                machine.ruled_c = (aim_name == "ruled").then_some(60.0);
                let out = bench::run_on(machine, aim);
                // Energy per work at the oracle's power: it grows with the power's 0.3rd power along the best settings.
                let same_power = match aim {
                    Aim::Watts(_) => (out.oracle_watts / out.watts).powf(0.3),
                    _ => 1.0,
                };
                let own = out.watts / out.ths * same_power;
                let gap = own / (out.oracle_watts / out.oracle_ths) - 1.0;
                let off = match aim {
                    Aim::Watts(want) => out.watts / want - 1.0,
                    _ => 0.0,
                };
                let line = format!(
                    "{board}\t{aim_name}\t{quality_name}\t{ambient}\t{seed}\t{gap:.6}\t{off:.6}\t{:.5}\t{:.5}\t{:.5}\t{:.5}\t{:.0}\t{:.0}\t{:.0}\t{:.0}\t{:.5}\t{}\t{}\t{:.0}\t{}\t{}\t{}\t{}\n",
                    out.watts / out.ths,
                    out.oracle_watts / out.oracle_ths,
                    out.factory_watts / out.factory_ths,
                    out.sweep_watts / out.sweep_ths
                        * match aim {
                            Aim::Watts(_) => (out.watts / out.sweep_watts).powf(0.3),
                            _ => 1.0,
                        },
                    out.sweep_s,
                    out.tuned_s,
                    out.to_95_s,
                    out.to_99_s,
                    out.lost,
                    out.violations,
                    out.rounds,
                    out.restart_s,
                    out.restarts,
                    out.hung,
                    out.dead,
                    out.sweep_limits,
                );
                append(file, &line);
                if seed == 1 && quality_name == "normal" && ambient == "25" {
                    let mut trace = String::new();
                    for (t, ths, watts) in out.curve.iter().step_by(2) {
                        let _ = writeln!(trace, "{t:.0}\t{ths:.4}\t{watts:.2}");
                    }
                    let _ = fs::write(format!("{file}.{board}.{aim_name}.trace"), trace);
                }
            }
        }
    }
}

fn append(file: &str, line: &str) {
    let opened = fs::OpenOptions::new().create(true).append(true).open(file);
    if let Ok(mut opened) = opened {
        let _ = opened.write_all(line.as_bytes());
    }
}

fn render(file: &str, out: &str) {
    let text = fs::read_to_string(file).unwrap_or_default();
    let mut groups: BTreeMap<(String, String, String), Vec<Vec<f64>>> = BTreeMap::new();
    for line in text.lines() {
        let cells: Vec<&str> = line.split('\t').collect();
        if cells.len() < 23 {
            continue;
        }
        let numbers = cells[3..]
            .iter()
            .map(|cell| cell.parse().unwrap_or(f64::NAN))
            .collect();
        let rank = match cells[2] {
            "good" => "1 good",
            "normal" => "2 normal",
            _ => "3 poor",
        };
        groups
            .entry((cells[1].into(), cells[0].into(), rank.into()))
            .or_default()
            .push(numbers);
    }
    let mut page = String::from(include_str!("proof-head.md"));
    for (aim, title) in [
        ("watts", "Aim: 85 % of the nominal power"),
        ("efficiency", "Aim: efficiency"),
        (
            "ruled",
            "Aim: 85 % of the nominal power, fans ruled toward 60 °C by somebody else",
        ),
    ] {
        if !groups.keys().any(|key| key.0 == aim) {
            continue;
        }
        let _ = write!(
            page,
            "\n## {title}\n\n| board | quality | runs | gap to the oracle, mean (worst) | power off, mean of amounts (worst) | factory J/TH | sweep J/TH | tuned J/TH | oracle J/TH | time to 95 % | to 99 % | tuned after | sweep takes | lost while tuning, mean (worst) | limits passed | chips hung / dead | chain restarts | limits passed by the sweep, points | restart to tuned |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n"
        );
        for ((of, board, quality), rows) in &groups {
            if of != aim {
                continue;
            }
            // Columns: ambient, seed, gap, off, tuned, oracle, factory, sweep, sweep s, tuned s, 95, 99, lost, violations, rounds, restart, chain restarts.
            let column = |i: usize| rows.iter().map(move |row| row[i]).filter(|x| x.is_finite());
            let mean = |i: usize| column(i).sum::<f64>() / column(i).count().max(1) as f64;
            let worst = |i: usize| column(i).fold(f64::NEG_INFINITY, f64::max);
            let off_mean = column(3).map(f64::abs).sum::<f64>() / rows.len() as f64;
            let off_worst = column(3).map(f64::abs).fold(0.0, f64::max);
            let median = |i: usize| {
                let mut all: Vec<f64> = column(i).collect();
                all.sort_by(f64::total_cmp);
                all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
            };
            let _ = writeln!(
                page,
                "| {board} | {} | {} | {:.2} % ({:.2} %) | {:.2} % ({:.2} %) | {:.2} | {:.2} | {:.2} | {:.2} | {:.0} s | {:.0} s | {:.0} s | {:.0} s | {:.1} % ({:.1} %) | {:.0} | {:.0} / {:.0} | {:.0} | {:.0} | {:.0} s |",
                &quality[2..],
                rows.len(),
                100.0 * mean(2),
                100.0 * worst(2),
                100.0 * off_mean,
                100.0 * off_worst,
                mean(6),
                mean(7),
                mean(4),
                mean(5),
                median(10),
                median(11),
                median(9),
                median(8),
                100.0 * mean(12),
                100.0 * worst(12),
                column(13).sum::<f64>(),
                column(17).sum::<f64>(),
                column(18).sum::<f64>(),
                column(16).sum::<f64>(),
                column(19).sum::<f64>(),
                median(15),
            );
        }
    }
    let names = [
        "bitaxe-gamma",
        "emberone00",
        "s19k-pro",
        "s19j-pro",
        "s21",
        "s21-pro",
    ];
    let folder = std::path::Path::new(out)
        .parent()
        .map(std::path::Path::to_path_buf)
        .unwrap_or_default();
    let _ = writeln!(
        page,
        "\n## How a run goes\n\nWork (blue) and input power (orange) of a normal board in air of 25 °C, aim 85 % of the nominal power, each over its end value.\n"
    );
    for name in names {
        if let Ok(trace) = fs::read_to_string(format!("{file}.{name}.watts.trace")) {
            let _ = fs::write(folder.join(format!("tuner-{name}.svg")), plot(name, &trace));
            let _ = writeln!(page, "![{name}](tuner-{name}.svg)");
        }
    }
    if let Err(error) = fs::write(out, page) {
        eprintln!("{out}: {error}");
    }
}

fn plot(name: &str, trace: &str) -> String {
    let points: Vec<[f64; 3]> = trace
        .lines()
        .filter_map(|line| {
            let mut cells = line
                .split('\t')
                .map(|cell| cell.parse().unwrap_or(f64::NAN));
            Some([cells.next()?, cells.next()?, cells.next()?])
        })
        .collect();
    let Some(last) = points.last().copied() else {
        return String::new();
    };
    let (width, height) = (640.0, 220.0);
    let x = |t: f64| 50.0 + t / last[0] * (width - 70.0);
    let y = |share: f64| height - 30.0 - (share.clamp(0.6, 1.4) - 0.6) / 0.8 * (height - 50.0);
    let path = |i: usize| {
        points
            .iter()
            .map(|point| format!("{:.1},{:.1}", x(point[0]), y(point[i] / last[i])))
            .collect::<Vec<_>>()
            .join(" ")
    };
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"11\"><rect width=\"100%\" height=\"100%\" fill=\"white\"/><text x=\"50\" y=\"14\">{name}</text>"
    );
    for share in [0.6, 0.8, 1.0, 1.2, 1.4] {
        let _ = write!(
            svg,
            "<line x1=\"50\" x2=\"{}\" y1=\"{1:.1}\" y2=\"{1:.1}\" stroke=\"#ddd\"/><text x=\"20\" y=\"{1:.1}\">{share:.1}</text>",
            width - 20.0,
            y(share)
        );
    }
    for t in (0..=(last[0] as u32)).step_by(100) {
        let _ = write!(
            svg,
            "<text x=\"{:.1}\" y=\"{}\">{t} s</text>",
            x(f64::from(t)),
            height - 10.0
        );
    }
    for (i, colour) in [(1, "#1f6fb4"), (2, "#e07b28")] {
        let _ = write!(
            svg,
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\" points=\"{}\"/>",
            path(i)
        );
    }
    svg.push_str("</svg>\n");
    svg
}
