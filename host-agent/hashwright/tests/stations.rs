//! What the whole agent does with boards that it controls: it powers them in order, cools them, sees
//! faults, and leaves them without power.

mod support;

use std::time::Duration;

use board_profiles::Profile;
use hashwright::config;
use support::{Lab, easy_pool, lively};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// A whole simulated board that finds some nonces a second.
fn whole(name: &str) -> config::Board {
    let profile = Profile::builtin(name).expect("profile");
    let mut board = config::Board::simulated(profile, 1);
    lively(&mut board, 5.0);
    board
}

#[tokio::test(start_paused = true)]
async fn a_controlled_board_is_powered_mines_and_is_left_without_power() {
    let lab = Lab::start(vec![whole("bitaxe-gamma")], easy_pool());
    let board = lab.agent.simulated[0].clone().expect("a simulated board");
    assert!(!board.truth().core_on);
    lab.run_until(3 * MINUTE, |state| state.miner.state == "mining")
        .await;
    assert!(board.truth().core_on);
    lab.run_for(MINUTE).await;
    let state = lab.stop().await;
    assert!(!board.truth().core_on);
    assert_eq!(state.boards[0].guard, "agent");
    assert!(state.boards[0].nonces.shares > 50, "{:#?}", state.boards[0]);
    let _ = SECOND;
}
