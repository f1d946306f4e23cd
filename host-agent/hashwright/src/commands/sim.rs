//! `hashwright sim`: serves a simulated board on a pty or a socket, for this agent or any other host
//! program that drives these chips.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use board_profiles::Profile;
use board_simulator::VirtualChain;
use serde_json::json;

use super::{LogTo, note, print_json, say, start_logging, stop_on_signals};
use crate::port::{Uart, serve::Endpoint, serve::serve};
use crate::{agent, config, format, stop};

/// Arguments of `sim`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The board, by profile name or file (`boards --profiles` lists them)
    #[arg(long, value_name = "PROFILE", default_value = "bitaxe-gamma")]
    pub board: String,
    /// Where hosts reach its UART: pty, tcp:HOST:PORT (loopback) or unix:/path
    #[arg(long, value_name = "WHERE", default_value = "pty")]
    pub at: String,
    /// Make this a symbolic link to the pty, so that its path stays the same
    #[arg(long, value_name = "PATH")]
    pub link: Option<PathBuf>,
    /// Seed of everything random in the board
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Work at 2^-K of the silicon's rate; else as the profile says
    #[arg(long, value_name = "K")]
    pub scale_bits: Option<u8>,
    /// Probability that a byte on the line is lost
    #[arg(long, value_name = "P", default_value_t = 0.0)]
    pub lost_bytes: f64,
    /// Probability that a byte on the line has a bit flipped
    #[arg(long, value_name = "P", default_value_t = 0.0)]
    pub flipped_bytes: f64,
    /// Probability that a byte on the line arrives as two
    #[arg(long, value_name = "P", default_value_t = 0.0)]
    pub split_bytes: f64,
    /// Print as JSON
    #[arg(long)]
    pub json: bool,
}

/// Serves the board until a signal stops it.
///
/// # Errors
///
/// A board that cannot be simulated, or a place that cannot be served at.
pub async fn run(args: Args) -> anyhow::Result<()> {
    start_logging(LogTo::Stderr, "info")?;
    let profile = Profile::resolve(&args.board)?;
    let sim = config::Sim {
        scale_bits: args.scale_bits.unwrap_or(profile.simulation.scale_bits),
        lost_bytes: args.lost_bytes,
        flipped_bytes: args.flipped_bytes,
        split_bytes: args.split_bytes,
        ..config::Sim::new(&profile, args.seed)
    };
    let mut chain = VirtualChain::new(agent::simulation(&profile, &sim)?)?;
    let endpoint = match args.at.as_str() {
        "pty" => Endpoint::pty().context("cannot make a pty; is /dev/pts mounted?")?,
        other => match other.parse::<Uart>() {
            Ok(Uart::Tcp(address)) => Endpoint::tcp(&address).await?,
            Ok(Uart::Unix(path)) => Endpoint::unix(&path)?,
            Err(error) => bail!("--at {other}: {error}"),
            Ok(_) => bail!("--at {other}: a board is served at pty, tcp:HOST:PORT or unix:/path"),
        },
    };
    let mut place = endpoint.uart().to_string();
    let link = args
        .link
        .as_deref()
        .map(|link| Link::make(link, &place))
        .transpose()?;
    if let Some(link) = &link {
        place = link.path.display().to_string();
    }
    if args.json {
        print_json(&json!({
            "uart": place,
            "profile": profile.name,
            "chip": profile.chain.chip.to_string(),
            "chips": profile.chain.chips,
            "scale_bits": sim.scale_bits,
        }))?;
    } else {
        say(&place)?;
        let scale = match sim.scale_bits {
            0 => String::new(),
            bits => format!(", scale_bits = {bits}"),
        };
        note(&format!(
            "sim: {} ({} x {}) at {place}, scale 2^-{}. In a config: uart = \"{place}\", control = \"external\"{scale}; Ctrl-C stops",
            profile.model, profile.chain.chips, profile.chain.chip, sim.scale_bits
        ));
    }
    let (stopper, stop) = stop::channel();
    stop_on_signals(stopper)?;
    serve(&mut chain, endpoint, stop, &mut ()).await?;
    let report = chain.report();
    let truth: Vec<_> = chain.chips().collect();
    let hashes = truth.iter().map(|chip| chip.hashes).sum::<u128>() as f64;
    let nonces: u64 = truth.iter().map(|chip| chip.nonces).sum();
    if args.json {
        print_json(&json!({"hashes": hashes, "nonces": nonces, "jobs": report.frames.jobs}))?;
    } else {
        note(&format!(
            "sim: {nonces} nonces found, {} hashes done, {} jobs received",
            format::difficulty(hashes),
            report.frames.jobs
        ));
    }
    Ok(())
}

/// A symbolic link that goes when the program does.
struct Link {
    path: PathBuf,
    target: PathBuf,
}

impl Link {
    fn make(path: &Path, target: &str) -> anyhow::Result<Self> {
        if path.is_symlink() {
            std::fs::remove_file(path)
                .with_context(|| format!("cannot replace {}", path.display()))?;
        }
        std::os::unix::fs::symlink(target, path)
            .with_context(|| format!("cannot make the link {}", path.display()))?;
        Ok(Self {
            path: path.to_owned(),
            target: target.into(),
        })
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // A later program may have put its own there.
        if std::fs::read_link(&self.path).is_ok_and(|target| target == self.target) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
