//! DS4432U: two current DACs. A source current into the feedback node lowers the regulator's output, a sink current raises it.

use crate::board::{
    bus::{ByteRegisters, Drives, Senses},
    spec::Feedback,
};

#[derive(Debug)]
pub(in crate::board) struct Ds4432u {
    output: u8,
    feedback: Feedback,
    codes: [u8; 2],
}

impl Ds4432u {
    pub(in crate::board) fn new(output: u8, feedback: Feedback) -> Self {
        Self {
            output,
            feedback,
            codes: [0; 2],
        }
    }
}

impl ByteRegisters for Ds4432u {
    fn get(&mut self, _senses: &Senses, register: u8) -> u8 {
        match register {
            0xF8 => self.codes[0],
            0xF9 => self.codes[1],
            _ => 0,
        }
    }

    fn set(&mut self, _senses: &Senses, register: u8, value: u8) {
        match register {
            0xF8 => self.codes[0] = value,
            0xF9 => self.codes[1] = value,
            _ => {}
        }
    }

    fn drive(&self, drives: &mut Drives) {
        let code = self.codes[usize::from(self.output & 1)];
        let amps = f64::from(code & 0x7F) / 127.0 * self.feedback.full_scale_ua * 1e-6;
        let source = if code & 0x80 != 0 { amps } else { -amps };
        // Kirchhoff at the feedback node.
        let reference = self.feedback.reference_mv / 1000.0;
        let volts =
            reference + self.feedback.upper_ohm * (reference / self.feedback.lower_ohm - source);
        drives.core_mv = Some((volts * 1000.0).max(0.0));
    }
}
