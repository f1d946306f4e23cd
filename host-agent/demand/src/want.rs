//! An aim with caps, and how it is made tighter.

use autotune::{Aim, Caps};

/// Least watts that are ever asked for: an aim or a cap of nothing has no meaning to a tuner, and who wants nothing sleeps.
const LEAST_W: f64 = 1.0;

/// An aim under caps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Want {
    pub(crate) aim: Aim,
    pub(crate) caps: Caps,
}

impl Want {
    /// The power that is not to be passed, by cap or by aim, W.
    pub(crate) fn bound_w(&self) -> Option<f64> {
        let aim = match self.aim {
            Aim::Watts(watts) => Some(watts),
            _ => None,
        };
        match (aim, self.caps.watts) {
            (Some(aim), Some(cap)) => Some(aim.min(cap)),
            (aim, cap) => aim.or(cap),
        }
    }

    /// Allows no more than this power. An aim for more becomes one for this, so that it can be reached.
    pub(crate) fn limit(&mut self, watts: f64) {
        if !watts.is_finite() {
            return;
        }
        let watts = watts.max(LEAST_W);
        let cap = self.caps.watts.map_or(watts, |cap| cap.min(watts));
        self.caps.watts = Some(cap);
        if let Aim::Watts(aim) = &mut self.aim {
            *aim = aim.min(cap);
        }
    }

    /// Takes another aim as far as it asks for no more: the watts of an aim that is left stay as a cap, a hashrate stays
    /// the aim unless less is asked for, and a miner that is not tuned stays so.
    pub(crate) fn aim(&mut self, new: Aim) {
        if !new.is_sane() {
            return;
        }
        match (self.aim, new) {
            (Aim::Off, Aim::Watts(watts)) | (Aim::Hashrate(_), Aim::Watts(watts)) => {
                self.limit(watts);
            }
            (Aim::Off, _) | (_, Aim::Off) => {}
            (Aim::Hashrate(old), Aim::Hashrate(new)) => self.aim = Aim::Hashrate(old.min(new)),
            (Aim::Hashrate(_), _) => {}
            (Aim::Watts(_), Aim::Watts(watts)) => self.limit(watts),
            (Aim::Watts(old), new) => {
                self.limit(old);
                self.aim = new;
            }
            (Aim::Efficiency | Aim::Profit { .. }, new) => {
                self.aim = new;
                if let Some(cap) = self.caps.watts {
                    self.limit(cap);
                }
            }
        }
    }

    /// Reckons with this price and this revenue, if that is what the aim does.
    pub(crate) fn reckon(&mut self, price: Option<f64>, revenue: Option<f64>) {
        if let Aim::Profit {
            price_per_kwh,
            revenue_per_ths_day,
        } = &mut self.aim
        {
            *price_per_kwh = price.unwrap_or(*price_per_kwh);
            *revenue_per_ths_day = revenue.unwrap_or(*revenue_per_ths_day);
        }
    }
}

/// An aim in words.
pub(crate) fn words(aim: Aim) -> String {
    match aim {
        Aim::Watts(watts) => format!("{watts:.0} W"),
        Aim::Hashrate(ths) => format!("{ths} TH/s"),
        Aim::Efficiency => "efficiency".to_owned(),
        Aim::Profit { .. } => "profit".to_owned(),
        Aim::Off => "no tuning".to_owned(),
    }
}
