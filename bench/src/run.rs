//! A run: the chosen scenarios one after the other, their results written after each.

use std::path::Path;
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::Run;
use crate::ceilings::disk::Disk;
use crate::contestants::Contestant;
use crate::context::{Context, Set};
use crate::error::BenchError;
use crate::goals;
use crate::goals::{CONSTANT, RAW, RAW_READ, SUBJECT};
use crate::machine;
use crate::results::{self, Absent, FORMAT, Goal, Results, Role, Scenario, Settings};
use crate::scenarios::{self, Entry};

/// When the last scenario of the default set may start: it is to fit half an hour.
const LAST_START: Duration = Duration::from_secs(28 * 60);

/// Runs what the command line asks for; whether Millstream came through without a failure.
///
/// # Errors
/// When nothing can be measured, or results cannot be written.
pub fn run(arguments: &Run) -> Result<bool, BenchError> {
    machine::raise_file_limit();
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
        finished: false,
    };
    let began = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut stops = runtime.block_on(async { Stops::new() })?;
    let mut good = true;
    context.clear()?;
    for entry in entries {
        if context.set == Set::Default && began.elapsed() > LAST_START {
            println!("== {} ({}) is not measured: the half hour is over", entry.name, entry.id);
            results.scenarios.push(nothing(&entry, None, "Not measured: the half hour was over."));
            continue;
        }
        println!("== {} ({}) after {:.0} s", entry.name, entry.id, began.elapsed().as_secs_f64());
        // Tasks of one scenario end with it.
        let local = tokio::task::LocalSet::new();
        let ran = local.block_on(&runtime, stops.unless(within(&entry, &context)));
        drop(local);
        // Every server is gone, so what they have left goes as well.
        context.clear()?;
        match ran.unwrap_or(Err(BenchError::Interrupted)) {
            Ok(mut scenario) => {
                goals::complete(&mut scenario);
                let ours = scenario.measured.iter().filter(|measured| measured.who == SUBJECT);
                good &= ours.into_iter().all(|measured| measured.failures.is_empty());
                for goal in &scenario.goals {
                    say(goal, &scenario);
                }
                results.scenarios.push(scenario);
            }
            Err(BenchError::Interrupted) => {
                write(&results, &arguments.json)?;
                return Err(BenchError::Interrupted);
            }
            Err(error) => {
                eprintln!("millstream-bench: {}: {error}", entry.id);
                results.scenarios.push(nothing(&entry, Some(false), &format!("It could not be measured: {error}")));
                good = false;
            }
        }
        let before = results.settings.took_seconds;
        results.settings.took_seconds = began.elapsed().as_secs_f64();
        println!("   {} took {:.0} s", entry.id, results.settings.took_seconds - before);
        write(&results, &arguments.json)?;
    }
    results.finished = true;
    write(&results, &arguments.json)?;
    println!("{:.0} s; results in {}", began.elapsed().as_secs_f64(), arguments.json.display());
    Ok(good)
}

/// Runs a scenario. Those that are made of rounds have a limit for each, so that one of them cannot take the others with it.
async fn within(entry: &Entry, context: &Context) -> Result<Scenario, BenchError> {
    if entry.in_rounds() {
        return entry.run(context).await;
    }
    let limit = Duration::from_secs(context.set.pick(120, 300, 3600));
    tokio::time::timeout(limit, entry.run(context)).await.unwrap_or(Err(BenchError::Late(limit.as_secs())))
}

/// A scenario without figures. Its goals are unknown here; that they are missing is said where goals are listed.
fn nothing(entry: &Entry, met: Option<bool>, why: &str) -> Scenario {
    let mut scenario = scenarios::empty(entry.id, "", entry.name);
    scenario.notes.push(why.to_owned());
    let goal = goals::at_least("all of its goals", None, 1.0);
    scenario.goals.push(Goal { met, note: why.to_owned(), ..goal });
    scenario
}

fn say(goal: &Goal, scenario: &Scenario) {
    let verdict = match goal.met {
        Some(true) => "met",
        Some(false) => "NOT met",
        None => "not judged",
    };
    let at = match (&scenario.reduced, goal.met) {
        (Some(at), Some(_)) => format!(" at {at}"),
        _ => String::new(),
    };
    let sign = if goal.at_most { "≤" } else { "≥" };
    let value = goal.value.map_or("no figure".to_owned(), |value| format!("{value:.3}"));
    println!("   {}: {value} (wanted {sign} {}) {verdict}{at} {}", goal.what, goal.wanted, goal.note);
}

/// The signals that stop a run.
struct Stops([Signal; 2]);

impl Stops {
    fn new() -> std::io::Result<Self> {
        Ok(Self([signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?]))
    }

    /// What `work` gives, or `None` when a signal came first: `work` is dropped then, and with it the servers it started.
    async fn unless<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = std::pin::pin!(work);
        std::future::poll_fn(|context| {
            if self.0.iter_mut().any(|signal| signal.poll_recv(context).is_ready()) {
                return Poll::Ready(None);
            }
            work.as_mut().poll(context).map(Some)
        })
        .await
    }
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
        time: Duration::from_secs_f64(arguments.seconds.unwrap_or(set.pick(2.0, 1.5, 5.0))),
        contestants,
        dir: arguments.dir.clone(),
        disk: Disk::new(&arguments.dir)?,
        limit: Duration::from_secs(set.pick(60, 90, 600)),
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
    // Whoever reads it while the run goes on, or after it was killed, finds a whole one.
    let part = path.with_extension("part");
    std::fs::write(&part, text)?;
    Ok(std::fs::rename(part, path)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{Signal as Number, getpid, kill_process};

    #[test]
    fn a_signal_ends_what_is_under_way() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut stops = Stops::new().unwrap();
            assert_eq!(stops.unless(async { 7 }).await, Some(7));
            kill_process(getpid(), Number::TERM).unwrap();
            assert_eq!(stops.unless(std::future::pending::<()>()).await, None);
        });
    }

    #[test]
    fn what_gave_nothing_stands_among_the_goals() {
        let entry = scenarios::all()[0];
        let skipped = nothing(&entry, None, "late");
        assert_eq!((skipped.goals[0].value, skipped.goals[0].met, &*skipped.goals[0].note), (None, None, "late"));
        assert_eq!(nothing(&entry, Some(false), "broken").goals[0].met, Some(false));
    }
}
