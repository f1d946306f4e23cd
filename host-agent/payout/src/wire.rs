//! A transaction's bytes, field by field, with the place of each: the extranonce may stand in
//! any of them.

use std::ops::Range;

/// What a piece of a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    /// Version, sequence or lock time: may vary without changing what is paid.
    Plain(&'static str),
    /// A count, a length, an amount or the previous output: must be fixed.
    Structure(&'static str),
    /// The input's script.
    ScriptSig,
    /// The script of an output.
    Script(usize),
    /// Witness data, which the transaction id does not cover.
    Witness,
}

/// A coinbase transaction in pieces.
#[derive(Debug, Default)]
pub(crate) struct Pieces {
    pub(crate) fields: Vec<(Range<usize>, Field)>,
    pub(crate) script_sig: Range<usize>,
    /// Amount in satoshi and script of each output.
    pub(crate) outputs: Vec<(u64, Range<usize>)>,
    pub(crate) segwit: bool,
}

/// Where and why reading stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The bytes end inside this field.
    Ends(&'static str),
    /// Bytes follow the end.
    Trailing(usize),
    /// The input is not a coinbase's.
    NotCoinbase(&'static str),
}

/// Reads a coinbase transaction, with or without witness data.
pub(crate) fn read(bytes: &[u8]) -> Result<Pieces, Fault> {
    let mut reader = Reader {
        bytes,
        at: 0,
        fields: Vec::new(),
    };
    let mut pieces = Pieces::default();
    reader.take(4, Field::Plain("version"))?;
    // A transaction without inputs would start like this; with witness data it is the marker.
    if reader.rest().starts_with(&[0, 1]) {
        reader.take(2, Field::Structure("segwit marker"))?;
        pieces.segwit = true;
    }
    if reader.count("input count")? != 1 {
        return Err(Fault::NotCoinbase("it has not exactly one input"));
    }
    let previous = reader.take(36, Field::Structure("previous output"))?;
    let (id, index) = bytes[previous].split_at(32);
    if id.iter().any(|byte| *byte != 0) || index.iter().any(|byte| *byte != 0xff) {
        return Err(Fault::NotCoinbase("it spends another transaction"));
    }
    let length = reader.count("script length")?;
    pieces.script_sig = reader.take(length, Field::ScriptSig)?;
    reader.take(4, Field::Plain("sequence"))?;
    let outputs = reader.count("output count")?;
    for index in 0..outputs {
        let value = reader.take(8, Field::Structure("amount"))?;
        let mut sat = [0; 8];
        sat.copy_from_slice(&bytes[value]);
        let length = reader.count("output script length")?;
        let script = reader.take(length, Field::Script(index))?;
        pieces.outputs.push((u64::from_le_bytes(sat), script));
    }
    if pieces.segwit {
        let items = reader.count("witness count")?;
        for _ in 0..items {
            let length = reader.count("witness length")?;
            reader.take(length, Field::Witness)?;
        }
    }
    reader.take(4, Field::Plain("lock time"))?;
    match reader.rest().len() {
        0 => {
            pieces.fields = reader.fields;
            Ok(pieces)
        }
        more => Err(Fault::Trailing(more)),
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    fields: Vec<(Range<usize>, Field)>,
}

impl Reader<'_> {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.at..]
    }

    fn take(&mut self, length: usize, field: Field) -> Result<Range<usize>, Fault> {
        if self.rest().len() < length {
            return Err(Fault::Ends(name(field)));
        }
        let range = self.at..self.at + length;
        self.at = range.end;
        self.fields.push((range.clone(), field));
        Ok(range)
    }

    /// A variable-length integer. Anything that does not fit the bytes that are there is caught
    /// when they are taken.
    fn count(&mut self, what: &'static str) -> Result<usize, Fault> {
        let field = Field::Structure(what);
        let first = self.take(1, field)?;
        let wide = match self.bytes[first.start] {
            0xfd => 2,
            0xfe => 4,
            0xff => 8,
            small => return Ok(usize::from(small)),
        };
        let range = self.take(wide, field)?;
        let mut value = [0; 8];
        value[..wide].copy_from_slice(&self.bytes[range]);
        Ok(usize::try_from(u64::from_le_bytes(value)).unwrap_or(usize::MAX))
    }
}

fn name(field: Field) -> &'static str {
    match field {
        Field::Plain(name) | Field::Structure(name) => name,
        Field::ScriptSig => "input script",
        Field::Script(_) => "output script",
        Field::Witness => "witness",
    }
}
