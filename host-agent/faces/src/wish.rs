//! What a client of a face wants changed. The shell asks the owner of the settings, who checks limits
//! and does it or says why not.

use station::Mode;

/// One wish, to be granted as a whole or not at all.
#[derive(Clone, Debug, PartialEq)]
pub enum Wish {
    /// Boards wind down and stay without power until somebody resumes.
    Pause,
    /// The end of a pause.
    Resume,
    /// The agent ends properly and starts again.
    Restart,
    /// These pools come first, in this order; the others follow as they were.
    PoolOrder(Vec<usize>),
    /// A further pool, with the lowest priority.
    PoolAdd(PoolChange),
    /// That pool is forgotten.
    PoolRemove(usize),
    /// A board is switched on or off.
    BoardEnabled {
        /// Board.
        board: usize,
        /// On.
        enabled: bool,
    },
    /// A board gets other set points.
    Board {
        /// Board.
        board: usize,
        /// Clock, MHz.
        mhz: Option<f64>,
        /// Core voltage as its profile counts it, mV.
        mv: Option<u32>,
    },
    /// How fans are run, of the station with this board or of all.
    Fans {
        /// Board; none for all.
        board: Option<usize>,
        /// The mode.
        mode: Mode,
    },
    /// Several settings at once.
    Several {
        /// Changes of pools, by position.
        pools: Vec<(usize, PoolChange)>,
        /// How fans are run.
        fans: Option<Mode>,
        /// Temperature that fans hold, °C.
        target_c: Option<f64>,
        /// Clock of all boards, MHz.
        mhz: Option<f64>,
        /// Core voltage of all boards, mV.
        mv: Option<u32>,
    },
}

/// A pool, or what becomes of one: what is none stays as it is.
#[derive(Clone, Default, PartialEq)]
pub struct PoolChange {
    /// Its URL.
    pub url: Option<String>,
    /// User.
    pub user: Option<String>,
    /// Password; never shown.
    pub password: Option<String>,
}

impl PoolChange {
    /// Nothing would change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.url.is_none() && self.user.is_none() && self.password.is_none()
    }
}

impl std::fmt::Debug for PoolChange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PoolChange")
            .field("url", &self.url)
            .field("user", &self.user)
            .field("password", &self.password.as_ref().map(|_| "..."))
            .finish()
    }
}

/// Why a wish was not granted, for the person who asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);
