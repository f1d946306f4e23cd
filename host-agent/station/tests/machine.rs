//! Three hash boards on one supply: switched together, watched together, cleared up one by one.

mod support;

use std::{sync::Arc, time::Duration};

use board_profiles::Control;
use board_simulator::board::Fault;
use station::{
    BoardConfig, BridgeBuses, BusError, Buses, ChainPhase, ChainReport, Command, Event, Line,
    SetPoint, Station, StationConfig, buses::Bus,
};
use support::rig::{Port, Shared, profile, virtual_board};

/// Three virtual boards as one machine: each has its own lines and sensors, fans and supply are the
/// first one's, and what switches the supply switches all.
struct Machine(Vec<BridgeBuses<Port>>);

impl Buses for Machine {
    fn i2c(&mut self, board: usize, bus: &str) -> Result<Bus<'_>, BusError> {
        self.0[board].i2c(board, bus)
    }

    fn set_line(&mut self, line: Line, asserted: bool) -> Result<bool, BusError> {
        match line {
            Line::Reset { board } | Line::Enable { board, .. } => {
                self.0[board].set_line(line, asserted)
            }
            Line::Shared { .. } => {
                let mut is = asserted;
                for board in &mut self.0 {
                    is = board.set_line(line, asserted)?;
                }
                Ok(is)
            }
        }
    }

    fn line(&mut self, line: Line) -> Result<bool, BusError> {
        match line {
            Line::Reset { board } | Line::Enable { board, .. } => self.0[board].line(line),
            Line::Shared { .. } => self.0[0].line(line),
        }
    }

    fn set_fan(&mut self, fan: usize, percent: u8) -> Result<(), BusError> {
        for board in &mut self.0 {
            board.set_fan(fan, percent)?;
        }
        Ok(())
    }

    fn fan_rpm(&mut self, fan: usize) -> Result<u32, BusError> {
        self.0[0].fan_rpm(fan)
    }
}

struct Running {
    station: Station,
    boards: Vec<Shared>,
    now: Duration,
    events: Vec<Event>,
}

impl Running {
    fn new() -> Self {
        let profile = Arc::new(profile("s19k-pro"));
        let slots = [0, 1, 2];
        let boards: Vec<Shared> = slots
            .iter()
            .map(|&slot| virtual_board(&profile, slot))
            .collect();
        let buses = boards
            .iter()
            .map(|board| BridgeBuses::connect(Port(board.clone()), Arc::clone(&profile), &slots))
            .collect::<Result<Vec<_>, _>>()
            .unwrap();
        let mut config = StationConfig::single(profile, Control::Bridge, "one");
        config.boards = ["one", "two", "three"]
            .into_iter()
            .zip(slots)
            .map(|(name, slot)| BoardConfig {
                name: name.to_owned(),
                slot,
                revision: None,
            })
            .collect();
        let station = Station::new(config, Box::new(Machine(buses)), Duration::ZERO).unwrap();
        Self {
            station,
            boards,
            now: Duration::ZERO,
            events: Vec::new(),
        }
    }

    fn run(&mut self, seconds: u64) {
        for _ in 0..seconds * 10 {
            self.now += Duration::from_millis(100);
            for board in &self.boards {
                board.set_now(self.now);
            }
            self.station.handle(self.now, Command::Heartbeat).unwrap();
            self.station.tick(self.now);
            while let Some(event) = self.station.poll_event() {
                if let Event::Power { board, on, .. } = event {
                    let report = ChainReport {
                        phase: if on {
                            ChainPhase::Running
                        } else {
                            ChainPhase::None
                        },
                        clock_mhz: 590.0,
                        chips: 77,
                    };
                    self.station
                        .handle(self.now, Command::Chain { board, report })
                        .unwrap();
                }
                self.events.push(event);
            }
        }
    }

    fn up(&mut self) {
        self.run(2);
        let point = SetPoint {
            mhz: 590.0,
            mv: 13_500,
        };
        self.station.handle(self.now, Command::Run(point)).unwrap();
        self.run(40);
        let status = self.station.status(self.now);
        assert!(
            status.boards.iter().all(|board| board.powered),
            "{status:#?} {:#?}",
            self.events
        );
    }
}

#[test]
fn three_boards_come_up_and_fall_together() {
    let mut machine = Running::new();
    machine.up();
    let status = machine.station.status(machine.now);
    let outlets = status
        .readings
        .iter()
        .filter(|reading| reading.name.contains("board") && reading.value.is_some());
    assert_eq!(outlets.count(), 6, "{:#?}", status.readings);
    // One board's sensor fails: the supply is common, so all go.
    machine.boards[2].with(|board, now| {
        board.inject(
            now,
            Fault::SensorReads {
                celsius: 127.9,
                sensor: 1,
            },
        );
    });
    machine.run(5);
    for board in &machine.boards {
        assert!(!board.with(|board, now| board.truth(now)).core_on);
    }
    let fault = machine.station.status(machine.now).guard.fault.unwrap();
    assert_eq!(fault.code, "temperature-implausible");
    assert!(fault.what.contains("three"), "{}", fault.what);
}

#[test]
fn a_chain_that_fails_leaves_the_others_alone() {
    let mut machine = Running::new();
    machine.up();
    let report = ChainReport {
        phase: ChainPhase::Failed,
        ..ChainReport::default()
    };
    machine
        .station
        .handle(machine.now, Command::Chain { board: 1, report })
        .unwrap();
    machine.run(2);
    let powered = |machine: &Running| -> Vec<bool> {
        let status = machine.station.status(machine.now);
        status.boards.iter().map(|board| board.powered).collect()
    };
    assert_eq!(powered(&machine), [true, false, true]);
    let in_reset: Vec<bool> = machine
        .boards
        .iter()
        .map(|board| board.with(|board, now| board.truth(now)).in_reset)
        .collect();
    assert_eq!(in_reset, [false, true, false]);
    machine.run(6);
    assert_eq!(powered(&machine), [true, true, true]);
}
