use super::*;
use crate::results::{
    Absent, Contestant, Curve, Failure, Figure, Goal, Latency, Machine, Measured, Memory, Point, Role, Sample,
    Scenario, Settings,
};

fn contestant(id: &str, name: &str, role: Role) -> Contestant {
    Contestant { id: id.to_owned(), name: name.to_owned(), role, version: None, keeps: "memory only".to_owned() }
}

fn sample(round: usize, records: f64) -> Sample {
    Sample {
        round,
        rate: records / 500.0,
        records_per_second: records,
        bytes_per_second: records * 1000.0,
        latency: Some(Latency {
            p50: 1.0,
            p99: 4.0,
            points: (0..200).map(|n| (f64::from(n) / 200.0, 0.5 + f64::from(n) / 50.0)).collect(),
            ..Latency::default()
        }),
        memory: Some(Memory { peak: 50 << 20, over_time: vec![(0.0, 10 << 20), (1.0, 40 << 20), (2.0, 41 << 20)] }),
        ..Sample::default()
    }
}

fn measured(who: &str, part: &str, rates: &[f64]) -> Measured {
    Measured {
        who: who.to_owned(),
        part: part.to_owned(),
        unit: "requests".to_owned(),
        samples: (1..).zip(rates).map(|(round, rate)| sample(round, *rate)).collect(),
        failures: Vec::new(),
    }
}

fn scenario(id: &str, group: &str, name: &str) -> Scenario {
    crate::scenarios::empty(id, group, name)
}

/// A run with all that tables and plots tell apart.
fn results() -> Results {
    let mut puts = scenario("put-record-1k-16", "put", "PutRecord 1 KB, 16 connections");
    let mut raw = measured("raw", "4 MiB", &[0.0, 0.0]);
    raw.samples.iter_mut().for_each(|sample| sample.bytes_per_second = 4e6);
    let failed = Measured {
        failures: vec![Failure { round: 1, reason: "a wrong answer | of two lines\n".to_owned() }],
        ..measured("moto", "", &[])
    };
    puts.measured = vec![
        measured("millstream", "", &[2000.0, 1000.0, 3000.0]),
        measured("ferrokinesis", "", &[500.0]),
        failed,
        raw,
    ];
    puts.goals = vec![Goal {
        what: "÷ ferrokinesis (memory)".to_owned(),
        value: Some(4.0),
        wanted: 14.0,
        at_most: false,
        met: Some(false),
        note: String::new(),
    }];
    puts.notes = vec!["One round is a short one.".to_owned()];
    let mut idle = scenario("memory-idle", "memory", "Memory, idle");
    idle.figures = vec![Figure {
        who: "millstream".to_owned(),
        name: "resident".to_owned(),
        unit: "bytes".to_owned(),
        samples: vec![f64::from(12 << 20)],
    }];
    let mut shards = scenario("shards", "shards", "Shards");
    shards.curves = vec![Curve {
        who: "millstream".to_owned(),
        name: "PutRecords".to_owned(),
        x: "shards".to_owned(),
        y: "records/s".to_owned(),
        logarithmic: true,
        points: vec![Point { x: 1.0, y: vec![10.0, 12.0] }, Point { x: 1000.0, y: vec![9.0] }],
    }];
    Results {
        format: FORMAT,
        machine: Machine::default(),
        settings: Settings::default(),
        contestants: vec![
            contestant("millstream", "Millstream", Role::Subject),
            contestant("ferrokinesis", "ferrokinesis", Role::Peer),
            contestant("kinesalite", "kinesalite", Role::Peer),
            contestant("moto", "moto", Role::Peer),
            contestant("raw", "raw append + fdatasync", Role::Ceiling),
        ],
        absent: vec![Absent { id: "kinesis-local".to_owned(), reason: "npm is not installed".to_owned() }],
        scenarios: vec![puts, idle, shards],
        finished: true,
    }
}

#[test]
fn tables_say_who_is_how_much_slower_and_who_is_missing() {
    let text = tables::markdown(&results(), &[]);
    let row = text.lines().find(|line| line.starts_with("| PutRecord 1 KB")).unwrap();
    assert_eq!(
        row,
        "| PutRecord 1 KB, 16 connections | 2,000 (1,000 – 3,000) records/s | 2.0 | 1.00 / 4.00 | – | 4.00 | failed | 0.50 |"
    );
    for part in [
        "÷ ferrokinesis | ÷ moto | ÷ raw append + fdatasync |",
        "**kinesis-local** was not measured: npm is not installed",
        "round 1 failed: a wrong answer   of two lines",
        "| Memory, idle | resident | 12 MiB |",
        "| records/s | 11 (10 – 12) | 9.0 |",
        "| PutRecord 1 KB, 16 connections | ÷ ferrokinesis (memory) | 4.00 | ≥ 14.0 | **not met** |",
        "- PutRecord 1 KB, 16 connections: One round is a short one.",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
}

#[test]
fn a_peer_that_takes_part_in_some_loads_of_a_group_does_not_offer_the_others() {
    let mut results = results();
    let mut cbor = scenario("put-cbor", "put", "CBOR");
    cbor.measured = vec![measured("millstream", "", &[2000.0])];
    results.scenarios.push(cbor);
    let text = tables::markdown(&results, &[]);
    let row = text.lines().find(|line| line.starts_with("| CBOR")).unwrap();
    assert!(row.ends_with("| not offered | not offered |  |"), "{row}");
}

#[test]
fn goals_say_at_which_size_they_were_judged_and_what_is_missing() {
    let mut results = results();
    let puts = &mut results.scenarios[0];
    puts.reduced = Some("3 of 5 rounds".to_owned());
    puts.left_out = vec!["kinesalite".to_owned()];
    puts.goals.push(crate::goals::at_least("÷ kinesalite", None, 2.0));
    results.scenarios[1].reduced = Some("2 of 10 GB".to_owned());
    let mut cbor = scenario("put-cbor", "put", "CBOR");
    cbor.measured = vec![measured("millstream", "", &[2000.0]), measured("kinesalite", "", &[1.0])];
    results.scenarios.push(cbor);
    let text = tables::markdown(&results, &[]);
    for part in [
        "| ÷ ferrokinesis (memory) | 4.00 | ≥ 14.0 | **not met** at 3 of 5 rounds |",
        "| ÷ kinesalite | – | ≥ 2.00 | not judged: no figure |",
        "| PutRecord 1 KB, 16 connections (3 of 5 rounds) |",
        "| not measured |",
        "**Memory, idle** was measured at 2 of 10 GB.",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
}

#[test]
fn plots_are_drawn_of_what_there_is() {
    let plots = plots::all(&results());
    let files: Vec<&str> = plots.iter().map(|(file, ..)| *file).collect();
    assert_eq!(files, ["put", "latency", "memory", "cost"]);
    for (file, title, picture) in &plots {
        assert!(picture.starts_with("<svg ") && picture.contains(title), "{file}");
        assert!(!picture.contains("NaN") && !picture.contains("inf"), "{file}: {picture}");
    }
}

#[test]
fn tables_and_plots_come_out_the_same_from_the_compact_copy() {
    let results = results();
    let text = compact::json(&results).unwrap();
    let copy: Results = serde_json::from_str(&text).unwrap();
    assert_eq!(tables::markdown(&copy, &[]), tables::markdown(&results, &[]));
    assert_eq!(copy.scenarios[0].measured[0].samples[1].latency.as_ref().map(|latency| latency.points.len()), Some(0));
    let files = |results: &Results| plots::all(results).into_iter().map(|(file, ..)| file).collect::<Vec<_>>();
    assert_eq!(files(&copy), files(&results));
}

#[test]
fn documents_keep_what_is_around_the_figures() {
    let path = std::env::temp_dir().join(format!("millstream-bench-render-{}.md", std::process::id()));
    fs::write(&path, format!("before\n{BEGIN}\nold\n{END}\nafter\n")).unwrap();
    write_into(&path, "new").unwrap();
    let document = fs::read_to_string(&path).unwrap();
    fs::write(&path, "no marks").unwrap();
    assert!(write_into(&path, "new").is_err());
    fs::remove_file(&path).unwrap();
    assert_eq!(document, format!("before\n{BEGIN}\n\nnew\n{END}\nafter\n"));
}
