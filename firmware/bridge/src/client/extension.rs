//! The guard on the controller, as a host talks to it.

use guard::{CoolingMode, FaultCode, SetPoint};

use crate::answer::Refusal;
use crate::client::{Asked, Client, ClientError, ClientErrorKind, Exchange};
use crate::extension::{
    Ask, Brief, Capabilities, GuardState, LimitsSummary, ReadingKind, Readings,
};
use crate::page::Command;

impl<X: Exchange> Client<X> {
    /// Whether the controller has a guard of its own. `None` means that it is other firmware: everything else works,
    /// and nothing but the host watches over the board.
    ///
    /// # Errors
    ///
    /// The port's error if the controller does not answer anything, or an answer that makes no sense.
    pub fn capabilities(&mut self) -> Result<Option<Capabilities>, ClientError<X::Error>> {
        // Firmware that does not answer unknown pages at all still answers known ones. One lost answer must not make a
        // guard look like none.
        let mut silent = false;
        loop {
            let error = match self.ask(Ask::Capabilities, Capabilities::parse) {
                Ok(capabilities) => return Ok(Some(capabilities)),
                Err(error) => error,
            };
            match error.kind {
                ClientErrorKind::Refused(Refusal::Invalid | Refusal::Message(_)) => {
                    return Ok(None);
                }
                ClientErrorKind::Port(_) if silent => return Ok(None),
                ClientErrorKind::Port(_) if self.pin_level(0).is_ok() => silent = true,
                _ => return Err(error),
            }
        }
    }

    /// The guard on the controller. Ask [`Client::capabilities`] first whether there is one.
    pub fn guard(&mut self) -> BoardGuard<'_, X> {
        BoardGuard { client: self }
    }

    fn ask<T>(
        &mut self,
        ask: Ask,
        parse: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<T, ClientError<X::Error>> {
        let data = self.call(&Command::Extension(ask))?;
        parse(data).ok_or(Asked::Guard(ask).nonsense())
    }
}

/// The guard on a controller.
///
/// The guard alone decides: what is asked here may be refused, and power follows only when it has verified
/// temperatures and fans itself. Without a grant the controller keeps reset and enable pins down and refuses writes
/// to the regulator that would raise its voltage; fans never run below its floor.
#[derive(Debug)]
pub struct BoardGuard<'a, X> {
    client: &'a mut Client<X>,
}

impl<X: Exchange> BoardGuard<'_, X> {
    /// Renews the lease. When it runs out, power goes off and fans to 100 %.
    ///
    /// # Errors
    ///
    /// As [`Client::call`], here and below.
    pub fn heartbeat(&mut self) -> Result<Brief, ClientError<X::Error>> {
        self.client.ask(Ask::Heartbeat, Brief::parse)
    }

    /// All that the guard says of itself.
    ///
    /// # Errors
    ///
    /// As [`Client::call`].
    pub fn state(&mut self) -> Result<GuardState, ClientError<X::Error>> {
        self.client.ask(Ask::State, GuardState::parse)
    }

    /// The hard limits.
    ///
    /// # Errors
    ///
    /// As [`Client::call`].
    pub fn limits(&mut self) -> Result<LimitsSummary, ClientError<X::Error>> {
        self.client.ask(Ask::Limits, LimitsSummary::parse)
    }

    /// A person clears a latched fault, naming it.
    ///
    /// # Errors
    ///
    /// As [`Client::call`]; a refusal if this fault is not the latched one.
    pub fn clear(&mut self, code: FaultCode) -> Result<Brief, ClientError<X::Error>> {
        self.client.ask(Ask::Clear(code), Brief::parse)
    }

    /// Asks for power.
    ///
    /// # Errors
    ///
    /// As [`Client::call`]; a refusal beyond a hard limit or while a fault is latched.
    pub fn power_on(&mut self, point: SetPoint) -> Result<Brief, ClientError<X::Error>> {
        self.client.ask(Ask::Power(Some(point)), Brief::parse)
    }

    /// Power off, at once.
    ///
    /// # Errors
    ///
    /// As [`Client::call`].
    pub fn power_off(&mut self) -> Result<Brief, ClientError<X::Error>> {
        self.client.ask(Ask::Power(None), Brief::parse)
    }

    /// Announces another set point; to be done before the regulator is set, so that the guard expects the new voltage.
    ///
    /// # Errors
    ///
    /// As [`BoardGuard::power_on`].
    pub fn set_point(&mut self, point: SetPoint) -> Result<Brief, ClientError<X::Error>> {
        self.client.ask(Ask::SetPoint(point), Brief::parse)
    }

    /// Sets the cooling mode. Immersion takes the fan rule away: ask only when a person has confirmed it.
    ///
    /// # Errors
    ///
    /// As [`Client::call`]; a refusal where the guard's rules are against it.
    pub fn cooling(&mut self, mode: CoolingMode) -> Result<Brief, ClientError<X::Error>> {
        self.client.ask(Ask::Cooling(mode), Brief::parse)
    }

    /// What the guard saw last.
    ///
    /// # Errors
    ///
    /// As [`Client::call`].
    pub fn readings(&mut self, kind: ReadingKind) -> Result<Readings, ClientError<X::Error>> {
        self.client
            .ask(Ask::Readings(kind), |data| Readings::parse(kind, data))
    }
}
