//! Behaviour switches: what other pools do differently, and what no pool should do but a miner must
//! survive. One declaration gives the enum, the names for the command line and the table for `--help`.
//! The sources of the friendly ones are recorded sessions with ckpool, public-pool, the SRI translator
//! and hydrapool.

use crate::switches::{self, Switches, switches};

/// What a switch is about. Of the groups marked exclusive only one switch can be on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Form of a refusal in answers to `mining.submit` (exclusive).
    Answer,
    /// Form of ids in notifications (exclusive).
    NotificationId,
    /// Meaning of version bits (exclusive).
    VersionBits,
    /// Reaction to `mining.configure` (exclusive).
    Configure,
    /// Form of difficulty numbers, the unusable ones included (exclusive).
    DifficultyForm,
    /// Parameters of `mining.notify` (exclusive).
    NotifyForm,
    /// Delivery of the bytes (exclusive).
    Delivery,
    /// Course of the session.
    Session,
    /// Broken on purpose.
    Hostile,
}

impl Group {
    fn is_exclusive(self) -> bool {
        !matches!(self, Group::Session | Group::Hostile)
    }
}

/// The switches that are on, with their numbers. Text form: `name,name=number,...`.
pub type Quirks = Switches<Quirk>;

switches! {
    AnswerNull "answer-null" Answer "Refusals: result null, error [code, text, null] (SRI)."
    AnswerNullText "answer-null-text" Answer "Refusals: result null, error [code, text, \"\"] (public-pool)."
    AnswerErrorText "answer-error-text" Answer "Refusals: result false, error \"text\" (old ckpool)."
    AnswerRejectReason "answer-reject-reason" Answer "Refusals: result false, error null, reject-reason \"text\" (old ckpool)."
    AnswerBareFalse "answer-bare-false" Answer "Refusals: result false, error null, no reason at all (hydrapool)."
    AnswerErrorObject "answer-error-object" Answer "Refusals: result null, error {code, message}."
    AnswerNever "answer-never" Answer "No answer to any submit, good or bad."

    AbsentId "absent-id" NotificationId "Notifications carry no id (SRI, hydrapool)."
    NumericId "numeric-id" NotificationId "Notifications carry a number as id."
    IdAsString "id-as-string" Session "Answers echo the request's id as a string."

    VersionOr "version-or" VersionBits "Version bits are ORed on the job's version (ckpool)."
    VersionXor "version-xor" VersionBits "Version bits are XORed on the job's version (public-pool)."
    VersionBitsInJob "version-bits-in-job" Session "Job versions are 30000000, a bit inside the usual mask."
    EarlyVersionMask "early-version-mask" Session "mining.set_version_mask with id null before the subscribe answer."
    NarrowVersionMask "narrow-version-mask" Session ("seconds after authorisation" 10) "mining.set_version_mask halves the agreed bits in the running session."

    ConfigureDisconnects "configure-disconnects" Configure "Hang up on a mining.configure before mining.subscribe (ckpool of 2017)."
    ConfigureSilent "configure-silent" Configure "No answer to mining.configure."
    ConfigureRefused "configure-refused" Configure "mining.configure is answered with an error."
    ConfigureFalse "configure-false" Configure "Version rolling is answered with false."

    UnknownDisconnects "unknown-disconnects" Session "Hang up on any unknown method, mining.extranonce.subscribe included (hydrapool)."
    RefuseAuthorize "refuse-authorize" Session "mining.authorize is answered with false."
    AuthorizeSilent "authorize-silent" Session "No answer to mining.authorize; jobs come all the same."
    SubscribeSilent "subscribe-silent" Session "No answer to mining.subscribe, nor to anything that needs it."
    EarlyJob "early-job" Session "Difficulty and job follow the subscribe answer (ckpool)."
    JobBeforeAuthorizeAnswer "job-before-authorize-answer" Session "Difficulty and job come before the authorize answer (ckpool solo)."
    NoResume "no-resume" Session "Session ids are given but never honoured (public-pool)."
    NoSessionId "no-session-id" Session "The subscribe answer has no session id."

    DifficultyInteger "difficulty-integer" DifficultyForm "Difficulties are whole numbers from 1 up (hydrapool)."
    DifficultyFloat "difficulty-float" DifficultyForm "Difficulties always carry a point, as in 1000000.0."
    DifficultyDigits "difficulty-digits" DifficultyForm "Difficulties are written with all their digits, as in 0.00050000000000000001."
    DifficultyZero "difficulty-zero" DifficultyForm "mining.set_difficulty with 0."
    DifficultyNegative "difficulty-negative" DifficultyForm "mining.set_difficulty with -1."
    DifficultyNan "difficulty-nan" DifficultyForm "mining.set_difficulty with NaN, which is not even JSON."
    DifficultyHuge "difficulty-huge" DifficultyForm "mining.set_difficulty with 1e999, beyond any float."
    DifficultyText "difficulty-text" DifficultyForm "mining.set_difficulty with a text."
    DifficultyAtOnce "difficulty-at-once" Session "A new difficulty judges older jobs too, and comes with a clean job (public-pool)."
    IgnoreSuggest "ignore-suggest" Session "mining.suggest_difficulty is ignored without a word (SRI)."

    Notify8 "notify-8" NotifyForm "mining.notify without its last parameter, clean_jobs."
    Notify10 "notify-10" NotifyForm "mining.notify with one more parameter before clean_jobs."
    NotifyBadHex "notify-bad-hex" NotifyForm "The coinbase in mining.notify is not hexadecimal."
    NotifyWrongTypes "notify-wrong-types" NotifyForm "Numbers and objects where mining.notify has texts."
    NotifyBranches "notify-branches" NotifyForm ("hashes" 100) "More merkle branch hashes in mining.notify than any block needs."
    NotifyBigCoinbase "notify-big-coinbase" NotifyForm ("KiB" 512) "A coinbase of that size in mining.notify."
    NotifyTruncated "notify-truncated" NotifyForm "Every mining.notify line ends in the middle."
    DuplicateNotify "duplicate-notify" Session "Every mining.notify is sent twice."
    Silence "silence" Session ("seconds after authorisation" 0) "No mining.notify any more."

    SetExtranonce "set-extranonce" Session ("seconds after authorisation" 10) "mining.set_extranonce in the running session, counting from the next job."
    ReconnectSame "reconnect-same" Session ("seconds after authorisation" 10) "client.reconnect without parameters."
    ReconnectForeign "reconnect-foreign" Session ("seconds after authorisation" 10) "client.reconnect to a host of another domain."
    Ping "ping" Session ("seconds between pings" 10) "mining.ping with a numeric id."
    GetVersion "get-version" Session "client.get_version after authorisation."
    ShowMessage "show-message" Session ("seconds after authorisation" 1) "client.show_message with a text."

    RejectAll "reject-all" Session ("error code" 23) "Every share is refused, however good."
    PoisonedJob "poisoned-job" Session "One extranonce2 of wrong size makes all later shares of its job bad (public-pool)."
    DropAfter "drop-after" Session ("accepted shares" 5) "Hang up after answering that many accepted shares."
    DropUnanswered "drop-unanswered" Session ("accepted shares" 5) "Hang up instead of answering that accepted share."

    Coalesced "coalesced" Delivery "Everything that is waiting goes out in one packet (ckpool)."
    ByteByByte "byte-by-byte" Delivery "Every byte goes out alone."
    SlowLoris "slow-loris" Delivery ("milliseconds per byte" 100) "Every byte alone, with a pause before each."
    CrLf "crlf" Session "Lines end with CR LF, with blank lines between."

    Garbage "garbage" Hostile "Lines of random bytes between the messages."
    HugeLine "huge-line" Hostile ("KiB" 2048) "One very long line before the first job."
    BadExtranonce2Size "bad-extranonce2-size" Hostile ("bytes" 200) "The subscribe answer gives an impossible extranonce2 size."
    BadExtranonce1Size "bad-extranonce1-size" Hostile ("bytes" 64) "The subscribe answer gives an extranonce1 that is too long."
    Extranonce1NotHex "extranonce1-not-hex" Hostile "The subscribe answer gives an extranonce1 that is not hexadecimal."
    WrongTypes "wrong-types" Hostile "Answers have numbers for lists and texts for objects."
    UnknownMethod "unknown-method" Hostile "Notifications of methods that nobody knows, with odd parameters."
}

/// The table of all switches as text: name, argument and description, one a line.
pub fn help_table() -> String {
    switches::help_table::<Quirk>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_quirk_is_found_by_its_name_and_shown_in_the_table() {
        let table = help_table();
        for quirk in Quirk::ALL {
            assert_eq!(quirk.name().parse(), Ok(*quirk));
            assert!(table.contains(quirk.name()), "{quirk:?}");
        }
    }

    #[test]
    fn lists_survive_being_written_and_read() {
        let quirks: Quirks = "drop-after=3, absent-id,,coalesced"
            .parse()
            .expect("a list");
        assert_eq!(quirks.number(Quirk::DropAfter), Some(3));
        assert_eq!(quirks.to_string().parse(), Ok(quirks));
    }

    #[test]
    fn wrong_lists_say_what_is_wrong() {
        let error = |text: &str| text.parse::<Quirks>().expect_err("an error").to_string();
        assert_eq!(
            error("pingg"),
            "there is no quirk \"pingg\"; the nearest is \"ping\""
        );
        assert_eq!(
            error("ping=x"),
            "\"x\" is not a number for the quirk \"ping\""
        );
        assert_eq!(
            error("coalesced=1"),
            "\"1\" is not a number for the quirk \"coalesced\""
        );
        assert_eq!(
            error("absent-id,numeric-id"),
            "the quirks \"absent-id\" and \"numeric-id\" exclude each other"
        );
    }
}
