//! Who may ask what: every client address belongs to a group, and a group has commands. Without rules
//! only this machine may ask, and only read.

use std::net::IpAddr;
use std::str::FromStr;

use crate::net::Network;

/// A command of the API.
#[derive(Clone, Copy, Debug)]
pub(super) struct Command {
    pub(super) name: &'static str,
    /// It changes something.
    pub(super) writes: bool,
    /// It can be part of a joined command.
    pub(super) joinable: bool,
}

const fn read(name: &'static str) -> Command {
    Command {
        name,
        writes: false,
        joinable: true,
    }
}

const fn single(name: &'static str) -> Command {
    Command {
        name,
        writes: false,
        joinable: false,
    }
}

const fn write(name: &'static str) -> Command {
    Command {
        name,
        writes: true,
        joinable: false,
    }
}

/// All commands.
pub(super) const COMMANDS: [Command; 44] = [
    read("version"),
    read("config"),
    read("summary"),
    read("devs"),
    read("edevs"),
    read("pools"),
    read("stats"),
    read("estats"),
    read("devdetails"),
    read("notify"),
    read("coin"),
    read("lcd"),
    read("usbstats"),
    read("asccount"),
    read("pgacount"),
    read("fans"),
    read("temps"),
    read("tempctrl"),
    read("tunerstatus"),
    single("asc"),
    single("check"),
    write("privileged"),
    write("switchpool"),
    write("enablepool"),
    write("disablepool"),
    write("addpool"),
    write("removepool"),
    write("poolpriority"),
    write("poolquota"),
    write("pause"),
    write("resume"),
    write("restart"),
    write("quit"),
    write("save"),
    write("zero"),
    write("debug"),
    write("setconfig"),
    write("failover-only"),
    write("hotplug"),
    write("lockstats"),
    write("ascenable"),
    write("ascdisable"),
    write("ascidentify"),
    write("ascset"),
];

/// The command of that name.
pub(super) fn command(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.name == name)
}

/// What a client may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group(char);

impl Group {
    /// Every command that changes nothing.
    pub const READ: Self = Self('R');
    /// Every command.
    pub const WRITE: Self = Self('W');

    /// The letter.
    #[must_use]
    pub fn letter(self) -> char {
        self.0
    }
}

/// One line of the list of clients: `[GROUP:]ADDRESS[/BITS]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    group: Group,
    network: Network,
}

/// A group of one's own: `LETTER:command:command:*`, where `*` is all commands that change nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Commands {
    group: Group,
    all_reads: bool,
    names: Vec<&'static str>,
}

/// Why a rule cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// The address is none.
    #[error(transparent)]
    Network(#[from] crate::net::NoNetwork),
    /// The group does not exist.
    #[error(
        "group \"{0}\" is not known; R may read, W may do everything, and `groups` makes further ones"
    )]
    Group(String),
    /// A group that cannot be made.
    #[error(
        "\"{0}\" is no group; write a letter other than R and W, then commands, for instance \
         \"P:pause:resume:*\", where * is every command that changes nothing"
    )]
    Definition(String),
    /// A group with a command that does not exist.
    #[error("there is no command \"{0}\" to allow")]
    Command(String),
}

/// All rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    rules: Vec<Rule>,
    groups: Vec<Commands>,
}

impl Access {
    /// The rules of these two lists, as people write them: who is in which group, and groups besides `R`
    /// and `W`.
    ///
    /// # Errors
    ///
    /// The first entry that cannot be used: its list (`allow` or `groups`) and position, and why.
    pub fn new(allow: &[&str], groups: &[&str]) -> Result<Self, (&'static str, usize, RuleError)> {
        let mut made = Vec::new();
        for (index, text) in groups.iter().enumerate() {
            let group = define(text).and_then(|new: Commands| {
                let twice = made.iter().any(|old: &Commands| old.group == new.group);
                match twice {
                    true => Err(RuleError::Definition(shown(text))),
                    false => Ok(new),
                }
            });
            made.push(group.map_err(|error| ("groups", index, error))?);
        }
        let mut access = Self {
            rules: Vec::new(),
            groups: made,
        };
        for (index, text) in allow.iter().enumerate() {
            let rule = access.rule(text).map_err(|error| ("allow", index, error))?;
            access.rules.push(rule);
        }
        Ok(access)
    }

    /// Whether anybody but this machine may ask.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The group of a client, by the first rule that fits. Without rules, this machine may read.
    #[must_use]
    pub fn group(&self, peer: IpAddr) -> Option<Group> {
        if self.rules.is_empty() {
            return peer.to_canonical().is_loopback().then_some(Group::READ);
        }
        let rule = self.rules.iter().find(|rule| rule.network.contains(peer));
        rule.map(|rule| rule.group)
    }

    /// Whether a group may use a command that exists.
    pub(super) fn allows(&self, group: Group, name: &str) -> bool {
        let Some(command) = command(name) else {
            return false;
        };
        match group {
            Group::WRITE => true,
            Group::READ => !command.writes,
            own => {
                let own = self.groups.iter().find(|known| known.group == own);
                own.is_some_and(|own| {
                    own.names.contains(&command.name) || own.all_reads && !command.writes
                })
            }
        }
    }

    fn rule(&self, text: &str) -> Result<Rule, RuleError> {
        let mut chars = text.chars();
        let (group, rest) = match (chars.next(), chars.next()) {
            (Some(letter), Some(':')) if letter.is_ascii_alphabetic() => {
                let letter = letter.to_ascii_uppercase();
                let own = self.groups.iter().any(|known| known.group.0 == letter);
                if !own && !matches!(letter, 'R' | 'W') {
                    return Err(RuleError::Group(letter.to_string()));
                }
                (Group(letter), chars.as_str())
            }
            _ => (Group::READ, text),
        };
        let network = Network::from_str(rest)?;
        Ok(Rule { group, network })
    }
}

fn define(text: &str) -> Result<Commands, RuleError> {
    let wrong = || RuleError::Definition(shown(text));
    let (letter, commands) = text.split_once(':').ok_or_else(wrong)?;
    let mut letters = letter.chars();
    let group = match (letters.next(), letters.next()) {
        (Some(letter), None) if letter.is_ascii_alphabetic() => Group(letter.to_ascii_uppercase()),
        _ => return Err(wrong()),
    };
    if matches!(group, Group::READ | Group::WRITE) {
        return Err(wrong());
    }
    let mut made = Commands {
        group,
        all_reads: false,
        names: Vec::new(),
    };
    for name in commands.split(':') {
        if name == "*" {
            made.all_reads = true;
        } else {
            let known = command(name).ok_or_else(|| RuleError::Command(shown(name)))?;
            made.names.push(known.name);
        }
    }
    Ok(made)
}

fn shown(text: &str) -> String {
    text.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(access: &Access, peer: &str) -> Option<char> {
        access.group(peer.parse().unwrap()).map(Group::letter)
    }

    #[test]
    fn without_rules_this_machine_reads_and_nobody_else() {
        let access = Access::default();
        assert_eq!(group(&access, "127.0.0.1"), Some('R'));
        assert_eq!(group(&access, "::1"), Some('R'));
        assert_eq!(group(&access, "192.168.1.2"), None);
        assert!(access.allows(Group::READ, "summary"));
        assert!(!access.allows(Group::READ, "switchpool"));
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let access = Access::new(&["W:192.168.1.5", "192.168.1/24"], &[]).unwrap();
        assert_eq!(group(&access, "192.168.1.5"), Some('W'));
        assert_eq!(group(&access, "192.168.1.6"), Some('R'));
        assert_eq!(group(&access, "192.168.2.5"), None);
        // Rules replace the right of this machine.
        assert_eq!(group(&access, "127.0.0.1"), None);
        let access = Access::new(&["R:192.168.1.5", "W:192.168.1/24"], &[]).unwrap();
        assert_eq!(group(&access, "192.168.1.5"), Some('R'));
    }

    #[test]
    fn groups_of_ones_own_have_the_commands_that_they_name() {
        let access = Access::new(&["p:10/8"], &["P:pause:resume:*"]).unwrap();
        let own = access.group("10.1.1.1".parse().unwrap()).unwrap();
        for (command, allowed) in [
            ("pause", true),
            ("summary", true),
            ("addpool", false),
            ("nothing", false),
        ] {
            assert_eq!(access.allows(own, command), allowed, "{command}");
        }
        let narrow = Access::new(&["Q:10/8"], &["Q:summary"]).unwrap();
        let own = narrow.group("10.1.1.1".parse().unwrap()).unwrap();
        assert!(narrow.allows(own, "summary") && !narrow.allows(own, "pools"));
    }

    #[test]
    fn wrong_rules_say_where_they_stand() {
        let wrong = |allow: &[&str], groups: &[&str]| {
            let (list, index, _) = Access::new(allow, groups).unwrap_err();
            (list, index)
        };
        assert_eq!(wrong(&["10/8", "X:10/8"], &[]), ("allow", 1));
        assert_eq!(wrong(&["W:nowhere"], &[]), ("allow", 0));
        assert_eq!(wrong(&[], &["R:summary"]), ("groups", 0));
        assert_eq!(wrong(&[], &["P:pause", "P:resume"]), ("groups", 1));
        assert_eq!(wrong(&[], &["P:flyaway"]), ("groups", 0));
    }

    #[test]
    fn no_command_is_there_twice() {
        for (index, one) in COMMANDS.iter().enumerate() {
            assert!(
                COMMANDS[..index].iter().all(|other| other.name != one.name),
                "{}",
                one.name
            );
        }
    }
}
