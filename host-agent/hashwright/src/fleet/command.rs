//! `hashwright fleet`: what people type.

use std::io::{self, BufRead, IsTerminal, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::Serialize;
use serde_json::json;

use super::change::{self, Outcome, Wish};
use super::crowd;
use super::file::FleetFile;
use super::machine::Member;
use super::range::{self, Range};
use super::scan::{self, Found};
use super::table::{self, Sort, Totals};
use super::watch;
use crate::cli::Look;
use crate::cli::reach::Place;
use crate::commands::{note, say};
use crate::format::{self, Column, Table};
use rpc::settings::WriteOptions;

/// Exit code of a command that did what it could, but not all machines are well or as wished.
const NOT_ALL: u8 = 2;

/// How long after a change the first machines are looked at unless the user says otherwise, seconds.
const WATCH_S: u64 = 60;

/// `hashwright fleet`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: Common,
}

/// What every fleet command takes.
#[derive(Clone, Debug, clap::Args)]
struct Common {
    /// The fleet file [default: $HASHWRIGHT_FLEET, or hashwright/fleet.toml in the user's config directory]
    #[arg(long, global = true, value_name = "FILE")]
    file: Option<PathBuf>,
    /// How many machines are asked at once
    #[arg(long, global = true, value_name = "COUNT", default_value_t = 64)]
    at_once: usize,
    /// How long a machine may take to answer, milliseconds
    #[arg(long, global = true, value_name = "MS", default_value_t = 3_000)]
    timeout: u64,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Command {
    /// Look for agents in address ranges or by mDNS
    Scan(ScanArgs),
    /// List the known agents, or write them for Prometheus
    List(ListArgs),
    /// Ask all machines how they do; exit code 2 if one is in trouble
    Status(StatusArgs),
    /// Change many machines: shows what would change first
    Set(SetArgs),
    /// Watch all machines in a live table
    Watch(WatchArgs),
}

/// Which machines.
#[derive(Clone, Debug, Default, clap::Args)]
struct Which {
    /// Only machines of this group; repeat for more
    #[arg(long, short, value_name = "GROUP")]
    group: Vec<String>,
    /// Only this machine; repeat for more
    #[arg(long, short, value_name = "NAME")]
    machine: Vec<String>,
    /// Machines that stand in no file, by URL; repeat for more
    #[arg(long, value_name = "URL")]
    url: Vec<String>,
}

#[derive(Clone, Debug, clap::Args)]
struct ScanArgs {
    /// Where to look: 10.0.0.0/24, 10.0.0.5-90, rack-3-7.lan, 10.0.0.7:4029
    #[arg(value_name = "RANGE", required_unless_present = "mdns")]
    ranges: Vec<Range>,
    /// Ports to try where a range names none
    #[arg(long, value_name = "PORT", default_values_t = [range::DEFAULT_PORT], value_delimiter = ',')]
    port: Vec<u16>,
    /// Listen so many seconds for agents that announce themselves
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "3")]
    mdns: Option<u64>,
    /// Write what was found into the fleet file
    #[arg(long)]
    write: bool,
    /// Put what is written into this group; repeat for more
    #[arg(long, value_name = "GROUP", requires = "write")]
    group: Vec<String>,
    /// How long a place may take to answer at all, milliseconds
    #[arg(long, value_name = "MS", default_value_t = 700)]
    wait: u64,
}

#[derive(Clone, Debug, clap::Args)]
struct ListArgs {
    #[command(flatten)]
    which: Which,
    /// Print targets for Prometheus (file_sd or http_sd) instead
    #[arg(long)]
    prometheus: bool,
}

#[derive(Clone, Debug, clap::Args)]
struct StatusArgs {
    #[command(flatten)]
    which: Which,
    /// Only machines in trouble
    #[arg(long)]
    trouble: bool,
    /// What to sort by
    #[arg(long, value_enum, default_value_t)]
    sort: Sort,
}

#[derive(Clone, Debug, clap::Args)]
struct SetArgs {
    #[command(flatten)]
    which: Which,
    /// Settings and their new values, e.g. cooling.target_c=55
    #[arg(value_name = "PATH=VALUE", required_unless_present_any = ["pause", "resume", "restart"])]
    settings: Vec<String>,
    /// Stop mining
    #[arg(long, conflicts_with_all = ["settings", "resume", "restart"])]
    pause: bool,
    /// Mine again
    #[arg(long, conflicts_with_all = ["settings", "restart"])]
    resume: bool,
    /// Start the agents anew
    #[arg(long, conflicts_with = "settings")]
    restart: bool,
    /// Only say what would change
    #[arg(long)]
    dry_run: bool,
    /// Change so many machines first, look at them, and go on only if they still mine
    #[arg(long, value_name = "COUNT")]
    first: Option<usize>,
    /// How long the first machines are watched, seconds
    #[arg(long, value_name = "SECONDS", default_value_t = WATCH_S, requires = "first")]
    watch: u64,
    /// Do not write it into the agents' config files
    #[arg(long)]
    no_save: bool,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

#[derive(Clone, Debug, clap::Args)]
struct WatchArgs {
    #[command(flatten)]
    which: Which,
    /// What to sort by
    #[arg(long, value_enum, default_value_t)]
    sort: Sort,
    /// Seconds between two rounds
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    every: u64,
}

/// Runs a fleet command.
///
/// # Errors
///
/// A file that cannot be used, machines that nobody knows, or nothing to do.
pub async fn run(args: &Args, look: Look) -> anyhow::Result<ExitCode> {
    let common = &args.common;
    let path = match &common.file {
        Some(path) => path.clone(),
        None => FleetFile::default_path()?,
    };
    let file = FleetFile::load(&path)?;
    match &args.command {
        Command::Scan(args) => scan(args, common, file, look).await,
        Command::List(args) => list(args, common, &file, look),
        Command::Status(args) => status(args, common, &file, look).await,
        Command::Set(args) => set(args, common, &file).await,
        Command::Watch(args) => {
            let members = args.which.members(&file, common)?;
            let every = Duration::from_secs(args.every.max(1));
            watch::run(members, every, common.at_once, args.sort).await?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

impl Common {
    fn within(&self) -> Duration {
        Duration::from_millis(self.timeout.max(1))
    }
}

impl Which {
    /// The machines that are meant, in the order of the file.
    fn members(&self, file: &FleetFile, common: &Common) -> anyhow::Result<Vec<Member>> {
        for name in &self.machine {
            if file.named(name).is_none() {
                bail!(
                    "no machine called `{name}` is known in {}; `hashwright fleet list` shows them",
                    file.path().display()
                );
            }
        }
        let named = |known: &&super::file::Known| {
            let group = known.groups.iter().any(|group| self.group.contains(group));
            let name = self.machine.contains(&known.name);
            let all = self.group.is_empty() && self.machine.is_empty() && self.url.is_empty();
            all || group || name
        };
        let mut members: Vec<_> = file
            .agents()
            .iter()
            .filter(named)
            .map(|known| Member::known(file, known, common.within()))
            .collect();
        members.extend(self.url.iter().map(|url| Member {
            name: url.split("://").last().unwrap_or(url).to_owned(),
            groups: Vec::new(),
            place: Place {
                url: url.clone(),
                within: Some(common.within()),
                ..Place::default()
            },
        }));
        if members.is_empty() {
            if file.agents().is_empty() {
                bail!(
                    "no machines are known in {}; find them with `hashwright fleet scan RANGE \
                     --write`, or name some with --url",
                    file.path().display()
                );
            }
            let mut groups: Vec<_> = file.agents().iter().flat_map(|k| &k.groups).collect();
            groups.sort();
            groups.dedup();
            bail!("no machine is in these groups; there are {groups:?}");
        }
        Ok(members)
    }
}

async fn scan(
    args: &ScanArgs,
    common: &Common,
    mut file: FleetFile,
    look: Look,
) -> anyhow::Result<ExitCode> {
    let mut places = range::places(&args.ranges, &args.port)?;
    if let Some(seconds) = args.mdns {
        places.extend(announced(Duration::from_secs(seconds.clamp(1, 60))).await?);
        places.sort_unstable();
        places.dedup();
    }
    let all = places.len();
    let wait = Duration::from_millis(args.wait.max(1));
    let mut progress = Progress::new("places looked at");
    let found = crowd::each(
        places,
        common.at_once,
        move |place| scan::probe(place, wait),
        |done, all| progress.tell(done, all),
    )
    .await;
    progress.end();
    let mut found: Vec<Found> = found.into_iter().flatten().collect();
    scan::recognise(&mut found, &file);
    if args.write {
        scan::remember(&mut found, &args.group, &mut file);
        file.save()?;
    }
    if common.json {
        say(&serde_json::to_string(&found)?)?;
    } else {
        for line in found_lines(&found, look) {
            say(&line)?;
        }
        let known = found.iter().filter(|found| found.known.is_some()).count();
        say(&format!(
            "{} agents at {all} places, {known} of them in {}",
            found.len(),
            file.path().display()
        ))?;
        if found.iter().any(|found| found.changed) {
            note(
                "! a certificate is not the one that is known: the machine was set up anew, or \
                 somebody stands between. Look at the machine, and then `hashwright pair` it again",
            );
        }
        if !args.write && known < found.len() {
            note("`--write` puts them into the fleet file");
        }
    }
    let changed = found.iter().any(|found| found.changed);
    Ok(if changed {
        ExitCode::from(NOT_ALL)
    } else {
        ExitCode::SUCCESS
    })
}

fn found_lines(found: &[Found], look: Look) -> Vec<String> {
    if found.is_empty() {
        return Vec::new();
    }
    let mut table = Table::new([
        Column::left("name"),
        Column::left("url"),
        Column::left("model").gives_way(2),
        Column::left("version").gives_way(3),
        Column::left("access"),
        Column::left("known as").gives_way(1),
    ]);
    for found in found {
        let access = match (found.changed, found.needs_token, found.pairing_open) {
            (true, ..) => "CERTIFICATE CHANGED",
            (_, true, true) => "pairing open",
            (_, true, false) => "needs a token",
            (_, false, _) => "open here",
        };
        let text = |text: &Option<String>| {
            let text = text.as_deref().unwrap_or("–");
            format::plain(text, 40)
        };
        table.push([
            format::plain(&found.agent, 40),
            found.url.clone(),
            text(&found.model),
            text(&found.version),
            access.to_owned(),
            text(&found.known),
        ]);
    }
    table.lines(look.width)
}

/// Where agents announce themselves.
async fn announced(time: Duration) -> anyhow::Result<Vec<range::Place>> {
    let found = crate::outlets::browse(time).await?;
    let place = |found: crate::outlets::Found| {
        let &address = found.addresses.first()?;
        Some(range::Place {
            host: range::Host::Address(address),
            port: found.port,
        })
    };
    Ok(found.into_iter().filter_map(place).collect())
}

fn list(
    args: &ListArgs,
    common: &Common,
    file: &FleetFile,
    look: Look,
) -> anyhow::Result<ExitCode> {
    let members = args.which.members(file, common)?;
    if args.prometheus {
        say(&serde_json::to_string_pretty(&targets(&members))?)?;
        return Ok(ExitCode::SUCCESS);
    }
    if common.json {
        let known: Vec<_> = members
            .iter()
            .filter_map(|member| file.named(&member.name))
            .collect();
        say(&serde_json::to_string(&known)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = Table::new([
        Column::left("name"),
        Column::left("url"),
        Column::left("groups"),
        Column::left("token").gives_way(2),
        Column::left("certificate").gives_way(1),
    ]);
    for member in &members {
        let place = &member.place;
        table.push([
            format::plain(&member.name, 40),
            place.url.clone(),
            format::plain(&member.groups.join(", "), 40),
            if place.token_file.is_some() {
                "yes"
            } else {
                "–"
            }
            .to_owned(),
            place
                .fingerprint
                .as_deref()
                .map_or("–".to_owned(), |print| format::plain(print, 17)),
        ]);
    }
    for line in table.lines(look.width) {
        say(&line)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A group of targets, as Prometheus reads them.
#[derive(Debug, Serialize)]
struct Target {
    targets: Vec<String>,
    labels: serde_json::Map<String, serde_json::Value>,
}

/// The machines as targets. Each has labels of its own: how the user calls it, and its groups.
fn targets(members: &[Member]) -> Vec<Target> {
    let target = |member: &Member| {
        let (scheme, rest) = member
            .place
            .url
            .split_once("://")
            .unwrap_or(("https", &member.place.url));
        let host = rest.split('/').next().unwrap_or(rest);
        let mut labels = serde_json::Map::new();
        labels.insert("__scheme__".to_owned(), json!(scheme));
        labels.insert("machine".to_owned(), json!(member.name));
        if let Some(group) = member.groups.first() {
            labels.insert("group".to_owned(), json!(group));
        }
        Target {
            targets: vec![host.to_owned()],
            labels,
        }
    };
    members.iter().map(target).collect()
}

async fn status(
    args: &StatusArgs,
    common: &Common,
    file: &FleetFile,
    look: Look,
) -> anyhow::Result<ExitCode> {
    let members = args.which.members(file, common)?;
    let mut progress = Progress::new("machines asked");
    let mut answers = crowd::each(members, common.at_once, Member::ask, |done, all| {
        progress.tell(done, all);
    })
    .await;
    progress.end();
    let totals = Totals::of(&answers);
    args.sort.sort(&mut answers);
    if args.trouble {
        answers.retain(|answer| !answer.is_well());
    }
    if common.json {
        say(&json!({ "totals": totals, "machines": answers }).to_string())?;
    } else {
        if !answers.is_empty() {
            for line in table::lines(&answers, look.width) {
                say(&line)?;
            }
        }
        say(&totals.line())?;
    }
    Ok(match totals.troubled {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::from(NOT_ALL),
    })
}

async fn set(args: &SetArgs, common: &Common, file: &FleetFile) -> anyhow::Result<ExitCode> {
    let members = args.which.members(file, common)?;
    let wish = match (args.pause, args.resume, args.restart) {
        (true, ..) => Wish::Pause,
        (_, true, _) => Wish::Resume,
        (_, _, true) => Wish::Restart,
        _ => {
            for text in &args.settings {
                crate::cli::assignment(text)?;
            }
            Wish::Set(args.settings.clone())
        }
    };
    let try_out = WriteOptions {
        dry_run: true,
        ..WriteOptions::default()
    };
    let tried = make(&members, &wish, try_out, common, "machines asked").await;
    tell(&tried, "would change", common.json && args.dry_run)?;
    let refused = tried.iter().filter(|outcome| !outcome.is_good()).count();
    let wanted: Vec<_> = tried
        .iter()
        .zip(&members)
        .filter(|(outcome, _)| outcome.is_good() && outcome.changes())
        .map(|(_, member)| member.clone())
        .collect();
    let all_well = |bad: usize| {
        if bad == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(NOT_ALL)
        }
    };
    if args.dry_run || wanted.is_empty() {
        return Ok(all_well(refused));
    }
    if !args.yes && !sure(wanted.len(), refused)? {
        note("nothing was changed");
        return Ok(ExitCode::FAILURE);
    }
    let save = args.no_save.then_some(false);
    let how = WriteOptions {
        save,
        ..WriteOptions::default()
    };
    let first = args.first.unwrap_or(0).min(wanted.len());
    let (canaries, rest) = wanted.split_at(first);
    let mut outcomes = Vec::new();
    if !canaries.is_empty() {
        let canary = canary(canaries, &wish, args.watch, save, common).await;
        let bad = canary.iter().filter(|outcome| !outcome.is_good()).count();
        tell(&canary, "changed first", false)?;
        outcomes.extend(canary);
        if bad > 0 {
            bail!(
                "{bad} of the first {} machines did not do well, so the other {} were not changed; what is \
                 not confirmed is undone by itself",
                canaries.len(),
                rest.len()
            );
        }
    }
    outcomes.extend(make(rest, &wish, how, common, "machines changed").await);
    tell(&outcomes, "changed", common.json)?;
    let bad = outcomes.iter().filter(|outcome| !outcome.is_good()).count();
    Ok(all_well(bad + refused))
}

/// Changes a few machines for a while, and keeps the change where they still mine.
async fn canary(
    members: &[Member],
    wish: &Wish,
    watch_s: u64,
    save: Option<bool>,
    common: &Common,
) -> Vec<Outcome> {
    let watch_s = watch_s.clamp(1, 3_000);
    // Time to look at all of them and to confirm.
    let until = u32::try_from(watch_s + 30).unwrap_or(3_600);
    let how = WriteOptions {
        confirm_within_s: Some(until.max(5)),
        save,
        dry_run: false,
    };
    let made = make(members, wish, how, common, "first machines changed").await;
    let kept: Vec<_> = made.into_iter().zip(members.iter().cloned()).collect();
    note(&format!("watching them for {watch_s} s …"));
    let after = Duration::from_secs(watch_s);
    // All of them are watched at the same time.
    crowd::each(
        kept,
        members.len(),
        move |(outcome, member)| async move {
            match outcome.changed {
                Some(changed) if outcome.error.is_none() => {
                    let confirmed = change::confirm(member, changed.clone(), after).await;
                    Outcome {
                        changed: confirmed.error.is_none().then_some(changed),
                        ..confirmed
                    }
                }
                changed => Outcome { changed, ..outcome },
            }
        },
        |_, _| {},
    )
    .await
}

async fn make(
    members: &[Member],
    wish: &Wish,
    how: WriteOptions,
    common: &Common,
    what: &'static str,
) -> Vec<Outcome> {
    let mut progress = Progress::new(what);
    let wish = wish.clone();
    let outcomes = crowd::each(
        members.to_vec(),
        common.at_once,
        move |member| change::make(member, wish.clone(), how),
        |done, all| progress.tell(done, all),
    )
    .await;
    progress.end();
    outcomes
}

fn tell(outcomes: &[Outcome], what: &str, json: bool) -> anyhow::Result<()> {
    if json {
        return say(&serde_json::to_string(outcomes)?);
    }
    for line in change::summary(outcomes) {
        note(&format!("{what}: {line}"));
    }
    Ok(())
}

/// Asks whether to go on.
fn sure(machines: usize, refused: usize) -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() {
        bail!("say --yes to change {machines} machines without being asked");
    }
    let but = match refused {
        0 => String::new(),
        refused => format!(" ({refused} others cannot be changed)"),
    };
    let mut out = io::stderr();
    write!(out, "Change {machines} machines{but}? [y/N] ")?;
    out.flush()?;
    let mut answer = String::new();
    io::stdin()
        .lock()
        .read_line(&mut answer)
        .context("no answer could be read")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// A line on standard error that counts, where that is a terminal.
struct Progress {
    what: &'static str,
    shown: bool,
}

impl Progress {
    fn new(what: &'static str) -> Self {
        let shown = io::stderr().is_terminal();
        Self { what, shown }
    }

    fn tell(&mut self, done: usize, all: usize) {
        // Each one of a few, and each hundredth of many.
        if self.shown && (done == all || done.is_multiple_of((all / 100).max(1))) {
            let _ = write!(io::stderr(), "\r{done} of {all} {} ", self.what);
        }
    }

    fn end(self) {
        if self.shown {
            let _ = write!(io::stderr(), "\r{:60}\r", "");
        }
    }
}

#[cfg(test)]
mod tests;
