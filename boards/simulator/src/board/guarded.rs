//! The controller kind that runs our own application: a rig that gives it the simulated buses, pins and fans as its hardware.

use std::time::Duration;

use bridge::{
    AdcInput,
    app::{App, Boot, Broken, Hardware, Plan, PlanError},
};
use embedded_hal::i2c::{Error, ErrorKind, ErrorType, I2c, NoAcknowledgeSource, Operation};
use guard::{Percent, Rpm};

use super::{
    Pin,
    bus::{BusError, Buses, Senses},
    spec::{AdcSpec, PinRole},
};

/// The application, and what it does not keep itself.
#[derive(Debug)]
pub(super) struct Guarded {
    app: App,
    plan: Plan,
    open: bool,
    /// When to call it next.
    next: Duration,
}

impl std::fmt::Debug for Rig<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rig").finish_non_exhaustive()
    }
}

/// The board as the application's hardware, at one moment.
pub(super) struct Rig<'a> {
    pub(super) buses: &'a mut Buses,
    pub(super) senses: Senses,
    pub(super) pins: &'a mut [Pin],
    pub(super) page_duty: &'a mut [Option<f64>],
    pub(super) adc: &'a [AdcSpec],
    /// Set when the application restarts the controller.
    pub(super) rebooted: bool,
}

impl Guarded {
    pub(super) fn new(plan: &Plan) -> Result<Self, PlanError> {
        Ok(Self {
            app: App::new(plan)?,
            plan: *plan,
            open: false,
            next: Duration::ZERO,
        })
    }

    pub(super) fn start(&mut self, now: Duration, rig: &mut Rig<'_>) {
        self.app.start(now, rig);
        self.next = self.app.tick(now, rig);
    }

    pub(super) fn receive(&mut self, now: Duration, rig: &mut Rig<'_>, bytes: &[u8]) {
        if !self.open {
            self.open = true;
            self.app.port_opened(now, rig);
        }
        self.app.receive(now, rig, bytes);
        self.next = self.app.tick(now, rig);
    }

    pub(super) fn close(&mut self, now: Duration, rig: &mut Rig<'_>) {
        if self.open {
            self.open = false;
            self.app.port_closed(now, rig);
            self.next = self.app.tick(now, rig);
        }
    }

    pub(super) fn tick(&mut self, now: Duration, rig: &mut Rig<'_>) {
        if now >= self.next {
            self.next = self.app.tick(now, rig);
        }
    }

    /// The controller has restarted: an application that knows nothing, on pins as after power-on.
    pub(super) fn restart(&mut self, now: Duration, rig: &mut Rig<'_>) {
        if let Ok(app) = App::new(&self.plan) {
            self.app = app;
        }
        self.open = false;
        self.start(now, rig);
    }

    /// The answers, one per call.
    pub(super) fn take_output(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        let mut some = [0; 512];
        loop {
            let taken = self.app.take_output(&mut some);
            if taken == 0 {
                return all;
            }
            all.extend_from_slice(&some[..taken]);
        }
    }

    pub(super) fn next(&self) -> Duration {
        self.next
    }

    pub(super) fn grants(&self) -> bool {
        self.app.decision().power
    }

    pub(super) fn app(&self) -> &App {
        &self.app
    }
}

impl Rig<'_> {
    fn pin_mut(&mut self, number: u8) -> Result<&mut Pin, Broken> {
        self.pins
            .iter_mut()
            .find(|pin| pin.spec.number == number)
            .ok_or(Broken::Missing)
    }
}

impl<'r> Hardware for Rig<'r> {
    type I2c<'a>
        = Wire<'a>
    where
        Self: 'a;

    fn i2c(&mut self, bus: u8) -> Option<Wire<'_>> {
        Some(Wire {
            buses: self.buses,
            senses: &self.senses,
            bus,
        })
    }

    fn set_i2c_frequency(&mut self, _bus: u8, _hertz: u32) -> Result<(), Broken> {
        Ok(())
    }

    fn set_pin(&mut self, pin: u8, level: bool) -> Result<(), Broken> {
        let pin = self.pin_mut(pin)?;
        if pin.spec.role == PinRole::Plug {
            return Err(Broken::Missing);
        }
        pin.level = level;
        // What a regulator feels of its enable pin within the same call.
        let mut core = self
            .pins
            .iter()
            .filter(|pin| pin.spec.role == PinRole::Core)
            .peekable();
        self.senses.enabled = core.peek().is_some().then(|| core.all(Pin::active));
        Ok(())
    }

    fn pin(&mut self, pin: u8) -> Result<bool, Broken> {
        self.pin_mut(pin).map(|pin| pin.level)
    }

    fn set_duty(&mut self, fan: u8, duty: Percent) -> Result<(), Broken> {
        let place = self.page_duty.get_mut(usize::from(fan));
        *place.ok_or(Broken::Missing)? = Some(f64::from(duty.get()));
        Ok(())
    }

    fn rpm(&mut self, fan: u8) -> Result<Rpm, Broken> {
        let tach = self.senses.tach_rpm.get(usize::from(fan));
        tach.map(|&rpm| Rpm(rpm as u32)).ok_or(Broken::Missing)
    }

    fn adc(&mut self, input: AdcInput) -> Result<u16, Broken> {
        let core = input == AdcInput::Vdd;
        let adc = self.adc.iter().find(|adc| adc.core == core);
        adc.map(|adc| adc.counts(&self.senses))
            .ok_or(Broken::Missing)
    }

    fn set_led(&mut self, _red: u8, _green: u8, _blue: u8) -> Result<(), Broken> {
        Ok(())
    }

    fn reboot(&mut self, _boot: Boot) {
        self.rebooted = true;
    }
}

impl AdcSpec {
    /// What the converter reads.
    pub(super) fn counts(&self, senses: &Senses) -> u16 {
        let mv = if self.core {
            senses.output_mv
        } else {
            senses.input_mv
        };
        let full = f64::from(self.full_scale);
        (mv / self.full_scale_mv * full).round().clamp(0.0, full) as u16
    }
}

/// One bus while the application uses it.
#[derive(Debug)]
pub(super) struct Wire<'a> {
    buses: &'a mut Buses,
    senses: &'a Senses,
    bus: u8,
}

impl Error for BusError {
    fn kind(&self) -> ErrorKind {
        match self {
            BusError::Nak => ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address),
            BusError::Stuck => ErrorKind::Bus,
        }
    }
}

impl ErrorType for Wire<'_> {
    type Error = BusError;
}

impl I2c for Wire<'_> {
    fn transaction(
        &mut self,
        address: u8,
        operations: &mut [Operation<'_>],
    ) -> Result<(), BusError> {
        if operations.is_empty() {
            return self
                .buses
                .transact(self.senses, self.bus, address, &[], &mut []);
        }
        // Writes that follow each other are one write on the wire; a read ends it.
        let mut write = Vec::new();
        let mut pending = false;
        for operation in operations {
            match operation {
                Operation::Write(bytes) => {
                    write.extend_from_slice(bytes);
                    pending = true;
                }
                Operation::Read(bytes) => {
                    self.buses
                        .transact(self.senses, self.bus, address, &write, bytes)?;
                    write.clear();
                    pending = false;
                }
            }
        }
        if pending {
            self.buses
                .transact(self.senses, self.bus, address, &write, &mut [])?;
        }
        Ok(())
    }
}
