//! Every chip family, as one chip and as long chains, mines at full rate: at least 98 % of what its
//! clock promises, no header twice, no wrong nonce, no share that the pool does not take.

mod support;

use std::time::Duration;

use bm13xx::ChipKind;
use board_profiles::Profile;
use hashwright::config;
use support::{Lab, easy_pool, lively};

/// Nonces to count: their number is known to 0.6 %, so 98 % is more than three sigma away.
const NONCES: f64 = 30_000.0;

fn board(kind: ChipKind, chips: u16) -> config::Board {
    let (name, mhz) = match kind {
        ChipKind::Bm1397 => ("bitaxe-max", 425.0),
        ChipKind::Bm1362 => ("s19j-pro", 525.0),
        ChipKind::Bm1366 => ("s19k-pro", 590.0),
        ChipKind::Bm1368 => ("s21", 490.0),
        ChipKind::Bm1370 => ("s21-pro", 590.0),
        ChipKind::Bm1372 | ChipKind::Bm1373 => ("s21-pro", 327.0),
    };
    let mut profile = Profile::builtin(name).expect("profile");
    profile.chain.chip = kind;
    profile.chain.chips = chips;
    profile.chain.domains = 1;
    profile.chain.chips_per_domain = chips;
    profile.chain.baud = kind.model().run_baud.get();
    profile.frequency.default_mhz = mhz;
    // 65 chips of the BM1397 use up a job in less time than its frame takes on a 3.125 Mbaud line
    // above 260 MHz: long chains of it are bound by the line, not by the driver.
    if kind == ChipKind::Bm1397 && chips > 32 {
        profile.chain.baud = 3_125_000;
        profile.frequency.default_mhz = 200.0;
    }
    let mut board = config::Board::bare(profile, u64::from(chips));
    lively(&mut board, 1000.0);
    board
}

async fn reaches_full_rate(kind: ChipKind, chips: u16) {
    let board = board(kind, chips);
    let expected = board.profile.hashrate_hps(board.target_mhz());
    let ticket_hashes = f64::from(board.profile.chain.ticket_difficulty) * 2f64.powi(32);
    let time = Duration::from_secs_f64(NONCES * ticket_hashes / expected);
    // One nonce in sixteen is a share, and no block comes between: a share that crosses a block on
    // its way would be stale without anybody's fault.
    let mut pool = easy_pool();
    pool.block_interval = Duration::ZERO;
    pool.vardiff.start = pool::Difficulty::new(2f64.powi(8 - 32)).expect("difficulty");
    let lab = Lab::start(vec![board], pool);
    // Chains that need nonce offsets write them after the first job, and count from then on.
    let start = lab
        .run_until(Duration::from_secs(120), |state| {
            state.boards[0].nonces.valid > 0
        })
        .await;
    assert_eq!(start.boards[0].chips_found, chips);
    lab.run_for(time).await;
    let state = lab.state();
    let board = &state.boards[0];
    assert_eq!(board.problem, None);
    assert_eq!(board.restarts, 0);
    let nonces = board.nonces.valid - start.boards[0].nonces.valid;
    let delivered = nonces as f64 * ticket_hashes / expected / time.as_secs_f64();
    assert!(
        delivered >= 0.98,
        "{kind} x {chips}: {:.2} %",
        delivered * 100.0
    );
    assert!(
        delivered <= 1.03,
        "{kind} x {chips}: {:.2} %",
        delivered * 100.0
    );
    assert_eq!(board.nonces.hardware_errors, 0, "{kind} x {chips}");
    assert_eq!(board.nonces.duplicates, 0, "{kind} x {chips}");
    assert_eq!((board.crc_errors, board.dropped_bytes), (0, 0));
    let silent = state.chips.iter().filter(|chip| chip.nonces == 0).count();
    assert_eq!(silent, 0, "{kind} x {chips}: every chip finds nonces");
    let pool = lab.pool_stats();
    assert_eq!(
        pool.rejected.total(),
        0,
        "{kind} x {chips}: {:?}",
        pool.rejected
    );
    assert!(
        pool.accepted as f64 > 0.9 * NONCES / 16.0,
        "{} accepted",
        pool.accepted
    );
    lab.stop().await;
}

macro_rules! families {
    ($($name:ident: $kind:ident x $chips:literal;)*) => {$(
        #[tokio::test(start_paused = true)]
        async fn $name() {
            reaches_full_rate(ChipKind::$kind, $chips).await;
        }
    )*};
}

families! {
    one_bm1362: Bm1362 x 1;
    twelve_bm1362: Bm1362 x 12;
    sixty_five_bm1362: Bm1362 x 65;
    one_hundred_and_twenty_six_bm1362: Bm1362 x 126;
    one_bm1366: Bm1366 x 1;
    twelve_bm1366: Bm1366 x 12;
    sixty_five_bm1366: Bm1366 x 65;
    one_hundred_and_twenty_six_bm1366: Bm1366 x 126;
    one_bm1368: Bm1368 x 1;
    twelve_bm1368: Bm1368 x 12;
    sixty_five_bm1368: Bm1368 x 65;
    one_hundred_and_twenty_six_bm1368: Bm1368 x 126;
    one_bm1370: Bm1370 x 1;
    twelve_bm1370: Bm1370 x 12;
    sixty_five_bm1370: Bm1370 x 65;
    one_hundred_and_twenty_six_bm1370: Bm1370 x 126;
    one_bm1372: Bm1372 x 1;
    twelve_bm1372: Bm1372 x 12;
    one_bm1373: Bm1373 x 1;
    twelve_bm1373: Bm1373 x 12;
    one_bm1397: Bm1397 x 1;
    twelve_bm1397: Bm1397 x 12;
    sixty_five_bm1397: Bm1397 x 65;
    one_hundred_and_twenty_six_bm1397: Bm1397 x 126;
}
