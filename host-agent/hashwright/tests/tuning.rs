//! The tuner in the whole program: real orders to stations and chains of simulated boards, judged by what
//! the simulator knows.

mod support;

use std::time::Duration;

use autotune::{Activity, Aim};
use board_profiles::Profile;
use hashwright::config;
use hashwright::port::SharedBoard;
use hashwright::state::Snapshot;
use support::{Lab, easy_pool};

const MINUTE: Duration = Duration::from_secs(60);

fn whole(name: &str, scale_bits: u8) -> config::Board {
    let profile = Profile::builtin(name).expect("profile");
    let mut board = config::Board::simulated(profile, 7);
    if let Some(sim) = &mut board.sim {
        sim.scale_bits = scale_bits;
    }
    board
}

fn mining(state: &Snapshot) -> bool {
    state.miner.state == "mining"
}

fn simulated(lab: &Lab) -> SharedBoard {
    lab.agent.simulated[0].clone().expect("a simulated board")
}

#[tokio::test(start_paused = true)]
async fn a_gamma_is_brought_to_the_power_that_is_wanted_and_does_more_with_it() {
    let mut config = support::config(vec![whole("bitaxe-gamma", 28)]);
    let lab = Lab::start_with(&config, easy_pool());
    lab.run_until(3 * MINUTE, mining).await;
    lab.run_for(5 * MINUTE).await;
    let factory_w = simulated(&lab).truth().input_w;
    let state = lab.stop().await;
    let factory_j = factory_w / (state.miner.hashrate.m10.hps / 1e12);

    config.tuner.aim = Aim::Watts(factory_w * 0.85);
    let lab = Lab::start_with(&config, easy_pool());
    lab.run_until(3 * MINUTE, mining).await;
    lab.run_for(20 * MINUTE).await;
    let view = lab.agent.tuners[0].view.borrow().clone();
    eprintln!("{:?} {:?}", view.status, view.trouble);
    for step in &view.steps {
        eprintln!("{step:?}");
    }
    assert_eq!(view.status.activity, Activity::Keeping);
    let watts = simulated(&lab).truth().input_w;
    assert!((watts / (factory_w * 0.85) - 1.0).abs() < 0.02, "{watts} W");
    lab.run_for(10 * MINUTE).await;
    let state = lab.stop().await;
    let rate = state.miner.hashrate.m10;
    let tuned_j = watts / (rate.hps / 1e12);
    eprintln!("factory {factory_j} J/TH at {factory_w} W, tuned {tuned_j} at {watts} W");
    // The published curve alone gives a fifth of the way.
    assert!(tuned_j < factory_j * 0.95, "{tuned_j} after {factory_j}");
}
