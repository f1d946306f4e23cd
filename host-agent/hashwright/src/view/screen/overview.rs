//! The first page: the whole miner on one small terminal.

use ratatui::text::{Line, Span};

use super::Screen;
use crate::format::{self, Column, Table};
use crate::state::{BoardStatus, MinerStatus, PoolStatus};
use crate::view::events::{Event, Mood, mood_of};

/// Lines of events that boards and pools leave free.
const EVENTS_SHOWN: usize = 3;

/// The widest hashrate with its deviation, characters: `1.07 ± 0.05 TH/s`.
const RATE_WIDTH: usize = 16;

impl Screen {
    /// The whole miner, in what is left below the header.
    pub(super) fn overview(&self, width: usize, height: usize) -> Vec<Line<'static>> {
        let snapshot = &*self.snapshot;
        let mut lines = vec![Line::default()];
        lines.extend(self.hashrate(&snapshot.miner, width));
        lines.push(Line::default());

        // What stands below the tables has its place first, the tables share the rest.
        let below = 2 + EVENTS_SHOWN;
        let room = height.saturating_sub(lines.len() + below + 1);
        let pools = snapshot.pools.len().min(3);
        let board_room = room.saturating_sub(pools + 1).max(3);
        lines.extend(self.boards(&snapshot.boards, width, board_room));
        lines.push(Line::default());
        let pool_room = height.saturating_sub(lines.len() + below).max(3);
        lines.extend(self.pools(&snapshot.pools, width, pool_room));
        lines.push(self.counters(&snapshot.miner));
        lines.push(Line::default());

        let free = height.saturating_sub(lines.len());
        let skipped = self.changes.len().saturating_sub(free);
        lines.extend(
            self.changes
                .iter()
                .skip(skipped)
                .map(|event| self.event(event)),
        );
        lines
    }

    fn hashrate(&self, miner: &MinerStatus, width: usize) -> Vec<Line<'static>> {
        let rates = &miner.hashrate;
        let windows = [
            ("5 s", rates.s5),
            ("1 min", rates.m1),
            ("10 min", rates.m10),
        ];
        let mut lines: Vec<Line<'static>> = Vec::new();
        for (window, rate) in windows {
            // A fixed width keeps the numbers in place while they change.
            let spans = [
                Span::styled(format!("{window} "), self.theme.dim()),
                Span::styled(
                    format!("{:<RATE_WIDTH$}", format::rate(rate)),
                    self.theme.bold(),
                ),
            ];
            match lines.last_mut() {
                Some(line) if line.width() + 2 + window.len() + RATE_WIDTH < width => {
                    line.push_span("  ");
                    line.extend(spans);
                }
                _ => lines.push(Line::from_iter(spans)),
            }
        }
        let now = if rates.m1.hps > 0.0 {
            rates.m1.hps
        } else {
            rates.s5.hps
        };
        let ratio = now / miner.expected_hps;
        let mut bar = self.bar(ratio, width.saturating_sub(42).clamp(10, 40));
        bar.push(Span::raw(format!(
            " {} of {} expected",
            format::percent(now, miner.expected_hps),
            format::hashrate(miner.expected_hps)
        )));
        let mut line = Line::from(bar);
        let power = [
            miner.power_w.map(|watts| format!("{watts:.0} W")),
            miner
                .efficiency_j_th
                .map(|joules| format!("{joules:.1} J/TH")),
        ];
        for text in power.into_iter().flatten() {
            if line.width() + 3 + text.chars().count() <= width {
                line.push_span(Span::styled(format!("   {text}"), self.theme.bold()));
            }
        }
        lines.push(line);
        if let Some(text) = format::tuner::line(&self.snapshot.tuner) {
            let reason = format::tuner::reasons(&self.snapshot.tuner.demand);
            let text = match reason.first() {
                Some(reason) => format!("{text} ({reason})"),
                None => text,
            };
            // One line: what is on this page has no room to give.
            let text = format::plain(&text, width.saturating_sub("tuner ".len()).max(1));
            lines.push(Line::from_iter([
                Span::styled("tuner ", self.theme.dim()),
                Span::raw(text),
            ]));
        }
        lines
    }

    fn boards(&self, boards: &[BoardStatus], width: usize, room: usize) -> Vec<Line<'static>> {
        // Heat and power only where somebody measures them.
        let controlled = boards.iter().any(|board| board.station.is_some());
        let mut columns = vec![
            Column::left("board"),
            Column::right("chips").gives_way(2),
            Column::left("state").at_least(7),
            Column::left("clock").gives_way(1).at_least(7),
            Column::right("1 min").at_least(9),
        ];
        if controlled {
            columns.extend([
                Column::right("°C").at_least(5),
                Column::right("W").gives_way(1).at_least(6),
                Column::right("fan").gives_way(3).at_least(5),
            ]);
        }
        columns.extend([
            Column::right("HW err").gives_way(3),
            Column::right("dup").gives_way(4),
            Column::left("uart").gives_way(5),
        ]);
        let mut table = Table::new(columns);
        // The badge speaks for all boards; beside real ones each simulated one needs its own.
        let mixed = boards.iter().any(|board| !board.simulated);
        for board in boards {
            let mark = if mixed && board.simulated {
                " (sim)"
            } else {
                ""
            };
            let mut cells = vec![
                format!("{} {}{mark}", board.index, format::plain(&board.model, 20)),
                format!("{}/{}", board.chips_found, board.chips_expected),
                format::plain(&board.state, 10),
                clock(board),
                format::hashrate(board.hashrate.m1.hps),
            ];
            if controlled {
                let or_dash = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
                cells.extend([
                    or_dash(board.temperature_c.map(|celsius| format!("{celsius:.1}"))),
                    or_dash(board.power_w.map(|watts| format!("{watts:.1}"))),
                    or_dash(board.fan_percent.map(|percent| format!("{percent} %"))),
                ]);
            }
            cells.extend([
                board.nonces.hardware_errors.to_string(),
                board.nonces.duplicates.to_string(),
                format::plain(&board.uart, 16),
            ]);
            table.push(cells);
        }
        let moods = boards.iter().map(|board| match &board.problem {
            Some(_) => Mood::Bad,
            None => mood_of(&board.state),
        });
        self.table(&table, moods, width, room)
    }

    fn pools(&self, pools: &[PoolStatus], width: usize, room: usize) -> Vec<Line<'static>> {
        // What is only worth its room with several pools, or where somebody watches the payout.
        let several = pools.len() > 1;
        let own = |pool: &PoolStatus| pool.payout.as_ref().and_then(|payout| payout.own_percent);
        let watched = pools.iter().any(|pool| own(pool).is_some());
        let mut columns = vec![Column::left("pool"), Column::left("state").at_least(9)];
        if several {
            columns.push(Column::right("work").at_least(5));
        }
        columns.extend([
            Column::right("diff").gives_way(3).at_least(6),
            Column::left("job").gives_way(6).at_least(8),
            Column::right("accepted"),
            Column::right("rejected").gives_way(1),
            Column::right("answer").gives_way(5),
        ]);
        if watched {
            columns.push(Column::right("pays you").gives_way(2));
        }
        let mut table = Table::new(columns);
        let name_width = (width / 4).clamp(12, 26);
        for pool in pools {
            let active = if pool.active { '*' } else { ' ' };
            // Scheme and key say little here, and the room is short.
            let url = pool.url.split_once("://");
            let url = url.map_or(pool.url.as_str(), |(_, host)| host);
            let url = url.split_once('/').map_or(url, |(host, _)| host);
            let mut cells = vec![
                format!("{}{active}{}", pool.index, format::plain(url, name_width)),
                format::plain(state_of(pool), 10),
            ];
            if several {
                cells.push(format!("{:.0} %", pool.work_percent));
            }
            cells.extend([
                format::difficulty(pool.difficulty),
                format::plain(pool.job_id.as_deref().unwrap_or("–"), 10),
                pool.accepted.to_string(),
                pool.rejected.to_string(),
                pool.latency_ms
                    .map_or("–".into(), |ms| format!("{ms:.0} ms")),
            ]);
            if watched {
                cells.push(own(pool).map_or("–".into(), |percent| format!("{percent:.1} %")));
            }
            table.push(cells);
        }
        let moods = pools.iter().map(|pool| match (&pool.problem, pool.active) {
            (Some(_), _) => Mood::Bad,
            (None, true) => mood_of(&pool.state),
            (None, false) => Mood::Plain,
        });
        self.table(&table, moods, width, room)
    }

    fn table(
        &self,
        table: &Table,
        moods: impl Iterator<Item = Mood>,
        width: usize,
        room: usize,
    ) -> Vec<Line<'static>> {
        let mut texts = table.lines(Some(width)).into_iter();
        let title = texts
            .next()
            .map(|title| Line::styled(title, self.theme.dim()));
        let mut lines: Vec<_> = title.into_iter().collect();
        lines.extend(
            texts
                .zip(moods)
                .map(|(text, mood)| Line::styled(text, self.theme.mood(mood))),
        );
        if lines.len() > room {
            let hidden = lines.len() - room + 1;
            lines.truncate(room.saturating_sub(1));
            lines.push(Line::styled(
                format!("… and {hidden} more"),
                self.theme.dim(),
            ));
        }
        lines
    }

    fn counters(&self, miner: &MinerStatus) -> Line<'static> {
        let nonces = &miner.nonces;
        Line::from(vec![
            Span::styled("best share ", self.theme.dim()),
            Span::styled(format::difficulty(miner.best_difficulty), self.theme.bold()),
            Span::styled(
                format!(
                    "   nonces {}   HW errors {}   duplicates {}   stale {}",
                    nonces.valid, nonces.hardware_errors, nonces.duplicates, nonces.stale
                ),
                self.theme.dim(),
            ),
        ])
    }

    pub(super) fn event(&self, event: &Event) -> Line<'static> {
        Line::from(vec![
            Span::styled(
                format!("{:>12}  ", format::duration(event.at_s)),
                self.theme.dim(),
            ),
            Span::styled(event.text.clone(), self.theme.mood(event.mood)),
        ])
    }

    /// A bar of `cells` characters, full at a ratio of 1.
    fn bar(&self, ratio: f64, cells: usize) -> Vec<Span<'static>> {
        let (full, empty) = bar_cells(ratio, cells);
        let mood = if ratio >= 0.9 {
            Mood::Good
        } else {
            Mood::Plain
        };
        vec![
            Span::styled("█".repeat(full), self.theme.mood(mood)),
            Span::styled("░".repeat(empty), self.theme.dim()),
        ]
    }
}

/// The state of a pool in one word. A session that could mine and gets no work is called by its role.
fn state_of(pool: &PoolStatus) -> &str {
    if pool
        .payout
        .as_ref()
        .is_some_and(|payout| payout.refused.is_some())
    {
        "refused"
    } else if pool.state == "mining" && !pool.active && !pool.role.is_empty() {
        &pool.role
    } else {
        &pool.state
    }
}

/// The clock of a board; with a small bar while it is below its target.
fn clock(board: &BoardStatus) -> String {
    let (now, target) = (board.frequency_mhz, board.target_mhz);
    if target > 0.0 && now < 0.995 * target {
        let (full, empty) = bar_cells(now / target, 5);
        format!(
            "{}{} {now:>3.0}/{target:.0} MHz",
            "█".repeat(full),
            "░".repeat(empty)
        )
    } else {
        format!("{now:.0} MHz")
    }
}

/// Full and empty cells of a bar; the casts saturate and take NaN as 0.
fn bar_cells(ratio: f64, cells: usize) -> (usize, usize) {
    let full = ((ratio * cells as f64).round() as usize).min(cells);
    (full, cells - full)
}
