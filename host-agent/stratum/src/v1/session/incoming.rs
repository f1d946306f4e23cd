//! What a session does with each message of the pool.

use std::time::Duration;

use super::connection::Link;
use super::{Identity, LONGEST_REDIRECT_WAIT, MAX_TRANSMITS, Session};
use crate::session::{Action, Event, Reason, Receipt, RejectKind};
use crate::v1::answer::{self, Verdict};
use crate::v1::jobs::Terms;
use crate::v1::message::{
    self, Extranonce, Incoming, Reconnect, RequestId, Response, Subscription,
};
use crate::v1::notify::Notify;
use crate::v1::redirect::may_follow;
use crate::v1::request::{self, Request};
use crate::v1::shares::Sent;

impl Session {
    pub(super) fn handle_message(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Response(response) => self.on_response(&response),
            Incoming::Notify(notify) => self.on_notify(notify),
            Incoming::SetDifficulty(difficulty) => self.on_difficulty(difficulty),
            Incoming::SetExtranonce(extranonce) => self.on_extranonce(extranonce),
            Incoming::SetVersionMask(mask) => {
                if self.config.version_mask != 0 {
                    self.agree_on_mask(Some(mask));
                }
            }
            Incoming::Reconnect(wish) => self.on_reconnect(wish),
            Incoming::ShowMessage(text) => {
                self.counters.stats.message = Some(text.clone());
                self.tell(Event::Message(text));
            }
            Incoming::GetVersion(id) => {
                let agent = self.config.agent.clone();
                self.answer(id, &agent);
            }
            Incoming::Ping(id) => self.answer(id, "pong"),
            Incoming::Unknown(_) => self.counters.stats.ignored += 1,
        }
    }

    fn on_response(&mut self, response: &Response) {
        let Link::Up(connection) = &mut self.link else {
            return;
        };
        let Some(id) = response.id else {
            self.counters.stats.ignored += 1;
            return;
        };
        match connection.close(id) {
            Some(Request::Configure) => {
                let granted = answer::outcome(response)
                    .ok()
                    .and_then(message::parse_configuration);
                // The mask may have come by itself before; a refusal does not revoke it.
                if granted.is_some() || connection.rolling.is_none() {
                    self.agree_on_mask(granted);
                }
            }
            Some(Request::Subscribe) => match answer::outcome(response) {
                Ok(result) => match message::parse_subscription(result) {
                    Ok(subscription) => self.on_subscription(subscription),
                    Err(error) => self.close(error.into()),
                },
                Err(text) => self.close(Reason::SubscribeRefused(text)),
            },
            Some(Request::Authorize) => match answer::outcome(response) {
                Ok(_) => {
                    connection.authorized = true;
                    self.tell(Event::Authorized);
                    self.send_waiting();
                }
                // Perhaps only because the subscription is not through yet.
                Err(_) if connection.subscribed_at.is_none() => {}
                Err(text) => self.close(Reason::AuthorizeRefused(text)),
            },
            Some(Request::ExtranonceSubscribe | Request::SuggestDifficulty) => {}
            None => match self.desk.answered(id) {
                Some(sent) => self.on_verdict(sent, answer::verdict(response)),
                None => self.counters.stats.ignored += 1,
            },
        }
    }

    fn on_subscription(&mut self, subscription: Subscription) {
        let Subscription {
            session_id,
            extranonce,
        } = subscription;
        let kept = self
            .identity
            .as_ref()
            .filter(|identity| identity.extranonce == extranonce)
            .map(|identity| identity.session);
        if kept.is_none() {
            self.void_jobs();
        }
        self.identity = Some(Identity {
            session: kept.unwrap_or_else(|| self.sequence.next_session()),
            pool_session_id: session_id,
            extranonce: extranonce.clone(),
        });
        if kept.is_some() {
            self.counters.stats.resumes += 1;
        }
        if self.configure.without && !self.memory.refuses_configure {
            self.memory.refuses_configure = true;
            self.configure.left_out_since = Some(self.now);
            self.tell(Event::Learnt("the pool hangs up on mining.configure"));
        }
        self.tell(Event::Subscribed {
            resumed: kept.is_some(),
        });
        let Link::Up(connection) = &mut self.link else {
            return;
        };
        connection.subscribed_at = Some(self.now);
        connection.extranonce = Some(extranonce);
        if !connection.authorized && !connection.is_open(Request::Authorize) {
            let id = connection.next_id();
            connection.open.push((id, Request::Authorize));
            self.transmits
                .push_back(request::authorize(id, &self.config));
        }
        if let Some(notify) = connection.early_job.take() {
            self.on_notify(notify);
        }
    }

    fn on_notify(&mut self, notify: Box<Notify>) {
        let Link::Up(connection) = &mut self.link else {
            return;
        };
        let (Some(identity), Some(extranonce), Some(_)) = (
            &self.identity,
            &connection.extranonce,
            connection.subscribed_at,
        ) else {
            connection.early_job = Some(notify);
            return;
        };
        let first = connection.first_job_at.is_none();
        // After another session began there is no current job.
        let moved = self
            .book
            .current()
            .is_none_or(|known| known.job.prev_hash != notify.prev_hash);
        // The first job of a connection is clean as a matter of form. When we got our extranonce
        // back and the block before is the same, pools go on taking shares for the earlier jobs.
        let voids = moved || (notify.clean && !first);
        let terms = Terms {
            session: identity.session,
            extranonce: extranonce.clone(),
            difficulty: connection.difficulty,
            version_mask: connection.rolling.unwrap_or(0),
        };
        connection.first_job_at.get_or_insert(self.now);
        connection.last_job_at = Some(self.now);
        self.void_at = None;
        self.counters.stats.problem = None;
        let sequence = &self.sequence;
        let job = self.book.announce(&notify, voids, &terms, self.now, || {
            sequence.next_generation()
        });
        if let Some(job) = job {
            if !first && !voids {
                self.memory.refreshes_jobs = true;
            }
            self.counters.stats.jobs += 1;
            self.tell(Event::Job(job));
        }
        self.send_waiting();
    }

    fn on_difficulty(&mut self, difficulty: mining::Difficulty) {
        let Link::Up(connection) = &mut self.link else {
            return;
        };
        connection.difficulty = difficulty;
        if difficulty.get().fract() != 0.0 {
            self.memory.fractional_difficulty = true;
            if let Some(wish) = self.config.suggest_difficulty
                && !connection.sent_suggestion
            {
                connection.sent_suggestion = true;
                let id = connection.next_id();
                connection.open.push((id, Request::SuggestDifficulty));
                self.transmits
                    .extend(request::suggest_difficulty(id, wish.get(), true));
            }
        }
        self.tell(Event::Difficulty(difficulty.get()));
    }

    fn on_extranonce(&mut self, extranonce: Extranonce) {
        let Link::Up(connection) = &mut self.link else {
            return;
        };
        if connection.subscribed_at.is_some()
            && let Some(identity) = &mut self.identity
        {
            identity.extranonce = extranonce.clone();
        }
        connection.extranonce = Some(extranonce);
    }

    /// Takes a new mask for the job at hand as well: the pool may judge by it at once.
    fn agree_on_mask(&mut self, granted: Option<u32>) {
        let Link::Up(connection) = &mut self.link else {
            return;
        };
        let before = connection.rolling;
        connection.rolling = granted.map(|mask| mask & self.config.version_mask);
        let mask = connection.rolling.unwrap_or(0);
        if before != connection.rolling {
            self.tell(Event::VersionMask(mask));
        }
        if let Some(job) = self.book.remask(mask) {
            self.tell(Event::Job(job));
        }
    }

    fn on_reconnect(&mut self, wish: Reconnect) {
        let Link::Up(connection) = &self.link else {
            return;
        };
        let url = &self.config.url;
        let host = wish.host.as_deref().unwrap_or(&connection.to.0);
        if !may_follow(url.host(), host) {
            let host = crate::text::presentable(host, 100);
            self.tell(Event::RedirectRefused { host });
            return;
        }
        let to = (host.to_owned(), wish.port.unwrap_or(connection.to.1));
        let home = to.0 == url.host() && to.1 == url.port();
        self.actions.push_back(Action::Close(Reason::Reconnect));
        let wait = Duration::from_secs(u64::from(wish.wait_s)).min(LONGEST_REDIRECT_WAIT);
        self.end(Reason::Reconnect, wait);
        self.redirect = (!home).then_some(to);
    }

    fn answer(&mut self, id: RequestId, result: &str) {
        if let Some(id) = id.0
            && self.transmits.len() < MAX_TRANSMITS
        {
            self.transmits.push_back(request::answer(&id, result));
        }
    }

    fn on_verdict(&mut self, sent: Sent, verdict: Verdict) {
        let latency = self.now.saturating_sub(sent.at);
        self.counters.answered_after(latency);
        if sent.ticket.overdue {
            let unconfirmed = &mut self.counters.stats.unconfirmed;
            *unconfirmed = unconfirmed.saturating_sub(1);
        }
        self.learn(&sent, &verdict);
        let ticket = sent.ticket;
        let receipt = Box::new(Receipt {
            share: ticket.share,
            difficulty: ticket.difficulty,
            latency,
            resent: ticket.resent,
        });
        match verdict {
            // The pool took it when it was sent first, and the answer was lost.
            Verdict::Rejected {
                kind: RejectKind::Duplicate,
                ..
            } if receipt.resent => self.accept(receipt),
            Verdict::Accepted => self.accept(receipt),
            Verdict::Rejected { kind, text } => {
                self.counters.rejected(kind, &text);
                self.tell(Event::ShareRejected {
                    receipt,
                    kind,
                    text: text.clone(),
                });
                if kind == RejectKind::NotSubscribed {
                    self.close(Reason::SubscriptionLost(text));
                }
            }
        }
    }

    fn accept(&mut self, receipt: Box<Receipt>) {
        if let Link::Up(connection) = &mut self.link {
            connection.accepted_at = Some(self.now);
        }
        self.counters.accepted(self.now, &receipt);
        self.tell(Event::ShareAccepted(receipt));
    }

    /// Finds out about the pool from its verdict on a share.
    fn learn(&mut self, sent: &Sent, verdict: &Verdict) {
        let form_in_question = sent.form == Some(self.memory.version_bits);
        match verdict {
            Verdict::Accepted => {
                if form_in_question {
                    self.forms.accepted();
                }
                if sent.misses_newest {
                    self.memory.judges_at_once = false;
                }
            }
            Verdict::Rejected {
                kind: RejectKind::LowDifficulty,
                ..
            } if sent.misses_newest => {
                if sent.form.is_none() && !self.memory.judges_at_once {
                    self.memory.judges_at_once = true;
                    self.tell(Event::Learnt(
                        "the pool judges shares of older jobs by the new difficulty",
                    ));
                }
            }
            Verdict::Rejected { kind, .. } => {
                if form_in_question && self.forms.rejected(*kind) {
                    self.memory.version_bits = self.memory.version_bits.other();
                    self.tell(Event::Learnt(
                        "the pool seems to combine version bits in the other way",
                    ));
                }
            }
        }
    }
}
