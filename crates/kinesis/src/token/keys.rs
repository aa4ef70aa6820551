//! The keys that seal tokens: a file of their own, mode 0600, kept over restarts.
//!
//! The file is text: the line `millstream token keys 2`, then a line per key, oldest first: id, blank, 64 hexadecimal digits,
//! and ` retired` if its tokens have expired, however young they are;
//! then `md5 ` and the 32 digits of the MD5 of all lines before: a damaged key would make every token malformed. A file of
//! version 1 has no such line, and is brought to the present form when it is loaded.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use base64_simd::STANDARD;
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{Key, Tag, XChaCha20Poly1305, XNonce};
use md5::{Digest as _, Md5};
use millstream_env::{Disk, Env, Random};
use millstream_log::TimeMs;
use parking_lot::Mutex;

use super::{HEADER, MAGIC, NONCE, PADDED_TO, SHORTEST, TAG, TokenError};

const FIRST_LINE: &str = "millstream token keys 2";
/// That of a file without a checksum.
const FIRST_LINE_UNCHECKED: &str = "millstream token keys 1";
/// What the last line begins with.
const CHECKSUM: &str = "md5 ";
/// What follows a key whose tokens have expired.
const RETIRED: &str = " retired";

/// Rotation keeps this many keys; tokens under older ones are malformed from then on.
const KEPT: usize = 8;

/// The keys that seal and open tokens. The newest seals, all open.
pub struct TokenKeys {
    keys: ArcSwap<KeySet>,
    random: Arc<dyn Random>,
    file: KeyFile,
}

struct KeyFile {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    /// Held over a rotation.
    rotating: Mutex<()>,
}

#[derive(Clone)]
struct KeySet {
    newest: TokenKey,
    /// Oldest first.
    older: Vec<TokenKey>,
}

#[derive(Clone)]
struct TokenKey {
    id: u32,
    bytes: [u8; 32],
    /// Its tokens have expired, however young they are.
    retired: bool,
}

/// What a token held.
pub(super) struct Opened {
    /// The fields, and the zeros behind them.
    pub(super) fields: Vec<u8>,
    /// Whether it has expired, whatever its age.
    pub(super) is_retired: bool,
}

/// Why the keys cannot be loaded or kept.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// The disk refused.
    #[error("token keys {path}: {source}")]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the disk said.
        source: io::Error,
    },
    /// The file is not one of keys, or not one that this version can read.
    #[error("token keys {path}: line {line} is not a key of this version; move the file away to start with new keys")]
    Content {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// The file was changed since it was written.
    #[error(
        "token keys {path}: the file does not match its checksum; put a copy of it back, or let `millstream check --repair` make \
         new keys: iterators and page tokens that were given out are then refused"
    )]
    Checksum {
        /// The file.
        path: PathBuf,
    },
}

impl TokenKeys {
    /// Loads the keys of the file at `path`, or makes one key and keeps it there. Blocks on the disk.
    ///
    /// # Errors
    /// The disk's, or a file that holds no keys.
    pub fn load(env: &Env, path: &Path) -> Result<TokenKeys, KeysError> {
        let file = KeyFile { disk: Arc::clone(&env.disk), path: path.to_owned(), rotating: Mutex::new(()) };
        let keys = if env.disk.exists(path) {
            let (keys, is_checked) = file.read()?;
            if !is_checked && let Err(error) = file.write(&keys) {
                tracing::warn!("{error}: the file stays as it is, without a checksum");
            }
            keys
        } else {
            let keys = KeySet::first(&*env.random);
            file.write(&keys)?;
            keys
        };
        Ok(TokenKeys { keys: ArcSwap::from_pointee(keys), random: Arc::clone(&env.random), file })
    }

    /// Whether there are sound keys at `path`; false if there is no file. Changes nothing. Blocks on the disk.
    ///
    /// # Errors
    /// The disk's, or what is wrong with the file.
    pub fn check(env: &Env, path: &Path) -> Result<bool, KeysError> {
        let file = KeyFile { disk: Arc::clone(&env.disk), path: path.to_owned(), rotating: Mutex::new(()) };
        if !env.disk.exists(path) {
            return Ok(false);
        }
        file.read().map(|_| true)
    }

    /// Seals with a new key from now on. Tokens under the last few keys stay good. Blocks on the disk.
    ///
    /// # Errors
    /// The disk's; the present keys then stay as they are.
    pub fn rotate(&self) -> Result<(), KeysError> {
        let _rotating = self.file.rotating.lock();
        let KeySet { newest, mut older } = KeySet::clone(&self.keys.load());
        let mut id = newest.id.wrapping_add(1);
        older.push(newest);
        older.drain(..older.len().saturating_sub(KEPT - 1));
        while older.iter().any(|key| key.id == id) {
            id = id.wrapping_add(1);
        }
        let keys = KeySet { newest: TokenKey::random(id, &*self.random), older };
        self.file.write(&keys)?;
        self.keys.store(Arc::new(keys));
        Ok(())
    }

    /// Lets every token that was made so far expire, and seals with a new key from now on: where they came from goes on
    /// elsewhere. Blocks on the disk.
    ///
    /// # Errors
    /// The disk's; the present keys then stay as they are.
    pub fn retire(&self) -> Result<(), KeysError> {
        let _rotating = self.file.rotating.lock();
        let KeySet { newest, mut older } = KeySet::clone(&self.keys.load());
        older.push(newest);
        older.drain(..older.len().saturating_sub(KEPT - 1));
        older.iter_mut().for_each(|key| key.retired = true);
        // Not the next number: elsewhere it may be another key's.
        let mut id = [0; 4];
        self.random.fill(&mut id);
        let mut newest = TokenKey::random(u32::from_be_bytes(id), &*self.random);
        while older.iter().any(|key| key.id == newest.id) {
            newest.id = newest.id.wrapping_add(1);
        }
        let keys = KeySet { newest, older };
        self.file.write(&keys)?;
        self.keys.store(Arc::new(keys));
        Ok(())
    }

    /// Seals `bytes`, whose first [`HEADER`] + [`NONCE`] bytes are filled in here.
    pub(super) fn seal(&self, mut bytes: Vec<u8>) -> String {
        let sealed = (bytes.len() + TAG).max(SHORTEST);
        let padding = (sealed - SHORTEST).next_multiple_of(PADDED_TO) + SHORTEST - TAG;
        bytes.resize(padding, 0);
        let keys = self.keys.load();
        let key = &keys.newest;
        let (header, rest) = bytes.split_at_mut(HEADER);
        let (nonce, plain) = rest.split_at_mut(NONCE);
        header[..MAGIC.len()].copy_from_slice(&MAGIC);
        header[MAGIC.len()..].copy_from_slice(&key.id.to_be_bytes());
        self.random.fill(nonce);
        let mut full_nonce = XNonce::default();
        full_nonce.copy_from_slice(nonce);
        // Fails only above 256 GiB. An empty token is refused like any other text.
        let Ok(tag) = key.cipher().encrypt_inout_detached(&full_nonce, header, plain.into()) else {
            return String::new();
        };
        bytes.extend_from_slice(&tag);
        STANDARD.encode_to_string(&bytes)
    }

    /// Opens a token at the time `now`, ms since the epoch.
    pub(super) fn open(&self, text: &str, now: TimeMs) -> Result<Opened, TokenError> {
        let mut bytes = STANDARD.decode_to_vec(text).map_err(|_| TokenError::Malformed)?;
        if bytes.len() < SHORTEST
            || !(bytes.len() - SHORTEST).is_multiple_of(PADDED_TO)
            || bytes[..MAGIC.len()] != MAGIC
        {
            return Err(TokenError::Malformed);
        }
        let mut id = [0; 4];
        id.copy_from_slice(&bytes[MAGIC.len()..HEADER]);
        let keys = self.keys.load();
        let Some(key) = keys.iter().find(|key| key.id.to_be_bytes() == id) else {
            // Where keys were retired there are others elsewhere, whose tokens have expired here as well.
            let elsewhere = keys.older.iter().any(|key| key.retired);
            return Err(if elsewhere { TokenError::Expired { issued: 0, now } } else { TokenError::Malformed });
        };
        let mut tag = Tag::default();
        tag.copy_from_slice(&bytes[bytes.len() - TAG..]);
        bytes.truncate(bytes.len() - TAG);
        let (header, rest) = bytes.split_at_mut(HEADER);
        let (nonce, sealed) = rest.split_at_mut(NONCE);
        let mut full_nonce = XNonce::default();
        full_nonce.copy_from_slice(nonce);
        key.cipher()
            .decrypt_inout_detached(&full_nonce, header, sealed.into(), &tag)
            .map_err(|_| TokenError::Malformed)?;
        bytes.drain(..HEADER + NONCE);
        Ok(Opened { fields: bytes, is_retired: key.retired })
    }
}

impl std::fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ids: Vec<u32> = self.keys.load().iter().map(|key| key.id).collect();
        f.debug_struct("TokenKeys").field("ids", &ids).finish_non_exhaustive()
    }
}

impl KeySet {
    fn first(random: &dyn Random) -> KeySet {
        KeySet { newest: TokenKey::random(1, random), older: Vec::new() }
    }

    /// Oldest first.
    fn iter(&self) -> impl Iterator<Item = &TokenKey> {
        self.older.iter().chain([&self.newest])
    }
}

impl TokenKey {
    fn random(id: u32, random: &dyn Random) -> TokenKey {
        let mut bytes = [0; 32];
        random.fill(&mut bytes);
        TokenKey { id, bytes, retired: false }
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&Key::from(self.bytes))
    }
}

impl KeyFile {
    /// The keys, and whether they have a checksum.
    fn read(&self) -> Result<(KeySet, bool), KeysError> {
        let bytes = self.disk.read_file(&self.path).map_err(|source| self.disk_error(source))?;
        let text = String::from_utf8_lossy(&bytes);
        let bad = |line: usize| KeysError::Content { path: self.path.clone(), line };
        let is_checked = match text.lines().next() {
            Some(FIRST_LINE) => true,
            Some(FIRST_LINE_UNCHECKED) => false,
            _ => return Err(bad(1)),
        };
        let text = match text.strip_suffix('\n').and_then(|text| text.rsplit_once('\n')) {
            Some((keys, last)) if is_checked => {
                let keys = format!("{keys}\n");
                if last != checksum(&keys) {
                    return Err(KeysError::Checksum { path: self.path.clone() });
                }
                keys
            }
            None if is_checked => return Err(KeysError::Checksum { path: self.path.clone() }),
            _ => text.into_owned(),
        };
        let lines = text.lines().skip(1);
        let mut older: Vec<TokenKey> = Vec::new();
        for (n, line) in lines.enumerate() {
            // A token names its key by its id.
            let is_new = |key: &TokenKey| older.iter().all(|other: &TokenKey| other.id != key.id);
            let key = parse_key(line).filter(|key| is_new(key) && (is_checked || !key.retired));
            older.push(key.ok_or_else(|| bad(n + 2))?);
        }
        let newest = older.pop().ok_or_else(|| bad(2))?;
        if newest.retired {
            return Err(bad(older.len() + 2));
        }
        Ok((KeySet { newest, older }, is_checked))
    }

    fn write(&self, keys: &KeySet) -> Result<(), KeysError> {
        let mut text = format!("{FIRST_LINE}\n");
        for key in keys.iter() {
            text.push_str(&format!("{} ", key.id));
            for byte in key.bytes {
                text.push_str(&format!("{byte:02x}"));
            }
            if key.retired {
                text.push_str(RETIRED);
            }
            text.push('\n');
        }
        text = format!("{text}{}\n", checksum(&text));
        self.disk.write_file(&self.path, text.as_bytes()).map_err(|source| self.disk_error(source))
    }

    fn disk_error(&self, source: io::Error) -> KeysError {
        KeysError::Disk { path: self.path.clone(), source }
    }
}

/// The line that ends the file.
fn checksum(lines: &str) -> String {
    let digits: String = Md5::digest(lines).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{CHECKSUM}{digits}")
}

fn parse_key(line: &str) -> Option<TokenKey> {
    let (line, retired) = line.strip_suffix(RETIRED).map_or((line, false), |line| (line, true));
    let (id, digits) = line.split_once(' ')?;
    if digits.len() != 64 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; 32];
    for (i, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(digits.get(2 * i..2 * i + 2)?, 16).ok()?;
    }
    Some(TokenKey { id: id.parse().ok()?, bytes, retired })
}
