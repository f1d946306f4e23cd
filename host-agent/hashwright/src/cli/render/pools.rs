//! Pools as tables, and what each of them lets us mine.

use crate::format::{self, Column, Table};
use crate::state::{PayoutOutput, PayoutStatus, PoolStatus};

use super::{LINE, cell, known};

/// Outputs of a coinbase that are shown at most.
const OUTPUTS: usize = 5;

/// A line per pool, then their problems, messages and reasons of rejects. Columns give way where the table
/// would be wider than `width` characters.
pub fn pools(pools: &[PoolStatus], width: Option<usize>) -> String {
    if pools.is_empty() {
        return "No pools are configured.".into();
    }
    let mut table = Table::new([
        Column::left("pool"),
        Column::left("role").gives_way(3),
        Column::left("state"),
        Column::right("work").gives_way(2),
        Column::left("user").gives_way(7),
        Column::right("difficulty").gives_way(6),
        Column::left("job").gives_way(10),
        Column::right("accepted"),
        Column::right("rejected").gives_way(1),
        Column::right("no answer").gives_way(9),
        Column::right("answer time").gives_way(5),
        Column::right("best").gives_way(8),
        Column::right("pays you").gives_way(4),
    ]);
    for pool in pools {
        table.push([
            name(pool),
            cell(&pool.role),
            cell(&pool.state),
            percent(pool.work_percent),
            cell(&pool.user),
            format::difficulty(pool.difficulty),
            format::plain(pool.job_id.as_deref().unwrap_or("–"), 16),
            pool.accepted.to_string(),
            pool.rejected.to_string(),
            pool.unconfirmed.to_string(),
            known(pool.latency_ms, |ms| format!("{ms:.0} ms")),
            format::difficulty(pool.best_difficulty),
            known(own_percent(pool), |own| format!("{own:.2} %")),
        ]);
    }
    let mut lines = table.lines(width);
    for pool in pools {
        let index = pool.index;
        let bad = notes(pool).map(|note| format!("! pool {index}: {note}"));
        lines.extend(bad);
        lines.extend(rejects(pool).map(|reject| format!("  pool {index} {reject}")));
        if let Some(message) = &pool.message {
            let message = format::plain(message, LINE);
            lines.push(format!("  pool {index} says: {message}"));
        }
    }
    lines.join("\n")
}

/// Everything about each pool. Times of shares are told as ages at an uptime of `now_s` seconds.
pub fn pool_details(pools: &[PoolStatus], now_s: f64) -> String {
    if pools.is_empty() {
        return "No pools are configured.".into();
    }
    let parts = pools.iter().map(|pool| details(pool, now_s).join("\n"));
    parts.collect::<Vec<_>>().join("\n\n")
}

fn details(pool: &PoolStatus, now_s: f64) -> Vec<String> {
    let mut lines = vec![name(pool)];
    let mut line = |name: &str, value: String| lines.push(format!("  {name:<10} {value}"));
    line("state", state(pool));
    line("protocol", cell(&pool.protocol));
    line("user", cell(&pool.user));
    line(
        "work",
        match pool.quota_percent {
            Some(quota) => format!(
                "{} of a quota of {}",
                percent(pool.work_percent),
                percent(quota)
            ),
            None => percent(pool.work_percent),
        },
    );
    line(
        "shares",
        format!(
            "{} sent, {} accepted, {} rejected ({} stale), {} without an answer, {} not sent",
            pool.submitted,
            pool.accepted,
            pool.rejected,
            pool.stale,
            pool.unconfirmed,
            pool.dropped
        ),
    );
    for reject in rejects(pool) {
        line("", reject);
    }
    if pool.blocks > 0 {
        line("blocks", format!("{} taken", pool.blocks));
    }
    line(
        "last share",
        known(pool.last_share_s, |at_s| {
            format!("{} ago", format::duration(now_s - at_s))
        }),
    );
    line(
        "difficulty",
        format!(
            "{}, best share {}",
            format::difficulty(pool.difficulty),
            format::difficulty(pool.best_difficulty)
        ),
    );
    line("answers", answers(pool));
    line(
        "job",
        format!(
            "{}, {} so far, {} connections",
            format::plain(pool.job_id.as_deref().unwrap_or("–"), 24),
            pool.jobs,
            pool.connects
        ),
    );
    if let Some(payout) = &pool.payout {
        for (title, value) in pays(payout) {
            line(title, value);
        }
    }
    if let Some(message) = &pool.message {
        line("says", format::plain(message, LINE));
    }
    lines.extend(notes(pool).map(|note| format!("  ! {note}")));
    lines
}

/// What a job pays, as titled lines.
fn pays(payout: &PayoutStatus) -> Vec<(&'static str, String)> {
    if let Some(unknown) = &payout.unknown {
        return vec![("pays", format!("unknown: {}", format::plain(unknown, LINE)))];
    }
    let height = known(payout.height, |height| height.to_string());
    let mut lines = vec![(
        "block",
        format!("height {height} on {}", cell(&payout.network)),
    )];
    let tag = format::plain(&payout.tag, LINE);
    lines.push((
        "tag",
        match &payout.pool {
            Some(pool) => format!("\"{tag}\", known of {}", cell(pool)),
            None if tag.is_empty() => "none".to_owned(),
            None => format!("\"{tag}\""),
        },
    ));
    let mut title = "pays";
    for output in payout.outputs.iter().take(OUTPUTS) {
        lines.push((title, paid(output)));
        title = "";
    }
    let shown = payout.outputs.len().min(OUTPUTS);
    match payout.output_count.saturating_sub(shown) {
        0 => {}
        more => lines.push((title, format!("and {more} more"))),
    }
    if let (Some(sat), Some(own)) = (payout.own_sat, payout.own_percent) {
        let rule = known(payout.min_percent, |least| {
            format!("less than {} is refused", percent(least))
        });
        let rule = if payout.min_percent.is_some() {
            format!("; {rule}")
        } else {
            String::new()
        };
        lines.push(("your part", format!("{own:.2} %, {}{rule}", bitcoin(sat))));
    }
    lines
}

fn paid(output: &PayoutOutput) -> String {
    let own = if output.own { " (yours)" } else { "" };
    format!(
        "{:>6.2} %  {:>14}  {}{own}",
        output.percent,
        bitcoin(output.value_sat),
        format::plain(&output.receiver, 100)
    )
}

/// What a person should look at.
fn notes(pool: &PoolStatus) -> impl Iterator<Item = String> {
    let payout = pool.payout.as_ref();
    let refused = payout.and_then(|payout| payout.refused.as_ref());
    let odd = payout.into_iter().flat_map(|payout| &payout.problems);
    // A refusal is the pool's problem, too, and is said once.
    let problem = pool.problem.as_ref();
    let problem =
        problem.filter(|problem| refused.is_none_or(|refused| !problem.contains(refused)));
    let plain = |text: &String| format::plain(text, LINE);
    let refused = refused.map(|refused| format!("work refused: {}", plain(refused)));
    problem
        .map(plain)
        .into_iter()
        .chain(refused)
        .chain(pool.alarm.iter().map(plain))
        .chain(odd.map(move |odd| format!("its coinbase is odd: {}", plain(odd))))
}

fn rejects(pool: &PoolStatus) -> impl Iterator<Item = String> {
    let rejects = pool.reject_reasons.iter().filter(|reject| reject.count > 0);
    rejects.map(|reject| {
        let (count, reason) = (reject.count, cell(&reject.reason));
        let text = format::plain(&reject.text, LINE);
        format!("rejected {count}: {reason} (\"{text}\")")
    })
}

/// Index, a star for a pool that gets work, and the URL.
fn name(pool: &PoolStatus) -> String {
    let active = if pool.active { '*' } else { ' ' };
    format!("{}{active}{}", pool.index, cell(&pool.url))
}

fn state(pool: &PoolStatus) -> String {
    if pool.role.is_empty() || pool.role == pool.state {
        cell(&pool.state)
    } else {
        format!("{}, {}", cell(&pool.role), cell(&pool.state))
    }
}

fn answers(pool: &PoolStatus) -> String {
    let ms = |value: Option<f64>| known(value, |ms| format!("{ms:.0}"));
    match pool.latency_ms {
        None => "–".to_owned(),
        median => format!(
            "half within {} ms, 9 of 10 within {} ms, 99 of 100 within {} ms",
            ms(median),
            ms(pool.latency_p90_ms),
            ms(pool.latency_p99_ms)
        ),
    }
}

fn own_percent(pool: &PoolStatus) -> Option<f64> {
    pool.payout.as_ref()?.own_percent
}

fn percent(value: f64) -> String {
    let places = usize::from(value.fract().abs() > 0.05);
    format!("{value:.places$} %")
}

/// Satoshi as bitcoin, without trailing zeros.
fn bitcoin(sat: u64) -> String {
    let text = format!("{}.{:08}", sat / 100_000_000, sat % 100_000_000);
    let short = text.trim_end_matches('0').trim_end_matches('.');
    format!("{short} BTC")
}
