//! Time as ages: how long ago something was. Ages only grow by what the caller's clock advanced, so no arithmetic on
//! absolute times can go wrong, and two guards in the same situation are equal whatever the clock says.

/// Milliseconds since something happened, up to 49 days; the largest value stands for never.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Age(u32);

impl Age {
    pub(crate) const NOW: Self = Self(0);
    pub(crate) const NEVER: Self = Self(u32::MAX);

    pub(crate) fn grow(&mut self, ms: u32) {
        if *self != Self::NEVER {
            self.0 = self.0.saturating_add(ms).min(u32::MAX - 1);
        }
    }

    pub(crate) const fn ms(self) -> u32 {
        self.0
    }

    /// Whether it is at least `limit` milliseconds ago, or never was.
    pub(crate) const fn reached(self, limit: u32) -> bool {
        self.0 >= limit
    }

    /// How long until `limit` is reached, if that is still to come.
    pub(crate) const fn until(self, limit: u32) -> Option<u32> {
        match limit.checked_sub(self.0) {
            Some(0) | None => None,
            rest => rest,
        }
    }

    /// Makes ages that differ only beyond `ms` equal.
    #[cfg(test)]
    pub(crate) fn cap(&mut self, ms: u32) {
        if *self != Self::NEVER {
            self.0 = self.0.min(ms);
        }
    }
}
