//! Which agent a command speaks with, and the calls themselves.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::anyhow;
use rpc::Method;
use serde_json::value::RawValue;

use super::client::Target;
use super::{Client, ClientError};
use crate::fleet::file::FleetFile;

/// Where the agent's API is unless the user says otherwise.
pub const DEFAULT_URL: &str = "http://127.0.0.1:4029";

/// How long connecting takes at most.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// Environment variable with the URL of the agent.
pub const URL_VARIABLE: &str = "HASHWRIGHT_URL";

/// Which agent, and how to reach it.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct AgentArgs {
    /// A known agent by its name in the fleet file
    #[arg(long, short, value_name = "NAME", conflicts_with = "url")]
    pub agent: Option<String>,
    /// Where the agent's API is [default: $HASHWRIGHT_URL, or http://127.0.0.1:4029]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// File with the token [default: $HASHWRIGHT_TOKEN, or what is known of the agent]
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// SHA-256 of the agent's certificate, for https
    #[arg(long, value_name = "SHA256")]
    pub fingerprint: Option<String>,
}

/// Where to connect.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// URL of the API.
    pub url: String,
    /// File with the token, if one was named.
    pub token_file: Option<PathBuf>,
    /// Fingerprint of the certificate, if one was named.
    pub fingerprint: Option<String>,
    /// How long connecting may take; as long as usual unless said otherwise.
    pub within: Option<Duration>,
}

impl AgentArgs {
    /// An agent at this URL.
    #[must_use]
    pub fn at(url: impl Into<String>) -> Self {
        Self {
            url: Some(url.into()),
            ..Self::default()
        }
    }

    /// With a name that was given in another way, e.g. as `hashwright status NAME`.
    #[must_use]
    pub fn or_named(&self, name: Option<&String>) -> Self {
        Self {
            agent: self.agent.clone().or_else(|| name.cloned()),
            ..self.clone()
        }
    }

    /// Where that is.
    ///
    /// # Errors
    ///
    /// A name that is not in the fleet file, and a file that cannot be used.
    pub fn place(&self) -> anyhow::Result<Place> {
        let mut place = Place {
            url: String::new(),
            token_file: self.token_file.clone(),
            fingerprint: self.fingerprint.clone(),
            within: None,
        };
        if let (Some(name), None) = (&self.agent, &self.url) {
            let file = FleetFile::load(&FleetFile::default_path()?)?;
            let Some(known) = file.named(name) else {
                return Err(unknown(name, &file));
            };
            place.url.clone_from(&known.url);
            place.token_file = place.token_file.or_else(|| file.token_path(known));
            place.fingerprint = place.fingerprint.or_else(|| known.fingerprint.clone());
            return Ok(place);
        }
        place.url = match &self.url {
            Some(url) => url.clone(),
            None => std::env::var(URL_VARIABLE)
                .ok()
                .filter(|url| !url.is_empty())
                .unwrap_or_else(|| DEFAULT_URL.to_owned()),
        };
        Ok(place)
    }
}

/// Connects to the agent that is meant.
///
/// # Errors
///
/// A name that nobody knows, a bad URL, nobody there, or somebody else there.
pub async fn connect(args: &AgentArgs) -> anyhow::Result<Client> {
    Ok(connect_to(&args.place()?).await?)
}

/// Connects to a place.
///
/// # Errors
///
/// A bad URL, nobody there, or somebody else there.
pub async fn connect_to(place: &Place) -> Result<Client, ClientError> {
    Client::connect_to(&Target {
        token_file: place.token_file.clone(),
        fingerprint: place.fingerprint.clone(),
        within: place.within.unwrap_or(CONNECT_WITHIN),
        ..Target::new(&place.url)
    })
    .await
}

/// Calls a method and returns its result as it came.
///
/// # Errors
///
/// The agent's refusal, or no reply.
pub async fn ask<M: Method>(
    client: &Client,
    params: &M::Params,
) -> Result<Box<RawValue>, ClientError> {
    client.call_params(M::NAME, params).await
}

/// Calls a method and reads its result.
///
/// # Errors
///
/// The agent's refusal, no reply, or one that does not fit this version.
pub async fn get<M: Method>(client: &Client, params: &M::Params) -> Result<M::Reply, ClientError> {
    typed::<M>(&ask::<M>(client, params).await?)
}

/// Reads the result of a method.
///
/// # Errors
///
/// [`ClientError::Reply`].
pub fn typed<M: Method>(reply: &RawValue) -> Result<M::Reply, ClientError> {
    serde_json::from_str(reply.get()).map_err(|source| ClientError::Reply {
        method: M::NAME,
        source,
    })
}

/// What to say of a name that nobody knows: the most similar one that somebody does.
pub(super) fn unknown(name: &str, file: &FleetFile) -> anyhow::Error {
    let similar = |known: &&str| strsim::jaro_winkler(known, name);
    let known = file.agents().iter().map(|agent| agent.name.as_str());
    let nearest = known
        .map(|known| (similar(&known), known))
        .filter(|(score, _)| *score > 0.8)
        .max_by(|one, other| one.0.total_cmp(&other.0));
    let hint = match nearest {
        Some((_, nearest)) => format!("did you mean `{nearest}`?"),
        None => "`hashwright fleet list` shows those that are; add it with `hashwright fleet scan \
                 --write` or `hashwright pair`, or use --url"
            .to_owned(),
    };
    anyhow!(
        "no agent called `{name}` is known in {}: {hint}",
        file.path().display()
    )
}
