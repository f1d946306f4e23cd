//! One column of numbers as bytes. Neighbours are alike, so what is written is how often the last one
//! repeats, or how far the next one is away: most values take a byte or a fraction of one.

/// Stands for a value that is not there.
pub(crate) const NONE: i32 = i32::MIN;

/// A column that grows. Equal values cost nothing until another one comes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Column {
    bytes: Vec<u8>,
    last: i32,
    /// Base of differences: the last value that was there.
    base: i32,
    run: u32,
}

impl Column {
    pub(crate) fn push(&mut self, value: i32) {
        if value == self.last {
            self.run = self.run.saturating_add(1);
            return;
        }
        end_run(&mut self.bytes, self.run);
        self.run = 0;
        self.last = value;
        put(&mut self.bytes, code(self.base, value));
        if value != NONE {
            self.base = value;
        }
    }

    /// Bytes that it takes with one more value.
    pub(crate) fn len_with(&self, value: i32) -> usize {
        if value == self.last {
            return self.bytes.len() + run_len(self.run.saturating_add(1));
        }
        self.bytes.len() + run_len(self.run) + put_len(code(self.base, value))
    }

    /// Appends the column to `out`.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.bytes);
        end_run(out, self.run);
    }
}

/// A value that is not the one before, as its distance from the last one that was there.
fn code(base: i32, value: i32) -> u64 {
    if value == NONE {
        return 1;
    }
    let away = i64::from(value) - i64::from(base);
    (1 + ((away << 1) ^ (away >> 63)) as u64) << 1 | 1
}

fn run_len(run: u32) -> usize {
    if run == 0 {
        0
    } else {
        put_len(u64::from(run - 1) << 1)
    }
}

fn end_run(bytes: &mut Vec<u8>, run: u32) {
    if run > 0 {
        put(bytes, u64::from(run - 1) << 1);
    }
}

/// Reads a column of `rows` values. None if the bytes are not exactly that.
pub(crate) fn read(mut bytes: &[u8], rows: usize) -> Option<Vec<i32>> {
    let mut values = Vec::with_capacity(rows);
    let (mut last, mut base) = (0_i32, 0_i32);
    while values.len() < rows {
        let code = take(&mut bytes)?;
        if code & 1 == 0 {
            let run = usize::try_from(code >> 1).ok()?.checked_add(1)?;
            if run > rows - values.len() {
                return None;
            }
            values.resize(values.len() + run, last);
            continue;
        }
        last = match code >> 1 {
            0 => NONE,
            code => {
                let folded = code - 1;
                let away = (folded >> 1) as i64 ^ -((folded & 1) as i64);
                base = i32::try_from(i64::from(base).checked_add(away)?).ok()?;
                base
            }
        };
        values.push(last);
    }
    bytes.is_empty().then_some(values)
}

/// Appends a number, seven bits to a byte, the lowest first.
pub(crate) fn put(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// Bytes that it takes.
fn put_len(value: u64) -> usize {
    (64 - value.max(1).leading_zeros() as usize).div_ceil(7)
}

/// Takes such a number off the front; none if it does not end or is too large.
pub(crate) fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..63).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(values: &[i32]) -> Vec<u8> {
        let mut column = Column::default();
        for &value in values {
            let expected = column.len_with(value);
            column.push(value);
            let mut bytes = Vec::new();
            column.write(&mut bytes);
            assert_eq!(bytes.len(), expected);
        }
        let mut bytes = Vec::new();
        column.write(&mut bytes);
        bytes
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(values in prop::collection::vec(
            prop_oneof![Just(NONE), Just(0), -40..40, any::<i32>()], 0..200))
        {
            prop_assert_eq!(read(&written(&values), values.len()), Some(values));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..64), rows in 0_usize..500) {
            if let Some(values) = read(&bytes, rows) {
                prop_assert_eq!(values.len(), rows);
            }
        }
    }

    #[test]
    fn what_does_not_change_takes_no_room() {
        assert_eq!(written(&[525; 3600]).len(), 4);
        assert_eq!(written(&[NONE; 3600]).len(), 3);
        assert_eq!(written(&[0; 3600]).len(), 2);
    }

    #[test]
    fn small_steps_take_a_byte() {
        let values: Vec<i32> = (0..60).map(|i| 600 + i % 7).collect();
        assert!(written(&values).len() <= 62);
    }
}
