//! A made-up block chain that yields plausible jobs: BIP 34 coinbases paying a test address, a merkle
//! branch that grows as a mempool would, new templates on the same block and new blocks. Nothing in it
//! exists on any network; everything follows from the seed.

use crate::hash::BlockHash;
use crate::template::JobTemplate;
use std::time::Duration;

/// The nbits of main-network block 800 000: no simulated board will ever solve one.
pub const MAINNET_LIKE_NBITS: u32 = 0x1705_3894;
/// The nbits of Bitcoin Core's regtest: every second hash is a block.
pub const REGTEST_NBITS: u32 = 0x207f_ffff;

/// Version without signalling.
pub(crate) const PLAIN_VERSION: u32 = 0x2000_0000;
/// Version with a bit inside the usual rolling mask, as Core's regtest makes it at times.
pub(crate) const SIGNALLING_VERSION: u32 = 0x3000_0000;

/// Pay-to-witness-public-key-hash script of BIP 173's example key, whose regtest address is
/// `bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080`.
pub(crate) const TEST_SCRIPT: [u8; 22] = [
    0x00, 0x14, 0x75, 0x1e, 0x76, 0xe8, 0x19, 0x91, 0x96, 0xd4, 0x54, 0x94, 0x1c, 0x45, 0xd1, 0xb3,
    0xa3, 0x23, 0xf1, 0x43, 0x3b, 0xd6,
];
/// Start of a witness commitment output: OP_RETURN, 36 bytes, BIP 141's marker.
const COMMITMENT_PREFIX: [u8; 6] = [0x6a, 0x24, 0xaa, 0x21, 0xa9, 0xed];
/// Blocks between two halvings of the subsidy, which began at 50 bitcoin.
const HALVING_BLOCKS: u32 = 210_000;
const FIRST_SUBSIDY_SATS: u64 = 5_000_000_000;
/// A script signature may have 100 bytes; this is what height, time and 48 bytes of extranonce leave.
const MAX_TAG: usize = 36;

/// The chain and its newest block template.
#[derive(Debug, Clone)]
pub(crate) struct MadeUpChain {
    random: fastrand::Rng,
    nbits: u32,
    version: u32,
    tag: Vec<u8>,
    unix_start: u64,
    extranonce_size: u8,
    height: u32,
    prev_hash: BlockHash,
    /// Made-up subtree hashes of the mempool; kept between templates so that only some change.
    branch: Vec<[u8; 32]>,
    commitment: [u8; 32],
    fees_sats: u64,
    next_id: u64,
}

/// What a template provider would tell about the newest template, for those who build the coinbase
/// themselves.
#[cfg(feature = "sv2")]
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    pub(crate) id: u64,
    pub(crate) height: u32,
    pub(crate) prev_hash: BlockHash,
    /// Merkle branch of the coinbase, lowest first, in header order.
    pub(crate) branch: Vec<[u8; 32]>,
    pub(crate) version: u32,
    pub(crate) nbits: u32,
    /// Subsidy and fees.
    pub(crate) reward_sats: u64,
    /// BIP 34: the height as the first push of the script signature.
    pub(crate) height_push: Vec<u8>,
    /// Script of the witness commitment output.
    pub(crate) commitment: Vec<u8>,
}

impl MadeUpChain {
    /// A chain whose next block has the given height; `extranonce_size` is the sum of both parts.
    pub(crate) fn new(
        seed: u64,
        height: u32,
        nbits: u32,
        version: u32,
        tag: &str,
        unix_start: u64,
        extranonce_size: u8,
    ) -> MadeUpChain {
        let mut random = fastrand::Rng::with_seed(seed);
        let next_id = random.u64(..) & 0xffff_ffff_0000_0000;
        let mut chain = MadeUpChain {
            random,
            nbits,
            version,
            tag: tag.bytes().take(MAX_TAG).collect(),
            unix_start,
            extranonce_size,
            height,
            prev_hash: BlockHash([0; 32]),
            branch: Vec::new(),
            commitment: [0; 32],
            fees_sats: 0,
            next_id,
        };
        chain.begin_block(None);
        chain
    }

    /// Height of the block that is being worked on.
    pub(crate) fn height(&self) -> u32 {
        self.height
    }

    /// Moves on to the next block: on top of `solution`, or of a made-up one by somebody else.
    pub(crate) fn advance(&mut self, solution: Option<BlockHash>) {
        self.height = self.height.saturating_add(1);
        self.begin_block(solution);
    }

    /// A new job on the current block, with a few more transactions than the last.
    pub(crate) fn next_job(&mut self, now: Duration, clean: bool) -> JobTemplate {
        self.grow_mempool();
        self.next_id = self.next_id.wrapping_add(1);
        let unix = self.unix_start.saturating_add(now.as_secs());
        let (coinbase1, coinbase2) = self.coinbase(unix);
        JobTemplate {
            id: format!("{:016x}", self.next_id),
            prev_hash: self.prev_hash,
            coinbase1,
            coinbase2,
            branch: self.branch.clone(),
            version: self.version,
            nbits: self.nbits,
            // Header time is 32 bits; it lasts until 2106.
            ntime: u32::try_from(unix).unwrap_or(u32::MAX),
            clean,
        }
    }

    /// A new template on the current block, with a few more transactions than the last.
    #[cfg(feature = "sv2")]
    pub(crate) fn next_snapshot(&mut self) -> Snapshot {
        self.grow_mempool();
        self.next_id = self.next_id.wrapping_add(1);
        let height = script_number(self.height);
        Snapshot {
            id: self.next_id,
            height: self.height,
            prev_hash: self.prev_hash,
            branch: self.branch.clone(),
            version: self.version,
            nbits: self.nbits,
            reward_sats: self.reward_sats(),
            height_push: [&[height.len() as u8], height.as_slice()].concat(),
            commitment: [COMMITMENT_PREFIX.as_slice(), &self.commitment].concat(),
        }
    }

    /// Subsidy and fees of the block being worked on.
    fn reward_sats(&self) -> u64 {
        let subsidy = FIRST_SUBSIDY_SATS
            .checked_shr(self.height / HALVING_BLOCKS)
            .unwrap_or(0);
        subsidy + self.fees_sats
    }

    fn begin_block(&mut self, solution: Option<BlockHash>) {
        self.prev_hash = solution.unwrap_or_else(|| self.made_up_solution());
        self.fees_sats = 0;
        self.branch.clear();
        // A block just found leaves some of the mempool behind.
        for _ in 0..self.random.usize(3..=6) {
            let hash = self.bytes();
            self.branch.push(hash);
        }
    }

    /// New fees, a few changed subtrees, now and then one level more.
    fn grow_mempool(&mut self) {
        self.fees_sats += self.random.u64(20_000..400_000);
        self.commitment = self.bytes();
        if self.branch.len() < 12 && self.random.bool() {
            let hash = self.bytes();
            self.branch.push(hash);
        }
        let keep = self.random.usize(0..self.branch.len().max(1));
        for index in keep..self.branch.len() {
            self.branch[index] = self.bytes();
        }
    }

    /// A hash with as many leading zero bytes as the nbits ask for.
    fn made_up_solution(&mut self) -> BlockHash {
        let mut hash = self.bytes();
        let size = (self.nbits >> 24).min(32) as usize;
        hash[size.saturating_sub(1)..].fill(0);
        BlockHash(hash)
    }

    fn bytes(&mut self) -> [u8; 32] {
        let mut bytes = [0; 32];
        self.random.fill(&mut bytes);
        bytes
    }

    /// The two halves of the coinbase around the extranonce, without witness data.
    fn coinbase(&self, unix: u64) -> (Vec<u8>, Vec<u8>) {
        let height = script_number(self.height);
        let script_size =
            1 + height.len() + 5 + 1 + usize::from(self.extranonce_size) + self.tag.len();
        let mut first = Vec::with_capacity(64);
        first.extend(2u32.to_le_bytes());
        first.push(1);
        first.extend([0; 32]);
        first.extend([0xff; 4]);
        first.push(script_size as u8);
        first.push(height.len() as u8);
        first.extend(&height);
        first.push(4);
        first.extend((unix as u32).to_le_bytes());
        first.push(self.extranonce_size);

        let mut second = self.tag.clone();
        second.extend([0xff; 4]);
        second.push(2);
        second.extend(self.reward_sats().to_le_bytes());
        second.push(TEST_SCRIPT.len() as u8);
        second.extend(TEST_SCRIPT);
        second.extend(0u64.to_le_bytes());
        second.push((COMMITMENT_PREFIX.len() + self.commitment.len()) as u8);
        second.extend(COMMITMENT_PREFIX);
        second.extend(self.commitment);
        second.extend([0; 4]);
        (first, second)
    }
}

/// Bitcoin's minimal script number: little-endian, with room for the sign bit.
fn script_number(value: u32) -> Vec<u8> {
    let mut bytes: Vec<u8> = value.to_le_bytes().to_vec();
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    if bytes.last().is_none_or(|last| last & 0x80 != 0) {
        bytes.push(0);
    }
    bytes
}
