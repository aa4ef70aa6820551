//! `millstream restore`: makes a data directory of a snapshot.

use std::path::Path;
use std::process::ExitCode;

use millstream_env::Env;
use millstream_kinesis::snapshot::{Places, RestoreError, Restored, Snapshot};

use crate::data_dir::{DataDirError, Unfinished};
use crate::{IO_THREADS, fail, say};

/// Why nothing was restored.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub(crate) enum Error {
    #[error(transparent)]
    Restore(#[from] RestoreError),
    #[error(transparent)]
    DataDir(#[from] DataDirError),
}

/// Restores the snapshot in the directory `snapshot` to the data directory `dir`.
pub(crate) fn run(snapshot: &Path, dir: &Path) -> ExitCode {
    match restore(&Env::real(IO_THREADS), snapshot, dir) {
        Ok(Restored { streams, files, bytes, problems, .. }) => {
            for problem in problems {
                say(&format!("problem when the snapshot was taken: {problem}\n"));
            }
            say(&format!("restored {streams} streams, {files} files of {bytes} bytes, to {}\n", dir.display()));
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error.to_string(), 1),
    }
}

/// Nothing is written before all of the snapshot was read. The directory is a data directory when all else is durable.
pub(crate) fn restore(env: &Env, snapshot: &Path, dir: &Path) -> Result<Restored, Error> {
    let snapshot = Snapshot::open(env, snapshot)?;
    Unfinished::may_begin(env, dir)?;
    snapshot.verify()?;
    let unfinished = Unfinished::begin(env, dir)?;
    let data = unfinished.data();
    let restored = snapshot.restore(&Places { log: data.log(), catalog: data.catalog(), keys: data.keys() });
    match restored {
        Ok(restored) => {
            unfinished.finish()?;
            Ok(restored)
        }
        Err(error) => {
            // So that it can be tried again, when there is room.
            unfinished.give_up();
            Err(error.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use millstream_api::kinesis::{CreateStreamInput, Input, Service};
    use millstream_catalog::Catalog;
    use millstream_env::Disk;
    use millstream_env::sim::{Crash, SimEnv};
    use millstream_kinesis::{AllowAll, Hooks, Kinesis, KinesisConfig, NoMeter};
    use millstream_log::Log;
    use millstream_log::segment::{SegmentConfig, SegmentEngine};

    use super::*;
    use crate::data_dir::DataDir;

    fn serve(machine: &SimEnv, data: &DataDir) -> Arc<Kinesis> {
        let config = SegmentConfig { min_free: 0, reserve: 0, segment_min: 4 << 10, ..SegmentConfig::new(data.log()) };
        let log: Arc<dyn Log> = SegmentEngine::open(machine.env(), config).unwrap();
        let catalog = Catalog::open(&machine.env(), &data.catalog()).unwrap();
        let hooks = Hooks { authorizer: Arc::new(AllowAll), meter: Arc::new(NoMeter) };
        Kinesis::open(machine.env(), log, catalog, KinesisConfig::new(data.keys()), hooks).unwrap()
    }

    /// A machine with the snapshot `/snapshots/one` of a service with one stream.
    fn machine() -> SimEnv {
        let machine = SimEnv::new(5);
        let data = DataDir::create(&machine.env(), Path::new("/data")).unwrap();
        let kinesis = serve(&machine, &data);
        let context = millstream_api::Context {
            account: "000000000000".into(),
            region: "us-east-1".into(),
            access_key: "k".into(),
            request_id: millstream_api::RequestId::default(),
            hang_up: millstream_api::HangUp::default(),
        };
        let input = CreateStreamInput { stream_name: "s".into(), shard_count: Some(2), ..Default::default() };
        machine.block_on(kinesis.call(&context, Input::CreateStream(input))).unwrap().unwrap();
        machine.block_on(kinesis.snapshot(Path::new("/snapshots"), "one")).unwrap().unwrap();
        machine.restart(Crash::Kill)
    }

    fn try_restore(machine: &SimEnv, dir: &str) -> Result<Restored, Error> {
        restore(&machine.env(), Path::new("/snapshots/one"), Path::new(dir))
    }

    #[test]
    fn a_restore_that_was_cut_short_is_no_data_directory() {
        let machine = machine();
        let before = machine.disk.operations();
        try_restore(&machine, "/dry").unwrap();
        let operations = machine.disk.operations() - before;
        let mut machine = machine;
        let (mut refused, mut served) = (0, 0);
        for (at, how) in (0..operations).flat_map(|at| [(at, Crash::Kill), (at, Crash::PowerLoss)]) {
            let what = format!("operation {at}, {how:?}");
            let dir = format!("/restored-{at}-{how:?}");
            machine.disk.crash_at(Some(machine.disk.operations() + at));
            assert!(try_restore(&machine, &dir).is_err(), "{what}");
            machine = machine.restart(how);
            let path = PathBuf::from(&dir);
            match DataDir::create(&machine.env(), &path) {
                Ok(data) => {
                    // Before the first file was there, or after the last.
                    let is_whole = machine.disk.exists(&data.catalog());
                    let kinesis = serve(&machine, &data);
                    assert_eq!(kinesis.streams().all().len(), usize::from(is_whole), "{what}");
                    served += usize::from(is_whole);
                }
                Err(DataDirError::Unfinished { .. }) => {
                    assert!(DataDir::open(&machine.env(), &path).is_err());
                    let again = try_restore(&machine, &dir).unwrap_err().to_string();
                    assert!(again.contains("was broken off"), "{again}");
                    refused += 1;
                }
                Err(error) => panic!("{what}: {error}"),
            }
        }
        assert!(refused > 10 && served > 0, "{refused} refused, {served} served");
    }

    #[test]
    fn what_is_there_is_left_alone_and_a_failure_leaves_nothing() {
        let machine = machine();
        let text = try_restore(&machine, "/data").unwrap_err().to_string();
        assert!(text.contains("/data: is not empty"), "{text}");
        machine.disk.create_dir_all(Path::new("/mounted/lost+found")).unwrap();
        machine.disk.set_capacity(machine.disk.used() + 1000);
        for dir in ["/fresh", "/mounted"] {
            let text = try_restore(&machine, dir).unwrap_err().to_string();
            assert!(text.ends_with(": the disk is full"), "{text}");
        }
        machine.disk.set_capacity(u64::MAX);
        for dir in ["/fresh", "/mounted"] {
            assert_eq!(try_restore(&machine, dir).unwrap().streams, 1);
            let data = DataDir::open(&machine.env(), Path::new(dir)).unwrap();
            assert_eq!(serve(&machine, &data).streams().all().len(), 1);
        }
        let text = DataDir::create(&machine.env(), Path::new("/snapshots/one")).err().unwrap().to_string();
        assert!(text.contains("millstream restore"), "{text}");
    }
}
