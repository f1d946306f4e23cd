//! What the payout watch of a pool says, as state tree and event log show it.

use payout::{Alarm, Severity, Watch};
use station::Notice;

use crate::state::{PayoutOutput, PayoutStatus};

/// Most outputs of a coinbase in the state tree: it is sent to every viewer each second.
const OUTPUTS: usize = 12;

/// What the last job of a pool pays; none before the first one.
#[must_use]
pub fn status(watch: &Watch) -> Option<PayoutStatus> {
    let expectation = watch.expectation();
    let own = watch.own();
    let mut status = PayoutStatus {
        unknown: watch.unknown().map(ToString::to_string),
        refused: watch.refused().map(str::to_owned),
        own_addresses: expectation
            .addresses
            .iter()
            .map(ToString::to_string)
            .collect(),
        own_sat: own.map(|own| own.sat),
        own_percent: own.map(|own| own.percent),
        min_percent: expectation.min_percent.map(payout::Percent::get),
        ..PayoutStatus::default()
    };
    let Some(coinbase) = watch.coinbase() else {
        return status.unknown.is_some().then_some(status);
    };
    let mut payments: Vec<_> = coinbase.payments().collect();
    payments.sort_by_key(|(output, _)| std::cmp::Reverse(output.value_sat));
    status.height = coinbase.height;
    status.network = coinbase.network.to_string();
    status.pool = coinbase.tag.pool.map(str::to_owned);
    status.tag = coinbase.tag.line();
    status.total_sat = coinbase.total_sat;
    status.output_count = payments.len();
    status.outputs = payments
        .iter()
        .take(OUTPUTS)
        .map(|(output, portion)| PayoutOutput {
            receiver: output.receiver(),
            kind: output.kind.name().to_owned(),
            value_sat: output.value_sat,
            percent: portion.percent,
            own: output.pays_any(&expectation.addresses),
        })
        .collect();
    status.problems = coinbase.problems.iter().map(ToString::to_string).collect();
    Some(status)
}

/// An alarm about the pool at this position as an entry of the event log.
#[must_use]
pub fn notice(index: usize, url: &str, alarm: &Alarm) -> Notice {
    Notice {
        severity: match alarm.severity {
            Severity::Notice => station::Severity::Info,
            Severity::Warning => station::Severity::Warning,
            Severity::Critical => station::Severity::Critical,
        },
        code: alarm.code.as_str().to_owned(),
        text: format!("pool {index} ({url}): {}", alarm.text),
        advice: alarm.code.advice().to_owned(),
        values: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mining::{Job, Target};
    use payout::{Expectation, PayoutAddress, Percent, Verdict};

    use super::*;

    const OWN: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";

    /// A job of ckpool on a regtest node, as recorded: height 155, all of 25 BTC to [`OWN`].
    fn recorded() -> Job {
        let bytes = |text: &str| -> Vec<u8> {
            (0..text.len() / 2)
                .map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap())
                .collect()
        };
        Job {
            session: 1,
            id: "1".to_owned(),
            generation: 1,
            prev_hash: [0; 32],
            coinbase1: bytes(
                "01000000010000000000000000000000000000000000000000000000000000000000000000ffffffff33029b0000041209036b04429852270c",
            ),
            extranonce1: bytes("0009036b"),
            extranonce2_len: 8,
            coinbase2: bytes(
                "0a636b706f6f6c2d6c68720c2f682d73763220746573742fffffffff0200f9029500000000160014751e76e8199196d454941c45d1b3a323f1433bd60000000000000000266a24aa21a9ede2f61c3f71d1defd3fa999dfa36953755c690689799962b48bebd836974e8cf900000000",
            ),
            merkle_branch: Vec::new(),
            fixed_root: None,
            version: 0x3000_0000,
            version_mask: 0,
            nbits: 0x207f_ffff,
            ntime: 0x6b03_0912,
            target: Target::MAX,
            received: Duration::ZERO,
        }
    }

    fn watch(min_percent: f64) -> Watch {
        let expectation = Expectation {
            addresses: vec![PayoutAddress::parse(OWN, None).unwrap()],
            named: true,
            min_percent: Some(Percent::new(min_percent).unwrap()),
        };
        Watch::new(None, expectation)
    }

    #[test]
    fn a_job_shows_height_tag_and_receivers() {
        let mut watch = watch(90.0);
        assert_eq!(status(&watch), None, "there was no job yet");
        assert_eq!(watch.handle_job(Duration::ZERO, &recorded()), Verdict::Mine);
        let status = status(&watch).unwrap();
        assert_eq!(status.height, Some(155));
        assert_eq!(status.network, "regtest");
        assert_eq!(status.pool.as_deref(), Some("ckpool"));
        assert!(status.tag.contains("/h-sv2 test/"));
        assert_eq!(
            (status.total_sat, status.own_sat),
            (2_500_000_000, Some(2_500_000_000))
        );
        assert_eq!(
            (status.own_percent, status.min_percent),
            (Some(100.0), Some(90.0))
        );
        // The witness commitment pays nobody.
        assert_eq!((status.outputs.len(), status.output_count), (1, 1));
        assert_eq!(status.outputs[0].receiver, OWN);
        assert!(status.outputs[0].own);
        assert_eq!((status.unknown, status.refused), (None, None));
    }

    #[test]
    fn refused_and_unreadable_work_says_why() {
        let mut watch = watch(90.0);
        let mut job = recorded();
        // The key hash of somebody else.
        job.coinbase2[50] ^= 1;
        watch.handle_job(Duration::ZERO, &job);
        let refused = status(&watch).unwrap();
        assert_eq!(refused.own_percent, Some(0.0));
        assert!(refused.refused.unwrap().contains("min_payout_percent"));

        job.coinbase2.clear();
        watch.handle_job(Duration::from_secs(1), &job);
        let unknown = status(&watch).unwrap();
        assert!(unknown.unknown.unwrap().contains("cut off"));
        assert_eq!((unknown.own_percent, unknown.outputs.len()), (None, 0));
    }

    #[test]
    fn every_alarm_is_documented() {
        let docs = include_str!("../../../docs/payout.md");
        for code in payout::Code::ALL {
            assert!(docs.contains(&format!("| `{code}` |")), "{code}");
        }
    }

    #[test]
    fn alarms_become_entries_with_pool_and_advice() {
        let mut watch = watch(90.0);
        let mut job = recorded();
        job.coinbase2[50] ^= 1;
        watch.handle_job(Duration::ZERO, &job);
        let alarms: Vec<_> = std::iter::from_fn(|| watch.poll_alarm()).collect();
        let refused = alarms
            .iter()
            .find(|alarm| alarm.code == payout::Code::Refused);
        let notice = notice(1, "stratum+tcp://pool.example:3333", refused.unwrap());
        assert_eq!(notice.code, "work-refused");
        assert_eq!(notice.severity, station::Severity::Critical);
        assert!(
            notice
                .text
                .starts_with("pool 1 (stratum+tcp://pool.example:3333): work refused")
        );
        assert!(!notice.advice.is_empty());
    }
}
