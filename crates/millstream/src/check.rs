//! `millstream check`: reads a data directory that no server has open, reports what is damaged, and repairs it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use millstream_catalog::{Catalog, CatalogError};
use millstream_env::sim::SimDisk;
use millstream_env::{Disk, Env};
use millstream_kinesis::rebuild::{Rebuilt, compare, rebuild};
use millstream_log::Log;
use millstream_log::segment::{self, CheckReport, SegmentConfig, SegmentEngine};

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
    let mut problems = logs(env, &data, repair, report)?;
    let catalog = catalog_problem(env, &data, report)?;
    if let Some(problem) = &catalog {
        report(Line::Problem(problem.clone()));
    }
    if !repair {
        let apart = if catalog.is_none() { compare_copies(env, &data, report)? } else { 1 };
        return Ok(problems + apart);
    }
    if problems > 0 {
        report(Line::Read("checking again".to_owned()));
        problems = logs(env, &data, false, report)?;
    }
    if catalog.is_some() {
        set_aside(env, &data.catalog(), report)?;
    }
    Ok(problems + recover_streams(env, &data, report).await?)
}

fn logs(env: &Env, data: &DataDir, repair: bool, report: Report<'_>) -> Result<usize, CheckError> {
    let path = data.log();
    let CheckReport { logs, segments, records, bytes, problems, repairs } =
        segment::check(env, &path, repair).map_err(|error| CheckError::Disk { path, error })?;
    report(Line::Read(format!("{logs} logs, {segments} segments, {records} records of {bytes} bytes")));
    let found = problems.len();
    problems.into_iter().for_each(|line| report(Line::Problem(line)));
    repairs.into_iter().for_each(|line| report(Line::Repaired(line)));
    Ok(found)
}

/// What is wrong with the catalog, if anything.
fn catalog_problem(env: &Env, data: &DataDir, report: Report<'_>) -> Result<Option<String>, CheckError> {
    let path = data.catalog();
    if !env.disk.exists(&path) {
        return Ok(Some(format!("{}: there is no catalog", path.display())));
    }
    match millstream_catalog::verify(env, &path) {
        Ok(tables) => {
            for table in tables {
                report(Line::Read(format!("catalog: {} records in {}", table.records, table.name)));
            }
            Ok(None)
        }
        Err(error @ CatalogError::Corrupt { .. }) => Ok(Some(error.to_string())),
        Err(error) => Err(CheckError::Catalog { path, error }),
    }
}

/// Gives how many streams have no log, and logs no stream. Opening a log engine or a catalog writes to it, so that
/// copies are opened, on a disk in memory: of the log the directories, which is all that is looked at.
fn compare_copies(env: &Env, data: &DataDir, report: Report<'_>) -> Result<usize, CheckError> {
    let copy = Env { disk: Arc::new(SimDisk::new()), ..env.clone() };
    let of_disk = |path: &Path| {
        let path = path.to_path_buf();
        move |error| CheckError::Disk { path, error }
    };
    copy_directories(&*env.disk, &*copy.disk, &data.log()).map_err(of_disk(&data.log()))?;
    let path = data.catalog();
    let image = env.disk.read_file(&path).map_err(of_disk(&path))?;
    copy.disk.write_file(&path, &image).map_err(of_disk(&path))?;
    let catalog = Catalog::open(&copy, &path).map_err(|error| CheckError::Catalog { path: path.clone(), error })?;
    let log = SegmentEngine::open(copy, engine(data)).map_err(of_disk(&data.log()))?;
    mismatches(&*log, &catalog, &path, report)
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

/// Keeps a damaged catalog beside the new one.
fn set_aside(env: &Env, path: &Path, report: Report<'_>) -> Result<(), CheckError> {
    if !env.disk.exists(path) {
        return Ok(());
    }
    let mut number = 1;
    let aside = loop {
        let candidate = path.with_extension(format!("redb.damaged.{number}"));
        if !env.disk.exists(&candidate) {
            break candidate;
        }
        number += 1;
    };
    let moved = env.disk.rename(path, &aside);
    moved.map_err(|error| CheckError::Disk { path: path.to_path_buf(), error })?;
    report(Line::Repaired(format!("the damaged catalog is kept as {}", aside.display())));
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
                Rebuilt::Stream { arn, .. } => Line::Repaired(format!("{arn} is in the catalog again")),
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
