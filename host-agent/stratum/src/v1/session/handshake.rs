//! The requests with which a connection begins, and whether the pool can bear the first one.

use std::time::Duration;

use super::connection::Link;
use super::{ConfigureTrial, Session};
use crate::v1::request::{self, Request};

/// When to try again whether a pool takes `mining.configure`: a pool may change, and the
/// hang-up may have had another cause.
const CONFIGURE_RETRY: Duration = Duration::from_secs(3600);

impl Session {
    /// All requests at once: servers answer them in order, and some never answer some.
    pub(super) fn shake_hands(&mut self) {
        let with_configure = self.config.version_mask != 0 && self.may_configure();
        let Link::Up(connection) = &mut self.link else {
            return;
        };
        let config = &self.config;
        let mut ask = |request: Request, line: &dyn Fn(u64) -> Option<Vec<u8>>| {
            let id = connection.next_id();
            if let Some(line) = line(id) {
                connection.open.push((id, request));
                self.transmits.push_back(line);
            }
        };
        if with_configure {
            ask(Request::Configure, &|id| {
                Some(request::configure(id, config.version_mask))
            });
        }
        let identity = self.identity.as_ref();
        let session_id = identity.and_then(|identity| identity.pool_session_id.as_deref());
        ask(Request::Subscribe, &|id| {
            Some(request::subscribe(id, &config.agent, session_id))
        });
        if config.extranonce_subscribe {
            ask(Request::ExtranonceSubscribe, &|id| {
                Some(request::extranonce_subscribe(id))
            });
        }
        let fractions = self.memory.fractional_difficulty;
        if let Some(difficulty) = config.suggest_difficulty {
            ask(Request::SuggestDifficulty, &|id| {
                request::suggest_difficulty(id, difficulty.get(), fractions)
            });
        }
        ask(Request::Authorize, &|id| {
            Some(request::authorize(id, config))
        });
        connection.sent_configure = with_configure;
        connection.sent_suggestion = connection.is_open(Request::SuggestDifficulty);
    }

    fn may_configure(&mut self) -> bool {
        if self.memory.refuses_configure {
            let since = *self.configure.left_out_since.get_or_insert(self.now);
            if since.saturating_add(CONFIGURE_RETRY) <= self.now {
                self.memory.refuses_configure = false;
                self.configure = ConfigureTrial::default();
            }
        }
        !self.memory.refuses_configure && !self.configure.without
    }
}
