//! Speed of a fan from pulses on a GPIO line: a thread of its own counts edges as the kernel reports
//! them, and whoever asks takes the count over the time since it last asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use linux_embedded_hal::gpio_cdev::{Chip, Error, EventRequestFlags, LineRequestFlags};
use station::BusError;

use super::CONSUMER;

/// Shortest time over which pulses are counted: a pulse more or less is then 30 rpm.
const WINDOW: Duration = Duration::from_secs(1);

/// Counts the pulses of one fan.
#[derive(Debug)]
pub(super) struct PulseCounter {
    count: Arc<AtomicU64>,
    failed: Arc<AtomicBool>,
    speed: Speed,
}

impl PulseCounter {
    /// Begins to count. The thread lives as long as the program: the kernel has no way to wake it from
    /// a line that has fallen silent.
    pub(super) fn open(chip: &str, offset: u32, pulses: u32) -> Result<Self, Error> {
        let events = Chip::new(chip)?.get_line(offset)?.events(
            LineRequestFlags::INPUT,
            EventRequestFlags::FALLING_EDGE,
            CONSUMER,
        )?;
        let counter = Self {
            count: Arc::default(),
            failed: Arc::default(),
            speed: Speed::new(pulses, Instant::now()),
        };
        let (count, failed) = (Arc::clone(&counter.count), Arc::clone(&counter.failed));
        thread::Builder::new()
            .name("tach".to_owned())
            .spawn(move || {
                for event in events {
                    if event.is_err() {
                        break;
                    }
                    count.fetch_add(1, Ordering::Relaxed);
                }
                failed.store(true, Ordering::Relaxed);
            })
            .map_err(Error::from)?;
        Ok(counter)
    }

    /// The speed since the last window, turns per minute.
    pub(super) fn rpm(&mut self) -> Result<u32, BusError> {
        if self.failed.load(Ordering::Relaxed) {
            return Err(BusError::Port("the tach line cannot be read".to_owned()));
        }
        let count = self.count.load(Ordering::Relaxed);
        self.speed
            .at(Instant::now(), count)
            .ok_or(BusError::Timeout)
    }
}

/// Speed from a running count.
#[derive(Debug)]
struct Speed {
    pulses: u32,
    since: Instant,
    counted: u64,
    rpm: Option<u32>,
}

impl Speed {
    fn new(pulses: u32, now: Instant) -> Self {
        Self {
            pulses: pulses.max(1),
            since: now,
            counted: 0,
            rpm: None,
        }
    }

    /// The speed over the last full window; none before there was one.
    fn at(&mut self, now: Instant, count: u64) -> Option<u32> {
        let time = now.saturating_duration_since(self.since);
        if time >= WINDOW {
            let turns = count.wrapping_sub(self.counted) as f64 / f64::from(self.pulses);
            self.rpm = Some((turns * 60.0 / time.as_secs_f64()).round() as u32);
            (self.since, self.counted) = (now, count);
        }
        self.rpm
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pulses_become_turns_per_minute() {
        let start = Instant::now();
        let mut speed = Speed::new(2, start);
        let at = |ms: u64| start + Duration::from_millis(ms);
        assert_eq!(speed.at(at(500), 50), None, "too early to tell");
        assert_eq!(speed.at(at(1000), 100), Some(3000));
        assert_eq!(speed.at(at(1500), 150), Some(3000), "the last full window");
        // The fan stops.
        assert_eq!(speed.at(at(2500), 150), Some(1000));
        assert_eq!(speed.at(at(3500), 150), Some(0));
    }
}
