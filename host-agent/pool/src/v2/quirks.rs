//! Behaviour switches of the Stratum V2 pool: messages that real pools send rarely, and what no pool
//! should do but a miner must survive.

use crate::switches::{self, Switches, switches};

/// What a switch is about. Of the groups marked exclusive only one switch can be on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Answer to the handshake (exclusive).
    Handshake,
    /// The certificate in the handshake (exclusive).
    Certificate,
    /// Connection set-up and opening of channels.
    Opening,
    /// Forms of jobs.
    Job,
    /// Targets of channels (exclusive).
    Target,
    /// Rare messages in the running session.
    Session,
    /// Acknowledgements and refusals of shares.
    Answer,
    /// Delivery of the bytes (exclusive).
    Delivery,
    /// Broken on purpose.
    Hostile,
}

impl Group {
    fn is_exclusive(self) -> bool {
        matches!(
            self,
            Group::Handshake | Group::Certificate | Group::Target | Group::Delivery
        )
    }
}

/// The switches that are on, with their numbers. Text form: `name,name=number,...`.
pub type Quirks = Switches<Quirk>;

switches! {
    PlainText "plain-text" Handshake ("0 JSON, 1 HTTP, 2 a TLS alert, 3 random bytes" 0) "Plain text where the Noise handshake is expected."
    SilentHandshake "silent-handshake" Handshake "No answer to the handshake."
    CloseInHandshake "close-in-handshake" Handshake "Hang up instead of answering the handshake."
    ShortHandshake "short-handshake" Handshake ("bytes" 170) "Only the first bytes of the handshake's 234, then hang up."

    WrongKey "wrong-key" Certificate "The certificate is signed by another authority than the URL's."
    CertificateExpired "certificate-expired" Certificate ("seconds since its end" 86400) "The certificate is no longer valid."
    CertificateNotYetValid "certificate-not-yet-valid" Certificate ("seconds until its start" 86400) "The certificate is not valid yet."

    SilentAfterHandshake "silent-after-handshake" Opening "Nothing is said after the handshake."
    SetupError "setup-error" Opening ("0 flags, 1 protocol, 2 version, 3 a code unknown to all" 0) "SetupConnection is refused."
    SetupFlags "setup-flags" Opening ("flags" 1) "SetupConnection.Success carries these flags: 1 fixed version, 2 extended channels only."
    SilentOpen "silent-open" Opening "No answer to the opening of a channel."
    OpenError "open-error" Opening ("0 unknown-user, 1 capacity, 2 a code unknown to all, 3 empty, 4 of 255 bytes" 2) "Every channel is refused."
    BusyAtStart "busy-at-start" Opening ("refusals" 2) "The first channels of the pool's life are refused, as by a pool without a template."
    OldOpenSuccess "old-open-success" Opening "The extended open success ends before the group id, as before November 2025."
    FalseExtranonceSize "false-extranonce-size" Opening ("bytes" 33) "The extended open success gives this extranonce size, whatever is true."
    JobBeforeOpen "job-before-open" Opening "A job for the channel comes before the open success too."

    ToChannel "to-channel" Job "Jobs and prevhashes name the channel, never the group."
    BigSuffix "big-suffix" Job ("bytes" 65000) "The coinbase's second half is about this large, in one output."
    BigPrefix "big-prefix" Job ("bytes" 65535) "The coinbase's first half is this large, beyond what consensus allows."
    Branches "branches" Job ("hashes" 255) "That many merkle branch hashes in each job."
    NoVersionRolling "no-version-rolling" Job "Extended jobs do not allow version rolling."
    VersionBitsInJob "version-bits-in-job" Job "Job versions are 30000000, a bit inside the mask of mining chips."
    WitnessInCoinbase "witness-in-coinbase" Job "Coinbase halves carry the witness marker and data, to be left out before hashing."
    DuplicateJob "duplicate-job" Job "Every job is sent twice."
    FutureFlood "future-flood" Job ("jobs" 40) "Other future jobs before the one that the next prevhash names."
    UnknownPrevHash "unknown-prevhash" Job "A prevhash that names an unknown job before each good one."
    Silence "silence" Job ("seconds after the channel was opened" 0) "No jobs and prevhashes any more."

    TargetZero "target-zero" Target "Targets are zero: no hash ever meets them."
    TargetOne "target-one" Target "Targets are one."
    TargetMax "target-max" Target "Targets are all ff: every hash meets them."

    TargetToGroup "target-to-group" Session "SetTarget names the group instead of the channel."
    SetExtranoncePrefix "set-extranonce-prefix" Session ("jobs" 3) "A new extranonce prefix every so many jobs."
    SetGroupChannel "set-group-channel" Session ("jobs" 2) "The channels move to a new group every so many jobs."
    ReconnectSame "reconnect-same" Session ("accepted shares" 5) "Reconnect to the same host and port."
    ReconnectPort "reconnect-port" Session ("port" 34255) "Reconnect to another port of the same host, after 5 accepted shares."
    ReconnectForeign "reconnect-foreign" Session ("accepted shares" 5) "Reconnect to another host."
    CloseChannel "close-channel" Session ("accepted shares" 5) "CloseChannel for one channel."
    CloseGroup "close-group" Session ("accepted shares" 5) "CloseChannel for the group."
    DropAfter "drop-after" Session ("accepted shares" 5) "Hang up after that many accepted shares; what is not acknowledged stays so."

    AckDelay "ack-delay" Answer ("milliseconds" 5000) "Acknowledgements and refusals come late."
    AckTwice "ack-twice" Answer "Every acknowledgement comes twice."
    AckNever "ack-never" Answer "No acknowledgement or refusal of any share."
    RejectAll "reject-all" Answer ("0 difficulty-too-low, 1 stale-share, 2 duplicate-share, 3 invalid-job-id, 4 a code unknown to all, 5 empty, 6 of 255 bytes" 4) "Every share is refused, however good."
    AckUnsent "ack-unsent" Answer "Acknowledgements name sequence numbers that were never sent."

    Coalesced "coalesced" Delivery "Everything that is waiting goes out in one packet."
    ByteByByte "byte-by-byte" Delivery "Every byte goes out alone."

    UnknownMessages "unknown-messages" Hostile "Messages of unknown types and extensions between the others."
    ShortMessage "short-message" Hostile ("jobs before it" 2) "A job that ends in the middle of its fields, in a whole frame."
    TruncatedFrame "truncated-frame" Hostile ("jobs before it" 2) "Half a frame, then hang up."
    OversizedFrame "oversized-frame" Hostile ("jobs before it" 2) "The beginning of a frame that announces 16 MiB."
    BadMac "bad-mac" Hostile ("jobs before it" 2) "A frame that fails its authentication."
}

/// The table of all switches as text: name, argument and description, one a line.
pub fn help_table() -> String {
    switches::help_table::<Quirk>()
}
