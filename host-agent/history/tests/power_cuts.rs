//! Whatever happens to the pages, a history opens, what it says is true, and what had reached the disk
//! is there.

mod support;

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

use history::{MemoryPages, PAGE, PageBytes, Pages, Settings};
use proptest::prelude::*;
use support::{Run, T0, assert_true};

/// A disk on which a power cut leaves of each page that was not synced the old bytes, the new ones, or a
/// mixture, in any order.
#[derive(Clone, Debug, Default)]
struct Disk(Rc<RefCell<Plates>>);

#[derive(Debug, Default)]
struct Plates {
    safe: Vec<u8>,
    cached: Vec<u8>,
    unsynced: Vec<u32>,
    /// Writes until one fails; none if all go well.
    fails_in: Option<u32>,
}

impl Pages for Disk {
    fn count(&self) -> u32 {
        (self.0.borrow().cached.len() / PAGE) as u32
    }

    fn read(&mut self, page: u32, into: &mut PageBytes) -> io::Result<()> {
        let at = page as usize * PAGE;
        let disk = self.0.borrow();
        let from = disk.cached.get(at..at + PAGE);
        into.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write(&mut self, page: u32, from: &PageBytes) -> io::Result<()> {
        let mut disk = self.0.borrow_mut();
        if let Some(left) = disk.fails_in.as_mut() {
            *left = left.saturating_sub(1);
            if *left < 3 {
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        let at = page as usize * PAGE;
        if disk.cached.len() < at + PAGE {
            disk.cached.resize(at + PAGE, 0);
        }
        disk.cached[at..at + PAGE].copy_from_slice(from);
        disk.unsynced.push(page);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut disk = self.0.borrow_mut();
        disk.safe = disk.cached.clone();
        disk.unsynced.clear();
        Ok(())
    }

    fn truncate(&mut self, count: u32) -> io::Result<()> {
        self.0.borrow_mut().cached.truncate(count as usize * PAGE);
        Ok(())
    }
}

impl Disk {
    /// What is there after the power cut.
    fn after_cut(&self, random: &mut fastrand::Rng) -> Vec<u8> {
        let disk = self.0.borrow();
        let mut image = disk.safe.clone();
        for page in &disk.unsynced {
            let at = *page as usize * PAGE;
            let fate = random.u8(..4);
            if image.len() < at + PAGE {
                if fate == 0 {
                    continue;
                }
                image.resize(at + PAGE, 0);
            }
            let end = match fate {
                0 => continue,
                1 => PAGE,
                _ => random.usize(..PAGE),
            };
            image[at..at + end].copy_from_slice(&disk.cached[at..at + end]);
            if fate == 3 {
                random.fill(&mut image[at + end..at + PAGE]);
            }
        }
        // The last page may be there in part.
        if random.bool() {
            image.extend(std::iter::repeat_n(7, random.usize(..PAGE)));
        }
        image
    }
}

/// A year in little: a tiny store, so that pages are written over early.
fn settings() -> Settings {
    Settings {
        max_bytes: 120 * PAGE as u64,
        write_every_s: 60,
    }
}

/// A disk whose next sync never comes: the power goes between the writes and it.
fn without_sync(disk: &Disk) -> Unsynced {
    Unsynced(disk.clone())
}

struct Unsynced(Disk);

impl Pages for Unsynced {
    fn count(&self) -> u32 {
        self.0.count()
    }
    fn read(&mut self, page: u32, into: &mut PageBytes) -> io::Result<()> {
        self.0.read(page, into)
    }
    fn write(&mut self, page: u32, from: &PageBytes) -> io::Result<()> {
        self.0.write(page, from)
    }
    fn sync(&mut self) -> io::Result<()> {
        Err(io::Error::other("power cut"))
    }
    fn truncate(&mut self, count: u32) -> io::Result<()> {
        self.0.truncate(count)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn what_was_synced_survives_any_power_cuts(
        runs in prop::collection::vec((1_u64..6000, 1_u64..400, any::<u64>()), 1..5))
    {
        let mut image = Vec::new();
        let mut now = T0;
        // Seconds that must be there, oldest first.
        let mut safe: Vec<(i64, i64)> = Vec::new();
        for (well, badly, seed) in runs {
            let mut random = fastrand::Rng::with_seed(seed);
            let disk = Disk::default();
            disk.0.borrow_mut().cached = image.clone();
            disk.0.borrow_mut().safe = image.clone();
            disk.0.borrow_mut().cached.truncate(image.len() / PAGE * PAGE);

            let mut run = Run::begin(disk.clone(), settings(), now);
            prop_assert!(run.run(well));
            run.archive.flush().unwrap();
            safe.push((now, run.now()));
            let Run { began, mono_s, .. } = run;

            // Then the disk takes writes, but none is made safe before the power goes.
            let mut run = Run::begin(without_sync(&disk), settings(), began + mono_s as i64 + 2);
            run.run(badly);
            let _ = run.archive.flush();
            now = run.now() + 30;
            image = disk.after_cut(&mut random);
        }
        let mut run = Run::begin(MemoryPages::of(&image), settings(), now);
        run.run(1);
        let minutes = run.temperatures(T0 - 60, now, 60);
        assert_true(&minutes);
        let hour_ago = now - 3600;
        let seconds = run.temperatures(hour_ago, now, 1);
        assert_true(&seconds);
        for (from, to) in safe {
            let covered = |history: &rpc::history::History| {
                let step = i64::from(history.step_s);
                let inside = |at: &(usize, &u32)| {
                    let begin = history.from + at.0 as i64 * step;
                    begin >= from && begin + step <= to
                };
                let points = history.covered_s.iter().enumerate().filter(inside);
                points.filter(|(_, covered)| i64::from(**covered) < step).count()
            };
            prop_assert_eq!(covered(&minutes), 0);
            if seconds.step_s == 1 {
                // Only so many seconds are kept as fit.
                prop_assert_eq!(covered(&seconds), 0);
            }
        }
    }

    #[test]
    fn damaged_files_open_and_do_not_lie(
        seed in any::<u64>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), 1_u8..), 0..20),
        swaps in prop::collection::vec(any::<[prop::sample::Index; 2]>(), 0..5),
        length in any::<prop::sample::Index>(),
        cut in any::<bool>())
    {
        let mut run = Run::begin(MemoryPages::default(), settings(), T0);
        run.run(3 * 3600 + seed % 3600);
        run.archive.flush().unwrap();
        let end = run.now();
        let mut image = run.archive.into_pages().image();
        for (at, flip) in flips {
            let at = at.index(image.len());
            image[at] ^= flip;
        }
        for [a, b] in swaps {
            let (a, b) = (a.index(image.len() / PAGE), b.index(image.len() / PAGE));
            for byte in 0..PAGE {
                image.swap(a * PAGE + byte, b * PAGE + byte);
            }
        }
        if cut {
            image.truncate(length.index(image.len()));
        }
        let mut run = Run::begin(MemoryPages::of(&image), settings(), end + 10);
        run.run(200);
        run.archive.flush().unwrap();
        assert_true(&run.temperatures(T0, run.now(), 60));
        let seconds = run.temperatures(end + 10, run.now(), 1);
        prop_assert_eq!(assert_true(&seconds), 200);
    }
}

#[test]
fn a_full_disk_costs_nothing_that_fits_into_memory() {
    let disk = Disk::default();
    let mut run = Run::begin(disk.clone(), Settings::default(), T0);
    assert!(run.run(600));
    disk.0.borrow_mut().fails_in = Some(0);
    assert!(!run.run(1200));
    // It can still be asked.
    let now = run.now();
    assert_eq!(assert_true(&run.temperatures(T0, now, 1)), 1800);
    disk.0.borrow_mut().fails_in = None;
    assert!(run.run(600));
    run.archive.flush().unwrap();
    let end = run.now();
    let image = disk.0.borrow().safe.clone();
    let mut run = Run::begin(MemoryPages::of(&image), Settings::default(), end);
    run.run(1);
    assert_eq!(assert_true(&run.temperatures(T0, end, 1)), 2400);
}

#[test]
fn a_disk_that_is_broken_for_long_does_not_fill_the_memory() {
    let disk = Disk::default();
    let mut run = Run::begin(disk.clone(), Settings::default(), T0);
    disk.0.borrow_mut().fails_in = Some(0);
    run.run(6 * 3600);
    let info = run.archive.info();
    assert_eq!(info.written_bytes, 0);
    assert!(info.problem.unwrap().contains("could not be written"));
    // Minutes stay longest.
    let now = run.now();
    let minutes = run.temperatures(T0, now, 60);
    assert_eq!(assert_true(&minutes), 360);
}
