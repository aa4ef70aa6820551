//! The small files of a data directory: epoch, format, lock and the keys of tokens.

use std::path::Path;

use md5::{Digest, Md5};
use millstream::data_dir::DataDir;
use millstream_env::Disk;
use millstream_env::sim::SimEnv;
use millstream_kinesis::token::{LIFETIME_MS, PageToken, TokenKeys};
use millstream_log::Log;
use millstream_log::segment::{SegmentConfig, SegmentEngine};

use super::Input;

/// By the first byte, the rest as one of the files.
pub(super) fn files(bytes: &[u8]) {
    let mut input = Input(bytes);
    let choice = input.byte();
    let machine = SimEnv::new(1);
    let dir = Path::new("/data");
    for made in [dir, &dir.join("log")] {
        machine.disk.create_dir_all(made).expect("memory");
    }
    match choice % 4 {
        0 => epoch(&machine, input.0),
        1 => format(&machine, input.0),
        2 => keys(&machine, input.0),
        _ => {
            // The same with the checksum that belongs to it.
            let digits: String = Md5::digest(input.0).iter().map(|byte| format!("{byte:02x}")).collect();
            keys(&machine, &[input.0, format!("md5 {digits}\n").as_bytes()].concat());
        }
    }
}

/// The epoch of a start is above that of the one before, or there is no start.
fn epoch(machine: &SimEnv, bytes: &[u8]) {
    // Every other time with the checksum that belongs to it.
    let mut content = bytes.to_vec();
    if let [1, ..] = bytes {
        content = crc_of_epoch(&bytes[1..]);
    }
    machine.disk.write_file(Path::new("/data/log/epoch"), &content).expect("memory");
    let open = || SegmentEngine::open(machine.env(), SegmentConfig { reserve: 0, ..SegmentConfig::new("/data/log") });
    match open() {
        Ok(engine) => {
            let before = u64::from_le_bytes(content[..8].try_into().expect("a whole epoch"));
            assert!(engine.epoch().0 > before);
            let first = engine.epoch();
            drop(engine);
            assert!(open().expect("it was opened before").epoch() > first);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// The content of an epoch's file for these eight bytes.
fn crc_of_epoch(bytes: &[u8]) -> Vec<u8> {
    let mut content = bytes.to_vec();
    content.resize(8, 0xff);
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, &content) as u32;
    content.extend_from_slice(&crc.to_le_bytes());
    content
}

fn format(machine: &SimEnv, bytes: &[u8]) {
    machine.disk.write_file(Path::new("/data/format"), bytes).expect("memory");
    match DataDir::open(&machine.env(), Path::new("/data")) {
        Ok(_) => assert!(String::from_utf8_lossy(bytes).starts_with("millstream-data")),
        Err(error) => assert!(error.to_string().contains("/data") && !error.to_string().contains(char::is_control)),
    }
}

/// Keys that can be read seal, and what they have sealed is opened after a rotation and a restart.
fn keys(machine: &SimEnv, bytes: &[u8]) {
    let path = Path::new("/data/keys");
    machine.disk.write_file(path, bytes).expect("memory");
    let keys = match TokenKeys::load(&machine.env(), path) {
        Ok(keys) => keys,
        Err(error) => {
            assert!(!error.to_string().contains(char::is_control), "{error}");
            return;
        }
    };
    let made = PageToken {
        operation: "ListStreams".into(),
        account: "1".into(),
        region: "r".into(),
        stream: "".into(),
        incarnation: 0,
        position: "p".into(),
        filter: "".into(),
        issued: LIFETIME_MS,
    };
    let text = made.seal(&keys);
    keys.rotate().expect("memory");
    let again = TokenKeys::load(&machine.env(), path).expect("what was written can be read");
    for keys in [&keys, &again] {
        assert_eq!(PageToken::open(&text, "ListStreams", keys, made.issued).as_ref(), Ok(&made));
    }
}
