//! How goals are worked out of what was measured: from medians over the rounds.

use crate::results::{Goal, Measured, Sample, Scenario, median, spread};

/// The ids of ceilings in results.
pub const CONSTANT: &str = "constant";
/// The raw append+fdatasync loop.
pub const RAW: &str = "raw";
/// The raw sequential reader.
pub const RAW_READ: &str = "raw-read";
/// The id of the subject.
pub const SUBJECT: &str = "millstream";
/// What figures of a process's peak are called.
pub const PEAK: &str = "peak resident memory";
/// A raw device whose spread over the rounds is above this is unstable.
const UNSTABLE: f64 = 0.3;
/// The rounds that ratios of medians are to be of.
const ROUNDS: usize = 5;
/// A generator that takes more of its core than this is what limits the load.
const BUSY: f64 = 0.9;
/// What the server may have resident under any load.
const PEAK_MOST: f64 = 256e6;
/// Of what the constant-answer server takes per record, how many times as much leaves room for the goal of 0.75 × 0.6 of its
/// rate.
const CPU_MOST: f64 = 1.0 / (0.75 * 0.6);

/// Of a part of a scenario, a value per round.
#[must_use]
pub fn values(scenario: &Scenario, who: &str, part: &str, of: impl Fn(&Sample) -> Option<f64>) -> Vec<f64> {
    let found = scenario.measured.iter().find(|measured| measured.who == who && measured.part == part);
    found.map_or(Vec::new(), |measured| measured.samples.iter().filter_map(of).collect())
}

/// The median of the values, if there are any.
#[must_use]
pub fn middle(scenario: &Scenario, who: &str, part: &str, of: impl Fn(&Sample) -> Option<f64>) -> Option<f64> {
    let values = values(scenario, who, part, of);
    (!values.is_empty()).then(|| median(&values))
}

/// One value divided by another, where both are there.
#[must_use]
pub fn over(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    Some(a? / b?)
}

/// Bytes per second.
#[must_use]
pub fn bytes(sample: &Sample) -> Option<f64> {
    Some(sample.bytes_per_second)
}

/// What the rate counts, per second.
#[must_use]
pub fn rate(sample: &Sample) -> Option<f64> {
    Some(sample.rate)
}

/// Half of the latencies stay below, in ms.
#[must_use]
pub fn p50(sample: &Sample) -> Option<f64> {
    sample.latency.as_ref().map(|latency| latency.p50)
}

/// 99 % of the latencies stay below, in ms.
#[must_use]
pub fn p99(sample: &Sample) -> Option<f64> {
    sample.latency.as_ref().map(|latency| latency.p99)
}

/// Processor seconds of the server per million records.
#[must_use]
pub fn cpu(sample: &Sample) -> Option<f64> {
    sample.cpu.as_ref()?.per_million_records
}

/// What the device gave, in bytes per second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Raw {
    /// In the middle of the rounds.
    pub median: f64,
    /// In the worst round.
    pub least: f64,
    /// In the best round.
    pub most: f64,
    /// Whether it changed so much that ratios to its median are worth nothing.
    pub unstable: bool,
}

/// The best of the raw loop's pieces, by the median.
#[must_use]
pub fn raw(scenario: &Scenario) -> Option<Raw> {
    let pieces = scenario.measured.iter().filter(|measured| measured.who == RAW && measured.part.ends_with("MiB"));
    let all = pieces.map(|piece| piece.samples.iter().filter_map(bytes).collect::<Vec<f64>>());
    let best = all.filter(|values| !values.is_empty()).max_by(|a, b| median(a).total_cmp(&median(b)))?;
    Some(Raw {
        median: median(&best),
        least: best.iter().copied().fold(f64::INFINITY, f64::min),
        most: best.iter().copied().fold(0.0, f64::max),
        unstable: spread(&best) > UNSTABLE,
    })
}

/// A goal whose value is to be at least `wanted`. Without a value it is not judged.
#[must_use]
pub fn at_least(what: &str, value: impl Into<Option<f64>>, wanted: f64) -> Goal {
    goal(what, value.into(), wanted, false)
}

/// A goal whose value is to be at most `wanted`. Without a value it is not judged.
#[must_use]
pub fn at_most(what: &str, value: impl Into<Option<f64>>, wanted: f64) -> Goal {
    goal(what, value.into(), wanted, true)
}

fn goal(what: &str, value: Option<f64>, wanted: f64, at_most: bool) -> Goal {
    let value = value.filter(|value| value.is_finite());
    let met = value.map(|value| if at_most { value <= wanted } else { value >= wanted });
    let note = if value.is_none() { "no figure".to_owned() } else { String::new() };
    Goal { what: what.to_owned(), value, wanted, at_most, met, note }
}

impl Goal {
    /// Says what it was worked out of: which of these rows (contestant and part) were not measured, and in which the
    /// generator was the limit.
    #[must_use]
    pub fn of(mut self, scenario: &Scenario, rows: &[(&str, &str)]) -> Self {
        let measured = |who: &str, part: &str| !values(scenario, who, part, rate).is_empty();
        let mut missing: Vec<&str> =
            rows.iter().filter(|(who, part)| !measured(who, part)).map(|(who, _)| *who).collect();
        missing.dedup();
        if !missing.is_empty() {
            self.met = None;
            self.note.clear();
            self = self.noted(&format!("not measured: {}", missing.join(", ")));
        }
        for (who, part) in rows {
            if let Some(share) = middle(scenario, who, part, |sample| Some(sample.generator_share))
                && share > BUSY
            {
                self = self.noted(&format!("with {who} generator-bound ({:.0} % of its core)", share * 100.0));
            }
        }
        self
    }

    /// With one more note.
    #[must_use]
    pub fn noted(mut self, note: &str) -> Self {
        if !self.note.is_empty() {
            self.note.push_str("; ");
        }
        self.note.push_str(note);
        self
    }
}

/// The goal, not judged when `condition` does not hold, for the reason given.
#[must_use]
pub fn if_so(goal: Goal, condition: bool, otherwise: &str) -> Goal {
    match condition || goal.met.is_none() {
        true => goal,
        false => Goal { met: None, ..goal }.noted(otherwise),
    }
}

/// A goal against the raw device, whose value `of` makes of what the device gave. While that is unstable, it is judged only
/// where the device's worst and best rounds say the same; else the processor time per record is judged beside it.
#[must_use]
pub fn against_raw(
    scenario: &Scenario,
    what: &str,
    of: impl Fn(f64) -> Option<f64>,
    wanted: f64,
    rows: &[(&str, &str)],
) -> Vec<Goal> {
    let Some(raw) = raw(scenario) else {
        return vec![at_least(what, None, wanted).of(scenario, &[(RAW, "4 MiB")])];
    };
    let goal = at_least(what, of(raw.median), wanted).of(scenario, rows);
    if !raw.unstable || goal.met.is_none() {
        return vec![goal];
    }
    let verdict = |raw: f64| of(raw).map(|value| value >= wanted);
    if verdict(raw.least) == verdict(raw.most) {
        let goal = Goal { met: verdict(raw.least), ..goal };
        return vec![goal.noted("device unstable, with the same verdict by its least and by its most")];
    }
    let cpu_of = |who: &str| middle(scenario, who, "", cpu);
    let ratio = over(cpu_of(SUBJECT), cpu_of(CONSTANT));
    let by_cpu = at_most("processor time per record ÷ constant-answer server's", ratio, CPU_MOST);
    vec![
        if_so(goal, false, "device unstable: judged by processor time per record"),
        by_cpu.of(scenario, &[(SUBJECT, ""), (CONSTANT, "")]),
    ]
}

/// How many rounds there were, if that is fewer than goals speak of.
#[must_use]
pub fn few_rounds(rounds: usize) -> Option<String> {
    (rounds < ROUNDS).then(|| format!("{rounds} of {ROUNDS} rounds"))
}

/// How much of something there was, if that is less than goals speak of; `unit` follows the numbers.
#[must_use]
pub fn less(had: f64, wanted: f64, unit: &str) -> Option<String> {
    let short = |value: f64| format!("{value:.1}").trim_end_matches(".0").to_owned();
    (had < wanted).then(|| format!("{} of {} {unit}", short(had), short(wanted)))
}

/// All of them in one line.
#[must_use]
pub fn reduced(parts: impl IntoIterator<Item = Option<String>>) -> Option<String> {
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// Adds what holds for every scenario: the bound on memory under any load, and that nothing is met by a server some of whose
/// rounds failed. Numbers that are none go, since JSON has no place for them.
pub fn complete(scenario: &mut Scenario) {
    let ours = || scenario.measured.iter().filter(|measured| measured.who == SUBJECT);
    if scenario.group != "memory" {
        let rows = ours().flat_map(|measured| &measured.samples);
        let rows = rows.filter_map(|sample| sample.memory.as_ref()).map(|memory| memory.peak as f64);
        let figures = scenario.figures.iter().filter(|figure| figure.who == SUBJECT && figure.name.starts_with(PEAK));
        let peak = rows.chain(figures.flat_map(|figure| figure.samples.iter().copied())).reduce(f64::max);
        scenario.goals.push(at_most(&format!("{PEAK}, bytes"), peak, PEAK_MOST));
    }
    let ours = scenario.measured.iter().filter(|measured| measured.who == SUBJECT);
    let (failed, good) =
        ours.fold((0, 0), |(failed, good), measured| (failed + measured.failures.len(), good + measured.samples.len()));
    for goal in &mut scenario.goals {
        if !goal.value.is_some_and(f64::is_finite) {
            goal.value = None;
            goal.met = None;
        }
        // A server that failed in every round has no figure, and that is not for want of judging.
        if failed > 0 && (goal.met == Some(true) || good == 0) {
            *goal =
                Goal { met: Some(false), ..goal.clone() }.noted(&format!("rounds of Millstream that failed: {failed}"));
        }
    }
    for figure in &mut scenario.figures {
        figure.samples.retain(|value| value.is_finite());
    }
    for point in scenario.curves.iter_mut().flat_map(|curve| &mut curve.points) {
        point.y.retain(|value| value.is_finite());
    }
    for curve in &mut scenario.curves {
        curve.points.retain(|point| !point.y.is_empty());
    }
}

/// A measured row that is filled round by round.
#[must_use]
pub fn row(who: &str, part: &str, unit: &str) -> Measured {
    Measured {
        who: who.to_owned(),
        part: part.to_owned(),
        unit: unit.to_owned(),
        samples: Vec::new(),
        failures: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::results::{Cpu, Curve, Failure, Figure, Memory, Point};

    fn measured(who: &str, part: &str, rates: &[f64]) -> Measured {
        let sample = |rate: &f64| Sample { rate: *rate, bytes_per_second: *rate, ..Sample::default() };
        Measured { samples: rates.iter().map(sample).collect(), ..row(who, part, "requests") }
    }

    fn scenario(rows: Vec<Measured>) -> Scenario {
        Scenario { measured: rows, ..crate::scenarios::empty("x", "put", "X") }
    }

    #[test]
    fn what_was_not_measured_is_said_and_not_judged() {
        let scenario = scenario(vec![measured(SUBJECT, "", &[4.0]), measured("moto", "", &[])]);
        let of = |who| middle(&scenario, who, "", rate);
        let goal = at_least("÷ moto", over(of(SUBJECT), of("moto")), 2.0).of(&scenario, &[(SUBJECT, ""), ("moto", "")]);
        assert_eq!((goal.value, goal.met, &*goal.note), (None, None, "not measured: moto"));
        let goal = at_most("x", f64::NAN, 1.0);
        assert_eq!((goal.value, goal.met, &*goal.note), (None, None, "no figure"));
        assert_eq!(at_least("x", 3.0, 2.0).met, Some(true));
        assert_eq!(if_so(at_least("x", 3.0, 2.0), false, "why").note, "why");
    }

    #[test]
    fn a_busy_generator_is_named() {
        let mut row = measured(SUBJECT, "", &[4.0]);
        row.samples[0].generator_share = 0.97;
        let goal = at_least("x", 4.0, 2.0).of(&scenario(vec![row]), &[(SUBJECT, "")]);
        assert_eq!((goal.met, &*goal.note), (Some(true), "with millstream generator-bound (97 % of its core)"));
    }

    #[test]
    fn an_unstable_device_judges_only_where_all_of_its_rounds_agree() {
        let judged = |rates: &[f64]| {
            let mut ours = measured(SUBJECT, "", &[80.0]);
            let mut constant = measured(CONSTANT, "", &[80.0]);
            for (row, seconds) in [(&mut ours, 4.0), (&mut constant, 2.0)] {
                row.samples[0].cpu = Some(Cpu { per_million_records: Some(seconds), ..Cpu::default() });
            }
            let scenario = scenario(vec![ours, constant, measured(RAW, "4 MiB", rates)]);
            against_raw(&scenario, "÷ raw", |raw| Some(80.0 / raw), 0.75, &[(SUBJECT, "")])
        };
        let verdicts = |rates: &[f64]| judged(rates).iter().map(|goal| goal.met).collect::<Vec<_>>();
        assert_eq!(verdicts(&[100.0, 101.0, 99.0]), [Some(true)]);
        assert_eq!(verdicts(&[50.0, 100.0, 90.0]), [Some(true)]);
        assert_eq!(verdicts(&[150.0, 300.0, 290.0]), [Some(false)]);
        assert_eq!(verdicts(&[50.0, 200.0, 100.0]), [None, Some(true)]);
        assert_eq!(judged(&[]).iter().map(|goal| goal.met).collect::<Vec<_>>(), [None]);
    }

    #[test]
    fn memory_is_bounded_everywhere_and_failed_rounds_meet_nothing() {
        let mut ours = measured(SUBJECT, "", &[4.0, 5.0]);
        ours.samples[1].memory = Some(Memory { peak: 200_000_000, ..Memory::default() });
        let mut good = scenario(vec![ours.clone()]);
        good.figures.push(Figure {
            who: SUBJECT.to_owned(),
            name: "x".to_owned(),
            unit: String::new(),
            samples: vec![f64::NAN],
        });
        let curve = |y: Vec<f64>| Curve {
            who: SUBJECT.to_owned(),
            name: String::new(),
            x: String::new(),
            y: String::new(),
            logarithmic: false,
            points: vec![Point { x: 1.0, y }],
        };
        good.curves = vec![curve(vec![f64::INFINITY]), curve(vec![1.0, f64::NAN])];
        complete(&mut good);
        assert_eq!((good.goals[0].value, good.goals[0].met), (Some(200e6), Some(true)));
        assert!(good.figures[0].samples.is_empty() && good.curves[0].points.is_empty());
        assert_eq!(good.curves[1].points[0].y, [1.0]);
        ours.failures.push(Failure { round: 3, reason: "late".to_owned() });
        let mut bad = scenario(vec![ours]);
        complete(&mut bad);
        assert_eq!((bad.goals[0].met, &*bad.goals[0].note), (Some(false), "rounds of Millstream that failed: 1"));
        let mut worse = scenario(vec![Measured { samples: Vec::new(), ..bad.measured[0].clone() }]);
        complete(&mut worse);
        assert_eq!((worse.goals[0].value, worse.goals[0].met), (None, Some(false)));
    }

    #[test]
    fn sizes_that_are_not_the_goals_are_named() {
        assert_eq!(reduced([less(2.0, 10.0, "GB"), few_rounds(3)]).as_deref(), Some("2 of 10 GB, 3 of 5 rounds"));
        assert_eq!(reduced([less(10.5, 10.0, "GB"), few_rounds(5)]), None);
        assert_eq!(less(0.54, 5.0, "GB").as_deref(), Some("0.5 of 5 GB"));
    }
}
