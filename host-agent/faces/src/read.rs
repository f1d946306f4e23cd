//! Reading the state tree: what belongs to a board, sums over a machine, and pools' addresses.

use bm13xx::ChipKind;
use rpc::Snapshot;
use rpc::state::{BoardStatus, PoolStatus, StationStatus};
use station::status::{FanStatus, Reading, Unit};

/// What a sensor sits on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Chip,
    Board,
    Regulator,
}

/// A board does what it should.
pub(crate) fn is_well(board: &BoardStatus) -> bool {
    matches!(board.state.as_str(), "mining" | "idle")
}

/// The station that holds a board's power.
pub(crate) fn station_of<'a>(
    state: &'a Snapshot,
    board: &BoardStatus,
) -> Option<&'a StationStatus> {
    state.stations.get(board.station?)
}

/// The hottest sensor of a kind on a board, °C.
pub(crate) fn hottest(state: &Snapshot, board: &BoardStatus, place: Place) -> Option<f64> {
    let station = station_of(state, board)?;
    let own = station
        .boards
        .iter()
        .position(|index| *index == board.index);
    let readings = station.status.readings.iter();
    let found = readings.filter(|reading| {
        reading.unit == Unit::Celsius
            && (reading.board.is_none() || reading.board == own)
            && place_of(&reading.name) == Some(place)
    });
    found.filter_map(|reading| reading.value).reduce(f64::max)
}

/// The temperature that the chips of a board are judged by, °C.
pub(crate) fn chip_c(state: &Snapshot, board: &BoardStatus) -> Option<f64> {
    hottest(state, board, Place::Chip).or(board.temperature_c)
}

fn place_of(name: &str) -> Option<Place> {
    // "board 2 chip": the first words say of which board.
    let own = match name.strip_prefix("board ") {
        Some(rest) => {
            let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
            let rest = rest.trim_start();
            if rest.is_empty() { "board" } else { rest }
        }
        None => name,
    };
    let is = |word: &str| own.split_whitespace().next() == Some(word);
    match () {
        () if is("chip") => Some(Place::Chip),
        () if is("regulator") => Some(Place::Regulator),
        () if is("board") => Some(Place::Board),
        () => None,
    }
}

/// A reading of a station by name.
pub(crate) fn reading(station: &StationStatus, name: &str) -> Option<f64> {
    let found: Option<&Reading> = station.status.reading(name);
    found?.value
}

/// All fans of the machine in order.
pub(crate) fn fans(state: &Snapshot) -> impl Iterator<Item = &FanStatus> {
    state
        .stations
        .iter()
        .flat_map(|station| &station.status.fans)
}

/// Core voltage that a board was told, mV as its profile counts it.
pub(crate) fn told_mv(state: &Snapshot, board: &BoardStatus) -> Option<f64> {
    let points = station_of(state, board)?.status.set_points;
    let told = points.derated.or(points.wanted)?;
    Some(f64::from(told.mv))
}

/// Core voltage that was read back, mV.
pub(crate) fn actual_mv(state: &Snapshot, board: &BoardStatus) -> Option<f64> {
    let station = station_of(state, board)?;
    let points = station.status.set_points;
    points.actual_mv.or_else(|| reading(station, "core supply"))
}

/// Hashes per clock of one chip, if the chip is known.
pub(crate) fn small_cores(chip: &str) -> Option<u32> {
    Some(chip.parse::<ChipKind>().ok()?.model().small_cores)
}

/// Cores of one chip, if the chip is known.
pub(crate) fn cores(chip: &str) -> Option<u16> {
    Some(chip.parse::<ChipKind>().ok()?.model().cores)
}

/// Whether a fault is one of heat.
pub(crate) fn is_heat(code: &str) -> bool {
    code == "temperature-limit"
}

/// What all of these agree on.
pub(crate) fn common<T: PartialEq>(mut values: impl Iterator<Item = T>) -> Option<T> {
    let first = values.next()?;
    values.all(|value| value == first).then_some(first)
}

/// Share of `part` in `part + rest`, percent; 0 of nothing.
pub(crate) fn percent(part: f64, rest: f64) -> f64 {
    if part + rest > 0.0 {
        100.0 * part / (part + rest)
    } else {
        0.0
    }
}

/// The time of day of an uptime, seconds since 1970.
pub(crate) fn unix_of(state: &Snapshot, unix_s: u64, at_s: f64) -> u64 {
    let ago = (state.system.uptime_s - at_s).max(0.0);
    unix_s.saturating_sub(ago.round() as u64)
}

/// A pool that speaks Stratum.
pub(crate) fn is_stratum(pool: &PoolStatus) -> bool {
    pool.protocol.starts_with("Stratum")
}

/// Scheme, host and port of a pool's URL. The port is 0 where the URL has none.
pub(crate) fn address(url: &str) -> (&str, &str, u16) {
    let (scheme, rest) = url.split_once("://").unwrap_or(("stratum+tcp", url));
    let rest = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    match rest.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => match port.parse() {
            Ok(port) => (scheme, host, port),
            Err(_) => (scheme, rest, 0),
        },
        _ => (scheme, rest, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sensors_are_known_by_their_names() {
        assert_eq!(place_of("chip"), Some(Place::Chip));
        assert_eq!(place_of("board 2 chip"), Some(Place::Chip));
        assert_eq!(place_of("board 2 chip 1"), Some(Place::Chip));
        assert_eq!(place_of("board"), Some(Place::Board));
        assert_eq!(place_of("board 2"), Some(Place::Board));
        assert_eq!(place_of("board 1 board 2"), Some(Place::Board));
        assert_eq!(place_of("board 1 regulator"), Some(Place::Regulator));
        assert_eq!(place_of("inlet air"), None);
    }

    #[test]
    fn urls_come_apart() {
        assert_eq!(
            address("stratum+tcp://pool.example:3333"),
            ("stratum+tcp", "pool.example", 3333)
        );
        assert_eq!(
            address("stratum2+tcp://h:34254/9abc"),
            ("stratum2+tcp", "h", 34254)
        );
        assert_eq!(address("http://[::1]:8332"), ("http", "[::1]", 8332));
        assert_eq!(address("[::1]"), ("stratum+tcp", "[::1]", 0));
        assert_eq!(address(""), ("stratum+tcp", "", 0));
    }
}
