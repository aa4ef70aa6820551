//! `millstream check`: reads a data directory that no server has open, reports what is damaged, and repairs it.

use std::io::{self, Write};
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

/// Why a check could not be made.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
enum CheckError {
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    #[error("{}: cannot be read: {error}", path.display())]
    Disk { path: PathBuf, error: io::Error },
    #[error("{}: {error}", path.display())]
    Catalog { path: PathBuf, error: CatalogError },
    #[error("the runtime cannot be started: {0}")]
    Runtime(io::Error),
}

/// Checks the data directory `dir`. Success means that it is sound, or that `repair` made it so.
pub fn run(dir: &Path, repair: bool) -> ExitCode {
    let env = Env::real(IO_THREADS);
    match check(&env, dir, repair) {
        Ok(0) => {
            say("sound\n");
            ExitCode::SUCCESS
        }
        Ok(problems) => {
            let what = if repair { "left after the repair" } else { "found; see check --repair" };
            fail(&format!("{}: {problems} problems {what}", dir.display()), 1)
        }
        Err(error) => fail(&error.to_string(), 1),
    }
}

/// Gives how many problems there are (after a repair: that are left).
fn check(env: &Env, dir: &Path, repair: bool) -> Result<usize, CheckError> {
    let data = DataDir::open(env, dir)?;
    let mut problems = logs(env, &data, repair)?;
    let catalog = catalog_problem(env, &data)?;
    if let Some(problem) = &catalog {
        report("problem", problem);
    }
    if !repair {
        let apart = if catalog.is_none() { compare_copies(env, &data)? } else { 1 };
        return Ok(problems + apart);
    }
    if problems > 0 {
        say("checking again\n");
        problems = logs(env, &data, false)?;
    }
    if catalog.is_some() {
        set_aside(env, &data.catalog())?;
    }
    Ok(problems + recover_streams(env, &data)?)
}

fn logs(env: &Env, data: &DataDir, repair: bool) -> Result<usize, CheckError> {
    let path = data.log();
    let CheckReport { logs, segments, records, bytes, problems, repairs } =
        segment::check(env, &path, repair).map_err(|error| CheckError::Disk { path, error })?;
    say(&format!("{logs} logs, {segments} segments, {records} records of {bytes} bytes\n"));
    problems.iter().for_each(|line| report("problem", line));
    repairs.iter().for_each(|line| report("repaired", line));
    Ok(problems.len())
}

/// What is wrong with the catalog, if anything.
fn catalog_problem(env: &Env, data: &DataDir) -> Result<Option<String>, CheckError> {
    let path = data.catalog();
    if !env.disk.exists(&path) {
        return Ok(Some(format!("{}: there is no catalog", path.display())));
    }
    match millstream_catalog::verify(env, &path) {
        Ok(tables) => {
            for table in tables {
                say(&format!("catalog: {} records in {}\n", table.records, table.name));
            }
            Ok(None)
        }
        Err(error @ CatalogError::Corrupt { .. }) => Ok(Some(error.to_string())),
        Err(error) => Err(CheckError::Catalog { path, error }),
    }
}

/// Gives how many streams have no log, and logs no stream. Opening a log engine or a catalog writes to it, so that
/// copies are opened, on a disk in memory: of the log the directories, which is all that is looked at.
fn compare_copies(env: &Env, data: &DataDir) -> Result<usize, CheckError> {
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
    let mut config = SegmentConfig::new(data.log());
    config.reserve = 0;
    let log = SegmentEngine::open(copy, config).map_err(of_disk(&data.log()))?;
    mismatches(&*log, &catalog, &path)
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
fn mismatches(log: &dyn Log, catalog: &Catalog, path: &Path) -> Result<usize, CheckError> {
    let lines = compare(log, catalog).map_err(|error| CheckError::Catalog { path: path.to_path_buf(), error })?;
    lines.iter().for_each(|line| report("problem", line));
    Ok(lines.len())
}

/// Keeps a damaged catalog beside the new one.
fn set_aside(env: &Env, path: &Path) -> Result<(), CheckError> {
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
    report("repaired", &format!("the damaged catalog is kept as {}", aside.display()));
    Ok(())
}

/// Puts streams whose logs exist into the catalog again. Gives how much of log and catalog still does not fit together.
fn recover_streams(env: &Env, data: &DataDir) -> Result<usize, CheckError> {
    let path = data.catalog();
    let of_catalog = |error| CheckError::Catalog { path: path.clone(), error };
    let catalog = Catalog::open(env, &path).map_err(of_catalog)?;
    let engine = SegmentEngine::open(env.clone(), SegmentConfig::new(data.log()));
    let log: Arc<dyn Log> = engine.map_err(|error| CheckError::Disk { path: data.log(), error })?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(CheckError::Runtime)?;
    let rebuilt = runtime.block_on(rebuild(&log, &catalog)).map_err(of_catalog);
    let left = rebuilt.and_then(|rebuilt| {
        for outcome in rebuilt {
            match outcome {
                Rebuilt::Stream { arn, .. } => report("repaired", &format!("{arn} is in the catalog again")),
                Rebuilt::NameTaken { arn, log } => {
                    report("not repaired", &format!("log {log} was of {arn}, which another stream is: it stays aside"));
                }
                Rebuilt::Unreadable { log, why } => {
                    report("not repaired", &format!("log {log} does not say whose it is: {why}"));
                }
            }
        }
        mismatches(&*log, &catalog, &path)
    });
    runtime.block_on(log.close());
    left
}

fn report(kind: &str, line: &str) {
    // As for all output: nobody reading it is no reason to stop.
    let _ = writeln!(io::stdout(), "{kind}: {line}");
}
