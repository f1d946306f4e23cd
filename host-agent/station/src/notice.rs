//! What the guard and the station decided, in words, for the event log.

use guard::{EventKind, Fault, FaultCode, State, Subject};

use crate::{
    layout::Layout,
    status::{Notice, Severity},
};

/// Name of what a fault is about.
pub(crate) fn subject(layout: &Layout, subject: Subject) -> String {
    let at = |index: u8| usize::from(index);
    let name = match subject {
        Subject::Sensor(index) => layout.sensors.get(at(index)).map(|s| s.name.clone()),
        Subject::Fan(index) => layout.fans.get(at(index)).map(|fan| fan.name.clone()),
        Subject::Rail(_) => Some(format!("core supply ({})", layout.supply_name)),
        Subject::Device(index) => layout.identities.get(at(index)).map(|i| i.name.clone()),
        Subject::Group | Subject::Supervisor => None,
    };
    name.unwrap_or_else(|| subject.to_string())
}

/// A fault with its values, named as people name things.
pub(crate) fn fault(layout: &Layout, fault: &Fault) -> String {
    let number = fault.subject.to_string();
    let name = subject(layout, fault.subject);
    let text = fault.to_string();
    let code = fault.code.as_str();
    match text.strip_prefix(code) {
        Some(rest) => rest.trim_start_matches(": ").replacen(&number, &name, 1),
        None => text.replacen(&number, &name, 1),
    }
}

/// An event of the guard in words; none for those that only repeat what the station did.
pub(crate) fn guard_event(layout: &Layout, kind: &EventKind) -> Option<Notice> {
    match kind {
        EventKind::Fault(found) => Some(Notice {
            severity: Severity::Fault,
            code: found.code.as_str().to_owned(),
            text: fault(layout, found),
            advice: found.advice().to_owned(),
            values: vec![
                ("value".to_owned(), found.value.to_string()),
                ("limit".to_owned(), found.limit.to_string()),
                ("subject".to_owned(), subject(layout, found.subject)),
            ],
        }),
        EventKind::State { from, cause, to } => Some(Notice {
            severity: if *to == State::Latched {
                Severity::Fault
            } else {
                Severity::Info
            },
            code: "guard-state".to_owned(),
            text: format!("guard: {from} to {to}, {cause}"),
            advice: if *to == State::Latched {
                "The board stays off until a person clears the fault by its code.".to_owned()
            } else {
                String::new()
            },
            values: vec![
                ("from".to_owned(), from.to_string()),
                ("to".to_owned(), to.to_string()),
                ("cause".to_owned(), cause.to_string()),
            ],
        }),
        EventKind::Refused(refusal) => Some(Notice {
            severity: Severity::Warning,
            code: "refused".to_owned(),
            text: refusal.to_string(),
            advice: String::new(),
            values: Vec::new(),
        }),
        EventKind::Doubt(what) => Some(Notice {
            severity: Severity::Warning,
            code: "doubt".to_owned(),
            text: format!("fans at full speed because of {}", subject(layout, *what)),
            advice: String::new(),
            values: vec![("subject".to_owned(), subject(layout, *what))],
        }),
        EventKind::NoDoubt => Some(Notice {
            severity: Severity::Info,
            code: "no-doubt".to_owned(),
            text: "fans may slow down again".to_owned(),
            advice: String::new(),
            values: Vec::new(),
        }),
        EventKind::SetPoint(_) | EventKind::Cooling(_) => None,
    }
}

/// A notice of the station's own.
pub(crate) fn plain(severity: Severity, code: &str, text: impl Into<String>) -> Notice {
    Notice {
        severity,
        code: code.to_owned(),
        text: text.into(),
        advice: String::new(),
        values: Vec::new(),
    }
}

/// The code of a fault by its name.
pub(crate) fn code(name: &str) -> Option<FaultCode> {
    FaultCode::from_name(name.trim())
}
