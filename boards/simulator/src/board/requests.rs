//! What requests on the control port do to the board, per kind of firmware.

use super::{
    Controller, PinRole, VirtualBoard,
    control::{Outcome, Request},
};

impl VirtualBoard {
    /// Does what a request asks for.
    pub(super) fn handle(&mut self, request: &Request) -> Outcome {
        let kind = self.spec.controller;
        let outcome = match request.page {
            0x05 => self.handle_i2c(request),
            0x06 => self.handle_pin(request),
            0x07 => self.handle_adc(request),
            0x08 if kind == Controller::Emberone => match (request.command, request.data.len()) {
                (0x10, 3) => Outcome::Done(request.data.clone()),
                _ => Outcome::Invalid,
            },
            0x09 if kind == Controller::Emberone => self.handle_system(request),
            0x09 if kind == Controller::BitaxeRawTotal => {
                self.handle_fan(request, 0x10, 0x20, false)
            }
            0x09 if kind == Controller::Bitcrane => self.handle_fan(request, 0x11, 0x21, true),
            _ => Outcome::Invalid,
        };
        self.apply();
        outcome
    }

    fn handle_i2c(&mut self, request: &Request) -> Outcome {
        let (write, count, text) = match (request.command, &request.data[..]) {
            (0x10, data @ [_, _, _, _]) => return Outcome::Done(data.to_vec()),
            (0x20, [_, write @ ..]) => (write, 0, "I2C Write Error"),
            (0x30, [_, count]) => ([].as_slice(), *count, "I2C Read Error"),
            (0x40, [_, write @ .., count]) => (write, *count, "I2C WriteRead Error"),
            _ => return Outcome::Invalid,
        };
        let senses = self.senses();
        let mut read = vec![0; usize::from(count)];
        let address = request.data[0];
        let done = self
            .buses
            .transact(&senses, request.bus, address, write, &mut read);
        match done {
            Err(_) => Outcome::Failed(text),
            Ok(()) if request.command == 0x20 => Outcome::Done(vec![write.len() as u8]),
            Ok(()) => Outcome::Done(read),
        }
    }

    fn handle_pin(&mut self, request: &Request) -> Outcome {
        let Some(pin) = self
            .pins
            .iter_mut()
            .find(|pin| pin.spec.number == request.command)
        else {
            return Outcome::Invalid;
        };
        match request.data[..] {
            [] => {}
            [level] if pin.spec.role != PinRole::Plug => pin.level = level != 0,
            _ => return Outcome::Invalid,
        }
        Outcome::Done(vec![u8::from(pin.level)])
    }

    fn handle_adc(&self, request: &Request) -> Outcome {
        let adc = self
            .spec
            .adc
            .iter()
            .find(|adc| adc.channel == request.command);
        let Some(adc) = adc.filter(|_| request.data.is_empty()) else {
            return Outcome::Invalid;
        };
        Outcome::Done(adc.counts(&self.senses()).to_le_bytes().to_vec())
    }

    /// Fan pages: a duty from command `set` on, a speed from command `get` on, one command per fan.
    fn handle_fan(&mut self, request: &Request, set: u8, get: u8, four: bool) -> Outcome {
        let fans = if four { 4 } else { 1 };
        let of = |first: u8| {
            let fan = request.command.wrapping_sub(first);
            (fan < fans).then_some(usize::from(fan))
        };
        match (of(set), of(get), &request.data[..]) {
            (Some(fan), _, [percent @ 0..=100]) => {
                if let Some(duty) = self.page_duty.get_mut(fan) {
                    *duty = Some(f64::from(*percent));
                }
                Outcome::Done(if four { vec![0] } else { vec![*percent] })
            }
            (_, Some(fan), []) => {
                let rpm = self.machine.fan(fan).map_or(0.0, |fan| fan.tach_rpm);
                Outcome::Done((rpm as u16).to_le_bytes().to_vec())
            }
            _ => Outcome::Invalid,
        }
    }

    /// Restarts of the controller, into itself or into its boot loader: pins as after power-on.
    fn handle_system(&mut self, request: &Request) -> Outcome {
        match (request.command, &request.data[..]) {
            (0x01, [0xDE, 0xAD, 0xBE, 0xEF]) | (0x02, [0xB0, 0x07, 0x10, 0xAD]) => {
                self.reset_pins();
                Outcome::Silence
            }
            _ => Outcome::Invalid,
        }
    }
}
