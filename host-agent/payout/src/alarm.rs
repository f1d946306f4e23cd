//! What a watch has to say, and the memory that keeps it from saying it over and over.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::time::Duration;

/// Something that the owner should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// What it is about.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// What happened; [`Code::advice`] says what to do.
    pub text: String,
}

/// How bad an alarm is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing.
    Notice,
    /// Should be looked at.
    Warning,
    /// Money may be going elsewhere.
    Critical,
}

/// What an alarm is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// A coinbase cannot be read.
    Unreadable,
    /// A coinbase that can be read is odd.
    Odd,
    /// The height went back.
    HeightBack,
    /// The height rose faster than blocks can come.
    HeightJump,
    /// Two heights for the same previous block.
    HeightContradicts,
    /// The work became far too easy for the main network: another chain.
    ChainChanged,
    /// The block pays much less than it may create.
    RewardLow,
    /// The block pays more than it can.
    RewardHigh,
    /// Another pool's mark in the coinbase.
    PoolChanged,
    /// The pool's own text in the coinbase changed.
    TagChanged,
    /// A receiver that was always paid is paid no more.
    PayoutChanged,
    /// The receivers are the same, but their parts are not.
    PayoutShifted,
    /// Receivers of before are paid again.
    PayoutBack,
    /// The owner named an address, and the pool does not pay it.
    OwnAddressMissing,
    /// The owner's address was paid and is paid no more.
    OwnAddressGone,
    /// The owner's address gets less than before.
    OwnPortionDropped,
    /// The owner's address is paid as before.
    OwnAddressBack,
    /// Work was refused by the owner's rule.
    Refused,
}

impl Code {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::Unreadable,
        Self::Odd,
        Self::HeightBack,
        Self::HeightJump,
        Self::HeightContradicts,
        Self::ChainChanged,
        Self::RewardLow,
        Self::RewardHigh,
        Self::PoolChanged,
        Self::TagChanged,
        Self::PayoutChanged,
        Self::PayoutShifted,
        Self::PayoutBack,
        Self::OwnAddressMissing,
        Self::OwnAddressGone,
        Self::OwnPortionDropped,
        Self::OwnAddressBack,
        Self::Refused,
    ];

    /// A name that programs can rely on.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable => "coinbase-unreadable",
            Self::Odd => "coinbase-odd",
            Self::HeightBack => "height-back",
            Self::HeightJump => "height-jump",
            Self::HeightContradicts => "height-contradicts",
            Self::ChainChanged => "chain-changed",
            Self::RewardLow => "reward-low",
            Self::RewardHigh => "reward-high",
            Self::PoolChanged => "pool-changed",
            Self::TagChanged => "tag-changed",
            Self::PayoutChanged => "payout-changed",
            Self::PayoutShifted => "payout-shifted",
            Self::PayoutBack => "payout-back",
            Self::OwnAddressMissing => "own-address-missing",
            Self::OwnAddressGone => "own-address-gone",
            Self::OwnPortionDropped => "own-portion-dropped",
            Self::OwnAddressBack => "own-address-back",
            Self::Refused => "work-refused",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn advice(self) -> &'static str {
        match self {
            Self::Unreadable => {
                "ask the pool what it lets you mine; min_payout_percent refuses such work"
            }
            Self::Odd => "ask the pool; a block found with this work may be worth nothing",
            Self::HeightBack | Self::HeightJump | Self::HeightContradicts => {
                "if it goes on, use another pool: its node is not in step with the network"
            }
            Self::ChainChanged | Self::PoolChanged | Self::TagChanged => {
                "if you did not expect that, see what the pool says on its pages, and check whom you are connected to; TLS or Stratum V2 keep strangers out of the line"
            }
            Self::RewardLow | Self::RewardHigh => {
                "ask the pool, and mine elsewhere until it has an answer"
            }
            Self::PayoutChanged | Self::PayoutShifted => {
                "pools change addresses now and then, and thieves do so too: see what the pool says, and check whom you are connected to"
            }
            Self::OwnAddressMissing => {
                "pools that collect the reward and pay you later look like this; if yours is one, leave payout_address out"
            }
            Self::OwnAddressGone | Self::OwnPortionDropped => {
                "mine elsewhere until you know why; min_payout_percent refuses such work by itself"
            }
            Self::Refused => {
                "the miner works for its other pools; check user, payout_address and min_payout_percent, or leave this pool"
            }
            Self::PayoutBack | Self::OwnAddressBack => "",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Severity {
    /// `notice`, `warning` or `critical`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What lasts is said again after this.
const LASTS_AGAIN: Duration = Duration::from_secs(6 * 3600);

/// What happens anew, or was over in between, is not said again before this.
const ANEW_AGAIN: Duration = Duration::from_secs(5 * 60);

/// Alarms that wait to be fetched; the oldest gives way.
const WAITING: usize = 64;

/// Alarms on their way out, and those that were told.
#[derive(Debug, Default)]
pub(crate) struct Teller {
    told: BTreeMap<(Code, &'static str), Told>,
    waiting: VecDeque<Alarm>,
}

#[derive(Debug)]
struct Told {
    at: Duration,
    over: bool,
    kept_back: u32,
}

impl Teller {
    /// Tells something, if it was not told lately. `about` tells matters of one code apart.
    pub(crate) fn raise(
        &mut self,
        now: Duration,
        (code, about): (Code, &'static str),
        severity: Severity,
        mut text: String,
    ) {
        if let Some(told) = self.told.get_mut(&(code, about)) {
            let again = if code.lasts() && !told.over {
                LASTS_AGAIN
            } else {
                ANEW_AGAIN
            };
            if now.saturating_sub(told.at) < again {
                told.kept_back = told.kept_back.saturating_add(1);
                return;
            }
            if told.kept_back > 0 {
                let more = told.kept_back;
                text = format!("{text} (and {more} times since it was said last)");
            }
        }
        let told = Told {
            at: now,
            over: false,
            kept_back: 0,
        };
        self.told.insert((code, about), told);
        if self.waiting.len() == WAITING {
            self.waiting.pop_front();
        }
        self.waiting.push_back(Alarm {
            code,
            severity,
            text,
        });
    }

    /// What was told is over: it may soon be told again.
    pub(crate) fn settle(&mut self, code: Code) {
        let of_code = self.told.iter_mut().filter(|(key, _)| key.0 == code);
        of_code.for_each(|(_, told)| told.over = true);
    }

    pub(crate) fn poll(&mut self) -> Option<Alarm> {
        self.waiting.pop_front()
    }
}

impl Code {
    /// Whether it is a state that each job shows again, not something that happened once.
    fn lasts(self) -> bool {
        matches!(
            self,
            Self::Unreadable
                | Self::Odd
                | Self::RewardLow
                | Self::RewardHigh
                | Self::OwnAddressMissing
                | Self::OwnAddressGone
                | Self::OwnPortionDropped
                | Self::Refused
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn raised(teller: &mut Teller, now: Duration, code: Code) -> Option<String> {
        teller.raise(now, (code, ""), Severity::Warning, "a".to_owned());
        teller.poll().map(|alarm| alarm.text)
    }

    #[test]
    fn what_lasts_is_told_every_six_hours_and_counted() {
        let mut teller = Teller::default();
        assert_eq!(raised(&mut teller, MINUTE, Code::Odd).as_deref(), Some("a"));
        for minute in 2..=6 * 60 {
            assert_eq!(raised(&mut teller, minute * MINUTE, Code::Odd), None);
        }
        assert_eq!(
            raised(&mut teller, 361 * MINUTE, Code::Odd).as_deref(),
            Some("a (and 359 times since it was said last)")
        );
    }

    #[test]
    fn what_happens_anew_waits_five_minutes() {
        let mut teller = Teller::default();
        assert!(raised(&mut teller, MINUTE, Code::HeightBack).is_some());
        assert!(raised(&mut teller, 2 * MINUTE, Code::HeightBack).is_none());
        assert!(raised(&mut teller, 6 * MINUTE, Code::HeightBack).is_some());
    }

    #[test]
    fn what_was_over_may_be_told_again() {
        let mut teller = Teller::default();
        assert!(raised(&mut teller, MINUTE, Code::Odd).is_some());
        teller.settle(Code::Odd);
        assert!(raised(&mut teller, 7 * MINUTE, Code::Odd).is_some());
    }

    #[test]
    fn matters_of_one_code_are_told_apart() {
        let mut teller = Teller::default();
        for about in ["a", "b"] {
            let text = about.to_owned();
            teller.raise(MINUTE, (Code::Odd, about), Severity::Notice, text);
        }
        assert_eq!(std::iter::from_fn(|| teller.poll()).count(), 2);
    }

    #[test]
    fn nobody_who_fetches_nothing_fills_the_memory() {
        let mut teller = Teller::default();
        for hour in 0..1000 {
            let text = hour.to_string();
            teller.raise(hour * 60 * MINUTE, (Code::Odd, ""), Severity::Notice, text);
        }
        assert_eq!(std::iter::from_fn(|| teller.poll()).count(), WAITING);
    }
}
