//! A board controller that may come and go: it is met when it is first needed, and met anew after
//! its port was lost, because what answers then may have been started anew, or be another one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use board_profiles::Profile;
use bridge::{Exchange, Expect};
use station::buses::{BoardGuard, Bus};
use station::{BridgeBuses, BusError, Buses, Line};

use crate::clock::Clock;

/// Pause before a controller that could not be met is tried again, so that the many accesses of a
/// station do not each wait for an answer that will not come.
const RETRY: Duration = Duration::from_secs(1);

/// Buses behind a controller on a port that `open` opens.
pub(super) struct Reconnecting<X: Exchange<Error = BusError>, F> {
    open: F,
    profile: Arc<Profile>,
    slots: Vec<u8>,
    met: Option<BridgeBuses<Watched<X>>>,
    lost: Arc<AtomicBool>,
    /// No new try before this moment, and why the last one failed.
    failed: Option<(Duration, BusError)>,
    clock: Clock,
}

impl<X, F> Reconnecting<X, F>
where
    X: Exchange<Error = BusError>,
    F: FnMut() -> X,
{
    pub(super) fn new(open: F, profile: Arc<Profile>, slots: Vec<u8>, clock: Clock) -> Self {
        Self {
            open,
            profile,
            slots,
            met: None,
            lost: Arc::default(),
            failed: None,
            clock,
        }
    }

    fn met(&mut self) -> Result<&mut BridgeBuses<Watched<X>>, BusError> {
        let now = self.clock.now();
        if self.lost.swap(false, Ordering::Relaxed) {
            self.met = None;
            self.failed = Some((now + RETRY, BusError::Port("the control port was lost".into())));
        }
        if let Some((until, error)) = &self.failed
            && now < *until
        {
            return Err(error.clone());
        }
        if self.met.is_none() {
            let port = Watched {
                port: (self.open)(),
                lost: Arc::clone(&self.lost),
            };
            let met = BridgeBuses::connect(port, Arc::clone(&self.profile), &self.slots);
            self.lost.store(false, Ordering::Relaxed);
            match met {
                Ok(buses) => {
                    let guard = match buses.capabilities() {
                        Some(_) => "its own, besides the agent's",
                        None => "none of its own: if this computer hangs, power stays on",
                    };
                    tracing::info!(board = %self.profile.model, guard, "board controller found");
                    (self.met, self.failed) = (Some(buses), None);
                }
                Err(error) => {
                    self.failed = Some((now + RETRY, error.clone()));
                    return Err(error);
                }
            }
        }
        self.met
            .as_mut()
            .ok_or_else(|| BusError::Port("no controller".to_owned()))
    }
}

impl<X, F> Buses for Reconnecting<X, F>
where
    X: Exchange<Error = BusError>,
    F: FnMut() -> X,
{
    fn i2c(&mut self, board: usize, bus: &str) -> Result<Bus<'_>, BusError> {
        self.met()?.i2c(board, bus)
    }

    fn set_line(&mut self, line: Line, asserted: bool) -> Result<bool, BusError> {
        self.met()?.set_line(line, asserted)
    }

    fn line(&mut self, line: Line) -> Result<bool, BusError> {
        self.met()?.line(line)
    }

    fn set_fan(&mut self, fan: usize, percent: u8) -> Result<(), BusError> {
        self.met()?.set_fan(fan, percent)
    }

    fn fan_rpm(&mut self, fan: usize) -> Result<u32, BusError> {
        self.met()?.fan_rpm(fan)
    }

    fn converter_mv(&mut self, index: usize) -> Result<u32, BusError> {
        self.met()?.converter_mv(index)
    }

    fn board_guard(&mut self) -> Option<&mut dyn BoardGuard> {
        self.met().ok()?.board_guard()
    }
}

/// A port that notes when it was lost.
struct Watched<X> {
    port: X,
    lost: Arc<AtomicBool>,
}

impl<X: Exchange<Error = BusError>> Exchange for Watched<X> {
    type Error = BusError;

    fn exchange(
        &mut self,
        request: &[u8],
        expect: Option<Expect>,
        response: &mut [u8],
    ) -> Result<usize, BusError> {
        let outcome = self.port.exchange(request, expect, response);
        if matches!(outcome, Err(BusError::Port(_))) {
            self.lost.store(true, Ordering::Relaxed);
        }
        outcome
    }
}
