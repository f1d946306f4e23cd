//! Behaviour switches as such: an enum with names for the command line, made by the macro
//! [`switches!`](crate::switches), and the list of those that are on. What the switches of a protocol
//! do stands with that protocol.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// The number that a switch takes, as in `name=number`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Argument {
    /// What it counts, for help texts.
    pub what: &'static str,
    /// Used when the number is left out.
    pub default: u32,
}

/// What every enum of switches has.
pub trait Switch: Copy + Ord + fmt::Debug + 'static {
    /// Every switch, in the order of the help table.
    const ALL: &'static [Self];

    /// The name on the command line.
    fn name(self) -> &'static str;

    /// What the switch does, one sentence.
    fn about(self) -> &'static str;

    /// The number that it takes, if any.
    fn argument(self) -> Option<Argument>;

    /// Whether it cannot be on together with that other one.
    fn excludes(self, other: Self) -> bool;
}

/// Declares the enum `Quirk` from a table: variant, name, group, number, description. A type `Group`
/// with `is_exclusive` has to be in scope.
macro_rules! switches {
    ($($variant:ident $name:literal $group:ident $(($what:literal $default:literal))? $about:literal)*) => {
        /// One switch.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Quirk {
            $(#[doc = $about] $variant,)*
        }

        impl Quirk {
            /// Every switch, in the order of the help table.
            pub const ALL: &'static [Quirk] = &[$(Quirk::$variant,)*];

            /// The name on the command line.
            pub fn name(self) -> &'static str {
                match self { $(Quirk::$variant => $name,)* }
            }

            /// What the switch does, one sentence.
            pub fn about(self) -> &'static str {
                match self { $(Quirk::$variant => $about,)* }
            }

            /// What it is about.
            pub fn group(self) -> Group {
                match self { $(Quirk::$variant => Group::$group,)* }
            }

            /// The number that it takes, if any.
            pub fn argument(self) -> Option<$crate::switches::Argument> {
                match self {
                    $(Quirk::$variant => {
                        [$($crate::switches::Argument { what: $what, default: $default })?].first().copied()
                    })*
                }
            }
        }

        impl $crate::switches::Switch for Quirk {
            const ALL: &'static [Quirk] = Quirk::ALL;

            fn name(self) -> &'static str {
                Quirk::name(self)
            }

            fn about(self) -> &'static str {
                Quirk::about(self)
            }

            fn argument(self) -> Option<$crate::switches::Argument> {
                Quirk::argument(self)
            }

            fn excludes(self, other: Quirk) -> bool {
                self != other && self.group() == other.group() && self.group().is_exclusive()
            }
        }

        impl ::std::str::FromStr for Quirk {
            type Err = $crate::switches::QuirkError;

            fn from_str(name: &str) -> Result<Quirk, $crate::switches::QuirkError> {
                $crate::switches::find(name)
            }
        }
    };
}
pub(crate) use switches;

/// The table of all switches as text: name, argument and description, one a line.
pub(crate) fn help_table<Q: Switch>() -> String {
    let mut table = String::new();
    for quirk in Q::ALL {
        let name = match quirk.argument() {
            None => quirk.name().to_owned(),
            Some(argument) => format!("{}[={}]", quirk.name(), argument.default),
        };
        let unit = quirk
            .argument()
            .map(|argument| format!(" Number: {}.", argument.what))
            .unwrap_or_default();
        table.push_str(&format!("{name:<28} {}{unit}\n", quirk.about()));
    }
    table
}

/// Why a list of switches is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuirkError {
    /// No switch has this name.
    #[error("there is no quirk {0:?}; the nearest is {1:?}")]
    Unknown(String, &'static str),
    /// The number is missing where none is taken, or not a number.
    #[error("{0:?} is not a number for the quirk {1:?}")]
    BadArgument(String, &'static str),
    /// Two switches that cannot both be on.
    #[error("the quirks {0:?} and {1:?} exclude each other")]
    Exclusive(&'static str, &'static str),
}

/// The switches that are on, with their numbers. Text form: `name,name=number,...`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switches<Q: Switch> {
    on: BTreeMap<Q, u32>,
}

impl<Q: Switch> Default for Switches<Q> {
    fn default() -> Switches<Q> {
        Switches {
            on: BTreeMap::new(),
        }
    }
}

impl<Q: Switch> Switches<Q> {
    /// No switch on: the pool behaves well.
    pub fn none() -> Switches<Q> {
        Switches::default()
    }

    /// Switches one on with its default number.
    ///
    /// # Errors
    /// [`QuirkError::Exclusive`] if one of the same exclusive group is on already.
    pub fn with(self, quirk: Q) -> Result<Switches<Q>, QuirkError> {
        let default = quirk.argument().map_or(0, |argument| argument.default);
        self.with_number(quirk, default)
    }

    /// Switches one on with the number given.
    ///
    /// # Errors
    /// [`QuirkError::Exclusive`] if one of the same exclusive group is on already.
    pub fn with_number(mut self, quirk: Q, number: u32) -> Result<Switches<Q>, QuirkError> {
        if let Some(other) = self.on.keys().find(|other| other.excludes(quirk)) {
            return Err(QuirkError::Exclusive(other.name(), quirk.name()));
        }
        self.on.insert(quirk, number);
        Ok(self)
    }

    /// Whether it is on.
    pub fn has(&self, quirk: Q) -> bool {
        self.on.contains_key(&quirk)
    }

    /// Its number, if it is on.
    pub fn number(&self, quirk: Q) -> Option<u32> {
        self.on.get(&quirk).copied()
    }

    /// The switches that are on, in table order.
    pub fn iter(&self) -> impl Iterator<Item = Q> + '_ {
        self.on.keys().copied()
    }
}

impl<Q: Switch> FromStr for Switches<Q> {
    type Err = QuirkError;

    fn from_str(text: &str) -> Result<Switches<Q>, QuirkError> {
        let items = text.split(',').map(str::trim);
        items
            .filter(|item| !item.is_empty())
            .try_fold(Switches::none(), |quirks, item| {
                let (name, number) = match item.split_once('=') {
                    Some((name, number)) => (name.trim(), Some(number.trim())),
                    None => (item, None),
                };
                let quirk: Q = find(name)?;
                match number {
                    None => quirks.with(quirk),
                    Some(number) => {
                        let bad = || QuirkError::BadArgument(number.to_owned(), quirk.name());
                        quirk.argument().ok_or_else(bad)?;
                        quirks.with_number(quirk, number.parse().map_err(|_| bad())?)
                    }
                }
            })
    }
}

impl<Q: Switch> fmt::Display for Switches<Q> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (quirk, number)) in self.on.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(f, "{comma}{}", quirk.name())?;
            if quirk.argument().is_some() {
                write!(f, "={number}")?;
            }
        }
        Ok(())
    }
}

/// The switch of this name.
pub(crate) fn find<Q: Switch>(name: &str) -> Result<Q, QuirkError> {
    let known = Q::ALL.iter().find(|quirk| quirk.name() == name);
    known.copied().ok_or_else(|| {
        let nearest = Q::ALL
            .iter()
            .max_by_key(|quirk| common_prefix(quirk.name(), name));
        let nearest = nearest.map_or("", |quirk| quirk.name());
        QuirkError::Unknown(name.chars().take(64).collect(), nearest)
    })
}

fn common_prefix(a: &str, b: &str) -> usize {
    a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count()
}
