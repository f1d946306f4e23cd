//! `[cgminer]` and `[axeos]`: the interfaces that tools of the field know. Both are off without their
//! table, and read-only unless the owner lists who may write, because neither has a login.

use std::net::{Ipv4Addr, SocketAddr};

use faces::cgminer::{self, Access};
use faces::net::Network;

use super::reader::Section;

/// `[cgminer]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Cgminer {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Who may do what.
    pub access: Access,
    /// What is told with every reply; else program and version.
    pub description: Option<String>,
    /// Whether multicast discovery is answered.
    pub multicast: bool,
}

/// `[axeos]`.
#[derive(Clone, Debug, PartialEq)]
pub struct AxeOs {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Who may change something.
    pub write_from: Vec<Network>,
}

/// The port at which clients of AxeOS look.
const AXEOS_PORT: u16 = 80;

/// Most entries of a list.
const MOST: usize = 64;

/// Reads `[cgminer]`; what does not fit is noted.
pub(super) fn cgminer(section: &Section<'_>) -> Cgminer {
    let listen = section.parsed("listen").unwrap_or(SocketAddr::from((
        Ipv4Addr::LOCALHOST,
        cgminer::DEFAULT_PORT,
    )));
    let allow = list(section, "allow");
    let groups = list(section, "groups");
    let access = Access::new(&allow, &groups).unwrap_or_else(|(key, index, error)| {
        section.bad(key, format!("entry {}: {error}", index + 1));
        Access::default()
    });
    let remote = !listen.ip().to_canonical().is_loopback();
    if remote && !section.has("allow") {
        let message = format!(
            "is missing: {listen} can be reached by other machines, and this port knows nobody by a \
             password. Write who may ask, for instance allow = [\"192.168.1.0/24\"]; a W: in front lets an \
             address change things"
        );
        section.bad("allow", message);
    }
    let description = section.text("description");
    if let Some(text) = description {
        if !(1..=64).contains(&text.chars().count()) || text.contains(char::is_control) {
            section.bad("description", "must be 1 to 64 printable characters");
        }
        if let Some(brand) = cgminer::brand_in(text) {
            let message = format!(
                "has the word {brand} in it, by which clients know another make of miner; they would \
                 expect its API. Leave the word out"
            );
            section.bad("description", message);
        }
    }
    let multicast = section.boolean("multicast").unwrap_or(false);
    if multicast && !remote {
        section.bad(
            "multicast",
            "is of no use while `listen` is an address that only this machine can reach",
        );
    }
    Cgminer {
        listen,
        access,
        description: description.map(str::to_owned),
        multicast,
    }
}

/// Reads `[axeos]`; what does not fit is noted.
pub(super) fn axeos(section: &Section<'_>) -> AxeOs {
    let listen = section
        .parsed("listen")
        .unwrap_or(SocketAddr::from((Ipv4Addr::LOCALHOST, AXEOS_PORT)));
    let mut write_from = Vec::new();
    for (index, text) in list(section, "write_from").into_iter().enumerate() {
        match text.parse() {
            Ok(network) => write_from.push(network),
            Err(error) => section.bad("write_from", format!("entry {}: {error}", index + 1)),
        }
    }
    AxeOs { listen, write_from }
}

fn list<'r>(section: &Section<'r>, key: &str) -> Vec<&'r str> {
    if !section.has(key) {
        return Vec::new();
    }
    let mut list = section.texts(key).unwrap_or_default();
    if list.len() > MOST {
        section.bad(key, format!("{} are too many; at most {MOST}", list.len()));
        list.truncate(MOST);
    }
    list
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::path::Path;

    use crate::config::{Config, System};

    fn parse(tables: &str) -> Result<Config, String> {
        let text = format!(
            "[[pool]]\nurl = \"stratum+tcp://pool.example:3333\"\nuser = \"me\"\n\
             [[board]]\nprofile = \"bitaxe-gamma\"\nuart = \"sim\"\n{tables}"
        );
        Config::parse(Path::new("test.toml"), &text, &System).map_err(|error| error.to_string())
    }

    #[test]
    fn without_their_tables_both_are_off() {
        let config = parse("").unwrap();
        assert!(config.cgminer.is_none() && config.axeos.is_none());
    }

    #[test]
    fn an_empty_table_is_this_machine_reading() {
        let config = parse("[cgminer]\n[axeos]\n").unwrap();
        let (cgminer, axeos) = (config.cgminer.unwrap(), config.axeos.unwrap());
        assert_eq!(cgminer.listen.to_string(), "127.0.0.1:4028");
        assert_eq!(axeos.listen.to_string(), "127.0.0.1:80");
        let group = |ip: &str| cgminer.access.group(ip.parse::<IpAddr>().unwrap());
        assert_eq!(
            group("127.0.0.1").map(faces::cgminer::Group::letter),
            Some('R')
        );
        assert_eq!(group("10.0.0.1"), None);
        assert!(axeos.write_from.is_empty() && !cgminer.multicast);
    }

    #[test]
    fn a_port_for_others_says_who_they_are() {
        let said = parse("[cgminer]\nlisten = \"0.0.0.0:4028\"\n").unwrap_err();
        assert!(said.contains("cgminer.allow: is missing"), "{said}");
        let allow = "[cgminer]\nlisten = \"0.0.0.0:4028\"\nallow = [\"W:10.0.0.1\", \"10/8\"]\n";
        assert!(parse(allow).is_ok());
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        for (tables, wanted) in [
            (
                "[cgminer]\nallow = [\"10/8\", \"Z:10/8\"]\n",
                "entry 2: group \"Z\" is not known",
            ),
            (
                "[cgminer]\ngroups = [\"W:pause\"]\n",
                "entry 1: \"W:pause\" is no group",
            ),
            (
                "[cgminer]\ndescription = \"my Antminer\"\n",
                "has the word ANTMINER in it",
            ),
            ("[cgminer]\nmulticast = true\n", "is of no use"),
            (
                "[axeos]\nwrite_from = [\"everybody\"]\n",
                "entry 1: \"everybody\" is no address",
            ),
            ("[axeos]\nwrite_form = []\n", "did you mean `write_from`?"),
        ] {
            let said = parse(tables).unwrap_err();
            assert!(said.contains(wanted), "{wanted}: {said}");
        }
    }
}
