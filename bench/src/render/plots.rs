//! The plots: bars of rates, latencies by quantile, memory over time, costs over sizes.

use super::numbers::number;
use super::panel::{COLUMNS, Panel, Scale, TOP, WIDTH, labels, tick_label};
use super::svg::{Anchor, Look, Picture};
use super::view::{Row, rows};
use crate::goals::SUBJECT;
use crate::results::{Measured, Results, Sample, Scenario, median};

/// A plot: the name of its file, what it shows, and the picture.
pub type Plot = (&'static str, &'static str, String);

/// All plots for which there are figures.
#[must_use]
pub fn all(results: &Results) -> Vec<Plot> {
    let plots = [
        ("put", "Puts: records per second, median with least and most", bars(results, "put")),
        ("catch-up", "Catch-up: records per second, median with least and most", bars(results, "catch-up")),
        ("latency", "Latency that a share of the requests stays below", latencies(results)),
        ("memory", "Resident memory while a load runs", memories(results)),
        ("cost", "Cost over size", curves(results)),
    ];
    plots
        .into_iter()
        .filter_map(|(file, title, picture)| picture.map(|picture| (file, title, picture.finish(title))))
        .collect()
}

const BAR: f64 = 19.0;
const NAMES: f64 = 150.0;
const FIGURES: f64 = 78.0;

/// Rates of a group's scenarios, each on an axis of its own that begins at zero.
fn bars(results: &Results, group: &str) -> Option<Picture> {
    let rows: Vec<Row<'_>> = rows(results, group).into_iter().filter(|row| !row.bars().is_empty()).collect();
    let height = |row: &Row<'_>| 34.0 + BAR * row.bars().len() as f64;
    let lines: Vec<&[Row<'_>]> = rows.chunks(COLUMNS).collect();
    let tall = |line: &[Row<'_>]| line.iter().map(height).fold(0.0, f64::max);
    let mut picture = Picture::new(WIDTH, 8.0 + lines.iter().map(|line| tall(line)).sum::<f64>());
    let (column, mut y) = (WIDTH / COLUMNS as f64, 18.0);
    for line in &lines {
        for (place, row) in line.iter().enumerate() {
            let x = place as f64 * column + 8.0;
            picture.heading((x, y), &row.title());
            let bars = row.bars();
            let most = bars.iter().flat_map(|bar| bar.rates.iter().copied()).fold(0.0, f64::max);
            let room = column - 16.0 - NAMES - FIGURES;
            for (index, bar) in bars.iter().enumerate() {
                let top = y + 10.0 + BAR * index as f64;
                let look = Look::of(bar.who, &results.contestants);
                let (zero, middle) = (x + NAMES, top + (BAR - 5.0) / 2.0);
                let at = |rate: f64| zero + room * rate / most;
                let rate = median(&bar.rates);
                picture.text((zero - 6.0, middle + 4.0), Anchor::End, 12.0, bar.name);
                picture.bar((zero, top), (at(rate) - zero, BAR - 5.0), look);
                let ends = bar.rates.iter().copied().fold((rate, rate), |(low, high), v| (low.min(v), high.max(v)));
                picture.line((at(ends.0), middle), (at(ends.1), middle), "#6e7681", 1.5, 1.0);
                for end in [ends.0, ends.1] {
                    picture.line((at(end), middle - 3.0), (at(end), middle + 3.0), "#6e7681", 1.5, 1.0);
                }
                picture.text((at(ends.1) + 6.0, middle + 4.0), Anchor::Start, 12.0, &number(rate));
            }
            picture.line((x + NAMES, y + 6.0), (x + NAMES, y + height(row) - 24.0), "#8b949e", 1.0, 0.8);
        }
        y += tall(line);
    }
    (!rows.is_empty()).then_some(picture)
}

/// Latencies by quantile, both axes by powers of ten: of puts of one small record, of fan-out and of polling.
fn latencies(results: &Results) -> Option<Picture> {
    let wanted = |scenario: &&Scenario, measured: &&Measured| match &*scenario.group {
        "put" => scenario.id.starts_with("put-record-1k"),
        "fan-out" | "poller" => measured.part == "deliveries",
        "overload" => measured.who == SUBJECT,
        _ => false,
    };
    let of = |sample: &Sample| sample.latency.as_ref().map(|latency| latency.points.clone()).unwrap_or_default();
    let panels: Vec<(String, Vec<Line>)> = results
        .scenarios
        .iter()
        .map(|scenario| {
            let measured = scenario.measured.iter().filter(|measured| wanted(&scenario, measured));
            (scenario.name.clone(), lines(results, measured, of))
        })
        .filter(|(_, lines)| !lines.is_empty())
        .collect();
    let mut picture = Picture::new(WIDTH, Panel::picture_height(panels.len()));
    let mut shown = Vec::new();
    // A quantile's place is the power of ten of what is above it.
    let across = |quantile: f64| -(1.0 - quantile).max(1e-4).log10() / 4.0;
    let quantiles = [(0.0, "0"), (0.5, "50 %"), (0.9, "90 %"), (0.99, "99 %"), (0.999, "99.9 %"), (0.9999, "99.99 %")];
    let ticks: Vec<(f64, String)> = quantiles.map(|(q, name)| (across(q), name.to_owned())).to_vec();
    for (index, (title, lines)) in panels.iter().enumerate() {
        let panel = Panel::nth(index);
        let y = Scale::logarithmic(lines.iter().flat_map(|line| line.points.iter().map(|point| point.1)));
        let x = Scale::Linear { most: 1.0 };
        panel.frame(&mut picture, (title, "of the requests stay below", "ms"), (x, &ticks), y);
        for line in lines {
            let points = line.points.iter().filter(|point| point.1 > 0.0);
            let points: Vec<(f64, f64)> = points.map(|(q, ms)| panel.at((across(*q), y.place(*ms)))).collect();
            picture.curve(&points, line.look);
            note(&mut shown, line);
        }
    }
    legend(&mut picture, &shown);
    (!panels.is_empty()).then_some(picture)
}

/// Memory over time, where a load lasts long enough to see something.
fn memories(results: &Results) -> Option<Picture> {
    const MOST: usize = 8;
    let of = |sample: &Sample| {
        let memory = sample.memory.as_ref().map(|memory| memory.over_time.as_slice()).unwrap_or_default();
        memory.iter().map(|(second, bytes)| (*second, *bytes as f64 / (1 << 20) as f64)).collect::<Vec<_>>()
    };
    let mut panels: Vec<(String, Vec<Line>)> = results
        .scenarios
        .iter()
        .map(|scenario| (scenario.name.clone(), lines(results, scenario.measured.iter(), of)))
        .filter(|(_, lines)| lines.iter().any(|line| line.points.len() >= 3))
        .collect();
    // The longest loads tell most; among equals the first.
    let length = |lines: &[Line]| lines.iter().flat_map(|line| line.points.last().map(|p| p.0)).fold(0.0, f64::max);
    panels.sort_by(|a, b| length(&b.1).total_cmp(&length(&a.1)));
    panels.truncate(MOST);
    let mut picture = Picture::new(WIDTH, Panel::picture_height(panels.len()));
    let mut shown = Vec::new();
    for (index, (title, lines)) in panels.iter().enumerate() {
        let panel = Panel::nth(index);
        let points = || lines.iter().flat_map(|line| line.points.iter());
        let (x, y) = (Scale::linear(points().map(|p| p.0)), Scale::linear(points().map(|p| p.1)));
        panel.frame(&mut picture, (title, "seconds", "MiB"), (x, &labels(x)), y);
        for line in lines {
            let points: Vec<_> = line.points.iter().map(|(s, mib)| panel.at((x.place(*s), y.place(*mib)))).collect();
            picture.curve(&points, line.look);
            note(&mut shown, line);
        }
    }
    legend(&mut picture, &shown);
    (!panels.is_empty()).then_some(picture)
}

/// Costs over sizes, the median of each point with its least and most.
fn curves(results: &Results) -> Option<Picture> {
    let curves: Vec<_> = results.scenarios.iter().flat_map(|scenario| &scenario.curves).collect();
    let curves: Vec<_> = curves.into_iter().filter(|curve| !curve.points.is_empty()).collect();
    let mut picture = Picture::new(WIDTH, Panel::picture_height(curves.len()) - TOP);
    for (index, curve) in curves.iter().enumerate() {
        let panel = Panel::nth(index).raised(TOP);
        let sizes = || curve.points.iter().map(|point| point.x);
        let x = if curve.logarithmic { Scale::logarithmic(sizes()) } else { Scale::linear(sizes()) };
        let y = Scale::linear(curve.points.iter().flat_map(|point| point.y.iter().copied()));
        let ticks: Vec<(f64, String)> = match curve.points.len() {
            ..=6 => sizes().map(|size| (size, tick_label(size))).collect(),
            _ => labels(x),
        };
        panel.frame(&mut picture, (&curve.name, &curve.x, &curve.y), (x, &ticks), y);
        let look = Look::nth(0);
        let points: Vec<(f64, f64)> =
            curve.points.iter().map(|p| panel.at((x.place(p.x), y.place(median(&p.y))))).collect();
        for (point, at) in curve.points.iter().zip(&points) {
            let ends = point.y.iter().fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(*v), high.max(*v)));
            let end = |value: f64| (at.0, panel.at((0.0, y.place(value))).1);
            picture.line(end(ends.0), end(ends.1), look.colour(), 1.5, 0.6);
        }
        picture.curve(&points, look);
    }
    (!curves.is_empty()).then_some(picture)
}

/// A line of a plot.
struct Line {
    name: String,
    look: Look,
    points: Vec<(f64, f64)>,
}

/// The line of each row's median round, by rate; several rows of one contestant are told apart by their parts.
fn lines<'a>(
    results: &Results,
    measured: impl Iterator<Item = &'a Measured>,
    of: impl Fn(&Sample) -> Vec<(f64, f64)>,
) -> Vec<Line> {
    let measured: Vec<&Measured> = measured.collect();
    let alone = |who: &str| measured.iter().filter(|other| other.who == who).count() < 2;
    let mut lines = Vec::new();
    for row in &measured {
        let points = row.middle().map(&of).unwrap_or_default();
        if points.is_empty() {
            continue;
        }
        let name = results.contestants.iter().find(|who| who.id == row.who).map_or(&*row.who, |who| &*who.name);
        let (name, look) = match alone(&row.who) {
            true => (name.to_owned(), Look::of(&row.who, &results.contestants)),
            false => (format!("{name}, {}", row.part), Look::nth(lines.len())),
        };
        lines.push(Line { name, look, points });
    }
    lines
}

fn note(shown: &mut Vec<(String, Look)>, line: &Line) {
    if !shown.iter().any(|(name, _)| *name == line.name) {
        shown.push((line.name.clone(), line.look));
    }
}

fn legend(picture: &mut Picture, shown: &[(String, Look)]) {
    let entries: Vec<(&str, Look)> = shown.iter().map(|(name, look)| (&**name, *look)).collect();
    picture.legend((8.0, 18.0), &entries);
}
