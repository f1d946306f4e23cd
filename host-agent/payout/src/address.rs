//! Addresses of the owner, and which network a job belongs to.

use std::fmt;

use bitcoin::address::NetworkUnchecked;
use bitcoin::{Address, Network, ScriptBuf};
use thiserror::Error;

/// An address that was checked: right form, right checksum, right network.
///
/// Two addresses are equal if they pay the same script on the same kind of network.
#[derive(Clone, PartialEq, Eq)]
pub struct PayoutAddress {
    address: Address<NetworkUnchecked>,
    script: ScriptBuf,
}

/// Why a text is no address to be paid at.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AddressError {
    /// Wrong form or checksum.
    #[error(
        "\"{text}\" is not a Bitcoin address ({why}); nothing can be paid there: copy the address again from your wallet"
    )]
    NotAnAddress {
        /// What was given, shortened.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// An address of another network.
    #[error(
        "{address} is an address of {belongs}, but the network is {}: blocks there cannot pay it; use an address of {}, or correct the network setting",
        network_name(*.network), network_name(*.network)
    )]
    WrongNetwork {
        /// The address.
        address: String,
        /// Where it can be used.
        belongs: &'static str,
        /// The network that was asked for.
        network: Network,
    },
}

/// Longest text that is shown of something that is no address.
const SHOWN: usize = 100;

/// A network as the config names it: `main`, `testnet`, `testnet4`, `signet` or `regtest`.
#[must_use]
pub fn network_name(network: Network) -> &'static str {
    match network {
        Network::Testnet => "testnet",
        other => other.to_core_arg(),
    }
}

/// What is wrong with a text that is no address. The crate tries the older form last, and tells
/// only of that.
fn why(text: &str, error: &bitcoin::address::ParseError) -> String {
    let lower = text.to_ascii_lowercase();
    if ["bc1", "tb1", "bcrt1"]
        .iter()
        .any(|prefix| lower.starts_with(prefix))
    {
        return "its checksum does not fit: a letter is wrong, missing or too many".to_owned();
    }
    error.to_string()
}

impl PayoutAddress {
    /// Reads an address of any type; with a `network`, it must be one of that network.
    ///
    /// # Errors
    /// [`AddressError`], with a text for the owner.
    pub fn parse(text: &str, network: Option<Network>) -> Result<Self, AddressError> {
        let text = text.trim();
        let address: Address<NetworkUnchecked> =
            text.parse()
                .map_err(
                    |error: bitcoin::address::ParseError| AddressError::NotAnAddress {
                        text: text.chars().take(SHOWN).collect(),
                        why: why(text, &error),
                    },
                )?;
        let script = address.clone().assume_checked().script_pubkey();
        let parsed = Self { address, script };
        match network {
            Some(network) if !parsed.is_of(network) => Err(AddressError::WrongNetwork {
                address: parsed.to_string(),
                belongs: parsed.belongs(),
                network,
            }),
            _ => Ok(parsed),
        }
    }

    /// The address that a pool's user name starts with, if it does: pools that pay the miner
    /// directly take `address` or `address.worker`.
    #[must_use]
    pub fn in_user(user: &str) -> Option<Self> {
        let end = user
            .find(|letter: char| !letter.is_ascii_alphanumeric())
            .unwrap_or(user.len());
        Self::parse(&user[..end], None).ok()
    }

    /// Whether it can be used on that network.
    #[must_use]
    pub fn is_of(&self, network: Network) -> bool {
        self.address.is_valid_for_network(network)
    }

    /// The network that it belongs to, where only one kind of address prefix fits: `None` for
    /// old test addresses, which all test networks share. [`Network::Testnet`] stands for all
    /// public test networks.
    #[must_use]
    pub fn network(&self) -> Option<Network> {
        let of = |network| self.is_of(network);
        match (
            of(Network::Bitcoin),
            of(Network::Testnet),
            of(Network::Regtest),
        ) {
            (true, _, _) => Some(Network::Bitcoin),
            (false, true, false) => Some(Network::Testnet),
            (false, false, true) => Some(Network::Regtest),
            _ => None,
        }
    }

    /// The script that pays it.
    #[must_use]
    pub fn script(&self) -> &[u8] {
        self.script.as_bytes()
    }

    fn belongs(&self) -> &'static str {
        match self.network() {
            Some(Network::Bitcoin) => "the main network",
            Some(Network::Regtest) => "regtest",
            Some(_) => "the test networks",
            None => "the test networks and regtest",
        }
    }
}

impl fmt::Display for PayoutAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.clone().assume_checked().fmt(f)
    }
}

impl fmt::Debug for PayoutAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PayoutAddress({self})")
    }
}

/// The network that a compact target belongs to, for showing addresses when nobody said which.
///
/// A guess: regtest's target is unique, the main network has not been below a difficulty of 2^32
/// since 2014, and the test networks have not been above. [`Network::Testnet`] stands for all
/// public test networks, whose addresses look the same.
#[must_use]
pub fn guess_network(nbits: u32) -> Network {
    match nbits >> 24 {
        0x20.. => Network::Regtest,
        0x19..0x20 => Network::Testnet,
        _ => Network::Bitcoin,
    }
}

/// How a script is written as an address; none for scripts that have no address.
pub(crate) fn of_script(script: &[u8], network: Network) -> Option<String> {
    Address::from_script(bitcoin::Script::from_bytes(script), network)
        .ok()
        .map(|address| address.to_string())
}
