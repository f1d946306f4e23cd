//! Cuts the byte stream into lines, with a limit on what a line may hold in memory.

/// A line longer than the limit, or one that would be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLong;

/// Longest line that is taken, bytes. Jobs with large coinbases need 64 KiB and more.
pub(crate) const MAX_LINE: usize = 1 << 20;

/// The begin of a line that is still on its way.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    partial: Vec<u8>,
}

impl Lines {
    /// Takes bytes up to the next line end off `bytes`, and gives the line if that was in
    /// them. Line ends are LF or CRLF.
    pub(crate) fn next(&mut self, bytes: &mut &[u8]) -> Option<Result<Vec<u8>, TooLong>> {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let piece = &bytes[..end.unwrap_or(bytes.len())];
        *bytes = &bytes[end.map_or(bytes.len(), |end| end + 1)..];
        if self.partial.len() + piece.len() > MAX_LINE {
            self.partial = Vec::new();
            return Some(Err(TooLong));
        }
        self.partial.extend_from_slice(piece);
        end?;
        let mut line = std::mem::take(&mut self.partial);
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Some(Ok(line))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(pieces: &[&[u8]]) -> Vec<Result<Vec<u8>, TooLong>> {
        let mut lines = Lines::default();
        let mut out = Vec::new();
        for piece in pieces {
            let mut rest = *piece;
            while !rest.is_empty() {
                out.extend(lines.next(&mut rest));
            }
        }
        out
    }

    #[test]
    fn both_line_ends_are_taken() {
        let lines = cut(&[b"a\r\n\nb\nc"]);
        assert_eq!(lines, [Ok(b"a".to_vec()), Ok(vec![]), Ok(b"b".to_vec())]);
    }

    #[test]
    fn an_endless_line_is_given_up_at_the_limit() {
        let half = vec![b'x'; MAX_LINE / 2];
        assert_eq!(cut(&[&half, &half]), []);
        assert_eq!(cut(&[&half, &half, b"x"]), [Err(TooLong)]);
    }

    proptest! {
        #[test]
        fn lines_do_not_depend_on_how_the_bytes_were_cut(
            text in proptest::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), any::<u8>()], 0..200),
            at in 0usize..200,
        ) {
            let (head, tail) = text.split_at(at.min(text.len()));
            prop_assert_eq!(cut(&[head, tail]), cut(&[&text]));
        }
    }
}
