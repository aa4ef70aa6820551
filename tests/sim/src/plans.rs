//! Small fixed workloads, one for each kind of change: a crash before every operation of the disk, in every way, with the
//! recovery crashed again; and every fault at every operation and every read.

use std::time::Duration;

use millstream_env::sim::{Crash, Fault, ReadFault};
use millstream_log::segment::Durability;

use crate::Problem;
use crate::life::{Script, live};
use crate::model::Model;
use crate::node::{Node, Setup, new_machine};
use crate::points::Points;
use crate::settings::Change;
use crate::verify::verify;

/// A workload.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What it is about.
    pub name: &'static str,
    changes: Vec<Change>,
    relaxed: bool,
}

/// What the workloads of a plan gave.
#[derive(Clone, Copy, Debug, Default)]
pub struct Exhausted {
    /// Operations of the disk.
    pub operations: u64,
    /// Reads.
    pub reads: u64,
    /// Crash points verified.
    pub points: u64,
    /// Of these, crashes of a recovery.
    pub in_recovery: u64,
    /// Runs with a fault at one operation or read.
    pub faults: u64,
}

/// Every plan.
#[must_use]
pub fn all() -> Vec<Plan> {
    use Change::{
        Create, Delete, Deregister, Merge, Policy, RecordSize, Register, Retain, Scale, Split, Switch, Tag, Untag,
    };
    let tag = || Tag("t".to_owned(), "1".to_owned());
    let consumer = || "c0".to_owned();
    let plan = |name, changes: Vec<Change>| Plan { name, changes, relaxed: false };
    vec![
        plan("create", vec![Create(2)]),
        plan("create on-demand", vec![Create(0)]),
        plan("delete and create again", vec![Create(1), Delete, Create(1)]),
        plan("split", vec![Create(1), Split]),
        plan("merge", vec![Create(2), Merge]),
        plan("scale", vec![Create(2), Scale(4), Scale(2)]),
        plan("retention", vec![Create(1), Retain(48), Retain(24)]),
        plan("capacity mode", vec![Create(1), Switch(true), Switch(false)]),
        plan("consumers", vec![Create(1), Register(consumer()), Deregister(consumer())]),
        plan("tags and policy", vec![Create(1), tag(), Policy(true), Untag("t".to_owned()), Policy(false)]),
        plan("record size", vec![Create(1), RecordSize(2048)]),
        Plan { relaxed: true, ..plan("relaxed", vec![Create(1), Split, Merge]) },
    ]
}

impl Plan {
    fn setup(&self) -> Setup {
        Setup {
            durability: if self.relaxed { Durability::Relaxed(Duration::from_millis(700)) } else { Durability::Fsync },
            segment: 4 << 10,
            tail_cache: 6 << 10,
            transition: Duration::ZERO,
            spare_space: 0,
        }
    }

    fn script(&self) -> Script {
        Script {
            turns: 3_000,
            producers: 1,
            readers: 1,
            changes: Some(self.changes.clone()),
            step: 1_000,
            ..Script::default()
        }
    }

    /// Runs all there is to run, or one of so many of it (`share`). `seed` draws the order of things and what crashes leave.
    ///
    /// # Errors
    /// The first promise that is broken, and where.
    pub fn exhaust(&self, seed: u64, share: u64) -> Result<Exhausted, Problem> {
        let at = |what: String| move |problem: Problem| format!("{}, {what}: {problem}", self.name);
        let script = Script { points_every: share, ..self.script() };
        let ways = vec![Crash::Kill, Crash::PowerLoss, Crash::PowerLoss, Crash::PowerLoss];
        let mut points = Points::new(&self.setup(), ways, share);
        let (operations, reads) = self.run(seed, &script, &mut points).map_err(at("crashes".to_owned()))?;
        let mut done =
            Exhausted { operations, reads, points: points.verified, in_recovery: points.in_recovery, faults: 0 };
        let mut none = Points::new(&self.setup(), Vec::new(), 0);
        for operation in (seed % share..operations).step_by(share as usize) {
            for fault in [Fault::Fail, Fault::Torn, Fault::Full, Fault::Slow(2_000)] {
                let script = Script { faults: vec![(operation, fault)], ..self.script() };
                self.run(seed, &script, &mut none).map_err(at(format!("{fault:?} at operation {operation}")))?;
                done.faults += 1;
            }
        }
        for read in (seed % share..reads).step_by(share as usize) {
            for fault in [ReadFault::Fail, ReadFault::Short, ReadFault::Interrupted, ReadFault::Flip] {
                let script = Script { read_faults: vec![(read, fault)], ..self.script() };
                self.run(seed, &script, &mut none).map_err(at(format!("{fault:?} at read {read}")))?;
                done.faults += 1;
            }
        }
        done.points += done.faults;
        Ok(done)
    }

    /// One run from an empty disk to a power loss at its end, and what is there then. Gives how many operations and reads the
    /// life had.
    fn run(&self, seed: u64, script: &Script, points: &mut Points) -> Result<(u64, u64), Problem> {
        let setup = self.setup();
        let node = Node::start(new_machine(seed), &setup).map_err(|failed| failed.1.clone())?;
        let model = Model { relaxed: self.relaxed, ..Model::default() };
        let (operations, reads) = (node.machine.disk.operations(), node.machine.disk.reads());
        script.arm(&node.machine);
        let mut model = live(&node, model, script, points)?;
        let spent = (node.machine.disk.operations() - operations, node.machine.disk.reads() - reads);
        node.machine.disk.keep_images(None);
        let machine = node.end(Crash::PowerLoss);
        let node = Node::start(machine, &setup).map_err(|failed| format!("it does not start: {}", failed.1))?;
        model.time_passes(node.now());
        let findings = verify(&node, &model, Some(Crash::PowerLoss))?;
        // And once more, now that nothing may be lost that was there.
        model.restarted(&findings, Some(Crash::PowerLoss));
        let machine = node.end(Crash::PowerLoss);
        let node = Node::start(machine, &setup).map_err(|failed| format!("it does not start again: {}", failed.1))?;
        verify(&node, &model, None)?;
        Ok(spent)
    }
}
