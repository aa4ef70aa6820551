//! Bits that flip at rest: nothing wrong is served, and what is not served is reported.

use millstream_env::sim::SimEnv;

use crate::Problem;
use crate::model::{Model, NAMES};
use crate::node::{Node, Setup, draw};
use crate::settings::shards;
use crate::verify::{alone, read_all};

/// Flips bits of segments that a cleanly stopped service has left, starts it again and reads everything.
///
/// # Errors
/// Wrong bytes that were served, or a loss that nothing reports.
pub fn damage(machine: SimEnv, setup: &Setup, model: &Model) -> Result<(), Problem> {
    let files = machine.disk.files();
    let segments: Vec<_> =
        files.into_iter().filter(|(path, len)| path.extension().is_some_and(|e| e == "seg") && *len > 0).collect();
    let below = draw(&machine);
    let mut hit = Vec::new();
    for _ in 0..=below(3) {
        let Some((path, len)) = segments.get(below(segments.len() as u64) as usize) else { break };
        let at = below(*len);
        machine.disk.flip(path, at as usize);
        hit.push(format!("{} at {at}", path.display()));
    }
    drop(below);
    let hit = hit.join(", ");
    machine.trace.note(|| format!("flipped {hit}"));
    // Segments are not read before the service has started.
    let node = Node::start(machine, setup).map_err(|failed| format!("it does not start with {hit}: {}", failed.1))?;
    let troubles = read(&node, model).map_err(|problem| format!("with {hit}: {problem}"))?;
    match (troubles.first(), node.kinesis.problems().is_empty()) {
        (Some(trouble), true) => Err(format!("with {hit}: {trouble}, and nothing is reported")),
        _ => Ok(()),
    }
}

/// Everything that cannot be read, or is not there though it must be.
fn read(node: &Node, model: &Model) -> Result<Vec<String>, Problem> {
    node.pass(1_100);
    node.machine.settle();
    let mut troubles = Vec::new();
    for (stream, name) in NAMES.iter().enumerate() {
        if !matches!(model.streams[stream].allowed.as_slice(), [Some(_)]) {
            continue;
        }
        let list = match alone(node, shards(node, name))? {
            Ok(list) => list,
            Err(error) => {
                troubles.push(format!("{name}: {error}"));
                continue;
            }
        };
        for shard in list {
            let key = (stream, shard.shard_id.clone());
            let (records, trouble) = read_all(node, name, &shard)?;
            for record in &records {
                model.identify(&key, record)?;
            }
            if let Some(trouble) = trouble {
                troubles.push(trouble);
                continue;
            }
            let mut later = model.clone();
            later.time_passes(node.now());
            let known = model.shards.get(&key).map_or_else(Vec::new, |shard| shard.known.iter().collect());
            let missing = known.into_iter().find(|(sequence, known)| {
                later.is_required(stream, known, None)
                    && records.binary_search_by(|r| r.sequence_number.cmp(sequence)).is_err()
            });
            if let Some((sequence, _)) = missing {
                troubles.push(format!("{sequence} of {} in {name} is missing", shard.shard_id));
            }
        }
    }
    Ok(troubles)
}
