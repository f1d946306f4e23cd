//! What a miner may ask for, one function a method.

use super::{Grant, Session, Subscription};
use crate::event::{CloseReason, Event};
use crate::hash::to_hex;
use crate::ledger::Ledger;
use crate::quirks::Quirk;
use crate::share::{Reject, RejectedShare, Share, ShareTerms, Submit, check_share};
use crate::target::Difficulty;
use crate::wire;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// Workers that one connection may authorise.
const MAX_WORKERS: usize = 32;
/// Characters of a worker's name.
const MAX_WORKER_NAME: usize = 256;
/// Bytes in an extranonce1 that is too long on purpose.
const MAX_HOSTILE: u32 = 64 * 1024;
/// Characters kept of texts that only people read.
const MAX_TEXT: usize = 128;

impl Session {
    /// Handles one line without its end.
    pub(super) fn handle_line(&mut self, now: Duration, line: &[u8], ledger: &mut Ledger) {
        if line.is_empty() {
            return;
        }
        let Ok(Value::Object(message)) = serde_json::from_slice(line) else {
            return self.close(CloseReason::BadJson);
        };
        let id = message.get("id").unwrap_or(&Value::Null);
        let params = message.get("params").unwrap_or(&Value::Null);
        match message.get("method").and_then(Value::as_str) {
            Some("mining.configure") => self.configure(now, id, params, ledger),
            Some("mining.subscribe") => self.subscribe(now, id, params, ledger),
            Some("mining.authorize") => self.authorize(now, id, params, ledger),
            Some("mining.submit") => self.submit(now, id, params, ledger),
            Some("mining.suggest_difficulty") => self.suggest(now, params, ledger),
            Some("mining.extranonce.subscribe") if !self.hangs_up_on_unknown(ledger) => {
                let line = wire::answer(&ledger.config.quirks, id, json!(true), Value::Null);
                self.send(now, line, ledger);
            }
            Some("mining.ping") if !self.hangs_up_on_unknown(ledger) => {
                let line = wire::answer(&ledger.config.quirks, id, json!("pong"), Value::Null);
                self.send(now, line, ledger);
            }
            // Other methods get no answer, as at ckpool and public-pool.
            Some(_) if self.hangs_up_on_unknown(ledger) => {
                self.close(CloseReason::Quirk(Quirk::UnknownDisconnects.name()));
            }
            Some(_) => {}
            None => self.client_answer(id, &message, ledger),
        }
    }

    fn hangs_up_on_unknown(&self, ledger: &Ledger) -> bool {
        ledger.config.quirks.has(Quirk::UnknownDisconnects)
    }

    fn configure(&mut self, now: Duration, id: &Value, params: &Value, ledger: &mut Ledger) {
        let quirks = &ledger.config.quirks;
        if quirks.has(Quirk::ConfigureDisconnects) && self.subscription.is_none() {
            return self.close(CloseReason::Quirk(Quirk::ConfigureDisconnects.name()));
        }
        if quirks.has(Quirk::ConfigureSilent) {
            return;
        }
        if quirks.has(Quirk::ConfigureRefused) {
            let line = wire::refusal(quirks, id, 20, "Not supported");
            return self.send(now, line, ledger);
        }
        if quirks.has(Quirk::WrongTypes) {
            let line = wire::answer(quirks, id, json!("yes"), Value::Null);
            return self.send(now, line, ledger);
        }
        let names = params.get(0).and_then(Value::as_array);
        let options = params.get(1);
        let mut result = Map::new();
        for name in names.into_iter().flatten().filter_map(Value::as_str) {
            match name {
                "version-rolling" => {
                    let asked = options
                        .and_then(|options| options.get("version-rolling.mask"))
                        .and_then(Value::as_str)
                        .map_or(Some(u32::MAX), |text| u32::from_str_radix(text, 16).ok());
                    let offered = ledger
                        .config
                        .version_mask
                        .filter(|_| !quirks.has(Quirk::ConfigureFalse));
                    let agreed = asked.zip(offered).map(|(asked, ours)| asked & ours);
                    self.version_mask = agreed.filter(|mask| *mask != 0);
                    result.insert(name.to_owned(), json!(self.version_mask.is_some()));
                    if let Some(mask) = self.version_mask {
                        let text = json!(format!("{mask:08x}"));
                        result.insert("version-rolling.mask".to_owned(), text);
                    }
                }
                "subscribe-extranonce" | "info" => {
                    result.insert(name.to_owned(), json!(true));
                }
                // No recorded pool grants a minimum difficulty.
                "minimum-difficulty" => {
                    result.insert(name.to_owned(), json!(false));
                }
                _ => {}
            }
        }
        let line = wire::answer(quirks, id, Value::Object(result), Value::Null);
        self.send(now, line, ledger);
    }

    fn subscribe(&mut self, now: Duration, id: &Value, params: &Value, ledger: &mut Ledger) {
        // A second one on the same connection gets no answer, as at ckpool.
        let silent = ledger.config.quirks.has(Quirk::SubscribeSilent);
        if self.subscription.is_some() || silent {
            return;
        }
        if ledger.config.quirks.has(Quirk::EarlyVersionMask)
            && let Some(mask) = ledger.config.version_mask
        {
            let params = json!([format!("{mask:08x}")]);
            self.notify(now, "mining.set_version_mask", params, ledger);
        }
        let agent: String = params
            .get(0)
            .and_then(Value::as_str)
            .map(|agent| agent.chars().take(MAX_TEXT).collect())
            .unwrap_or_default();
        let wanted = params.get(1).and_then(Value::as_str);
        let resumed = wanted.and_then(|session_id| ledger.resume(now, session_id));
        let was_resumed = resumed.is_some();
        let extranonce1 = match resumed {
            Some(lost) => {
                self.grants = lost.grants;
                self.mark_stale(ledger);
                ledger.stats.resumed += 1;
                lost.extranonce1
            }
            None => ledger.new_extranonce1(),
        };
        let session_id = ledger.new_session_id();
        let quirks = &ledger.config.quirks;
        let subscriptions = if quirks.has(Quirk::NoSessionId) {
            json!([])
        } else {
            json!([["mining.notify", session_id]])
        };
        let result = if quirks.has(Quirk::WrongTypes) {
            json!(7)
        } else {
            let given = match quirks.number(Quirk::BadExtranonce1Size) {
                Some(bytes) => "e1".repeat(bytes.min(MAX_HOSTILE) as usize),
                None if quirks.has(Quirk::Extranonce1NotHex) => "e1e1xyz1".to_owned(),
                None => to_hex(&extranonce1),
            };
            let size = quirks.number(Quirk::BadExtranonce2Size);
            let size = size.unwrap_or(u32::from(ledger.config.extranonce2_size));
            json!([subscriptions, given, size])
        };
        let line = wire::answer(quirks, id, result, Value::Null);
        self.send(now, line, ledger);
        ledger.event(Event::Subscribed {
            connection: self.connection,
            agent: agent.clone(),
            extranonce1: extranonce1.clone(),
            resumed: was_resumed,
        });
        self.subscription = Some(Subscription {
            agent,
            session_id,
            extranonce1,
        });
        if ledger.config.quirks.has(Quirk::EarlyJob) {
            self.start_working(now, ledger);
        }
    }

    fn authorize(&mut self, now: Duration, id: &Value, params: &Value, ledger: &mut Ledger) {
        let worker = params.get(0).and_then(Value::as_str).unwrap_or_default();
        let quirks = &ledger.config.quirks;
        let refusal = if self.subscription.is_none() {
            Some((25, "Not subscribed"))
        } else if quirks.has(Quirk::RefuseAuthorize) {
            Some((24, "Unauthorized worker"))
        } else if worker.is_empty() || worker.chars().count() > MAX_WORKER_NAME {
            Some((20, "Invalid worker name"))
        } else {
            None
        };
        ledger.event(Event::Authorized {
            connection: self.connection,
            worker: worker.chars().take(MAX_TEXT).collect(),
            accepted: refusal.is_none(),
        });
        let quirks = &ledger.config.quirks;
        if let Some((code, text)) = refusal {
            let line = wire::answer(quirks, id, json!(false), json!([code, text, null]));
            return self.send(now, line, ledger);
        }
        let known = self.workers.iter().any(|known| known == worker);
        if !known && self.workers.len() < MAX_WORKERS {
            self.workers.push(worker.to_owned());
        }
        let yes = if quirks.has(Quirk::WrongTypes) {
            json!("sure")
        } else {
            json!(true)
        };
        let line = wire::answer(quirks, id, yes, Value::Null);
        let first = self.workers.len() == 1 && !known;
        let silent = quirks.has(Quirk::AuthorizeSilent);
        if quirks.has(Quirk::JobBeforeAuthorizeAnswer) {
            self.start_working(now, ledger);
        }
        if !silent {
            self.send(now, line, ledger);
        }
        if first {
            self.first_authorized(now, ledger);
        }
        self.start_working(now, ledger);
    }

    fn first_authorized(&mut self, now: Duration, ledger: &mut Ledger) {
        let quirks = ledger.config.quirks.clone();
        self.arm_timers(now, &quirks);
        if quirks.has(Quirk::GetVersion) {
            let line = wire::request(wire::VERSION_ID, "client.get_version");
            self.send(now, line, ledger);
        }
        if quirks.has(Quirk::UnknownMethod) {
            self.notify(now, "mining.hashrate", json!({"window": [1, {}]}), ledger);
            self.notify(now, "", json!("text"), ledger);
        }
    }

    fn suggest(&mut self, now: Duration, params: &Value, ledger: &mut Ledger) {
        if ledger.config.quirks.has(Quirk::IgnoreSuggest) {
            return;
        }
        let wish = params.get(0).and_then(Value::as_f64);
        let Some(wish) = wish.and_then(|wish| Difficulty::new(wish).ok()) else {
            return;
        };
        self.vardiff.suggest(now, wish);
        // The answer is the new difficulty itself, as at ckpool. Before the subscription it just waits.
        if self.subscription.is_some() {
            self.change_difficulty(now, ledger);
        }
    }

    fn submit(&mut self, now: Duration, id: &Value, params: &Value, ledger: &mut Ledger) {
        let verdict = self.judge(params, ledger);
        let quirks = &ledger.config.quirks;
        let line = match &verdict {
            Ok(_) => wire::verdict(quirks, id, Ok(())),
            Err((_, rejected)) => wire::verdict(quirks, id, Err(&rejected.reason)),
        };
        match verdict {
            Ok(good) => {
                self.accepted += 1;
                let unanswered = ledger.config.quirks.number(Quirk::DropUnanswered);
                if unanswered.is_some_and(|count| self.accepted >= u64::from(count)) {
                    self.close(CloseReason::Quirk(Quirk::DropUnanswered.name()));
                } else if let Some(line) = line {
                    self.send(now, line, ledger);
                }
                self.credit(now, good, ledger);
            }
            Err((job_id, rejected)) => {
                self.rejected += 1;
                ledger.stats.rejected.count(rejected.reason.code());
                ledger.event(Event::ShareRejected {
                    connection: self.connection,
                    job_id: job_id.chars().take(MAX_TEXT).collect(),
                    share_difficulty: rejected.share.map(|share| share.difficulty),
                    reason: rejected.reason,
                });
                if let Some(line) = line {
                    self.send(now, line, ledger);
                }
            }
        }
        self.judge_difficulty(now, ledger);
    }

    /// The verdict on a submit; a refusal carries the job id that the miner named.
    fn judge(
        &mut self,
        params: &Value,
        ledger: &mut Ledger,
    ) -> Result<GoodShare, (String, RejectedShare)> {
        let named = params.get(1).and_then(Value::as_str).unwrap_or_default();
        let refuse = |reason: Reject| (named.to_owned(), RejectedShare::from(reason));
        if self.subscription.is_none() {
            return Err(refuse(Reject::NotSubscribed));
        }
        if self.workers.is_empty() {
            return Err(refuse(Reject::Unauthorized));
        }
        let submit = Submit::from_params(params).map_err(refuse)?;
        if ledger.rules.check_worker && !self.workers.contains(&submit.worker) {
            return Err(refuse(Reject::WorkerMismatch));
        }
        let of_this_job = |grant: &&mut Grant| grant.job.id == submit.job_id;
        let grant = self.grants.iter_mut().rev().find(of_this_job);
        let grant = grant.ok_or_else(|| refuse(Reject::UnknownJob))?;
        if grant.stale {
            return Err(refuse(Reject::StaleJob));
        }
        let size = usize::from(ledger.config.extranonce2_size);
        if ledger.config.quirks.has(Quirk::PoisonedJob) {
            grant.poisoned |= submit.extranonce2.len() != size;
            if grant.poisoned {
                return Err(refuse(Reject::LowDifficulty));
            }
        }
        let terms = ShareTerms {
            extranonce1: &grant.extranonce1,
            extranonce2_size: size,
            version_mask: grant.version_mask,
            target: grant.target,
        };
        let share = check_share(&grant.job, &terms, &ledger.rules, &submit)
            .map_err(|rejected| (named.to_owned(), rejected))?;
        let on_purpose = ledger.config.quirks.number(Quirk::RejectAll);
        let reason = if let Some(code) = on_purpose {
            Some(Reject::OnPurpose {
                code: i64::from(code),
            })
        } else if !ledger.remember(share.hash) {
            Some(Reject::Duplicate)
        } else {
            None
        };
        let share_in_refusal = Some(share);
        if let Some(reason) = reason {
            let rejected = RejectedShare {
                reason,
                share: share_in_refusal,
            };
            return Err((named.to_owned(), rejected));
        }
        Ok(GoodShare {
            share,
            difficulty: grant.difficulty,
            submit,
        })
    }

    fn credit(&mut self, now: Duration, good: GoodShare, ledger: &mut Ledger) {
        let GoodShare {
            share,
            difficulty,
            submit,
        } = good;
        self.vardiff.on_share(difficulty);
        ledger.stats.accepted += 1;
        ledger.stats.best_share = ledger.stats.best_share.max(share.difficulty);
        ledger.count_work(now, difficulty.get());
        ledger.event(Event::ShareAccepted {
            connection: self.connection,
            worker: submit.worker.clone(),
            job_id: submit.job_id,
            hash: share.hash,
            share_difficulty: share.difficulty,
            difficulty,
        });
        if share.is_block {
            ledger.stats.blocks_found += 1;
            ledger.solved = Some(share.hash);
            ledger.event(Event::BlockFound {
                connection: self.connection,
                worker: submit.worker,
                height: ledger.chain.height(),
                hash: share.hash,
            });
        }
        let drop_after = ledger.config.quirks.number(Quirk::DropAfter);
        if drop_after.is_some_and(|count| self.accepted >= u64::from(count)) {
            self.close(CloseReason::Quirk(Quirk::DropAfter.name()));
        }
    }

    fn client_answer(&self, id: &Value, message: &Map<String, Value>, ledger: &mut Ledger) {
        let method = match id.as_u64() {
            Some(wire::PING_ID) => "mining.ping",
            Some(wire::VERSION_ID) => "client.get_version",
            _ => return,
        };
        let result = message.get("result").unwrap_or(&Value::Null).to_string();
        ledger.event(Event::ClientAnswered {
            connection: self.connection,
            method,
            result: result.chars().take(MAX_TEXT).collect(),
        });
    }

    /// Jobs of blocks that have passed while the session was away are stale.
    fn mark_stale(&mut self, ledger: &Ledger) {
        for grant in &mut self.grants {
            grant.stale |= grant.job.prev_hash != ledger.job.prev_hash;
        }
    }
}

/// An accepted share with the terms that it met.
struct GoodShare {
    share: Share,
    difficulty: Difficulty,
    submit: Submit,
}
