//! What a snapshot says of itself.

use millstream_log::copy::{Sum, sum_of};
use serde::{Deserialize, Serialize};

use super::{CATALOG, DATA_FORMAT, KEYS, LOG};

const FORMAT: &str = "millstream-snapshot";
/// The newest version of the manifest that is known, and the one written.
const VERSION: u32 = 1;

/// The content of a manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    format: String,
    version: u32,
    /// Format of the data directory.
    data_format: u32,
    /// The Millstream that wrote it.
    written_by: String,
    /// Domain time of the moment, ms since the epoch.
    pub(super) taken_ms: u64,
    pub(super) streams: u64,
    /// No shard had used an offset as high as this.
    pub(super) highest_offset: u64,
    /// What was not whole: one line each.
    pub(super) problems: Vec<String>,
    pub(super) files: Vec<File>,
    /// CRC-32C of all of the above, 8 hexadecimal digits.
    crc32c: String,
}

/// A file of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    /// From the snapshot's directory on.
    pub(super) path: String,
    pub(super) length: u64,
    crc32c: String,
}

/// Why a manifest is of no use.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    Damaged(String),
    /// What is newer than this version knows.
    Newer(String),
}

/// What every version of a manifest has.
#[derive(Deserialize)]
struct Versioned {
    format: String,
    version: u32,
    data_format: u32,
}

impl File {
    pub(super) fn new(path: String, sum: Sum) -> File {
        File { path, length: sum.length, crc32c: hexadecimal(sum.crc) }
    }

    /// Whether the sum is that of the file.
    pub(super) fn is(&self, sum: Sum) -> bool {
        (self.length, &self.crc32c) == (sum.length, &hexadecimal(sum.crc))
    }

    /// Whether it is a name that a snapshot's file can have: none that leads elsewhere.
    fn is_well_named(&self) -> bool {
        let mut parts = self.path.split('/');
        let known = match parts.next() {
            Some(CATALOG | KEYS) => self.path == CATALOG || self.path == KEYS,
            first => first == Some(LOG) && self.path != LOG,
        };
        let plain = |part: &str| {
            !part.is_empty()
                && !part.starts_with('.')
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        };
        known && self.path.split('/').all(plain)
    }
}

impl Manifest {
    pub(super) fn new(taken_ms: u64, streams: u64, highest_offset: u64, problems: Vec<String>) -> Manifest {
        Manifest {
            format: FORMAT.to_owned(),
            version: VERSION,
            data_format: DATA_FORMAT,
            written_by: env!("CARGO_PKG_VERSION").to_owned(),
            taken_ms,
            streams,
            highest_offset,
            problems,
            files: Vec::new(),
            crc32c: String::new(),
        }
    }

    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.length).sum()
    }

    /// The manifest's file, with its own CRC.
    pub(super) fn encode(mut self) -> Result<Vec<u8>, serde_json::Error> {
        self.crc32c = self.own_crc()?;
        let mut bytes = serde_json::to_vec(&self)?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Manifest, Unusable> {
        let damaged = |what: &dyn std::fmt::Display| Unusable::Damaged(what.to_string());
        let Versioned { format, version, data_format } = serde_json::from_slice(bytes).map_err(|e| damaged(&e))?;
        if format != FORMAT {
            return Err(damaged(&"it is not a snapshot's"));
        }
        if version > VERSION {
            return Err(Unusable::Newer(format!("snapshot format {version}")));
        }
        if data_format > DATA_FORMAT {
            return Err(Unusable::Newer(format!("data format {data_format}")));
        }
        let manifest: Manifest = serde_json::from_slice(bytes).map_err(|e| damaged(&e))?;
        if manifest.own_crc().map_err(|e| damaged(&e))? != manifest.crc32c {
            return Err(damaged(&"its CRC is wrong"));
        }
        match manifest.files.iter().find(|file| !file.is_well_named()) {
            Some(file) => Err(damaged(&format_args!("it names {:?}, which is no file of a snapshot", file.path))),
            None => Ok(manifest),
        }
    }

    fn own_crc(&self) -> Result<String, serde_json::Error> {
        let bare = Manifest { crc32c: String::new(), ..self.clone() };
        Ok(hexadecimal(sum_of(&serde_json::to_vec(&bare)?).crc))
    }
}

fn hexadecimal(crc: u32) -> String {
    format!("{crc:08x}")
}
