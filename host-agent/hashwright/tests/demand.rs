//! The rules of `[tuner]` in the whole program: a simulated board follows curtailment, sleeps by the clock on the wall, and
//! a price that nobody tells any more is not believed for ever.

mod support;

use std::time::Duration;

use autotune::Aim;
use board_profiles::Profile;
use demand::{Days, Entry, Fallback, PriceRule, PriceStep, Then};
use hashwright::config::{self, Config};
use hashwright::port::SharedBoard;
use hashwright::state::Snapshot;
use jiff::tz::TimeZone;
use pool::PoolConfig;
use rpc::tuner::{Curtail, Feed};
use support::Lab;

const MINUTE: Duration = Duration::from_secs(60);
/// Monday, 5 January 2026, 16:55 in Greenwich.
const MONDAY_16_55: u64 = 1_767_632_100;

fn gamma() -> Config {
    let profile = Profile::builtin("bitaxe-gamma").expect("profile");
    let mut board = config::Board::simulated(profile, 7);
    if let Some(sim) = &mut board.sim {
        sim.scale_bits = 28;
    }
    support::config(vec![board])
}

fn calm_pool() -> PoolConfig {
    let mut config = support::easy_pool();
    config.vardiff.start = pool::Difficulty::new(2e-6).expect("difficulty");
    config
}

fn simulated(lab: &Lab) -> SharedBoard {
    lab.agent.simulated[0].clone().expect("a simulated board")
}

fn watts(lab: &Lab) -> f64 {
    simulated(lab).truth().input_w
}

fn mining(state: &Snapshot) -> bool {
    state.miner.state == "mining"
}

fn asleep(state: &Snapshot) -> bool {
    state.tuner.demand.asleep && state.boards[0].state == "asleep"
}

fn texts(lab: &Lab) -> Vec<String> {
    let entries = lab.agent.events.after(0, usize::MAX);
    let own = |code: &str| code == "demand" || code == "feed-file";
    let own = entries.into_iter().filter(|entry| own(&entry.notice.code));
    own.map(|entry| entry.notice.text).collect()
}

async fn curtail(lab: &Lab, watts: Option<f64>, ramp_s: f64) {
    let wish = Curtail {
        watts,
        ramp_s: Some(ramp_s),
        for_s: None,
    };
    let status = lab.agent.demand.curtail(wish).await.expect("taken");
    assert_eq!(status.curtailed_to_w, watts);
}

#[tokio::test(start_paused = true)]
async fn curtailment_is_followed_down_and_back_and_to_sleep() {
    let mut config = gamma();
    config.tuner.aim = Aim::Watts(20.0);
    let lab = Lab::start_with(&config, calm_pool());
    let kept = |state: &Snapshot| state.tuner.stations[0].activity == "keeping";
    lab.run_until(40 * MINUTE, kept).await;
    lab.run_for(3 * MINUTE).await;
    let before = watts(&lab);
    assert!((18.0..21.0).contains(&before), "{before} W");

    let target = 0.6 * before;
    curtail(&lab, Some(target), 120.0).await;
    let mut caps: Vec<f64> = Vec::new();
    for second in 0..180_usize {
        lab.run_for(Duration::from_secs(1)).await;
        let demand = lab.state().tuner.demand.clone();
        caps.push(demand.caps.watts.unwrap_or(before));
        let now = watts(&lab);
        // Clocks and voltage need their time: a quarter of a minute behind the ramp.
        let late = caps[second.saturating_sub(15)];
        assert!(now <= late * 1.03 + 0.2, "{second} s: {now} W at {late} W");
    }
    let falling = caps.windows(2).all(|pair| pair[1] <= pair[0] + 1e-9);
    assert!(falling, "{caps:?}");
    let there = watts(&lab);
    assert!(
        (0.93..1.03).contains(&(there / target)),
        "{there} of {target} W"
    );
    let demand = lab.state().tuner.demand.clone();
    assert_eq!(demand.reasons[0].code, "curtailment");

    let wish = Curtail {
        watts: None,
        ramp_s: Some(60.0),
        for_s: None,
    };
    lab.agent.demand.curtail(wish).await.expect("ended");
    lab.run_for(5 * MINUTE).await;
    let after = watts(&lab);
    // Nothing measures its input power: what the tuner believes of it is some percent off after such a way.
    assert!(
        (0.9..1.08).contains(&(after / before)),
        "{after} of {before} W"
    );

    curtail(&lab, Some(0.0), 0.0).await;
    lab.run_until(Duration::from_secs(15), asleep).await;
    assert!(watts(&lab) < 2.0, "{} W", watts(&lab));
    let state = lab.state();
    assert!(
        state.stations[0].status.reasons[0].contains("curtailment"),
        "{:?}",
        state.stations[0].status.reasons
    );
    lab.run_for(5 * MINUTE).await;
    assert!(asleep(&lab.state()));
    curtail(&lab, None, 0.0).await;
    lab.run_until(3 * MINUTE, mining).await;
    lab.run_for(MINUTE).await;
    let again = watts(&lab);
    assert!(
        (0.9..1.08).contains(&(again / before)),
        "{again} of {before} W"
    );
    lab.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_schedule_lets_it_sleep_by_the_clock_on_the_wall() {
    let mut config = gamma();
    let rules = &mut config.tuner.rules;
    rules.start_unix_s = Some(MONDAY_16_55);
    rules.zone = Some(TimeZone::UTC);
    rules.schedule = vec![Entry {
        days: Days::of(["mon-fri"]).expect("days"),
        from: "17:00".parse().expect("a time"),
        to: "17:30".parse().expect("a time"),
        aim: None,
        then: Some(Then::Sleep),
    }];
    let lab = Lab::start_with(&config, calm_pool());
    let state = lab.run_until(3 * MINUTE, mining).await;
    let next = state.tuner.demand.next_change_unix_s;
    assert_eq!(next, Some(MONDAY_16_55 + 300));
    let now = state.system.uptime_s;
    lab.run_for(Duration::from_secs_f64(298.0 - now)).await;
    assert!(mining(&lab.state()));
    lab.run_until(Duration::from_secs(20), asleep).await;
    assert!(watts(&lab) < 2.0);
    let demand = lab.state().tuner.demand.clone();
    assert_eq!(demand.reasons[0].text, "schedule: asleep until 17:30");
    let left = 300.0 + 1795.0 - lab.state().system.uptime_s;
    lab.run_for(Duration::from_secs_f64(left)).await;
    assert!(asleep(&lab.state()));
    lab.run_until(2 * MINUTE, mining).await;
    let state = lab.stop().await;
    assert!(!state.tuner.demand.asleep);
}

#[tokio::test(start_paused = true)]
async fn a_price_that_nobody_tells_any_more_is_not_believed_for_ever() {
    let directory = tempfile::tempdir().expect("directory");
    let file = directory.path().join("price");
    std::fs::write(&file, "0.45\n").expect("written");
    let mut config = gamma();
    let rules = &mut config.tuner.rules;
    rules.least_awake = Duration::ZERO;
    rules.price_file = Some(file.clone());
    rules.price = Some(PriceRule {
        steps: vec![PriceStep {
            above: 0.40,
            then: Then::Sleep,
        }],
        hysteresis: 0.05,
        valid: 10 * MINUTE,
        stale: Fallback::Ignore,
    });
    let lab = Lab::start_with(&config, calm_pool());
    lab.run_until(MINUTE, asleep).await;
    let demand = lab.state().tuner.demand.clone();
    assert_eq!(demand.price_per_kwh, Some(0.45));
    assert_eq!(demand.reasons[0].text, "price 0.45/kWh above 0.4: asleep");
    let said = texts(&lab);
    assert!(
        !said.iter().any(|text| text.contains("none was told")),
        "{said:?}"
    );
    // What cannot be read is said, and the last price holds on.
    std::fs::write(&file, "free of charge").expect("written");
    lab.run_for(MINUTE).await;
    assert!(asleep(&lab.state()));
    let said = texts(&lab);
    let bad = said.iter().filter(|text| text.contains("free of charge"));
    assert_eq!(bad.count(), 1, "{said:?}");
    lab.run_until(12 * MINUTE, mining).await;
    let demand = lab.state().tuner.demand.clone();
    assert_eq!(demand.reasons[0].code, "stale-feed");
    // A word over the API counts as well.
    let dear = Feed {
        price_per_kwh: Some(0.50),
        valid_s: Some(300.0),
        ..Feed::default()
    };
    assert!(lab.agent.demand.feed(dear).await.expect("taken").asleep);
    lab.run_until(MINUTE, asleep).await;
    std::fs::write(&file, "{\"price_per_kwh\": 0.2}").expect("written");
    lab.run_until(4 * MINUTE, mining).await;
    let said = texts(&lab);
    assert!(
        said.iter()
            .any(|text| text.starts_with("no rule holds the miner back")),
        "{said:?}"
    );
    let useless = Feed {
        surplus_w: Some(500.0),
        ..Feed::default()
    };
    let refused = lab.agent.demand.feed(useless).await.expect_err("no rule");
    assert!(
        refused.text().contains("[tuner.surplus]"),
        "{}",
        refused.text()
    );
    lab.stop().await;
}
