//! The share check: from the six texts of a `mining.submit` to a verdict, by rebuilding the header and
//! hashing it. What pools judge differently stands in [`ShareRules`]; everything here is pure and knows
//! neither sessions nor duplicates (the pool keeps those per block).

use crate::hash::{BlockHash, from_hex, sha256d, u32_from_hex};
use crate::target::{Target, share_difficulty};
use crate::template::JobTemplate;
use serde_json::Value;

/// A `mining.submit` with its texts read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submit {
    /// The worker's name, to be compared with the authorised ones.
    pub worker: String,
    /// The job's name as announced.
    pub job_id: String,
    /// The miner's part of the extranonce, of any length; the rules judge it.
    pub extranonce2: Vec<u8>,
    /// Header time, unix seconds.
    pub ntime: u32,
    /// Header nonce.
    pub nonce: u32,
    /// The sixth parameter, present when version rolling is in use.
    pub version_bits: Option<u32>,
}

/// Why a share was refused. [`Reject::code`] is what Stratum calls it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reject {
    /// The parameters are not a list of five or six strings.
    #[error("Invalid parameters: {0} items, expected 5 or 6")]
    Count(usize),
    /// A parameter is not the text that it should be.
    #[error("Invalid {0}")]
    Malformed(&'static str),
    /// The session has not subscribed.
    #[error("Not subscribed")]
    NotSubscribed,
    /// The session has not authorised any worker.
    #[error("Unauthorized worker")]
    Unauthorized,
    /// The named worker is not one that this session authorised.
    #[error("Worker mismatch")]
    WorkerMismatch,
    /// Never announced to this session, or forgotten.
    #[error("Job not found")]
    UnknownJob,
    /// Announced, but a clean job came since.
    #[error("Stale")]
    StaleJob,
    /// Extranonce2 is not of the size that the subscription gave.
    #[error("Invalid extranonce2 size: {got} bytes, expected {expected}")]
    Extranonce2Size {
        /// Bytes that came.
        got: usize,
        /// Bytes that the subscription gave.
        expected: usize,
    },
    /// The header time is before the job's or too far after it.
    #[error("Ntime out of range")]
    NtimeOutOfRange {
        /// Seconds after the job's ntime, negative for before.
        offset: i64,
    },
    /// Version bits outside the agreed mask.
    #[error("Invalid version mask")]
    VersionOutsideMask {
        /// The bits that are not allowed.
        bits: u32,
    },
    /// Rolling was agreed, but the sixth parameter is missing.
    #[error("Version bits missing")]
    VersionBitsMissing,
    /// Rolling was not agreed, but there is a sixth parameter.
    #[error("Version bits were not agreed")]
    VersionBitsNotAgreed,
    /// This header was accepted before.
    #[error("Duplicate share")]
    Duplicate,
    /// The hash is above the target.
    #[error("Low difficulty share")]
    LowDifficulty,
    /// Refused because a switch says so, not because of the share.
    #[error("Rejected on purpose")]
    OnPurpose {
        /// The code to report.
        code: i64,
    },
}

impl Reject {
    /// Stratum's error code: 20 other, 21 job, 22 duplicate, 23 low difficulty, 24 unauthorised, 25 not
    /// subscribed.
    pub fn code(&self) -> i64 {
        match self {
            Reject::UnknownJob | Reject::StaleJob => 21,
            Reject::Duplicate => 22,
            Reject::LowDifficulty => 23,
            Reject::Unauthorized | Reject::WorkerMismatch => 24,
            Reject::NotSubscribed => 25,
            Reject::OnPurpose { code } => *code,
            Reject::Count(_)
            | Reject::Malformed(_)
            | Reject::Extranonce2Size { .. }
            | Reject::NtimeOutOfRange { .. }
            | Reject::VersionOutsideMask { .. }
            | Reject::VersionBitsMissing
            | Reject::VersionBitsNotAgreed => 20,
        }
    }
}

impl Submit {
    /// Reads the parameters of a `mining.submit`.
    ///
    /// # Errors
    /// [`Reject::Count`] or [`Reject::Malformed`].
    pub fn from_params(params: &Value) -> Result<Submit, Reject> {
        let items = params.as_array().map_or(&[][..], Vec::as_slice);
        let (worker, job_id, extranonce2, ntime, nonce, bits) = match items {
            [worker, job, extranonce2, ntime, nonce] => {
                (worker, job, extranonce2, ntime, nonce, None)
            }
            [worker, job, extranonce2, ntime, nonce, bits] => {
                (worker, job, extranonce2, ntime, nonce, Some(bits))
            }
            _ => return Err(Reject::Count(items.len())),
        };
        let text = |value: &Value, name| {
            let text = value.as_str().map(str::to_owned);
            text.ok_or(Reject::Malformed(name))
        };
        let number = |value: &Value, name| {
            let number = value.as_str().and_then(u32_from_hex);
            number.ok_or(Reject::Malformed(name))
        };
        Ok(Submit {
            worker: text(worker, "worker name")?,
            job_id: text(job_id, "job id")?,
            extranonce2: extranonce2
                .as_str()
                .and_then(from_hex)
                .ok_or(Reject::Malformed("extranonce2"))?,
            ntime: number(ntime, "ntime")?,
            nonce: number(nonce, "nonce")?,
            version_bits: bits.map(|bits| number(bits, "version bits")).transpose()?,
        })
    }
}

/// How a pool turns the sixth parameter into the block version. They differ only when the job's own
/// version has bits inside the mask, and then shares good at one pool are bad at the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VersionForm {
    /// Bits inside the mask come from the parameter, the rest from the job: BIP 310, SRI.
    #[default]
    Replace,
    /// The parameter is ORed on the job's version: ckpool.
    Or,
    /// The parameter is XORed on the job's version: public-pool.
    Xor,
}

/// What a pool checks and what it lets pass. [`ShareRules::STRICT`] is the default and what a careful
/// miner must satisfy everywhere; the others replay the verdicts of known pools.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShareRules {
    /// The meaning of the version bits.
    pub version_form: VersionForm,
    /// Refuse bits outside the mask (otherwise they are applied like all others).
    pub check_mask: bool,
    /// Refuse a share without version bits although rolling was agreed.
    pub require_version_bits: bool,
    /// Refuse version bits that were not agreed (otherwise they are ignored).
    pub refuse_unagreed_bits: bool,
    /// Pad a short extranonce2 with zeros and cut a long one, instead of refusing it.
    pub fit_extranonce2: bool,
    /// Most seconds that ntime may be after the job's; before it is refused. `None`: any ntime.
    pub max_ntime_ahead: Option<u32>,
    /// Refuse worker names that the session has not authorised.
    pub check_worker: bool,
}

impl ShareRules {
    /// Refuses everything that any known pool refuses. The ntime window is ckpool's.
    pub const STRICT: ShareRules = ShareRules {
        version_form: VersionForm::Replace,
        check_mask: true,
        require_version_bits: true,
        refuse_unagreed_bits: true,
        fit_extranonce2: false,
        max_ntime_ahead: Some(7000),
        check_worker: true,
    };
    /// ckpool (observed): ORs the bits, takes a missing sixth parameter, fits the extranonce2.
    pub const CKPOOL: ShareRules = ShareRules {
        version_form: VersionForm::Or,
        require_version_bits: false,
        refuse_unagreed_bits: false,
        fit_extranonce2: true,
        ..ShareRules::STRICT
    };
    /// public-pool (observed): XORs any bits, takes any ntime and worker name.
    pub const PUBLIC_POOL: ShareRules = ShareRules {
        version_form: VersionForm::Xor,
        check_mask: false,
        require_version_bits: false,
        refuse_unagreed_bits: false,
        max_ntime_ahead: None,
        check_worker: false,
        ..ShareRules::STRICT
    };
    /// The SRI translator (observed): replaces within the mask, takes any ntime.
    pub const SRI: ShareRules = ShareRules {
        max_ntime_ahead: None,
        ..ShareRules::STRICT
    };
}

impl Default for ShareRules {
    fn default() -> ShareRules {
        ShareRules::STRICT
    }
}

/// What the pool gave the session when it announced the job.
#[derive(Debug, Clone, Copy)]
pub struct ShareTerms<'a> {
    /// The pool's part of the extranonce.
    pub extranonce1: &'a [u8],
    /// Size of the miner's part, bytes.
    pub extranonce2_size: usize,
    /// The agreed version-rolling mask; `None` when rolling was not agreed.
    pub version_mask: Option<u32>,
    /// The bound that the share's hash must meet.
    pub target: Target,
}

/// A share whose header was rebuilt and hashed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    /// The hash of its header.
    pub hash: BlockHash,
    /// What that hash is worth.
    pub difficulty: f64,
    /// The block version that was hashed.
    pub version: u32,
    /// Whether it meets the network's target in the job's nbits as well.
    pub is_block: bool,
}

/// The verdict against a share, with the share itself where it got as far as hashing.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{reason}")]
pub struct RejectedShare {
    /// Why.
    pub reason: Reject,
    /// The hashed share, if only its target was wrong.
    pub share: Option<Share>,
}

impl From<Reject> for RejectedShare {
    fn from(reason: Reject) -> RejectedShare {
        RejectedShare {
            reason,
            share: None,
        }
    }
}

/// Judges a share for one job by the rules, apart from worker names and duplicates.
///
/// # Errors
/// [`RejectedShare`] with the first rule that it breaks.
pub fn check_share(
    job: &JobTemplate,
    terms: &ShareTerms<'_>,
    rules: &ShareRules,
    submit: &Submit,
) -> Result<Share, RejectedShare> {
    if submit.extranonce2.len() != terms.extranonce2_size && !rules.fit_extranonce2 {
        return Err(RejectedShare::from(Reject::Extranonce2Size {
            got: submit.extranonce2.len(),
            expected: terms.extranonce2_size,
        }));
    }
    if let Some(ahead) = rules.max_ntime_ahead {
        let offset = i64::from(submit.ntime) - i64::from(job.ntime);
        if !(0..=i64::from(ahead)).contains(&offset) {
            return Err(RejectedShare::from(Reject::NtimeOutOfRange { offset }));
        }
    }
    match (terms.version_mask, submit.version_bits) {
        (Some(_), None) if rules.require_version_bits => {
            return Err(RejectedShare::from(Reject::VersionBitsMissing));
        }
        (None, Some(_)) if rules.refuse_unagreed_bits => {
            return Err(RejectedShare::from(Reject::VersionBitsNotAgreed));
        }
        (Some(mask), Some(bits)) if rules.check_mask && bits & !mask != 0 => {
            return Err(RejectedShare::from(Reject::VersionOutsideMask {
                bits: bits & !mask,
            }));
        }
        _ => {}
    }
    let share = rebuild_share(job, terms, rules.version_form, submit);
    if terms.target.is_met_by(&share.hash) {
        Ok(share)
    } else {
        Err(RejectedShare {
            reason: Reject::LowDifficulty,
            share: Some(share),
        })
    }
}

/// Rebuilds and hashes the header that a submit stands for, without judging it. An extranonce2 of
/// another size is padded with zeros or cut; version bits count only when rolling was agreed.
pub fn rebuild_share(
    job: &JobTemplate,
    terms: &ShareTerms<'_>,
    form: VersionForm,
    submit: &Submit,
) -> Share {
    let mut extranonce2 = submit.extranonce2.clone();
    extranonce2.resize(terms.extranonce2_size, 0);
    let version = match (terms.version_mask, submit.version_bits) {
        (Some(mask), Some(bits)) => match form {
            VersionForm::Replace => job.version & !mask | bits & mask,
            VersionForm::Or => job.version | bits,
            VersionForm::Xor => job.version ^ bits,
        },
        _ => job.version,
    };
    let header = job.header(
        terms.extranonce1,
        &extranonce2,
        version,
        submit.ntime,
        submit.nonce,
    );
    let hash = BlockHash(sha256d(&header));
    Share {
        hash,
        difficulty: share_difficulty(&hash),
        version,
        is_block: Target::from_nbits(job.nbits).is_some_and(|network| network.is_met_by(&hash)),
    }
}
