//! `hashwright chip`: one chip at a time, for those who want to know or to try. Clocks stay within the limits of the
//! board and go with the next restart; registers are only read.

use bm13xx::registers::{
    self, ChipIdentity, CoreMailbox, FastUart, NonceOffset, UartRelay, VersionRolling,
};
use bm13xx::{ChipKind, Pll, Register, TicketMask};
use rpc::NoParams;
use rpc::method::{BoardList, ChipReadRegister, ChipSetFrequency};
use rpc::tuner::{ChipClock, RegisterAsk, RegisterValue};

use super::reach::{ask, connect, get, typed};
use super::tune::{AskArgs, Place, place, positive};
use super::{ChangeArgs, Look, write};
use crate::format::{self, Column, Table};

const EXAMPLES: &str = "\
Examples:
  hashwright chip set-frequency 0.17 475      chip 17 of board 0 at 475 MHz, while the tuner is off
  hashwright chip set-frequency 0 default     all chips of board 0 at the clock of their board again
  hashwright chip read-register 0.17 pll      a register by its name, decoded
  hashwright chip read-register 0 0x8c        the same register of all chips of board 0
  hashwright chip registers                   the names";

/// Arguments of `chip`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

/// What `chip` does.
#[derive(Clone, Debug, clap::Subcommand)]
enum Command {
    /// Set the clock of one chip, or of all chips of a board, apart from the board's
    SetFrequency(ClockArgs),
    /// Read a register of one chip, or of all chips of a board, while they mine
    ReadRegister(RegisterArgs),
    /// List the registers that have names
    Registers,
}

/// What `chip set-frequency` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct ClockArgs {
    /// How a change is made.
    #[command(flatten)]
    pub change: ChangeArgs,
    /// The chip, e.g. 0.17, or a board for all its chips
    #[arg(value_name = "BOARD[.CHIP]", value_parser = place)]
    pub place: Place,
    /// Its clock, or `default` for that of the board
    #[arg(value_name = "MHZ", value_parser = clock)]
    pub clock: Clock,
}

/// A clock as it is typed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clock(Option<f64>);

/// What `chip read-register` takes.
#[derive(Clone, Debug, clap::Args)]
pub struct RegisterArgs {
    /// Which agent, and how the reply is printed.
    #[command(flatten)]
    pub ask: AskArgs,
    /// The chip, e.g. 0.17, or a board for all its chips
    #[arg(value_name = "BOARD[.CHIP]", value_parser = place)]
    pub place: Place,
    /// Name or address of the register, e.g. pll or 0x8c
    #[arg(value_name = "REGISTER", value_parser = register)]
    pub register: u8,
}

/// `hashwright chip`.
///
/// # Errors
///
/// No agent, or its refusal.
pub async fn run(args: &Args, look: Look) -> anyhow::Result<String> {
    match &args.command {
        Command::SetFrequency(args) => set_frequency(args).await,
        Command::ReadRegister(args) => read_register(args, look).await,
        Command::Registers => Ok(names(look.width)),
    }
}

/// `hashwright chip set-frequency`.
///
/// # Errors
///
/// No agent, or its refusal: no such chip, a clock beyond the limits, or a tuner at work.
pub async fn set_frequency(args: &ClockArgs) -> anyhow::Result<String> {
    let client = connect(&args.change.agent).await?;
    let clock = ChipClock {
        board: args.place.board,
        chip: args.place.chip,
        frequency_mhz: args.clock.0,
    };
    write::<ChipSetFrequency, _>(&client, clock, args.change.how, args.change.json).await
}

/// `hashwright chip read-register`.
///
/// # Errors
///
/// No agent, or its refusal: no such chip, or chips that do not run.
pub async fn read_register(args: &RegisterArgs, look: Look) -> anyhow::Result<String> {
    let client = connect(&args.ask.agent).await?;
    let which = RegisterAsk {
        board: args.place.board,
        chip: args.place.chip,
        register: args.register,
    };
    let reply = ask::<ChipReadRegister>(&client, &which).await?;
    if args.ask.json {
        return Ok(reply.to_string());
    }
    let boards = get::<BoardList>(&client, &NoParams {}).await?;
    let kind = boards
        .iter()
        .find(|board| board.index == args.place.board)
        .and_then(|board| board.chip.parse().ok());
    let values = typed::<ChipReadRegister>(&reply)?;
    Ok(table(kind, args.register, &values, look.width))
}

/// What chips answered, a line each.
fn table(
    kind: Option<ChipKind>,
    register: u8,
    values: &[RegisterValue],
    width: Option<usize>,
) -> String {
    let title = match Register::from_address(register) {
        Some(known) => format!("register 0x{register:02x}, {}", name(known)),
        None => format!("register 0x{register:02x}, which has no known name"),
    };
    if values.is_empty() {
        return format!("{title}: no chip answered");
    }
    let mut table = Table::new([
        Column::right("chip"),
        Column::right("value"),
        Column::left("meaning"),
    ]);
    for value in values {
        table.push([
            value.chip.to_string(),
            format!("0x{:08x}", value.value),
            kind.and_then(|kind| decoded(kind, register, value.value))
                .unwrap_or_default(),
        ]);
    }
    let lines: Vec<_> = std::iter::once(title).chain(table.lines(width)).collect();
    lines.join("\n")
}

/// What a value means, as far as that is known of this chip.
fn decoded(kind: ChipKind, address: u8, value: u32) -> Option<String> {
    let old = kind == ChipKind::Bm1397;
    let invalid = || "not valid yet".to_owned();
    Some(match Register::from_address(address)? {
        Register::ChipId => {
            let identity = ChipIdentity::from_bits(value);
            let chip = ChipKind::from_chip_id(identity.chip_id)
                .map_or("an unknown chip".to_owned(), |kind| kind.to_string());
            format!("{chip}, address 0x{:02x}", identity.address.get())
        }
        Register::HashRate if old => {
            registers::hashrate(value).map_or_else(invalid, |hps| format::hashrate(hps as f64))
        }
        Register::Pll => {
            let pll = Pll::from_register(kind, value)?;
            format!(
                "{:.2} MHz: 25 MHz x {} / {}, oscillator {:.0} MHz",
                pll.frequency().get(),
                pll.fb(),
                pll.divisor(),
                pll.vco().get()
            )
        }
        Register::NonceOffset => match NonceOffset::from_bits(value) {
            Some(offset) => format!("sweeps begin at 0x{:08x}", u32::from(offset.0) << 9),
            None => "off".to_owned(),
        },
        Register::HashCountingNumber if !old => match value {
            0 => "does not hash".to_owned(),
            ticks => format!("sweeps of {ticks} crystal ticks"),
        },
        Register::TicketMask => {
            let mask = TicketMask::from_bits(value)?;
            format!(
                "{} extra zero bits, difficulty {}",
                mask.extra_zero_bits(),
                mask.difficulty()
            )
        }
        Register::MiscControl if old => {
            let divider = (value >> 8) & 0x1f;
            format!(
                "baud divider {divider}: {:.0} baud",
                3.125e6 / f64::from(divider + 1)
            )
        }
        Register::FastUart if !old => {
            let uart = FastUart::from_bits(value);
            format!("{} baud, divider {}", uart.baud().get(), uart.divider)
        }
        Register::UartRelay => {
            let relay = UartRelay::from_bits(value);
            let on = |on| if on { "on" } else { "off" };
            format!(
                "gap {}, replies {}, commands {}",
                relay.gap,
                on(relay.replies),
                on(relay.commands)
            )
        }
        Register::CoreMailbox => {
            let mail = CoreMailbox::from_bits(value)?;
            format!(
                "core register 0x{:02x} set to 0x{:02x}",
                mail.register, mail.value
            )
        }
        Register::ErrorCounter => format!("{value} errors"),
        Register::HashCount0
        | Register::HashCount1
        | Register::HashCount2
        | Register::HashCount3
        | Register::HashCountTotal
            if !old =>
        {
            let hashes = f64::from(value) * registers::HASHES_PER_COUNT as f64;
            format!("{value} x 2^32 = {} hashes", format::difficulty(hashes))
        }
        Register::VersionRolling => {
            format!("rolls 0x{:08x}", VersionRolling::from_bits(value).mask())
        }
        Register::TemperatureResult if kind == ChipKind::Bm1368 => {
            registers::temperature(value).map_or_else(invalid, |celsius| format!("{celsius:.1} °C"))
        }
        Register::AdcResult => registers::voltage(value).map_or_else(invalid, |volts| {
            format!("{volts:.3} V before the chip's divider")
        }),
        _ => return None,
    })
}

/// The registers with names.
fn names(width: Option<usize>) -> String {
    let mut table = Table::new([Column::left("address"), Column::left("name")]);
    for register in Register::ALL {
        table.push([format!("0x{:02x}", register.address()), name(*register)]);
    }
    table.lines(width).join("\n")
}

/// The name of a register as people type it, e.g. `hash-count-total`.
fn name(register: Register) -> String {
    let mut text = String::new();
    let mut digits = false;
    for letter in format!("{register:?}").chars() {
        let begins = letter.is_ascii_uppercase() || (letter.is_ascii_digit() && !digits);
        if begins && !text.is_empty() {
            text.push('-');
        }
        digits = letter.is_ascii_digit();
        text.push(letter.to_ascii_lowercase());
    }
    text
}

fn register(text: &str) -> Result<u8, String> {
    let wanted = text.to_lowercase().replace(['_', ' '], "-");
    let known = Register::ALL.iter().find(|known| name(**known) == wanted);
    if let Some(known) = known {
        return Ok(known.address());
    }
    let number = match wanted.strip_prefix("0x") {
        Some(digits) => u8::from_str_radix(digits, 16),
        None => wanted.parse(),
    };
    number.map_err(|_| {
        let nearest = Register::ALL
            .iter()
            .map(|known| name(*known))
            .max_by(|a, b| {
                let like = |name: &str| strsim::jaro_winkler(name, &wanted);
                like(a).total_cmp(&like(b))
            });
        let nearest = nearest.unwrap_or_default();
        format!(
            "\"{text}\" is no register; write an address such as 0x8c, or a name such as {nearest} (`hashwright chip \
             registers` lists them)"
        )
    })
}

fn clock(text: &str) -> Result<Clock, String> {
    match text {
        "default" | "none" => Ok(Clock(None)),
        _ => positive(text)
            .map(|mhz| Clock(Some(mhz)))
            .map_err(|why| format!("{why}; write MHz, or default for the clock of the board")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bm13xx::Megahertz;

    #[test]
    fn registers_are_known_by_name_and_address() {
        for (text, address) in [
            ("pll", 0x08),
            ("PLL", 0x08),
            ("chip-id", 0x00),
            ("hash_count_total", 0x8c),
            ("hash-count-0", 0x88),
            ("0x8C", 0x8c),
            ("20", 20),
        ] {
            assert_eq!(register(text).unwrap(), address, "{text}");
        }
        let wrong = register("hash-count").unwrap_err();
        assert!(wrong.contains("hash-count"), "{wrong}");
        assert!(register("0x100").is_err());
        assert!(register("").is_err());
    }

    #[test]
    fn every_name_leads_back_to_its_register() {
        for known in Register::ALL {
            assert_eq!(
                register(&name(*known)).unwrap(),
                known.address(),
                "{known:?}"
            );
        }
    }

    #[test]
    fn fields_are_decoded_where_the_chip_is_known() {
        let pll = ChipKind::Bm1370.model().pll(Megahertz::new(525.0)).unwrap();
        let bits = pll.register(ChipKind::Bm1370);
        let text = decoded(ChipKind::Bm1370, 0x08, bits).unwrap();
        assert!(text.starts_with("525.00 MHz: 25 MHz x "), "{text}");
        let mask = TicketMask::from_extra_zero_bits(8).to_bits();
        let text = decoded(ChipKind::Bm1370, 0x14, mask).unwrap();
        assert_eq!(text, "8 extra zero bits, difficulty 256");
        assert_eq!(
            decoded(ChipKind::Bm1370, 0x00, 0x1370_001c).unwrap(),
            "BM1370, address 0x1c"
        );
        assert_eq!(decoded(ChipKind::Bm1370, 0x4c, 7).unwrap(), "7 errors");
        assert_eq!(decoded(ChipKind::Bm1370, 0x54, 7), None);
        assert_eq!(decoded(ChipKind::Bm1370, 0xff, 7), None);
        assert_eq!(
            decoded(ChipKind::Bm1397, 0x04, 0x8000_0000).unwrap(),
            "not valid yet"
        );
    }

    #[test]
    fn any_value_of_any_register_can_be_shown() {
        for kind in ChipKind::ALL {
            for address in 0..=u8::MAX {
                for value in [0, 1, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
                    let _ = decoded(kind, address, value);
                }
            }
        }
    }

    #[test]
    fn chips_have_a_line_each() {
        let values: Vec<_> = (0..2)
            .map(|chip| RegisterValue {
                chip,
                register: 0x4c,
                value: 3,
            })
            .collect();
        let text = table(Some(ChipKind::Bm1370), 0x4c, &values, None);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[0], "register 0x4c, error-counter");
        assert_eq!(lines[2], "   0  0x00000003  3 errors");
        assert_eq!(lines.len(), 4);
        assert!(table(None, 0x4c, &[], None).contains("no chip answered"));
    }

    #[test]
    fn clocks_and_places_are_read() {
        assert_eq!(clock("default").unwrap(), Clock(None));
        assert_eq!(clock("475").unwrap(), Clock(Some(475.0)));
        assert!(clock("-1").unwrap_err().contains("default"));
        let chip = Place {
            board: 0,
            chip: Some(17),
        };
        assert_eq!(place("0.17").unwrap(), chip);
        assert_eq!(
            place("2").unwrap(),
            Place {
                board: 2,
                chip: None
            }
        );
        for bad in ["", "a", "0.", "0.x", "1.2.3", "-1"] {
            assert!(place(bad).is_err(), "{bad}");
        }
    }
}
