//! All rules together.

use std::time::Duration;

use autotune::{Aim, Caps};

use crate::curtail::{Curtail, CurtailError, Curtailment, Held};
use crate::feed::{Feed, FeedError, REVENUE_VALID, Value, silence, span};
use crate::heat::{Derating, FANS, HEAT, Hottest};
use crate::price::Prices;
use crate::schedule::{Local, Schedule};
use crate::settings::{Base, Fallback, HeatRule, Settings, Then};
use crate::sleep::{Sleeper, Wish};
use crate::surplus::Surplus;
use crate::want::{Want, words};

/// What is to be known at a moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Inputs {
    /// The time on the wall; none while the computer does not know it.
    pub local: Option<Local>,
    /// Input power of all boards, measured or else as the tuners reckon it, W.
    pub watts: Option<f64>,
    /// The part that is nearest to the point of throttling.
    pub hottest: Option<Hottest>,
    /// Duty of the fastest fan that is run by its temperature, percent.
    pub fan_percent: Option<f64>,
    /// A tuner has come to rest and says that even its lowest setting draws more than it may.
    pub too_little: bool,
}

/// What holds at a moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Effective {
    /// The aim, of all boards together.
    pub aim: Aim,
    /// The caps.
    pub caps: Caps,
    /// All boards are to be without power.
    pub asleep: bool,
    /// Why it is not what the owner wants in general, strongest first.
    pub reasons: Vec<Reason>,
    /// When a rule is known to change it, agent's time. A jump of the wall's clock until then is not reckoned with.
    pub next_change: Option<Duration>,
    /// Price that was told last, money per kWh, and its age.
    pub price_per_kwh: Option<(f64, Duration)>,
    /// Revenue that was told last, money per TH/s and day.
    pub revenue_per_ths_day: Option<f64>,
    /// Surplus that was told last, W, and its age.
    pub surplus_w: Option<(f64, Duration)>,
    /// Where curtailment goes, W.
    pub curtailed_to_w: Option<f64>,
}

/// Why something is as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// What rules: `schedule`, `no-clock`, `price`, `surplus`, `stale-feed`, `curtailment`, `heat`, `minimum-time`,
    /// `tuner-off`.
    pub code: &'static str,
    /// In words, with the numbers of now.
    pub text: String,
    /// The same as long as it is the same cause with the same consequence, whatever the numbers do.
    pub key: String,
}

/// Power that is believed, W; what is read beyond this and the next two is no reading.
const POWER_W: std::ops::RangeInclusive<f64> = 0.0..=1e7;
/// Temperatures that are, °C.
const HEAT_C: std::ops::RangeInclusive<f64> = -100.0..=300.0;
/// Duties that are, percent.
const DUTY: std::ops::RangeInclusive<f64> = 0.0..=100.0;
/// A tuner that says so for this long has too little power indeed.
const TOO_LITTLE: Duration = Duration::from_secs(30);
/// A cap that is passed by no more than this is as good as held.
const SLACK: f64 = 1.03;
/// A cap higher than the one that was too little by this factor is tried again.
const MORE: f64 = 1.02;

/// The owner's wishes, and what has become of them.
#[derive(Clone, Debug)]
pub struct Demand {
    base: Base,
    full_w: f64,
    schedule: Schedule,
    prices: Option<Prices>,
    surplus: Option<Surplus>,
    heat: Option<(HeatRule, Derating)>,
    fans: Derating,
    curtailment: Curtailment,
    sleeper: Sleeper,
    price: Option<Value>,
    revenue: Option<Value>,
    surplus_w: Option<Value>,
    now: Duration,
    /// When it looked last.
    looked: Duration,
    /// What was drawn at the last look, W.
    watts: Option<f64>,
    /// What was allowed at the last look, W.
    bound_w: Option<f64>,
    /// Since when a tuner has had too little power.
    too_little: Option<Duration>,
    /// With this cap of curtailment the boards cannot run, W.
    cannot_w: Option<f64>,
}

impl Demand {
    /// With these rules, and nothing told yet. Power of the machine that is no positive number counts as 1 MW.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let full = settings.full_w;
        Self {
            base: settings.base,
            full_w: if full.is_finite() && full > 0.0 {
                full
            } else {
                1e6
            },
            schedule: Schedule::new(settings.schedule),
            prices: settings.price.map(Prices::new),
            surplus: settings.surplus.map(Surplus::new),
            heat: settings.heat.map(|rule| (rule, Derating::new(HEAT))),
            fans: Derating::new(FANS),
            curtailment: Curtailment::default(),
            sleeper: Sleeper::new(settings.least_awake, settings.least_asleep),
            price: None,
            revenue: None,
            surplus_w: None,
            now: Duration::ZERO,
            looked: Duration::ZERO,
            watts: None,
            bound_w: None,
            too_little: None,
            cannot_w: None,
        }
    }

    /// What the owner wants in general.
    #[must_use]
    pub fn base(&self) -> Base {
        self.base
    }

    /// The owner wants something else in general. Numbers that cannot be meant leave it as it was; false then.
    pub fn set_base(&mut self, base: Base) -> bool {
        let Caps {
            chip_c,
            board_c,
            fan_percent,
            watts,
            mv,
        } = base.caps;
        let caps = [chip_c, board_c, fan_percent, watts, mv];
        let good = |cap: f64| cap.is_finite() && cap > 0.0;
        let sane = base.aim.is_sane() && caps.into_iter().flatten().all(good);
        if sane {
            self.base = base;
        }
        sane
    }

    /// Takes what the world tells.
    ///
    /// # Errors
    ///
    /// When nothing is told, a number cannot be meant, or it would change nothing; then nothing of it is taken.
    pub fn feed(&mut self, now: Duration, feed: &Feed) -> Result<(), FeedError> {
        feed.check()?;
        if feed.surplus_w.is_some() && self.surplus.is_none() {
            return Err(FeedError::NoSurplusRule);
        }
        self.now = self.now.max(now);
        let now = self.now;
        if let Some(price) = feed.price_per_kwh {
            let valid = self
                .prices
                .as_ref()
                .map_or(REVENUE_VALID, |prices| prices.rule.valid);
            self.price = Some(Value::new(now, price, feed, valid));
        }
        if let Some(revenue) = feed.revenue_per_ths_day {
            self.revenue = Some(Value::new(now, revenue, feed, REVENUE_VALID));
        }
        if let (Some(told), Some(surplus)) = (feed.surplus_w, &self.surplus) {
            // At the meter what the machine draws itself has been taken off.
            let own = self.watts.filter(|_| surplus.rule.at_meter);
            let all = told + own.unwrap_or(0.0);
            self.surplus_w = Some(Value::new(now, all, feed, surplus.rule.valid));
        }
        Ok(())
    }

    /// Curtails, or ends it. Takes effect with the next look.
    ///
    /// # Errors
    ///
    /// When the watts cannot be meant; then all is as it was.
    pub fn curtail(&mut self, now: Duration, wish: &Curtail) -> Result<(), CurtailError> {
        self.now = self.now.max(now);
        let present = match (self.watts, self.bound_w) {
            (Some(watts), Some(bound)) => Some(watts.min(bound)),
            (watts, bound) => watts.or(bound),
        };
        self.curtailment.ask(self.now, wish, present, self.full_w)?;
        self.too_little = None;
        self.cannot_w = None;
        Ok(())
    }

    /// Looks at everything. Time that runs backwards stands still.
    pub fn tick(&mut self, now: Duration, inputs: &Inputs) -> Effective {
        self.now = self.now.max(now);
        let now = self.now;
        let passed = now.saturating_sub(self.looked);
        self.looked = now;
        self.watts = inputs.watts.filter(|watts| POWER_W.contains(watts));
        let mut look = Look::new(self.base);
        self.reckon(now, &mut look);
        self.follow_schedule(now, inputs.local, &mut look);
        self.follow_price(now, &mut look);
        self.follow_surplus(now, passed, &mut look);
        let curtailed = self.curtailment.tick(now, self.full_w);
        self.follow_curtailment(now, curtailed, inputs.too_little, &mut look);
        self.follow_heat(passed, inputs, &mut look);
        self.follow_sleep(now, &mut look);
        let owner_w = self.base.caps.watts.unwrap_or(f64::INFINITY);
        if self.base.aim == Aim::Off
            && let Some(cap) = look.want.caps.watts.filter(|cap| *cap < owner_w)
        {
            let text = format!(
                "{cap:.0} W cannot be held: the tuner is off, and clock and voltage stay as configured; only sleep \
                 works. Give the tuner an aim"
            );
            look.say(NOTE, "tuner-off", text, "off");
        }
        self.bound_w = look.want.bound_w();
        let mut reasons = look.reasons;
        reasons.sort_by(|a, b| a.0.total_cmp(&b.0));
        Effective {
            aim: look.want.aim,
            caps: look.want.caps,
            asleep: self.sleeper.is_asleep(),
            reasons: reasons.into_iter().map(|(_, reason)| reason).collect(),
            next_change: look.next.filter(|next| *next > now),
            price_per_kwh: self.price.map(|price| (price.value, price.age(now))),
            revenue_per_ths_day: self.revenue.map(|revenue| revenue.value),
            surplus_w: self
                .surplus_w
                .map(|surplus| (surplus.value, surplus.age(now))),
            curtailed_to_w: curtailed.and_then(|held| held.target_w),
        }
    }

    /// Puts the present price and revenue into an aim that reckons with them.
    fn reckon(&self, now: Duration, look: &mut Look) {
        let fresh = |value: &Option<Value>| value.filter(|value| value.is_fresh(now));
        let (price, revenue) = (fresh(&self.price), fresh(&self.revenue));
        for value in [price, revenue].into_iter().flatten() {
            look.until(value.ends(now));
        }
        let value = |value: Option<Value>| value.map(|value| value.value);
        look.want.reckon(value(price), value(revenue));
    }

    fn follow_schedule(&self, now: Duration, local: Option<Local>, look: &mut Look) {
        if self.schedule.is_empty() {
            return;
        }
        let Some(local) = local else {
            let text = "the computer does not know the time yet, so the schedule does not hold";
            look.say(NOTE, "no-clock", text.to_owned(), "");
            return;
        };
        let next = self.schedule.next_s(local);
        look.until(next.map(|next| now.saturating_add(Duration::from_secs(next.into()))));
        for (entry, end) in self.schedule.holding(local) {
            let until = end.map_or_else(String::new, |end| format!(" until {end}"));
            if let Some(aim) = entry.aim {
                let before = look.want;
                look.want.aim(aim);
                if look.want != before {
                    let text = format!("schedule: {}{until}", words(aim));
                    look.say(
                        look.want.bound_w().unwrap_or(OTHER),
                        "schedule",
                        text.clone(),
                        &text,
                    );
                }
            }
            match entry.then {
                Some(Then::Watts(watts)) => {
                    let text = format!("schedule: at most {watts:.0} W{until}");
                    look.limit(watts, "schedule", text.clone(), &text);
                }
                Some(Then::Sleep) => {
                    let text = format!("schedule: asleep{until}");
                    look.sleep(Wish::Hard, "schedule", text.clone(), &text);
                }
                None => {}
            }
        }
    }

    fn follow_price(&mut self, now: Duration, look: &mut Look) {
        let Some(prices) = &mut self.prices else {
            return;
        };
        let Some(price) = self.price.filter(|price| price.is_fresh(now)) else {
            prices.forget();
            let silence = silence("price", self.price.as_ref(), now);
            look.fall_back(prices.rule.stale, &silence, "price");
            return;
        };
        prices.see(price.value);
        for (step, text) in prices.holding(price.value) {
            let key = format!("price {} {:?}", step.above, step.then);
            match step.then {
                Then::Watts(watts) => look.limit(watts, "price", text, &key),
                Then::Sleep => look.sleep(Wish::Soft, "price", text, &key),
            }
        }
    }

    fn follow_surplus(&mut self, now: Duration, passed: Duration, look: &mut Look) {
        let Some(surplus) = &mut self.surplus else {
            return;
        };
        let Some(told) = self.surplus_w.filter(|told| told.is_fresh(now)) else {
            surplus.forget();
            let silence = silence("surplus", self.surplus_w.as_ref(), now);
            look.fall_back(surplus.rule.stale, &silence, "surplus");
            return;
        };
        look.until(told.ends(now));
        let level = surplus.follow(told.value, passed);
        let floor = surplus.rule.floor_w;
        if surplus.is_enough() {
            let text = format!("surplus: at most {level:.0} W");
            look.limit(level.max(floor), "surplus", text, "surplus");
            return;
        }
        let wake = surplus.rule.wake_w.max(floor);
        let text = format!("surplus {level:.0} W, asleep until it is {wake:.0} W");
        look.want.limit(floor);
        look.sleep(Wish::Soft, "surplus", text, "no surplus");
    }

    fn follow_curtailment(
        &mut self,
        now: Duration,
        held: Option<Held>,
        too_little: bool,
        look: &mut Look,
    ) {
        let Some(held) = held else {
            self.too_little = None;
            self.cannot_w = None;
            return;
        };
        look.until(held.next);
        let others = look.want.bound_w().unwrap_or(f64::INFINITY);
        let (text, key) = match held.target_w {
            Some(target) if target <= 0.0 && !held.ramps => (
                "curtailment: asleep until it ends".to_owned(),
                "0 W".to_owned(),
            ),
            Some(target) if held.ramps => (
                format!("curtailment: on the way to {target:.0} W"),
                format!("to {target:.0} W"),
            ),
            Some(target) => (
                format!("curtailment: at most {target:.0} W until it ends"),
                format!("{target:.0} W"),
            ),
            None => (
                "curtailment has ended: on the way back".to_owned(),
                "back".to_owned(),
            ),
        };
        // A machine that does not tell whether it has too little power sleeps at the end of the ramp.
        let over = self.watts.is_none_or(|watts| watts > held.cap_w * SLACK);
        let since = (too_little && over && held.cap_w <= others).then_some(now);
        self.too_little = since.map(|since| self.too_little.unwrap_or(since));
        if self
            .too_little
            .is_some_and(|since| now.saturating_sub(since) >= TOO_LITTLE)
        {
            self.cannot_w = Some(self.cannot_w.map_or(held.cap_w, |w| w.max(held.cap_w)));
        }
        if held.cap_w <= 0.0 {
            look.sleep(Wish::Hard, "curtailment", text, &key);
        } else if self
            .cannot_w
            .is_some_and(|cannot| held.cap_w <= cannot * MORE)
        {
            look.want.limit(held.cap_w);
            let text = format!("{text}; the boards cannot run with so little: asleep");
            look.sleep(
                Wish::Hard,
                "curtailment",
                text,
                &format!("{key}, too little"),
            );
        } else {
            look.limit(held.cap_w, "curtailment", text, &key);
        }
    }

    fn follow_heat(&mut self, passed: Duration, inputs: &Inputs, look: &mut Look) {
        // Without a tuner no cap can be held, and the station's own throttle is all there is.
        if self.sleeper.is_asleep() || self.base.aim == Aim::Off {
            self.fans.reset();
            if let Some((_, heat)) = &mut self.heat {
                heat.reset();
            }
            return;
        }
        let bound = look.want.bound_w();
        if let Some((rule, heat)) = &mut self.heat {
            let hottest = inputs.hottest.as_ref();
            let hottest = hottest.filter(|h| HEAT_C.contains(&h.celsius));
            let over = hottest.and_then(|hottest| hottest.over_k(rule.margin_k));
            if let Some(cap) = heat.tick(passed, over, self.watts, bound) {
                let why = hottest.map_or_else(
                    || "no temperature".to_owned(),
                    |hottest| {
                        let (name, celsius, limit) =
                            (&hottest.name, hottest.celsius, hottest.limit_c);
                        format!("{name} at {celsius:.1} °C, throttling begins at {limit:.0} °C")
                    },
                );
                let text = format!("heat: {why}: at most {cap:.0} W");
                look.limit(cap, "heat", text, "heat");
            }
        }
        let most = look.want.caps.fan_percent;
        let duty = inputs.fan_percent.filter(|duty| DUTY.contains(duty));
        let over = duty.zip(most).map(|(duty, most)| duty - most);
        if most.is_none() {
            self.fans.reset();
        }
        if let Some(cap) = self.fans.tick(passed, over, self.watts, bound) {
            let text = match (duty, most) {
                (Some(duty), Some(most)) => {
                    format!("fans at {duty:.0} % of {most:.0} % allowed: at most {cap:.0} W")
                }
                _ => format!("fans: at most {cap:.0} W"),
            };
            look.limit(cap, "heat", text, "fans");
        }
    }

    fn follow_sleep(&mut self, now: Duration, look: &mut Look) {
        let Some(due) = self.sleeper.tick(now, look.sleep) else {
            return;
        };
        look.until(Some(due));
        let left = span(due.saturating_sub(now));
        if self.sleeper.is_asleep() {
            let text = format!("asleep for {left} more: the shortest sleep is not over");
            look.say(SLEEP, "minimum-time", text, "asleep");
        } else {
            let text = format!("awake for {left} more: it has not been awake for long enough");
            look.say(NOTE, "minimum-time", text, "awake");
        }
    }
}

/// Strength of a reason: that of one that lets it sleep.
const SLEEP: f64 = -1.0;
/// Of one that changes something besides power.
const OTHER: f64 = 1e12;
/// Of one that is only to be known.
const NOTE: f64 = 2e12;

/// What a look has come to so far.
struct Look {
    base: Base,
    want: Want,
    sleep: Wish,
    /// With their strength: the watts that they allow.
    reasons: Vec<(f64, Reason)>,
    next: Option<Duration>,
}

impl Look {
    fn new(base: Base) -> Self {
        let mut want = Want {
            aim: base.aim,
            caps: base.caps,
        };
        if let Some(watts) = base.caps.watts {
            want.limit(watts);
        }
        Self {
            base,
            want,
            sleep: Wish::Awake,
            reasons: Vec::new(),
            next: None,
        }
    }

    fn say(&mut self, strength: f64, code: &'static str, text: String, key: &str) {
        let key = key.to_owned();
        self.reasons.push((strength, Reason { code, text, key }));
    }

    /// Allows no more than this, and says so if it is less than the owner allows.
    fn limit(&mut self, watts: f64, code: &'static str, text: String, key: &str) {
        self.want.limit(watts);
        let owner = Want {
            aim: self.base.aim,
            caps: self.base.caps,
        };
        if owner.bound_w().is_none_or(|bound| watts < bound) {
            self.say(watts, code, text, key);
        }
    }

    fn sleep(&mut self, wish: Wish, code: &'static str, text: String, key: &str) {
        self.sleep = self.sleep.max(wish);
        self.say(SLEEP, code, text, key);
    }

    fn fall_back(&mut self, fallback: Fallback, silence: &str, what: &str) {
        let key = format!("{what} {fallback:?}");
        match fallback {
            Fallback::Ignore => {
                let text = format!("{silence}: it rules nothing");
                self.say(NOTE, "stale-feed", text, &key);
            }
            Fallback::Then(Then::Sleep) => {
                let text = format!("{silence}: asleep");
                self.sleep(Wish::Soft, "stale-feed", text, &key);
            }
            Fallback::Then(Then::Watts(watts)) => {
                let text = format!("{silence}: at most {watts:.0} W");
                self.limit(watts, "stale-feed", text, &key);
            }
        }
    }

    /// It may change then.
    fn until(&mut self, moment: Option<Duration>) {
        self.next = match (self.next, moment) {
            (Some(next), Some(moment)) => Some(next.min(moment)),
            (next, moment) => next.or(moment),
        };
    }
}
