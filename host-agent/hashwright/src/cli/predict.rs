//! `hashwright predict`: what boards would do under an aim, by their own models and with an interval of 95 %. Asked of a
//! running agent, or without one from exported profiles.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use autotune::{Aim, Layout, Prediction, Tuner};
use board_profiles::Profile;
use rpc::NoParams;
use rpc::method::{GetTunerStatus, TunerPredict, TunerProfiles};
use rpc::tuner::{PredictAsk, ProfileInfo, StationPrediction, StationTuner};

use super::reach::{ask, get, typed};
use super::tune::portable;
use super::tune::{AimArgs, CapArgs};
use super::{ClientArgs, Look};
use crate::format::{self, Column, Table, tuner as words};

const EXAMPLES: &str = "\
Examples:
  hashwright predict --watts 2400
  hashwright predict --hashrate \"95 TH/s\" rack-3-7
  hashwright predict --efficiency --profile-file board0.toml --profile-file board1.toml
                           without an agent, by what was exported of these boards";

/// What `predict` takes.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// What every client command takes.
    #[command(flatten)]
    pub client: ClientArgs,
    /// The aim.
    #[command(flatten)]
    pub aim: AimArgs,
    /// Ask no agent, but this tuned profile; repeat for all boards of a machine
    #[arg(long, value_name = "FILE", conflicts_with_all = ["name", "agent", "url"])]
    pub profile_file: Vec<PathBuf>,
    /// Bounds, for exported profiles; an agent has its own.
    #[command(flatten)]
    pub caps: CapArgs,
}

/// `hashwright predict`.
///
/// # Errors
///
/// No aim, no agent, files that cannot be used, or boards of which nothing is known.
pub async fn predict(args: &Args, look: Look) -> anyhow::Result<String> {
    let Some(aim) = args.aim.aim() else {
        bail!(
            "say what is asked for: --watts W, --hashrate \"95 TH/s\", --efficiency or --profit PRICE REVENUE"
        );
    };
    let caps = args.caps.over(autotune::Caps::default());
    if !args.profile_file.is_empty() {
        let prediction = offline(&args.profile_file, aim, caps.unwrap_or_default())?;
        if args.client.json {
            return Ok(serde_json::to_string(&prediction)?);
        }
        let boards = args.profile_file.len();
        let title = match boards {
            1 => "this board alone".to_owned(),
            boards => format!("these {boards} boards together"),
        };
        return Ok(one(&aim, &title, &prediction));
    }
    if caps.is_some() {
        bail!(
            "bounds are the agent's own (`hashwright tune start --max-...` changes them); only predictions from \
             --profile-file take them here"
        );
    }
    let client = args.client.connect().await?;
    let reply = ask::<TunerPredict>(&client, &PredictAsk { aim }).await?;
    if args.client.json {
        return Ok(reply.to_string());
    }
    let predictions = typed::<TunerPredict>(&reply)?;
    let now = get::<GetTunerStatus>(&client, &NoParams {}).await?;
    let profiles = get::<TunerProfiles>(&client, &NoParams {}).await?;
    Ok(all(
        &aim,
        &predictions,
        &now.stations,
        &profiles,
        look.width,
    ))
}

/// What boards would do by their exported models, one file each.
///
/// # Errors
///
/// Files that cannot be used, boards that do not belong together, or an aim that has no answer.
pub fn offline(files: &[PathBuf], aim: Aim, caps: autotune::Caps) -> anyhow::Result<Prediction> {
    let mut models = Vec::new();
    for path in files {
        models.push(portable::read(path)?);
    }
    let Some(first) = models.first() else {
        bail!("no tuned profile was named");
    };
    let profile = Profile::resolve(&first.profile).with_context(|| {
        format!(
            "{} was learned under the board profile {}",
            files[0].display(),
            format::plain(&first.profile, 64)
        )
    })?;
    let mut layout = Layout::from_profile(
        &profile,
        models
            .iter()
            .map(|model| Some(model.serial.clone()))
            .collect(),
    );
    let names: std::collections::BTreeSet<_> = models.iter().map(|model| &model.serial).collect();
    if names.len() < models.len() {
        bail!("two of the files are of the same board: their serial numbers are equal");
    }
    for (path, model) in files.iter().zip(&models) {
        portable::check_board(model, &layout.model, layout.chips())
            .with_context(|| format!("{} cannot be used", path.display()))?;
    }
    if models.len() > 1 {
        // Boards of a machine share its set point, whatever feeds them.
        layout.scope = autotune::Scope::Machine;
    }
    let mut tuner = Tuner::new(layout, aim, caps, models, 1)?;
    match tuner.predict(aim) {
        Some(prediction) => Ok(prediction),
        None => {
            // The tuner says in a step why it does not use a model.
            let why = std::iter::from_fn(|| tuner.poll_step())
                .map(|step| format!("{}: {}", step.hypothesis, step.evidence))
                .last()
                .unwrap_or_else(|| "no setting is safe by what is known".to_owned());
            bail!("nothing can be predicted ({})", format::plain(&why, 300))
        }
    }
}

/// A prediction for one machine.
fn one(aim: &Aim, title: &str, prediction: &Prediction) -> String {
    let mut lines = vec![format!("For {}, {title}:", words::aim(aim))];
    let mut line = |name: &str, value: String| lines.push(format!("  {name:<8} {value}"));
    line("power", words::interval(prediction.watts, "W"));
    line("work", words::interval(prediction.ths, "TH/s"));
    line("energy", words::interval(prediction.j_per_th, "J/TH"));
    line(
        "setting",
        format!(
            "{}, {:.0} MHz on the average, hottest chip {:.0} °C",
            words::volts(prediction.mv),
            prediction.mhz,
            prediction.chip_c
        ),
    );
    lines.extend(words::reach(prediction.reach).map(|reach| format!("! {reach}")));
    lines.extend(short(aim, prediction.watts[0], prediction.ths[0]));
    lines.push(INTERVALS.to_owned());
    lines.join("\n")
}

const INTERVALS: &str = "Intervals are of 95 %, by what is known of these very chips.";

/// Whether no more is known of a tuner's chips than their board profile tells.
pub(super) fn is_blank(tuner: &StationTuner, profiles: &[ProfileInfo]) -> bool {
    let known = |board: &usize| profiles.iter().any(|profile| profile.board == Some(*board));
    tuner.rounds == 0 && !tuner.boards.iter().any(known)
}

/// Predictions of an agent's stations, and their total.
fn all(
    aim: &Aim,
    predictions: &[StationPrediction],
    now: &[StationTuner],
    profiles: &[ProfileInfo],
    width: Option<usize>,
) -> String {
    let known: Vec<_> = predictions
        .iter()
        .filter_map(|one| one.prediction.as_ref())
        .collect();
    if known.is_empty() {
        return "The tuner does not know these boards yet, so nothing can be predicted. `hashwright tune start` lets \
                it learn them, which takes some minutes; `hashwright tune status` shows how far it is."
            .to_owned();
    }
    let mut table = Table::new([
        Column::left("boards"),
        Column::right("power"),
        Column::right("work"),
        Column::right("energy"),
        Column::right("voltage").gives_way(2),
        Column::right("clock").gives_way(1),
        Column::right("hottest chip").gives_way(3),
    ]);
    let mut notes = Vec::new();
    for station in predictions {
        let tuner = now.iter().find(|tuner| tuner.station == station.station);
        let name = match tuner {
            None => format!("station {}", station.station),
            Some(tuner) => {
                let boards: Vec<_> = tuner.boards.iter().map(ToString::to_string).collect();
                boards.join(", ")
            }
        };
        let Some(prediction) = &station.prediction else {
            notes.push(format!(
                "! {name}: the tuner does not know these boards yet; they are not in the total"
            ));
            table.push([name, "–".to_owned(), "–".to_owned(), "–".to_owned()]);
            continue;
        };
        if let Some(reach) = words::reach(prediction.reach) {
            notes.push(format!("! {name}: {reach}"));
        }
        if tuner.is_some_and(|tuner| is_blank(tuner, profiles)) {
            notes.push(format!(
                "! {name}: nothing was measured on these chips yet; this is what their board profile and usual chips say"
            ));
        }
        table.push([
            name,
            words::interval(prediction.watts, "W"),
            words::interval(prediction.ths, "TH/s"),
            words::interval(prediction.j_per_th, "J/TH"),
            words::volts(prediction.mv),
            format!("{:.0} MHz", prediction.mhz),
            format!("{:.0} °C", prediction.chip_c),
        ]);
    }
    let watts = total(known.iter().map(|one| one.watts));
    let ths = total(known.iter().map(|one| one.ths));
    if known.len() > 1 {
        table.push([
            "all".to_owned(),
            words::interval(watts, "W"),
            words::interval(ths, "TH/s"),
            words::interval(ratio(watts, ths), "J/TH"),
        ]);
    }
    if known.len() == predictions.len() {
        notes.extend(short(aim, watts[0], ths[0]));
    }
    let mut lines = vec![format!("For {} of all boards together:", words::aim(aim))];
    lines.extend(table.lines(width));
    lines.extend(notes.iter().flat_map(|note| match width {
        Some(width) => format::wrapped(note, width),
        None => vec![note.clone()],
    }));
    lines.push(INTERVALS.to_owned());
    lines.join("\n")
}

/// Says that an aim is not met, if it is not: bounds of heat, clock and voltage come first.
fn short(aim: &Aim, watts: f64, ths: f64) -> Option<String> {
    let (most, asked) = match *aim {
        Aim::Watts(asked) if watts < 0.98 * asked => (words::watts(watts), words::watts(asked)),
        Aim::Hashrate(asked) if ths < 0.98 * asked => (words::ths(ths), words::ths(asked)),
        _ => return None,
    };
    Some(format!(
        "! {most} of the {asked} asked for is all that the bounds of heat, clock and voltage allow here"
    ))
}

/// The sum of what is estimated apart: deviations add by their squares.
fn total(parts: impl Iterator<Item = [f64; 3]>) -> [f64; 3] {
    let (mut sum, mut below, mut above) = (0.0, 0.0_f64, 0.0_f64);
    for [likely, low, high] in parts {
        sum += likely;
        below = below.hypot(likely - low);
        above = above.hypot(high - likely);
    }
    [sum, sum - below, sum + above]
}

/// A ratio of two estimates, as if they were independent.
fn ratio(over: [f64; 3], under: [f64; 3]) -> [f64; 3] {
    let likely = over[0] / under[0];
    let share = |part: [f64; 3]| (part[2] - part[1]) / 2.0 / part[0];
    let half = likely * share(over).hypot(share(under));
    [likely, likely - half, likely + half]
}

#[cfg(test)]
mod tests {
    use super::*;
    use autotune::{Caps, Reach};

    fn prediction(watts: f64, ths: f64, reach: Reach) -> Prediction {
        let around = |value: f64| [value, value * 0.97, value * 1.03];
        Prediction {
            mv: 13_500.0,
            mhz: 490.0,
            ths: around(ths),
            watts: around(watts),
            j_per_th: around(watts / ths),
            chip_c: 71.0,
            reach,
        }
    }

    fn told(predictions: &[StationPrediction]) -> String {
        let tuner = |station| StationTuner {
            station,
            boards: vec![station],
            ..StationTuner::default()
        };
        let known = ProfileInfo {
            board: Some(1),
            ..ProfileInfo::default()
        };
        let now = [tuner(0), tuner(1)];
        all(&Aim::Watts(2000.0), predictions, &now, &[known], Some(100))
    }

    #[test]
    fn stations_have_a_line_each_and_a_total_whose_doubt_adds_by_squares() {
        let known = |station, watts, ths, reach| StationPrediction {
            station,
            prediction: Some(prediction(watts, ths, reach)),
        };
        let text = told(&[
            known(0, 1000.0, 60.0, Reach::Reached),
            known(1, 1000.0, 60.0, Reach::TooMuchPower),
        ]);
        assert!(text.starts_with("For 2000 W of all boards"), "{text}");
        // 30 W each: 42 together.
        assert!(text.contains("2000 ± 42 W"), "{text}");
        assert!(text.contains("120 ± 3 TH/s"), "{text}");
        assert!(!text.contains("asked for"), "{text}");
        assert!(text.contains("! 1: the boards cannot use"), "{text}");
        assert!(text.contains("! 0: nothing was measured"), "{text}");
        assert!(!text.contains("! 1: nothing was measured"), "{text}");
    }

    #[test]
    fn an_aim_that_is_not_met_is_said() {
        assert_eq!(short(&Aim::Watts(2000.0), 1990.0, 100.0), None);
        let short = short(&Aim::Watts(2000.0), 1800.0, 100.0).unwrap();
        assert!(
            short.starts_with("! 1800 W of the 2000 W asked for"),
            "{short}"
        );
    }

    #[test]
    fn boards_that_are_not_known_are_said_and_not_counted() {
        let unknown = |station| StationPrediction {
            station,
            prediction: None,
        };
        assert!(told(&[unknown(0)]).starts_with("The tuner does not know these boards yet"));
        let mixed = [
            StationPrediction {
                station: 0,
                prediction: Some(prediction(1000.0, 60.0, Reach::Reached)),
            },
            unknown(1),
        ];
        let text = told(&mixed);
        assert!(text.contains("! 1: the tuner does not know"), "{text}");
        assert!(!text.contains("all  "), "{text}");
    }

    #[test]
    fn an_exported_profile_answers_without_an_agent() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("board.toml");
        let layout = Layout::from_profile(
            &Profile::builtin("bitaxe-gamma").unwrap(),
            vec![Some("G-1".to_owned())],
        );
        let tuner = Tuner::new(layout, Aim::Efficiency, Caps::default(), Vec::new(), 1).unwrap();
        let model = tuner.models().remove(0);
        std::fs::write(
            &path,
            portable::write(&model, portable::Format::Toml).unwrap(),
        )
        .unwrap();

        let known = offline(
            std::slice::from_ref(&path),
            Aim::Watts(15.0),
            Caps::default(),
        )
        .unwrap();
        assert!((known.watts[0] - 15.0).abs() < 0.5, "{known:?}");
        assert!(known.watts[1] < known.watts[0] && known.watts[0] < known.watts[2]);
        let text = one(&Aim::Watts(15.0), "this board alone", &known);
        assert!(text.contains("J/TH") && text.contains("95 %"), "{text}");

        let twice = [path.clone(), path];
        let same = offline(&twice, Aim::Watts(15.0), Caps::default()).unwrap_err();
        assert!(same.to_string().contains("same board"), "{same}");
    }
}
