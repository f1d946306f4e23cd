//! The reader here follows the OpenMetrics specification and knows nothing of the writer.

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;
use rpc::Snapshot;

use super::*;
use crate::example::{for_hashrate, snapshot};

#[derive(Debug, Default)]
struct Page {
    kinds: BTreeMap<String, String>,
    units: BTreeMap<String, String>,
    /// Values by name and labels in their order.
    samples: BTreeMap<(String, Vec<(String, String)>), f64>,
    eof: bool,
}

impl Page {
    fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let labels = labels.iter().map(|(k, v)| ((*k).into(), (*v).into()));
        let key = (name.to_owned(), labels.collect());
        *self
            .samples
            .get(&key)
            .unwrap_or_else(|| panic!("no {key:?}"))
    }

    fn names(&self) -> HashSet<&str> {
        self.samples.keys().map(|(name, _)| &name[..]).collect()
    }
}

/// Reads a page, and panics where the specification forbids what stands there.
fn read(text: &str) -> Page {
    let mut page = Page::default();
    let (mut now, mut finished) = (String::new(), HashSet::new());
    assert!(text.ends_with('\n'));
    for line in text.strip_suffix('\n').unwrap().split('\n') {
        assert!(!page.eof, "something after EOF: {line}");
        if line == "# EOF" {
            page.eof = true;
        } else if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (what, name) = (words.next().unwrap(), words.next().unwrap());
            let rest = words.next().unwrap();
            if now != name {
                assert!(finished.insert(now.clone()), "{name} is not in one piece");
                name.clone_into(&mut now);
            }
            match what {
                "HELP" => assert!(!rest.is_empty() && !rest.contains(['\\', '"'])),
                "TYPE" => assert!(page.kinds.insert(name.into(), rest.into()).is_none()),
                "UNIT" => {
                    assert!(
                        name.ends_with(&format!("_{rest}")),
                        "{name} is not in {rest}"
                    );
                    page.units.insert(name.into(), rest.into());
                }
                _ => panic!("unknown comment: {line}"),
            }
        } else {
            let (name, labels, value) = sample(line);
            assert!(name.starts_with(&now), "{name} stands under {now}");
            let kind = &page.kinds[&now];
            let suffix = name.strip_prefix(&now[..]).unwrap();
            match &kind[..] {
                "counter" => {
                    assert!(suffix == "_total" || name.ends_with("_total"), "{name}");
                    assert!(value >= 0.0);
                }
                "info" => assert_eq!(suffix, "_info"),
                _ => assert_eq!(suffix, "", "{name}"),
            }
            let known: HashSet<_> = labels.iter().map(|(name, _)| name).collect();
            assert_eq!(known.len(), labels.len(), "a label twice: {line}");
            let again = page.samples.insert((name, labels), value);
            assert!(again.is_none(), "told twice: {line}");
        }
    }
    page
}

fn sample(line: &str) -> (String, Vec<(String, String)>, f64) {
    let end = line.find(['{', ' ']).unwrap();
    let (name, mut rest) = line.split_at(end);
    assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'));
    let mut labels = Vec::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, after) = rest.split_once("=\"").unwrap();
            let (mut value, mut chars) = (String::new(), after.char_indices());
            let end = loop {
                match chars.next().expect("the value ends") {
                    (at, '"') => break at,
                    (_, '\\') => match chars.next().unwrap().1 {
                        'n' => value.push('\n'),
                        c @ ('\\' | '"') => value.push(c),
                        c => panic!("no such escape: {c}"),
                    },
                    (_, c) => value.push(c),
                }
            };
            labels.push((label.to_owned(), value));
            rest = &after[end + 1..];
            if let Some(more) = rest.strip_prefix(',') {
                rest = more;
            } else {
                rest = rest.strip_prefix('}').unwrap();
                break;
            }
        }
    }
    (name.into(), labels, rest.trim().parse().unwrap())
}

fn page(state: &Snapshot, format: Format) -> Page {
    read(&Exporter::new().page(state, format, Options { chips: true }))
}

#[test]
fn values_are_in_base_units() {
    let page = page(&snapshot(), Format::OpenMetrics);
    let value = |name, labels| page.value(name, labels);
    let board = [("board", "0")];
    assert_eq!(
        value("hashwright_board_hashrate_hashes_per_second", &board),
        1.2e12
    );
    assert_eq!(value("hashwright_board_frequency_hertz", &board), 525e6);
    let core = [
        ("station", "0"),
        ("board", "0"),
        ("sensor", "core voltage"),
        ("source", "measured"),
    ];
    assert_eq!(value("hashwright_sensor_voltage_volts", &core), 1.15);
    assert_eq!(
        value(
            "hashwright_fan_duty_ratio",
            &[("station", "0"), ("fan", "fan 1")]
        ),
        0.4
    );
    let median = [("pool", "0"), ("quantile", "0.5")];
    assert_eq!(value("hashwright_pool_latency_seconds", &median), 0.042);
    assert_eq!(
        value(
            "hashwright_pool_last_share_timestamp_seconds",
            &[("pool", "0")]
        ),
        1_700_000_090.0
    );
}

#[test]
fn the_state_that_is_has_one_and_the_others_nought() {
    let page = page(&snapshot(), Format::Text);
    let states = |name: &str| -> f64 {
        let samples = page.samples.iter();
        samples
            .filter(|((found, _), _)| found == name)
            .map(|(_, value)| value)
            .sum()
    };
    assert_eq!(states("hashwright_miner_state"), 1.0);
    assert_eq!(
        page.value("hashwright_miner_state", &[("state", "mining")]),
        1.0
    );
    let mut odd = snapshot();
    odd.miner.state = "something new".into();
    let told = super::tests::page(&odd, Format::Text);
    let label = [("state", "something new")];
    assert_eq!(told.value("hashwright_miner_state", &label), 1.0);
}

#[test]
fn the_tuner_is_told_where_there_is_one() {
    let told = page(&snapshot(), Format::OpenMetrics);
    let one = [("station", "0")];
    assert_eq!(told.value("hashwright_tuner_aim", &[("aim", "watts")]), 1.0);
    assert_eq!(told.value("hashwright_tuner_aim_watts", &[]), 900.0);
    assert_eq!(told.value("hashwright_demand_cap_watts", &[]), 640.0);
    let rule = |name| told.value("hashwright_demand_rule", &[("rule", name)]);
    assert_eq!((rule("curtailment"), rule("heat")), (1.0, 0.0));
    let measuring = [("station", "0"), ("activity", "measuring")];
    assert_eq!(told.value("hashwright_tuner_activity", &measuring), 1.0);
    assert_eq!(told.value("hashwright_tuner_promised_watts", &one), 16.5);
    assert_eq!(told.value("hashwright_tuner_regret_ratio", &one), 0.004);
    let chip = [("board", "0"), ("chip", "0")];
    assert_eq!(
        told.value("hashwright_chip_threshold_offset_volts", &chip),
        -0.006
    );

    let mut state = snapshot();
    state.tuner.stations[0].activity = "off".into();
    let off = page(&state, Format::Text);
    let nothing = off.names().contains("hashwright_tuner_promised_watts");
    assert!(!nothing, "nothing is promised while nothing is tuned");
    state.tuner = rpc::tuner::TunerStatus::default();
    let without = page(&state, Format::Text);
    let found = without
        .names()
        .iter()
        .any(|name| name.starts_with("hashwright_tuner") || name.starts_with("hashwright_demand"));
    assert!(!found, "nobody can tune here");
}

#[test]
fn both_formats_tell_the_same() {
    let (open, text) = (
        page(&snapshot(), Format::OpenMetrics),
        page(&snapshot(), Format::Text),
    );
    assert_eq!(open.samples, text.samples);
    assert!(open.eof && !text.eof);
    assert!(text.units.is_empty());
    assert_eq!(open.kinds["hashwright_board_nonces"], "counter");
    assert_eq!(text.kinds["hashwright_board_nonces_total"], "counter");
    assert_eq!(open.kinds["hashwright_pool"], "info");
    assert_eq!(text.kinds["hashwright_pool_info"], "gauge");
}

#[test]
fn every_family_is_told_and_named_by_the_conventions() {
    let (page, other) = (
        page(&snapshot(), Format::OpenMetrics),
        page(&for_hashrate(), Format::OpenMetrics),
    );
    let names: HashSet<_> = page.names().union(&other.names()).copied().collect();
    let mut known = HashSet::new();
    for family in FAMILIES {
        assert!(names.contains(&family.sample_name()[..]), "{}", family.name);
        assert!(known.insert(family.name), "{} twice", family.name);
        assert!(!family.name.ends_with("_total") && !family.name.ends_with("_info"));
        assert!(!family.help.is_empty() && !family.help.ends_with('.'));
        assert!(
            !family
                .labels
                .iter()
                .any(|label| matches!(*label, "job" | "instance" | "le"))
        );
        if let Some(unit) = family.unit {
            assert!(
                family.name.ends_with(&format!("_{unit}")),
                "{}",
                family.name
            );
        }
    }
}

#[test]
fn chips_are_told_only_to_those_who_ask() {
    let state = snapshot();
    let without = Exporter::new().page(&state, Format::Text, Options::default());
    assert!(!without.contains("hashwright_chip_"));
    for query in ["chips=1", "a=b&chips=true", "chips"] {
        assert!(Options::from_query(query).chips, "{query}");
    }
    assert!(!Options::from_query("chips=0&x").chips);
}

#[test]
fn counters_go_on_when_a_board_starts_anew() {
    let mut exporter = Exporter::new();
    let mut state = snapshot();
    let mut jobs = |count: u64| {
        state.boards[0].jobs_sent = count;
        let page = read(&exporter.page(&state, Format::Text, Options::default()));
        page.value("hashwright_board_jobs_total", &[("board", "0")])
    };
    assert_eq!([10, 12, 3, 4].map(&mut jobs), [10.0, 12.0, 15.0, 16.0]);
}

#[test]
fn old_readings_and_what_is_unknown_have_no_sample() {
    let mut state = snapshot();
    state.stations[0].status.readings[0].age_s = Some(61.0);
    state.pools[0].latency_ms = None;
    state.boards[0].expected_hps = f64::NAN;
    let page = page(&state, Format::Text);
    assert!(
        !page
            .names()
            .contains("hashwright_sensor_temperature_celsius")
    );
    assert!(
        !page
            .names()
            .contains("hashwright_board_expected_hashes_per_second")
    );
    let p90 = [("pool", "0"), ("quantile", "0.9")];
    assert_eq!(page.value("hashwright_pool_latency_seconds", &p90), 0.08);
}

#[test]
fn the_format_is_the_one_that_is_liked_best() {
    let prometheus_2 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;\
                        version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
    let only_old_draft =
        "application/openmetrics-text; version=0.0.1,text/plain;version=0.0.4;q=0.5";
    for (accept, format) in [
        (None, Format::Text),
        (Some("*/*"), Format::Text),
        (Some(prometheus_2), Format::OpenMetrics),
        (Some(only_old_draft), Format::Text),
        (Some("application/openmetrics-text"), Format::OpenMetrics),
        (
            Some("application/openmetrics-text;q=0.2, text/plain"),
            Format::Text,
        ),
        (Some(";;=,q=,\0"), Format::Text),
    ] {
        assert_eq!(Format::negotiate(accept), format, "{accept:?}");
    }
}

#[test]
fn the_page_about_metrics_lists_them_all() {
    crate::example::check_part("metrics.md", "metrics", markdown().trim_end());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn hostile_texts_break_nothing(
        texts in prop::collection::vec(any::<String>(), 10),
        numbers in prop::collection::vec(any::<f64>(), 4),
    ) {
        let mut state = snapshot();
        state.system.name.clone_from(&texts[0]);
        state.miner.state.clone_from(&texts[1]);
        state.boards[0].model.clone_from(&texts[2]);
        state.pools[0].url.clone_from(&texts[3]);
        state.pools[0].reject_reasons[0].reason.clone_from(&texts[4]);
        state.stations[0].status.readings[0].name.clone_from(&texts[5]);
        state.stations[0].status.fans[0].name.clone_from(&texts[6]);
        state.tuner.stations[0].activity.clone_from(&texts[7]);
        state.tuner.stations[0].reach.clone_from(&texts[8]);
        state.tuner.demand.reasons[0].code.clone_from(&texts[9]);
        state.tuner.stations[0].ths = numbers[3];
        let twin = state.stations[0].status.readings[0].clone();
        state.stations[0].status.readings.push(twin);
        state.boards[0].hashrate.m1.hps = numbers[0];
        state.pools[0].accepted_difficulty = numbers[1];
        state.pools[0].latency_ms = Some(numbers[2]);
        for format in [Format::Text, Format::OpenMetrics] {
            let page = page(&state, format);
            let name = page.samples.keys().find(|(name, _)| name == "hashwright_agent_info");
            let told = &name.unwrap().1[0].1;
            let expected: String = texts[0].chars().take(200)
                .map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect();
            prop_assert_eq!(told, &expected);
        }
    }

    #[test]
    fn any_accept_header_has_an_answer(accept in any::<String>()) {
        let format = Format::negotiate(Some(&accept));
        prop_assert!(!format.content_type().is_empty());
    }
}
