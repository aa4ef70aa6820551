//! One damage, and what comes of it.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use millstream::check::{Line, check};
use millstream_api::Blob;
use millstream_api::kinesis::{Input, Output, PutRecordInput, ShardIteratorType};

use crate::damage::Damage;
use crate::directory::{Directory, Known, REFUSED, Shard, facts};
use crate::image::Image;
use crate::machine::Machine;
use crate::stack::{DIR, Stack};

/// Pages that a shard may take to its end; those here take one or two.
const PAGES: usize = 40;

/// What a damage came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The server serves everything and has nothing to say; neither has `check`.
    Harmless,
    /// The server serves everything; it, or `check`, reports the damage.
    Reported,
    /// The newest commit of a log is taken for one that a crash tore.
    TakenForTorn,
    /// The server serves what is sound, and reports or refuses the rest.
    ServedInPart,
    /// The server does not start, and says why in one line.
    RefusedAtStart,
}

/// What a server made of a directory.
enum Served {
    Refused(String),
    /// With how many records that nobody gets, and what health says.
    Started {
        missing: usize,
        problems: Vec<String>,
    },
}

/// What `check` made of it.
struct Checked {
    /// `None` if it could not be checked.
    problems: Option<usize>,
    lines: Vec<Line>,
}

/// Examines `directory` with `damage` done to the file at `path`, and what a repair makes of it as well if `repair`.
///
/// # Errors
/// What must never happen.
pub fn examine(directory: &Directory, path: &Path, damage: &Damage, repair: bool) -> Result<Outcome, String> {
    let work = AssertUnwindSafe(|| examined(directory, path, damage, repair));
    match catch_unwind(work) {
        Ok(result) => result,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            Err(format!("panic: {}", text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("of an unknown kind")))
        }
    }
}

fn examined(directory: &Directory, path: &Path, damage: &Damage, repair: bool) -> Result<Outcome, String> {
    let machine = |seed| {
        let machine = Machine::new(seed);
        machine.pass(directory.age);
        directory.image.put(machine.disk(), path, damage);
        machine
    };
    let on_check = machine(2);
    let before = Image::of(on_check.disk(), Path::new(DIR));
    let checked = checked(&on_check, false);
    if without_lock(before) != without_lock(Image::of(on_check.disk(), Path::new(DIR))) {
        return Err("check without --repair changes files".to_owned());
    }
    let sound = checked.problems == Some(0);
    let unproven = directory.newest.get(path).is_some_and(|newest| damage.changes_from(*newest));
    let served = serve(&machine(3), directory, &Lost { newest: unproven, ..Lost::default() })?;
    if unproven && matches!(&served, Served::Started { missing, .. } if *missing > 0) {
        return Ok(Outcome::TakenForTorn);
    }
    let outcome = match &served {
        Served::Refused(_) => Outcome::RefusedAtStart,
        Served::Started { missing: 0, problems } if problems.is_empty() && sound => Outcome::Harmless,
        Served::Started { missing: 0, .. } => Outcome::Reported,
        Served::Started { problems, .. } if problems.is_empty() => {
            return Err("records are missing and health says nothing".to_owned());
        }
        Served::Started { .. } => Outcome::ServedInPart,
    };
    if sound && outcome != Outcome::Harmless {
        let said = match served {
            Served::Refused(why) => why,
            Served::Started { missing, problems } => format!("{missing} records are missing; health: {problems:?}"),
        };
        return Err(format!("check calls it sound, the server does not: {said}"));
    }
    if repair && !sound {
        repaired(&machine(4), directory).map_err(|what| format!("after --repair: {what}"))?;
    }
    Ok(outcome)
}

fn without_lock(image: Image) -> BTreeMap<std::path::PathBuf, Vec<u8>> {
    image.files.into_iter().filter(|(path, _)| !path.ends_with("LOCK")).collect()
}

fn checked(machine: &Machine, repair: bool) -> Checked {
    let mut lines = Vec::new();
    let mut keep = |line| lines.push(line);
    let result = machine.run(check(&machine.env(), Path::new(DIR), repair, &mut keep));
    Checked { problems: result.ok(), lines }
}

/// Repairs, and starts a server on what is left.
fn repaired(machine: &Machine, directory: &Directory) -> Result<(), String> {
    let first = checked(machine, true);
    if first.problems != Some(0) {
        // What it could not do it has said.
        return Ok(());
    }
    let again = checked(machine, false);
    if again.problems != Some(0) {
        return Err(format!("the next check finds {:?}; the repair said {:?}", again.lines, first.lines));
    }
    let says = |what: &str| first.lines.iter().any(|line| matches!(line, Line::Repaired(text) if text.contains(what)));
    let lost = Lost { facts: says("in the catalog again"), keys: says("new token keys"), newest: false };
    match serve(machine, directory, &lost)? {
        Served::Refused(why) => Err(format!("the server does not start: {why}")),
        Served::Started { missing, problems } if !problems.is_empty() => {
            Err(format!("health says {problems:?}, {missing} records are missing; the repair said {:?}", first.lines))
        }
        Served::Started { missing, .. } if given_up(&first.lines).is_some_and(|said| missing > said) => {
            Err(format!("{missing} records are missing; the repair said {:?}", first.lines))
        }
        Served::Started { .. } => Ok(()),
    }
}

/// How many records a repair says it gave up; `None` if it says that it does not know.
fn given_up(lines: &[Line]) -> Option<usize> {
    let mut records = 0;
    for line in lines {
        let Line::Repaired(text) = line else { continue };
        if text.contains("not known") || text.contains("perhaps more") {
            return None;
        }
        for before in text.split(" of shard ") {
            let mut words = before.rsplit(' ');
            if words.next().is_some_and(|noun| noun.starts_with("record")) {
                records += words.next().and_then(|count| count.parse::<usize>().ok()).unwrap_or(0);
            }
        }
    }
    Some(records)
}

/// What is lost and said to be, beside records; or cannot be told from what a crash leaves.
#[derive(Default)]
struct Lost {
    /// Tags and the like may be older ones.
    facts: bool,
    /// Iterators are refused.
    keys: bool,
    /// The newest commit may never have been acknowledged: its sequence numbers are given out again.
    newest: bool,
}

/// Starts a server and compares everything that it shows.
fn serve(machine: &Machine, directory: &Directory, lost: &Lost) -> Result<Served, String> {
    let stack = match Stack::open(machine) {
        Ok(stack) => stack,
        Err(why) if why.contains('\n') => return Err(format!("a refusal of several lines: {why}")),
        Err(why) if !why.contains(DIR) => return Err(format!("a refusal that does not say where: {why}")),
        Err(why) => return Ok(Served::Refused(why)),
    };
    stack.tick(machine);
    let facts = facts(&stack, machine);
    let mut wrong = Vec::new();
    for (question, answer) in &facts {
        if answer != &directory.facts[question] && answer != REFUSED && !lost.facts {
            wrong.push(format!("{question}: {answer}, and not {}", directory.facts[question]));
        }
    }
    let refused = facts.values().any(|answer| answer == REFUSED);
    let mut missing = 0;
    for shard in &directory.shards {
        missing += read(&stack, machine, shard)?;
        if !lost.keys {
            read_on(&stack, machine, shard)?;
        }
    }
    for shard in directory.shards.iter().filter(|_| !lost.newest) {
        put(&stack, machine, shard)?;
    }
    stack.tick(machine);
    let problems = stack.kinesis.problems();
    if problems.is_empty() && refused {
        return Err("a question is refused, and health says nothing".to_owned());
    }
    if !wrong.is_empty() {
        return Err(format!("{}; health: {problems:?}", wrong.join("; ")));
    }
    Ok(Served::Started { missing, problems })
}

/// Reads a shard and gives how many of its records nobody gets. They are refused by an error, or missing from its end.
fn read(stack: &Stack, machine: &Machine, shard: &Shard) -> Result<usize, String> {
    let place = (shard.stream.as_str(), shard.id.as_str());
    let at = || format!("{} {}", shard.stream, shard.id);
    // From the beginning, and on behind each record that is refused.
    let mut missing = 0;
    let mut have = 0;
    let mut next = stack.iterator(machine, place, ShardIteratorType::TrimHorizon, None).ok();
    for _ in 0..PAGES.max(2 * shard.records.len()) {
        let page = match next.as_deref().map(|iterator| stack.get(machine, iterator)) {
            Some(Ok(page)) => page,
            // Refused: the record that comes next, or if there is none, the end of the shard.
            Some(Err(_)) | None => {
                let Some(refused) = shard.records.get(have) else { return Ok(missing) };
                missing += 1;
                have += 1;
                let after = ShardIteratorType::AfterSequenceNumber;
                next = stack.iterator(machine, place, after, Some(&refused.sequence)).ok();
                continue;
            }
        };
        for record in page.records.iter().map(Known::of) {
            // A hole that a repair has made is stepped over.
            let Some(found) = shard.records.iter().skip(have).position(|known| known.sequence == record.sequence)
            else {
                return Err(format!("{}: record {} is wrong or out of place", at(), record.sequence));
            };
            let known = &shard.records[have + found];
            if known.content != record.content {
                return Err(format!(
                    "{}: record {} is {}, and not {}",
                    at(),
                    record.sequence,
                    record.content,
                    known.content
                ));
            }
            missing += found;
            have += found + 1;
        }
        next = page.next_shard_iterator.filter(|_| page.millis_behind_latest != Some(0));
        if next.is_none() {
            return Ok(missing + shard.records.len() - have);
        }
    }
    Err(format!("{}: its end is not reached", at()))
}

/// Iterators that were given out before go on to count.
fn read_on(stack: &Stack, machine: &Machine, shard: &Shard) -> Result<(), String> {
    let Some(iterator) = &shard.iterator else { return Ok(()) };
    let page = match stack.get(machine, iterator) {
        Ok(page) => page,
        Err(e) if stack.kinesis.problems().is_empty() => {
            return Err(format!("{} {}: an iterator from before is refused: {e:?}", shard.stream, shard.id));
        }
        Err(_) => return Ok(()),
    };
    let right = page.records.iter().map(Known::of).all(|record| shard.records[1..].contains(&record));
    if right { Ok(()) } else { Err(format!("{} {}: an iterator from before leads elsewhere", shard.stream, shard.id)) }
}

/// No sequence number is used twice.
fn put(stack: &Stack, machine: &Machine, shard: &Shard) -> Result<(), String> {
    let (Some(hash), Some(last)) = (&shard.open, shard.records.last()) else { return Ok(()) };
    let input = PutRecordInput {
        stream_name: Some(shard.stream.as_str().into()),
        data: Blob::from_bytes(b"new"),
        partition_key: Some("new".into()),
        explicit_hash_key: Some(hash.as_str().into()),
        ..PutRecordInput::default()
    };
    match stack.call(machine, Input::PutRecord(input)) {
        Ok(Output::PutRecord(output)) if output.shard_id != shard.id => {
            Err(format!("{} {}: a put went to {}", shard.stream, shard.id, output.shard_id))
        }
        // Equally long digits.
        Ok(Output::PutRecord(output)) if output.sequence_number <= last.sequence => Err(format!(
            "{} {}: sequence number {} was given out again, or comes before {}",
            shard.stream, shard.id, output.sequence_number, last.sequence
        )),
        _ => Ok(()),
    }
}
