//! `hashwright sim`: serves a simulated board on ptys or sockets, for this agent or any other host
//! program that drives such boards, and tells at which points it would run.

mod points;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use board_profiles::Profile;
use board_simulator::VirtualChain;
use board_simulator::board::Controller;
use serde_json::json;

use super::{LogTo, note, print_json, say, start_logging, stop_on_signals};
use crate::clock::Clock;
use crate::config::{self, PlannedFault, Quality};
use crate::port::serve::{BoardLine, Endpoint, serve, serve_board};
use crate::port::{SharedBoard, Uart};
use crate::{format, simulate, stop};

/// Arguments of `sim`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The board, by profile name or file (`boards --profiles` lists them)
    #[arg(long, value_name = "PROFILE", default_value = "bitaxe-gamma")]
    pub board: String,
    /// Where hosts reach its UART: pty, tcp:HOST:PORT (loopback) or unix:/path
    #[arg(long, value_name = "WHERE", default_value = "pty")]
    pub at: String,
    /// Where hosts reach its control port, likewise
    #[arg(
        long,
        value_name = "WHERE",
        default_value = "pty",
        conflicts_with = "bare"
    )]
    pub control: String,
    /// Make this a symbolic link to the UART's pty, so that its path stays the same
    #[arg(long, value_name = "PATH")]
    pub link: Option<PathBuf>,
    /// Make this a symbolic link to the control port's pty
    #[arg(long, value_name = "PATH", conflicts_with = "bare")]
    pub control_link: Option<PathBuf>,
    /// Only the chips: always powered, never warm, without a control port
    #[arg(long)]
    pub bare: bool,
    /// Only print the table of operating points
    #[arg(long)]
    pub table: bool,
    /// Seed of everything random in the board
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Work at 2^-K of the silicon's rate; else as the profile says
    #[arg(long, value_name = "K")]
    pub scale_bits: Option<u8>,
    /// Temperature of the air, °C
    #[arg(
        long,
        value_name = "CELSIUS",
        default_value_t = 25.0,
        allow_negative_numbers = true
    )]
    pub ambient: f64,
    /// Duty of the fans in the table, percent
    #[arg(long, value_name = "PERCENT", default_value_t = 100.0)]
    pub fan: f64,
    /// How good its chips are: good, normal or poor
    #[arg(long, default_value = "normal")]
    pub quality: Quality,
    /// Firmware of its controller: bitaxe-raw, bitaxe-raw-total, emberone, bitcrane or guarded
    #[arg(long, value_name = "KIND")]
    pub controller: Option<Controller>,
    /// Something that goes wrong, e.g. fan-stuck@60s; repeat for more (docs/config.md lists them)
    #[arg(long = "fault", value_name = "FAULT@TIME")]
    pub faults: Vec<PlannedFault>,
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

/// Prints the table, then serves the board until a signal stops it.
///
/// # Errors
///
/// A board that cannot be simulated, or a place that cannot be served at.
pub async fn run(args: Args) -> anyhow::Result<()> {
    if !(-20.0..=60.0).contains(&args.ambient) {
        bail!(
            "--ambient {}: the air can be simulated from -20 to 60 °C",
            args.ambient
        );
    }
    if !(0.0..=100.0).contains(&args.fan) {
        bail!("--fan {}: a duty is 0 to 100 %", args.fan);
    }
    let profile = Profile::resolve(&args.board)?;
    let sim = config::Sim {
        scale_bits: args.scale_bits.unwrap_or(profile.simulation.scale_bits),
        lost_bytes: args.lost_bytes,
        flipped_bytes: args.flipped_bytes,
        split_bytes: args.split_bytes,
        ambient_c: args.ambient,
        quality: args.quality,
        controller: args.controller,
        faults: args.faults.clone(),
        ..config::Sim::new(&profile, args.seed)
    };
    if args.table {
        return table(&args, &profile, &sim);
    }
    start_logging(LogTo::Stderr, "info")?;
    if args.bare {
        return bare(&args, &profile, &sim).await;
    }
    if !args.json {
        table(&args, &profile, &sim)?;
    }
    whole(&args, &profile, &sim).await
}

fn table(args: &Args, profile: &Profile, sim: &config::Sim) -> anyhow::Result<()> {
    let points = points::points(profile, sim, args.fan)?;
    if args.json {
        print_json(&points)
    } else {
        say(&points::render(profile, sim, args.fan, &points))
    }
}

/// Chips alone.
async fn bare(args: &Args, profile: &Profile, sim: &config::Sim) -> anyhow::Result<()> {
    let mut chain = VirtualChain::new(simulate::chain(profile, sim)?)?;
    let uart = Place::make(&args.at, "--at", args.link.as_deref()).await?;
    if args.json {
        print_json(&told(profile, sim, &uart.name, None))?;
    } else {
        say(&uart.name)?;
        let name = &uart.name;
        note(&format!(
            "sim: {} at {name}. In a config: uart = \"{name}\", control = \"external\"{}; Ctrl-C stops",
            summary(profile, sim),
            scale(sim)
        ));
    }
    let (stopper, stop) = stop::channel();
    stop_on_signals(stopper)?;
    serve(&mut chain, uart.endpoint, stop, &mut ()).await?;
    end(args, &chain.report())
}

/// A whole board.
async fn whole(args: &Args, profile: &Profile, sim: &config::Sim) -> anyhow::Result<()> {
    let clock = Clock::start();
    let spec = simulate::board(profile, sim)?;
    let board = SharedBoard::new(&spec, sim.faults.clone(), clock)?;
    let uart = Place::make(&args.at, "--at", args.link.as_deref()).await?;
    let control = Place::make(&args.control, "--control", args.control_link.as_deref()).await?;
    if args.json {
        print_json(&told(profile, sim, &uart.name, Some(&control.name)))?;
    } else {
        say(&format!("uart    {}", uart.name))?;
        say(&format!("control {}", control.name))?;
        note(&format!(
            "sim: {} with {} as its controller. In a config: uart = \"{}\", control = \"{}\"{}; Ctrl-C stops",
            summary(profile, sim),
            spec.controller,
            uart.name,
            control.name,
            scale(sim)
        ));
    }
    let (stopper, stop) = stop::channel();
    stop_on_signals(stopper)?;
    let mut ended = stop.clone();
    let world = board
        .clone()
        .run(clock, async move { ended.stopped().await });
    let (served, controlled, ()) = tokio::join!(
        serve_board(&board, BoardLine::Uart, uart.endpoint, stop.clone()),
        serve_board(&board, BoardLine::Control, control.endpoint, stop.clone()),
        world,
    );
    served.and(controlled)?;
    end(args, &board.chain_report())
}

fn summary(profile: &Profile, sim: &config::Sim) -> String {
    let chain = &profile.chain;
    format!(
        "{} ({} x {}), scale 2^-{}",
        profile.model, chain.chips, chain.chip, sim.scale_bits
    )
}

fn scale(sim: &config::Sim) -> String {
    match sim.scale_bits {
        0 => String::new(),
        bits => format!(", scale_bits = {bits}"),
    }
}

fn told(
    profile: &Profile,
    sim: &config::Sim,
    uart: &str,
    control: Option<&str>,
) -> serde_json::Value {
    json!({
        "uart": uart,
        "control": control,
        "profile": profile.name,
        "chip": profile.chain.chip.to_string(),
        "chips": profile.chain.chips,
        "scale_bits": sim.scale_bits,
    })
}

/// What the chips have done.
fn end(args: &Args, report: &board_simulator::Report) -> anyhow::Result<()> {
    let hashes = report.chips.iter().map(|chip| chip.hashes).sum::<u128>() as f64;
    let nonces: u64 = report.chips.iter().map(|chip| chip.nonces).sum();
    let jobs = report.frames.jobs;
    if args.json {
        print_json(&json!({"hashes": hashes, "nonces": nonces, "jobs": jobs}))?;
    } else {
        note(&format!(
            "sim: {nonces} nonces found, {} hashes done, {jobs} jobs received",
            format::difficulty(hashes)
        ));
    }
    Ok(())
}

/// Where a line is served.
struct Place {
    endpoint: Endpoint,
    /// What a host writes into its config.
    name: String,
    _link: Option<Link>,
}

impl Place {
    async fn make(at: &str, option: &str, link: Option<&Path>) -> anyhow::Result<Self> {
        let endpoint = match at {
            "pty" => Endpoint::pty().context("cannot make a pty; is /dev/pts mounted?")?,
            other => match other.parse::<Uart>() {
                Ok(Uart::Tcp(address)) => Endpoint::tcp(&address).await?,
                Ok(Uart::Unix(path)) => Endpoint::unix(&path)?,
                Err(error) => bail!("{option} {other}: {error}"),
                Ok(_) => {
                    bail!("{option} {other}: a board is served at pty, tcp:HOST:PORT or unix:/path")
                }
            },
        };
        let name = endpoint.uart().to_string();
        let link = link.map(|link| Link::make(link, &name)).transpose()?;
        Ok(Self {
            endpoint,
            name: link
                .as_ref()
                .map_or(name, |link| link.path.display().to_string()),
            _link: link,
        })
    }
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
