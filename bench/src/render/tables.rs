//! The results as Markdown.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::numbers::{number, ratio, spread, with_unit};
use super::plots::Plot;
use super::view::{Row, Standing, rows};
use crate::goals::SUBJECT;
use crate::results::{Contestant, Goal, Measured, Results, Role, Sample, Scenario, median};

/// The groups of scenarios in the order of the page, with their headings and the plots that go with them.
const GROUPS: [(&str, &str, &[&str]); 10] = [
    ("put", "Puts", &["put", "latency"]),
    ("catch-up", "Catch-up reads", &["catch-up"]),
    ("fan-out", "Put to fan-out consumer", &[]),
    ("poller", "Put to polling reader", &[]),
    ("shards", "Many shards", &["cost"]),
    ("streams", "Many streams", &[]),
    ("timestamp", "Searching by time", &[]),
    ("memory", "Memory", &["memory"]),
    ("start", "Start", &[]),
    ("overload", "Overload and mixed loads", &[]),
];

// Writing into a `String` does not fail.

/// All tables, with references to the plots that there are.
#[must_use]
pub fn markdown(results: &Results, plots: &[Plot]) -> String {
    let mut text = head(results);
    let known: Vec<&str> = GROUPS.iter().map(|(group, ..)| *group).collect();
    for (group, heading, pictures) in GROUPS {
        let scenarios: Vec<&Scenario> = results.scenarios.iter().filter(|scenario| scenario.group == group).collect();
        if scenarios.is_empty() {
            continue;
        }
        let _ = write!(text, "\n### {heading}\n");
        for (file, title, _) in plots.iter().filter(|(file, ..)| pictures.contains(file)) {
            let _ = write!(text, "\n![{title}](plots/{file}.svg)\n");
        }
        text.push_str(&comparison(results, group));
        text.push_str(&figures(results, &scenarios));
        text.push_str(&curves(&scenarios));
        text.push_str(&sizes(&scenarios));
        text.push_str(&notes(&scenarios));
        text.push_str(&details(results, &scenarios));
    }
    for scenario in results.scenarios.iter().filter(|scenario| !known.contains(&&*scenario.group)) {
        let _ = write!(text, "\n**{}** gave nothing. {}\n", scenario.name, scenario.notes.join(" "));
    }
    text.push_str(&goals(results));
    text
}

fn head(results: &Results) -> String {
    let (machine, settings) = (&results.machine, &results.settings);
    let mut text = format!(
        "Machine: {} cores of {}, {:.0} GiB of memory, {}, {} under the data. Set `{}`: {} rounds, {} seconds per load \
         after {} seconds of warm-up{}.\n\n",
        machine.cores,
        machine.processor,
        machine.memory as f64 / f64::from(1 << 30),
        machine.system,
        machine.file_system,
        settings.set,
        settings.rounds,
        number(settings.seconds),
        number(settings.warm_up_seconds),
        settings.commit.as_ref().map_or(String::new(), |commit| format!("; commit `{commit}`")),
    );
    text.push_str("| | version | keeps records |\n|---|---|---|\n");
    for who in &results.contestants {
        let _ = writeln!(text, "| {} | {} | {} |", who.name, who.version.as_deref().unwrap_or("–"), who.keeps);
    }
    for absent in &results.absent {
        let _ = write!(text, "\n**{}** was not measured: {}\n", absent.id, absent.reason);
    }
    text
}

/// Millstream's rate in each load of a group, and how many times everyone else's it is.
fn comparison(results: &Results, group: &str) -> String {
    let rows = rows(results, group);
    let compared =
        |row: &Row<'_>, who: &Contestant| matches!(row.standing(who), Some(Standing::Ratio(_) | Standing::Failed));
    let others: Vec<&Contestant> = results
        .contestants
        .iter()
        .filter(|who| who.role != Role::Subject && rows.iter().any(|row| compared(row, who)))
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let mut text =
        "\n| load | Millstream, median (least – most) | MB/s | p50 / p99 ms | CPU µs per record |".to_owned();
    for who in &others {
        let _ = write!(text, " ÷ {} |", who.name);
    }
    let _ = write!(text, "\n|---|---|---|---|---|{}\n", "---|".repeat(others.len()));
    for row in &rows {
        let Some(ours) = row.of(SUBJECT) else { continue };
        let unstable = if row.scenario.device_unstable { " (device unstable)" } else { "" };
        let at = row.scenario.reduced.as_ref().map_or(String::new(), |at| format!(" ({at})"));
        let _ = write!(text, "| {}{at}{unstable} | {} ", row.title(), rate(ours));
        let _ = write!(text, "| {} ", one(ours, |sample| Some(sample.bytes_per_second / 1e6), number));
        let _ = write!(text, "| {} | {} |", latency(ours), one(ours, cpu, number));
        for who in &others {
            let cell = match row.standing(who) {
                Some(Standing::Ratio(value)) => ratio(value),
                Some(Standing::Failed) => "failed".to_owned(),
                Some(Standing::NotOffered) => "not offered".to_owned(),
                Some(Standing::LeftOut) => "not measured".to_owned(),
                None => String::new(),
            };
            let _ = write!(text, " {cell} |");
        }
        text.push('\n');
    }
    text
}

fn rate(measured: &Measured) -> String {
    let records = measured.values(|sample| Some(sample.records_per_second));
    match median(&records) > 0.0 {
        true => format!("{} records/s", spread(&records, number)),
        false => format!("{} {}/s", spread(&measured.values(|sample| Some(sample.rate)), number), measured.unit),
    }
}

/// The median of one value of each round.
fn one(measured: &Measured, of: impl Fn(&Sample) -> Option<f64>, show: impl Fn(f64) -> String) -> String {
    match &*measured.values(of) {
        [] => "–".to_owned(),
        values => show(median(values)),
    }
}

/// Seconds per million records, which are microseconds per record.
fn cpu(sample: &Sample) -> Option<f64> {
    sample.cpu.as_ref()?.per_million_records
}

fn latency(measured: &Measured) -> String {
    let p50 = measured.values(|sample| sample.latency.as_ref().map(|latency| latency.p50));
    let p99 = measured.values(|sample| sample.latency.as_ref().map(|latency| latency.p99));
    match p50.is_empty() {
        true => "–".to_owned(),
        false => format!("{} / {}", ratio(median(&p50)), ratio(median(&p99))),
    }
}

fn figures(results: &Results, scenarios: &[&Scenario]) -> String {
    let mut text = String::new();
    for scenario in scenarios {
        for figure in &scenario.figures {
            let who = match &*figure.who {
                SUBJECT => String::new(),
                other => format!("{}: ", name(results, other)),
            };
            let value = spread(&figure.samples, |value| with_unit(value, &figure.unit));
            let _ = writeln!(text, "| {} | {who}{} | {value} |", scenario.name, figure.name);
        }
    }
    match text.is_empty() {
        true => text,
        false => format!("\n| | | median (least – most) |\n|---|---|---|\n{text}"),
    }
}

fn curves(scenarios: &[&Scenario]) -> String {
    let mut text = String::new();
    for curve in scenarios.iter().flat_map(|scenario| &scenario.curves) {
        let _ = write!(text, "\n| {}: {} |", curve.name, curve.x);
        for point in &curve.points {
            let _ = write!(text, " {} |", number(point.x));
        }
        let _ = write!(text, "\n|---|{}\n| {} |", "---|".repeat(curve.points.len()), curve.y);
        for point in &curve.points {
            let _ = write!(text, " {} |", spread(&point.y, number));
        }
        text.push('\n');
    }
    text
}

/// At which sizes scenarios were measured that have no rows to say it.
fn sizes(scenarios: &[&Scenario]) -> String {
    let mut text = String::new();
    for scenario in scenarios.iter().filter(|scenario| scenario.measured.is_empty()) {
        if let Some(at) = &scenario.reduced {
            let _ = write!(text, "\n**{}** was measured at {at}.\n", scenario.name);
        }
    }
    text
}

/// What is worth knowing; a note that several scenarios share stands once.
fn notes(scenarios: &[&Scenario]) -> String {
    let mut said = BTreeSet::new();
    let mut text = String::new();
    for scenario in scenarios {
        for note in scenario.notes.iter().filter(|note| said.insert(note.as_str())) {
            let _ = writeln!(text, "- {}: {note}", scenario.name);
        }
    }
    if text.is_empty() { text } else { format!("\n{text}") }
}

/// Everyone's figures, folded away.
fn details(results: &Results, scenarios: &[&Scenario]) -> String {
    let mut text = String::new();
    for scenario in scenarios {
        for measured in &scenario.measured {
            let who = match &*measured.part {
                "" => name(results, &measured.who).to_owned(),
                part => format!("{}: {part}", name(results, &measured.who)),
            };
            let _ = write!(text, "| {} | {who} | {} ", scenario.name, rate(measured));
            let _ = write!(text, "| {} ", one(measured, |sample| Some(sample.bytes_per_second / 1e6), number));
            let tail = |sample: &Sample| sample.latency.as_ref().map(|latency| latency.p999);
            let _ = write!(
                text,
                "| {} | {} | {} ",
                latency(measured),
                one(measured, tail, ratio),
                one(measured, cpu, number)
            );
            let generator = |sample: &Sample| Some(sample.generator_share * 100.0).filter(|share| *share > 0.0);
            let _ = write!(text, "| {} ", one(measured, generator, number));
            let peak = |sample: &Sample| sample.memory.as_ref().map(|memory| memory.peak as f64);
            let _ = writeln!(
                text,
                "| {} | {} |",
                one(measured, peak, |bytes| with_unit(bytes, "bytes")),
                remarks(measured)
            );
        }
    }
    match text.is_empty() {
        true => text,
        false => format!(
            "\n<details><summary>All figures, of everyone</summary>\n\n\
             | load | who | rate | MB/s | p50 / p99 ms | p99.9 ms | CPU s per million records | generator's % of its core | peak memory | |\n\
             |---|---|---|---|---|---|---|---|---|---|\n{text}\n</details>\n"
        ),
    }
}

/// What else a row has to say: refusals, what could not be sent, errors, rounds that failed.
fn remarks(measured: &Measured) -> String {
    let sum = |of: fn(&Sample) -> u64| measured.samples.iter().map(of).sum::<u64>();
    let counted = [
        (sum(|sample| sample.refused), "refused"),
        (sum(|sample| sample.unsent), "could not be sent"),
        (sum(|sample| sample.errors), "wrong answers"),
    ];
    let mut remarks: Vec<String> = counted
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{} {what}", number(count as f64)))
        .collect();
    for failure in &measured.failures {
        remarks.push(format!("round {} failed: {}", failure.round, failure.reason.replace(['|', '\n'], " ")));
    }
    remarks.join("; ")
}

fn goals(results: &Results) -> String {
    let mut text = String::new();
    for scenario in &results.scenarios {
        for goal in &scenario.goals {
            let sign = if goal.at_most { "≤" } else { "≥" };
            let _ = writeln!(
                text,
                "| {} | {} | {} | {sign} {} | {} |",
                scenario.name,
                goal.what,
                goal.value.map_or("–".to_owned(), ratio),
                ratio(goal.wanted),
                verdict(goal, scenario.reduced.as_deref())
            );
        }
    }
    match text.is_empty() {
        true => text,
        false => format!("\n### Goals\n\n| load | what | came out | wanted | |\n|---|---|---|---|---|\n{text}"),
    }
}

/// What came out, and at which size, where that is less than the goal speaks of.
fn verdict(goal: &Goal, reduced: Option<&str>) -> String {
    let verdict = match goal.met {
        Some(true) => "met",
        Some(false) => "**not met**",
        None => "not judged",
    };
    let verdict = match (goal.met, reduced) {
        (Some(_), Some(at)) => format!("{verdict} at {at}"),
        _ => verdict.to_owned(),
    };
    if goal.note.is_empty() { verdict } else { format!("{verdict}: {}", goal.note) }
}

fn name<'a>(results: &'a Results, id: &'a str) -> &'a str {
    results.contestants.iter().find(|who| who.id == id).map_or(id, |who| &who.name)
}
