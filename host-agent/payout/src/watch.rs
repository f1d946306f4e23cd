//! One pool's jobs under the owner's eyes: alarms on change, and the rule on what is mined.

use std::time::Duration;

use bitcoin::Network;
use mining::Job;

use crate::address::PayoutAddress;
use crate::alarm::{Alarm, Code, Severity, Teller};
use crate::coinbase::{Coinbase, DecodeError, decode};
use crate::learn::{Change, Identity, Lesson, Parts, Receivers, Sign};
use crate::reward::{COIN_SAT, Percent, Portion, btc, subsidy_sat};

/// Whom the owner expects to be paid.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expectation {
    /// The owner's addresses; none if nothing is expected.
    pub addresses: Vec<PayoutAddress>,
    /// The owner named them himself: then it is told if the pool never pays them. An address that
    /// is merely part of the user name is watched only once the pool has paid it.
    pub named: bool,
    /// The rule: work that pays the addresses less than this part of the reward is refused.
    /// Without addresses it has no meaning.
    pub min_percent: Option<Percent>,
}

/// What to do with a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Work on it.
    Mine,
    /// The owner's rule forbids it, for this reason.
    Refuse(String),
}

/// Watches what one pool lets us mine, over all connections to it.
///
/// ```text
/// watch.handle_job(now, &job) -> Verdict      before the job is worked on
/// watch.poll_alarm() -> Option<Alarm>         until there is none
/// watch.coinbase(), watch.own()               for showing
/// ```
#[derive(Debug, Default)]
pub struct Watch {
    network: Option<Network>,
    expectation: Expectation,
    last: Option<Result<Coinbase, DecodeError>>,
    refused: Option<String>,
    tip: Option<Tip>,
    receivers: Receivers,
    identity: Identity,
    own: Own,
    teller: Teller,
}

#[derive(Clone, Copy, Debug)]
struct Tip {
    prev_hash: [u8; 32],
    height: Option<u32>,
    nbits: u32,
    network: Network,
    at: Duration,
}

/// The owner's part so far.
#[derive(Debug, Default)]
struct Own {
    lesson: Lesson,
    /// Least and most that it was while learning, percent.
    range: Option<(f64, f64)>,
    /// The owner was told that it is gone or less.
    missed: bool,
}

/// Rounding of fees by pools must not break a rule, percent points.
const TOLERANCE: f64 = 0.01;

/// A block that pays less than this part of what it may create is told, per cent.
const LOW_REWARD_PERCENT: u64 = 99;

/// Fees above this in one block have never been seen, satoshi.
const MOST_FEES_SAT: u64 = 500 * COIN_SAT;

impl Watch {
    /// A watch for one pool. Without a `network` it is guessed from each job's target.
    #[must_use]
    pub fn new(network: Option<Network>, expectation: Expectation) -> Self {
        Self {
            network,
            expectation,
            ..Self::default()
        }
    }

    /// Judges a job before it is worked on, and learns from it.
    pub fn handle_job(&mut self, now: Duration, job: &Job) -> Verdict {
        let network = self.network.or_else(|| self.own_network());
        let result = decode(job, network);
        let refusal = match &result {
            Ok(coinbase) => {
                self.check(now, job, coinbase);
                self.judge(coinbase)
            }
            Err(error) => {
                self.unreadable(now, error);
                self.rule().map(|least| {
                    format!("{error}; so it cannot be said whether your address gets {least}, as min_payout_percent demands")
                })
            }
        };
        self.last = Some(result);
        self.refused.clone_from(&refusal);
        match refusal {
            None => {
                self.teller.settle(Code::Refused);
                Verdict::Mine
            }
            Some(reason) => {
                let text = format!("work refused: {reason}");
                self.teller
                    .raise(now, (Code::Refused, ""), Severity::Critical, text);
                Verdict::Refuse(reason)
            }
        }
    }

    /// The next thing that the owner should know.
    pub fn poll_alarm(&mut self) -> Option<Alarm> {
        self.teller.poll()
    }

    /// What the last job pays; none before the first one and if it cannot be said.
    #[must_use]
    pub fn coinbase(&self) -> Option<&Coinbase> {
        self.last.as_ref()?.as_ref().ok()
    }

    /// Why it cannot be said what the last job pays.
    #[must_use]
    pub fn unknown(&self) -> Option<&DecodeError> {
        self.last.as_ref()?.as_ref().err()
    }

    /// Why the last job was refused.
    #[must_use]
    pub fn refused(&self) -> Option<&str> {
        self.refused.as_deref()
    }

    /// What the last job pays the owner; none if no address is expected or it cannot be said.
    #[must_use]
    pub fn own(&self) -> Option<Portion> {
        let expected = !self.expectation.addresses.is_empty();
        let coinbase = self.coinbase().filter(|_| expected)?;
        Some(coinbase.portion_of(&self.expectation.addresses))
    }

    /// Whom the owner expects to be paid.
    #[must_use]
    pub fn expectation(&self) -> &Expectation {
        &self.expectation
    }

    fn own_network(&self) -> Option<Network> {
        let mut addresses = self.expectation.addresses.iter();
        addresses.find_map(PayoutAddress::network)
    }

    fn rule(&self) -> Option<Percent> {
        let expected = !self.expectation.addresses.is_empty();
        self.expectation.min_percent.filter(|_| expected)
    }

    fn judge(&self, coinbase: &Coinbase) -> Option<String> {
        let least = self.rule()?;
        let own = coinbase.portion_of(&self.expectation.addresses);
        (own.percent + TOLERANCE < least.get()).then(|| {
            let name = if self.expectation.addresses.len() == 1 {
                "your address"
            } else {
                "your addresses"
            };
            format!(
                "it pays {name} {} ({} of {}), and min_payout_percent demands {least}; most of it goes to {}",
                percent(own.percent),
                btc(own.sat),
                btc(coinbase.spendable_sat),
                self.main_receiver(coinbase)
            )
        })
    }

    fn check(&mut self, now: Duration, job: &Job, coinbase: &Coinbase) {
        self.teller.settle(Code::Unreadable);
        if coinbase.problems.is_empty() {
            self.teller.settle(Code::Odd);
        }
        for problem in &coinbase.problems {
            let text = format!("the coinbase of this pool's work is odd: {problem}");
            let about = (Code::Odd, problem.name());
            self.teller.raise(now, about, Severity::Warning, text);
        }
        self.check_chain(now, job, coinbase);
        self.check_reward(now, coinbase);
        self.check_identity(now, job, coinbase);
        self.check_own(now, job, coinbase);
        self.check_receivers(now, job, coinbase);
    }

    fn check_chain(&mut self, now: Duration, job: &Job, coinbase: &Coinbase) {
        let tip = Tip {
            prev_hash: job.prev_hash,
            height: coinbase.height,
            nbits: job.nbits,
            network: coinbase.network,
            at: now,
        };
        let Some(last) = self.tip.replace(tip) else {
            return;
        };
        // Within one difficulty period the target stays; from one to the next it rises at most
        // four times. Test networks have blocks of difficulty 1 in between.
        if last.network == Network::Bitcoin
            && log2_target(job.nbits) > log2_target(last.nbits) + 2.1
        {
            let text = "the work suddenly belongs to a far easier block chain than before: the pool mines another coin, or it is not the pool".to_owned();
            self.teller
                .raise(now, (Code::ChainChanged, ""), Severity::Critical, text);
        }
        let (Some(before), Some(height)) = (last.height, coinbase.height) else {
            return;
        };
        if job.prev_hash == last.prev_hash {
            if height != before {
                let text = format!(
                    "the pool gives height {height} after {before} for the same previous block; one of the two would be an invalid block"
                );
                self.teller
                    .raise(now, (Code::HeightContradicts, ""), Severity::Warning, text);
            }
            return;
        }
        let elapsed = now.saturating_sub(last.at).as_secs();
        // Blocks can follow each other closely on the main network, and come in floods on others.
        let most = match coinbase.network {
            Network::Bitcoin => 10 + elapsed / 60,
            _ => 5000 + 10 * elapsed,
        };
        if height < before {
            let severity = if before - height > 1 {
                Severity::Warning
            } else {
                Severity::Notice
            };
            let text = format!(
                "the block height went back from {before} to {height}: the pool's node lags behind, or its chain was reorganised; work on an old block earns nothing"
            );
            self.teller
                .raise(now, (Code::HeightBack, ""), severity, text);
        } else if u64::from(height - before) > most {
            let text = format!(
                "the block height jumped from {before} to {height} within {elapsed} s: the pool's node was behind, or the work belongs to another chain"
            );
            self.teller
                .raise(now, (Code::HeightJump, ""), Severity::Warning, text);
        }
    }

    fn check_reward(&mut self, now: Duration, coinbase: &Coinbase) {
        let Some(height) = coinbase.height else {
            return;
        };
        let subsidy = subsidy_sat(coinbase.network, height);
        let paid = coinbase.spendable_sat;
        if paid < subsidy / 100 * LOW_REWARD_PERCENT {
            let text = format!(
                "the block would pay {} in all, but at height {height} it may create {} and fees: the rest is lost to everybody, or this is work of another chain",
                btc(paid),
                btc(subsidy)
            );
            self.teller
                .raise(now, (Code::RewardLow, ""), Severity::Warning, text);
        } else if paid > subsidy.saturating_add(MOST_FEES_SAT) {
            let text = format!(
                "the block would pay {} in all, far more than {} and fees: the network would refuse it",
                btc(paid),
                btc(subsidy)
            );
            self.teller
                .raise(now, (Code::RewardHigh, ""), Severity::Warning, text);
        } else {
            self.teller.settle(Code::RewardLow);
            self.teller.settle(Code::RewardHigh);
        }
    }

    fn check_identity(&mut self, now: Duration, job: &Job, coinbase: &Coinbase) {
        let line = match coinbase.tag.line() {
            line if line.is_empty() => "nothing".to_owned(),
            line => format!("\"{line}\""),
        };
        match self.identity.see(&job.prev_hash, &coinbase.tag) {
            Some(Sign::Pool(before, after)) => {
                let text = format!(
                    "the work was marked as of {} and is now marked as of {} (it says {line}): somebody else may be using your hashrate",
                    before.unwrap_or("no known pool"),
                    after.unwrap_or("no known pool"),
                );
                self.teller
                    .raise(now, (Code::PoolChanged, ""), Severity::Critical, text);
            }
            Some(Sign::Text(before)) => {
                let text = format!(
                    "the pool always wrote \"{}\" into its blocks and now writes {line}",
                    before.join(" ")
                );
                self.teller
                    .raise(now, (Code::TagChanged, ""), Severity::Warning, text);
            }
            None => {}
        }
    }

    fn check_own(&mut self, now: Duration, job: &Job, coinbase: &Coinbase) {
        if self.expectation.addresses.is_empty() {
            return;
        }
        let part = coinbase.portion_of(&self.expectation.addresses).percent;
        let receiver = self.main_receiver(coinbase);
        let Some((least, most)) = self.own.range else {
            if part > 0.0 {
                self.own.range = Some((part, part));
                self.own.lesson.sample(&job.prev_hash);
            } else if self.expectation.named {
                let text =
                    format!("the pool's work does not pay your address; it goes to {receiver}");
                self.teller
                    .raise(now, (Code::OwnAddressMissing, ""), Severity::Warning, text);
            }
            return;
        };
        // Where the part has always been the same, a point less is much; else half of the least.
        let limit = if most - least < 1.0 {
            least - 1.0
        } else {
            least / 2.0
        };
        if part <= 0.0 {
            self.own.missed = true;
            let text = format!(
                "your address is no longer paid (it had {}); the reward now goes to {receiver}",
                percent(least)
            );
            self.teller
                .raise(now, (Code::OwnAddressGone, ""), Severity::Critical, text);
        } else if part < limit {
            self.own.missed = true;
            let text = format!(
                "your address gets {} of the reward, before it had at least {}; most goes to {receiver}",
                percent(part),
                percent(least)
            );
            self.teller
                .raise(now, (Code::OwnPortionDropped, ""), Severity::Critical, text);
        } else {
            if !self.own.lesson.is_over() {
                self.own.lesson.sample(&job.prev_hash);
                self.own.range = Some((least.min(part), most.max(part)));
            }
            if std::mem::take(&mut self.own.missed) {
                self.teller.settle(Code::OwnAddressGone);
                self.teller.settle(Code::OwnPortionDropped);
                self.teller.settle(Code::OwnAddressBack);
                let text = format!("your address is paid again: {}", percent(part));
                self.teller
                    .raise(now, (Code::OwnAddressBack, ""), Severity::Notice, text);
            }
        }
    }

    fn check_receivers(&mut self, now: Duration, job: &Job, coinbase: &Coinbase) {
        let mut parts = Parts::new();
        for (output, portion) in coinbase.payments() {
            if !output.pays_any(&self.expectation.addresses) {
                *parts.entry(output.script.clone()).or_default() += portion.percent;
            }
        }
        let names = |parts: &Parts| {
            let mut named: Vec<(f64, String)> = parts
                .iter()
                .map(|(script, part)| {
                    (
                        *part,
                        Coinbase::receiver_of_script(script, coinbase.network),
                    )
                })
                .collect();
            named.sort_by(|a, b| b.0.total_cmp(&a.0));
            let shown: Vec<String> = named
                .iter()
                .take(3)
                .map(|(part, name)| format!("{name} ({})", percent(*part)))
                .collect();
            match named.len().saturating_sub(shown.len()) {
                0 => shown.join(", "),
                more => format!("{} and {more} more", shown.join(", ")),
            }
        };
        match self.receivers.see(&job.prev_hash, &parts) {
            Some(Change::Gone(gone)) => {
                let severity = if gone.values().sum::<f64>() >= 50.0 {
                    Severity::Critical
                } else {
                    Severity::Warning
                };
                let text = format!(
                    "the pool's work always paid {}; now it pays {}",
                    names(&gone),
                    if parts.is_empty() {
                        "your address only".to_owned()
                    } else {
                        names(&parts)
                    }
                );
                self.teller
                    .raise(now, (Code::PayoutChanged, ""), severity, text);
            }
            Some(Change::Shifted(before, after)) => {
                let text = format!(
                    "the receivers that the pool's work always paid got {} of the reward and now get {}; it pays {}",
                    percent(before),
                    percent(after),
                    names(&parts)
                );
                self.teller
                    .raise(now, (Code::PayoutShifted, ""), Severity::Warning, text);
            }
            Some(Change::Back(back)) => {
                let text = format!("the pool's work pays {} again", names(&back));
                self.teller
                    .raise(now, (Code::PayoutBack, ""), Severity::Notice, text);
            }
            None => {}
        }
    }

    fn unreadable(&mut self, now: Duration, error: &DecodeError) {
        // The owner chose such a channel: that is shown, but it is no alarm.
        if *error != DecodeError::FixedRoot {
            let text = format!("it cannot be said what this pool's work pays: {error}");
            self.teller
                .raise(now, (Code::Unreadable, ""), Severity::Warning, text);
        }
    }

    fn main_receiver(&self, coinbase: &Coinbase) -> String {
        let others = coinbase
            .payments()
            .filter(|(output, _)| !output.pays_any(&self.expectation.addresses));
        match others.max_by_key(|(output, _)| output.value_sat) {
            Some((output, portion)) => {
                format!("{} ({})", output.receiver(), percent(portion.percent))
            }
            None => "nobody".to_owned(),
        }
    }
}

fn percent(value: f64) -> String {
    format!("{value:.2} %")
}

/// Logarithm to base 2 of a compact target.
fn log2_target(nbits: u32) -> f64 {
    let mantissa = f64::from((nbits & 0x007f_ffff).max(1));
    mantissa.log2() + 8.0 * f64::from(nbits >> 24)
}
