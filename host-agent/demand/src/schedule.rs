//! Times of day and weekdays. The local time comes in, so that a jump of the clock, be it for summer time, is simply followed:
//! an hour that is skipped was never there, and one that comes twice counts twice.

use std::fmt;
use std::str::FromStr;

use autotune::Aim;

use crate::settings::Then;

/// Minutes of a day.
const DAY: u32 = 24 * 60;
/// Names of the days.
const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// The time on the wall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Local {
    /// Day of the week, 0 for Monday to 6 for Sunday.
    pub weekday: u8,
    /// Second of the day, from 0.
    pub second: u32,
}

impl Local {
    /// What is beyond the end of a week or a day begins anew.
    #[must_use]
    pub fn new(weekday: u8, second: u32) -> Self {
        Self {
            weekday: weekday % 7,
            second: second % (DAY * 60),
        }
    }

    fn minute(self) -> u32 {
        (self.second / 60).min(DAY - 1)
    }

    /// Minutes since the week began.
    fn of_week(self) -> u32 {
        u32::from(self.weekday % 7) * DAY + self.minute()
    }
}

/// A time of day: minutes since midnight, 24:00 included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeOfDay(u16);

impl TimeOfDay {
    /// Midnight, at which a day begins.
    pub const MIDNIGHT: Self = Self(0);

    fn minutes(self) -> u32 {
        u32::from(self.0)
    }
}

impl FromStr for TimeOfDay {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once(':').and_then(|(hours, minutes)| {
            let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
            let fits = (1..=2).contains(&hours.len()) && minutes.len() == 2;
            if !fits || !digits(hours) || !digits(minutes) {
                return None;
            }
            let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
            let all = hours * 60 + minutes;
            (minutes < 60 && u32::from(all) <= DAY).then_some(Self(all))
        });
        parsed.ok_or_else(|| {
            format!("\"{text}\" is no time of day; write it as \"22:00\", from 00:00 to 24:00")
        })
    }
}

impl fmt::Display for TimeOfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

/// Days of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Days(u8);

impl Days {
    /// All of them.
    pub const ALL: Self = Self(0x7f);

    /// Those of a list of names (`mon` to `sun`) and ranges of names (`mon-fri`, `sat-mon`).
    ///
    /// # Errors
    ///
    /// In words, when one is no day or there is none.
    pub fn of<'t>(names: impl IntoIterator<Item = &'t str>) -> Result<Self, String> {
        let day = |name: &str| NAMES.iter().position(|known| *known == name);
        let mut days = 0;
        for text in names {
            let lower = text.trim().to_ascii_lowercase();
            let (first, last) = lower.split_once('-').unwrap_or((&lower, &lower));
            let (Some(first), Some(last)) = (day(first), day(last)) else {
                return Err(format!(
                    "\"{text}\" is no day; write for instance [\"mon-fri\"] or [\"sat\", \"sun\"]"
                ));
            };
            let mut at = first;
            days |= 1 << at;
            while at != last {
                at = (at + 1) % 7;
                days |= 1 << at;
            }
        }
        match days {
            0 => Err("names no day; leave it out for all days".to_owned()),
            days => Ok(Self(days)),
        }
    }

    /// Whether this is one of them, 0 for Monday.
    #[must_use]
    pub fn has(self, weekday: u8) -> bool {
        self.0 >> (weekday % 7) & 1 == 1
    }
}

/// A time with rules of its own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entry {
    /// Days on which it begins.
    pub days: Days,
    /// When it begins.
    pub from: TimeOfDay,
    /// When it ends; on the next day unless that is later than `from`.
    pub to: TimeOfDay,
    /// Another aim.
    pub aim: Option<Aim>,
    /// What else follows.
    pub then: Option<Then>,
}

impl Entry {
    /// Whether it holds then.
    #[must_use]
    pub fn holds(&self, at: Local) -> bool {
        let minute = at.minute();
        let (from, to) = (self.from.minutes() % DAY, self.to.minutes());
        let today = self.days.has(at.weekday);
        if from < to {
            return today && (from..to).contains(&minute);
        }
        let yesterday = self.days.has((at.weekday % 7 + 6) % 7);
        today && minute >= from || yesterday && minute < to
    }
}

/// The entries of an owner.
#[derive(Clone, Debug, Default)]
pub(crate) struct Schedule {
    entries: Vec<Entry>,
}

/// When an entry ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct End {
    /// Minutes from now.
    pub(crate) minutes: u32,
    at: Local,
    today: bool,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minute = self.at.minute();
        if !self.today {
            let name = NAMES[usize::from(self.at.weekday % 7)];
            write!(f, "{}{} ", name[..1].to_ascii_uppercase(), &name[1..])?;
        }
        write!(f, "{:02}:{:02}", minute / 60, minute % 60)
    }
}

impl Schedule {
    pub(crate) fn new(entries: Vec<Entry>) -> Self {
        Self { entries }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Those that hold then, each with its end; none if it never ends.
    pub(crate) fn holding(&self, at: Local) -> impl Iterator<Item = (&Entry, Option<End>)> {
        let holding = self.entries.iter().filter(move |entry| entry.holds(at));
        holding.map(move |entry| (entry, self.change(at, |later| entry.holds(later))))
    }

    /// Seconds until something of it is different; none if it never is.
    pub(crate) fn next_s(&self, at: Local) -> Option<u32> {
        let ends = self.entries.iter().filter_map(|entry| {
            let now = entry.holds(at);
            self.change(at, |later| entry.holds(later) == now)
        });
        let minutes = ends.map(|end| end.minutes).min()?;
        Some((minutes * 60).saturating_sub(at.second % 60).max(1))
    }

    /// The first beginning or end of an entry at which it is not as it `stays`.
    fn change(&self, at: Local, stays: impl Fn(Local) -> bool) -> Option<End> {
        let begin = at.of_week();
        let times = self.entries.iter().flat_map(|entry| [entry.from, entry.to]);
        let mut first: Option<End> = None;
        for time in times {
            for day in 0..=7 {
                let moment = (begin / DAY + day) * DAY + time.minutes();
                if moment <= begin || moment > begin + 7 * DAY {
                    continue;
                }
                let minutes = moment - begin;
                if first.is_some_and(|first| first.minutes <= minutes) {
                    continue;
                }
                let of_week = moment % (7 * DAY);
                let later = Local::new((of_week / DAY) as u8, of_week % DAY * 60);
                if !stays(later) {
                    first = Some(End {
                        minutes,
                        at: later,
                        today: minutes < DAY,
                    });
                }
            }
        }
        first
    }
}
