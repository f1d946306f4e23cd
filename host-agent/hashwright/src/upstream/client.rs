//! One upstream of any protocol: how it is made from the config, and how its task is run.

use anyhow::Context;
use mining::Difficulty;
use stratum::transport::{Channels, Connector, PoolConnector, TcpConnector};
use stratum::{Sequence, Session};
use tokio::time::Instant;

use crate::config::{self, Config, Terms};

/// A session with what runs it.
pub(super) enum Client {
    /// Over one byte stream.
    Stream(Box<dyn Session>),
    /// Over HTTP.
    #[cfg(feature = "solo")]
    Solo(Box<solo::Session>),
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    /// Runs the session until `left` completes, and gives it back.
    pub(super) async fn run(
        self,
        connector: impl Connector,
        channels: Channels,
        epoch: Instant,
        left: impl Future<Output = ()>,
    ) -> Self {
        match self {
            Self::Stream(session) => {
                let run = stratum::transport::run(session, connector, channels, epoch, left);
                Self::Stream(run.await)
            }
            #[cfg(feature = "solo")]
            Self::Solo(session) => {
                let run = solo::transport::run(*session, connector, channels, epoch, left);
                Self::Solo(Box::new(run.await))
            }
        }
    }
}

/// The session of a pool; `hps` is the rate of all boards, real hashes a second.
///
/// # Errors
///
/// When the pool is configured in a way that cannot work.
pub(super) fn new(
    pool: &config::Pool,
    config: &Config,
    hps: f64,
    seed: u64,
    sequence: &Sequence,
) -> anyhow::Result<Client> {
    let named = || format!("pool {}", pool.url);
    match &pool.terms {
        Terms::V1 {
            suggest_difficulty,
            extranonce_subscribe,
            version_rolling,
        } => {
            let (url, user) = (pool.url.clone(), pool.user.clone());
            let mut settings = stratum::v1::Config::new(url, user, pool.password.clone());
            settings.extranonce_subscribe |= *extranonce_subscribe;
            settings.suggest_difficulty = suggest_difficulty.map(Difficulty::new).transpose()?;
            if !version_rolling {
                settings.version_mask = 0;
            }
            let session = stratum::v1::Session::new(settings, seed, sequence.clone());
            Ok(Client::Stream(Box::new(session.with_context(named)?)))
        }
        #[cfg(feature = "sv2")]
        Terms::V2 { channel } => {
            let mut settings = stratum::v2::Config::new(pool.url.clone(), pool.user.clone());
            settings.channel = match channel {
                config::Channel::Extended => stratum::v2::ChannelKind::Extended,
                config::Channel::Standard => stratum::v2::ChannelKind::Standard,
            };
            if hps > 0.0 {
                settings.nominal_hashrate = hps;
            }
            let models: Vec<_> = config
                .boards
                .iter()
                .map(|board| &board.profile.model)
                .collect();
            if let [first, rest @ ..] = &models[..]
                && rest.iter().all(|model| model == first)
            {
                settings.hardware = (*first).clone();
            }
            let session = stratum::v2::Session::new(settings, seed, sequence.clone());
            Ok(Client::Stream(Box::new(session.with_context(named)?)))
        }
        #[cfg(feature = "solo")]
        Terms::Solo {
            cookie,
            address,
            tag,
        } => {
            let auth = match cookie {
                Some(path) => solo::Auth::Cookie(path.clone()),
                None => solo::Auth::Password {
                    user: pool.user.clone(),
                    password: pool.password.clone(),
                },
            };
            let blocks = config.agent.state_dir.join("blocks");
            let mut settings =
                solo::Config::new(pool.url.clone(), auth, address.to_string(), blocks);
            settings.network = pool.network;
            settings.coinbase_tag.clone_from(tag);
            let session = solo::Session::new(settings, seed, sequence.clone());
            Ok(Client::Solo(Box::new(session.with_context(named)?)))
        }
        #[cfg(not(all(feature = "sv2", feature = "solo")))]
        _ => {
            let _ = (config, hps);
            anyhow::bail!(
                "{}: this build does not speak {}",
                named(),
                pool.url.scheme().protocol()
            )
        }
    }
}

/// The way to a pool: `plain` connections, through its proxy and with its TLS.
///
/// # Errors
///
/// When no certificate could be trusted.
pub(super) fn connector<C: Connector>(
    pool: &config::Pool,
    plain: C,
) -> anyhow::Result<PoolConnector<C>> {
    let mut connector = PoolConnector::new(plain);
    if let Some(proxy) = &pool.proxy {
        connector = connector.with_proxy(proxy.clone());
    }
    if pool.url.scheme().is_tls() {
        connector = connector
            .with_tls(pool.tls.clone())
            .with_context(|| format!("pool {}", pool.url))?;
    }
    Ok(connector)
}

/// Finds out whether a pool of a config could be used, without connecting to anything.
///
/// # Errors
///
/// When it could not.
pub fn check(pool: &config::Pool, config: &Config) -> anyhow::Result<()> {
    new(pool, config, 0.0, 0, &Sequence::new())?;
    connector(pool, TcpConnector::default())?;
    Ok(())
}
