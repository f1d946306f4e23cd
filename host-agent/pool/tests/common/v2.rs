//! A foreign miner for the tests of the Stratum V2 pool: the reference implementation's initiator, codec
//! and client-side channels, and the `bitcoin` crate's headers. Nothing of it is the pool's own code.

#![allow(dead_code, reason = "not every test file needs every helper")]

use binary_sv2::U256Owned;
use bitcoin::block::{Header, Version};
use bitcoin::hashes::Hash;
use bitcoin::{BlockHash, CompactTarget, Target, TxMerkleNode};
use channels_sv2::client::extended::ExtendedChannel;
use channels_sv2::client::standard::StandardChannel;
use channels_sv2::extranonce_manager::ExtranoncePrefix;
use channels_sv2::merkle_root::merkle_root_from_path;
use codec_sv2::{
    Decoded, Decrypted, EncodableFrame, Handshake, InitiatorSent, MessageFrame, NoiseDecoder,
    NoiseEncoder, TransportDecryptState, TransportEncryptState,
};
use common_messages_sv2::{Protocol, SetupConnectionOwned};
use mining_sv2::{
    CloseChannelOwned, OpenExtendedMiningChannelOwned, OpenStandardMiningChannelOwned,
    SubmitSharesExtendedOwned, SubmitSharesStandardOwned, UpdateChannelOwned,
};
use noise_sv2::Initiator;
use parsers_sv2::{
    AnyMessageOwned, CommonMessages, CommonMessagesOwned, IsSv2Message, Mining, MiningOwned,
};
use pool::v2::{Config, Core, Event};
use pool::{ConnectionId, Difficulty, VardiffConfig};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use std::collections::BTreeMap;
use std::time::Duration;

/// Flags of SetupConnection.
pub(crate) const STANDARD_JOBS: u32 = 1;
pub(crate) const WORK_SELECTION: u32 = 2;
pub(crate) const VERSION_ROLLING: u32 = 4;

/// A pool that is easy to mine for (about 4 hashes a share) and changes nothing by itself.
pub(crate) fn easy() -> Config {
    Config {
        difficulty: Some(Difficulty::new(1e-9).expect("above zero")),
        vardiff: VardiffConfig {
            shares_per_minute: 0.0,
            ..VardiffConfig::default()
        },
        job_interval: Duration::ZERO,
        block_interval: Duration::ZERO,
        share_batch: 1,
        ..Config::default()
    }
}

pub(crate) fn with_quirks(quirks: &str) -> Config {
    Config {
        quirks: quirks.parse().expect("known quirks"),
        ..easy()
    }
}

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A message from the pool.
#[derive(Debug, Clone)]
pub(crate) enum Got {
    Common(CommonMessagesOwned),
    Mining(MiningOwned),
    /// Extension, type, channel bit, and what the crate says if it cannot read a known type.
    Unknown(u16, u8, bool, String),
}

/// How a connection ended for the miner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken(pub(crate) String);

/// One of the client's channels, of the reference implementation.
pub(crate) enum Work {
    Extended(Box<ExtendedChannel>),
    Standard(Box<StandardChannel>),
}

pub(crate) struct Chan {
    pub(crate) id: u32,
    pub(crate) group: u32,
    pub(crate) work: Work,
    next_sequence: u32,
    next_extranonce: u64,
}

/// Everything of a header that a share chooses.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) job_id: u32,
    pub(crate) extranonce: Vec<u8>,
    pub(crate) version: u32,
    pub(crate) ntime: u32,
    pub(crate) nonce: u32,
    pub(crate) hash: BlockHash,
}

/// A pool core and the time, with any number of connections.
pub(crate) struct Bench {
    pub(crate) core: Core,
    pub(crate) now: Duration,
    next_id: u64,
}

impl Bench {
    pub(crate) fn new(config: Config) -> Bench {
        Bench {
            core: Core::new(config).expect("a valid config"),
            now: Duration::ZERO,
            next_id: 1,
        }
    }

    pub(crate) fn connect(&mut self) -> Miner {
        let id = ConnectionId(self.next_id);
        self.next_id += 1;
        self.core.connect(self.now, id).expect("room for one more");
        let key = self.core.config().authority.public_bytes();
        let unix = self.core.config().unix_start + self.now.as_secs();
        Miner::new(id, Some(key), unix as u32)
    }

    /// A miner that has shaken hands and set up its connection.
    pub(crate) fn start(&mut self, flags: u32) -> Miner {
        let mut miner = self.connect();
        miner.shake(self).expect("a handshake");
        miner.set_up(self, flags);
        miner
    }

    /// Lets the time pass, doing what is due on the way.
    pub(crate) fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        while let Some(due) = self.core.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.core.handle_timeout(self.now);
        }
        self.now = end;
    }

    pub(crate) fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.core.poll_event()).collect()
    }

    pub(crate) fn block(&mut self) {
        self.core.force_block(self.now);
    }

    pub(crate) fn job(&mut self) {
        self.core.force_job(self.now);
    }

    /// Nothing about which the two share checks differ has happened.
    pub(crate) fn agreed(&self) -> bool {
        self.core.stats().disagreements == 0
    }
}

enum Line {
    Fresh,
    Sent(Box<Handshake<InitiatorSent>>),
    Open(Box<TransportEncryptState>, Option<TransportDecryptState>),
    Over,
}

pub(crate) struct Miner {
    pub(crate) id: ConnectionId,
    key: Option<[u8; 32]>,
    unix: u32,
    line: Line,
    decoder: NoiseDecoder,
    encoder: NoiseEncoder,
    /// Bytes from the pool that the decoder has not got.
    pub(crate) raw: Vec<u8>,
    pub(crate) got: Vec<Got>,
    pub(crate) broken: Option<Broken>,
    pub(crate) channels: BTreeMap<u32, Chan>,
    /// Bytes of the handshake answer that came.
    pub(crate) answer_size: usize,
    next_request: u32,
}

impl Miner {
    pub(crate) fn new(id: ConnectionId, key: Option<[u8; 32]>, unix: u32) -> Miner {
        Miner {
            id,
            key,
            unix,
            line: Line::Fresh,
            decoder: NoiseDecoder::new(),
            encoder: NoiseEncoder::new(),
            raw: Vec::new(),
            got: Vec::new(),
            broken: None,
            channels: BTreeMap::new(),
            answer_size: 0,
            next_request: 1,
        }
    }

    pub(crate) fn trust(&mut self, key: Option<[u8; 32]>) {
        self.key = key;
    }

    pub(crate) fn set_clock(&mut self, unix: u32) {
        self.unix = unix;
    }

    /// The first message of the handshake.
    pub(crate) fn hello(&mut self) -> Vec<u8> {
        let mut random = ChaCha20Rng::from_seed([self.id.0 as u8 ^ 0x5a; 32]);
        let initiator = match self.key {
            Some(key) => Initiator::from_raw_k_with_rng(key, &mut random).expect("a key"),
            None => Initiator::without_pk_with_rng(&mut random).expect("no key"),
        };
        let (hello, sent) = Handshake::initiator(initiator).step_0().expect("a hello");
        self.line = Line::Sent(Box::new(sent));
        hello.payload().to_vec()
    }

    /// The whole handshake.
    pub(crate) fn shake(&mut self, bench: &mut Bench) -> Result<(), Broken> {
        let hello = self.hello();
        bench.core.handle_bytes(bench.now, self.id, &hello);
        self.read(bench);
        match (&self.broken, &self.line) {
            (Some(broken), _) => Err(broken.clone()),
            (None, Line::Open(..)) => Ok(()),
            _ => Err(Broken("no answer".to_owned())),
        }
    }

    pub(crate) fn send_frame<F: EncodableFrame>(&mut self, bench: &mut Bench, frame: F) {
        let bytes = self.seal(frame);
        bench.core.handle_bytes(bench.now, self.id, &bytes);
        self.read(bench);
    }

    pub(crate) fn seal<F: EncodableFrame>(&mut self, frame: F) -> Vec<u8> {
        let Line::Open(encrypt, _) = &mut self.line else {
            panic!("no handshake yet");
        };
        let sealed = self
            .encoder
            .encode_transport(frame, encrypt)
            .expect("sealed");
        AsRef::<[u8]>::as_ref(&sealed).to_vec()
    }

    pub(crate) fn send(&mut self, bench: &mut Bench, message: AnyMessageOwned) {
        let frame = frame(message);
        self.send_frame(bench, frame);
    }

    pub(crate) fn send_mining(&mut self, bench: &mut Bench, message: MiningOwned) {
        self.send(bench, AnyMessageOwned::Mining(message));
    }

    pub(crate) fn set_up(&mut self, bench: &mut Bench, flags: u32) {
        self.send(bench, setup(flags));
    }

    /// Asks for an extended channel and returns its id.
    pub(crate) fn open_extended(&mut self, bench: &mut Bench) -> u32 {
        let before = self.channels.len();
        self.ask_extended(bench, 1e6, [0xff; 32], 4);
        assert_eq!(self.channels.len(), before + 1, "refused: {:?}", self.got);
        *self.channels.keys().last().expect("a channel")
    }

    pub(crate) fn open_standard(&mut self, bench: &mut Bench) -> u32 {
        let before = self.channels.len();
        self.ask_standard(bench, 1e6, [0xff; 32]);
        assert_eq!(self.channels.len(), before + 1, "refused: {:?}", self.got);
        *self.channels.keys().last().expect("a channel")
    }

    pub(crate) fn ask_extended(
        &mut self,
        bench: &mut Bench,
        nominal_hash_rate: f32,
        max_target: [u8; 32],
        min_extranonce_size: u16,
    ) {
        let message = OpenExtendedMiningChannelOwned {
            request_id: self.request(),
            user_identity: text("lab.worker"),
            nominal_hash_rate,
            max_target: max_target.into(),
            min_extranonce_size,
        };
        self.send_mining(bench, MiningOwned::OpenExtendedMiningChannel(message));
    }

    pub(crate) fn ask_standard(
        &mut self,
        bench: &mut Bench,
        nominal_hash_rate: f32,
        max_target: [u8; 32],
    ) {
        let message = OpenStandardMiningChannelOwned {
            request_id: self.request(),
            user_identity: text("lab.worker"),
            nominal_hash_rate,
            max_target: max_target.into(),
        };
        self.send_mining(bench, MiningOwned::OpenStandardMiningChannel(message));
    }

    pub(crate) fn update(&mut self, bench: &mut Bench, channel_id: u32, nominal: f32) {
        let message = UpdateChannelOwned {
            channel_id,
            nominal_hash_rate: nominal,
            maximum_target: [0xff; 32].into(),
        };
        self.send_mining(bench, MiningOwned::UpdateChannel(message));
    }

    pub(crate) fn close(&mut self, bench: &mut Bench, channel_id: u32) {
        let message = CloseChannelOwned {
            channel_id,
            reason_code: text("enough"),
        };
        self.send_mining(bench, MiningOwned::CloseChannel(message));
    }

    /// Sends a share and returns its sequence number.
    pub(crate) fn submit(&mut self, bench: &mut Bench, channel: u32, share: &Candidate) -> u32 {
        let known = self.channels.get_mut(&channel).expect("a channel");
        let sequence = known.next_sequence;
        known.next_sequence += 1;
        let standard = matches!(known.work, Work::Standard(_));
        self.submit_as(bench, channel, sequence, share, standard);
        sequence
    }

    pub(crate) fn submit_as(
        &mut self,
        bench: &mut Bench,
        channel_id: u32,
        sequence_number: u32,
        share: &Candidate,
        standard: bool,
    ) {
        let Candidate {
            job_id,
            nonce,
            ntime,
            version,
            ..
        } = *share;
        let message = if standard {
            MiningOwned::SubmitSharesStandard(SubmitSharesStandardOwned {
                channel_id,
                sequence_number,
                job_id,
                nonce,
                ntime,
                version,
            })
        } else {
            MiningOwned::SubmitSharesExtended(SubmitSharesExtendedOwned {
                channel_id,
                sequence_number,
                job_id,
                nonce,
                ntime,
                version,
                extranonce: share.extranonce.clone().try_into().expect("32 at most"),
            })
        };
        self.send_mining(bench, message);
    }

    /// Finds a share for the channel's active job, with rolled version bits.
    pub(crate) fn mine(&mut self, channel: u32) -> Candidate {
        self.search(channel, |target, hash| target.is_met_by(hash))
    }

    /// Finds what is just not a share.
    pub(crate) fn mine_bad(&mut self, channel: u32) -> Candidate {
        self.search(channel, |target, hash| !target.is_met_by(hash))
    }

    fn search(&mut self, channel: u32, wish: impl Fn(Target, BlockHash) -> bool) -> Candidate {
        let chan = self.channels.get_mut(&channel).expect("a channel");
        chan.next_extranonce += 1;
        let number = chan.next_extranonce;
        let (mut candidate, target) = chan.begin(number);
        for nonce in 0..2_000_000 {
            candidate.nonce = nonce;
            candidate.hash = chan.hash(&candidate);
            if wish(target, candidate.hash) {
                return candidate;
            }
        }
        panic!("no share in two million hashes");
    }

    /// Takes everything that the pool has for this miner, and drops what is for others.
    pub(crate) fn read(&mut self, bench: &mut Bench) {
        while let Some((id, bytes)) = bench.core.poll_transmit() {
            if id == self.id {
                self.raw.extend(bytes);
            }
        }
        self.digest();
    }

    /// Decodes what came.
    pub(crate) fn digest(&mut self) {
        while self.broken.is_none() {
            let wanted = self.decoder.writable_len();
            if self.raw.len() < wanted {
                return;
            }
            let bytes: Vec<u8> = self.raw.drain(..wanted).collect();
            self.decoder.writable().copy_from_slice(&bytes);
            self.line = match std::mem::replace(&mut self.line, Line::Over) {
                Line::Sent(sent) => {
                    self.answer_size += bytes.len();
                    match self.decoder.next_handshake_frame::<InitiatorSent>() {
                        Ok(Decoded::Incomplete(_)) => Line::Sent(sent),
                        Ok(Decoded::Frame(answer)) => {
                            let answer = answer.payload().try_into().expect("234 bytes");
                            match sent.step_2_with_now(answer, self.unix) {
                                Ok(transport) => {
                                    let (encrypt, decrypt) = transport.split();
                                    Line::Open(Box::new(encrypt), Some(decrypt))
                                }
                                Err(error) => {
                                    self.broken = Some(Broken(format!("{error:?}")));
                                    Line::Over
                                }
                            }
                        }
                        Err(error) => {
                            self.broken = Some(Broken(format!("{error:?}")));
                            Line::Over
                        }
                    }
                }
                Line::Open(encrypt, Some(decrypt)) => {
                    match self.decoder.next_transport_frame(decrypt) {
                        Ok(Decrypted::Incomplete(_, decrypt)) => Line::Open(encrypt, Some(decrypt)),
                        Ok(Decrypted::Frame(mut frame, decrypt)) => {
                            let header = frame.header();
                            let got = parse(
                                header.ext_type_without_channel_msg(),
                                header.msg_type(),
                                header.channel_msg(),
                                frame.payload(),
                            );
                            self.take(&got);
                            self.got.push(got);
                            Line::Open(encrypt, Some(decrypt))
                        }
                        Err(error) => {
                            self.broken = Some(Broken(format!("{error:?}")));
                            Line::Over
                        }
                    }
                }
                other => {
                    self.line = other;
                    return;
                }
            };
        }
    }

    /// The mining messages that came since the last look.
    pub(crate) fn news(&mut self) -> Vec<MiningOwned> {
        let got = std::mem::take(&mut self.got);
        got.into_iter()
            .filter_map(|got| match got {
                Got::Mining(message) => Some(message),
                _ => None,
            })
            .collect()
    }

    /// The answers to shares since the last look: (sequence or last, error code or none, count).
    pub(crate) fn answers(&mut self) -> Vec<(u32, Result<u32, String>)> {
        self.news()
            .into_iter()
            .filter_map(|message| match message {
                MiningOwned::SubmitSharesSuccess(ok) => {
                    Some((ok.last_sequence_number, Ok(ok.new_submits_accepted_count)))
                }
                MiningOwned::SubmitSharesError(error) => {
                    Some((error.sequence_number, Err(read_text(&error.error_code))))
                }
                _ => None,
            })
            .collect()
    }

    fn request(&mut self) -> u32 {
        self.next_request += 1;
        self.next_request
    }

    fn take(&mut self, got: &Got) {
        let Got::Mining(message) = got else { return };
        match message.clone() {
            MiningOwned::OpenExtendedMiningChannelSuccess(open) => {
                let prefix = ExtranoncePrefix::from_wire(open.extranonce_prefix.to_owned_bytes());
                let channel = ExtendedChannel::new(
                    open.channel_id,
                    "lab.worker".to_owned(),
                    prefix.expect("a prefix"),
                    target(&open.target),
                    1e6,
                    true,
                    open.extranonce_size,
                    None,
                );
                if let Ok(channel) = channel {
                    let work = Work::Extended(Box::new(channel));
                    self.add(open.channel_id, open.group_channel_id, work);
                }
            }
            MiningOwned::OpenStandardMiningChannelSuccess(open) => {
                let prefix = ExtranoncePrefix::from_wire(open.extranonce_prefix.to_owned_bytes());
                let channel = StandardChannel::new(
                    open.channel_id,
                    "lab.worker".to_owned(),
                    prefix.expect("a prefix"),
                    target(&open.target),
                    1e6,
                    None,
                );
                if let Ok(channel) = channel {
                    let work = Work::Standard(Box::new(channel));
                    self.add(open.channel_id, open.group_channel_id, work);
                }
            }
            MiningOwned::NewExtendedMiningJob(job) => {
                for chan in self.addressed(job.channel_id) {
                    if let Work::Extended(channel) = &mut chan.work {
                        channel
                            .on_new_extended_mining_job(job.clone())
                            .expect("a good job");
                    }
                }
            }
            MiningOwned::NewMiningJob(job) => {
                for chan in self.addressed(job.channel_id) {
                    if let Work::Standard(channel) = &mut chan.work {
                        channel.on_new_mining_job(job.clone()).expect("a good job");
                    }
                }
            }
            MiningOwned::SetNewPrevHash(prev) => {
                for chan in self.addressed(prev.channel_id) {
                    // Prevhashes for jobs that are not known are refused by the crate, as they should.
                    match &mut chan.work {
                        Work::Extended(c) => drop(c.on_set_new_prev_hash(prev.clone())),
                        Work::Standard(c) => drop(c.on_set_new_prev_hash(prev.clone())),
                    }
                }
            }
            MiningOwned::SetTarget(set) => {
                for chan in self.addressed(set.channel_id) {
                    let target = target(&set.maximum_target);
                    match &mut chan.work {
                        Work::Extended(c) => drop(c.set_target(target)),
                        Work::Standard(c) => drop(c.set_target(target)),
                    }
                }
            }
            MiningOwned::SetExtranoncePrefix(set) => {
                for chan in self.addressed(set.channel_id) {
                    let bytes = set.extranonce_prefix.to_owned_bytes();
                    let prefix = ExtranoncePrefix::from_wire(bytes).expect("a prefix");
                    match &mut chan.work {
                        Work::Extended(c) => c.set_extranonce_prefix(prefix).expect("fits"),
                        Work::Standard(c) => c.set_extranonce_prefix(prefix).expect("fits"),
                    }
                }
            }
            MiningOwned::SetGroupChannel(set) => {
                for id in set.channel_ids.as_slice() {
                    if let Some(chan) = self.channels.get_mut(id) {
                        chan.group = set.group_channel_id;
                    }
                }
            }
            MiningOwned::CloseChannel(close) => {
                let id = close.channel_id;
                self.channels
                    .retain(|own, chan| *own != id && chan.group != id);
            }
            _ => {}
        }
    }

    fn add(&mut self, id: u32, group: u32, work: Work) {
        let chan = Chan {
            id,
            group,
            work,
            next_sequence: 1,
            next_extranonce: 0,
        };
        self.channels.insert(id, chan);
    }

    fn addressed(&mut self, id: u32) -> impl Iterator<Item = &mut Chan> {
        let of_id = move |chan: &&mut Chan| chan.id == id || chan.group == id;
        self.channels.values_mut().filter(of_id)
    }
}

impl Chan {
    /// The job that is mined now, with the number as extranonce and in the version bits.
    fn begin(&self, number: u64) -> (Candidate, Target) {
        let (job_id, min_ntime, version, rolling, size, target) = match &self.work {
            Work::Extended(channel) => {
                let job = channel.get_active_job().expect("an active job");
                let message = &job.job_message;
                (
                    message.job_id,
                    message.min_ntime.clone().into_inner(),
                    message.version,
                    message.version_rolling_allowed,
                    usize::from(channel.get_rollable_extranonce_size()),
                    job.target,
                )
            }
            Work::Standard(channel) => {
                let job = channel.get_active_job().expect("an active job");
                let message = &job.job_message;
                (
                    message.job_id,
                    message.min_ntime.clone().into_inner(),
                    message.version,
                    true,
                    0,
                    job.target,
                )
            }
        };
        let mut extranonce = vec![0; size];
        for (place, byte) in extranonce.iter_mut().rev().zip(number.to_le_bytes()) {
            *place = byte;
        }
        let rolled = (number as u32 & 0xffff) << 13;
        let candidate = Candidate {
            job_id,
            extranonce,
            version: if rolling { version | rolled } else { version },
            ntime: min_ntime.expect("active jobs have one"),
            nonce: 0,
            hash: BlockHash::all_zeros(),
        };
        (candidate, target)
    }

    /// The hash of the header for the active job.
    pub(crate) fn hash(&self, share: &Candidate) -> BlockHash {
        let (root, tip) = match &self.work {
            Work::Extended(channel) => {
                let job = channel.get_active_job().expect("an active job");
                let extranonce = [job.extranonce_prefix.as_slice(), &share.extranonce].concat();
                let root = merkle_root_from_path(
                    job.job_message.coinbase_tx_prefix.as_bytes(),
                    job.job_message.coinbase_tx_suffix.as_bytes(),
                    &extranonce,
                    job.job_message.merkle_path.as_slice(),
                );
                (root.expect("a root"), channel.get_chain_tip())
            }
            Work::Standard(channel) => {
                let job = channel.get_active_job().expect("an active job");
                let root = job.job_message.merkle_root.to_array();
                (root, channel.get_chain_tip())
            }
        };
        let tip = tip.expect("a tip");
        let header = Header {
            version: Version::from_consensus(share.version as i32),
            prev_blockhash: BlockHash::from_byte_array(tip.prev_hash().to_array()),
            merkle_root: TxMerkleNode::from_byte_array(root),
            time: share.ntime,
            bits: CompactTarget::from_consensus(tip.nbits()),
            nonce: share.nonce,
        };
        header.block_hash()
    }
}

pub(crate) fn setup(flags: u32) -> AnyMessageOwned {
    setup_of(Protocol::MiningProtocol, 2, 2, flags)
}

pub(crate) fn setup_of(protocol: Protocol, min: u16, max: u16, flags: u32) -> AnyMessageOwned {
    AnyMessageOwned::Common(CommonMessagesOwned::SetupConnection(SetupConnectionOwned {
        protocol,
        min_version: min,
        max_version: max,
        flags,
        endpoint_host: text("pool.example"),
        endpoint_port: 34254,
        vendor: text("lab"),
        hardware_version: text("bench"),
        firmware: text("1"),
        device_id: text(""),
    }))
}

pub(crate) fn frame(message: AnyMessageOwned) -> MessageFrame<AnyMessageOwned> {
    let (kind, extension, channel) = (
        message.message_type(),
        message.extension_type(),
        message.channel_bit(),
    );
    MessageFrame::from_message(message, kind, extension, channel).expect("a frame")
}

/// Any bytes as a frame.
pub(crate) struct Raw(pub(crate) Vec<u8>);

impl EncodableFrame for Raw {
    fn encoded_length(&self) -> usize {
        self.0.len()
    }

    fn encode_into(self, dst: &mut [u8]) -> Result<(), framing_sv2::Error> {
        dst.copy_from_slice(&self.0);
        Ok(())
    }
}

pub(crate) fn parse(extension: u16, kind: u8, channel: bool, payload: &mut [u8]) -> Got {
    if extension != 0 {
        return Got::Unknown(extension, kind, channel, String::new());
    }
    let result = if kind <= 4 {
        CommonMessages::try_from((kind, payload)).map(|message| Got::Common(message.into_owned()))
    } else {
        Mining::try_from((kind, payload)).map(|message| Got::Mining(message.into_owned()))
    };
    result.unwrap_or_else(|error| Got::Unknown(0, kind, channel, format!("{error:?}")))
}

pub(crate) fn text<T: TryFrom<Vec<u8>>>(text: &str) -> T {
    match text.as_bytes().to_vec().try_into() {
        Ok(text) => text,
        Err(_) => panic!("{text:?} is too long"),
    }
}

pub(crate) fn read_text(text: &binary_sv2::Str0255Owned) -> String {
    String::from_utf8_lossy(text.as_bytes()).into_owned()
}

pub(crate) fn target(bytes: &U256Owned) -> Target {
    Target::from_le_bytes(bytes.to_array())
}
