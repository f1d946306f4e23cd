//! A board controller that may come and go: it is met when it is first needed, and met anew after
//! its port was lost, because what answers then may have been started anew, or be another one.
//!
//! One that does not answer may still hear. So what makes a board safe (reset, supplies off, fans to
//! full speed, writes to its parts) is sent all the same, without waiting for answers: requests look
//! alike in every version of the protocol.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use board_profiles::{BridgeFans, PinRole, Profile};
use bridge::answer::Format;
use bridge::client::{ClientErrorKind, Firmware};
use bridge::{Client, ClientError, Exchange, Expect, FanPage};
use embedded_hal::i2c::{ErrorType, I2c, Operation};
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
    /// The way to a controller that does not answer; never open beside the other.
    mute: Option<Client<Mute<X>>>,
    lost: Arc<AtomicBool>,
    /// No new try before this moment, and why the last one failed.
    failed: Option<(Duration, BusError)>,
    clock: Clock,
    bound: Bound,
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
            mute: None,
            lost: Arc::default(),
            failed: None,
            clock,
            bound: Bound::default(),
        }
    }

    fn met(&mut self) -> Result<&mut BridgeBuses<Watched<X>>, BusError> {
        let now = self.clock.now();
        if self.lost.swap(false, Ordering::Relaxed) {
            self.met = None;
            self.failed = Some((
                now + RETRY,
                BusError::Gone("the control port was lost".into()),
            ));
        }
        if let Some((until, error)) = &self.failed
            && now < *until
        {
            return Err(error.clone());
        }
        if self.met.is_none() {
            self.mute = None;
            let port = Watched {
                port: (self.open)(),
                lost: Arc::clone(&self.lost),
                bound: self.bound.clone(),
                clock: self.clock,
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

    /// The way to a controller that does not answer.
    fn mute(&mut self) -> &mut Client<Mute<X>> {
        // A port that was just lost is let go before it is opened again.
        self.met = None;
        let fans = match self.profile.bridge.as_ref().map(|bridge| bridge.fans) {
            Some(BridgeFans::Bonanza) => FanPage::Bonanza,
            Some(BridgeFans::Bitcrane) => FanPage::Bitcrane,
            _ => FanPage::Device,
        };
        let open = &mut self.open;
        self.mute.get_or_insert_with(|| {
            let firmware = Firmware {
                format: Some(Format::V0),
                fans,
            };
            Client::new(Mute(open()), firmware)
        })
    }

    /// Number of a line's pin and the level at which it is asserted.
    fn pin(&self, line: Line) -> Option<(u8, bool)> {
        let bridge = self.profile.bridge.as_ref()?;
        let slot = |board: usize| self.slots.get(board).copied();
        let enables = |slot: u8, psu: bool| {
            let all = bridge.enables_in(slot);
            all.filter(move |enable| (enable.role == PinRole::Psu) == psu)
        };
        let enable = match line {
            Line::Reset { board } => {
                let reset = bridge.reset_in(slot(board)?);
                return Some((reset.pin, reset.level(true)));
            }
            Line::Enable { board, index } => enables(slot(board)?, false).nth(index)?,
            Line::Shared { index } => enables(slot(0)?, true).nth(index)?,
        };
        Some((enable.pin, enable.active.level(true)))
    }
}

/// Whether that state of a line makes a board safer.
fn is_safe(line: Line, asserted: bool) -> bool {
    asserted == matches!(line, Line::Reset { .. })
}

/// A port on which nobody waits for answers.
struct Mute<X>(X);

impl<X: Exchange<Error = BusError>> Exchange for Mute<X> {
    type Error = BusError;

    fn exchange(
        &mut self,
        request: &[u8],
        _expect: Option<Expect>,
        response: &mut [u8],
    ) -> Result<usize, BusError> {
        self.0.exchange(request, None, response)?;
        Err(BusError::Timeout)
    }
}

/// A bus behind a controller that does not answer: writes go out, and what would have to be read is
/// not even asked for.
struct MuteBus<'a, X>(&'a mut Client<Mute<X>>, u8);

impl<X> ErrorType for MuteBus<'_, X> {
    type Error = BusError;
}

impl<X: Exchange<Error = BusError>> I2c for MuteBus<'_, X> {
    fn transaction(
        &mut self,
        address: u8,
        operations: &mut [Operation<'_>],
    ) -> Result<(), BusError> {
        let writes = |operation: &Operation<'_>| matches!(operation, Operation::Write(_));
        if !operations.iter().all(writes) {
            return Err(BusError::Timeout);
        }
        let sent = self.0.i2c(self.1).transaction(address, operations);
        Err(sent
            .err()
            .map_or(BusError::Timeout, |error| unheard(error.0)))
    }
}

/// The port's own error; that nobody answered is none.
fn unheard(error: ClientError<BusError>) -> BusError {
    match error.kind {
        ClientErrorKind::Port(error) => error,
        _ => BusError::Timeout,
    }
}

impl<X, F> Buses for Reconnecting<X, F>
where
    X: Exchange<Error = BusError>,
    F: FnMut() -> X,
{
    fn i2c(&mut self, board: usize, bus: &str) -> Result<Bus<'_>, BusError> {
        if self.met().is_err() {
            let bridge = self.profile.bridge.as_ref();
            let number = bridge.map_or(0, |bridge| bridge.bus_number(bus));
            return Ok(Box::new(MuteBus(self.mute(), number)));
        }
        self.met()?.i2c(board, bus)
    }

    fn set_line(&mut self, line: Line, asserted: bool) -> Result<bool, BusError> {
        let error = match self.met() {
            Ok(buses) => return buses.set_line(line, asserted),
            Err(error) => error,
        };
        match self.pin(line).filter(|_| is_safe(line, asserted)) {
            Some((pin, active)) => {
                let sent = self.mute().set_pin(pin, active == asserted);
                Err(sent.err().map_or(error, unheard))
            }
            None => Err(error),
        }
    }

    fn line(&mut self, line: Line) -> Result<bool, BusError> {
        self.met()?.line(line)
    }

    fn set_fan(&mut self, fan: usize, percent: u8) -> Result<(), BusError> {
        let error = match self.met() {
            Ok(buses) => return buses.set_fan(fan, percent),
            Err(error) => error,
        };
        match u8::try_from(fan) {
            Ok(fan) if percent == 100 => {
                let sent = self.mute().set_fan(fan, percent);
                Err(sent.err().map_or(error, unheard))
            }
            _ => Err(error),
        }
    }

    fn fan_rpm(&mut self, fan: usize) -> Result<u32, BusError> {
        self.met()?.fan_rpm(fan)
    }

    fn converter_mv(&mut self, index: usize) -> Result<u32, BusError> {
        self.met()?.converter_mv(index)
    }

    fn bound(&mut self, time: Option<Duration>) {
        self.bound.set(time.map(|time| self.clock.now() + time));
    }

    fn board_guard(&mut self) -> Option<&mut dyn BoardGuard> {
        self.met().ok()?.board_guard()
    }
}

/// The moment after which the port is asked nothing, shared with it: one access can be many
/// questions.
#[derive(Clone, Debug, Default)]
struct Bound(Arc<Mutex<Option<Duration>>>);

impl Bound {
    fn set(&self, until: Option<Duration>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }

    fn check(&self, now: Duration) -> Result<(), BusError> {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if until.is_some_and(|until| now >= until) {
            return Err(BusError::Gone(
                "the controller answers too slowly".to_owned(),
            ));
        }
        Ok(())
    }
}

/// A port that minds its bound, and notes when it was lost.
struct Watched<X> {
    port: X,
    lost: Arc<AtomicBool>,
    bound: Bound,
    clock: Clock,
}

impl<X: Exchange<Error = BusError>> Exchange for Watched<X> {
    type Error = BusError;

    fn exchange(
        &mut self,
        request: &[u8],
        expect: Option<Expect>,
        response: &mut [u8],
    ) -> Result<usize, BusError> {
        self.bound.check(self.clock.now())?;
        let outcome = self.port.exchange(request, expect, response);
        if matches!(outcome, Err(BusError::Gone(_))) {
            self.lost.store(true, Ordering::Relaxed);
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A port that takes requests and gives no answer.
    #[derive(Clone, Default)]
    struct Deaf(Arc<Mutex<Vec<Vec<u8>>>>);

    impl Exchange for Deaf {
        type Error = BusError;

        fn exchange(
            &mut self,
            request: &[u8],
            expect: Option<Expect>,
            _response: &mut [u8],
        ) -> Result<usize, BusError> {
            self.0.lock().unwrap().push(request.to_vec());
            expect.map_or(Ok(0), |_| Err(BusError::Timeout))
        }
    }

    fn unanswered(name: &str) -> (Deaf, impl Buses) {
        let deaf = Deaf::default();
        let port = deaf.clone();
        let profile = Arc::new(Profile::builtin(name).unwrap());
        let buses = Reconnecting::new(move || port.clone(), profile, vec![0], Clock::start());
        (deaf, buses)
    }

    impl Deaf {
        /// What was sent without the number of the request.
        fn heard(&self, what: &[u8]) -> bool {
            let sent = self.0.lock().unwrap();
            sent.iter().any(|request| request.get(3..) == Some(what))
        }
    }

    #[tokio::test]
    async fn a_controller_that_does_not_answer_is_told_to_be_safe_all_the_same() {
        let (deaf, mut buses) = unanswered("bitaxe-gamma");
        let reset = Line::Reset { board: 0 };
        assert_eq!(buses.set_line(reset, true), Err(BusError::Timeout));
        assert!(deaf.heard(&[0, 6, 0, 0]), "pin 0 low");
        // Operation off, to the regulator.
        let sent = buses.i2c(0, "i2c0").unwrap().write(0x24, &[0x01, 0x00]);
        assert_eq!(sent, Err(BusError::Timeout));
        assert!(deaf.heard(&[0, 5, 0x20, 0x24, 0x01, 0x00]));

        let (deaf, mut buses) = unanswered("s19k-pro");
        let supply = Line::Shared { index: 0 };
        assert!(buses.set_line(supply, false).is_err());
        assert!(deaf.heard(&[0, 6, 0x50, 0]));
        assert!(buses.set_fan(3, 100).is_err());
        assert!(deaf.heard(&[0, 9, 0x14, 100]));
    }

    #[tokio::test]
    async fn nothing_that_could_do_harm_is_sent_unheard() {
        let (deaf, mut buses) = unanswered("s19k-pro");
        let _ = buses.set_line(Line::Reset { board: 0 }, false);
        let _ = buses.set_line(Line::Shared { index: 0 }, true);
        let _ = buses.set_fan(0, 40);
        let _ = buses
            .i2c(0, "i2c0")
            .unwrap()
            .write_read(0x48, &[0], &mut [0; 2]);
        let sent = deaf.0.lock().unwrap();
        // Only questions: what can it do, and which format do its answers have.
        let known: [&[u8]; 2] = [&[0, 0x48, 1], &[0, 6, 0]];
        let asks = |request: &Vec<u8>| known.contains(&&request[3..]);
        assert!(sent.iter().all(asks), "{sent:02x?}");
    }

    #[tokio::test]
    async fn nothing_is_asked_once_the_time_for_it_is_over() {
        let (clock, bound) = (Clock::start(), Bound::default());
        let mut port = Watched {
            port: Deaf::default(),
            lost: Arc::default(),
            bound: bound.clone(),
            clock,
        };
        let mut ask = || port.exchange(&[6, 0, 7, 0, 6, 0], None, &mut []);
        assert_eq!(ask(), Ok(0));
        bound.set(Some(clock.now()));
        assert!(matches!(ask(), Err(BusError::Gone(_))));
        bound.set(None);
        assert_eq!(ask(), Ok(0));
        assert!(!port.lost.load(Ordering::Relaxed), "it is only slow");
    }
}
