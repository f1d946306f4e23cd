//! A whole simulated board inside this program: its serial line and its control port are used by
//! different tasks, and a task of its own moves its time on.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use board_simulator::HostBaud;
use board_simulator::board::{BoardError, BoardSpec, Fault, Truth, VirtualBoard};
use tokio::sync::Notify;

use super::powered::Powered;
use crate::clock::Clock;
use crate::config::PlannedFault;

/// A virtual board; clones are the same board.
#[derive(Clone, Debug)]
pub struct SharedBoard(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    /// The host has done something, so the time of the next event may be another.
    touched: Notify,
    /// There are bytes from the chips.
    spoke: Notify,
}

struct State {
    board: VirtualBoard,
    powered: Powered,
    /// Bytes from the chips that nobody has read yet.
    from_chips: Vec<u8>,
    /// What is still to go wrong, latest first, in the board's time.
    faults: Vec<PlannedFault>,
}

/// Bytes from the chips that wait for a reader; a host that never reads loses the rest, as on a real
/// port.
const MOST_UNREAD: usize = 64 * 1024;

impl SharedBoard {
    /// A board that is plugged in now, with what is to go wrong with it.
    ///
    /// # Errors
    ///
    /// When such a board cannot be simulated.
    pub fn new(
        spec: &BoardSpec,
        mut faults: Vec<PlannedFault>,
        clock: Clock,
    ) -> Result<Self, BoardError> {
        faults.sort_by_key(|planned| std::cmp::Reverse(planned.at));
        let state = State {
            board: VirtualBoard::new(spec)?,
            powered: Powered::on(clock),
            from_chips: Vec::new(),
            faults,
        };
        Ok(Self(Arc::new(Inner {
            state: Mutex::new(state),
            touched: Notify::new(),
            spoke: Notify::new(),
        })))
    }

    /// Moves the board's time on until the end. Somebody has to run this.
    pub async fn run(self, clock: Clock, end: impl Future<Output = ()>) {
        tokio::pin!(end);
        loop {
            let due = self.with(|state| {
                state.advance();
                state.due()
            });
            let wait = async {
                if due.is_some_and(|due| due <= clock.now()) {
                    // Behind: others first, then the next slice.
                    tokio::task::yield_now().await;
                } else {
                    clock.sleep_until(due).await;
                }
            };
            tokio::select! {
                () = wait => {}
                () = self.0.touched.notified() => {}
                () = &mut end => return,
            }
        }
    }

    /// The host's end of the chips' serial line.
    #[must_use]
    pub fn uart(&self, baud: u32) -> UartEnd {
        let mut end = UartEnd(self.clone());
        self.with(|state| state.from_chips.clear());
        end.set_baud(baud);
        end
    }

    /// The host writes to the control port and takes what has been answered by now.
    pub fn control(&self, bytes: &[u8], answer: &mut Vec<u8>) {
        self.with(|state| {
            let now = state.advance();
            state.board.control_receive(now, bytes);
            state.board.control_take_output(now, answer);
        });
        self.0.touched.notify_one();
    }

    /// Takes what the controller has answered since.
    pub fn control_answers(&self, answer: &mut Vec<u8>) {
        self.with(|state| {
            let now = state.advance();
            state.board.control_take_output(now, answer);
        });
    }

    /// The host's end of the control port goes away.
    pub fn control_closed(&self) {
        self.with(|state| {
            let now = state.advance();
            state.board.control_closed(now);
        });
        self.0.touched.notify_one();
    }

    /// Something goes wrong now.
    pub fn inject(&self, fault: Fault) {
        self.with(|state| {
            let now = state.advance();
            state.board.inject(now, fault);
        });
        self.0.touched.notify_one();
    }

    /// A fault is gone; what it has damaged stays damaged.
    pub fn heal(&self, fault: Fault) {
        self.with(|state| {
            let now = state.advance();
            state.board.heal(now, fault);
        });
        self.0.touched.notify_one();
    }

    /// What the chips and the wires to them have seen.
    #[must_use]
    pub fn chain_report(&self) -> board_simulator::Report {
        self.with(|state| state.board.chain().report())
    }

    /// What is really the case, which no host can know.
    #[must_use]
    pub fn truth(&self) -> Truth {
        self.with(|state| {
            let now = state.advance();
            state.board.truth(now)
        })
    }

    /// Calls `act` on the board at its present time.
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let result = act(&mut state);
        if !state.from_chips.is_empty() {
            self.0.spoke.notify_one();
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic in the simulator ends the agent by itself; this must not hide it with another.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedBoard").finish_non_exhaustive()
    }
}

impl State {
    /// Brings the board to the present, or a slice nearer to it, and tells its time.
    fn advance(&mut self) -> Duration {
        let now = self.powered.now(self.next());
        while let Some(planned) = self.faults.pop_if(|planned| planned.at <= now) {
            tracing::info!("simulated fault: {}", planned.fault);
            self.board.inject(planned.at, planned.fault);
        }
        self.board.uart_take_output(now, &mut self.from_chips);
        let surplus = self.from_chips.len().saturating_sub(MOST_UNREAD);
        self.from_chips.drain(..surplus);
        now
    }

    /// When something happens next, the board's time.
    fn next(&self) -> Option<Duration> {
        let fault = self.faults.last().map(|planned| planned.at);
        self.board.next_event().into_iter().chain(fault).min()
    }

    /// When something happens next, the agent's time.
    fn due(&self) -> Option<Duration> {
        self.next().map(|due| self.powered.agents_time(due))
    }
}

/// The host's end of the serial line of a simulated board.
#[derive(Debug)]
pub struct UartEnd(SharedBoard);

impl UartEnd {
    /// Waits for bytes from the chips. Cancelling it loses nothing.
    pub async fn read(&mut self, buffer: &mut [u8]) -> usize {
        loop {
            let heard = self.0.0.spoke.notified();
            let count = {
                let mut state = self.0.lock();
                let count = state.from_chips.len().min(buffer.len());
                buffer[..count].copy_from_slice(&state.from_chips[..count]);
                state.from_chips.drain(..count);
                count
            };
            if count > 0 {
                return count;
            }
            heard.await;
        }
    }

    /// Puts bytes on the line to the chips.
    pub fn write(&mut self, bytes: &[u8]) {
        self.0.with(|state| {
            let now = state.advance();
            state.board.uart_receive(now, bytes);
        });
        self.0.0.touched.notify_one();
    }

    /// Changes the rate of our side, baud.
    pub fn set_baud(&mut self, baud: u32) {
        self.set_host_baud(HostBaud::Rate(baud));
    }

    /// The same where the host's rate may not be known.
    pub fn set_host_baud(&mut self, baud: HostBaud) {
        self.0.with(|state| {
            state.advance();
            state.board.set_host_baud(baud);
        });
    }
}
