//! Single values: their forms, strictly. Each error says what would be right.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use millstream_server::{is_origin, is_region};

use super::{Durability, LimitsChoice, LogFormat, LogLevel};

/// Units of sizes, largest first within each kind.
const SIZES: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

/// Units of durations in ms.
const DURATIONS: [(&str, u64); 4] = [("ms", 1), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];

/// Splits `text` at its unit and gives the product.
fn scaled(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (digits, factor) =
        units.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, *factor))).unwrap_or((text, 0));
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    // Only zero needs no unit.
    if factor == 0 && number > 0 { None } else { number.checked_mul(factor) }
}

/// A size in bytes: `64MiB`, `1GB`, `0`.
pub fn size(text: &str) -> Result<u64, String> {
    scaled(text, &SIZES).ok_or_else(|| format!("\"{text}\" is not a size: write e.g. 64MiB, 1GiB or 500MB"))
}

/// A duration: `500ms`, `10s`, `5m`, `1h`, `0`.
pub fn duration(text: &str) -> Result<Duration, String> {
    scaled(text, &DURATIONS)
        .map(Duration::from_millis)
        .ok_or_else(|| format!("\"{text}\" is not a duration: write e.g. 500ms, 10s or 5m"))
}

/// The size in its largest whole unit.
pub fn show_size(bytes: u64) -> String {
    let fits = |unit: &&(&str, u64)| bytes > 0 && bytes.is_multiple_of(unit.1);
    match SIZES.iter().find(fits) {
        Some((unit, factor)) => format!("{}{unit}", bytes / factor),
        None => bytes.to_string(),
    }
}

/// The duration in its largest whole unit.
pub fn show_duration(duration: Duration) -> String {
    let ms = duration.as_millis();
    match ms {
        0 => "0".to_owned(),
        ms if ms.is_multiple_of(60_000) => format!("{}m", ms / 60_000),
        ms if ms.is_multiple_of(1_000) => format!("{}s", ms / 1_000),
        ms => format!("{ms}ms"),
    }
}

pub fn durability(text: &str) -> Result<Durability, String> {
    const LONGEST_MS: u64 = 60_000;
    if text == "fsync" {
        return Ok(Durability::Fsync);
    }
    let ms = text.strip_prefix("relaxed=").filter(|ms| ms.bytes().all(|byte| byte.is_ascii_digit()));
    match ms.and_then(|ms| ms.parse().ok()) {
        Some(ms @ 1..=LONGEST_MS) => Ok(Durability::Relaxed(Duration::from_millis(ms))),
        _ => Err(format!(
            "\"{text}\" is not a durability: write fsync, or relaxed=MS with 1 to {LONGEST_MS} milliseconds"
        )),
    }
}

pub fn limits(text: &str) -> Result<LimitsChoice, String> {
    match text {
        "aws" => Ok(LimitsChoice::Aws),
        "none" => Ok(LimitsChoice::None),
        _ => text.parse().map(LimitsChoice::Scaled).map_err(|_| {
            format!(
                "\"{text}\" is not a set of limits: write aws, none, or a factor for AWS's rates as x10 or x0.5 (a file can \
                 have a table by name)"
            )
        }),
    }
}

/// A stream's name, in which `*` stands for any characters.
pub fn stream_pattern(text: &str) -> Result<String, String> {
    let fine = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-*".contains(&byte);
    if (1..=128).contains(&text.len()) && text.bytes().all(fine) {
        Ok(text.to_owned())
    } else {
        Err(format!("\"{text}\" is not a stream name, nor one with * for any characters"))
    }
}

pub fn auth(text: &str) -> Result<(), String> {
    match text {
        "anonymous" => Ok(()),
        "iam" => Err("iam is not in this version, a later release brings it: write anonymous".to_owned()),
        _ => Err(format!("\"{text}\" is no way to authenticate: write anonymous")),
    }
}

pub fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| format!("\"{text}\" is not an address with a port: write e.g. 127.0.0.1:4567 or [::1]:0"))
}

pub fn host(text: &str) -> Result<String, String> {
    let fine = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    if fine { Ok(text.to_owned()) } else { Err(format!("\"{text}\" is not a host name (without port)")) }
}

pub fn origin(text: &str) -> Result<String, String> {
    if is_origin(text) {
        Ok(text.to_owned())
    } else {
        Err(format!("\"{text}\" is not an origin: write e.g. http://localhost:3000"))
    }
}

pub fn region(text: &str) -> Result<String, String> {
    if is_region(text) {
        Ok(text.to_owned())
    } else {
        Err(format!("\"{text}\" is not a region: write lower-case letters, digits and -, e.g. us-east-1"))
    }
}

pub fn account(text: &str) -> Result<String, String> {
    if text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        Ok(text.to_owned())
    } else {
        Err(format!("\"{text}\" is not an account: write 12 digits, e.g. 000000000000"))
    }
}

pub fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("a directory is wanted, this is empty".to_owned()) } else { Ok(PathBuf::from(text)) }
}

pub fn file(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("a file is wanted, this is empty".to_owned()) } else { Ok(PathBuf::from(text)) }
}

pub fn log_level(text: &str) -> Result<LogLevel, String> {
    match text {
        "error" => Ok(LogLevel::Error),
        "warn" => Ok(LogLevel::Warn),
        "info" => Ok(LogLevel::Info),
        "debug" => Ok(LogLevel::Debug),
        "trace" => Ok(LogLevel::Trace),
        _ => Err(format!("\"{text}\" is not a level: write error, warn, info, debug or trace")),
    }
}

pub fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(format!("\"{text}\" is not a log format: write text or json")),
    }
}

pub fn switch(text: &str) -> Result<bool, String> {
    match text {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(format!("\"{text}\" is neither true nor false")),
    }
}
