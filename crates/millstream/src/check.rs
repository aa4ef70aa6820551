//! `millstream check`: reads a data directory that no server has open, reports what is damaged, and repairs it.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use millstream_catalog::{Catalog, CatalogError};
use millstream_env::sim::SimDisk;
use millstream_env::{Disk, Env};
use millstream_kinesis::rebuild::{Rebuilt, arns, check_keys, compare, make_keys, rebuild};
use millstream_kinesis::token::KeysError;
use millstream_log::segment::{self, CheckReport, SegmentConfig, SegmentEngine, write_epoch};
use millstream_log::{Log, LogId};

use crate::data_dir::{DataDir, DataDirError};
use crate::{IO_THREADS, fail, say};

/// Exit code of a check that found problems, or of a repair that left some.
const PROBLEMS: u8 = 1;
/// Exit code of a check that could not be made: the directory is in use, cannot be read, or is none.
const NOT_CHECKED: u8 = 3;

/// Why a check could not be made.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum CheckError {
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    #[error("{}: cannot be read: {error}", path.display())]
    Disk { path: PathBuf, error: io::Error },
    #[error("{}: {error}", path.display())]
    Catalog { path: PathBuf, error: CatalogError },
    #[error(transparent)]
    Keys(#[from] KeysError),
}

/// A line of a check's report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// What was read.
    Read(String),
    /// What is wrong, where, and what a repair would give up.
    Problem(String),
    /// What a repair has done, and what was given up by it.
    Repaired(String),
    /// What a repair could not do.
    NotRepaired(String),
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Line::Read(line) => write!(f, "{line}"),
            Line::Problem(line) => write!(f, "problem: {line}"),
            Line::Repaired(line) => write!(f, "repaired: {line}"),
            Line::NotRepaired(line) => write!(f, "not repaired: {line}"),
        }
    }
}

/// Takes the lines of a report as they come.
pub type Report<'a> = &'a mut (dyn FnMut(Line) + Send);

/// Checks the data directory `dir`. Success means that it is sound, or that `repair` made it so.
pub(crate) fn run(dir: &Path, repair: bool) -> ExitCode {
    let env = Env::real(IO_THREADS);
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("the runtime cannot be started: {error}"), NOT_CHECKED),
    };
    let mut print = |line: Line| say(&format!("{line}\n"));
    match runtime.block_on(check(&env, dir, repair, &mut print)) {
        Ok(0) => {
            say("sound\n");
            ExitCode::SUCCESS
        }
        Ok(problems) => {
            let what = if repair { "left after the repair" } else { "found; see check --repair" };
            let noun = if problems == 1 { "problem" } else { "problems" };
            fail(&format!("{}: {problems} {noun} {what}", dir.display()), PROBLEMS)
        }
        Err(error) => fail(&error.to_string(), NOT_CHECKED),
    }
}

/// Checks the data directory `dir`, which no server has open, and with `repair` makes it sound. Gives how many problems there
/// are; after a repair, how many are left.
///
/// # Errors
/// Why it could not be checked.
pub async fn check(env: &Env, dir: &Path, repair: bool, report: Report<'_>) -> Result<usize, CheckError> {
    let data = DataDir::open(env, dir)?;
    let catalog = catalog_problem(env, &data, report)?;
    let names = if catalog.is_none() { names(env, &data)? } else { BTreeMap::new() };
    let Looked { logs, mut problems } = look(env, &data, &names, repair, report)?;
    if let Some(problem) = &catalog {
        report(Line::Problem(problem.clone()));
    }
    let keys = keys_problem(env, &data, logs > 0 || !names.is_empty())?;
    if let Some(problem) = &keys {
        report(Line::Problem(problem.clone()));
    }
    if !repair {
        problems += usize::from(catalog.is_some()) + usize::from(keys.is_some());
        let apart = if catalog.is_none() { compare_copies(env, &data, report)? } else { 0 };
        return Ok(problems + apart);
    }
    if problems > 0 {
        report(Line::Read("checking again".to_owned()));
        problems = look(env, &data, &names, false, report)?.problems;
    }
    if catalog.is_some() {
        set_aside(env, &data.catalog(), "catalog", report)?;
    }
    if keys.is_some() {
        set_aside(env, &data.keys(), "token keys' file", report)?;
        make_keys(env, &data.keys())?;
        let what = "new token keys are made: iterators and page tokens that were given out are refused";
        report(Line::Repaired(format!("{}: {what}", data.keys().display())));
    }
    Ok(problems + recover_streams(env, &data, report).await?)
}

/// How many logs there are, and problems with them.
struct Looked {
    logs: usize,
    problems: usize,
}

/// Reads all logs. `names` are the ARNs of their streams, by incarnation.
fn look(
    env: &Env,
    data: &DataDir,
    names: &BTreeMap<u64, String>,
    repair: bool,
    report: Report<'_>,
) -> Result<Looked, CheckError> {
    let path = data.log();
    let found = segment::check(env, &path, repair).map_err(|error| CheckError::Disk { path, error })?;
    let CheckReport { logs, segments, records, bytes, problems, repairs, .. } = found;
    report(Line::Read(format!("{logs} logs, {segments} segments, {records} records of {bytes} bytes")));
    let whose = |log: &Option<LogId>| match log {
        Some(log) => names.get(&log.incarnation).map_or_else(|| format!("log {log}: "), |arn| format!("{arn}: ")),
        None => String::new(),
    };
    let count = problems.len();
    for problem in problems {
        report(Line::Problem(format!("{}{problem}", whose(&problem.log))));
    }
    for repaired in repairs {
        report(Line::Repaired(format!("{}{repaired}", whose(&repaired.log))));
    }
    Ok(Looked { logs, problems: count })
}

/// What is wrong with the catalog, if anything.
fn catalog_problem(env: &Env, data: &DataDir, report: Report<'_>) -> Result<Option<String>, CheckError> {
    let path = data.catalog();
    if !env.disk.exists(&path) {
        // A start that was cut short has made neither a catalog nor a log.
        let log = data.log().join("streams");
        let is_new = !env.disk.exists(&log) || env.disk.list(&log).is_ok_and(|entries| entries.is_empty());
        return Ok((!is_new).then(|| format!("{}: there is no catalog; {BY_REBUILDING}", path.display())));
    }
    match millstream_catalog::verify(env, &path) {
        Ok(tables) => {
            for table in tables {
                report(Line::Read(format!("catalog: {} records in {}", table.records, table.name)));
            }
            Ok(None)
        }
        Err(error @ CatalogError::Corrupt { .. }) => Ok(Some(format!("{error}; {BY_REBUILDING}"))),
        Err(error) => Err(CheckError::Catalog { path, error }),
    }
}

/// What a repair does about a catalog that is lost.
const BY_REBUILDING: &str = "a repair makes it again from the logs: streams and shards are all there again, tags, consumers, \
                             policies, retention and modes as they were when a stream's shards last changed";

/// What is wrong with the file of token keys, if anything.
fn keys_problem(env: &Env, data: &DataDir, has_streams: bool) -> Result<Option<String>, CheckError> {
    Ok(check_keys(env, &data.keys(), has_streams)?.map(|what| format!("{what}; a repair makes new keys")))
}

/// A copy of the catalog, on a disk in memory: opening one writes to it.
fn catalog_copy(env: &Env, data: &DataDir) -> Result<(Env, Arc<Catalog>), CheckError> {
    let copy = Env { disk: Arc::new(SimDisk::new()), ..env.clone() };
    let path = data.catalog();
    let of_disk = |error| CheckError::Disk { path: path.clone(), error };
    copy.disk.create_dir_all(data.path()).map_err(of_disk)?;
    if env.disk.exists(&path) {
        let image = env.disk.read_file(&path).map_err(of_disk)?;
        copy.disk.write_file(&path, &image).map_err(of_disk)?;
    }
    let catalog = Catalog::open(&copy, &path).map_err(|error| CheckError::Catalog { path: path.clone(), error })?;
    Ok((copy, catalog))
}

/// The ARNs of the catalog's streams, by incarnation.
fn names(env: &Env, data: &DataDir) -> Result<BTreeMap<u64, String>, CheckError> {
    let (_copy, catalog) = catalog_copy(env, data)?;
    arns(&catalog).map_err(|error| CheckError::Catalog { path: data.catalog(), error })
}

/// Gives how many streams have no log, and logs no stream. Opening a log engine writes to it as well, so that a copy is
/// opened: of the directories, which are all that is looked at.
fn compare_copies(env: &Env, data: &DataDir, report: Report<'_>) -> Result<usize, CheckError> {
    let (copy, catalog) = catalog_copy(env, data)?;
    let of_disk = |error| CheckError::Disk { path: data.log(), error };
    copy_directories(&*env.disk, &*copy.disk, &data.log()).map_err(of_disk)?;
    write_epoch(&copy, &data.log(), 0).map_err(of_disk)?;
    let log = SegmentEngine::open(copy, engine(data)).map_err(of_disk)?;
    mismatches(&*log, &catalog, &data.catalog(), report)
}

/// The log's settings for work on it that is soon over: it takes no space ahead.
fn engine(data: &DataDir) -> SegmentConfig {
    SegmentConfig { reserve: 0, ..SegmentConfig::new(data.log()) }
}

/// Makes the directories that are below `root` on one disk on another one.
fn copy_directories(from: &dyn Disk, to: &dyn Disk, root: &Path) -> io::Result<()> {
    let mut left = vec![root.to_path_buf()];
    while let Some(path) = left.pop() {
        to.create_dir_all(&path)?;
        let entries = match from.list(&path) {
            // Without its directory the log is an empty one.
            Err(error) if error.kind() == io::ErrorKind::NotFound && path == root => continue,
            entries => entries?,
        };
        left.extend(entries.into_iter().filter(|entry| entry.is_dir).map(|entry| path.join(entry.name)));
    }
    Ok(())
}

/// Reports what does not fit together of a log engine and the catalog at `path`, and gives how much that is.
fn mismatches(log: &dyn Log, catalog: &Catalog, path: &Path, report: Report<'_>) -> Result<usize, CheckError> {
    let lines = compare(log, catalog).map_err(|error| CheckError::Catalog { path: path.to_path_buf(), error })?;
    let found = lines.len();
    lines.into_iter().for_each(|line| report(Line::Problem(line)));
    Ok(found)
}

/// Keeps a damaged file beside the new one.
fn set_aside(env: &Env, path: &Path, what: &str, report: Report<'_>) -> Result<(), CheckError> {
    if !env.disk.exists(path) {
        return Ok(());
    }
    let mut number = 1;
    let aside = loop {
        let mut candidate = path.as_os_str().to_owned();
        candidate.push(format!(".damaged.{number}"));
        let candidate = PathBuf::from(candidate);
        if !env.disk.exists(&candidate) {
            break candidate;
        }
        number += 1;
    };
    let moved = env.disk.rename(path, &aside);
    moved.map_err(|error| CheckError::Disk { path: path.to_path_buf(), error })?;
    report(Line::Repaired(format!("the damaged {what} is kept as {}", aside.display())));
    Ok(())
}

/// Puts streams whose logs exist into the catalog again. Gives how much of log and catalog still does not fit together.
async fn recover_streams(env: &Env, data: &DataDir, report: Report<'_>) -> Result<usize, CheckError> {
    let path = data.catalog();
    let of_catalog = |error| CheckError::Catalog { path: path.clone(), error };
    let catalog = Catalog::open(env, &path).map_err(of_catalog)?;
    let engine = SegmentEngine::open(env.clone(), engine(data));
    let log: Arc<dyn Log> = engine.map_err(|error| CheckError::Disk { path: data.log(), error })?;
    let rebuilt = rebuild(&log, &catalog).await.map_err(of_catalog);
    let left = rebuilt.and_then(|rebuilt| {
        for outcome in rebuilt {
            report(match outcome {
                Rebuilt::Stream { arn, .. } => Line::Repaired(format!(
                    "{arn} is in the catalog again; its tags, consumers, policies, retention and modes are as they were when \
                     its shards last changed"
                )),
                Rebuilt::NameTaken { arn, log } => {
                    Line::NotRepaired(format!("log {log} was of {arn}, which another stream is: it stays aside"))
                }
                Rebuilt::Unreadable { log, why } => {
                    Line::NotRepaired(format!("log {log} does not say whose it is: {why}"))
                }
            });
        }
        mismatches(&*log, &catalog, &path, report)
    });
    log.close().await;
    left
}
