//! A list of fixed capacity in place of a vector.

/// A list of at most `N` values, kept in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Slots<T, const N: usize> {
    slots: [Option<T>; N],
}

impl<T: Copy, const N: usize> Slots<T, N> {
    /// An empty list.
    pub const fn new() -> Self {
        Self { slots: [None; N] }
    }

    /// Appends a value and returns its index.
    ///
    /// # Errors
    /// The list already holds `N` values.
    pub fn push(&mut self, value: T) -> Result<usize, Full> {
        let index = self.len();
        match self.slots.get_mut(index) {
            Some(slot) => {
                *slot = Some(value);
                Ok(index)
            }
            None => Err(Full { capacity: N }),
        }
    }

    /// How many values it holds.
    pub fn len(&self) -> usize {
        self.slots.iter().take_while(|slot| slot.is_some()).count()
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value at `index`.
    pub fn get(&self, index: usize) -> Option<&T> {
        self.slots.get(index)?.as_ref()
    }

    /// The value at `index`, to be changed.
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.slots.get_mut(index)?.as_mut()
    }

    /// All values in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().flatten()
    }

    /// All values in order, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.slots.iter_mut().flatten()
    }
}

impl<T: Copy, const N: usize> Default for Slots<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

/// A list had no room for another value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is room for {capacity} entries and no more")]
pub struct Full {
    /// How many values the list holds at most.
    pub capacity: usize,
}
