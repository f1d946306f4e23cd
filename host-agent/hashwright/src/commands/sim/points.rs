//! The table of operating points: where the simulated machine settles at the clocks and voltages of its
//! profile and at those that somebody has published, with the published figures beside it.

use board_profiles::{Profile, VoltageScope};
use board_simulator::physics::{PhysicsSpec, operating_point, published};
use serde::Serialize;

use crate::config::Sim;
use crate::format::{Column, Table};
use crate::simulate;

/// One line of the table; power and hashrate are those of the whole machine.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Point {
    /// Clock, MHz.
    mhz: f64,
    /// Output of the supply or regulator, mV.
    mv: f64,
    /// Where the point comes from.
    source: String,
    /// Correct work, TH/s.
    hashrate_ths: f64,
    /// The same as published.
    published_ths: Option<f64>,
    /// Input power, W.
    input_w: f64,
    /// The same as published.
    published_w: Option<f64>,
    /// Energy per correct work, J/TH.
    j_per_th: f64,
    /// Share of correct work.
    delivered: f64,
    /// Warmest board sensor, °C.
    board_c: Option<f64>,
    /// Hottest die, °C.
    die_c: f64,
    /// Whether there is a steady state at all.
    steady: bool,
}

/// The points of a profile, ascending by clock and voltage.
pub(super) fn points(profile: &Profile, sim: &Sim, fan: f64) -> anyhow::Result<Vec<Point>> {
    let spec = simulate::physics(profile, sim.quality, sim.seed)?;
    let rail = |mv: u32| f64::from(profile.rail_mv(mv));
    let (clock, volts) = (&profile.frequency, &profile.voltage);
    let mut wanted: Vec<Wanted> = published(&profile.name)
        .iter()
        .map(|point| Wanted {
            mhz: point.mhz,
            mv: point.mv,
            source: point.source.to_owned(),
            published_ths: Some(point.hashrate_ths),
            published_w: point.input_w,
        })
        .collect();
    let curve = profile.curve.iter();
    let curve = curve.map(|point| (point.mhz, point.mv, "curve"));
    let default = [(clock.default_mhz, volts.default_mv, "default")];
    for (mhz, mv, source) in curve.chain(default) {
        let mv = rail(mv);
        let same = |known: &&mut Wanted| known.mhz == mhz && (known.mv - mv).abs() < 1.0;
        match wanted.iter_mut().find(same) {
            Some(known) => known.source = format!("{}, {source}", known.source),
            None => wanted.push(Wanted {
                mhz,
                mv,
                source: source.to_owned(),
                published_ths: None,
                published_w: None,
            }),
        }
    }
    wanted.sort_by(|a, b| a.mhz.total_cmp(&b.mhz).then(a.mv.total_cmp(&b.mv)));
    wanted
        .into_iter()
        .map(|wanted| point(&spec, wanted, sim.ambient_c, fan))
        .collect()
}

/// A point to look at.
struct Wanted {
    mhz: f64,
    mv: f64,
    source: String,
    published_ths: Option<f64>,
    published_w: Option<f64>,
}

fn point(spec: &PhysicsSpec, wanted: Wanted, ambient_c: f64, fan: f64) -> anyhow::Result<Point> {
    let settled = operating_point(spec, wanted.mhz, wanted.mv, ambient_c, fan)?;
    Ok(Point {
        mhz: wanted.mhz,
        mv: wanted.mv,
        source: wanted.source,
        hashrate_ths: settled.hashrate_ths,
        published_ths: wanted.published_ths,
        input_w: settled.input_w,
        published_w: wanted.published_w,
        j_per_th: settled.j_per_th,
        delivered: settled.delivered,
        board_c: settled.sensors_c.iter().copied().reduce(f64::max),
        die_c: settled.die_c,
        steady: settled.steady,
    })
}

/// The table for people.
pub(super) fn render(profile: &Profile, sim: &Sim, fan: f64, points: &[Point]) -> String {
    let boards = match profile.chain.boards_per_machine {
        1 => String::new(),
        boards => format!(", a machine with {boards} boards"),
    };
    let scope = match profile.voltage.scope {
        VoltageScope::Chip => "regulator's output",
        VoltageScope::Board => "board's rail",
        VoltageScope::Psu => "power supply's output",
    };
    let title = format!(
        "{}{boards}: where it settles in air of {} °C with fans at {fan} %, seed {}\n\
         mV are those of the {scope}; W at the wall (at the board's input where it has no supply of its own)",
        profile.model, sim.ambient_c, sim.seed
    );
    let mut table = Table::new([
        Column::right("MHz"),
        Column::right("mV"),
        Column::right("TH/s"),
        Column::right("published"),
        Column::right("W"),
        Column::right("published"),
        Column::right("J/TH"),
        Column::right("published"),
        Column::right("delivered"),
        Column::right("board °C"),
        Column::right("die °C"),
        Column::left("point"),
    ]);
    for point in points {
        let mut note = point.source.clone();
        if !point.steady {
            note.push_str("; runs away: no cooling holds it there");
        }
        let published_j = point
            .published_w
            .zip(point.published_ths)
            .map(|(watts, ths)| watts / ths);
        table.push([
            format!("{}", point.mhz),
            format!("{:.0}", point.mv),
            number(Some(point.hashrate_ths), point.hashrate_ths),
            number(point.published_ths, point.hashrate_ths),
            number(Some(point.input_w), point.input_w),
            number(point.published_w, point.input_w),
            number(Some(point.j_per_th), point.j_per_th),
            number(published_j, point.j_per_th),
            format!("{:.1} %", point.delivered * 100.0),
            number(point.board_c, 50.0),
            number(Some(point.die_c), 50.0),
            note,
        ]);
    }
    format!("{title}\n\n{}\n", table.lines(None).join("\n"))
}

/// A number with as many digits as numbers like `size` deserve.
fn number(value: Option<f64>, size: f64) -> String {
    let digits = match size {
        size if size < 10.0 => 3,
        size if size < 1000.0 => 1,
        _ => 0,
    };
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.digits$}"))
}
