//! Fans: a controller that holds a temperature as quietly as it can. It is a PID with the power as
//! feed-forward, and above all it has a slope to full speed that works in every mode, so that a
//! fixed fan setting never watches a board overheat. It decides about comfort only; the guard's
//! floor comes on top, and cutting power is the guard's.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How fans are run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case", tag = "mode")]
pub enum Mode {
    /// Fans hold the target temperature.
    Auto,
    /// Fans turn at a fixed duty, more where the board is hot or the guard wants it.
    Manual {
        /// Duty, 0 to 100 %.
        percent: u8,
    },
    /// The board is in a liquid: there are no fans to watch. Temperatures are watched as ever.
    Immersion {
        /// A person said so explicitly; without it the mode is refused.
        confirmed: bool,
    },
}

/// What the fan controller of a board aims for. Temperatures are those of the sensor that the
/// target is meant for.
#[derive(Clone, Debug, PartialEq)]
pub struct FanSettings {
    /// Temperature to hold, °C.
    pub target_c: f64,
    /// Temperature at which fans are at full speed whatever the mode, °C; above the target.
    pub hot_c: f64,
    /// Quiet floor: never slower while the board has power, %.
    pub min_percent: f64,
    /// Duty when power comes on, %.
    pub start_percent: f64,
    /// Power at which the feed-forward asks for `feed_forward_percent`, W; 0 switches it off.
    pub nominal_w: f64,
    /// Duty that nominal power is expected to need, %.
    pub feed_forward_percent: f64,
    /// The PID's numbers.
    pub gains: Gains,
}

/// Gains of the PID and its limits. The defaults suit boards whose temperature answers to the fans
/// within ten seconds to two minutes; with a lag of fan and sensor of up to about five seconds they
/// leave a phase margin above 60° on the thermal models of a Bitaxe and of an Antminer.
#[derive(Clone, Debug, PartialEq)]
pub struct Gains {
    /// Duty per kelvin above target, %/K, at 50 % duty. It follows the duty, because air carries
    /// away less per step of the fan when the fan is fast.
    pub proportional: f64,
    /// %/(K·s).
    pub integral: f64,
    /// %·s/K, on the filtered temperature.
    pub derivative: f64,
    /// Time constant of the filter on the temperature, s.
    pub filter_s: f64,
    /// Fastest rise, %/s.
    pub rise_per_s: f64,
    /// Fastest fall, %/s. Slow, because ears notice changes more than noise.
    pub fall_per_s: f64,
}

impl Default for Gains {
    fn default() -> Self {
        Self {
            proportional: 2.0,
            integral: 0.04,
            derivative: 4.0,
            filter_s: 2.0,
            rise_per_s: 10.0,
            fall_per_s: 2.0,
        }
    }
}

/// What the fan controller is told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FanInput {
    /// Hottest temperature on the scale of the target's sensor, °C; none if it is not known.
    pub temperature_c: Option<f64>,
    /// Power that becomes heat, W; none if it is not known.
    pub power_w: Option<f64>,
    /// The board has power, or is about to.
    pub powered: bool,
}

/// The fan controller of a board or of boards in one stream of air.
#[derive(Clone, Debug)]
pub struct FanControl {
    settings: FanSettings,
    mode: Mode,
    memory: Option<Memory>,
    /// The mode was changed: the PID takes over from the present duty.
    taking_over: bool,
    powered: bool,
    duty: f64,
}

/// What the PID remembers while it runs.
#[derive(Clone, Copy, Debug)]
struct Memory {
    at: Duration,
    filtered: f64,
    integral: f64,
}

/// Further below the target than this the fans follow the feed-forward, K: a cold board says nothing
/// about the speed that it will need once it is warm.
const COLD_K: f64 = 10.0;

/// Longest step that the PID takes at once; after a longer gap it goes on as if it were this long.
const LONGEST_STEP_S: f64 = 5.0;

impl FanControl {
    /// A controller that runs fans at full speed until it is told a temperature.
    #[must_use]
    pub fn new(settings: FanSettings, mode: Mode) -> Self {
        Self {
            settings,
            mode,
            memory: None,
            taking_over: false,
            powered: false,
            duty: 100.0,
        }
    }

    /// Changes the mode. The PID goes on from the present duty, without a jump.
    pub fn set_mode(&mut self, mode: Mode) {
        if self.mode != mode {
            self.mode = mode;
            self.memory = None;
            self.taking_over = true;
        }
    }

    /// Changes the target, °C. It is kept at least 5 K below hot.
    pub fn set_target(&mut self, target_c: f64) {
        if target_c.is_finite() {
            self.settings.target_c = target_c.min(self.settings.hot_c - 5.0);
        }
    }

    /// Somebody else, such as the guard, makes the fans run faster, at this duty, %: the way down
    /// begins there.
    pub fn follow(&mut self, duty: f64) {
        self.duty = self.duty.max(duty.min(100.0));
    }

    /// How fans are run.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// What the controller aims for.
    #[must_use]
    pub fn settings(&self) -> &FanSettings {
        &self.settings
    }

    /// The duty that was decided last, %.
    #[must_use]
    pub fn duty(&self) -> f64 {
        self.duty
    }

    /// Decides the duty at `now`, 0 to 100 %. Without a temperature it is 100 %, in every mode but
    /// immersion.
    pub fn update(&mut self, now: Duration, input: FanInput) -> f64 {
        let temperature = input.temperature_c.filter(|c| c.is_finite());
        let coming_on = input.powered && !self.powered;
        self.powered = input.powered;
        self.duty = match (self.mode, temperature) {
            (Mode::Immersion { confirmed: true }, _) => 0.0,
            (_, None) => {
                self.memory = None;
                100.0
            }
            (Mode::Manual { percent }, Some(celsius)) => {
                f64::from(percent.min(100)).max(self.slope_to_full(celsius))
            }
            (_, Some(celsius)) => self.hold(now, celsius, input.power_w, coming_on),
        };
        self.duty
    }

    /// One step of the PID.
    fn hold(&mut self, now: Duration, celsius: f64, power_w: Option<f64>, coming_on: bool) -> f64 {
        let gains = &self.settings.gains;
        let floor = self.settings.min_percent.clamp(0.0, 100.0);
        let forward = self.feed_forward(power_w);
        let schedule = (self.duty / 50.0).clamp(0.4, 1.5);
        let proportional = |error: f64| gains.proportional * schedule * error.max(-COLD_K);
        let memory = match self.memory {
            Some(memory) if !coming_on => memory,
            _ => {
                // With power, and with the first temperature after none, begins a new history; after a
                // change of mode the PID starts from what the fans do, so that the change is not heard.
                let (start, integral) = if self.taking_over && !coming_on {
                    let rest = forward + proportional(celsius - self.settings.target_c);
                    (self.duty, self.duty.clamp(floor, 100.0) - rest)
                } else if coming_on {
                    (self.duty.max(self.settings.start_percent), 0.0)
                } else {
                    (self.duty, 0.0)
                };
                self.taking_over = false;
                self.memory = Some(Memory {
                    at: now,
                    filtered: celsius,
                    integral,
                });
                return start.max(self.slope_to_full(celsius)).clamp(floor, 100.0);
            }
        };
        let dt = now
            .saturating_sub(memory.at)
            .as_secs_f64()
            .min(LONGEST_STEP_S);
        if dt <= 0.0 {
            return self.duty.max(self.slope_to_full(celsius));
        }
        let share = 1.0 - (-dt / gains.filter_s.max(1e-3)).exp();
        let filtered = memory.filtered + share * (celsius - memory.filtered);
        let slope = (filtered - memory.filtered) / dt;
        let error = filtered - self.settings.target_c;

        let derivative = gains.derivative * schedule * slope;
        let learn = if error > -COLD_K { error * dt } else { 0.0 };
        let integral = memory.integral + gains.integral * schedule * learn;
        // Anti-windup: the integral never asks for more than the fans can do, nor for less than
        // the floor, together with the other terms.
        let rest = forward + proportional(error);
        let integral = integral.clamp((floor - rest).min(0.0), (100.0 - rest).max(0.0));
        let wanted = (rest + integral + derivative).clamp(floor, 100.0);
        let limited = wanted.clamp(
            self.duty - gains.fall_per_s * dt,
            self.duty + gains.rise_per_s * dt,
        );
        self.memory = Some(Memory {
            at: now,
            filtered,
            integral,
        });
        limited.max(self.slope_to_full(celsius)).clamp(floor, 100.0)
    }

    fn feed_forward(&self, power_w: Option<f64>) -> f64 {
        match power_w {
            Some(power) if power.is_finite() && self.settings.nominal_w > 0.0 => {
                let load = (power / self.settings.nominal_w).clamp(0.0, 2.0);
                self.settings.feed_forward_percent * load
            }
            _ => 0.0,
        }
    }

    /// From half-way between target and hot the fans rise to full speed at hot, whatever the mode.
    fn slope_to_full(&self, celsius: f64) -> f64 {
        let FanSettings {
            target_c, hot_c, ..
        } = self.settings;
        let from = (target_c + hot_c) / 2.0;
        let span = (hot_c - from).max(1e-3);
        ((celsius - from) / span * 100.0).clamp(0.0, 100.0)
    }
}
