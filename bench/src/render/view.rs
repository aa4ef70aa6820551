//! What tables and plots both look at: the rows of a group, and everyone's rates in them.

use crate::goals::{RAW, SUBJECT, raw};
use crate::results::{Contestant, Measured, Results, Role, Sample, Scenario, median};

impl Measured {
    /// The round whose rate is the median (of an even number the lower one in the middle).
    #[must_use]
    pub fn middle(&self) -> Option<&Sample> {
        let mut samples: Vec<&Sample> = self.samples.iter().collect();
        samples.sort_by(|a, b| a.rate.total_cmp(&b.rate));
        samples.get(samples.len().saturating_sub(1) / 2).copied()
    }

    /// One value of each round in which there is one.
    #[must_use]
    pub fn values(&self, of: impl Fn(&Sample) -> Option<f64>) -> Vec<f64> {
        self.samples.iter().filter_map(of).collect()
    }
}

/// A load of a scenario: one part, by everyone who took part in it.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    results: &'a Results,
    /// The scenario.
    pub scenario: &'a Scenario,
    /// [`Measured::part`].
    pub part: &'a str,
}

/// Someone's rates in a load.
#[derive(Debug)]
pub struct Bar<'a> {
    /// [`Contestant::id`].
    pub who: &'a str,
    /// The name in plots.
    pub name: &'a str,
    /// Records per second, a value per round; of a raw loop, the records that its bytes would be.
    pub rates: Vec<f64>,
}

/// What became of a contestant in a load.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Standing {
    /// Millstream's median rate divided by its median rate.
    Ratio(f64),
    /// It took part, and no round was good.
    Failed,
    /// It does not offer what is asked for.
    NotOffered,
    /// It could take part, and was left out of this set.
    LeftOut,
}

/// The loads of a group in which Millstream took part.
#[must_use]
pub fn rows<'a>(results: &'a Results, group: &str) -> Vec<Row<'a>> {
    let scenarios = results.scenarios.iter().filter(|scenario| scenario.group == group);
    let rows = scenarios.flat_map(|scenario| {
        let ours = scenario.measured.iter().filter(|measured| measured.who == SUBJECT);
        ours.map(move |measured| Row { results, scenario, part: &measured.part })
    });
    rows.collect()
}

impl<'a> Row<'a> {
    /// The scenario's name, and the part if there are several.
    #[must_use]
    pub fn title(&self) -> String {
        match self.part {
            "" => self.scenario.name.clone(),
            part => format!("{}: {part}", self.scenario.name),
        }
    }

    /// What a contestant measured in it.
    #[must_use]
    pub fn of(&self, who: &str) -> Option<&'a Measured> {
        self.scenario.measured.iter().find(|measured| measured.who == who && measured.part == self.part)
    }

    /// Bytes of data and keys of a record.
    fn record_bytes(&self) -> Option<f64> {
        let ours = self.of(SUBJECT)?.middle()?;
        (ours.records_per_second > 0.0).then(|| ours.bytes_per_second / ours.records_per_second)
    }

    /// Whether a contestant has any part in the scenario.
    fn takes_part(&self, who: &str) -> bool {
        self.scenario.measured.iter().any(|measured| measured.who == who)
    }

    /// A contestant's rates in records per second. The raw append loop is the best of its large pieces.
    fn rates(&self, who: &str) -> Vec<f64> {
        let Some(record) = self.record_bytes() else { return Vec::new() };
        let rate = |sample: &Sample| match sample.records_per_second {
            0.0 => sample.bytes_per_second / record,
            records => records,
        };
        let row = match who {
            RAW => best_of_raw(self.scenario),
            who => self.of(who),
        };
        row.map(|row| row.values(|sample| Some(rate(sample)))).unwrap_or_default()
    }

    /// Everyone who has a rate, Millstream first, then as in the tables.
    #[must_use]
    pub fn bars(&self) -> Vec<Bar<'a>> {
        let bar = |who: &'a Contestant| Bar { who: &who.id, name: &who.name, rates: self.rates(&who.id) };
        self.results.contestants.iter().map(bar).filter(|bar| !bar.rates.is_empty()).collect()
    }

    /// How Millstream compares with a contestant; `None` where it has no place, as a ceiling of another kind of load.
    #[must_use]
    pub fn standing(&self, who: &Contestant) -> Option<Standing> {
        let rates = self.rates(&who.id);
        if !rates.is_empty() {
            let ratio = median(&self.rates(SUBJECT)) / median(&rates);
            return ratio.is_finite().then_some(Standing::Ratio(ratio));
        }
        let failed = self.of(&who.id).is_some_and(|row| !row.failures.is_empty());
        match who.role {
            _ if failed => Some(Standing::Failed),
            Role::Peer if self.scenario.left_out.contains(&who.id) => Some(Standing::LeftOut),
            Role::Peer if !self.takes_part(&who.id) => Some(Standing::NotOffered),
            _ => None,
        }
    }
}

fn best_of_raw(scenario: &Scenario) -> Option<&Measured> {
    let best = raw(scenario)?.median;
    let is_best = |row: &&Measured| median(&row.values(|sample| Some(sample.bytes_per_second))) == best;
    scenario.measured.iter().filter(|row| row.who == RAW).find(is_best)
}
