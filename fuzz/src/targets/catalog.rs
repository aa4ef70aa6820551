//! The catalog: the stored form of its records, a service that starts on such a record, and whole files after bytes of them
//! were changed.

use std::io::IoSlice;
use std::path::Path;
use std::sync::LazyLock;

use millstream_api::kinesis::{DescribeStreamInput, Input as Request, ListShardsInput, ListStreamsInput, Service};
use millstream_catalog::{Catalog, CatalogError, Key, fuzzing, verify};
use millstream_env::sim::{Crash, DiskImage, SimEnv};
use millstream_env::{Disk, OpenMode};
use millstream_kinesis::fuzzing::{Table, stored_again};
use millstream_kinesis::state::StreamRecord;
use millstream_log::memory::MemoryLog;

use super::edits::{self, Edit};
use super::{Input, world};

const TABLES: [Table; 5] = [Table::Streams, Table::Tombstones, Table::AccountSettings, Table::Loads, Table::Clock];

/// By the first byte a table, the rest as a record of it.
pub(super) fn records(bytes: &[u8]) {
    let mut input = Input(bytes);
    let table = TABLES[usize::from(input.byte()) % TABLES.len()];
    if let Ok(stored) = stored_again(table, input.0) {
        let again = stored_again(table, &stored).expect("what is stored can be read");
        assert_eq!(again, stored, "and is the same");
    }
}

/// A stream's record, on which the service starts and answers.
pub(super) fn stream(bytes: &[u8]) {
    let Ok(record) = fuzzing::decode::<StreamRecord>(bytes) else { return };
    let machine = world::machine(1);
    let catalog = Catalog::open(&machine.env(), Path::new(world::CATALOG)).expect("a new one");
    if catalog.transact_blocking(|tx| tx.put(&record)).is_err() {
        return;
    }
    drop(catalog);
    let Ok(kinesis) = world::start(&machine, MemoryLog::new(machine.env())) else { return };
    let context = world::context(&record.account, &record.region);
    let name = || Some(record.name.as_str().into());
    for request in [
        Request::DescribeStream(DescribeStreamInput { stream_name: name(), ..DescribeStreamInput::default() }),
        Request::ListShards(ListShardsInput { stream_name: name(), ..ListShardsInput::default() }),
        Request::ListStreams(ListStreamsInput::default()),
    ] {
        let answer = machine.block_on(kinesis.call(&context, request));
        drop(answer.expect("no wake-up is lost"));
    }
    for _ in 0..3 {
        machine.block_on(kinesis.tick());
        machine.settle();
        machine.clock.advance(60_000);
    }
}

/// When a machine boots on it, ms.
const WALL: u64 = 1_750_000_100_000;

/// A catalog at rest with some streams, and these.
static BASE: LazyLock<(DiskImage, Vec<StreamRecord>)> = LazyLock::new(|| {
    let machine = world::machine(2);
    let kinesis = world::start(&machine, MemoryLog::new(machine.env())).expect("starts");
    for stream in ["one", "two"] {
        world::create(&machine, &kinesis, stream);
    }
    drop(kinesis);
    let records = scan(&machine).expect("it was just made");
    assert_eq!(records.len(), 2);
    (machine.disk.image(), records)
});

fn scan(machine: &SimEnv) -> Result<Vec<StreamRecord>, CatalogError> {
    let catalog = Catalog::open(&machine.env(), Path::new(world::CATALOG))?;
    catalog.transact_blocking(|tx| tx.scan::<StreamRecord>(&Key::all()))
}

/// A catalog of ours, changed as the input says, is verified and read.
pub(super) fn image(bytes: &[u8]) {
    let mut input = Input(bytes);
    let (image, expected) = &*BASE;
    let machine = SimEnv::on_image(image, Crash::Kill, 1, WALL);
    let path = Path::new(world::CATALOG);
    let mut content = machine.disk.read_file(path).expect("it is there");
    while let Some(edit) = Edit::read(&mut input) {
        edits::apply(&mut content, &edit, &PAGES);
    }
    let file = machine.disk.open(path, OpenMode::Write).expect("it is there");
    file.set_len(content.len() as u64).expect("memory");
    file.write_all_at(&[IoSlice::new(&content)], 0).expect("memory");
    file.sync_data().expect("memory");
    drop(file);

    let verified = verify(&machine.env(), path);
    let read = scan(&machine);
    if let (Ok(_), Ok(read)) = (&verified, &read) {
        assert_eq!(read, expected, "what is said to be sound is as it was");
    }
}

/// Where the pages begin that hold something.
static PAGES: LazyLock<Vec<usize>> = LazyLock::new(|| {
    let machine = SimEnv::on_image(&BASE.0, Crash::Kill, 1, WALL);
    let content = machine.disk.read_file(Path::new(world::CATALOG)).expect("it is there");
    let used = |at: &usize| content[*at..content.len().min(at + 4096)].iter().any(|byte| *byte != 0);
    (0..content.len()).step_by(512).filter(used).collect()
});
