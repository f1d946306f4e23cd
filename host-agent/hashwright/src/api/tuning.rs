//! The tuner's views and questions, and registers of chips.

use std::time::Duration;

use autotune::{Aim, BoardModel, Explanation};
use bm13xx::Register;
use rpc::Error;
use rpc::tuner::{
    Curve, CurveAsk, OneChip, OneSerial, PredictAsk, ProfileInfo, RegisterAsk, RegisterValue,
    StationPrediction, StepList, TunerStep,
};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::methods::Faces;
use crate::board::ReadAsk;
use crate::clock::Clock;
use crate::commands::unix_time;
use crate::demand;
use crate::tune::{Handle, Kept, Models, Wish};

/// Steps that are told at most.
pub const STEP_LIMIT: usize = 200;
/// Points of a curve, and how many there are unless somebody says.
const POINTS: std::ops::RangeInclusive<u8> = 2..=40;
const USUAL_POINTS: u8 = 12;
/// Longest time that chips are waited for: a second to answer, and those who asked before.
const ANSWERED: Duration = Duration::from_secs(5);
/// A board's name among those of its station is no serial number longer than this.
const LONGEST_SERIAL: usize = 64;

/// What the API shows of tuners, and whom it asks.
#[derive(Clone, Debug)]
pub struct Tuning {
    /// The tuners, in the order of the stations.
    pub tuners: Vec<Handle>,
    /// What is wanted at this moment, and the way to say so.
    pub demand: demand::Handle,
    /// What was learned of boards.
    pub models: Models,
    /// The ways to the registers of the boards' chips.
    pub registers: Vec<mpsc::Sender<ReadAsk>>,
    /// The agent's time.
    pub clock: Clock,
}

impl Tuning {
    /// Nothing to tune.
    #[must_use]
    pub fn none(clock: Clock) -> Self {
        Self {
            tuners: Vec::new(),
            demand: demand::Handle::detached(),
            models: Models::default(),
            registers: Vec::new(),
            clock,
        }
    }

    /// The tuners that are meant, with their positions.
    fn chosen(&self, station: Option<usize>) -> Result<Vec<(usize, &Handle)>, Error> {
        let all = self.tuners.iter().enumerate();
        match station {
            None => Ok(all.collect()),
            Some(wanted) if wanted < self.tuners.len() => {
                Ok(all.filter(|(index, _)| *index == wanted).collect())
            }
            Some(wanted) => Err(Error::invalid_params(match self.tuners.len() {
                0 => "this agent controls no station".to_owned(),
                count => format!(
                    "there is no station {wanted}; the stations are 0 to {}",
                    count - 1
                ),
            })),
        }
    }
}

pub(super) fn steps(faces: &Faces, wanted: StepList) -> Result<Vec<TunerStep>, Error> {
    let tuning = &faces.tuning;
    let (now, unix_s) = (tuning.clock.now(), unix_time());
    let mut steps = Vec::new();
    for (station, tuner) in tuning.chosen(wanted.station)? {
        steps.extend(tuner.view.borrow().told_steps(station, now, unix_s));
    }
    steps.sort_by_key(|step| step.unix_s);
    let most = wanted.limit.unwrap_or(STEP_LIMIT).min(STEP_LIMIT);
    steps.drain(..steps.len().saturating_sub(most));
    Ok(steps)
}

pub(super) async fn explain(faces: &Faces, wanted: OneChip) -> Result<Explanation, Error> {
    let found = faces.tuning.tuners.iter().find_map(|tuner| {
        let view = tuner.view.borrow();
        let place = view.boards.iter().position(|own| *own == wanted.board)?;
        Some((tuner, place, view.wish.aim == Aim::Off))
    });
    let OneChip { board, chip } = wanted;
    let Some((tuner, place, off)) = found else {
        return Err(Error::denied(format!(
            "no tuner has board {board}: this agent does not control its power"
        )));
    };
    if let Some(explanation) = tuner.explain(place, chip).await {
        return Ok(explanation);
    }
    let chips = usize::from(tuner.profile.chain.chips);
    Err(Error::denied(if chip >= chips {
        format!(
            "board {board} has no chip {chip}; its chips are 0 to {}",
            chips.saturating_sub(1)
        )
    } else if off {
        format!("board {board} is not tuned: its chips run as configured (`hashwright tune start`)")
    } else {
        format!(
            "the tuner of board {board} has no plan yet: it waits for power, or measures for the first time"
        )
    }))
}

pub(super) async fn curve(faces: &Faces, wanted: CurveAsk) -> Result<Vec<Curve>, Error> {
    let points = wanted.points.unwrap_or(USUAL_POINTS);
    if !POINTS.contains(&points) {
        return Err(Error::invalid_params(format!(
            "points is {points}, but must be from {} to {}",
            POINTS.start(),
            POINTS.end()
        )));
    }
    let mut curves = Vec::new();
    for (station, tuner) in faces.tuning.chosen(wanted.station)? {
        let points = tuner.curve(points.into()).await;
        curves.push(Curve { station, points });
    }
    Ok(curves)
}

pub(super) async fn predict(
    faces: &Faces,
    wanted: PredictAsk,
) -> Result<Vec<StationPrediction>, Error> {
    if !wanted.aim.is_sane() {
        return Err(Error::invalid_params(
            "that is no aim that can be meant: watts, hashrate and revenue must be above 0",
        ));
    }
    let whole = Wish {
        aim: wanted.aim,
        caps: autotune::Caps::default(),
    };
    let mut predictions = Vec::new();
    for (station, tuner) in faces.tuning.chosen(None)? {
        let prediction = tuner.predict(whole.part(tuner.share).aim).await;
        predictions.push(StationPrediction {
            station,
            prediction,
        });
    }
    Ok(predictions)
}

pub(super) async fn profiles(faces: &Faces) -> Result<Vec<ProfileInfo>, Error> {
    let kept = all(faces).await?;
    let place = |serial: &str| {
        faces.tuning.tuners.iter().find_map(|tuner| {
            let view = tuner.view.borrow();
            let place = view.serials.iter().position(|own| own == serial)?;
            view.boards.get(place).copied()
        })
    };
    let info = |Kept { model, unix_s }: Kept| ProfileInfo {
        board: place(&model.serial),
        serial: model.serial,
        profile: model.profile,
        complete: model.complete,
        regret_percent: 100.0 * model.regret,
        kept_unix_s: unix_s,
    };
    Ok(kept.into_iter().map(info).collect())
}

pub(super) async fn export(faces: &Faces, wanted: OneSerial) -> Result<BoardModel, Error> {
    let all = all(faces).await?;
    let found = all
        .into_iter()
        .find(|kept| kept.model.serial == wanted.serial);
    found.map(|kept| kept.model).ok_or_else(|| {
        Error::denied(format!(
            "nothing is known of a board {}; tuner.profiles lists those that are",
            crate::format::plain(&wanted.serial, LONGEST_SERIAL)
        ))
    })
}

/// What is kept, and newer what tuners have learned since.
async fn all(faces: &Faces) -> Result<Vec<Kept>, Error> {
    let models = faces.tuning.models.clone();
    let kept = tokio::task::spawn_blocking(move || models.all()).await;
    let mut kept = kept.map_err(|error| Error::internal(error.to_string()))?;
    for tuner in &faces.tuning.tuners {
        for model in tuner.models().await {
            match kept
                .iter_mut()
                .find(|known| known.model.serial == model.serial)
            {
                Some(known) => known.model = model,
                None => kept.push(Kept {
                    model,
                    unix_s: None,
                }),
            }
        }
    }
    kept.sort_by(|a, b| a.model.serial.cmp(&b.model.serial));
    Ok(kept)
}

pub(super) async fn read_register(
    faces: &Faces,
    wanted: RegisterAsk,
) -> Result<Vec<RegisterValue>, Error> {
    let board = wanted.board;
    let Some(way) = faces.tuning.registers.get(board) else {
        let boards: Vec<_> = (0..faces.tuning.registers.len()).collect();
        return Err(Error::invalid_params(format!(
            "no board {board}; the boards are {boards:?}"
        )));
    };
    let Some(register) = Register::from_address(wanted.register) else {
        let known: Vec<_> = Register::ALL
            .iter()
            .map(|r| format!("{:#04x}", *r as u8))
            .collect();
        return Err(Error::invalid_params(format!(
            "nothing is known of a register {:#04x}; known are {}",
            wanted.register,
            known.join(", ")
        )));
    };
    let chip = wanted.chip.map(u16::try_from).transpose();
    let chip = chip.map_err(|_| Error::invalid_params("no chain is that long"))?;
    let resting = || {
        Error::denied(format!(
            "the chips of board {board} do not answer: the board has no power, or its chain is starting"
        ))
    };
    let (reply, answer) = oneshot::channel();
    way.try_send(ReadAsk {
        chip,
        register,
        reply,
    })
    .map_err(|_| resting())?;
    let answer = timeout(ANSWERED, answer).await;
    let values = answer.map_err(|_| resting())?.map_err(|_| resting())?;
    let values = values.map_err(Error::denied)?;
    Ok(values
        .into_iter()
        .map(|(chip, value)| RegisterValue {
            chip: chip.into(),
            register: wanted.register,
            value,
        })
        .collect())
}
