//! Hashrate as proven by verified nonces, with its statistical error.

use std::time::Duration;

/// Time slices per window; an estimate covers the window but for less than one slice.
const SLICES: usize = 25;

/// How far back an estimate looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Window {
    /// 5 seconds.
    FiveSeconds,
    /// 1 minute.
    OneMinute,
    /// 10 minutes.
    TenMinutes,
    /// 1 hour.
    OneHour,
}

impl Window {
    /// All windows, shortest first.
    pub const ALL: [Self; 4] = [
        Self::FiveSeconds,
        Self::OneMinute,
        Self::TenMinutes,
        Self::OneHour,
    ];

    /// The window's length.
    #[must_use]
    pub const fn length(self) -> Duration {
        Duration::from_secs(match self {
            Self::FiveSeconds => 5,
            Self::OneMinute => 60,
            Self::TenMinutes => 600,
            Self::OneHour => 3600,
        })
    }
}

/// A measured hashrate.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimate {
    /// Hashes per second.
    pub hps: f64,
    /// One standard deviation of `hps`, in hashes per second, from counting nonces: for
    /// nonces of one weight it is the rate divided by the square root of their number. With
    /// no nonce in the window it is what one nonce like the last would have counted for.
    pub sigma_hps: f64,
}

/// Counts verified nonces, each weighted by the hashes that it takes on average to find one,
/// and estimates the rate over several windows. Its memory is fixed.
#[derive(Clone, Debug)]
pub struct Hashrate {
    start: Duration,
    latest: Duration,
    nonces: u64,
    hashes: f64,
    last_weight: f64,
    rings: [[Slice; SLICES]; Window::ALL.len()],
}

/// What fell into one slice of time.
#[derive(Clone, Copy, Debug, Default)]
struct Slice {
    /// Number of the slice, counted from the start.
    number: u64,
    hashes: f64,
    /// Sum of the squared weights, which is the variance of `hashes`.
    variance: f64,
}

impl Hashrate {
    /// Starts counting at `start`.
    #[must_use]
    pub fn new(start: Duration) -> Self {
        Self {
            start,
            latest: start,
            nonces: 0,
            hashes: 0.0,
            last_weight: 0.0,
            rings: [[Slice::default(); SLICES]; Window::ALL.len()],
        }
    }

    /// Counts a nonce. `hashes` is the mean number of hashes per nonce, see
    /// [`Target::expected_hashes`](crate::Target::expected_hashes) of the chip's ticket.
    /// A weight that is not finite or not positive is ignored.
    pub fn record(&mut self, now: Duration, hashes: f64) {
        if !hashes.is_finite() || hashes <= 0.0 {
            return;
        }
        self.latest = self.latest.max(now);
        self.nonces += 1;
        self.hashes += hashes;
        self.last_weight = hashes;
        for (window, ring) in Window::ALL.into_iter().zip(&mut self.rings) {
            let number = slice_number(window, self.latest - self.start);
            let slice = &mut ring[(number % SLICES as u64) as usize];
            if slice.number != number {
                *slice = Slice {
                    number,
                    ..Slice::default()
                };
            }
            slice.hashes += hashes;
            slice.variance += hashes * hashes;
        }
    }

    /// The rate over a window. While less time than the window has passed, over that time;
    /// at the very start it is zero.
    #[must_use]
    pub fn estimate(&self, window: Window, now: Duration) -> Estimate {
        let elapsed = now.max(self.latest) - self.start;
        let newest = slice_number(window, elapsed);
        let oldest = newest.saturating_sub(SLICES as u64 - 1);
        let before = slice_length(window).as_nanos() * u128::from(oldest);
        let seconds = elapsed.as_nanos().saturating_sub(before) as f64 / 1e9;
        if seconds == 0.0 {
            return Estimate::default();
        }
        let ring = &self.rings[window as usize];
        let (hashes, variance) = ring
            .iter()
            .filter(|slice| (oldest..=newest).contains(&slice.number))
            .fold((0.0, 0.0), |(hashes, variance), slice| {
                (hashes + slice.hashes, variance + slice.variance)
            });
        let sigma = if variance > 0.0 {
            variance.sqrt()
        } else {
            self.last_weight
        };
        Estimate {
            hps: hashes / seconds,
            sigma_hps: sigma / seconds,
        }
    }

    /// Nonces counted since the start.
    #[must_use]
    pub fn nonces(&self) -> u64 {
        self.nonces
    }

    /// Hashes proven since the start.
    #[must_use]
    pub fn hashes(&self) -> f64 {
        self.hashes
    }
}

fn slice_length(window: Window) -> Duration {
    window.length() / SLICES as u32
}

fn slice_number(window: Window, elapsed: Duration) -> u64 {
    // A Duration of all 64-bit seconds does not fit; the youngest moments then share a slice.
    u64::try_from(elapsed.as_nanos() / slice_length(window).as_nanos()).unwrap_or(u64::MAX)
}
