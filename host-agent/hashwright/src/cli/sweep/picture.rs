//! A sweep as pictures and as a table: one heat map for each metric, drawn once and written as SVG and as
//! PNG, and CSV for spreadsheets. Pure.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::draw::Metric;
use super::file::Sweep;
use super::glyphs;
use super::outcome::{Outcome, Verdict};
use super::plan::{Fate, Point};

/// Size of a cell, pixels.
const CELL: (u32, u32) = (64, 36);
/// Room for the voltages at the left, pixels.
const LEFT: u32 = 96;
/// Room above each map and below it, pixels.
const ABOVE: u32 = 44;
const BELOW: u32 = 40;
/// Room for the title, pixels.
const TITLE: u32 = 64;
/// Narrowest picture, so that the titles fit, pixels.
const NARROWEST: u32 = 720;

/// A colour, red, green and blue.
type Colour = [u8; 3];

const INK: Colour = [0x22, 0x22, 0x26];
const PALE: Colour = [0x77, 0x77, 0x80];
const PAPER: Colour = [0xff, 0xff, 0xff];
const EMPTY: Colour = [0xee, 0xee, 0xf0];
const FAILED: Colour = [0x4a, 0x4a, 0x52];

/// From good to bad; to be told apart by everybody, also in grey.
const RAMP: [Colour; 5] = [
    [0x1b, 0x7a, 0x6e],
    [0x5f, 0xb0, 0x8b],
    [0xf2, 0xe2, 0x9b],
    [0xe8, 0x9a, 0x4f],
    [0xb8, 0x3a, 0x3a],
];

/// Where a text stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Anchor {
    Start,
    Middle,
    End,
}

/// How large a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Size {
    Small,
    Usual,
    Large,
}

/// Pixels of the PNG for each of the drawing, so that its letters are sharp.
const FINER: usize = 2;

/// Something drawn.
#[derive(Clone, Debug, PartialEq)]
enum Shape {
    Box {
        x: u32,
        y: u32,
        w: u32,
        h: u32,
        fill: Colour,
    },
    /// A text whose middle line is at `y`.
    Text {
        x: u32,
        y: u32,
        anchor: Anchor,
        size: Size,
        fill: Colour,
        text: String,
    },
}

/// A drawing.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    width: u32,
    height: u32,
    shapes: Vec<Shape>,
}

/// Draws a sweep.
#[must_use]
pub fn draw(sweep: &Sweep) -> Picture {
    let (columns, rows) = (sweep.grid.mhz.len() as u32, sweep.grid.mv.len() as u32);
    let width = (LEFT + columns * CELL.0 + 24).max(NARROWEST);
    let panel = ABOVE + rows * CELL.1 + BELOW;
    let height = TITLE + panel * Metric::ALL.len() as u32;
    let mut shapes = vec![Shape::Box {
        x: 0,
        y: 0,
        w: width,
        h: height,
        fill: PAPER,
    }];
    let subject = &sweep.subject;
    let simulated = if subject.simulated { ", simulated" } else { "" };
    shapes.push(text(
        16,
        22,
        Anchor::Start,
        Size::Large,
        INK,
        format!(
            "{}, board {} of {}{simulated}",
            subject.model, subject.board, subject.agent
        ),
    ));
    let serial = subject.serial.as_deref().unwrap_or("no serial");
    shapes.push(text(
        16,
        46,
        Anchor::Start,
        Size::Small,
        PALE,
        format!(
            "{serial}; verdicts wrong with {} % each way; x bad, ^ too hot, W too much power, ! broke down, ? undecided",
            sweep.error_rate * 100.0
        ),
    ));
    for (metric, index) in Metric::ALL.into_iter().zip(0..) {
        panel_of(sweep, metric, TITLE + index * panel, &mut shapes);
    }
    Picture {
        width,
        height,
        shapes,
    }
}

fn text(x: u32, y: u32, anchor: Anchor, size: Size, fill: Colour, text: String) -> Shape {
    Shape::Text {
        x,
        y,
        anchor,
        size,
        fill,
        text,
    }
}

fn panel_of(sweep: &Sweep, metric: Metric, top: u32, shapes: &mut Vec<Shape>) {
    let values: Vec<_> = sweep
        .points
        .iter()
        .filter_map(|outcome| metric.of(outcome))
        .collect();
    shapes.push(text(
        16,
        top + ABOVE - 20,
        Anchor::Start,
        Size::Usual,
        INK,
        metric.title().to_owned(),
    ));
    let rows = sweep.grid.mv.iter().rev().zip(0u32..);
    for (&mv, row) in rows {
        let y = top + ABOVE + row * CELL.1;
        let label = mv.map_or_else(|| "as is".to_owned(), |mv| format!("{mv} mV"));
        let middle = y + CELL.1 / 2;
        shapes.push(text(
            LEFT - 10,
            middle,
            Anchor::End,
            Size::Usual,
            INK,
            label,
        ));
        for (&mhz, column) in sweep.grid.mhz.iter().zip(0u32..) {
            let x = LEFT + column * CELL.0;
            let (fill, words) = cell(sweep, metric, &Point { mhz, mv }, &values);
            shapes.push(Shape::Box {
                x: x + 1,
                y: y + 1,
                w: CELL.0 - 2,
                h: CELL.1 - 2,
                fill,
            });
            let ink = if is_dark(fill) { PAPER } else { INK };
            shapes.push(text(
                x + CELL.0 / 2,
                middle,
                Anchor::Middle,
                Size::Usual,
                ink,
                words,
            ));
        }
    }
    let below = top + ABOVE + sweep.grid.mv.len() as u32 * CELL.1 + 16;
    for (&mhz, column) in sweep.grid.mhz.iter().zip(0u32..) {
        let x = LEFT + column * CELL.0 + CELL.0 / 2;
        shapes.push(text(
            x,
            below,
            Anchor::Middle,
            Size::Usual,
            INK,
            format!("{mhz}"),
        ));
    }
    shapes.push(text(
        LEFT - 10,
        below,
        Anchor::End,
        Size::Usual,
        INK,
        "MHz".to_owned(),
    ));
}

/// Colour and words of a cell.
fn cell(sweep: &Sweep, metric: Metric, point: &Point, values: &[f64]) -> (Colour, String) {
    let done = match sweep.fate(point) {
        Fate::Open => return (EMPTY, String::new()),
        Fate::Worse(_) => return (EMPTY, "-".to_owned()),
        Fate::Done(done) => done,
    };
    let mark = match done.verdict {
        Verdict::Good => "",
        Verdict::Undecided => "?",
        Verdict::Slow | Verdict::Wrong => "x",
        Verdict::Hot => "^",
        Verdict::Power => "W",
        Verdict::Broke => "!",
    };
    let Some(value) = metric.of(done) else {
        return (FAILED, mark.to_owned());
    };
    let words = match metric {
        Metric::Errors => format!("{value:.2}{mark}"),
        _ => format!("{value:.1}{mark}"),
    };
    let place = match metric {
        Metric::Rate => (100.0 - value) / 20.0,
        Metric::Errors => value / 3.5,
        Metric::Efficiency => {
            let least = values.iter().copied().fold(f64::INFINITY, f64::min);
            let most = values.iter().copied().fold(least, f64::max);
            // Of what is alike all is good.
            (value - least) / (most - least).max(least * 0.2).max(1e-9)
        }
    };
    (ramp(place), words)
}

/// The colour at a place between good (0) and bad (1).
fn ramp(place: f64) -> Colour {
    let place = if place.is_finite() { place } else { 1.0 };
    let at = place.clamp(0.0, 1.0) * (RAMP.len() - 1) as f64;
    let low = (at as usize).min(RAMP.len() - 2);
    let part = at - low as f64;
    let mix = |channel: usize| {
        let (a, b) = (RAMP[low][channel], RAMP[low + 1][channel]);
        (f64::from(a) + (f64::from(b) - f64::from(a)) * part).round() as u8
    };
    [mix(0), mix(1), mix(2)]
}

fn is_dark([red, green, blue]: Colour) -> bool {
    let light = 0.3 * f64::from(red) + 0.59 * f64::from(green) + 0.11 * f64::from(blue);
    light < 140.0
}

impl Picture {
    /// As SVG.
    #[must_use]
    pub fn svg(&self) -> String {
        let (width, height) = (self.width, self.height);
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" font-family=\"system-ui, sans-serif\">\n"
        );
        for shape in &self.shapes {
            match shape {
                Shape::Box { x, y, w, h, fill } => out.push_str(&format!(
                    "<rect x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" fill=\"{}\"/>\n",
                    hex(*fill)
                )),
                Shape::Text {
                    x,
                    y,
                    anchor,
                    size,
                    fill,
                    text,
                } => {
                    if text.is_empty() {
                        continue;
                    }
                    let anchor = match anchor {
                        Anchor::Start => "start",
                        Anchor::Middle => "middle",
                        Anchor::End => "end",
                    };
                    let size = match size {
                        Size::Small => 11,
                        Size::Usual => 13,
                        Size::Large => 17,
                    };
                    out.push_str(&format!(
                        "<text x=\"{x}\" y=\"{}\" text-anchor=\"{anchor}\" font-size=\"{size}\" fill=\"{}\">{}</text>\n",
                        y + 5,
                        hex(*fill),
                        escaped(text)
                    ));
                }
            }
        }
        out.push_str("</svg>\n");
        out
    }

    /// As PNG.
    ///
    /// # Errors
    ///
    /// None in practice: it is written to memory.
    pub fn png(&self) -> std::io::Result<Vec<u8>> {
        let at = |pixels: u32| pixels as usize * FINER;
        let (width, height) = (at(self.width), at(self.height));
        let mut pixels = vec![0xff; width * height * 3];
        let mut fill = |x: usize, y: usize, w: usize, h: usize, colour: Colour| {
            for row in y..(y + h).min(height) {
                let (from, to) = (x.min(width), (x + w).min(width));
                let line = &mut pixels[(row * width + from) * 3..(row * width + to) * 3];
                for pixel in line.chunks_exact_mut(3) {
                    pixel.copy_from_slice(&colour);
                }
            }
        };
        for shape in &self.shapes {
            match shape {
                Shape::Box {
                    x,
                    y,
                    w,
                    h,
                    fill: colour,
                } => fill(at(*x), at(*y), at(*w), at(*h), *colour),
                Shape::Text {
                    x,
                    y,
                    anchor,
                    size,
                    fill: colour,
                    text,
                } => {
                    let scale = match size {
                        Size::Small => 2,
                        Size::Usual => 3,
                        Size::Large => 4,
                    };
                    let wide = text.chars().count() * (glyphs::WIDTH + 1) * scale;
                    let x = match anchor {
                        Anchor::Start => at(*x),
                        Anchor::Middle => at(*x).saturating_sub(wide / 2),
                        Anchor::End => at(*x).saturating_sub(wide),
                    };
                    let y = at(*y).saturating_sub(glyphs::HEIGHT * scale / 2);
                    for (index, c) in text.chars().enumerate() {
                        let left = x + index * (glyphs::WIDTH + 1) * scale;
                        for (column, row) in glyphs::dots(c) {
                            fill(
                                left + column * scale,
                                y + row * scale,
                                scale,
                                scale,
                                *colour,
                            );
                        }
                    }
                }
            }
        }
        encode(width as u32, height as u32, &pixels)
    }
}

/// Pixels of three bytes as a PNG file.
fn encode(width: u32, height: u32, pixels: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    for line in pixels.chunks_exact(width as usize * 3) {
        // No filter: these pictures are few colours in large areas.
        zlib.write_all(&[0])?;
        zlib.write_all(line)?;
    }
    let data = zlib.finish()?;
    let mut header = Vec::new();
    header.extend(width.to_be_bytes());
    header.extend(height.to_be_bytes());
    // Eight bits, red green blue, the one compression and filter there are, not interlaced.
    header.extend([8, 2, 0, 0, 0]);
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    for (name, data) in [(b"IHDR", &header[..]), (b"IDAT", &data), (b"IEND", &[])] {
        let mut sum = flate2::Crc::new();
        sum.update(name);
        sum.update(data);
        file.extend((data.len() as u32).to_be_bytes());
        file.extend(name);
        file.extend(data);
        file.extend(sum.sum().to_be_bytes());
    }
    Ok(file)
}

fn hex([red, green, blue]: Colour) -> String {
    format!("#{red:02x}{green:02x}{blue:02x}")
}

/// Text that means nothing but itself in XML and HTML.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Neither XML nor people can take these.
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// The points as CSV, one a line, in the order of the grid.
#[must_use]
pub fn csv(sweep: &Sweep) -> String {
    let mut out = "mhz,mv,verdict,delivered,delivered_sd,wrong_share,ths,watts,watts_measured,j_per_th,celsius,\
                   actual_mv,nonces,expected_nonces,wrong,counted_s,took_s,why\n"
        .to_owned();
    let number = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.6}"));
    for point in sweep.grid.points() {
        let mv = point.mv.map_or(String::new(), |mv| mv.to_string());
        let blank = Outcome::default();
        let (word, why, of) = match sweep.fate(&point) {
            Fate::Open => ("open", String::new(), &blank),
            Fate::Worse(failed) => (
                "must be worse",
                format!("{} failed: {}", failed.at, failed.verdict.word()),
                &blank,
            ),
            Fate::Done(done) => (done.verdict.word(), done.why.clone(), done),
        };
        let done = of.took_s > 0.0 || of.nonces > 0;
        let count = |value: String| if done { value } else { String::new() };
        let row = [
            format!("{}", point.mhz),
            mv,
            word.to_owned(),
            number(of.delivered),
            number(of.delivered_sd),
            number(of.wrong_share),
            number(of.hps.map(|hps| hps / 1e12)),
            number(of.watts),
            count(of.watts_measured.to_string()),
            number(of.j_per_th),
            number(of.celsius),
            number(of.actual_mv),
            count(of.nonces.to_string()),
            count(format!("{:.1}", of.expected_nonces)),
            count(of.wrong.to_string()),
            count(format!("{:.0}", of.counted_s)),
            count(format!("{:.0}", of.took_s)),
            field(&why),
        ];
        out.push_str(&row.join(","));
        out.push('\n');
    }
    out
}

/// A text as a field of CSV that no spreadsheet takes for a formula.
fn field(text: &str) -> String {
    let lead = if text.starts_with(['=', '+', '-', '@', '\t']) {
        "'"
    } else {
        ""
    };
    let text: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    format!("\"{lead}{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::super::file::tests::sample;
    use super::*;

    #[test]
    fn svg_is_well_formed_and_escapes_names() {
        let mut sweep = sample();
        sweep.subject.agent = "<script>&\"'\u{7}".into();
        let svg = draw(&sweep).svg();
        assert!(!svg.contains("<script>") && !svg.contains('\u{7}'));
        assert!(svg.contains("&lt;script&gt;&amp;&quot;&#39;"));
        // All that opens also ends.
        assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
        assert_eq!(svg.matches("<rect").count(), svg.matches("/>").count());
    }

    #[test]
    fn png_has_the_size_and_all_pixels() {
        let picture = draw(&sample());
        let png = picture.png().unwrap();
        assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
        assert_eq!(&png[12..16], b"IHDR");
        assert_eq!(png[16..20], (2 * picture.width).to_be_bytes());
        assert_eq!(png[20..24], (2 * picture.height).to_be_bytes());
        // The chunk after the header of 13 bytes, its sum, and its own eight bytes.
        let length = u32::from_be_bytes(png[33..37].try_into().unwrap()) as usize;
        assert_eq!(&png[37..41], b"IDAT");
        let mut pixels = Vec::new();
        flate2::read::ZlibDecoder::new(&png[41..41 + length])
            .read_to_end(&mut pixels)
            .unwrap();
        let line = 2 * picture.width as usize * 3 + 1;
        assert_eq!(pixels.len(), line * 2 * picture.height as usize);
        // The end marker has the sum that every PNG has.
        assert_eq!(&png[png.len() - 8..], b"IEND\xae\x42\x60\x82");
        // There is ink on it.
        assert!(
            pixels
                .chunks(line)
                .any(|line| line[1..].windows(3).any(|p| p == INK))
        );
    }

    #[test]
    fn csv_has_a_line_per_point_and_no_formulas() {
        let mut sweep = sample();
        sweep.points[0].why = "=1+1, \"quoted\"".into();
        let csv = csv(&sweep);
        let lines: Vec<_> = csv.lines().collect();
        assert_eq!(lines.len(), 5);
        assert!(lines[1].starts_with("400,1150,good,"), "{}", lines[1]);
        assert!(
            lines[1].ends_with("\"'=1+1, \"\"quoted\"\"\""),
            "{}",
            lines[1]
        );
        assert!(
            lines[4].starts_with("500,1100,must be worse,"),
            "{}",
            lines[4]
        );
    }
}
