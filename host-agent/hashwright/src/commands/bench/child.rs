//! The agent under test: another process of this same program, ended with its owner.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::commands::LOG_VARIABLE;

/// Name of the config in the directory.
pub(super) const CONFIG: &str = "hashwright.toml";
/// Time for a clean end; winding down a chain takes about one second.
const END_LIMIT: Duration = Duration::from_secs(3);
/// Last lines of the log that are shown when something goes wrong.
const TAIL: usize = 12;

/// A running agent.
#[derive(Debug)]
pub(super) struct Child {
    process: std::process::Child,
    log: PathBuf,
}

impl Child {
    /// Starts `run` with the config in `directory`, where its log goes as well.
    pub(super) fn start(directory: &Path) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("cannot tell where this program is")?;
        let log = directory.join("agent.log");
        let process = Command::new(&program)
            .arg("run")
            .arg("--config")
            .arg(directory.join(CONFIG))
            .env_remove(LOG_VARIABLE)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log)?)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self { process, log })
    }

    /// Fails if it has ended by itself.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.process.try_wait()? {
            bail!("the agent ended: {status}\n{}", self.log_tail());
        }
        Ok(())
    }

    /// The last lines that it logged.
    pub(super) fn log_tail(&self) -> String {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        let tail = lines.get(lines.len().saturating_sub(TAIL)..);
        format!("its log ends:\n{}", tail.unwrap_or_default().join("\n"))
    }

    /// Processor time that it has used in all its threads.
    pub(super) fn cpu_time(&self) -> anyhow::Result<Duration> {
        let stat = self.proc("stat")?;
        // Fields are counted from behind the name, which may contain anything: utime and stime are
        // the 14th and 15th of all.
        let ticks: u64 = stat
            .rsplit_once(')')
            .context("/proc/PID/stat without a name")?
            .1
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(str::parse::<u64>)
            .sum::<Result<_, _>>()?;
        let per_second = rustix::param::clock_ticks_per_second().max(1);
        Ok(Duration::from_secs_f64(ticks as f64 / per_second as f64))
    }

    /// Its memory that is in RAM (VmRSS), bytes.
    pub(super) fn resident_bytes(&self) -> anyhow::Result<u64> {
        let status = self.proc("status")?;
        let kilobytes = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .and_then(|rest| rest.split_whitespace().next())
            .context("/proc/PID/status without VmRSS")?;
        Ok(kilobytes.parse::<u64>()? * 1024)
    }

    fn proc(&self, file: &str) -> anyhow::Result<String> {
        let path = format!("/proc/{}/{file}", self.process.id());
        std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Errors mean that it is gone already.
        let _ = kill_process(Pid::from_child(&self.process), Signal::TERM);
        let asked = Instant::now();
        while asked.elapsed() < END_LIMIT {
            if !matches!(self.process.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
