//! The report of an acceptance test: one HTML file that needs nothing else and runs no script, and a table
//! for the terminal. Pure.

use super::judge::{BAD_CHIP, ChipVerdict, Grade, Judgement, Level};
use super::record::{Recording, Slice};
use crate::cli::sweep::picture::escaped;
use crate::format::{self, Column, Table};

/// Everything about how it looks.
const STYLE: &str = include_str!("report.css");

/// Longest text of others that is shown, characters.
const LONGEST: usize = 600;

/// The report as an HTML document.
#[must_use]
pub fn html(seen: &Recording, judged: &Judgement) -> String {
    let subject = &seen.subject;
    let simulated = if subject.simulated {
        " <strong class=\"warn\">simulated</strong>"
    } else {
        ""
    };
    let partial = if seen.ended.is_some() {
        " <strong class=\"warn\">partial</strong>"
    } else {
        ""
    };
    let title = format!("Board {} of {}", subject.board, text(&subject.agent));
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n<style>\n{STYLE}</style>\n\
         </head>\n<body>\n<h1>{title}: {}{simulated}{partial}</h1>\n",
        text(&subject.model),
    );
    out.push_str(&format!(
        "<p class=\"pale\">Acceptance test of {}, {} of counting; Hashwright {}</p>\n",
        date(seen.began_unix_s),
        format::duration(seen.counted_s),
        text(&seen.facts.agent_version),
    ));
    out.push_str(&format!(
        "<div class=\"verdict {0}\"><strong class=\"{0}\">{1}</strong><p>{2}</p></div>\n",
        class(judged.overall),
        heading(judged.overall),
        text(&judged.sentence),
    ));
    out.push_str(&checks(judged));
    out.push_str(&chips(seen, judged));
    out.push_str(&courses(seen));
    out.push_str(&facts(seen));
    if !seen.problems.is_empty() {
        out.push_str("<h2>What the agent told meanwhile</h2>\n<ul>\n");
        for problem in &seen.problems {
            out.push_str(&format!("<li>{}</li>\n", text(problem)));
        }
        out.push_str("</ul>\n");
    }
    out.push_str(&format!(
        "<h2>How it was judged</h2>\n<p>Nonces come by chance, so every verdict on counts is a bound that is wrong with a \
         probability of {} at most; that of the chips is for all of them together. A chip is weak if it was proved to do \
         less than {:.0} % of what its clock promises, bad below 80 %. What could not be proved is no fault and no proof \
         of the contrary: the test says what it would have found.</p>\n</body>\n</html>\n",
        percent(seen.error_rate, 1),
        seen.tolerance * 100.0,
    ));
    out
}

/// The verdicts for the terminal.
#[must_use]
pub fn table(seen: &Recording, judged: &Judgement, width: Option<usize>) -> String {
    let mut lines = Vec::new();
    for check in &judged.checks {
        let mark = match check.level {
            Level::Pass => ' ',
            Level::Warn => '!',
            Level::Untested => '?',
            Level::Fail => 'X',
        };
        let line = format!("{mark} {:<10} {}: ", check.level.word(), check.title);
        let line = line + &format::plain(&check.finding, LONGEST);
        let cut = |line: String| match width {
            Some(width) => format::wrapped(&line, width),
            None => vec![line],
        };
        lines.extend(cut(line));
        if !check.advice.is_empty() {
            lines.extend(cut(format!("             {}", check.advice)));
        }
    }
    let odd: Vec<_> = judged
        .chips
        .iter()
        .filter(|chip| !matches!(chip.grade, Grade::Full | Grade::Unknown))
        .collect();
    if !odd.is_empty() {
        lines.push(String::new());
        let mut table = Table::new([
            Column::right("chip"),
            Column::right("domain"),
            Column::left("grade"),
            Column::right("work"),
            Column::right("at least"),
            Column::right("at most"),
            Column::right("wrong"),
        ]);
        for chip in odd {
            table.push([
                chip.index.to_string(),
                chip.domain.to_string(),
                grade(chip).to_owned(),
                percent(chip.delivered, 1),
                percent(chip.low, 1),
                percent(chip.high, 1),
                chip.wrong.map_or("–".to_owned(), |wrong| percent(wrong, 2)),
            ]);
        }
        lines.extend(table.lines(width));
    }
    lines.push(String::new());
    let simulated = if seen.subject.simulated {
        " (SIMULATED)"
    } else {
        ""
    };
    lines.push(format!(
        "{}{simulated}: {}",
        heading(judged.overall),
        format::plain(&judged.sentence, LONGEST)
    ));
    lines.join("\n")
}

/// Text of others: escaped, and not without end.
fn text(of: &str) -> String {
    escaped(&format::plain(of, LONGEST))
}

/// A text of ours, in which commands stand between backticks.
fn with_commands(of: &str) -> String {
    let parts = of.split('`').zip([false, true].into_iter().cycle());
    parts
        .map(|(part, command)| match command {
            false => text(part),
            true => format!("<code>{}</code>", text(part)),
        })
        .collect()
}

fn percent(share: f64, digits: usize) -> String {
    format!("{:.digits$} %", share * 100.0)
}

fn class(level: Level) -> &'static str {
    match level {
        Level::Pass => "pass",
        Level::Warn => "warn",
        Level::Untested => "untested",
        Level::Fail => "fail",
    }
}

fn heading(level: Level) -> &'static str {
    match level {
        Level::Pass => "PASS",
        Level::Warn => "PASS, with warnings",
        Level::Untested => "COULD NOT TEST",
        Level::Fail => "FAIL",
    }
}

/// The grade of a chip in a word; one that could as well be bad is not called full.
fn grade(chip: &ChipVerdict) -> &'static str {
    match chip.grade {
        Grade::Full if chip.low < BAD_CHIP => "open",
        Grade::Full => "full",
        Grade::Weak => "weak",
        Grade::Bad => "bad",
        Grade::Dead => "dead",
        Grade::Unknown => "unknown",
    }
}

fn checks(judged: &Judgement) -> String {
    let mut out = "<h2>Verdicts</h2>\n<div class=\"wide\"><table class=\"pairs\">\n<tr class=\"head\"><th>Looked at</th><th>Verdict</th><th>Found, and \
                   what to do</th></tr>\n"
        .to_owned();
    for check in &judged.checks {
        let advice = match &check.advice[..] {
            "" => String::new(),
            advice => format!("<p><strong>{}</strong></p>", with_commands(advice)),
        };
        out.push_str(&format!(
            "<tr><th>{}</th><td class=\"level {}\">{}</td><td>{}{advice}</td></tr>\n",
            text(&check.title),
            class(check.level),
            check.level.word(),
            text(&check.finding),
        ));
    }
    out.push_str("</table></div>\n");
    out
}

/// Colour of a chip's work, from 5 for all of it to 0 for none.
fn step(chip: &ChipVerdict) -> &'static str {
    match chip.grade {
        Grade::Unknown => "lu",
        Grade::Dead => "l0",
        _ => match chip.delivered {
            share if share >= 0.97 => "l5",
            share if share >= 0.94 => "l4",
            share if share >= 0.88 => "l3",
            share if share >= 0.80 => "l2",
            _ => "l1",
        },
    }
}

fn chips(seen: &Recording, judged: &Judgement) -> String {
    if judged.chips.is_empty() {
        return String::new();
    }
    let mut out = "<h2>Chips</h2>\n<div class=\"map\">\n".to_owned();
    let mut domains: Vec<_> = judged.chips.iter().map(|chip| chip.domain).collect();
    domains.dedup();
    for domain in domains {
        out.push_str(&format!("<div class=\"domain\"><span>d{domain}</span>"));
        for chip in judged.chips.iter().filter(|chip| chip.domain == domain) {
            let weak = match chip.grade {
                Grade::Weak | Grade::Bad => " weak",
                _ => "",
            };
            let record = seen.chips.iter().find(|known| known.index == chip.index);
            let address = record.map_or(0, |known| known.address);
            out.push_str(&format!(
                "<i class=\"chip {}{weak}\" title=\"chip {} (0x{address:02x}): {}, {} of its work, {} to {}\">{}</i>",
                step(chip),
                chip.index,
                grade(chip),
                percent(chip.delivered, 1),
                percent(chip.low, 1),
                percent(chip.high, 1),
                chip.index,
            ));
        }
        out.push_str("</div>\n");
    }
    out.push_str("</div>\n<p class=\"key\">");
    for (class, words) in [
        ("l5", "97 % and more of its work"),
        ("l4", "94 %"),
        ("l3", "88 %"),
        ("l2", "80 %"),
        ("l1", "less"),
        ("l0", "dead"),
        ("lu", "too early to tell"),
        ("lu weak", "framed: proved weak or bad"),
    ] {
        out.push_str(&format!(
            "<span><i class=\"chip {class}\"></i>{words}</span>"
        ));
    }
    out.push_str("</p>\n<p class=\"pale\">Rows are voltage domains in the order of the chain. Colours show what was \
                  counted, frames what is proved.</p>\n");
    let mut worst: Vec<_> = judged.chips.iter().collect();
    worst.sort_by(|a, b| a.delivered.total_cmp(&b.delivered));
    worst.truncate(10);
    out.push_str(
        "<div class=\"wide\"><table>\n<tr><th class=\"number\">Chip</th><th class=\"number\">Domain</th><th>Grade</th>\
         <th class=\"number\">Work</th><th class=\"number\">At least</th><th class=\"number\">At most</th>\
         <th class=\"number\">Wrong</th><th class=\"number\">MHz</th></tr>\n",
    );
    for chip in worst {
        let record = seen.chips.iter().find(|known| known.index == chip.index);
        let cells = [
            percent(chip.delivered, 1),
            percent(chip.low, 1),
            percent(chip.high, 1),
            chip.wrong.map_or("–".to_owned(), |wrong| percent(wrong, 2)),
            record.map_or("–".to_owned(), |known| format!("{:.2}", known.mhz)),
        ];
        let cells: String = cells
            .iter()
            .map(|cell| format!("<td class=\"number\">{cell}</td>"))
            .collect();
        out.push_str(&format!(
            "<tr><td class=\"number\">{}</td><td class=\"number\">{}</td><td>{}</td>{cells}</tr>\n",
            chip.index,
            chip.domain,
            grade(chip),
        ));
    }
    out.push_str("</table></div>\n<p class=\"pale\">The ten chips with the least work; open is what was proved neither way.</p>\n");
    out
}

/// A point of a course with its doubt: time in seconds, value, and how far below and above it may be.
type Mark = (f64, f64, f64);

fn courses(seen: &Recording) -> String {
    let slices = &seen.slices;
    if slices.len() < 2 {
        return String::new();
    }
    let rate = |slice: &Slice| -> Option<Mark> {
        let sd = (slice.nonces.max(1) as f64).sqrt() / slice.expected;
        let share = slice.nonces as f64 / slice.expected;
        (slice.expected > 0.0).then_some((slice.at_s, share * 100.0, 200.0 * sd))
    };
    let heat = |slice: &Slice| Some((slice.at_s, slice.celsius?, 0.0));
    let power = |slice: &Slice| Some((slice.at_s, slice.watts?, 0.0));
    let of = |value: &dyn Fn(&Slice) -> Option<Mark>| -> Vec<Mark> {
        slices.iter().filter_map(value).collect()
    };
    let mut out = "<h2>Course</h2>\n".to_owned();
    out.push_str(&chart(
        "Work done, % of what the clock promises; the band is two standard deviations",
        &of(&rate),
        Some(100.0),
    ));
    out.push_str(&chart("Hottest temperature, °C", &of(&heat), None));
    out.push_str(&chart(
        "Input power, W",
        &of(&power),
        seen.facts.nominal_watts,
    ));
    out
}

/// A line over time.
fn chart(title: &str, marks: &[Mark], mark: Option<f64>) -> String {
    const WIDTH: f64 = 900.0;
    const HEIGHT: f64 = 190.0;
    const LEFT: f64 = 64.0;
    const BELOW: f64 = 24.0;
    let (Some(first), Some(last)) = (marks.first(), marks.last()) else {
        return String::new();
    };
    let low = marks.iter().map(|(_, value, doubt)| value - doubt);
    let high = marks.iter().map(|(_, value, doubt)| value + doubt);
    // A nominal value far away would flatten what is to be seen.
    let low = low.fold(f64::INFINITY, f64::min);
    let high = high.fold(f64::NEG_INFINITY, f64::max);
    let near = |mark: &f64| *mark > low - (high - low) * 3.0 && *mark < high + (high - low) * 3.0;
    let mark = mark.filter(near);
    let (low, high) = (low.min(mark.unwrap_or(low)), high.max(mark.unwrap_or(high)));
    let room = ((high - low) * 0.1).max(0.5);
    let (low, high) = (low - room, high + room);
    let length = (last.0 - first.0).max(1e-9);
    let x = |at: f64| LEFT + (at - first.0) / length * (WIDTH - LEFT - 10.0);
    let y = |value: f64| (1.0 - (value - low) / (high - low)) * (HEIGHT - BELOW - 10.0) + 10.0;
    let digits = if high - low < 5.0 { 1 } else { 0 };
    let mut out = format!(
        "<p>{}</p>\n<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">\n",
        text(title),
        text(title)
    );
    for tick in 0..=3 {
        let value = low + (high - low) * f64::from(tick) / 3.0;
        let at = y(value);
        out.push_str(&format!(
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.0}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{value:.digits$}</text>\n",
            WIDTH - 10.0,
            LEFT - 8.0,
            at + 4.0,
        ));
    }
    for tick in 0..=4 {
        let at = first.0 + length * f64::from(tick) / 4.0;
        let anchor = match tick {
            0 => "start",
            4 => "end",
            _ => "middle",
        };
        out.push_str(&format!(
            "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"{anchor}\">{}</text>\n",
            x(at),
            HEIGHT - 6.0,
            format::duration(at),
        ));
    }
    if let Some(mark) = mark {
        out.push_str(&format!(
            "<line class=\"mark\" x1=\"{LEFT}\" x2=\"{:.0}\" y1=\"{1:.1}\" y2=\"{1:.1}\"/>\n",
            WIDTH - 10.0,
            y(mark)
        ));
    }
    let above = marks.iter().map(|(at, value, doubt)| (at, value + doubt));
    let below = marks
        .iter()
        .rev()
        .map(|(at, value, doubt)| (at, value - doubt));
    let band: Vec<_> = above
        .chain(below)
        .map(|(at, value)| format!("{:.1},{:.1}", x(*at), y(value)))
        .collect();
    let line: Vec<_> = marks
        .iter()
        .map(|(at, value, _)| format!("{:.1},{:.1}", x(*at), y(*value)))
        .collect();
    out.push_str(&format!(
        "<polygon class=\"band\" points=\"{}\"/>\n<polyline class=\"line\" points=\"{}\"/>\n</svg>\n",
        band.join(" "),
        line.join(" ")
    ));
    out
}

fn facts(seen: &Recording) -> String {
    let facts = &seen.facts;
    let subject = &seen.subject;
    let mut out = "<h2>The board</h2>\n<div class=\"wide\"><table class=\"pairs\">\n".to_owned();
    let mut row = |name: &str, value: String| {
        out.push_str(&format!(
            "<tr><th>{name}</th><td>{}</td></tr>\n",
            text(&value)
        ));
    };
    row(
        "Model",
        format!("{} (profile {})", subject.model, subject.profile),
    );
    row(
        "Serial number",
        subject
            .serial
            .clone()
            .unwrap_or_else(|| "none told".to_owned()),
    );
    row(
        "Chips",
        format!(
            "{} of {} {}",
            seen.chips_found, facts.chips_expected, facts.chip
        ),
    );
    let mv = facts.mv.map_or(String::new(), |mv| format!(", {mv} mV"));
    row("Setting", format!("{} MHz{mv}", facts.mhz));
    row(
        "Control and guard",
        format!("{}, {}", facts.control, facts.guard),
    );
    row("Agent", facts.agent_version.clone());
    row(
        "Time",
        format!(
            "{} counted, {} without work, {} not running",
            format::duration(seen.counted_s),
            format::duration(seen.idle_s),
            format::duration(seen.down_s)
        ),
    );
    let counts = &seen.counts;
    row(
        "Counts",
        format!(
            "{} good nonces of {:.0} promised, {} wrong, {} twice, {} bad checksums, {} stray bytes",
            counts.nonces,
            seen.expected,
            counts.wrong,
            counts.duplicates,
            counts.crc_errors,
            counts.dropped_bytes
        ),
    );
    for sensor in &seen.sensors {
        if let Some(mean) = sensor.celsius.mean() {
            let how = if sensor.measured { "" } else { ", derived" };
            row(
                &text(&sensor.name),
                format!(
                    "{mean:.1} °C on average, {:.1} to {:.1} °C{how}",
                    sensor.celsius.min, sensor.celsius.max
                ),
            );
        }
    }
    for fan in &seen.fans {
        if let Some(rpm) = fan.rpm.mean() {
            row(
                &text(&fan.name),
                format!(
                    "{rpm:.0} rpm at {:.0} %",
                    fan.duty.mean().unwrap_or_default()
                ),
            );
        }
    }
    out.push_str("</table></div>\n");
    out
}

/// Day and time of day, UTC.
fn date(unix_s: u64) -> String {
    // Civil date from days since 1970, after Howard Hinnant's public-domain algorithm.
    let days = (unix_s / 86_400) as i64 + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year + era * 400 + i64::from(month <= 2);
    let s = unix_s % 86_400;
    format!(
        "{year}-{month:02}-{day:02} {:02}:{:02} UTC",
        s / 3_600,
        s / 60 % 60
    )
}

#[cfg(test)]
mod tests {
    use super::super::judge::judge;
    use super::super::judge::tests::good;
    use super::*;

    #[test]
    fn texts_of_others_are_escaped_and_nothing_is_fetched() {
        let mut seen = good();
        let evil = "<script>alert(1)</script>\"'&\u{202e}";
        seen.subject.agent = evil.to_owned();
        seen.subject.model = evil.to_owned();
        seen.subject.serial = Some(evil.to_owned());
        seen.sensors[0].name = evil.to_owned();
        seen.sensors[0].trouble = Some(evil.to_owned());
        seen.sensors[0].silent = 9;
        seen.fans[0].name = evil.to_owned();
        seen.facts.agent_version = evil.to_owned();
        seen.problems = vec![evil.to_owned()];
        let judged = judge(&seen);
        let html = html(&seen, &judged);
        assert!(!html.contains("<script") && !html.contains('\u{202e}'));
        assert!(html.contains("&lt;script&gt;"));
        for outside in ["http:", "https:", "src=", "url(", "@import", "<link"] {
            assert!(!html.contains(outside), "{outside}");
        }
        assert!(html.contains("default-src 'none'"));
        let table = table(&seen, &judged, Some(80));
        assert!(!table.contains('\u{202e}'));
    }

    #[test]
    fn a_report_names_what_is_wrong_and_what_to_do() {
        let mut seen = good();
        seen.chips[37].nonces = 0;
        seen.ended = Some("stopped by you".to_owned());
        let judged = judge(&seen);
        let html = html(&seen, &judged);
        for part in [
            "FAIL",
            "chip 37 dead",
            "replace it",
            "partial",
            "class=\"chip l0\"",
            "1970-01-01 00:00 UTC",
        ] {
            assert!(html.contains(part), "{part}");
        }
        assert_eq!(html.matches("class=\"domain\"").count(), 11);
        let text = table(&seen, &judged, Some(100));
        assert!(text.contains("X FAIL"), "{text}");
        assert!(
            text.lines()
                .all(|line| line.chars().count() <= 100 || line.starts_with("FAIL"))
        );
    }

    #[test]
    fn elements_that_open_also_close() {
        let seen = good();
        let html = html(&seen, &judge(&seen));
        for name in [
            "table", "tr", "td", "div", "svg", "p", "span", "ul", "h2", "strong",
        ] {
            let open = html.matches(&format!("<{name} ")).count()
                + html.matches(&format!("<{name}>")).count();
            let close = html.matches(&format!("</{name}>")).count();
            assert_eq!(open, close, "{name}");
        }
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date(951_782_400), "2000-02-29 00:00 UTC");
        assert_eq!(date(1_735_689_599), "2024-12-31 23:59 UTC");
    }
}
