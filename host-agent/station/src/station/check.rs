//! Before power: who wants it, is the program that mines alive, are the parts the right ones, what
//! does a guard on the board say.

use std::time::Duration;

use board_devices::Presence;
use guard::{Guard, Report, Request, State, Subject};

use super::{ALIVE, BoardGuardLink, Station, commands::cooling_request, khz};
use crate::{
    notice,
    parts::{self, Trouble},
    sequence,
    status::Severity,
};

/// How often a guard on the board is told that we are alive; leases are seconds.
const BEAT: Duration = Duration::from_millis(500);

/// Preparations that fail are tried again after this long.
const PREPARE_PAUSE: Duration = Duration::from_secs(1);

/// After so many failed preparations the guard is told what is missing.
const PREPARE_TRIES: u32 = 2;

/// The guard is asked again this long after it refused, or at the next command.
const REFUSED_PAUSE: Duration = Duration::from_secs(60);

impl Station {
    /// Asks the guard for power while it is wanted, takes the wish back while it is not.
    pub(super) fn want_power(&mut self, now: Duration) {
        let alive = self
            .heartbeat
            .is_some_and(|at| now.saturating_sub(at) <= ALIVE);
        match self.guard.state() {
            State::Off
                if self.run
                    && alive
                    && self.stage.is_off()
                    && !self.waits_after_refusal(now)
                    && !self.board_rests() =>
            {
                self.meet_board_guard(now);
                self.derate.reset();
                self.prepared = false;
                self.prepare_failures = 0;
                self.prepare_at = now;
                if let Some(link) = &mut self.board_guard {
                    // Every try asks the board's guard anew: it took its grant back with the last.
                    link.asked = false;
                }
                let point = self.guard_point(self.wanted);
                // A refusal is an event of the guard, told with the others.
                self.refused = match self.guard.request(now, Request::On(point)) {
                    Ok(()) => None,
                    Err(refusal) => Some((refusal.to_string(), now + REFUSED_PAUSE)),
                };
            }
            State::Checking | State::Waiting | State::Cooling
                if !self.run && self.stage.is_off() =>
            {
                let _ = self.guard.request(now, Request::Off);
            }
            _ => {}
        }
        if !self.run && !self.stage.is_off() {
            self.stopping = true;
        }
    }

    pub(super) fn waits_after_refusal(&self, now: Duration) -> bool {
        self.refused.as_ref().is_some_and(|(_, again)| now < *again)
    }

    /// A controller that was plugged in after the start may have a guard of its own.
    fn meet_board_guard(&mut self, now: Duration) {
        if self.board_guard.is_some() || self.buses.board_guard().is_none() {
            return;
        }
        let limits = crate::layout::beside_board_guard(&self.layout.limits);
        // Both were accepted before.
        let Ok(mut guard) = Guard::new(&limits) else {
            return;
        };
        let _ = guard.request(now, cooling_request(self.fan.mode()));
        self.layout.limits = limits;
        self.guard = guard;
        self.board_guard = Some(BoardGuardLink::new(now));
    }

    /// Tells a guard on the board that we are alive, and hears what it thinks.
    pub(super) fn beat(&mut self, now: Duration) {
        let Some(link) = &mut self.board_guard else {
            return;
        };
        let checking = self.guard.state() == State::Checking;
        let busy = checking || !self.stage.is_off();
        if now < link.beat_at && !checking {
            return;
        }
        link.beat_at = now + BEAT;
        let alive = self
            .heartbeat
            .is_some_and(|at| now.saturating_sub(at) <= ALIVE);
        let silent = now.saturating_sub(link.heard) >= ALIVE;
        let Some(guard) = self.buses.board_guard() else {
            if silent {
                link.state = None;
            }
            return;
        };
        // The lease is the program's, not ours: if it is silent, so are we.
        if !alive && busy {
            return;
        }
        match guard.heartbeat() {
            Ok(state) => {
                link.state = Some(state);
                link.heard = now;
            }
            // One answer may be lost; the board's own lease is longer.
            Err(_) if !silent => {}
            Err(_) => link.state = None,
        }
        let point = self.wanted;
        let mv = self.layout.output_mv(point.mv);
        if checking && !link.asked {
            // It may have been started anew since it was told; while it grants power it refuses.
            let _ = guard.set_cooling(self.fan.mode());
            link.asked = guard.request_power(mv, khz(point.mhz)).is_ok();
        } else if link.asked && !busy && self.guard.state() != State::On {
            link.asked = guard.release_power().is_err();
        }
    }

    /// The guard on the board cannot let power be on for a while: to ask ours would only time out.
    fn board_rests(&self) -> bool {
        let state = self
            .board_guard
            .as_ref()
            .and_then(|link| link.state.as_ref());
        state.is_some_and(|state| matches!(state.state, "cooling" | "latched"))
    }

    /// The guard on the board, if there is one, lets power be on.
    pub(super) fn board_grants(&self) -> bool {
        match &self.board_guard {
            None => true,
            Some(link) => link.state.as_ref().is_some_and(|state| state.power),
        }
    }

    /// In a check, before temperatures count: are the devices there, are they the right ones, is the
    /// supply set up?
    pub(super) fn prepare(&mut self, now: Duration) {
        if self.guard.state() != State::Checking {
            // The next check begins from the start.
            if self.stage.is_off() && self.guard.state() != State::On {
                self.prepared = false;
                self.prepare_failures = 0;
                self.prepare_at = now;
            }
            return;
        }
        if self.prepared || now < self.prepare_at {
            return;
        }
        self.complaints.clear();
        let identified = self.identify(now);
        if identified && self.supply_prepared(now) {
            self.prepared = true;
            return;
        }
        self.prepare_at = now + PREPARE_PAUSE;
    }

    pub(super) fn identify(&mut self, now: Duration) -> bool {
        let last_try = self.prepare_failures >= PREPARE_TRIES;
        let mut reports = Vec::new();
        for (index, identity) in self.layout.identities.iter().enumerate() {
            let subject = Subject::Device(u8::try_from(index).unwrap_or(u8::MAX));
            let name = &identity.name;
            match parts::probe(&mut *self.buses, &identity.place) {
                Ok(Presence::Present { .. }) => {}
                Ok(Presence::Absent) => {
                    let report = last_try.then_some(Report::Absent { subject });
                    reports.push((report, format!("{name} does not answer")));
                    continue;
                }
                Ok(Presence::Wrong { found, expected }) => {
                    reports.push((
                        Some(wrong(subject, found, expected)),
                        format!("{name} says {found:#x}, expected {expected:#x}"),
                    ));
                    continue;
                }
                Err(trouble) => {
                    let report = last_try.then_some(Report::Absent { subject });
                    reports.push((report, format!("{name}: {}", trouble.text)));
                    if trouble.gone {
                        break;
                    }
                    continue;
                }
            }
            if identity.place.part == board_devices::Part::At24 {
                match parts::memory(&mut *self.buses, &identity.place) {
                    Ok(data) => {
                        if let Some(found) = disagrees(&data, &identity.accepted) {
                            reports.push((
                                Some(Report::Identity {
                                    found: i32::from_be_bytes([data[0], data[1], data[2], data[3]]),
                                    expected: first_bytes(&identity.accepted),
                                }),
                                format!(
                                    "{name} begins with {found}, the profile expects {}",
                                    identity.accepted.join(" or ")
                                ),
                            ));
                        } else if let Some(board) = self.boards.get_mut(identity.place.board) {
                            board.serial = serial(&data);
                        }
                    }
                    Err(trouble) => {
                        let report = last_try.then_some(Report::Absent { subject });
                        reports.push((report, format!("{name}: {}", trouble.text)));
                    }
                }
            }
            if let Err(trouble) = parts::init(
                &mut *self.buses,
                &identity.place,
                identity.ideality,
                identity.beta,
            ) {
                reports.push((
                    last_try.then(|| mismatch(subject, &trouble)),
                    format!("{name} cannot be set up: {}", trouble.text),
                ));
            }
        }
        let good = reports.is_empty();
        for (report, text) in reports {
            if let Some(report) = report {
                self.log(notice::plain(Severity::Warning, "identity", text.clone()));
                self.guard.report(now, report);
            }
            self.complaints.push(text);
        }
        if !good {
            self.prepare_failures = self.prepare_failures.saturating_add(1);
        }
        good
    }

    pub(super) fn supply_prepared(&mut self, now: Duration) -> bool {
        let output = self.layout.output_mv(self.wanted.mv);
        if let Some(psu) = &mut self.psu {
            psu.set(output);
            if psu.is_set() {
                self.set_mv = Some(self.wanted.mv);
                return true;
            }
            self.complaints
                .push("waiting for the power supply to take its voltage".to_owned());
            return false;
        }
        match sequence::prepare(&mut *self.buses, &self.layout, None, output) {
            Ok(()) => {
                self.set_mv = Some(self.wanted.mv);
                true
            }
            Err(trouble) => {
                let text = format!("{}: {}", self.layout.supply_name, trouble.text);
                if self.prepare_failures >= PREPARE_TRIES || trouble.wrong.is_some() {
                    self.log(notice::plain(Severity::Warning, "supply", text.clone()));
                    self.guard.report(now, rail_report(&trouble));
                }
                self.prepare_failures = self.prepare_failures.saturating_add(1);
                self.complaints.push(text);
                false
            }
        }
    }
}

fn wrong(subject: Subject, found: u64, expected: u64) -> Report {
    Report::WrongDevice {
        subject,
        found: number(found),
        expected: number(expected),
    }
}

fn mismatch(subject: Subject, trouble: &Trouble) -> Report {
    let (read, wrote) = trouble.mismatch.unwrap_or((0, 0));
    Report::Mismatch {
        subject,
        read: number(read.into()),
        wrote: number(wrote.into()),
    }
}

pub(super) fn rail_report(trouble: &Trouble) -> Report {
    let subject = Subject::Rail(0);
    match (trouble.wrong, trouble.mismatch, trouble.fault) {
        (Some((found, expected)), ..) => wrong(subject, found, expected),
        (None, None, guard::ReadFault::Absent) => Report::Absent { subject },
        _ => mismatch(subject, trouble),
    }
}

/// The first bytes of a memory as digits, if none of the accepted beginnings fits.
fn disagrees(data: &[u8], accepted: &[String]) -> Option<String> {
    let digits: String = data.iter().map(|byte| format!("{byte:02x}")).collect();
    let fits = accepted.is_empty() || accepted.iter().any(|id| digits.starts_with(id.as_str()));
    (!fits).then(|| digits.chars().take(8).collect())
}

fn first_bytes(accepted: &[String]) -> i32 {
    let digits = accepted.first().map_or("", String::as_str);
    let digits = digits.get(..digits.len().min(8)).unwrap_or("");
    u32::from_str_radix(digits, 16).map_or(0, |value| value.cast_signed())
}

/// A serial number in clear text, if the memory begins with one. Makers' contents are encrypted.
fn serial(data: &[u8]) -> Option<String> {
    let printable = data
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric())
        .count();
    (printable >= 8).then(|| String::from_utf8_lossy(&data[..printable]).into_owned())
}

pub(super) fn number(value: u64) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}
