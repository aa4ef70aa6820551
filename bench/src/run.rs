//! A run: the chosen scenarios one after the other, their results written after each.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::Run;
use crate::ceilings::disk::Disk;
use crate::contestants::Contestant;
use crate::context::Context;
use crate::error::BenchError;
use crate::goals::{CONSTANT, RAW, RAW_READ, SUBJECT};
use crate::machine;
use crate::results::{self, Absent, FORMAT, Results, Role, Settings};
use crate::scenarios::{self, Entry};

/// Runs what the command line asks for; whether Millstream came through without a failure.
///
/// # Errors
/// When nothing can be measured, or results cannot be written.
pub fn run(arguments: &Run) -> Result<bool, BenchError> {
    std::fs::create_dir_all(&arguments.dir)?;
    let entries = chosen(arguments)?;
    let context = context(arguments)?;
    let mut results = Results {
        format: FORMAT,
        machine: machine::this(&arguments.dir),
        settings: Settings {
            set: arguments.set.name().to_owned(),
            rounds: context.rounds,
            seconds: context.time.as_secs_f64(),
            warm_up_seconds: context.warm_up.as_secs_f64(),
            began: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            took_seconds: 0.0,
            commit: arguments.commit.clone(),
        },
        contestants: context.contestants.iter().map(|who| who.about().clone()).chain(ceilings()).collect(),
        absent: arguments.absent.iter().map(|absent| absent_of(absent)).collect(),
        scenarios: Vec::new(),
    };
    let began = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut good = true;
    for entry in entries {
        println!("== {} ({}) after {:.0} s", entry.name, entry.id, began.elapsed().as_secs_f64());
        // Tasks of one scenario end with it.
        let local = tokio::task::LocalSet::new();
        let limit = Duration::from_secs(context.set.pick(120, 420, 3600));
        let ran = local.block_on(&runtime, async { tokio::time::timeout(limit, entry.run(&context)).await });
        match ran.unwrap_or(Err(BenchError::Late(limit.as_secs()))) {
            Ok(scenario) => {
                let ours = scenario.measured.iter().filter(|measured| measured.who == SUBJECT);
                good &= ours.into_iter().all(|measured| measured.failures.is_empty());
                for goal in &scenario.goals {
                    let verdict = match goal.met {
                        Some(true) => "met",
                        Some(false) => "NOT met",
                        None => "not judged",
                    };
                    let sign = if goal.at_most { "≤" } else { "≥" };
                    println!(
                        "   {}: {:.3} (wanted {sign} {}) {verdict} {}",
                        goal.what, goal.value, goal.wanted, goal.note
                    );
                }
                results.scenarios.push(scenario);
            }
            Err(error) => {
                eprintln!("millstream-bench: {}: {error}", entry.id);
                let mut scenario = scenarios::empty(entry.id, "", entry.name);
                scenario.notes.push(format!("It could not be measured: {error}"));
                results.scenarios.push(scenario);
                good = false;
            }
        }
        results.settings.took_seconds = began.elapsed().as_secs_f64();
        write(&results, &arguments.json)?;
    }
    println!("{:.0} s; results in {}", began.elapsed().as_secs_f64(), arguments.json.display());
    Ok(good)
}

fn absent_of(argument: &str) -> Absent {
    let (id, reason) = argument.split_once('=').unwrap_or((argument, "no reason was given"));
    Absent { id: id.to_owned(), reason: reason.to_owned() }
}

fn chosen(arguments: &Run) -> Result<Vec<Entry>, BenchError> {
    let all = scenarios::all();
    for wanted in &arguments.only {
        if !all.iter().any(|entry| entry.id.starts_with(wanted.as_str())) {
            return Err(BenchError::Arguments(format!("there is no scenario {wanted:?}; see `list`")));
        }
    }
    let chosen = |entry: &Entry| match arguments.only.as_slice() {
        [] => entry.from <= arguments.set,
        only => only.iter().any(|wanted| entry.id.starts_with(wanted.as_str())),
    };
    Ok(all.into_iter().filter(chosen).collect())
}

fn context(arguments: &Run) -> Result<Context, BenchError> {
    let mut contestants = vec![Contestant::millstream(&arguments.server)];
    for peer in &arguments.peers {
        let (id, program) = peer
            .split_once('=')
            .ok_or_else(|| BenchError::Arguments(format!("{peer:?} is not of the form ID=PROGRAM")))?;
        contestants.push(Contestant::peer(id, Path::new(program))?);
    }
    let set = arguments.set;
    Ok(Context {
        set,
        rounds: arguments.rounds.unwrap_or(set.pick(1, 5, 5)),
        warm_up: Duration::from_millis(500),
        time: Duration::from_secs_f64(arguments.seconds.unwrap_or(set.pick(2.0, 2.0, 5.0))),
        contestants,
        dir: arguments.dir.clone(),
        disk: Disk::new(&arguments.dir)?,
    })
}

fn ceilings() -> [results::Contestant; 3] {
    let ceiling = |id: &str, name: &str, keeps: &str| results::Contestant {
        id: id.to_owned(),
        name: name.to_owned(),
        role: Role::Ceiling,
        version: None,
        keeps: keeps.to_owned(),
    };
    [
        ceiling(CONSTANT, "constant-answer server", "nothing"),
        ceiling(RAW, "raw append + fdatasync", "fdatasync after each append"),
        ceiling(RAW_READ, "raw sequential read", "–"),
    ]
}

fn write(results: &Results, path: &Path) -> Result<(), BenchError> {
    let text = serde_json::to_string_pretty(results).map_err(|error| BenchError::Report(error.to_string()))?;
    Ok(std::fs::write(path, text)?)
}
