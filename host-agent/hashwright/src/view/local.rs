//! The view of this very program: the owner's terminal, which may do everything.

use std::sync::Arc;

use rpc::Role;
use rpc::settings::{ClearFault, CoolingMode, CoolingSet, WriteOptions};
use rpc::stream::Level;
use tokio::sync::watch;

use super::feed::{Feed, Source, Wish, feed};
use crate::api::logs;
use crate::cli::top::done;
use crate::events::EventLog;
use crate::settings::{self, Actor, Settings};
use crate::state::Snapshot;

/// Lines that are taken from the log at a time.
const LINES: usize = 500;

/// Feeds a view from this program, until the view ends.
#[must_use]
pub fn local(state: watch::Receiver<Arc<Snapshot>>, events: EventLog, settings: Settings) -> Feed {
    let (source, feed) = feed();
    tokio::spawn(pass_on(source, events, settings));
    Feed { state, ..feed }
}

async fn pass_on(mut source: Source, events: EventLog, settings: Settings) {
    let (mut happened, mut written) = (events.watch(), logs::ring().watch());
    let (mut revision, mut line) = (0, 0);
    loop {
        let newest = *happened.borrow_and_update();
        for entry in events.touched_since(revision) {
            // A view that does not keep up shows the newest ones later.
            let _ = source.events.try_send(entry);
        }
        revision = newest;
        written.mark_unchanged();
        for new in logs::ring().after(line, Level::Info, LINES) {
            line = line.max(new.number);
            let _ = source.log.try_send(new);
        }
        tokio::select! {
            Ok(()) = happened.changed() => {}
            Ok(()) = written.changed() => {}
            wish = source.wishes.recv() => {
                let Some(wish) = wish else { return };
                let made = settings.ask(&owner(), asked(wish), WriteOptions::default()).await;
                let answer = made
                    .map(|changed| done(&changed))
                    .map_err(|refusal| refusal.text().to_owned());
                let _ = source.answers.try_send(answer);
            }
        }
    }
}

fn owner() -> Actor {
    Actor {
        name: "view".to_owned(),
        role: Role::Admin,
        via: "view",
        peer: None,
    }
}

fn asked(wish: Wish) -> settings::Wish {
    match wish {
        Wish::Pause => settings::Wish::Pause,
        Wish::Resume => settings::Wish::Resume,
        Wish::CoolingAuto => settings::Wish::Cooling(CoolingSet {
            mode: Some(CoolingMode::Auto),
            ..CoolingSet::default()
        }),
        Wish::CoolingManual(percent) => settings::Wish::Cooling(CoolingSet {
            mode: Some(CoolingMode::Manual),
            percent: Some(percent),
            ..CoolingSet::default()
        }),
        Wish::ClearFault(board, code) => settings::Wish::ClearFault(ClearFault { board, code }),
    }
}
