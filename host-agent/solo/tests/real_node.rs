//! A real node on regtest, if the environment names one:
//! `SOLO_NODE=http://127.0.0.1:18443 SOLO_USER=u SOLO_PASSWORD=p cargo test -p solo --test
//! real_node -- --ignored`. Finds 30 blocks through the whole path, TCP and HTTP included.

mod rig;

use std::env::var;
use std::sync::Arc;
use std::time::Duration;

use mining::Target;
use rig::{REGTEST, find};
use solo::{Auth, Config, Session, transport};
use stratum::transport::{Channels, TcpConnector};
use stratum::{BlockFate, Event, Secret, Sequence, Stats};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a node, named in SOLO_NODE, SOLO_USER and SOLO_PASSWORD"]
async fn a_real_node_takes_our_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let auth = Auth::Password {
        user: var("SOLO_USER").unwrap_or_default(),
        password: Secret::new(var("SOLO_PASSWORD").unwrap_or_default()),
    };
    let url = var("SOLO_NODE").unwrap().parse().unwrap();
    let address = var("SOLO_ADDRESS").unwrap_or(REGTEST.into());
    let config = Config::new(url, auth, address, folder.path());
    let session = Session::new(config, fastrand::u64(..), Sequence::new()).unwrap();
    let (sink, mut events) = mpsc::unbounded_channel();
    let (shares, from_miner) = mpsc::channel(100);
    let (_hashrate, rate) = watch::channel(0.0);
    let (counters, _stats) = watch::channel(Stats::default());
    let (stop, stopped) = oneshot::channel::<()>();
    let channels = Channels {
        shares: from_miner,
        hashrate: rate,
        sink: Box::new(move |event| {
            let _ = sink.send(event);
        }),
        stats: counters,
    };
    let run = transport::run(
        session,
        TcpConnector::default(),
        channels,
        Instant::now(),
        async {
            let _ = stopped.await;
        },
    );
    let task = tokio::spawn(run);
    let mut found = 0;
    while found < 30 {
        let event = timeout(Duration::from_secs(60), events.recv()).await;
        match event.expect("the node is silent").unwrap() {
            Event::Job(job) => {
                let network = Target::from_nbits(job.nbits).unwrap();
                let share = find(&Arc::clone(&job), |hash| network.is_met_by(hash));
                shares.send(share).await.unwrap();
            }
            Event::Block(block) => match block.fate {
                BlockFate::Accepted => found += 1,
                BlockFate::Rejected(why) | BlockFate::Retried(why) => panic!("{why}"),
                _ => {}
            },
            Event::Disconnected { reason, .. } => panic!("{reason}"),
            Event::Learnt(what) => println!("learnt: {what}"),
            _ => {}
        }
    }
    let _ = stop.send(());
    let stats = task.await.unwrap().stats();
    // One more may have been found by the time it stopped.
    assert!(stats.blocks >= 30 && stats.rejected == 0, "{stats:?}");
    println!("{} blocks, latency {:?}", stats.blocks, stats.latency);
}
