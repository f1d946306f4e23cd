//! Blocks of our own: saved, sent, sent again, and answered.

use std::sync::Arc;
use std::time::Duration;

use mining::Share;
use stratum::backoff::Backoff;
use stratum::session::{Block, BlockFate};
use stratum::{Event, Refusal, RejectKind};

use super::{Action, Held, Session};
use crate::blocks::{
    Answer, FoundBlock, MAX_PENDING, MAX_UNDECIDED, Pending, RESEND, Stage, judge,
};
use crate::candidate::Candidate;
use crate::rpc::{self, DESERIALIZATION_ERROR, Fault, Lane, METHOD_NOT_FOUND, Method};

/// How long a tip is not mined on while the node has not answered for the block found on it.
const HOLD: Duration = Duration::from_secs(600);
/// Tips that are remembered for nonces that come late; jobs are forgotten earlier.
const MAX_SOLVED: usize = 8;
/// How long after that, if the node still sends templates for it.
const HOLD_ACCEPTED: Duration = Duration::from_secs(30);

impl Session {
    /// The file of a block was written (with its path), or could not be (with the reason).
    pub fn block_saved(&mut self, now: Duration, hash: &[u8; 32], saved: Result<String, String>) {
        self.advance(now);
        let pending = self.blocks.iter_mut().find(|b| b.block.hash == *hash);
        if let Some(pending) = pending {
            if matches!(pending.stage, Stage::Saving { .. }) {
                pending.stage = Stage::Due { at: self.now };
            }
            let height = pending.block.height;
            let fate = match saved {
                Ok(path) => BlockFate::Saved(path),
                Err(why) => BlockFate::NotSaved(why),
            };
            self.tell_block(height, *hash, fate);
        }
        self.work();
    }

    /// Takes a block of an earlier run that the node has not answered for; it is sent at once.
    pub fn restore(&mut self, now: Duration, block: FoundBlock) {
        self.advance(now);
        let known = self.blocks.iter().any(|b| b.block.hash == block.hash);
        // Half of the places are for blocks to come.
        if !known && self.blocks.len() < MAX_PENDING / 2 {
            self.blocks.push(Pending {
                backoff: Backoff::new(RESEND.0, RESEND.1, self.seed),
                block,
                workid: None,
                share: None,
                found: self.now,
                stage: Stage::Due { at: self.now },
                attempts: 0,
                last_words: String::new(),
            });
        }
        self.work();
    }

    /// A share that is a block.
    pub(super) fn found(
        &mut self,
        candidate: &Arc<Candidate>,
        header: &[u8; 80],
        share: Share,
    ) -> Result<(), Refusal> {
        let template = candidate.template();
        // The first block of ours on a tip counts; a second one could only compete with it.
        if self.is_done_with(&template.prev_hash) {
            return Err(Refusal::UnknownJob);
        }
        if self.blocks.len() >= MAX_PENDING {
            return Err(Refusal::QueueFull);
        }
        let block = candidate.block(header, &share.extranonce2);
        let block = FoundBlock::new(template.height, share.hash, &block);
        let on_tip = self.mining && share.job.generation == self.generation;
        self.counters.stats.submitted += 1;
        self.tell_block(block.height, block.hash, BlockFate::Found);
        self.actions.push_back(Action::Save(block.clone()));
        self.blocks.push(Pending {
            backoff: Backoff::new(RESEND.0, RESEND.1, self.seed),
            block,
            workid: template.workid.clone(),
            found: self.now,
            stage: Stage::Saving {
                until: self.now.saturating_add(self.config.timeouts.save),
            },
            attempts: 0,
            last_words: String::new(),
            share: Some(share),
        });
        if on_tip {
            self.held = Some(Held {
                prev_hash: template.prev_hash,
                until: self.now.saturating_add(HOLD),
            });
            self.void_jobs();
        }
        Ok(())
    }

    /// When a block is to be sent, not counting those that wait for the connection.
    pub(super) fn blocks_due(&self) -> Option<Duration> {
        let free = self.is_free(Lane::Submit);
        let waiting = self.blocks.iter().map(|pending| pending.stage);
        waiting
            .filter(|stage| free || matches!(stage, Stage::Saving { .. }))
            .filter_map(Stage::due)
            .min()
    }

    /// Sends the next block that is due, new ones before those of an earlier run.
    pub(super) fn send_blocks(&mut self) {
        let now = self.now;
        let mut late = Vec::new();
        for pending in &mut self.blocks {
            if matches!(pending.stage, Stage::Saving { until } if until <= now) {
                pending.stage = Stage::Due { at: now };
                late.push((pending.block.height, pending.block.hash));
            }
        }
        for (height, hash) in late {
            let wait = self.config.timeouts.save;
            let fate = BlockFate::NotSaved(format!("its file was not written within {wait:?}"));
            self.tell_block(height, hash, fate);
        }
        if !self.is_free(Lane::Submit) {
            return;
        }
        let due = |pending: &&Pending| matches!(pending.stage, Stage::Due { at } if at <= now);
        let next = self
            .blocks
            .iter()
            .filter(due)
            .min_by_key(|pending| (pending.share.is_none(), pending.found))
            .map(|pending| pending.block.hash);
        let Some(hash) = next else {
            return;
        };
        let id = self.next_call();
        if let Some(pending) = self.blocks.iter_mut().find(|b| b.block.hash == hash) {
            pending.stage = Stage::Sent { call: id };
            pending.attempts += 1;
            let body = rpc::submit_call(id, &pending.block.hex, pending.workid.as_deref());
            let timeout = self.config.timeouts.submit;
            self.call(id, Lane::Submit, Method::Submit, body, timeout);
        }
    }

    pub(super) fn block_answered(&mut self, call: u64, answer: Result<Option<String>, Fault>) {
        let stage = Stage::Sent { call };
        let Some(index) = self.blocks.iter().position(|b| b.stage == stage) else {
            return;
        };
        let (answer, heard) = match answer {
            Ok(words) => (judge(words.as_deref()), true),
            Err(fault) => {
                let words = fault.to_string();
                let about_call = fault.code().is_some_and(is_about_call);
                // Some nodes give a workid and do not take it back.
                let final_form = about_call && self.blocks[index].workid.take().is_none();
                if final_form && fault.code() == Some(DESERIALIZATION_ERROR) {
                    (Answer::Rejected(RejectKind::Other, words), true)
                } else {
                    (Answer::Undecided(words), about_call)
                }
            }
        };
        match answer {
            Answer::Undecided(words) => self.undecided(index, words, heard),
            Answer::Accepted => {
                let pending = self.blocks.swap_remove(index);
                self.accepted(pending);
            }
            Answer::Rejected(kind, words) => {
                let pending = self.blocks.swap_remove(index);
                self.rejected(pending, kind, words);
            }
        }
    }

    fn undecided(&mut self, index: usize, words: String, heard: bool) {
        let now = self.now;
        let pending = &mut self.blocks[index];
        let block = (pending.block.height, pending.block.hash);
        if heard && pending.attempts >= MAX_UNDECIDED {
            let pending = self.blocks.swap_remove(index);
            self.tell(Event::Warning(format!(
                "block {} is not sent any more: {words}; it stays in its file and is sent again at \
                 the next start",
                pending.block.name()
            )));
            self.release(&pending);
            return;
        }
        pending.stage = Stage::Due {
            at: now.saturating_add(pending.backoff.next()),
        };
        // Said when it is new, and from time to time.
        if pending.last_words != words || pending.attempts.is_power_of_two() {
            pending.last_words.clone_from(&words);
            self.tell_block(block.0, block.1, BlockFate::Retried(words));
        }
    }

    fn accepted(&mut self, pending: Pending) {
        let (height, hash) = (pending.block.height, pending.block.hash);
        self.counters.stats.blocks += 1;
        self.tell_block(height, hash, BlockFate::Accepted);
        self.mark(height, hash, "accepted".to_owned());
        if let Some(held) = &mut self.held {
            held.until = held.until.min(self.now.saturating_add(HOLD_ACCEPTED));
        }
        self.schedule.template = self.now;
        let latency = self.now.saturating_sub(pending.found);
        if let Some(share) = pending.share {
            if self.solved.len() == MAX_SOLVED {
                self.solved.pop_front();
            }
            self.solved.push_back(share.job.prev_hash);
            let receipt = self.receipt(share, latency, pending.attempts > 1);
            self.counters.accepted(self.now, &receipt);
            self.counters.answered_after(latency);
            self.tell(Event::ShareAccepted(Box::new(receipt)));
        }
    }

    fn rejected(&mut self, pending: Pending, kind: RejectKind, words: String) {
        let (height, hash) = (pending.block.height, pending.block.hash);
        self.tell_block(height, hash, BlockFate::Rejected(words.clone()));
        self.mark(height, hash, format!("rejected: {words}"));
        self.release(&pending);
        let latency = self.now.saturating_sub(pending.found);
        if let Some(share) = pending.share {
            let receipt = self.receipt(share, latency, pending.attempts > 1);
            self.counters.rejected(kind, &words);
            self.counters.answered_after(latency);
            self.tell(Event::ShareRejected {
                receipt: Box::new(receipt),
                kind,
                text: words,
            });
        }
    }

    /// The tip of a block that came to nothing can be mined on again.
    fn release(&mut self, pending: &Pending) {
        let tip = pending.share.as_ref().map(|share| share.job.prev_hash);
        if self.held.map(|held| held.prev_hash) == tip {
            self.held = None;
        }
        self.schedule.template = self.now;
    }

    fn mark(&mut self, height: u32, hash: [u8; 32], answer: String) {
        self.actions.push_back(Action::Mark {
            height,
            hash,
            answer,
        });
    }

    fn tell_block(&mut self, height: u32, hash: [u8; 32], fate: BlockFate) {
        self.tell(Event::Block(Box::new(Block { height, hash, fate })));
    }
}

/// Whether an error is about the call and not about the node's state. It says nothing about the block,
/// which is worth some more tries, and stays in its file for the next start. -1, -3 and -8 are about the form
/// of the call, -32600 and below about calls as such.
fn is_about_call(code: i64) -> bool {
    matches!(
        code,
        DESERIALIZATION_ERROR | -1 | -3 | -8 | METHOD_NOT_FOUND | -32602 | -32600
    )
}
