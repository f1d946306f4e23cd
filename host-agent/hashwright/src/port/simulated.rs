//! A simulated board behind the same interface as a serial port, without a thread or a task: the
//! chips do their hashing while somebody waits for their bytes.

use board_simulator::{ChainSpec, HostBaud, SpecError, VirtualChain};

use super::powered::Powered;
use crate::clock::Clock;

/// A virtual chain whose line is read and written by the agent.
#[derive(Debug)]
pub struct SimulatedPort {
    chain: VirtualChain,
    powered: Powered,
    pending: Vec<u8>,
}

impl SimulatedPort {
    /// A chain that has just been switched on, with our side at this rate.
    ///
    /// # Errors
    ///
    /// When such a chain cannot be simulated.
    pub fn new(spec: &ChainSpec, clock: Clock, baud: u32) -> Result<Self, SpecError> {
        let mut chain = VirtualChain::new(*spec)?;
        chain.set_host_baud(HostBaud::Rate(baud));
        Ok(Self {
            chain,
            powered: Powered::on(clock),
            pending: Vec::new(),
        })
    }

    /// Waits for bytes from the chips. Cancelling it loses nothing.
    pub async fn read(&mut self, buffer: &mut [u8]) -> usize {
        loop {
            let now = self.powered.now(self.chain.next_event());
            self.chain.take_output(now, &mut self.pending);
            if !self.pending.is_empty() {
                let count = self.pending.len().min(buffer.len());
                buffer[..count].copy_from_slice(&self.pending[..count]);
                self.pending.drain(..count);
                return count;
            }
            self.powered.wait(&self.chain).await;
        }
    }

    /// Puts bytes on the line to the chips.
    pub fn write(&mut self, bytes: &[u8]) {
        let now = self.powered.now(self.chain.next_event());
        self.chain.receive(now, bytes);
    }

    /// Changes the rate of our side, baud.
    pub fn set_baud(&mut self, baud: u32) {
        let now = self.powered.now(self.chain.next_event());
        self.chain.advance(now);
        self.chain.set_host_baud(HostBaud::Rate(baud));
    }
}
