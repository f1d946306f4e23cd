//! The file of a sweep, written after every point and read to go on: what was swept, with which rules, and
//! what came of each point.

use std::io::Write as _;
use std::path::Path;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

use super::outcome::Outcome;
use super::plan::{Fate, Grid, Point};

/// Version of the format.
pub const FORMAT: u32 = 1;

/// Name of the file in its directory.
pub const NAME: &str = "sweep.json";

/// The board that is swept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Subject {
    /// Name of the agent.
    pub agent: String,
    /// Index of the board.
    pub board: usize,
    /// Its profile.
    pub profile: String,
    /// Its name for people.
    pub model: String,
    /// Its serial number, if it tells one.
    pub serial: Option<String>,
    /// It is simulated.
    pub simulated: bool,
}

/// A change that the agent undoes by itself unless this program does so before.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Id of the board's set point.
    pub board: Option<String>,
    /// Id of the stop of the tuner.
    pub tuner: Option<String>,
}

/// A sweep.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sweep {
    /// Version of the format.
    pub format: u32,
    /// What was swept.
    pub subject: Subject,
    /// When it began, seconds since 1970.
    pub began_unix_s: u64,
    /// When it was written last, seconds since 1970.
    pub written_unix_s: u64,
    /// All points are done.
    pub complete: bool,
    /// Why it ended before, if it did.
    pub ended: Option<String>,
    /// Error rate of the verdicts, each way.
    pub error_rate: f64,
    /// What the board was set to before.
    pub base: Option<Point>,
    /// The points.
    pub grid: Grid,
    /// Points that were asked for and lie beyond the limits of the profile.
    pub beyond: usize,
    /// What is known of them, in the order of the visits.
    pub points: Vec<Outcome>,
    /// Changes that wait at the agent.
    #[serde(default)]
    pub pending: Pending,
}

impl Sweep {
    /// What is known of a point.
    #[must_use]
    pub fn fate(&self, point: &Point) -> Fate<'_> {
        self.grid.fate(point, &self.points)
    }

    /// The next point to visit.
    #[must_use]
    pub fn next(&self) -> Option<Point> {
        self.grid.next(&self.points)
    }

    /// Time that the points which are left will take, s, judged by those that are done.
    #[must_use]
    pub fn remaining_s(&self) -> Option<f64> {
        let visits: Vec<_> = self.points.iter().map(|outcome| outcome.took_s).collect();
        let mean = visits.iter().sum::<f64>() / visits.len() as f64;
        let open = self.grid.open(&self.points);
        (!visits.is_empty()).then_some(mean * open as f64)
    }

    /// The point with least energy per work of those that are good.
    #[must_use]
    pub fn thriftiest(&self) -> Option<&Outcome> {
        let good = self.good().filter(|outcome| outcome.j_per_th.is_some());
        good.min_by(|a, b| {
            let of = |outcome: &Outcome| outcome.j_per_th.unwrap_or(f64::INFINITY);
            of(a).total_cmp(&of(b))
        })
    }

    /// The point with most work of those that are good.
    #[must_use]
    pub fn fastest(&self) -> Option<&Outcome> {
        self.good().max_by(|a, b| {
            let of = |outcome: &Outcome| outcome.hps.unwrap_or_default();
            of(a).total_cmp(&of(b))
        })
    }

    fn good(&self) -> impl Iterator<Item = &Outcome> {
        let good = super::outcome::Verdict::Good;
        self.points
            .iter()
            .filter(move |outcome| outcome.verdict == good)
    }

    /// Takes over what an earlier sweep knows of these points.
    ///
    /// # Errors
    ///
    /// When it was of another board.
    pub fn go_on(&mut self, earlier: Self) -> anyhow::Result<()> {
        let (old, new) = (&earlier.subject, &self.subject);
        let same = old.agent == new.agent
            && old.board == new.board
            && old.profile == new.profile
            && old.serial == new.serial;
        if !same {
            let told = |one: &Subject| {
                let serial = one.serial.as_deref().unwrap_or("no serial");
                format!(
                    "board {} of {} ({}, {serial})",
                    one.board, one.agent, one.model
                )
            };
            bail!(
                "the sweep that lies there is of {}, and this is {}. Name another directory with --out, or \
                 begin anew with --fresh",
                told(old),
                told(new)
            );
        }
        let grid = &self.grid;
        let known = |outcome: &Outcome| grid.points().any(|point| point.is(&outcome.at));
        self.points = earlier.points.into_iter().filter(known).collect();
        self.began_unix_s = earlier.began_unix_s;
        self.pending = earlier.pending;
        Ok(())
    }

    /// Reads the file of an earlier sweep; none if there is none.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, or is none of a sweep.
    pub fn read(directory: &Path) -> anyhow::Result<Option<Self>> {
        let path = directory.join(NAME);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", path.display()));
            }
        };
        let sweep: Self = serde_json::from_str(&text).with_context(|| {
            format!(
                "{} is no sweep that this version can go on with; move it away, or use --fresh",
                path.display()
            )
        })?;
        if sweep.format != FORMAT {
            bail!(
                "{} has format {}, and this version knows {FORMAT}; move it away, or use --fresh",
                path.display(),
                sweep.format
            );
        }
        Ok(Some(sweep))
    }

    /// Writes the file, in one go.
    ///
    /// # Errors
    ///
    /// A directory that cannot be written to.
    pub fn write(&self, directory: &Path) -> anyhow::Result<()> {
        let mut text = serde_json::to_string_pretty(self)?;
        text.push('\n');
        put(&directory.join(NAME), text.as_bytes())
    }
}

/// Writes a file so that there is never half of it.
///
/// # Errors
///
/// A directory that cannot be written to; the text says which.
pub fn put(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let write = || -> std::io::Result<()> {
        let directory = path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        let directory = directory.unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        // Results are for everybody, as files of other programs are.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let all = std::fs::Permissions::from_mode(0o644);
            file.as_file().set_permissions(all)?;
        }
        file.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    write().with_context(|| {
        format!(
            "cannot write {}; choose another place with --out",
            path.display()
        )
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::outcome::Verdict;
    use super::*;

    pub(in crate::cli::sweep) fn sample() -> Sweep {
        let grid = Grid {
            mhz: vec![400.0, 500.0],
            mv: vec![Some(1100), Some(1150)],
        };
        let outcome = |mhz, mv, verdict, hps, j| Outcome {
            at: Point { mhz, mv: Some(mv) },
            verdict,
            took_s: 60.0,
            hps: Some(hps),
            j_per_th: Some(j),
            ..Outcome::default()
        };
        Sweep {
            format: FORMAT,
            subject: Subject {
                agent: "rack".into(),
                profile: "bitaxe-gamma".into(),
                model: "Bitaxe Gamma".into(),
                ..Subject::default()
            },
            grid,
            points: vec![
                outcome(400.0, 1150, Verdict::Good, 0.8e12, 16.0),
                outcome(500.0, 1150, Verdict::Good, 1.0e12, 17.0),
                outcome(400.0, 1100, Verdict::Slow, 0.5e12, 15.0),
            ],
            ..Sweep::default()
        }
    }

    #[test]
    fn a_sweep_survives_its_file_and_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(Sweep::read(directory.path()).unwrap(), None);
        let mut sweep = sample();
        sweep.pending.board = Some("c4".into());
        sweep.write(directory.path()).unwrap();
        let earlier = Sweep::read(directory.path()).unwrap().unwrap();
        assert_eq!(earlier, sweep);

        // Another grid takes over what it shares.
        let mut wider = Sweep {
            points: Vec::new(),
            grid: Grid {
                mhz: vec![400.0, 450.0],
                mv: vec![Some(1150)],
            },
            ..sample()
        };
        wider.go_on(earlier).unwrap();
        assert_eq!(wider.points.len(), 1);
        assert_eq!(wider.next().map(|point| point.mhz), Some(450.0));
        assert_eq!(wider.pending.board.as_deref(), Some("c4"));
        assert_eq!(wider.remaining_s(), Some(60.0));
    }

    #[test]
    fn a_sweep_of_another_board_is_not_mixed_in() {
        let mut other = sample();
        other.subject.serial = Some("42".into());
        let error = sample().go_on(other).unwrap_err().to_string();
        assert!(error.contains("42") && error.contains("--fresh"), "{error}");
    }

    #[test]
    fn a_file_that_is_none_is_refused_with_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(NAME), "{").unwrap();
        let error = Sweep::read(directory.path()).unwrap_err().to_string();
        assert!(error.contains("--fresh"), "{error}");
        let newer = Sweep {
            format: 9,
            ..sample()
        };
        newer.write(directory.path()).unwrap();
        let error = Sweep::read(directory.path()).unwrap_err().to_string();
        assert!(error.contains("format 9"), "{error}");
    }

    #[test]
    fn only_good_points_are_best() {
        let sweep = sample();
        assert_eq!(sweep.thriftiest().unwrap().at.mhz, 400.0);
        assert_eq!(sweep.thriftiest().unwrap().at.mv, Some(1150));
        assert_eq!(sweep.fastest().unwrap().at.mhz, 500.0);
        // The slow point leaves its faster neighbour out.
        assert_eq!(sweep.next(), None);
    }
}
