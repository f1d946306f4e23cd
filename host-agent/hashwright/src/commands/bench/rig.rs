//! The bench that an agent is put on: boards behind unix sockets, the agent as a process of its own
//! with a config that leads to them and to pools of the benchmark.

use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use board_profiles::Profile;
use board_simulator::{Chip, VirtualChain};
use tempfile::TempDir;

use super::books::{Books, ChainTap};
use super::child::{self, Child};
use super::server::Server;
use crate::port::serve::{Endpoint, serve};
use crate::stop::{self, Stop, Stopper};
use crate::{agent, config};

/// The board: the fastest line, many chips, and at its ticket 71 nonces a second.
const PROFILE: &str = "s21-pro";
const CHIP: Chip = Chip::Bm1370;
/// Shortest ramp that profiles allow; nobody has to wait for simulated silicon.
const RAMP_INTERVAL_MS: u32 = 10;
/// Zero bits that a scaled nonce still has: 64 real hashes each keep this process idle.
pub(super) const NONCE_BITS: u8 = 6;
/// Time for a start, of which a busy machine needs most.
pub(super) const START_LIMIT: Duration = Duration::from_secs(30);

/// An agent at work; it ends with its owner.
#[derive(Debug)]
pub(super) struct Rig {
    pub(super) child: Child,
    /// Chips of all boards.
    pub(super) chips: u32,
    /// Start of the process until every chain had returned nonces and a share had come.
    pub(super) start: Duration,
    _stopper: Stopper,
    _directory: TempDir,
}

impl Rig {
    /// Starts an agent with so many boards on these pools, and waits until it mines.
    pub(super) async fn start(
        boards: u32,
        books: &Books,
        pools: &[&Server],
    ) -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("hashwright-bench-")
            .tempdir()
            .context("cannot make a temporary directory; is TMPDIR writable?")?;
        let mut profile = Profile::builtin(PROFILE)?;
        profile.frequency.ramp_interval_ms = RAMP_INTERVAL_MS;
        let scale_bits = profile.max_scale_bits() + 1 - NONCE_BITS;
        let (stopper, stop) = stop::channel();
        for index in 0..boards {
            let tap = books.tap(index as usize, profile.chain.chip, CHIP);
            let path = directory.path().join(socket(index));
            serve_chain(&profile, scale_bits, index, &path, tap, stop.clone())?;
        }
        write_config(directory.path(), &profile, scale_bits, boards, pools)?;

        let started = Instant::now();
        let mut child = Child::start(directory.path())?;
        while !books.all_mining() {
            child.check()?;
            if started.elapsed() > START_LIMIT {
                bail!(
                    "the agent is not mining after {} s\n{}",
                    START_LIMIT.as_secs(),
                    child.log_tail()
                );
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(Self {
            child,
            chips: boards * u32::from(profile.chain.chips),
            start: started.elapsed(),
            _stopper: stopper,
            _directory: directory,
        })
    }

    /// Waits until what [`Books::expect_block`] gave is fulfilled.
    pub(super) async fn taken_up(
        &self,
        block: tokio::sync::oneshot::Receiver<()>,
        limit: Duration,
    ) -> anyhow::Result<()> {
        let all = tokio::time::timeout(limit, block).await;
        ensure!(
            matches!(all, Ok(Ok(()))),
            "not every board had a new job within {} s\n{}",
            limit.as_secs(),
            self.child.log_tail()
        );
        Ok(())
    }
}

fn socket(board: u32) -> String {
    format!("b{board}.sock")
}

fn serve_chain(
    profile: &Profile,
    scale_bits: u8,
    index: u32,
    path: &Path,
    mut tap: ChainTap,
    stop: Stop,
) -> anyhow::Result<()> {
    let sim = config::Sim {
        scale_bits,
        ..config::Sim::new(profile, index.into())
    };
    let mut chain = VirtualChain::new(agent::simulation(profile, &sim)?)?;
    let endpoint = Endpoint::unix(path)
        .with_context(|| format!("cannot make the socket {}", path.display()))?;
    tokio::spawn(async move {
        if let Err(error) = serve(&mut chain, endpoint, stop, &mut tap).await {
            eprintln!("bench: board {index}: {error}");
        }
    });
    Ok(())
}

fn write_config(
    directory: &Path,
    profile: &Profile,
    scale_bits: u8,
    boards: u32,
    pools: &[&Server],
) -> anyhow::Result<()> {
    let profile_file = directory.join("board.toml");
    std::fs::write(&profile_file, toml::to_string(profile)?)?;
    let mut text = format!(
        "[agent]\nname = \"bench\"\nstate_dir = \"{0}\"\n[api]\nlisten = \"127.0.0.1:0\"\n",
        directory.display()
    );
    for pool in pools {
        let url = &pool.url;
        write!(text, "[[pool]]\nurl = \"{url}\"\nuser = \"bench.worker\"\n")?;
    }
    for index in 0..boards {
        write!(
            text,
            "[[board]]\nprofile = \"{}\"\nuart = \"unix:{}\"\ncontrol = \"external\"\n\
             scale_bits = {scale_bits}\n",
            profile_file.display(),
            directory.join(socket(index)).display(),
        )?;
    }
    std::fs::write(directory.join(child::CONFIG), text)?;
    Ok(())
}
