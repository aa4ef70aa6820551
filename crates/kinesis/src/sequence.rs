//! Sequence numbers, in AWS's layout: 186 bits, always 56 decimal digits.
//!
//! | bits | field |
//! |---|---|
//! | 184..187 | `2` |
//! | 148..183 | creation of the shard, seconds |
//! | 144..147 | low four bits of the shard's number |
//! | 80..143 | index (63 bits used): 0 for a shard's start, offset + 1 for a record, all ones for a shard's end |
//! | 36..79 | time, seconds (the upper 8 bits are 0) |
//! | 4..35 | the shard's number, signed |
//! | 0..3 | version, `2` |
//!
//! The seconds are logical: a child's creation is later than its parents' closing whatever the clock says, and a record's
//! time is never below its shard's creation. They order numbers; they are not when a record arrived.

use std::fmt;

use millstream_log::{Offset, ShardIndex, TimeMs};

/// Index of a shard's ending number, above every record's.
const END: u64 = i64::MAX as u64;
const CREATE_MAX: u64 = (1 << 36) - 1;
const TIME_MAX: u64 = (1 << 44) - 1;
/// AWS calls later creation seconds invalid.
const CREATE_LIMIT: u64 = 16_025_175_000;

/// A sequence number of the current layout (version 2). Ordered as the number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SequenceNumber {
    create: u64,
    index: u64,
    time: u64,
    shard: u32,
}

/// A number of any layout that AWS accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// 2012's numbers, of which only the shard matters: none of ours looks like that.
    V0 {
        /// Shard number.
        shard: i32,
    },
    /// 2013's numbers.
    V1 {
        /// Shard number.
        shard: i32,
        /// Seconds.
        time: u64,
    },
    /// The current layout.
    V2(SequenceNumber),
}

/// The text is not a sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a sequence number")]
pub struct Invalid;

impl SequenceNumber {
    /// A number from its parts; parts that exceed their fields are cut to the field's maximum.
    pub fn new(create: u64, index: u64, time: u64, shard: ShardIndex) -> SequenceNumber {
        SequenceNumber { create: create.min(CREATE_MAX), index: index.min(END), time: time.min(TIME_MAX), shard }
    }

    /// The shard's StartingSequenceNumber: below all its records' numbers. `create` in seconds.
    pub fn start_of(create: u64, shard: ShardIndex) -> SequenceNumber {
        SequenceNumber::new(create, 0, create, shard)
    }

    /// The closed shard's EndingSequenceNumber: above all its records' numbers. Seconds.
    pub fn end_of(create: u64, shard: ShardIndex, close: u64) -> SequenceNumber {
        SequenceNumber::new(create, END, close.max(create), shard)
    }

    /// The number of the record at `offset` that arrived at `arrival`, of a shard created in second `create`.
    pub fn of_record(create: u64, shard: ShardIndex, offset: Offset, arrival: TimeMs) -> SequenceNumber {
        SequenceNumber::new(create, offset.saturating_add(1), create.max(arrival / 1000), shard)
    }

    /// A number between that of the record before `next` and that of the record at `next`, whatever both are, as long as
    /// none before `next` arrived in a later second than `latest`: a fan-out continuation number.
    pub fn before(create: u64, shard: ShardIndex, next: Offset, latest: u64) -> SequenceNumber {
        // The index of the record before, with a time that it cannot have.
        SequenceNumber::new(create, next, create.max(latest).saturating_add(1), shard)
    }

    /// Creation of the shard, logical seconds.
    pub fn create(&self) -> u64 {
        self.create
    }

    /// 0 for a start, offset + 1 for a record, 2^63 - 1 for an end.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Logical seconds.
    pub fn time(&self) -> u64 {
        self.time
    }

    /// The shard's number: its lower 32 bits as they stand, so that AWS's "negative" shards are large here.
    pub fn shard(&self) -> ShardIndex {
        self.shard
    }

    /// Reads a number of any layout.
    pub fn parse(text: &str) -> Result<Parsed, Invalid> {
        let [high, middle, low] = limbs(text).ok_or(Invalid)?;
        if high < 2 {
            return parse_v0(high, middle, low);
        }
        if high >> 56 != 2 {
            return Err(Invalid);
        }
        let create = (high >> 20) & CREATE_MAX;
        let shard = (low >> 4) as u32;
        match low & 15 {
            1 => Ok(Parsed::V1 { shard: shard as i32, time: ((high << 28) | (middle >> 36)) & CREATE_MAX }),
            2 => {
                let index = (high << 48) | (middle >> 16);
                let time = ((middle & 0xffff) << 28) | (low >> 36);
                if index > END || create >= CREATE_LIMIT {
                    return Err(Invalid);
                }
                Ok(Parsed::V2(SequenceNumber { create, index, time, shard }))
            }
            _ => Err(Invalid),
        }
    }

    /// The 192-bit value, most significant limb first.
    fn to_limbs(self) -> [u64; 3] {
        [
            2 << 56 | self.create << 20 | u64::from(self.shard & 15) << 16 | self.index >> 48,
            self.index << 16 | self.time >> 28,
            self.time << 36 | u64::from(self.shard) << 4 | 2,
        ]
    }

    /// The 56 decimal digits.
    pub fn digits(self) -> [u8; 56] {
        const E19: u64 = 10_000_000_000_000_000_000;
        let mut limbs = self.to_limbs();
        let mut parts = [0; 3];
        for part in &mut parts {
            let mut rest = 0;
            for limb in &mut limbs {
                let dividend = u128::from(rest) << 64 | u128::from(*limb);
                *limb = (dividend / u128::from(E19)) as u64;
                rest = (dividend % u128::from(E19)) as u64;
            }
            *part = rest;
        }
        let mut digits = [b'0'; 56];
        let (upper, lower) = digits.split_at_mut(37);
        let (top, middle) = upper.split_at_mut(18);
        write_decimal(top, parts[2]);
        write_decimal(middle, parts[1]);
        write_decimal(lower, parts[0]);
        digits
    }

    /// The number as text.
    pub fn to_text(self) -> String {
        std::str::from_utf8(&self.digits()).unwrap_or_default().to_owned()
    }
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(std::str::from_utf8(&self.digits()).unwrap_or_default())
    }
}

impl Ord for SequenceNumber {
    fn cmp(&self, other: &SequenceNumber) -> std::cmp::Ordering {
        self.to_limbs().cmp(&other.to_limbs())
    }
}

impl PartialOrd for SequenceNumber {
    fn partial_cmp(&self, other: &SequenceNumber) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// Which records a reader that names a sequence number wants first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The first record whose number is not below the given one.
    At,
    /// The first record whose number is above the given one.
    After,
}

/// Where a reader stands in a shard. The number need not be a record's: a shard's start and end, and a fan-out
/// continuation number, which lies between two records, are good as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The number.
    pub number: SequenceNumber,
    /// Which side of it.
    pub side: Side,
}

impl Position {
    /// The position of the record at `offset`, whenever it arrived or will arrive. `create` in seconds.
    pub fn of_offset(create: u64, shard: ShardIndex, offset: Offset) -> Position {
        let number = SequenceNumber::new(create, offset.saturating_add(1), create, shard);
        Position { number, side: Side::At }
    }

    /// The lowest offset whose record can be wanted. That record itself may have to be left out: only its arrival time
    /// tells (see [`Position::wants`]). Later ones are all wanted.
    pub fn first_offset(&self) -> Offset {
        self.number.index.saturating_sub(1)
    }

    /// Whether a record of the position's shard is wanted.
    pub fn wants(&self, record: &SequenceNumber) -> bool {
        match self.side {
            Side::At => *record >= self.number,
            Side::After => *record > self.number,
        }
    }
}

/// Why a StartingSequenceNumber cannot be used on a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartMismatch {
    /// Not a sequence number.
    Invalid,
    /// The number of another shard, whose (perhaps negative) number is given.
    OtherShard(i32),
    /// The number of an earlier stream or another layout.
    OtherStream,
    /// A number of 2012's layout that names the shard: AWS fails inside.
    Internal,
}

/// Reads a StartingSequenceNumber for the shard with number `shard` that was created in second `create`.
pub fn parse_start(text: &str, shard: ShardIndex, create: u64) -> Result<SequenceNumber, StartMismatch> {
    let parsed = SequenceNumber::parse(text).map_err(|Invalid| StartMismatch::Invalid)?;
    let encoded = match parsed {
        Parsed::V0 { shard } | Parsed::V1 { shard, .. } => shard,
        Parsed::V2(number) => number.shard as i32,
    };
    if i64::from(encoded) != i64::from(shard) {
        return Err(StartMismatch::OtherShard(encoded));
    }
    match parsed {
        Parsed::V0 { .. } => Err(StartMismatch::Internal),
        Parsed::V2(number) if number.create == create => Ok(number),
        Parsed::V1 { .. } | Parsed::V2(_) => Err(StartMismatch::OtherStream),
    }
}

/// Checks a SequenceNumberForOrdering: of a layout that can still be in use, and of no later second than `latest`, the
/// newest logical second of the stream. It may come from any shard.
pub fn check_ordering(text: &str, latest: u64) -> Result<(), Invalid> {
    let time = match SequenceNumber::parse(text)? {
        Parsed::V0 { .. } => return Err(Invalid),
        Parsed::V1 { time, .. } => time,
        Parsed::V2(number) => number.time,
    };
    if time > latest { Err(Invalid) } else { Ok(()) }
}

/// The value of up to 192 bits, most significant limb first. `None` if the text is not digits or the value is larger.
fn limbs(text: &str) -> Option<[u64; 3]> {
    if text.is_empty() {
        return None;
    }
    let mut limbs = [0u64; 3];
    for chunk in text.as_bytes().chunks(19) {
        let mut scale = 1u64;
        let mut add = 0u64;
        for byte in chunk {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return None;
            }
            scale *= 10;
            add = add * 10 + u64::from(digit);
        }
        for limb in limbs.iter_mut().rev() {
            let product = u128::from(*limb) * u128::from(scale) + u128::from(add);
            *limb = product as u64;
            add = (product >> 64) as u64;
        }
        if add != 0 {
            return None;
        }
    }
    Some(limbs)
}

fn parse_v0(high: u64, middle: u64, low: u64) -> Result<Parsed, Invalid> {
    let value = u128::from(middle) << 64 | u128::from(low);
    // The creation follows the leading digit: 32 hexadecimal digits (a missing leading 1 is implied) or 33.
    let create = if high == 0 { (value >> 88) as u64 & CREATE_MAX } else { (value >> 92) as u64 };
    if create >= CREATE_LIMIT {
        return Err(Invalid);
    }
    Ok(Parsed::V0 { shard: i32::from(low as u16) })
}

/// Fills `digits` with the value, zeros in front. Two digits a division: this runs for every record.
fn write_decimal(digits: &mut [u8], mut value: u64) {
    let mut pairs = digits.rchunks_exact_mut(2);
    for pair in &mut pairs {
        let last = (value % 100) as u8;
        value /= 100;
        pair.copy_from_slice(&[b'0' + last / 10, b'0' + last % 10]);
    }
    if let [first] = pairs.into_remainder() {
        *first = b'0' + (value % 10) as u8;
    }
}

#[cfg(test)]
mod tests;
