//! `[upstream]` and `[[pool]]`: where work comes from, how it is shared out, and what the owner
//! demands of it. Which keys go with which protocol is checked here, so that the rest of the
//! program never meets a combination that means nothing.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use payout::{Expectation, Network, PayoutAddress, Percent};
use stratum::transport::{PoolConnector, Proxy, TcpConnector, Trust, TrustError};
use stratum::url::Scheme;
use stratum::{PoolUrl, Secret};

use super::reader::Section;
use super::tables::Tables;

/// Most pools that a config may have.
pub(super) const MAX_POOLS: usize = 16;
/// Longest file with certificates, bytes.
const MAX_CA_BYTES: u64 = 1024 * 1024;
/// Longest wait that can be asked for, seconds: a week.
const LONGEST_S: u64 = 7 * 24 * 3600;
/// Longest coinbase tag, bytes: with height and extranonce it must fit into the 100 bytes of the input.
const MAX_TAG: usize = 64;
/// What solo blocks carry unless the owner wants something else.
const DEFAULT_TAG: &str = "/hashwright/";

/// `[upstream]`: how work is taken from the pools.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// How it is shared out.
    pub strategy: Strategy,
    /// How long a pool that had failed must work again before it gets work back.
    pub return_after: Duration,
    /// How long boards wait for work before they are powered down; `None` for ever.
    pub idle_after: Option<Duration>,
}

impl Default for Upstream {
    fn default() -> Self {
        Self {
            strategy: Strategy::Failover,
            return_after: Duration::from_secs(60),
            idle_after: Some(Duration::from_secs(600)),
        }
    }
}

/// How the work is shared out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// All of it to the first pool that works.
    #[default]
    Failover,
    /// To each pool its [`Pool::quota`].
    Quota,
}

impl fmt::Display for Strategy {
    /// As in the config.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Failover => "failover",
            Self::Quota => "quota",
        })
    }
}

/// `[[pool]]`: one upstream.
#[derive(Clone, Debug, PartialEq)]
pub struct Pool {
    /// Where it listens, and what it speaks.
    pub url: PoolUrl,
    /// User or payout address, with the worker name that the pool wants; for a node the RPC user,
    /// empty if a cookie is used.
    pub user: String,
    /// Password, resolved.
    pub password: Secret,
    /// Percent of the work; 0 unless the strategy is [`Strategy::Quota`].
    pub quota: u32,
    /// The way to it, if not directly.
    pub proxy: Option<Proxy>,
    /// How it is known over TLS.
    pub tls: Trust,
    /// Whom it pays, as far as the owner expects something, and what is refused.
    pub payout: Expectation,
    /// The network that it mines on, if somebody said so.
    pub network: Option<Network>,
    /// What only some protocols have.
    pub terms: Terms,
}

/// What only some protocols have.
#[derive(Clone, Debug, PartialEq)]
pub enum Terms {
    /// Stratum V1.
    V1 {
        /// Share difficulty to ask for.
        suggest_difficulty: Option<f64>,
        /// Whether to ask for extranonce changes.
        extranonce_subscribe: bool,
        /// Whether to ask for version rolling.
        version_rolling: bool,
    },
    /// Stratum V2.
    V2 {
        /// Kind of channel.
        channel: Channel,
    },
    /// A node.
    Solo {
        /// Its cookie file, if user and password are not given.
        cookie: Option<PathBuf>,
        /// Who is paid.
        address: PayoutAddress,
        /// What blocks say of who found them.
        tag: String,
    },
}

impl Pool {
    /// A V1 pool with all defaults.
    #[must_use]
    pub fn new(url: PoolUrl, user: &str) -> Self {
        Self {
            terms: Terms::V1 {
                suggest_difficulty: None,
                extranonce_subscribe: url.extranonce_subscribe(),
                version_rolling: true,
            },
            url,
            user: user.to_owned(),
            password: Secret::new("x"),
            quota: 0,
            proxy: None,
            tls: Trust::System,
            payout: Expectation::default(),
            network: None,
        }
    }

    /// Who is named to the upstream, for people: the user, or whom a node's blocks pay.
    #[must_use]
    pub fn account(&self) -> String {
        match &self.terms {
            Terms::Solo { address, .. } => address.to_string(),
            Terms::V1 { .. } | Terms::V2 { .. } => self.user.clone(),
        }
    }
}

impl Pool {
    /// What is allowed, but worth a thought.
    pub(super) fn warnings(&self) -> impl Iterator<Item = &'static str> {
        let scheme = self.url.scheme();
        let near = self.url.host() == "localhost"
            || self
                .url
                .host()
                .parse::<IpAddr>()
                .is_ok_and(|address| address.is_loopback());
        let open = scheme == Scheme::Solo && !near;
        let anybody = scheme == Scheme::V2 && self.url.authority_key().is_none();
        [
            open.then_some(
                "the node is on another machine, and its password goes there unencrypted; https or an \
                 SSH tunnel would hide it",
            ),
            anybody.then_some(
                "without an authority key anybody between us and the pool can take the hashes",
            ),
        ]
        .into_iter()
        .flatten()
    }
}

/// Kind of Stratum V2 channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Channel {
    /// The agent makes the merkle roots itself.
    #[default]
    Extended,
    /// The pool makes them, and nobody can see what it pays.
    Standard,
}

/// Pools and how they share the work; what does not fit is noted.
pub(super) fn read<'r>(
    tables: &Tables<'r>,
    section: &Section<'r>,
    pools: &[Section<'r>],
) -> (Upstream, Option<Vec<Pool>>) {
    let upstream = upstream(section);
    let proxy = proxy(tables, section);
    let quotas: Vec<_> = pools
        .iter()
        .map(|pool| {
            pool.integer("quota", 1..=100)
                .and_then(|quota| u32::try_from(quota).ok())
        })
        .collect();
    let read: Vec<_> = pools
        .iter()
        .zip(&quotas)
        .map(|(pool, quota)| one(tables, pool, proxy.as_ref(), quota.unwrap_or(0)))
        .collect();
    check_quotas(section, upstream.strategy, pools, &quotas);
    (upstream, read.into_iter().collect())
}

fn upstream(section: &Section<'_>) -> Upstream {
    let defaults = Upstream::default();
    let strategy = match section.text("strategy") {
        None | Some("failover") => Strategy::Failover,
        Some("quota") => Strategy::Quota,
        Some(other) => {
            let message = format!("\"{other}\" is not known; write failover or quota");
            section.bad("strategy", message);
            Strategy::Failover
        }
    };
    let return_after = section.integer("return_after_s", 0..=LONGEST_S);
    let idle_after = section.integer("idle_after_s", 0..=LONGEST_S);
    Upstream {
        strategy,
        return_after: return_after.map_or(defaults.return_after, Duration::from_secs),
        idle_after: match idle_after {
            None => defaults.idle_after,
            Some(0) => None,
            Some(seconds) => Some(Duration::from_secs(seconds)),
        },
    }
}

/// Whether the percentages make a whole.
fn check_quotas(
    upstream: &Section<'_>,
    strategy: Strategy,
    pools: &[Section<'_>],
    quotas: &[Option<u32>],
) {
    for pool in pools {
        if strategy == Strategy::Failover && pool.has("quota") {
            pool.bad(
                "quota",
                "only goes with [upstream] strategy = \"quota\"; with failover the order of the pools \
                 decides",
            );
        } else if strategy == Strategy::Quota && !pool.has("quota") {
            pool.bad(
                "quota",
                "is missing; with strategy = \"quota\" every pool needs its percentage, for instance \
                 quota = 70",
            );
        }
    }
    let sum: u32 = quotas.iter().flatten().sum();
    let complete = !quotas.is_empty() && quotas.iter().all(Option::is_some);
    if strategy == Strategy::Quota && complete && sum != 100 {
        let message = format!("the quotas of the pools add up to {sum} %, expected 100 %");
        upstream.bad("strategy", message);
    }
}

/// What goes with which protocols.
const KEYS: &[(&str, &[Scheme])] = &[
    ("suggest_difficulty", &[Scheme::V1, Scheme::V1Tls]),
    ("extranonce_subscribe", &[Scheme::V1, Scheme::V1Tls]),
    ("version_rolling", &[Scheme::V1, Scheme::V1Tls]),
    (
        "password",
        &[Scheme::V1, Scheme::V1Tls, Scheme::Solo, Scheme::SoloTls],
    ),
    ("tls", &[Scheme::V1Tls, Scheme::SoloTls]),
    ("trust_any_key", &[Scheme::V2]),
    ("channel", &[Scheme::V2]),
    ("cookie_file", &[Scheme::Solo, Scheme::SoloTls]),
    ("coinbase_tag", &[Scheme::Solo, Scheme::SoloTls]),
];

fn one<'r>(
    tables: &Tables<'r>,
    pool: &Section<'r>,
    shared: Option<&Proxy>,
    quota: u32,
) -> Option<Pool> {
    pool.required("url");
    let url: Option<PoolUrl> = pool.parsed("url");
    let url = url.filter(|url| is_built_in(pool, url));
    let solo = url.as_ref().is_some_and(|url| url.scheme().is_solo());
    let user = if solo && !pool.has("user") {
        Some("")
    } else {
        pool.required("user").filter(|user| is_user(pool, user))
    };
    let password = tables.secret(pool, "password");
    let suggest_difficulty = pool.number("suggest_difficulty", 1e-6..=1e15);
    let extranonce_subscribe = pool.boolean("extranonce_subscribe").unwrap_or(false);
    let version_rolling = pool.boolean("version_rolling").unwrap_or(true);
    let tls = trust(tables, pool);
    let any_key = pool.boolean("trust_any_key").unwrap_or(false);
    let channel = channel(pool);
    let cookie = pool
        .text("cookie_file")
        .and_then(|text| tables.home(pool, "cookie_file", text));
    let tag = tag(pool);
    let network = network(pool);
    let payout = payout(pool, user.unwrap_or_default(), network);
    let own_proxy = match pool.is_text("proxy", "none") {
        true => None,
        false => proxy(tables, pool).or_else(|| shared.cloned()),
    };
    let url = url?;
    let scheme = url.scheme();
    for (key, _) in KEYS.iter().filter(|(_, fit)| !fit.contains(&scheme)) {
        if pool.has(key) {
            pool.bad(key, misplaced(key, scheme));
        }
    }
    let address = payout.addresses.first().filter(|_| payout.named).cloned();
    let terms = match scheme {
        Scheme::V1 | Scheme::V1Tls => Terms::V1 {
            suggest_difficulty,
            extranonce_subscribe: extranonce_subscribe || url.extranonce_subscribe(),
            version_rolling,
        },
        Scheme::V2 => {
            check_key(pool, &url, any_key);
            if channel == Channel::Standard && payout.min_percent.is_some() {
                pool.bad(
                    "min_payout_percent",
                    "cannot be judged on a standard channel, which does not show what its jobs pay; use \
                     channel = \"extended\"",
                );
            }
            Terms::V2 { channel }
        }
        Scheme::Solo | Scheme::SoloTls => {
            check_login(pool);
            if !pool.has("payout_address") {
                pool.bad(
                    "payout_address",
                    "is missing: who is paid for the blocks that are found? Write an address from your \
                     wallet",
                );
            }
            Terms::Solo {
                cookie,
                address: address?,
                tag: tag.to_owned(),
            }
        }
    };
    Some(Pool {
        url,
        user: user?.to_owned(),
        password: password?,
        quota,
        proxy: own_proxy,
        tls: tls?,
        payout,
        network,
        terms,
    })
}

fn is_built_in(pool: &Section<'_>, url: &PoolUrl) -> bool {
    let (built, feature) = match url.scheme() {
        Scheme::V1 => return true,
        Scheme::V1Tls => (cfg!(feature = "tls"), "tls"),
        Scheme::V2 => (cfg!(feature = "sv2"), "sv2"),
        Scheme::Solo => (cfg!(feature = "solo"), "solo"),
        Scheme::SoloTls => (cfg!(all(feature = "solo", feature = "tls")), "solo,tls"),
    };
    if !built {
        let what = url.scheme().protocol();
        let message = format!("this build has no {what}; build with --features {feature}");
        pool.bad("url", message);
    }
    built
}

fn is_user(pool: &Section<'_>, user: &str) -> bool {
    let unseen = |c: char| c.is_whitespace() || c.is_control();
    let good = (1..=256).contains(&user.chars().count()) && !user.contains(unseen);
    if !good {
        pool.bad("user", "must be 1 to 256 characters without spaces");
    }
    good
}

/// What is said of a key that this protocol does not have.
fn misplaced(key: &str, scheme: Scheme) -> String {
    let protocol = scheme.protocol();
    match key {
        "tls" if scheme == Scheme::V2 => {
            "is not for Stratum V2, which brings its own encryption; the pool is known by the key in \
             its URL"
                .to_owned()
        }
        "tls" => {
            let secure = if scheme.is_solo() { "https" } else { "stratum+tls" };
            format!("only goes with a URL of {secure}://; this one is not encrypted")
        }
        "password" => format!("{protocol} has no password; leave it out"),
        "trust_any_key" | "channel" => {
            format!("is only for Stratum V2 (stratum2+tcp://); this URL is {protocol}")
        }
        "cookie_file" | "coinbase_tag" => format!(
            "is only for solo mining from a node (http:// or https://); this URL is {protocol}"
        ),
        _ => format!("is only for Stratum V1; this URL is {protocol}"),
    }
}

fn check_key(pool: &Section<'_>, url: &PoolUrl, any_key: bool) {
    match (url.authority_key(), any_key) {
        (None, false) => pool.bad(
            "url",
            "names no authority key, so that anybody between us and the pool could take the hashes. Add \
             the key from the pool's page behind the port, stratum2+tcp://host:port/KEY; or, if you \
             really want to trust anybody, write trust_any_key = true",
        ),
        (Some(_), true) => pool.bad(
            "trust_any_key",
            "contradicts the authority key in the URL; leave one of them out",
        ),
        _ => {}
    }
}

fn check_login(pool: &Section<'_>) {
    let cookie = pool.has("cookie_file");
    let (user, password) = (pool.has("user"), pool.has("password"));
    if cookie && (user || password) {
        pool.bad(
            "cookie_file",
            "takes the place of user and password; write one or the other",
        );
    } else if !cookie && (!user || !password) {
        pool.bad(
            "cookie_file",
            "is missing: a node wants to know who asks. Write the path of its cookie file, for instance \
             cookie_file = \"~/.bitcoin/.cookie\", or user and password as in the node's config",
        );
    }
}

fn trust<'r>(tables: &Tables<'r>, pool: &Section<'r>) -> Option<Trust> {
    const KEY: &str = "tls";
    if !pool.has(KEY) {
        return Some(Trust::System);
    }
    let table = pool.table(KEY, "pool.tls")?;
    let ca = table.text("ca");
    let fingerprint = table.parsed("fingerprint");
    match (table.has("ca"), table.has("fingerprint")) {
        (true, false) => {
            let text = tables.file(&table, "ca", ca?, MAX_CA_BYTES)?;
            let trust = Trust::Authority {
                pem: text.into_bytes(),
            };
            match PoolConnector::new(TcpConnector::default()).with_tls(trust.clone()) {
                // Without TLS the URL is refused already.
                Ok(_) | Err(TrustError::NotBuilt) => Some(trust),
                Err(error) => {
                    table.bad("ca", error.to_string());
                    None
                }
            }
        }
        (false, true) => fingerprint.map(Trust::Fingerprint),
        _ => {
            pool.bad(KEY, "must be { ca = \"...\" } or { fingerprint = \"...\" }");
            None
        }
    }
}

fn channel(pool: &Section<'_>) -> Channel {
    match pool.text("channel") {
        None | Some("extended") => Channel::Extended,
        Some("standard") => Channel::Standard,
        Some(other) => {
            let message = format!("\"{other}\" is not known; write extended or standard");
            pool.bad("channel", message);
            Channel::Extended
        }
    }
}

fn tag<'r>(pool: &Section<'r>) -> &'r str {
    let Some(tag) = pool.text("coinbase_tag") else {
        return DEFAULT_TAG;
    };
    let printable = tag.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    if tag.len() > MAX_TAG || !printable {
        let message = format!("must be at most {MAX_TAG} printable ASCII characters");
        pool.bad("coinbase_tag", message);
    }
    tag
}

fn network(pool: &Section<'_>) -> Option<Network> {
    let network = match pool.text("network")? {
        "main" => Network::Bitcoin,
        "testnet" => Network::Testnet,
        "testnet4" => Network::Testnet4,
        "signet" => Network::Signet,
        "regtest" => Network::Regtest,
        other => {
            let message = format!(
                "\"{other}\" is not known; write main, testnet, testnet4, signet or regtest"
            );
            pool.bad("network", message);
            return None;
        }
    };
    Some(network)
}

/// Whom the pool is expected to pay: whom the owner says, else the address that the user name begins
/// with.
fn payout(pool: &Section<'_>, user: &str, network: Option<Network>) -> Expectation {
    let text = pool.text("payout_address");
    let named = text.and_then(|text| {
        PayoutAddress::parse(text, network)
            .map_err(|error| pool.bad("payout_address", error.to_string()))
            .ok()
    });
    let percent = pool.number("min_payout_percent", 0.0..=100.0);
    let addresses: Vec<_> = match (&named, text) {
        (Some(address), _) => vec![address.clone()],
        (None, Some(_)) => Vec::new(),
        (None, None) => PayoutAddress::in_user(user).into_iter().collect(),
    };
    if addresses.is_empty() && text.is_none() && pool.has("min_payout_percent") {
        pool.bad(
            "min_payout_percent",
            "needs payout_address: who is to be paid? (An address at the beginning of `user` would do as \
             well; this user is none)",
        );
    }
    Expectation {
        addresses,
        named: named.is_some(),
        min_percent: percent.and_then(|percent| Percent::new(percent).ok()),
    }
}

/// The proxy of a table; `None` without one, and if it is noted.
fn proxy<'r>(tables: &Tables<'r>, section: &Section<'r>) -> Option<Proxy> {
    let proxy: Option<Proxy> = section.parsed("proxy");
    let user = section.text("proxy_user");
    let password = tables.secret(section, "proxy_password");
    if !section.has("proxy") {
        for key in ["proxy_user", "proxy_password"] {
            if section.has(key) {
                section.bad(key, "only goes with proxy in the same table");
            }
        }
    } else if section.has("proxy_user") != section.has("proxy_password") {
        section.bad(
            "proxy_user",
            "goes together with proxy_password; a proxy takes both or none",
        );
    }
    let proxy = proxy?;
    match user {
        None => Some(proxy),
        Some(user) => proxy
            .with_credentials(user, password?)
            .map_err(|error| section.bad("proxy_user", error.to_string()))
            .ok(),
    }
}
