//! Our own page: what a controller with a guard of its own tells and takes.
//!
//! Other firmware answers the page's requests with "invalid command", from which a host knows that the board has no
//! guard. All numbers are little endian. Answers may grow at their end; readers ignore what they do not know.

use core::time::Duration;

use guard::{
    CentiCelsius, CoolingMode, FaultCode, Kilohertz, Limits, Millivolts, Milliwatts, Percent, Rpm,
    SensorKind, SetPoint, State, Subject,
};

/// The page: "H". Public firmware uses pages 0 and 5 to 9.
pub const PAGE: u8 = 0x48;

/// The version of this page. Raised only when an old reader would misunderstand.
pub const VERSION: u8 = 1;

/// The most data in a request of this page, in bytes.
pub const MAX_ASK: usize = 9;

/// Behind the mode byte of immersion, so that no stray byte takes the fan rule away.
const CONFIRMED: [u8; 4] = *b"WET!";

const NO_U32: u32 = u32::MAX;

/// What a host can ask on this page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ask {
    /// Command 1: what this controller has. Answer: [`Capabilities`].
    Capabilities,
    /// Command 2: the host is alive; renews the lease. Answer: [`Brief`].
    Heartbeat,
    /// Command 3: what the guard is doing. Answer: [`GuardState`].
    State,
    /// Command 4: the hard limits. Answer: [`LimitsSummary`].
    Limits,
    /// Command 5: a person clears the latched fault of this code. Answer: [`Brief`].
    Clear(FaultCode),
    /// Command 6: power on with this set point, or off. Answer: [`Brief`]; power itself follows when the guard has
    /// verified temperatures and fans.
    Power(Option<SetPoint>),
    /// Command 7: another set point. Answer: [`Brief`].
    SetPoint(SetPoint),
    /// Command 8: cooling mode. Immersion counts as confirmed by a person. Answer: [`Brief`].
    Cooling(CoolingMode),
    /// Command 9: what the guard sees. Answer: [`Readings`].
    Readings(ReadingKind),
}

/// Which readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReadingKind {
    /// Temperatures.
    Sensors,
    /// Fans.
    Fans,
    /// Rails.
    Rails,
}

impl Ask {
    /// Command number and data.
    pub(crate) fn emit<'b>(&self, out: &'b mut [u8; MAX_ASK]) -> (u8, &'b [u8]) {
        let mut writer = Writer { out, len: 0 };
        let command = match *self {
            Self::Capabilities => 1,
            Self::Heartbeat => 2,
            Self::State => 3,
            Self::Limits => 4,
            Self::Clear(code) => {
                writer.u8(code.number());
                5
            }
            Self::Power(None) => {
                writer.u8(0);
                6
            }
            Self::Power(Some(point)) => {
                writer.u8(1);
                writer.point(point);
                6
            }
            Self::SetPoint(point) => {
                writer.point(point);
                7
            }
            Self::Cooling(mode) => {
                let (mode, percent) = mode_bytes(mode);
                writer.u8(mode);
                match mode {
                    1 => writer.u8(percent),
                    2 => writer.bytes(&CONFIRMED),
                    _ => {}
                }
                8
            }
            Self::Readings(kind) => {
                writer.u8(kind as u8);
                9
            }
        };
        let len = writer.len;
        (command, out.get(..len).unwrap_or_default())
    }

    /// Reads command and data. `None` if they are nothing that this version knows.
    pub(crate) fn parse(command: u8, data: &[u8]) -> Option<Self> {
        let mut reader = Reader(data);
        let ask = match command {
            1 => Self::Capabilities,
            2 => Self::Heartbeat,
            3 => Self::State,
            4 => Self::Limits,
            5 => Self::Clear(FaultCode::from_number(reader.u8()?)?),
            6 => Self::Power(match reader.u8()? {
                0 => None,
                1 => Some(reader.point()?),
                _ => return None,
            }),
            7 => Self::SetPoint(reader.point()?),
            8 => Self::Cooling(match reader.u8()? {
                0 => CoolingMode::Auto,
                1 => match reader.u8()? {
                    percent @ 0..=100 => CoolingMode::Manual(Percent::new(percent)),
                    _ => return None,
                },
                2 if reader.bytes::<4>()? == CONFIRMED => CoolingMode::Immersion,
                _ => return None,
            }),
            9 => Self::Readings(match reader.u8()? {
                0 => ReadingKind::Sensors,
                1 => ReadingKind::Fans,
                2 => ReadingKind::Rails,
                _ => return None,
            }),
            _ => return None,
        };
        reader.0.is_empty().then_some(ask)
    }

    /// The least data that an answer to this has, in bytes.
    pub(crate) fn answer_min(&self) -> usize {
        match self {
            Self::Capabilities => Capabilities::BYTES,
            Self::State => GuardState::BYTES,
            Self::Limits => LimitsSummary::BYTES,
            Self::Readings(_) => 1,
            _ => Brief::BYTES,
        }
    }
}

/// Whether a controller has a guard, and what it can see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Capabilities {
    /// Version of the page.
    pub version: u8,
    /// Bit n is set if command n exists.
    pub commands: u16,
    /// Power goes off when the host is silent for this long.
    pub lease: Duration,
    /// Number of temperature sensors that the guard reads itself.
    pub sensors: u8,
    /// Number of fans.
    pub fans: u8,
    /// Number of rails.
    pub rails: u8,
}

impl Capabilities {
    pub(crate) const BYTES: usize = 10;

    /// The capabilities of a guard with these limits.
    pub fn of(limits: &Limits) -> Self {
        let count = |n: usize| u8::try_from(n).unwrap_or(u8::MAX);
        Self {
            version: VERSION,
            commands: 0b11_1111_1110,
            lease: limits.timing.lease,
            sensors: count(limits.sensors.len()),
            fans: count(limits.fans.len()),
            rails: count(limits.rails.len()),
        }
    }

    pub(crate) fn emit(&self, writer: &mut Writer<'_>) {
        writer.u8(self.version);
        writer.bytes(&self.commands.to_le_bytes());
        writer.u32(millis(self.lease));
        writer.bytes(&[self.sensors, self.fans, self.rails]);
    }

    pub(crate) fn parse(data: &[u8]) -> Option<Self> {
        let mut reader = Reader(data);
        Some(Self {
            version: reader.u8()?,
            commands: u16::from_le_bytes(reader.bytes()?),
            lease: Duration::from_millis(reader.u32()?.into()),
            sensors: reader.u8()?,
            fans: reader.u8()?,
            rails: reader.u8()?,
        })
    }
}

/// The guard in five bytes: the answer to everything that is not a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Brief {
    /// What the guard is doing.
    pub state: State,
    /// Whether power may be on.
    pub power: bool,
    /// No fan runs below this, whatever it is set to.
    pub fan_floor: Percent,
    /// No fan runs above this: 100 but for the seconds in which tachs are proven.
    pub fan_ceiling: Percent,
    /// The fault that is latched or led to the present state.
    pub fault: Option<FaultCode>,
}

impl Brief {
    pub(crate) const BYTES: usize = 5;

    pub(crate) fn emit(&self, writer: &mut Writer<'_>) {
        writer.bytes(&[
            self.state.number(),
            u8::from(self.power),
            self.fan_floor.get(),
            self.fan_ceiling.get(),
            self.fault.map_or(0, FaultCode::number),
        ]);
    }

    pub(crate) fn parse(data: &[u8]) -> Option<Self> {
        let mut reader = Reader(data);
        Some(Self {
            state: State::from_number(reader.u8()?)?,
            power: reader.u8()? == 1,
            fan_floor: Percent::new(reader.u8()?),
            fan_ceiling: Percent::new(reader.u8()?),
            fault: reader.fault()?,
        })
    }
}

/// All that the guard says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GuardState {
    /// State, grant, bounds of the fans and fault code.
    pub brief: Brief,
    /// The highest clock now; zero without power.
    pub max_frequency: Kilohertz,
    /// The highest voltage now; zero without power.
    pub max_voltage: Millivolts,
    /// Until the next try, while a pause runs.
    pub retry_in: Option<Duration>,
    /// What was asked for and accepted.
    pub wanted: Option<SetPoint>,
    /// The cooling mode.
    pub cooling: CoolingMode,
    /// Values of the fault, if there is one.
    pub fault: Option<FaultValues>,
}

/// What a guard's fault is about. Times do not cross the wire, because clocks differ: the age does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FaultValues {
    /// What is wrong.
    pub code: FaultCode,
    /// With what.
    pub subject: Subject,
    /// The value that was seen, in the code's unit.
    pub value: i32,
    /// What it was held against.
    pub limit: i32,
    /// For too many restarts: the last fault.
    pub cause: Option<FaultCode>,
    /// How long ago it was found.
    pub age: Duration,
}

impl GuardState {
    pub(crate) const BYTES: usize = 42;

    pub(crate) fn emit(&self, writer: &mut Writer<'_>) {
        self.brief.emit(writer);
        writer.u32(self.max_frequency.0);
        writer.u32(self.max_voltage.0);
        writer.u32(self.retry_in.map_or(NO_U32, millis));
        writer.point(self.wanted.unwrap_or(SetPoint {
            voltage: Millivolts(0),
            frequency: Kilohertz(0),
        }));
        let (mode, percent) = mode_bytes(self.cooling);
        writer.bytes(&[mode, percent]);
        let (kind, index, cause, value, limit, age) = match &self.fault {
            Some(fault) => {
                let (kind, index) = subject_bytes(fault.subject);
                let cause = fault.cause.map_or(0, FaultCode::number);
                (
                    kind,
                    index,
                    cause,
                    fault.value,
                    fault.limit,
                    millis(fault.age),
                )
            }
            None => (0, 0, 0, 0, 0, 0),
        };
        writer.bytes(&[kind, index, cause]);
        writer.bytes(&value.to_le_bytes());
        writer.bytes(&limit.to_le_bytes());
        writer.u32(age);
    }

    pub(crate) fn parse(data: &[u8]) -> Option<Self> {
        let brief = Brief::parse(data)?;
        let mut reader = Reader(data.get(Brief::BYTES..)?);
        let max_frequency = Kilohertz(reader.u32()?);
        let max_voltage = Millivolts(reader.u32()?);
        let retry_in = match reader.u32()? {
            NO_U32 => None,
            ms => Some(Duration::from_millis(ms.into())),
        };
        let wanted = Some(reader.point()?).filter(|point| point.voltage.0 > 0);
        let cooling = match (reader.u8()?, reader.u8()?) {
            (0, _) => CoolingMode::Auto,
            (1, percent) => CoolingMode::Manual(Percent::new(percent)),
            (2, _) => CoolingMode::Immersion,
            _ => return None,
        };
        let (kind, index) = (reader.u8()?, reader.u8()?);
        let cause = reader.fault()?;
        let value = i32::from_le_bytes(reader.bytes()?);
        let limit = i32::from_le_bytes(reader.bytes()?);
        let age = Duration::from_millis(reader.u32()?.into());
        let fault = match brief.fault {
            Some(code) => Some(FaultValues {
                code,
                subject: subject(kind, index)?,
                value,
                limit,
                cause,
                age,
            }),
            None => None,
        };
        Some(Self {
            brief,
            max_frequency,
            max_voltage,
            retry_in,
            wanted,
            cooling,
            fault,
        })
    }
}

/// The hard limits that no request can pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitsSummary {
    /// The highest clock.
    pub max_frequency: Kilohertz,
    /// The highest voltage that may be set.
    pub max_voltage: Millivolts,
    /// The highest power, where it is measured.
    pub max_power: Option<Milliwatts>,
    /// The range of the input voltage, where it is measured.
    pub input: Option<(Millivolts, Millivolts)>,
    /// The lowest duty of fans while power is on.
    pub min_duty: Percent,
    /// How long the host may be silent.
    pub lease: Duration,
    /// Limits of the temperature sensors.
    pub sensors: guard::Slots<SensorSummary, { guard::MAX_SENSORS }>,
}

/// The limits of one temperature sensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SensorSummary {
    /// Where it sits.
    pub kind: SensorKind,
    /// Power needs it.
    pub required: bool,
    /// It reads only while power is on.
    pub needs_power: bool,
    /// Fans go to 100 % from here.
    pub hot: CentiCelsius,
    /// Power goes off here.
    pub off: CentiCelsius,
}

impl LimitsSummary {
    pub(crate) const BYTES: usize = 26;

    /// The summary of a guard's limits.
    pub fn of(limits: &Limits) -> Self {
        let mut sensors = guard::Slots::new();
        for sensor in limits.sensors.iter() {
            // Both lists have the same capacity.
            let _ = sensors.push(SensorSummary {
                kind: sensor.kind,
                required: sensor.required,
                needs_power: sensor.needs_power,
                hot: sensor.hot,
                off: sensor.off,
            });
        }
        Self {
            max_frequency: limits.max_frequency,
            max_voltage: limits.max_voltage,
            max_power: limits.max_power,
            input: limits.input,
            min_duty: limits.min_duty,
            lease: limits.timing.lease,
            sensors,
        }
    }

    pub(crate) fn emit(&self, writer: &mut Writer<'_>) {
        writer.u32(self.max_frequency.0);
        writer.u32(self.max_voltage.0);
        writer.u32(self.max_power.map_or(NO_U32, |power| power.0));
        let (low, high) = self
            .input
            .map_or((0, NO_U32), |(low, high)| (low.0, high.0));
        writer.u32(low);
        writer.u32(high);
        writer.u8(self.min_duty.get());
        writer.u32(millis(self.lease));
        writer.u8(u8::try_from(self.sensors.len()).unwrap_or(u8::MAX));
        for sensor in self.sensors.iter() {
            let kind = match sensor.kind {
                SensorKind::Chip => 0,
                SensorKind::Board => 1,
                SensorKind::Regulator => 2,
                SensorKind::Ambient => 3,
            };
            let flags = u8::from(sensor.required) | u8::from(sensor.needs_power) << 1;
            writer.bytes(&[kind, flags]);
            writer.bytes(&sensor.hot.0.to_le_bytes());
            writer.bytes(&sensor.off.0.to_le_bytes());
        }
    }

    pub(crate) fn parse(data: &[u8]) -> Option<Self> {
        let mut reader = Reader(data);
        let max_frequency = Kilohertz(reader.u32()?);
        let max_voltage = Millivolts(reader.u32()?);
        let max_power = Some(reader.u32()?).filter(|&mw| mw != NO_U32);
        let input = match (reader.u32()?, reader.u32()?) {
            (_, NO_U32) => None,
            (low, high) => Some((Millivolts(low), Millivolts(high))),
        };
        let min_duty = Percent::new(reader.u8()?);
        let lease = Duration::from_millis(reader.u32()?.into());
        let mut sensors = guard::Slots::new();
        for _ in 0..reader.u8()? {
            let kind = match reader.u8()? {
                0 => SensorKind::Chip,
                1 => SensorKind::Board,
                2 => SensorKind::Regulator,
                3 => SensorKind::Ambient,
                _ => return None,
            };
            let flags = reader.u8()?;
            sensors
                .push(SensorSummary {
                    kind,
                    required: flags & 1 != 0,
                    needs_power: flags & 2 != 0,
                    hot: CentiCelsius(i32::from_le_bytes(reader.bytes()?)),
                    off: CentiCelsius(i32::from_le_bytes(reader.bytes()?)),
                })
                .ok()?;
        }
        Some(Self {
            max_frequency,
            max_voltage,
            max_power: max_power.map(Milliwatts),
            input,
            min_duty,
            lease,
            sensors,
        })
    }
}

/// What the guard saw last, of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is no allocator to box with"
)]
pub enum Readings {
    /// Temperatures by index.
    Sensors(guard::Slots<Seen<CentiCelsius>, { guard::MAX_SENSORS }>),
    /// Fans by index.
    Fans(guard::Slots<Seen<FanSeen>, { guard::MAX_FANS }>),
    /// Rails by index.
    Rails(guard::Slots<Seen<RailSeen>, { guard::MAX_RAILS }>),
}

/// The last good reading of something, and whether the latest try failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Seen<T> {
    /// The last good reading with its age; `None` if there never was one.
    pub value: Option<(T, Duration)>,
    /// The latest try gave nothing.
    pub failed: bool,
}

/// A fan as the guard sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FanSeen {
    /// Its speed.
    pub rpm: Rpm,
    /// Its duty.
    pub duty: Percent,
}

/// A rail as the guard sees it. What it cannot measure is `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RailSeen {
    /// Whether the regulator says that it is on.
    pub on: Option<bool>,
    /// Output voltage.
    pub voltage: Option<Millivolts>,
    /// Output current in mA.
    pub current: Option<guard::Milliamps>,
    /// Output power.
    pub power: Option<Milliwatts>,
    /// Input voltage.
    pub input: Option<Millivolts>,
    /// Complaints, as [`guard::RailFaults`].
    pub faults: guard::RailFaults,
}

impl Readings {
    pub(crate) fn emit(&self, writer: &mut Writer<'_>) {
        match self {
            Self::Sensors(all) => {
                writer.u8(u8::try_from(all.len()).unwrap_or(u8::MAX));
                for seen in all.iter() {
                    let value = seen.header(writer).unwrap_or_default();
                    writer.bytes(&value.0.to_le_bytes());
                }
            }
            Self::Fans(all) => {
                writer.u8(u8::try_from(all.len()).unwrap_or(u8::MAX));
                for seen in all.iter() {
                    let fan = seen.header(writer);
                    writer.u32(fan.map_or(0, |fan| fan.rpm.0));
                    writer.u8(fan.map_or(0, |fan| fan.duty.get()));
                }
            }
            Self::Rails(all) => {
                writer.u8(u8::try_from(all.len()).unwrap_or(u8::MAX));
                for seen in all.iter() {
                    let rail = seen.header(writer);
                    let some = |value: Option<u32>| value.unwrap_or(NO_U32);
                    writer.u8(match rail.and_then(|rail| rail.on) {
                        Some(false) => 0,
                        Some(true) => 1,
                        None => 0xFF,
                    });
                    writer.u32(some(rail.and_then(|rail| rail.voltage).map(|v| v.0)));
                    writer.u32(some(rail.and_then(|rail| rail.current).map(|v| v.0)));
                    writer.u32(some(rail.and_then(|rail| rail.power).map(|v| v.0)));
                    writer.u32(some(rail.and_then(|rail| rail.input).map(|v| v.0)));
                    writer.bytes(&rail.map_or(0, |rail| rail.faults.0).to_le_bytes());
                }
            }
        }
    }

    pub(crate) fn parse(kind: ReadingKind, data: &[u8]) -> Option<Self> {
        let mut reader = Reader(data);
        let count = reader.u8()?;
        match kind {
            ReadingKind::Sensors => {
                let mut all = guard::Slots::new();
                for _ in 0..count {
                    let header = reader.seen()?;
                    let value = CentiCelsius(i32::from_le_bytes(reader.bytes()?));
                    all.push(header.with(value)).ok()?;
                }
                Some(Self::Sensors(all))
            }
            ReadingKind::Fans => {
                let mut all = guard::Slots::new();
                for _ in 0..count {
                    let header = reader.seen()?;
                    let rpm = Rpm(reader.u32()?);
                    let duty = Percent::new(reader.u8()?);
                    all.push(header.with(FanSeen { rpm, duty })).ok()?;
                }
                Some(Self::Fans(all))
            }
            ReadingKind::Rails => {
                let mut all = guard::Slots::new();
                for _ in 0..count {
                    let header = reader.seen()?;
                    let on = match reader.u8()? {
                        0 => Some(false),
                        1 => Some(true),
                        _ => None,
                    };
                    let mut some = || Some(Some(reader.u32()?).filter(|&v| v != NO_U32));
                    let (voltage, current, power, input) = (some()?, some()?, some()?, some()?);
                    let faults = guard::RailFaults(u16::from_le_bytes(reader.bytes()?));
                    all.push(header.with(RailSeen {
                        on,
                        voltage: voltage.map(Millivolts),
                        current: current.map(guard::Milliamps),
                        power: power.map(Milliwatts),
                        input: input.map(Millivolts),
                        faults,
                    }))
                    .ok()?;
                }
                Some(Self::Rails(all))
            }
        }
    }
}

impl<T: Copy> Seen<T> {
    /// Nothing was ever read.
    pub const NEVER: Self = Self {
        value: None,
        failed: false,
    };

    fn header(&self, writer: &mut Writer<'_>) -> Option<T> {
        writer.u8(u8::from(self.value.is_some()) | u8::from(self.failed) << 1);
        writer.u32(self.value.map_or(0, |(_, age)| millis(age)));
        self.value.map(|(value, _)| value)
    }
}

impl Seen<()> {
    fn with<T>(self, value: T) -> Seen<T> {
        Seen {
            value: self.value.map(|((), age)| (value, age)),
            failed: self.failed,
        }
    }
}

fn mode_bytes(mode: CoolingMode) -> (u8, u8) {
    match mode {
        CoolingMode::Auto => (0, 0),
        CoolingMode::Manual(percent) => (1, percent.get()),
        CoolingMode::Immersion => (2, 0),
    }
}

fn subject_bytes(subject: Subject) -> (u8, u8) {
    match subject {
        Subject::Group => (0, 0),
        Subject::Sensor(index) => (1, index),
        Subject::Fan(index) => (2, index),
        Subject::Rail(index) => (3, index),
        Subject::Device(index) => (4, index),
        Subject::Supervisor => (5, 0),
    }
}

fn subject(kind: u8, index: u8) -> Option<Subject> {
    Some(match kind {
        0 => Subject::Group,
        1 => Subject::Sensor(index),
        2 => Subject::Fan(index),
        3 => Subject::Rail(index),
        4 => Subject::Device(index),
        5 => Subject::Supervisor,
        _ => return None,
    })
}

/// Milliseconds, short of the number that means "none".
fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis())
        .unwrap_or(NO_U32)
        .min(NO_U32 - 1)
}

/// Writes numbers one after another. What does not fit is left out; no answer of this page comes near the limit.
pub(crate) struct Writer<'a> {
    pub(crate) out: &'a mut [u8],
    pub(crate) len: usize,
}

impl Writer<'_> {
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        if let Some(to) = self.out.get_mut(self.len..end) {
            to.copy_from_slice(bytes);
            self.len = end;
        }
    }

    pub(crate) fn u8(&mut self, value: u8) {
        self.bytes(&[value]);
    }

    pub(crate) fn u32(&mut self, value: u32) {
        self.bytes(&value.to_le_bytes());
    }

    /// Takes the next `len` bytes to be filled in.
    pub(crate) fn room(&mut self, len: usize) -> Option<&mut [u8]> {
        let room = self.out.get_mut(self.len..self.len + len)?;
        self.len += len;
        Some(room)
    }

    fn point(&mut self, point: SetPoint) {
        self.u32(point.voltage.0);
        self.u32(point.frequency.0);
    }
}

/// Takes numbers off the front.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (&bytes, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(bytes)
    }

    fn u8(&mut self) -> Option<u8> {
        self.bytes::<1>().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Option<u32> {
        self.bytes().map(u32::from_le_bytes)
    }

    fn point(&mut self) -> Option<SetPoint> {
        Some(SetPoint {
            voltage: Millivolts(self.u32()?),
            frequency: Kilohertz(self.u32()?),
        })
    }

    /// A fault's number. A number that only a newer version knows cannot be told from damage.
    fn fault(&mut self) -> Option<Option<FaultCode>> {
        match self.u8()? {
            0 => Some(None),
            number => FaultCode::from_number(number).map(Some),
        }
    }

    fn seen(&mut self) -> Option<Seen<()>> {
        let flags = self.u8()?;
        let age = Duration::from_millis(self.u32()?.into());
        Some(Seen {
            value: (flags & 1 != 0).then_some(((), age)),
            failed: flags & 2 != 0,
        })
    }
}
