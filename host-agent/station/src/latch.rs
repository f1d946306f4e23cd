//! A latched fault as it is kept over a restart of the program: only a person clears it, and the end of
//! a process is no person.

use std::time::Duration;

use guard::{Fault, FaultCode, Subject};
use serde::{Deserialize, Serialize};

/// A latched fault to keep. The names are those of the guard, so that a record outlives versions of
/// the program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredFault {
    /// Stable name of the fault.
    pub code: String,
    /// What it is about.
    pub subject: StoredSubject,
    /// The value that was seen, in the code's unit.
    pub value: i32,
    /// What it was held against.
    pub limit: i32,
    /// The fault that was one too many, for `too-many-restarts`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

/// What a stored fault is about, by the station's numbering.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoredSubject {
    /// All that is switched together.
    Group,
    /// A temperature sensor.
    Sensor(u8),
    /// A fan.
    Fan(u8),
    /// A rail.
    Rail(u8),
    /// A device.
    Device(u8),
    /// The program that mines.
    Supervisor,
}

impl StoredFault {
    /// A record that cannot be read: something was latched, nobody knows what.
    #[must_use]
    pub fn unreadable() -> Self {
        Self {
            code: FaultCode::TooManyRestarts.as_str().to_owned(),
            subject: StoredSubject::Group,
            value: 0,
            limit: 0,
            cause: None,
        }
    }

    pub(crate) fn of(fault: &Fault) -> Self {
        Self {
            code: fault.code.as_str().to_owned(),
            subject: match fault.subject {
                Subject::Group => StoredSubject::Group,
                Subject::Sensor(index) => StoredSubject::Sensor(index),
                Subject::Fan(index) => StoredSubject::Fan(index),
                Subject::Rail(index) => StoredSubject::Rail(index),
                Subject::Device(index) => StoredSubject::Device(index),
                Subject::Supervisor => StoredSubject::Supervisor,
            },
            value: fault.value,
            limit: fault.limit,
            cause: fault.cause.map(|code| code.as_str().to_owned()),
        }
    }

    /// The fault to latch. A code that this version does not know latches all the same.
    pub(crate) fn restore(&self, now: Duration) -> Fault {
        Fault {
            code: FaultCode::from_name(&self.code).unwrap_or(FaultCode::TooManyRestarts),
            subject: match self.subject {
                StoredSubject::Group => Subject::Group,
                StoredSubject::Sensor(index) => Subject::Sensor(index),
                StoredSubject::Fan(index) => Subject::Fan(index),
                StoredSubject::Rail(index) => Subject::Rail(index),
                StoredSubject::Device(index) => Subject::Device(index),
                StoredSubject::Supervisor => Subject::Supervisor,
            },
            value: self.value,
            limit: self.limit,
            cause: self.cause.as_deref().and_then(FaultCode::from_name),
            at: now,
        }
    }
}
