//! The coinbase of a job, read back.
//!
//! A job holds the coinbase in two halves around the extranonce. It is read with an extranonce2 of
//! zeros, and what the extranonce2 covers is known to vary: nothing that may vary is ever taken
//! for a payment.

use std::ops::Range;

use bitcoin::{Network, Script};
use mining::Job;
use thiserror::Error;

use crate::address::{PayoutAddress, guess_network, of_script};
use crate::reward::{MAX_MONEY_SAT, Portion};
use crate::tag::{self, Tag};
use crate::wire::{self, Fault, Field};

/// What a job's coinbase says.
#[derive(Clone, Debug, PartialEq)]
pub struct Coinbase {
    /// Height of the block to be mined; none if the script does not start with one (BIP 34).
    pub height: Option<u32>,
    /// All outputs in order.
    pub outputs: Vec<Output>,
    /// What the pool writes about itself.
    pub tag: Tag,
    /// Commitment to the witness data (BIP 141): the last output of that form counts.
    pub witness_commitment: Option<[u8; 32]>,
    /// Sum of all outputs, satoshi.
    pub total_sat: u64,
    /// Sum of the outputs that somebody can spend, satoshi: those that are no OP_RETURN.
    pub spendable_sat: u64,
    /// Where our extranonce2 goes.
    pub extranonce: Place,
    /// The network that addresses are written for; a guess if none was given.
    pub network: Network,
    /// What is odd about it. Work on it may still be good.
    pub problems: Vec<Problem>,
}

/// One output of a coinbase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Satoshi.
    pub value_sat: u64,
    /// The script that has to be satisfied to spend it, as in the transaction.
    pub script: Vec<u8>,
    /// Its address; none for scripts that have none, and for those that our extranonce changes.
    pub address: Option<String>,
    /// What kind of script it is.
    pub kind: Kind,
}

/// Kinds of output scripts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// To a public key.
    P2pk,
    /// To the hash of a public key.
    P2pkh,
    /// To the hash of a script.
    P2sh,
    /// Segwit: to the hash of a public key.
    P2wpkh,
    /// Segwit: to the hash of a script.
    P2wsh,
    /// Taproot.
    P2tr,
    /// OP_RETURN with the commitment to witness data.
    WitnessCommitment,
    /// Another OP_RETURN: data, spendable by nobody.
    Data,
    /// Any other script.
    Other,
    /// Our extranonce stands in the script, so it is another one for each share.
    Varies,
}

/// The part of the coinbase that our extranonce2 stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The input's script, as usual.
    ScriptSig,
    /// The script of this output, from 0.
    Output(usize),
    /// Another field that may vary: version, sequence or lock time.
    Field(&'static str),
    /// There is no extranonce2.
    Nowhere,
}

/// Something odd in a coinbase that can be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Problem {
    /// BIP 34 demands the height at the start.
    #[error("it does not start with the block height: the network would refuse the block")]
    NoHeight,
    /// BIP 34 demands the shortest form.
    #[error(
        "the height {0} is not written in its shortest form: the network would refuse the block"
    )]
    HeightForm(u32),
    /// The height does not go with the block time.
    #[error("height {height} does not go with the job's time: about {expected} is due by now")]
    HeightImplausible {
        /// Height in the coinbase.
        height: u32,
        /// Height that goes with the time.
        expected: u32,
    },
    /// Consensus allows 2 to 100 bytes.
    #[error("the input script has {0} bytes, allowed are 2 to 100: the network would refuse it")]
    ScriptSigLength(usize),
    /// Nothing in it can be spent.
    #[error("it pays nobody: no output can be spent")]
    PaysNobody,
    /// More than all the money there is.
    #[error("its outputs hold more than 21 million bitcoin: the network would refuse the block")]
    TooMuchMoney,
    /// The merkle root is computed without witness data.
    #[error("it contains witness data, which does not belong into a job: shares would be wrong")]
    WitnessData,
    /// An output's script changes with each share.
    #[error("the extranonce stands in output {0}, whose receiver is another one for each share")]
    ReceiverVaries(usize),
}

/// Why it cannot be said what a job pays.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// A standard channel of Stratum V2.
    #[error(
        "the pool fixes the merkle root and shows no coinbase (Stratum V2 standard channel); with channel = \"extended\" it would be seen"
    )]
    FixedRoot,
    /// The bytes end early.
    #[error("the coinbase is cut off: it ends inside its {0}")]
    CutOff(&'static str),
    /// More bytes than the transaction has.
    #[error("the coinbase has {0} bytes too many at its end")]
    Trailing(usize),
    /// Another kind of transaction.
    #[error("the transaction is not a coinbase: {0}")]
    NotCoinbase(&'static str),
    /// The meaning depends on the extranonce.
    #[error(
        "the extranonce changes the coinbase's {0}: what it pays is another thing for each share"
    )]
    Unfixed(&'static str),
    /// An extranonce that no miner can have.
    #[error("an extranonce of {0} bytes is out of reason")]
    ExtranonceLength(usize),
}

/// Longest extranonce2 that is believed, bytes. The script around it may have 100.
const MAX_EXTRANONCE2: usize = 100;

/// Heights above this are no heights; lock times that are times start far above.
const MAX_HEIGHT: u32 = 50_000_000;

/// Prefix of a witness commitment output (BIP 141): OP_RETURN, push of 36 bytes, mark.
const COMMITMENT: [u8; 6] = [0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed];

/// Reads what a job pays.
///
/// Addresses are written for `network`; if there is none, for the one that the job's target
/// suggests ([`guess_network`]).
///
/// # Errors
/// [`DecodeError`] if it cannot be said what the job pays. No input panics.
pub fn decode(job: &Job, network: Option<Network>) -> Result<Coinbase, DecodeError> {
    if job.fixed_root.is_some() {
        return Err(DecodeError::FixedRoot);
    }
    if job.extranonce2_len > MAX_EXTRANONCE2 {
        return Err(DecodeError::ExtranonceLength(job.extranonce2_len));
    }
    let mut bytes = job.coinbase1.clone();
    bytes.extend_from_slice(&job.extranonce1);
    let ours = bytes.len()..bytes.len() + job.extranonce2_len;
    bytes.resize(ours.end, 0);
    bytes.extend_from_slice(&job.coinbase2);
    let pieces = wire::read(&bytes).map_err(|fault| match fault {
        Fault::Ends(field) => DecodeError::CutOff(field),
        Fault::Trailing(more) => DecodeError::Trailing(more),
        Fault::NotCoinbase(why) => DecodeError::NotCoinbase(why),
    })?;
    let place = place(&pieces.fields, &ours)?;

    let network = network.unwrap_or_else(|| guess_network(job.nbits));
    let mut problems = Vec::new();
    if pieces.segwit {
        problems.push(Problem::WitnessData);
    }
    if !(2..=100).contains(&pieces.script_sig.len()) {
        problems.push(Problem::ScriptSigLength(pieces.script_sig.len()));
    }
    let start = pieces.script_sig.start;
    let fixed_end = match place {
        Place::ScriptSig => ours.start.max(start),
        _ => pieces.script_sig.end,
    };
    let (height, behind) = height(&bytes[start..fixed_end], &mut problems);
    if let Some(height) = height
        && network == Network::Bitcoin
    {
        check_against_time(height, job.ntime, &mut problems);
    }
    // Both parts of the extranonce are left out: neither is the pool's word about itself.
    let extranonce = job.coinbase1.len()..ours.end;
    let inside = |at: usize| at.clamp(start + behind, pieces.script_sig.end);
    let tag = tag::read(
        [
            &bytes[start + behind..inside(extranonce.start)],
            &bytes[inside(extranonce.end)..pieces.script_sig.end],
        ]
        .into_iter(),
    );

    let mut coinbase = Coinbase {
        height,
        outputs: Vec::new(),
        tag,
        witness_commitment: None,
        total_sat: 0,
        spendable_sat: 0,
        extranonce: place,
        network,
        problems,
    };
    for (index, (value_sat, script)) in pieces.outputs.into_iter().enumerate() {
        let script = bytes[script].to_vec();
        let kind = if place == Place::Output(index) && !is_data(&script) {
            Kind::Varies
        } else {
            kind(&script)
        };
        coinbase.add(value_sat, script, kind);
    }
    if let Place::Output(index) = place
        && coinbase.outputs[index].kind == Kind::Varies
    {
        coinbase.problems.push(Problem::ReceiverVaries(index));
    }
    if coinbase.spendable_sat == 0 {
        coinbase.problems.push(Problem::PaysNobody);
    }
    if coinbase.total_sat > MAX_MONEY_SAT {
        coinbase.problems.push(Problem::TooMuchMoney);
    }
    Ok(coinbase)
}

impl Coinbase {
    /// What goes to these addresses together.
    #[must_use]
    pub fn portion_of(&self, addresses: &[PayoutAddress]) -> Portion {
        let sat = self
            .outputs
            .iter()
            .filter(|output| output.pays_any(addresses))
            .fold(0_u64, |sum, output| sum.saturating_add(output.value_sat));
        Portion::of(sat, self.spendable_sat)
    }

    /// The outputs that can be spent, each with its part of the whole.
    pub fn payments(&self) -> impl Iterator<Item = (&Output, Portion)> {
        self.outputs
            .iter()
            .filter(|output| output.is_spendable())
            .map(|output| (output, Portion::of(output.value_sat, self.spendable_sat)))
    }

    /// Who such a script pays, for people.
    pub(crate) fn receiver_of_script(script: &[u8], network: Network) -> String {
        let output = Output {
            value_sat: 0,
            address: of_script(script, network),
            kind: kind(script),
            script: script.to_vec(),
        };
        output.receiver()
    }

    fn add(&mut self, value_sat: u64, script: Vec<u8>, kind: Kind) {
        if kind == Kind::WitnessCommitment {
            let mut commitment = [0; 32];
            commitment.copy_from_slice(&script[COMMITMENT.len()..][..32]);
            self.witness_commitment = Some(commitment);
        }
        let address = match kind {
            Kind::Varies | Kind::Data | Kind::WitnessCommitment => None,
            _ => of_script(&script, self.network),
        };
        let output = Output {
            value_sat,
            script,
            address,
            kind,
        };
        self.total_sat = self.total_sat.saturating_add(value_sat);
        if output.is_spendable() {
            self.spendable_sat = self.spendable_sat.saturating_add(value_sat);
        }
        self.outputs.push(output);
    }
}

impl Output {
    /// Whether anybody can ever spend it.
    #[must_use]
    pub fn is_spendable(&self) -> bool {
        !matches!(self.kind, Kind::Data | Kind::WitnessCommitment)
    }

    /// Whether it pays one of these addresses, for certain.
    #[must_use]
    pub fn pays_any(&self, addresses: &[PayoutAddress]) -> bool {
        self.kind != Kind::Varies
            && addresses
                .iter()
                .any(|address| address.script() == self.script)
    }

    /// Who is paid, for people: the address, or what the script is.
    #[must_use]
    pub fn receiver(&self) -> String {
        match (&self.address, self.kind) {
            (Some(address), _) => address.clone(),
            (None, Kind::P2pk) => format!("public key {}", hex(&self.script, 1)),
            (None, Kind::Other) if self.script.is_empty() => "anybody (empty script)".to_owned(),
            (None, Kind::Other) => format!("script {}", hex(&self.script, 0)),
            (None, kind) => kind.name().to_owned(),
        }
    }

    /// Readable text in an OP_RETURN, e.g. the mark of another chain.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        let data = self.kind == Kind::Data;
        let texts = data.then(|| tag::readable(&self.script))?.join(" ");
        (!texts.is_empty()).then(|| texts.chars().take(100).collect())
    }
}

impl Kind {
    /// Short name for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::P2pk => "P2PK",
            Self::P2pkh => "P2PKH",
            Self::P2sh => "P2SH",
            Self::P2wpkh => "P2WPKH",
            Self::P2wsh => "P2WSH",
            Self::P2tr => "P2TR",
            Self::WitnessCommitment => "witness commitment",
            Self::Data => "data",
            Self::Other => "other script",
            Self::Varies => "varies with each share",
        }
    }
}

impl Problem {
    /// A short name for the kind of problem.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::NoHeight => "no height",
            Self::HeightForm(_) => "height form",
            Self::HeightImplausible { .. } => "height",
            Self::ScriptSigLength(_) => "script length",
            Self::PaysNobody => "pays nobody",
            Self::TooMuchMoney => "too much money",
            Self::WitnessData => "witness data",
            Self::ReceiverVaries(_) => "receiver varies",
        }
    }
}

fn place(fields: &[(Range<usize>, Field)], ours: &Range<usize>) -> Result<Place, DecodeError> {
    let covered = fields
        .iter()
        .filter(|(range, _)| range.start < ours.end && ours.start < range.end);
    let mut place = Place::Nowhere;
    for (_, field) in covered {
        match field {
            Field::Structure(name) => return Err(DecodeError::Unfixed(name)),
            Field::ScriptSig => place = Place::ScriptSig,
            Field::Script(index) => place = Place::Output(*index),
            Field::Plain(name) => place = Place::Field(name),
            Field::Witness => place = Place::Field("witness"),
        }
    }
    Ok(place)
}

/// The height at the start of the fixed bytes of an input script, and how many bytes it takes.
fn height(script: &[u8], problems: &mut Vec<Problem>) -> (Option<u32>, usize) {
    let found = match script.first().copied() {
        // OP_1 to OP_16.
        Some(opcode @ 0x51..=0x60) => Some((u32::from(opcode - 0x50), 1)),
        Some(length @ 1..=4) => script.get(1..=usize::from(length)).and_then(|bytes| {
            let mut value = [0; 4];
            value[..bytes.len()].copy_from_slice(bytes);
            let negative = bytes.last().is_some_and(|last| last & 0x80 != 0);
            (!negative).then_some((u32::from_le_bytes(value), 1 + bytes.len()))
        }),
        _ => None,
    };
    match found {
        Some((height, length)) if (1..=MAX_HEIGHT).contains(&height) => {
            if length != shortest(height) {
                problems.push(Problem::HeightForm(height));
            }
            (Some(height), length)
        }
        _ => {
            problems.push(Problem::NoHeight);
            (None, 0)
        }
    }
}

/// Bytes that a height takes at the start of an input script: one opcode up to 16, from there a
/// length and as few bytes as hold the number and a sign bit.
fn shortest(height: u32) -> usize {
    match height {
        0..=16 => 1,
        17..=0x7f => 2,
        0x80..=0x7fff => 3,
        0x8000..=0x7f_ffff => 4,
        _ => 5,
    }
}

/// Blocks of the main network come a little faster than one in ten minutes: over the years the
/// height has run some per cent ahead of the due one. A quarter to both sides tells other chains and
/// nonsense apart, and leaves room for made-up chains that look like the main one.
fn check_against_time(height: u32, ntime: u32, problems: &mut Vec<Problem>) {
    const GENESIS: u32 = 1_231_006_505;
    let expected = ntime.saturating_sub(GENESIS) / 600;
    if !(expected - expected / 4..=expected + expected / 4 + 100).contains(&height) {
        problems.push(Problem::HeightImplausible { height, expected });
    }
}

fn is_data(script: &[u8]) -> bool {
    Script::from_bytes(script).is_op_return()
}

fn kind(script: &[u8]) -> Kind {
    let view = Script::from_bytes(script);
    if script.len() >= COMMITMENT.len() + 32 && script.starts_with(&COMMITMENT) {
        return Kind::WitnessCommitment;
    }
    [
        (view.is_op_return(), Kind::Data),
        (view.is_p2pkh(), Kind::P2pkh),
        (view.is_p2sh(), Kind::P2sh),
        (view.is_p2wpkh(), Kind::P2wpkh),
        (view.is_p2wsh(), Kind::P2wsh),
        (view.is_p2tr(), Kind::P2tr),
        (view.is_p2pk(), Kind::P2pk),
    ]
    .into_iter()
    .find_map(|(is, kind)| is.then_some(kind))
    .unwrap_or(Kind::Other)
}

/// The first bytes in hex.
fn hex(bytes: &[u8], from: usize) -> String {
    let shown = &bytes[from.min(bytes.len())..bytes.len().min(from + 20)];
    let mut text: String = shown.iter().map(|byte| format!("{byte:02x}")).collect();
    if bytes.len() > from + 20 {
        text.push('…');
    }
    text
}
