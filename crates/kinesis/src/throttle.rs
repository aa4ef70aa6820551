//! Throughput and call rates, as token buckets that are told the time.
//!
//! # Writes
//! AWS says: a shard takes 1 MiB and 1,000 records per second; and, since records may be 10 MiB, it takes a burst of up
//! to 10 MiB for a large record while averaging 1 MiB/s. Five records of 1 MB in one call to one shard: the first goes in,
//! four are throttled. So there is one level of bytes, from 10 MiB when rested, refilled at 1 MiB/s:
//!
//! * an ordinary record (up to one second's bytes) may draw on the top second's worth only. A steady producer of small
//!   records sees a bucket of 1 MiB and gets 1 MiB/s;
//! * a large record may draw on all of it, and on one second's worth more, so that ordinary traffic of the same second does
//!   not shut it out. Ordinary records then wait until the level is back in its top second: the average stays 1 MiB/s.
//!
//! Records are counted by a bucket of 1,000 beside it. What is refused takes nothing.
//!
//! # Reads
//! A shard answers 5 GetRecords per second and gives 2 MiB per second. A page is not cut to what is left; a page larger than
//! that forfeits it and is paid back whole, so that calls fail for 5 seconds after 10 MiB. Subscriptions have a bucket of
//! 2 MiB per second for each consumer and shard, and wait instead of failing.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use millstream_api::kinesis::Operation;
use millstream_log::ShardIndex;
use parking_lot::{Mutex, RwLock};

use crate::limits::{Limit, Limits};

/// A level that refills with time, up to a capacity, and may be overdrawn. Counts thousandths, so that each millisecond of a
/// rate per second is exact.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    level: i64,
    at: u64,
}

/// The capacity of a bucket and what it gains per second. 2^40 of whatever it counts is no limit in practice and leaves
/// room for thousandths.
#[derive(Clone, Copy, Debug)]
struct Size {
    capacity: i64,
    per_second: i64,
}

impl Size {
    fn new(capacity: u64, per_second: u64) -> Size {
        let bounded = |n: u64| n.min(1 << 40) as i64;
        Size { capacity: bounded(capacity), per_second: bounded(per_second) }
    }
}

impl Bucket {
    fn full(size: Size, now: Duration) -> Bucket {
        Bucket { level: size.capacity * 1000, at: millis(now) }
    }

    /// The level after refilling, in thousandths.
    fn refill(&mut self, size: Size, now: Duration) -> i64 {
        let now = millis(now).max(self.at);
        let gained = size.per_second.saturating_mul(i64::try_from(now - self.at).unwrap_or(i64::MAX));
        self.level = self.level.saturating_add(gained).min(size.capacity * 1000);
        self.at = now;
        self.level
    }

    fn take(&mut self, amount: u64) {
        self.level = self.level.saturating_sub(thousandths(amount));
    }

    fn is_full(&mut self, size: Size, now: Duration) -> bool {
        self.refill(size, now) >= size.capacity * 1000
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn thousandths(amount: u64) -> i64 {
    amount.min(1 << 50) as i64 * 1000
}

/// Takes one from a bucket that is born full, unless it is empty.
fn take_one(bucket: &mut Option<Bucket>, size: Size, now: Duration) -> bool {
    let bucket = bucket.get_or_insert_with(|| Bucket::full(size, now));
    let is_allowed = bucket.refill(size, now) >= 1000;
    if is_allowed {
        bucket.take(1);
    }
    is_allowed
}

/// The buckets of one shard.
#[derive(Debug, Default)]
pub struct ShardThrottle {
    write: Mutex<WriteBuckets>,
    read: Mutex<ReadBuckets>,
}

#[derive(Debug, Default)]
struct WriteBuckets {
    bytes: Option<Bucket>,
    records: Option<Bucket>,
}

#[derive(Debug, Default)]
struct ReadBuckets {
    bytes: Option<Bucket>,
    calls: Option<Bucket>,
    iterators: Option<Bucket>,
}

impl ShardThrottle {
    /// Whether a record of `bytes` (data and partition key) may be written now; if so, it is counted.
    pub fn admit_write(&self, limits: &Limits, bytes: u64, now: Duration) -> bool {
        let records = limits.shard_write_records_per_second.get().map(|n| Size::new(n, n));
        let second = limits.shard_write_bytes_per_second.get();
        if limits.is_write_unlimited() {
            return true;
        }
        let mut buckets = self.write.lock();
        if let Some(size) = records {
            let bucket = buckets.records.get_or_insert_with(|| Bucket::full(size, now));
            if bucket.refill(size, now) < 1000 {
                return false;
            }
        }
        if let Some(second) = second {
            // Without a limit on the burst, a record of any size finds a rested shard ready.
            let burst = limits.shard_write_burst_bytes.get().unwrap_or(1 << 30).max(second);
            let size = Size::new(burst, second);
            let kept_back = if bytes <= second { thousandths(burst - second) } else { -thousandths(second) };
            let bucket = buckets.bytes.get_or_insert_with(|| Bucket::full(size, now));
            if bucket.refill(size, now) < thousandths(bytes).saturating_add(kept_back) {
                return false;
            }
            bucket.take(bytes);
        }
        if let Some(bucket) = &mut buckets.records {
            bucket.take(1);
        }
        true
    }

    /// Whether a GetRecords may be answered now; if so, it is counted. What it gives is told to
    /// [`ShardThrottle::charge_read`].
    pub fn admit_read(&self, limits: &Limits, now: Duration) -> bool {
        let calls = limits.shard_read_calls_per_second.get().map(|n| Size::new(n, n));
        let bytes = limits.shard_read_bytes_per_second.get().map(|n| Size::new(n, n));
        if calls.is_none() && bytes.is_none() {
            return true;
        }
        let mut buckets = self.read.lock();
        if let (Some(size), Some(bucket)) = (bytes, &mut buckets.bytes)
            && bucket.refill(size, now) <= 0
        {
            return false;
        }
        calls.is_none_or(|size| take_one(&mut buckets.calls, size, now))
    }

    /// Counts the bytes that a GetRecords gave.
    pub fn charge_read(&self, limits: &Limits, bytes: u64, now: Duration) {
        let Some(size) = limits.shard_read_bytes_per_second.get().map(|n| Size::new(n, n)) else { return };
        if bytes == 0 {
            return;
        }
        let mut buckets = self.read.lock();
        let bucket = buckets.bytes.get_or_insert_with(|| Bucket::full(size, now));
        if bucket.refill(size, now) < thousandths(bytes) {
            bucket.level = bucket.level.min(0);
        }
        bucket.take(bytes);
    }

    /// Whether a GetShardIterator may be answered now; if so, it is counted.
    pub fn admit_iterator(&self, limits: &Limits, now: Duration) -> bool {
        let Some(size) = limits.shard_iterator_calls_per_second.get().map(|n| Size::new(n, n)) else { return true };
        take_one(&mut self.read.lock().iterators, size, now)
    }
}

/// The buckets of a stream: its shards' and that of its dry runs.
#[derive(Debug, Default)]
pub struct StreamThrottle {
    /// By shard. Grows when a shard is first used, which is the only time that a call has it for itself.
    shards: RwLock<HashMap<ShardIndex, Arc<ShardThrottle>>>,
    dry_runs: Mutex<Option<Bucket>>,
}

impl StreamThrottle {
    /// The buckets of a shard, full if it was not used before. Only for shards that exist: they are kept until
    /// [`StreamThrottle::retain`].
    pub fn shard(&self, shard: ShardIndex) -> Arc<ShardThrottle> {
        if let Some(throttle) = self.shards.read().get(&shard) {
            return Arc::clone(throttle);
        }
        // Another thread may have been first.
        Arc::clone(self.shards.write().entry(shard).or_default())
    }

    /// Forgets the shards that are not `kept`: they have expired.
    pub fn retain(&self, kept: impl Fn(ShardIndex) -> bool) {
        self.shards.write().retain(|shard, _| kept(*shard));
    }

    /// Whether a dry run may be answered now; if so, it is counted.
    pub fn admit_dry_run(&self, limits: &Limits, now: Duration) -> bool {
        let Some(size) = limits.dry_runs_per_second.get().map(|n| Size::new(n, n)) else { return true };
        take_one(&mut self.dry_runs.lock(), size, now)
    }
}

/// The buckets of a consumer at one shard: of its SubscribeToShard calls, one a second, and of the bytes that its
/// subscriptions give. An event goes out while there is something left, and is paid back whole.
#[derive(Debug, Default)]
pub struct SubscriptionThrottle {
    calls: Mutex<Option<Bucket>>,
    bytes: Mutex<Option<Bucket>>,
}

impl SubscriptionThrottle {
    /// Whether a SubscribeToShard may be answered now; if so, it is counted.
    pub fn admit_call(&self, limits: &Limits, now: Duration) -> bool {
        if !limits.call_rates {
            return true;
        }
        let rate = limits.call_rates_scale.of(1);
        take_one(&mut self.calls.lock(), Size::new(rate, rate), now)
    }

    /// How long until an event may go out at `rate` bytes per second; zero if now.
    pub fn wait(&self, rate: Limit, now: Duration) -> Duration {
        let Some(size) = rate.get().map(|n| Size::new(n, n)) else { return Duration::ZERO };
        let level = self.bytes.lock().get_or_insert_with(|| Bucket::full(size, now)).refill(size, now);
        if level > 0 {
            return Duration::ZERO;
        }
        let missing = level.unsigned_abs().saturating_add(1);
        // A rate of 0 never gives anything.
        let millis = u64::try_from(size.per_second).ok().filter(|n| *n > 0).map_or(u64::MAX, |n| missing.div_ceil(n));
        Duration::from_millis(millis)
    }

    /// Counts the bytes of an event.
    pub fn charge(&self, rate: Limit, bytes: u64, now: Duration) {
        let Some(size) = rate.get().map(|n| Size::new(n, n)) else { return };
        let mut bucket = self.bytes.lock();
        let bucket = bucket.get_or_insert_with(|| Bucket::full(size, now));
        bucket.refill(size, now);
        bucket.take(bytes);
    }
}

/// What a call rate is counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateScope {
    /// The account's calls in a region.
    Account,
    /// The calls for one stream.
    Stream,
}

/// How often an operation may be called per second, and counted by what. `None` for those limited by shard (or, as
/// SubscribeToShard, by consumer and shard).
pub fn call_rate(operation: Operation) -> Option<(RateScope, u32)> {
    use Operation as O;
    use RateScope::{Account, Stream};
    Some(match operation {
        O::DescribeLimits => (Account, 1),
        O::DescribeStream | O::UpdateShardCount => (Account, 10),
        O::DescribeStreamSummary => (Account, 20),
        O::DeregisterStreamConsumer | O::ListStreamConsumers => (Stream, 5),
        O::DescribeStreamConsumer => (Stream, 20),
        O::ListShards => (Stream, 1000),
        O::AddTagsToStream
        | O::CreateStream
        | O::DecreaseStreamRetentionPeriod
        | O::DeleteResourcePolicy
        | O::DeleteStream
        | O::DescribeAccountSettings
        | O::DisableEnhancedMonitoring
        | O::EnableEnhancedMonitoring
        | O::GetResourcePolicy
        | O::IncreaseStreamRetentionPeriod
        | O::ListStreams
        | O::ListTagsForResource
        | O::ListTagsForStream
        | O::MergeShards
        | O::PutResourcePolicy
        | O::RegisterStreamConsumer
        | O::RemoveTagsFromStream
        | O::SplitShard
        | O::StartStreamEncryption
        | O::StopStreamEncryption
        | O::TagResource
        | O::UntagResource
        | O::UpdateAccountSettings
        | O::UpdateMaxRecordSize
        | O::UpdateStreamMode
        | O::UpdateStreamRecordDistributionStrategy
        | O::UpdateStreamWarmThroughput => (Account, 5),
        _ => return None,
    })
}

/// The rates of control-plane calls, of every account, region and stream.
#[derive(Debug, Default)]
pub struct CallRates {
    /// Each with the size it had when it was last used: streams may have rates of their own.
    buckets: Mutex<HashMap<RateKey, (Bucket, Size)>>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct RateKey {
    operation: Operation,
    account: Box<str>,
    region: Box<str>,
    stream: Box<str>,
}

/// Buckets that have refilled are forgotten when there are this many: they say nothing.
const SWEEP_AT: usize = 4096;

impl CallRates {
    /// Forgets what was counted for the accounts and regions that `of` says yes to.
    pub fn forget(&self, of: impl Fn(&str, &str) -> bool) {
        self.buckets.lock().retain(|key, _| !of(&key.account, &key.region));
    }

    /// Whether a call may be answered now; if so, it is counted. `stream` is the stream's name, empty for calls on the
    /// account as a whole. `limits` are the stream's for operations whose rate is counted by stream, else the service's.
    pub fn admit(
        &self,
        limits: &Limits,
        operation: Operation,
        account: &str,
        region: &str,
        stream: &str,
        now: Duration,
    ) -> bool {
        let Some((scope, rate)) = call_rate(operation).filter(|_| limits.call_rates) else { return true };
        let stream = if scope == RateScope::Stream { stream } else { "" };
        let key = RateKey { operation, account: account.into(), region: region.into(), stream: stream.into() };
        let rate = limits.call_rates_scale.of(u64::from(rate));
        let size = Size::new(rate, rate);
        let mut buckets = self.buckets.lock();
        if buckets.len() >= SWEEP_AT && !buckets.contains_key(&key) {
            buckets.retain(|_, (bucket, size)| !bucket.is_full(*size, now));
        }
        let (bucket, last_size) = buckets.entry(key).or_insert_with(|| (Bucket::full(size, now), size));
        *last_size = size;
        let is_allowed = bucket.refill(size, now) >= 1000;
        if is_allowed {
            bucket.take(1);
        }
        is_allowed
    }
}

#[cfg(test)]
mod tests;
