//! One run of the service on the machine, from its start to its end.

use std::cell::RefCell;

use millstream_env::sim::{Actors, Fault, ReadFault};

use crate::Problem;
use crate::actors::{Clients, controller, producer, reader};
use crate::model::{Model, NAMES};
use crate::node::Node;
use crate::points::Points;
use crate::settings::Change;

/// What goes on in a life.
#[derive(Clone, Debug, Default)]
pub struct Script {
    /// How many turns it takes at most.
    pub turns: u64,
    /// Writers.
    pub producers: usize,
    /// Readers.
    pub readers: usize,
    /// Changes of the first stream, in order; `None` for changes of all streams, drawn for ever.
    pub changes: Option<Vec<Change>>,
    /// Time passes in steps of up to so many ms.
    pub step: u64,
    /// Faults by the number of the operation from the life's beginning on.
    pub faults: Vec<(u64, Fault)>,
    /// The same for reads.
    pub read_faults: Vec<(u64, ReadFault)>,
    /// Ends the world at this operation.
    pub crash_at: Option<u64>,
    /// How much space there is beyond what is used, for a while.
    pub space: Option<u64>,
    /// One of so many operations is a crash point; 0 for none.
    pub points_every: u64,
}

impl Script {
    /// What a seed says.
    #[must_use]
    pub fn draw(below: &dyn Fn(u64) -> u64, points_every: u64) -> Script {
        let mut script = Script {
            turns: 200 + below(1_500),
            producers: 1 + below(3) as usize,
            readers: below(3) as usize,
            changes: None,
            step: [200, 2_000, 20_000, 4_000_000][below(4) as usize],
            points_every,
            ..Script::default()
        };
        match below(8) {
            0 | 1 => script.crash_at = Some(below(250)),
            2 => {
                let fault = [Fault::Fail, Fault::Torn, Fault::Full][below(3) as usize];
                script.faults = vec![(below(250), fault)];
            }
            3 => {
                let fault = [ReadFault::Fail, ReadFault::Flip][below(2) as usize];
                script.read_faults = (0..=below(3)).map(|_| (below(120), fault)).collect();
            }
            4 => script.space = Some(below(200 << 10)),
            _ => {}
        }
        // What no client may notice.
        script
            .read_faults
            .extend((0..below(8)).map(|_| (below(300), [ReadFault::Short, ReadFault::Interrupted][below(2) as usize])));
        script.faults.extend((0..below(3)).map(|_| (below(300), Fault::Slow(1 + below(3_000)))));
        script
    }

    /// Whether clients may notice that the disk misbehaves.
    #[must_use]
    pub fn is_faulty(&self) -> bool {
        let fault = |(_, fault): &(u64, Fault)| !matches!(fault, Fault::Slow(_));
        let read = |(_, fault): &(u64, ReadFault)| matches!(fault, ReadFault::Fail | ReadFault::Flip);
        self.faults.iter().any(fault)
            || self.read_faults.iter().any(read)
            || self.space.is_some()
            || self.crash_at.is_some()
    }

    /// Has the machine do what the script says, from now on.
    pub fn arm(&self, machine: &millstream_env::sim::SimEnv) {
        let disk = &machine.disk;
        let (operations, reads) = (disk.operations(), disk.reads());
        self.faults.iter().for_each(|(at, fault)| disk.inject(operations + at, *fault));
        self.read_faults.iter().for_each(|(at, fault)| disk.inject_read(reads + at, *fault));
        disk.crash_at(self.crash_at.map(|at| operations + at));
        disk.keep_images((self.points_every > 0).then_some(self.points_every));
    }
}

/// Lives as the script says, until its turns are over, all its changes are made, or the machine has crashed.
///
/// # Errors
/// The first promise that is broken.
pub fn live(node: &Node, model: Model, script: &Script, points: &mut Points) -> Result<Model, Problem> {
    let model = RefCell::new(model);
    let clients = Clients { node, model: &model, faulty: script.is_faulty() };
    let result = turns(clients, script, points);
    let mut model = model.into_inner();
    match result.err().or_else(|| model.problems.pop()) {
        None => Ok(model),
        Some(problem) => Err(problem),
    }
}

fn turns(clients: Clients<'_>, script: &Script, points: &mut Points) -> Result<(), Problem> {
    let Clients { node, model, .. } = clients;
    let machine = &node.machine;
    let changed = RefCell::new(false);
    let mut actors = Actors::new();
    (0..script.producers).for_each(|_| actors.add(producer::run(clients)));
    (0..script.readers).for_each(|_| actors.add(reader::run(clients)));
    if let Some(changes) = &script.changes {
        actors.add(make(clients, changes, &changed));
    } else {
        (0..NAMES.len()).for_each(|stream| actors.add(controller::run(clients, stream)));
    }
    let room = script.space.map(|space| {
        machine.disk.set_capacity(machine.disk.used() + space);
        script.turns / 2
    });
    for turn in 0..script.turns {
        if room == Some(turn) {
            machine.disk.set_capacity(u64::MAX);
        }
        if !actors.turn(machine) || node.below(24) == 0 {
            let ms = match machine.clock.until_next_sleeper() {
                Some(until) if node.below(3) > 0 => until.as_millis() as u64 + 1,
                _ => 1 + node.below(script.step),
            };
            node.pass_beside(ms, &mut actors);
        }
        // A slow disk lets it pass as well.
        model.borrow_mut().time_passes(node.now());
        if !model.borrow().problems.is_empty() {
            return Err(model.borrow_mut().problems.remove(0));
        }
        // What the model knows of this turn it knows from before what the disk did in it: answers follow operations.
        points.check(&machine.disk.take_images(), node, &model.borrow())?;
        if machine.disk.has_crashed() {
            actors.hear();
            return Ok(());
        }
        if *changed.borrow() {
            return Ok(());
        }
    }
    drop(actors);
    if script.space.is_some() {
        machine.disk.set_capacity(u64::MAX);
        check_room_is_used(clients, script)?;
    }
    Ok(())
}

async fn make(clients: Clients<'_>, changes: &[Change], done: &RefCell<bool>) {
    for change in changes {
        if !controller::apply(clients, 0, change).await {
            break;
        }
        for _ in 0..3 {
            clients.pause(50).await;
            producer::put(clients, 0, clients.node.below(3)).await;
        }
    }
    *done.borrow_mut() = true;
}

/// Once there is space again, puts succeed without a restart.
fn check_room_is_used(clients: Clients<'_>, script: &Script) -> Result<(), Problem> {
    let Clients { node, model, .. } = clients;
    let other = Script { space: None, ..script.clone() };
    if other.is_faulty() || node.machine.disk.has_crashed() {
        return Ok(());
    }
    // Plans and consumers that met the full disk are tried again first.
    (0..6).for_each(|_| node.pass(1_100));
    model.borrow_mut().time_passes(node.now());
    let strict = Clients { faulty: false, ..clients };
    for stream in 0..NAMES.len() {
        if matches!(model.borrow().streams[stream].allowed.as_slice(), [Some(_)]) {
            let put = producer::put(strict, stream, 0);
            node.machine.block_on(put).ok_or("a put never ends after there is space again")?;
        }
    }
    Ok(())
}
