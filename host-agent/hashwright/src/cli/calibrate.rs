//! `hashwright calibrate`: what a wall meter shows corrects the power that is reckoned with. It counts only while the
//! power rests, so that is waited for first.

use std::collections::VecDeque;
use std::time::Duration;

use anyhow::bail;
use rpc::NoParams;
use rpc::method::{GetTunerStatus, StationList, TunerCalibrate, TunerPredict};
use rpc::settings::Changed;
use rpc::tuner::{Calibrate, PredictAsk};
use rpc::{Write, tuner};
use tokio::time::{Instant, sleep};

use super::reach::{ask, connect, get, typed};
use super::tune::positive;
use super::{ChangeArgs, Client, render};
use crate::commands::note;
use crate::format::tuner as words;
use crate::state::StationStatus;

/// How long the power has to rest.
const REST: Duration = Duration::from_secs(20);
/// How often it is looked at.
const LOOK: Duration = Duration::from_secs(2);
/// Farthest from its mean that resting power is, share.
const STILL: f64 = 0.01;
/// How long resting is waited for.
const PATIENCE: Duration = Duration::from_secs(300);

const EXAMPLES: &str = "\
Read the meter while the miner runs steadily, then say what it shows:
  hashwright calibrate --watts 2437
  hashwright calibrate --watts 18.4 --station 1";

/// What `calibrate` takes.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// How a change is made.
    #[command(flatten)]
    pub change: ChangeArgs,
    /// What the meter shows, W
    #[arg(long, value_name = "W", value_parser = positive)]
    pub watts: f64,
    /// The station that the meter measures; needed if there are several
    #[arg(long, value_name = "INDEX")]
    pub station: Option<usize>,
    /// Do not wait until the power rests; the agent may refuse then
    #[arg(long)]
    pub now: bool,
}

/// What is reckoned with at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Reckoned {
    /// Power that the station says, W.
    said: Option<f64>,
    /// Power that the tuner promises at the setting in force, W.
    promised: Option<f64>,
    /// Least energy per work that it foresees, J/TH.
    best: Option<f64>,
}

/// `hashwright calibrate`.
///
/// # Errors
///
/// No agent, several stations without a choice, power that does not rest, or the agent's refusal.
pub async fn calibrate(args: &Args) -> anyhow::Result<String> {
    let client = connect(&args.change.agent).await?;
    let stations = get::<StationList>(&client, &NoParams {}).await?;
    let station = chosen(&stations, args.station)?;
    if !args.now && !args.change.how.dry_run {
        rest(&client, station).await?;
    }
    let before = reckoned(&client, station).await?;
    let what = Calibrate {
        station: Some(station),
        watts: args.watts,
    };
    let params = Write {
        what,
        how: args.change.how.options(),
    };
    let reply = ask::<TunerCalibrate>(&client, &params).await?;
    if args.change.json {
        return Ok(reply.to_string());
    }
    let changed = typed::<TunerCalibrate>(&reply)?;
    if !changed.applied {
        return Ok(render::changed(&changed));
    }
    // The station and the tuner look once a second.
    sleep(LOOK).await;
    let after = reckoned(&client, station).await?;
    Ok(told(args.watts, &changed, before, after))
}

fn told(watts: f64, changed: &Changed, before: Reckoned, after: Reckoned) -> String {
    let mut lines = Vec::new();
    if let Some(said) = before.said {
        lines.push(format!(
            "The meter shows {}, the miner said {} ({:+.1} %).",
            words::watts(watts),
            words::watts(said),
            100.0 * (said / watts - 1.0)
        ));
    }
    let mut pair = |name: &str, from: Option<f64>, to: Option<f64>, text: fn(f64) -> String| {
        if let (Some(from), Some(to)) = (from, to) {
            lines.push(format!("{name:<22} {} → {}", text(from), text(to)));
        }
    };
    pair(
        "promised here",
        before.promised,
        after.promised,
        words::watts,
    );
    pair(
        "least energy foreseen",
        before.best,
        after.best,
        words::joules,
    );
    let notes = changed.notes.iter();
    lines.extend(notes.map(|note| format!("! {}", crate::format::plain(note, 300))));
    lines.push("Done; it is kept with what is known of the boards.".to_owned());
    lines.join("\n")
}

/// The station that is meant.
fn chosen(stations: &[StationStatus], named: Option<usize>) -> anyhow::Result<usize> {
    let known = || {
        let names: Vec<_> = stations.iter().map(|s| s.index.to_string()).collect();
        names.join(", ")
    };
    match (named, stations) {
        (_, []) => {
            bail!("the agent controls the power of no board, so there is nothing to calibrate")
        }
        (None, [only]) => Ok(only.index),
        (None, _) => bail!(
            "a meter measures one station; say which with --station: there are {}",
            known()
        ),
        (Some(index), _) if stations.iter().any(|s| s.index == index) => Ok(index),
        (Some(index), _) => bail!("there is no station {index}; there are {}", known()),
    }
}

/// Waits until the power has rested for a while.
async fn rest(client: &Client, station: usize) -> anyhow::Result<()> {
    let begun = Instant::now();
    let mut seen = VecDeque::new();
    let mut told = false;
    let need = (REST.as_secs_f64() / LOOK.as_secs_f64()) as usize;
    loop {
        let Some(watts) = reckoned(client, station).await?.said else {
            // Where nothing says power the tuner's estimate is corrected, and the agent judges.
            return Ok(());
        };
        seen.push_back(watts);
        if seen.len() > need {
            seen.pop_front();
        }
        if seen.len() >= need && is_still(seen.make_contiguous()) {
            return Ok(());
        }
        if !std::mem::replace(&mut told, true) {
            note(&format!(
                "Watching the power for {} s until it rests; read the meter at the end of that.",
                REST.as_secs()
            ));
        }
        if begun.elapsed() > PATIENCE {
            bail!(
                "the power has not rested for {} s: it moved from {} to {} lately. Wait until `hashwright tune \
                 status` says `keeping`, or calibrate while tuning is off; --now does not wait",
                PATIENCE.as_secs(),
                words::watts(seen.iter().copied().fold(f64::MAX, f64::min)),
                words::watts(seen.iter().copied().fold(f64::MIN, f64::max)),
            );
        }
        sleep(LOOK).await;
    }
}

/// Whether power stays near its mean.
fn is_still(watts: &[f64]) -> bool {
    let mean = watts.iter().sum::<f64>() / watts.len().max(1) as f64;
    mean > 0.0 && watts.iter().all(|w| (w / mean - 1.0).abs() <= STILL)
}

async fn reckoned(client: &Client, station: usize) -> anyhow::Result<Reckoned> {
    let stations = get::<StationList>(client, &NoParams {}).await?;
    let status = stations.iter().find(|status| status.index == station);
    let said = status.and_then(|status| status.status.reading("input power")?.value);
    let tuners = get::<GetTunerStatus>(client, &NoParams {}).await?;
    let promised = promised(&tuners, station);
    let aim = autotune::Aim::Efficiency;
    let foreseen = get::<TunerPredict>(client, &PredictAsk { aim }).await;
    let best = foreseen.ok().and_then(|all| {
        let one = all.into_iter().find(|one| one.station == station)?;
        Some(one.prediction?.j_per_th[0])
    });
    Ok(Reckoned {
        said,
        promised,
        best,
    })
}

fn promised(status: &tuner::TunerStatus, station: usize) -> Option<f64> {
    let mut all = status.stations.iter();
    let one = all.find(|one| one.station == station)?;
    (one.watts > 0.0).then_some(one.watts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stations(count: usize) -> Vec<StationStatus> {
        let station = |index| StationStatus {
            index,
            ..StationStatus::default()
        };
        (0..count).map(station).collect()
    }

    #[test]
    fn a_station_has_to_be_named_only_where_there_are_several() {
        assert_eq!(chosen(&stations(1), None).unwrap(), 0);
        assert_eq!(chosen(&stations(3), Some(2)).unwrap(), 2);
        let several = chosen(&stations(3), None).unwrap_err().to_string();
        assert!(several.contains("0, 1, 2"), "{several}");
        assert!(chosen(&stations(3), Some(3)).is_err());
        assert!(chosen(&[], None).is_err());
    }

    #[test]
    fn power_rests_within_a_percent_of_its_mean() {
        assert!(is_still(&[100.0, 100.9, 99.2]));
        assert!(!is_still(&[100.0, 103.0, 100.0]));
        assert!(!is_still(&[]));
        assert!(!is_still(&[0.0, 0.0]));
    }

    #[test]
    fn before_and_after_stand_side_by_side() {
        let reckoned = |said, best| Reckoned {
            said: Some(said),
            promised: Some(said),
            best: Some(best),
        };
        let changed = Changed {
            applied: true,
            ..Changed::default()
        };
        let text = told(
            2437.0,
            &changed,
            reckoned(2350.0, 21.0),
            reckoned(2437.0, 21.8),
        );
        assert!(text.contains("said 2350 W (-3.6 %)"), "{text}");
        assert!(
            text.contains("promised here          2350 W → 2437 W"),
            "{text}"
        );
        assert!(text.contains("21.00 J/TH → 21.80 J/TH"), "{text}");
    }
}
