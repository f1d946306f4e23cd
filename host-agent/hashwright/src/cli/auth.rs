//! `hashwright auth` and `hashwright pair`: who may ask an agent. Tokens are made, listed and revoked in the files of
//! the agent on this machine, running or not; pairing makes one on an agent elsewhere.

use std::path::{Path, PathBuf};

use access::audit::Line;
use access::{Record, Role, good_name};
use anyhow::{Context, bail};
use rpc::NoParams;
use rpc::auth::{Pair, PairingStart};
use rpc::method::{AuthInfo, AuthPair, AuthPairingStart};
use serde_json::{Value, json};
use stratum::transport::Fingerprint;

use super::client::Place;
use super::{Client, DEFAULT_URL};
use crate::access::store::{self, LocalToken, Store, StoreError};
use crate::access::{certificate, trail};
use crate::config::DEFAULT_PATH;
use crate::fleet::file::{FleetFile, Known};
use crate::format::{self, table::Column, table::Table};

/// Where an agent's state is unless its config says otherwise.
const DEFAULT_STATE_DIR: &str = "/var/lib/hashwright";

/// Longest config that is read, bytes.
const MAX_CONFIG_BYTES: u64 = 1024 * 1024;

/// `hashwright auth`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum Command {
    /// Make a token; it is shown once
    Add {
        /// Whose token it is, e.g. "phone" or "prometheus"
        name: String,
        /// What it allows: read, operate, tune or admin
        #[arg(long, value_name = "ROLE")]
        role: Role,
        /// It ends after this time, e.g. 90d, 12h or 30m; without it never
        #[arg(long, value_name = "TIME", value_parser = seconds)]
        expires: Option<u64>,
        #[command(flatten)]
        files: Files,
    },
    /// List the tokens, without themselves
    List {
        #[command(flatten)]
        files: Files,
    },
    /// Take a token back; whoever uses it is cut off at once
    Revoke {
        /// Its name or id
        name: String,
        #[command(flatten)]
        files: Files,
    },
    /// Have the running agent show a pairing code, for one device, for ten minutes
    Pair {
        /// What the device may do: read, operate, tune or admin
        #[arg(long, value_name = "ROLE", default_value = "admin")]
        role: Role,
        /// Where the agent's API is
        #[arg(long, value_name = "URL", default_value = DEFAULT_URL)]
        url: String,
        /// Print the reply as JSON
        #[arg(long)]
        json: bool,
    },
    /// Show the fingerprint of the API's certificate, making one if there is none
    Fingerprint {
        #[command(flatten)]
        files: Files,
    },
    /// Show who changed what
    Audit {
        /// How many records, newest last
        #[arg(long, value_name = "COUNT", default_value_t = 40)]
        limit: usize,
        #[command(flatten)]
        files: Files,
    },
}

/// Which agent's files.
#[derive(Clone, Debug, clap::Args)]
struct Files {
    /// The agent's config file
    #[arg(long, value_name = "FILE", default_value = DEFAULT_PATH)]
    config: PathBuf,
    /// The agent's state directory, instead of the one in the config
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// `hashwright pair`.
#[derive(Clone, Debug, clap::Args)]
pub struct PairArgs {
    /// Where the agent is, e.g. `https://rack-3-7.local:4029`
    url: String,
    /// The code that `hashwright auth pair` shows on the miner, or the agent when it starts
    code: String,
    /// SHA-256 of the agent's certificate, as `hashwright auth fingerprint` shows it on the miner; without
    /// it the certificate that the agent shows now is trusted from here on
    #[arg(long, value_name = "SHA256")]
    fingerprint: Option<Fingerprint>,
    /// Name of this computer's token on the agent [default: USER@HOST]
    #[arg(long, value_name = "NAME")]
    token_name: Option<String>,
    /// By which name to know the agent here [default: its own]
    #[arg(long = "as", value_name = "NAME")]
    known_as: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs `hashwright auth` and returns what to print.
///
/// # Errors
///
/// Files that cannot be read or changed, no agent, or its refusal; the text says what to do.
pub async fn run(args: &Args) -> anyhow::Result<String> {
    match &args.command {
        Command::Add {
            name,
            role,
            expires,
            files,
        } => add(name, *role, *expires, files),
        Command::List { files } => list(files),
        Command::Revoke { name, files } => revoke(name, files),
        Command::Pair { role, url, json } => show_code(*role, url, *json).await,
        Command::Fingerprint { files } => fingerprint(files),
        Command::Audit { limit, files } => audit(*limit, files),
    }
}

/// Runs `hashwright pair` and returns what to print.
///
/// # Errors
///
/// No agent, another certificate than expected, its refusal, or no place to keep the token.
pub async fn pair(args: &PairArgs) -> anyhow::Result<String> {
    let place = Place::parse(&args.url)?;
    let path = FleetFile::default_path()?;
    let mut fleet = FleetFile::load(&path)?;
    let before = fleet.at(&place.url()).cloned();
    let pinned = match (&args.fingerprint, &before) {
        (Some(print), _) => Some(*print),
        (
            None,
            Some(Known {
                fingerprint: Some(print),
                ..
            }),
        ) => Some(print.parse()?),
        (None, _) => None,
    };
    let token_name = match &args.token_name {
        Some(name) => name.clone(),
        None => own_name(),
    };
    if !good_name(&token_name) {
        bail!("{}", access::BookError::Name);
    }
    let client = Client::first(&place.url(), pinned).await?;
    let info = client.ask::<AuthInfo>(&NoParams::default()).await?;
    let name = args
        .known_as
        .clone()
        .or_else(|| before.as_ref().map(|known| known.name.clone()))
        .unwrap_or_else(|| info.name.clone());
    if !good_name(&name) {
        bail!(
            "the agent calls itself `{}`; give it another name here with --as",
            format::plain(&name, 80)
        );
    }
    if let Some(other) = fleet.named(&name)
        && before.as_ref() != Some(other)
    {
        bail!(
            "another agent is known as `{name}` already, at {}; give this one another name with --as",
            other.url
        );
    }
    // A code can be used once: the place for the token is tried first.
    let folder = path.parent().unwrap_or(Path::new(".")).join("tokens");
    let file_name = file_name(&name);
    let keep = Store::new(&folder);
    keep.check().with_context(|| {
        format!(
            "the token could not be kept in {}; the code was not used",
            folder.display()
        )
    })?;
    let wanted = Pair {
        code: args.code.clone(),
        name: token_name,
    };
    let made = client.ask::<AuthPair>(&wanted).await?;
    keep.write(&file_name, format!("{}\n", made.token).as_bytes())
        .with_context(|| {
            format!(
                "the token cannot be written to {}; revoke `{}` on the agent and pair again",
                folder.join(&file_name).display(),
                made.name
            )
        })?;
    let seen = client.fingerprint();
    fleet.upsert(Known {
        name: name.clone(),
        url: place.url(),
        fingerprint: seen.map(|print| print.to_string()),
        token_file: Some(Path::new("tokens").join(&file_name)),
        groups: Vec::new(),
    });
    fleet.save()?;
    if args.json {
        let reply = json!({
            "name": name, "url": place.url(), "fingerprint": seen.map(|print| print.to_string()),
            "token_name": made.name, "role": made.role, "token_file": folder.join(&file_name),
            "fleet_file": path, "trusted_on_first_sight": pinned.is_none() && place.tls,
        });
        return Ok(reply.to_string());
    }
    let mut text = format!(
        "Paired with {name} at {place} as `{}`, role {}. Try: hashwright status {name}",
        made.name, made.role
    );
    if let (None, Some(seen)) = (pinned, seen) {
        text += &format!(
            "\nIts certificate was trusted at first sight: {seen}\nCompare that with `hashwright auth \
             fingerprint` on the miner."
        );
    }
    Ok(text)
}

fn add(name: &str, role: Role, expires: Option<u64>, files: &Files) -> anyhow::Result<String> {
    let place = files.place()?;
    let token = store::fresh_token()?;
    let now = store::unix_s();
    let made = place
        .store
        .change(|book| book.add(name, role, token.hash(), expires, now));
    note(
        &place.store,
        "auth.add",
        json!({"name": name, "role": role, "expires_s": expires}),
        &made,
    );
    let made = made?;
    if files.json {
        let mut reply = told(&made);
        reply["token"] = token.reveal().into();
        return Ok(reply.to_string());
    }
    Ok(format!(
        "{}\n\nThat is the token of `{name}`, role {role}{}. It is shown only now; keep it like a password. The \
         agent takes it at once, running or not.\nUse it as HASHWRIGHT_TOKEN, with --token-file, in the \
         dashboard, or as `Authorization: Bearer TOKEN`.",
        token.reveal(),
        match made.expires_unix_s {
            Some(end) => format!(", ends in {}", duration(end.saturating_sub(now))),
            None => ", without end".to_owned(),
        }
    ))
}

fn list(files: &Files) -> anyhow::Result<String> {
    let book = files.place()?.store.load()?;
    if files.json {
        let tokens: Vec<_> = book.tokens().iter().map(told).collect();
        return Ok(Value::from(tokens).to_string());
    }
    if book.tokens().is_empty() {
        return Ok(
            "There are no tokens; `hashwright auth add NAME --role ROLE` makes one.".to_owned(),
        );
    }
    let now = store::unix_s();
    let mut table = Table::new([
        Column::left("name"),
        Column::left("id"),
        Column::left("role"),
        Column::right("made"),
        Column::right("last used"),
        Column::left("ends"),
    ]);
    for record in book.tokens() {
        let ends = match record.expires_unix_s {
            _ if record.is_expired(now) => "has ended".to_owned(),
            Some(end) => format!("in {}", duration(end.saturating_sub(now))),
            None => "never".to_owned(),
        };
        table.push([
            record.name.clone(),
            record.id.clone(),
            record.role.to_string(),
            ago(now, record.created_unix_s),
            record
                .last_used_unix_s
                .map_or_else(|| "never".to_owned(), |used| ago(now, used)),
            ends,
        ]);
    }
    Ok(table.lines(None).join("\n"))
}

fn revoke(name: &str, files: &Files) -> anyhow::Result<String> {
    let place = files.place()?;
    let gone = place
        .store
        .change(|book| book.revoke(name, store::unix_s()));
    note(&place.store, "auth.revoke", json!({"id": name}), &gone);
    let gone = gone?;
    if files.json {
        return Ok(told(&gone).to_string());
    }
    Ok(format!(
        "Revoked `{}` ({}, role {}). A running agent cuts it off within a second.",
        gone.name, gone.id, gone.role
    ))
}

async fn show_code(role: Role, url: &str, json: bool) -> anyhow::Result<String> {
    let client = Client::connect(url).await?;
    let wanted = PairingStart { role: Some(role) };
    let code = client.ask::<AuthPairingStart>(&wanted).await?;
    if json {
        return Ok(serde_json::to_string(&code)?);
    }
    let info = client.ask::<AuthInfo>(&NoParams::default()).await?;
    let mut text = format!(
        "Pairing code: {}\nGood for one device, for {} minutes; it gets the role {}.\n\n",
        code.code,
        code.expires_in_s / 60,
        code.role
    );
    let file = info.local_token_file.as_deref().map(Path::new);
    let listen = file.and_then(LocalToken::read).map(|local| local.listen);
    let hosts: Vec<String> = match listen {
        Some(at) if at.ip().is_loopback() => Vec::new(),
        Some(at) if at.ip().is_unspecified() => {
            let own = certificate::addresses().into_iter();
            own.map(|ip| std::net::SocketAddr::new(ip, at.port()).to_string())
                .collect()
        }
        Some(at) => vec![at.to_string()],
        None => {
            let place = Place::parse(url)?;
            vec![format!("{}:{}", place.host, place.port)]
        }
    };
    let scheme = if info.tls { "https" } else { "http" };
    match hosts.first() {
        Some(host) => {
            let print = info
                .fingerprint
                .map(|print| format!(" --fingerprint {print}"));
            text += &format!(
                "On the other computer:\n  hashwright pair {scheme}://{host} {}{}\nor type the code into the \
                 dashboard at {scheme}://{host}",
                code.code,
                print.unwrap_or_default()
            );
        }
        None => {
            text += "The API listens on this machine only; other machines reach it through an SSH tunnel, \
                     or with [api] listen = \"0.0.0.0:4029\" in the config.";
        }
    }
    Ok(text)
}

#[cfg(feature = "tls")]
fn fingerprint(files: &Files) -> anyhow::Result<String> {
    use crate::access::Acceptor;
    use crate::config::{Api, ServerTls};

    let place = files.place()?;
    let mut api = Api::new(([0, 0, 0, 0], 0).into());
    if let Some((certificate, key)) = place.own_certificate.clone() {
        api.tls = ServerTls::Files { certificate, key };
    }
    let folder = place.store.folder().to_owned();
    let acceptor = Acceptor::new(&api, &place.name, Some(folder))?;
    let Some(print) = acceptor.fingerprint() else {
        bail!("the agent has no certificate");
    };
    if files.json {
        return Ok(json!({"fingerprint": print.to_string()}).to_string());
    }
    Ok(print.to_string())
}

#[cfg(not(feature = "tls"))]
fn fingerprint(_: &Files) -> anyhow::Result<String> {
    bail!("this build has no TLS; build with --features tls")
}

fn audit(limit: usize, files: &Files) -> anyhow::Result<String> {
    let place = files.place()?;
    let lines = trail::read(&place.store, limit).with_context(|| {
        format!(
            "the audit log in {} cannot be read; run this as the agent's user or as root",
            place.store.folder().display()
        )
    })?;
    if files.json {
        return Ok(serde_json::to_string(&lines)?);
    }
    if lines.is_empty() {
        return Ok("Nothing was changed yet.".to_owned());
    }
    let now = store::unix_s();
    let text = |line: &Line| {
        let params = match &line.params {
            Value::Null => String::new(),
            params => format!(" {params}"),
        };
        let from = line.peer.as_ref().map(|peer| format!(" from {peer}"));
        let role = line
            .role
            .map_or_else(|| "no role".to_owned(), |role| role.to_string());
        format::plain(
            &format!(
                "{:>18}  {} ({role}, {}{})  {}{params}: {}",
                ago(now, line.unix_s),
                line.who,
                line.via,
                from.unwrap_or_default(),
                line.method,
                line.outcome
            ),
            2_000,
        )
    };
    Ok(lines.iter().map(text).collect::<Vec<_>>().join("\n"))
}

/// What an agent's config says that matters here.
struct Its {
    store: Store,
    #[cfg_attr(not(feature = "tls"), allow(dead_code))]
    name: String,
    #[cfg_attr(not(feature = "tls"), allow(dead_code))]
    own_certificate: Option<(PathBuf, PathBuf)>,
}

impl Files {
    /// Reads only what matters here: a config whose pools or boards are wrong still has tokens.
    fn place(&self) -> anyhow::Result<Its> {
        let read = std::fs::metadata(&self.config).and_then(|found| {
            if found.len() > MAX_CONFIG_BYTES {
                return Err(std::io::Error::other("too long for a config"));
            }
            std::fs::read_to_string(&self.config)
        });
        let text = match read {
            Ok(text) => text,
            Err(error)
                if error.kind() == std::io::ErrorKind::NotFound
                    && (self.state_dir.is_some() || self.config == Path::new(DEFAULT_PATH)) =>
            {
                String::new()
            }
            Err(error) => {
                bail!(
                    "cannot read the config {}: {error}; name it with --config, or the agent's state \
                     directory with --state-dir",
                    self.config.display()
                )
            }
        };
        let table: toml::Table = text
            .parse()
            .with_context(|| format!("the config {} cannot be read", self.config.display()))?;
        let agent = |key: &str| table.get("agent")?.get(key)?.as_str();
        let folder = match &self.state_dir {
            Some(folder) => folder.clone(),
            None => agent("state_dir").unwrap_or(DEFAULT_STATE_DIR).into(),
        };
        let beside = self.config.parent().unwrap_or(Path::new("."));
        let tls = |key: &str| Some(beside.join(table.get("api")?.get("tls")?.get(key)?.as_str()?));
        Ok(Its {
            store: Store::new(folder),
            name: agent("name").unwrap_or("hashwright").to_owned(),
            own_certificate: tls("certificate").zip(tls("key")),
        })
    }
}

/// Writes into the audit log what was done here; the log is no reason not to do it.
fn note<T>(store: &Store, method: &str, params: Value, outcome: &Result<T, StoreError>) {
    let line = Line {
        unix_s: store::unix_s(),
        who: own_name(),
        role: Some(Role::Admin),
        via: "cli".to_owned(),
        peer: None,
        method: method.to_owned(),
        params,
        outcome: outcome
            .as_ref()
            .map_or_else(ToString::to_string, |_| "ok".to_owned()),
    };
    if let Err(error) = trail::append(store, &line, trail::MAX_BYTES)
        && outcome.is_ok()
    {
        crate::commands::note(&format!("warning: the audit log was not written: {error}"));
    }
}

fn told(record: &Record) -> Value {
    json!({
        "id": record.id, "name": record.name, "role": record.role,
        "created_unix_s": record.created_unix_s, "expires_unix_s": record.expires_unix_s,
        "last_used_unix_s": record.last_used_unix_s,
    })
}

/// This user on this computer, as a name of a token can be.
fn own_name() -> String {
    let user = ["SUDO_USER", "USER", "LOGNAME"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()))
        .unwrap_or_else(|| match rustix::process::geteuid().is_root() {
            true => "root".to_owned(),
            false => "somebody".to_owned(),
        });
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = match host.trim() {
        "" => user,
        host => format!("{user}@{host}"),
    };
    let good = |c: char| {
        if c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '@') {
            c
        } else {
            '-'
        }
    };
    name.chars().map(good).take(access::MAX_NAME).collect()
}

/// A name of a file for an agent's name.
fn file_name(name: &str) -> String {
    let good = |c: char| {
        if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') {
            c
        } else {
            '-'
        }
    };
    let name: String = name.chars().map(good).take(100).collect();
    format!("{name}.token")
}

/// Reads a time such as 90d, 12h, 30m or 600 (seconds).
fn seconds(text: &str) -> Result<u64, String> {
    let (number, unit) = match text.char_indices().last() {
        Some((at, 'd')) => (&text[..at], 86_400),
        Some((at, 'h')) => (&text[..at], 3_600),
        Some((at, 'm')) => (&text[..at], 60),
        Some((at, 's')) => (&text[..at], 1),
        _ => (text, 1),
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(unit))
        .filter(|seconds| (60..=100 * 366 * 86_400).contains(seconds))
        .ok_or_else(|| {
            "write a time from a minute to a hundred years, e.g. 90d, 12h or 30m".to_owned()
        })
}

fn ago(now: u64, then: u64) -> String {
    match now.saturating_sub(then) {
        0 => "now".to_owned(),
        seconds => format!("{} ago", duration(seconds)),
    }
}

#[allow(clippy::cast_precision_loss)]
fn duration(seconds: u64) -> String {
    format::duration(seconds as f64)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    /// Runs a command line on the files in a directory.
    async fn run_in(folder: &Path, words: &str) -> anyhow::Result<String> {
        let folder = folder.to_str().unwrap();
        let words = ["auth"].into_iter().chain(words.split(' '));
        let words = words.chain(["--state-dir", folder]);
        run(&Line::try_parse_from(words)?.args).await
    }

    #[tokio::test]
    async fn a_token_is_made_listed_and_revoked_without_an_agent() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        assert!(run_in(folder, "list").await.unwrap().contains("auth add"));
        let said = run_in(folder, "add phone --role operate --expires 90d")
            .await
            .unwrap();
        let token = access::Token::parse(said.lines().next().unwrap()).unwrap();
        assert!(said.contains("role operate, ends in 90 d"), "{said}");
        let listed = run_in(folder, "list").await.unwrap();
        let id = token.hash().id();
        for part in ["phone", "operate", "in 90 d", "never", &id] {
            assert!(listed.contains(part), "{listed}");
        }
        assert!(!listed.contains(token.reveal()));
        let json: Value =
            serde_json::from_str(&run_in(folder, "list --json").await.unwrap()).unwrap();
        assert_eq!(json[0]["role"], "operate");
        let said = run_in(folder, "add phone --role read")
            .await
            .unwrap_err()
            .to_string();
        assert!(said.contains("another name"), "{said}");
        run_in(folder, &format!("revoke {id}")).await.unwrap();
        let said = run_in(folder, "revoke phone")
            .await
            .unwrap_err()
            .to_string();
        assert!(said.contains("auth list"), "{said}");
        let audit = run_in(folder, "audit").await.unwrap();
        assert_eq!(audit.lines().count(), 4);
        assert!(
            audit.contains("auth.revoke") && !audit.contains(token.reveal()),
            "{audit}"
        );
    }

    #[tokio::test]
    async fn what_cannot_be_is_refused_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        for (words, part) in [
            ("add phone --role root", "read, operate, tune and admin"),
            ("add phone", "--role"),
            ("add phone --role read --expires 1s", "90d, 12h or 30m"),
            ("add phone --role read --expires soon", "90d, 12h or 30m"),
            ("list --config /nonexistent/x.toml", "no tokens"),
        ] {
            let said = match run_in(folder, words).await {
                Ok(said) => said,
                Err(error) => error.to_string(),
            };
            assert!(said.contains(part), "{words}: {said}");
        }
        std::fs::write(folder.join("a"), "").unwrap();
        let said = run_in(&folder.join("a"), "add phone --role read").await;
        let said = said.unwrap_err().to_string();
        assert!(said.contains("as root"), "{said}");
    }

    #[test]
    fn only_what_matters_of_a_config_must_be_right() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("h.toml");
        let files = || Files {
            config: config.clone(),
            state_dir: None,
            json: false,
        };
        let said = files().place().err().unwrap().to_string();
        assert!(said.contains("--config"), "{said}");
        std::fs::write(&config, "[[pool]]\nurl = 7\n").unwrap();
        assert_eq!(
            files().place().unwrap().store.folder(),
            Path::new(DEFAULT_STATE_DIR)
        );
        std::fs::write(
            &config,
            "[agent]\nname = \"rack\"\nstate_dir = \"/srv/m\"\n[api]\ntls = { certificate = \"c.pem\", key = \"/k\" }\n",
        )
        .unwrap();
        let place = files().place().unwrap();
        assert_eq!(
            (place.store.folder(), place.name.as_str()),
            (Path::new("/srv/m"), "rack")
        );
        let expected = (folder.path().join("c.pem"), PathBuf::from("/k"));
        assert_eq!(place.own_certificate, Some(expected));
        std::fs::write(&config, "[agent\n").unwrap();
        assert!(files().place().is_err());
    }

    #[cfg(feature = "tls")]
    #[tokio::test]
    async fn the_fingerprint_is_there_before_the_first_start() {
        let folder = tempfile::tempdir().unwrap();
        let first = run_in(folder.path(), "fingerprint").await.unwrap();
        assert_eq!(first.len(), 64);
        assert_eq!(run_in(folder.path(), "fingerprint").await.unwrap(), first);
    }

    #[test]
    fn own_names_are_good_names() {
        assert!(good_name(&own_name()), "{}", own_name());
        assert_eq!(file_name("rack/../3.7"), "rack----3-7.token");
    }
}
