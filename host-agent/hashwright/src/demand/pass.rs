//! Passing on what holds: to tuners in steps that are worth a plan, to the settings when it is time to sleep or to wake.
//! Whoever takes long is told the newest only.

use std::time::Duration;

use autotune::{Activity, Aim};
use rpc::Error;
use station::{Notice, Severity};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::events::EventLog;
use crate::settings::Settings;
use crate::stop::Stop;
use crate::tune;

/// While a cap goes down tuners are told in steps of this share: planning is work, and every move costs some.
const STEP: f64 = 0.015;
/// While it goes up, in larger ones.
const STEP_UP: f64 = 0.03;
/// Further at once is no ramp.
const JUMP: f64 = 0.05;
/// A cap that has not moved for so many looks has come to rest, and is told as it is.
const AT_REST: u32 = 4;
/// Time after which a station that did not follow is asked again.
const AGAIN: Duration = Duration::from_secs(10);

/// What tuners were told last.
#[derive(Debug, Default)]
pub(super) struct Steps {
    told: Option<tune::Wish>,
    last_w: Option<f64>,
    still: u32,
}

impl Steps {
    /// What tuners are to be told now, if it is worth it. It is never more than what holds.
    pub(super) fn next(&mut self, wish: tune::Wish) -> Option<tune::Wish> {
        let watts = wish.caps.watts;
        self.still = match self.last_w == watts {
            true => self.still.saturating_add(1),
            false => 0,
        };
        self.last_w = watts;
        let next = match (self.told, watts) {
            (Some(told), Some(watts)) if kind(told) == kind(wish) && self.still < AT_REST => {
                // The kinds are alike, so that was a cap too.
                let last = told.caps.watts.unwrap_or(watts);
                if watts >= last && watts < last * (1.0 + STEP_UP) {
                    return None;
                }
                // A jump is no ramp, and told as it is.
                let creeps = watts < last && watts > last * (1.0 - JUMP);
                let ahead = if creeps { 1.0 - STEP } else { 1.0 };
                with_watts(wish, watts * ahead)
            }
            _ => wish,
        };
        if self.told == Some(next) {
            return None;
        }
        self.told = Some(next);
        Some(next)
    }
}

/// Everything but the number of watts.
fn kind(wish: tune::Wish) -> tune::Wish {
    let mut kind = wish;
    kind.caps.watts = wish.caps.watts.map(|_| 1.0);
    if let (Aim::Watts(aim), Some(cap)) = (wish.aim, wish.caps.watts)
        && aim >= cap
    {
        kind.aim = Aim::Watts(1.0);
    }
    kind
}

fn with_watts(wish: tune::Wish, watts: f64) -> tune::Wish {
    let mut next = wish;
    next.caps.watts = Some(watts);
    if let Aim::Watts(aim) = &mut next.aim {
        *aim = aim.min(watts);
    }
    next
}

/// Tells a tuner what it gets of every wish. One that is on its way to another setting may arrive there with the wish before,
/// so it is told once more when it has come to rest.
pub(super) async fn to_tuner(
    mut tuner: tune::Handle,
    mut wishes: watch::Receiver<Option<tune::Wish>>,
    mut stop: Stop,
) {
    let mut told = None;
    let mut again = false;
    loop {
        let wish = *wishes.borrow_and_update();
        let activity = tuner.view.borrow_and_update().status.activity.clone();
        let rests = !matches!(activity, Activity::Moving | Activity::Measuring);
        if let Some(wish) = wish
            && (told != Some(wish) || again && rests)
        {
            // False at the end of the program, or of a tuner that thinks for too long.
            let heard = tuner.want(wish.part(tuner.share)).await;
            told = Some(wish);
            again = !heard || matches!(activity, Activity::Moving);
        }
        tokio::select! {
            () = stop.stopped() => return,
            changed = wishes.changed() => if changed.is_err() {
                return;
            },
            changed = tuner.view.changed(), if again => again = changed.is_ok(),
        }
    }
}

/// Lets boards rest and go on.
pub(super) async fn to_settings(
    settings: Settings,
    mut rest: watch::Receiver<Option<String>>,
    events: EventLog,
    mut stop: Stop,
) {
    let mut done = None;
    loop {
        let wanted = rest.borrow_and_update().clone();
        let again = if wanted == done {
            None
        } else {
            match settings.rest(wanted.clone()).await {
                Ok(()) => {
                    done = wanted;
                    None
                }
                Err(error) => {
                    if !stop.is_stopped() {
                        events.note(&[], not_followed(wanted.is_some(), &error));
                    }
                    Some(AGAIN)
                }
            }
        };
        tokio::select! {
            () = stop.stopped() => return,
            changed = rest.changed() => if changed.is_err() {
                return;
            },
            () = sleep(again.unwrap_or_default()), if again.is_some() => {}
        }
    }
}

fn not_followed(sleep: bool, error: &Error) -> Notice {
    let what = if sleep { "go to sleep" } else { "wake" };
    Notice {
        severity: Severity::Warning,
        code: "demand".to_owned(),
        text: format!(
            "boards do not {what} as a rule of [tuner] wants: {}",
            error.text()
        ),
        advice: "it is tried again every 10 s".to_owned(),
        ..Notice::default()
    }
}
