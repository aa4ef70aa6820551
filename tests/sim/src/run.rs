//! Lives one after the other, all drawn from one seed.

use millstream_env::sim::{Crash, SimEnv};

use crate::Problem;
use crate::damage::damage;
use crate::life::{Script, live};
use crate::model::Model;
use crate::node::{Node, Setup, draw, new_machine};
use crate::points::Points;
use crate::verify::verify;

/// How many lives a seed has.
const LIVES: u64 = 4;

/// What a seed is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// The seed.
    pub seed: u64,
    /// One of so many operations is a crash point; 0 for none.
    pub points_every: u64,
    /// Whether to keep what happened as lines.
    pub lines: bool,
}

/// What a seed gave.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Crash points verified, the ends of lives included.
    pub points: u64,
    /// Of these, crashes of a recovery.
    pub in_recovery: u64,
    /// Records sent.
    pub sent: u64,
    /// Records acknowledged.
    pub acknowledged: u64,
    /// Operations of the disk.
    pub operations: u64,
    /// A number that differs, but for chance, between runs that differ.
    pub sum: u64,
    /// The promise that was broken, if one was.
    pub problem: Option<Problem>,
    /// What happened, if lines were asked for.
    pub lines: Vec<String>,
}

/// The machine between two lives.
struct Between {
    machine: SimEnv,
    /// How the service ended; `None` if cleanly.
    crash: Option<Crash>,
    model: Model,
}

/// Runs a seed.
#[must_use]
pub fn run(asked: Asked) -> Outcome {
    let machine = new_machine(asked.seed);
    if asked.lines {
        machine.trace.keep_lines();
    }
    let trace = machine.trace.clone();
    let disk = std::sync::Arc::clone(&machine.disk);
    let setup = Setup::draw(&draw(&machine));
    trace.note(|| format!("{setup:?}"));
    // What survives the loss of power is drawn anew each time.
    let mut points = Points::new(&setup, vec![Crash::PowerLoss], 16);
    let mut outcome = Outcome::default();
    let mut model =
        Model { relaxed: setup.durability != millstream_log::segment::Durability::Fsync, ..Model::default() };
    let mut between = Some(machine);
    let mut crash = None;
    for _ in 0..LIVES {
        let Some(machine) = between.take() else { break };
        match one_life(Between { machine, crash, model }, &setup, asked.points_every, &mut points) {
            Ok(next) => {
                outcome.points += 1;
                (between, crash, model) = (Some(next.machine), next.crash, next.model);
            }
            Err(problem) => {
                outcome.problem = Some(problem);
                model = Model::default();
            }
        }
    }
    if let (Some(machine), None) = (between, crash) {
        match damage(machine, &setup, &model) {
            Ok(()) => outcome.points += 1,
            Err(problem) => outcome.problem = Some(problem),
        }
    }
    outcome.points += points.verified;
    outcome.in_recovery = points.in_recovery;
    outcome.sent = model.puts.len() as u64;
    outcome.acknowledged = model.puts.iter().filter(|put| put.fate == crate::model::Fate::Acknowledged).count() as u64;
    outcome.operations = disk.operations();
    outcome.sum = trace.sum();
    outcome.lines = trace.lines();
    outcome
}

fn one_life(between: Between, setup: &Setup, points_every: u64, points: &mut Points) -> Result<Between, Problem> {
    let Between { mut machine, mut crash, mut model } = between;
    if machine.below(3) == 0 {
        (machine, crash) = faulty_start(machine, setup, crash);
    }
    let node = Node::start(machine, setup).map_err(|failed| format!("it does not start: {}", failed.1))?;
    model.time_passes(node.now());
    let findings = verify(&node, &model, crash)?;
    model.restarted(&findings, crash);
    let script = Script::draw(&|limit| node.below(limit), points_every);
    node.machine.trace.note(|| format!("{script:?}"));
    script.arm(&node.machine);
    let mut model = live(&node, model, &script, points)?;
    node.machine.disk.keep_images(None);
    node.machine.disk.set_capacity(u64::MAX);
    let crash = match node.below(4) {
        0 if !node.machine.disk.has_crashed() => {
            node.machine.disk.clear_faults();
            if !node.stop() {
                return Err("a clean stop never ends".to_owned());
            }
            // A stop that meets a log which failed before cannot vouch for it.
            (script.is_faulty() || node.below(2) == 0).then_some(Crash::PowerLoss)
        }
        1 => Some(Crash::Kill),
        _ => Some(Crash::PowerLoss),
    };
    model.time_passes(node.now());
    let machine = node.end(crash.unwrap_or(Crash::Kill));
    Ok(Between { machine, crash, model })
}

/// A start on a disk that fails, or that the machine does not survive.
fn faulty_start(machine: SimEnv, setup: &Setup, before: Option<Crash>) -> (SimEnv, Option<Crash>) {
    let mut script = Script::draw(&draw(&machine), 0);
    if script.crash_at.is_none() && script.faults.is_empty() {
        script.crash_at = Some(machine.below(60));
    }
    script.arm(&machine);
    let how = if machine.below(2) == 0 { Crash::Kill } else { Crash::PowerLoss };
    let machine = match Node::start(machine, setup) {
        Ok(node) => {
            node.pass(300);
            node.machine.settle();
            node.end(how)
        }
        Err(failed) => failed.0.restart(how),
    };
    let worst = if before == Some(Crash::PowerLoss) { before } else { Some(how) };
    (machine, worst)
}
