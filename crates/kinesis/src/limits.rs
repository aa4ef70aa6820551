//! Every limit that is not in the service model, in one table. The defaults are AWS's; the configuration lifts or changes
//! each by its name.

use std::fmt;

use serde::de::{Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

mod scale;
mod streams;

pub use scale::{NoScale, Scale};
pub(crate) use streams::LimitTable;
pub use streams::{OF_ACCOUNTS, StreamLimits};

/// Bytes in a MiB.
pub const MIB: u64 = 1 << 20;

/// A number that may not be exceeded, or none. In a configuration: a number, or `"none"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit(Option<u64>);

impl Limit {
    /// No limit.
    pub const NONE: Limit = Limit(None);

    /// At most `most`.
    pub const fn of(most: u64) -> Limit {
        Limit(Some(most))
    }

    /// The number; `None` if there is no limit.
    pub const fn get(self) -> Option<u64> {
        self.0
    }

    /// Whether `amount` does not exceed the limit.
    pub fn allows(self, amount: u64) -> bool {
        self.0.is_none_or(|most| amount <= most)
    }

    /// Whether a call at `now` is within the limit, being one on calls within 24 hours; if so, it is added to `calls`, the
    /// earlier ones (times in ms). Those of longer ago are forgotten, and without a limit none is added: the list never
    /// grows beyond the limit.
    pub(crate) fn admit_today(self, calls: &mut Vec<u64>, now: u64) -> bool {
        const DAY: u64 = 24 * 60 * 60 * 1000;
        calls.retain(|called| called.saturating_add(DAY) > now);
        let Some(most) = self.0 else { return true };
        let is_allowed = (calls.len() as u64) < most;
        if is_allowed {
            calls.push(now);
        }
        is_allowed
    }

    /// The number, or `i32::MAX` for none (or more): for members of answers, which are 32-bit.
    pub fn to_i32(self) -> i32 {
        self.0.and_then(|most| i32::try_from(most).ok()).unwrap_or(i32::MAX)
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(most) => most.fmt(f),
            None => f.write_str("none"),
        }
    }
}

impl Serialize for Limit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(most) => serializer.serialize_u64(most),
            None => serializer.serialize_str("none"),
        }
    }
}

impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Limit, D::Error> {
        struct NumberOrNone;

        impl Visitor<'_> for NumberOrNone {
            type Value = Limit;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number from 0 on, or \"none\"")
            }

            fn visit_u64<E: serde::de::Error>(self, most: u64) -> Result<Limit, E> {
                Ok(Limit::of(most))
            }

            fn visit_i64<E: serde::de::Error>(self, most: i64) -> Result<Limit, E> {
                u64::try_from(most).map(Limit::of).map_err(|_| E::invalid_value(Unexpected::Signed(most), &self))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Limit, E> {
                match text {
                    "none" => Ok(Limit::NONE),
                    _ => Err(E::invalid_value(Unexpected::Str(text), &self)),
                }
            }
        }

        deserializer.deserialize_any(NumberOrNone)
    }
}

/// Regions whose quotas of shards and of on-demand throughput are the larger ones.
const LARGE_REGIONS: [&str; 3] = ["us-east-1", "us-west-2", "eu-west-1"];

/// To how many shards the service itself takes a stream, whatever the limits: its record names them all.
pub(crate) const MOST_SHARDS: u64 = 100_000;

/// Every limit. Names are those of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Bytes (data and partition keys) that a shard takes, per second.
    pub shard_write_bytes_per_second: Limit,
    /// Bytes that a rested shard takes at once for records larger than one second's bytes.
    pub shard_write_burst_bytes: Limit,
    /// Records that a shard takes, per second.
    pub shard_write_records_per_second: Limit,
    /// Bytes that GetRecords gives of a shard, per second.
    pub shard_read_bytes_per_second: Limit,
    /// GetRecords calls that a shard answers, per second.
    pub shard_read_calls_per_second: Limit,
    /// GetShardIterator calls that a shard answers, per second.
    pub shard_iterator_calls_per_second: Limit,
    /// Bytes (data and partition keys) that a subscription gives of a shard to a consumer, per second.
    pub subscription_bytes_per_second: Limit,
    /// Dry runs that a stream answers, per second, of all operations together.
    pub dry_runs_per_second: Limit,
    /// Whether the rates of control-plane calls are limited (each operation has its own, see [`crate::throttle`]).
    pub call_rates: bool,
    /// By what those rates are multiplied.
    pub call_rates_scale: Scale,
    /// Bytes (data and partition keys) in one PutRecords.
    pub put_records_bytes: Limit,
    /// Bytes (data and partition keys) in one answer of GetRecords, if it has more than one record. Never more
    /// than 64 MiB; 16 MiB without a limit.
    pub get_records_bytes: Limit,
    /// Open shards of an account's provisioned streams in us-east-1, us-west-2 or eu-west-1.
    pub shards_in_large_region: Limit,
    /// Open shards of an account's provisioned streams in any other region.
    pub shards_in_region: Limit,
    /// On-demand streams of an account in a region.
    pub on_demand_streams: Limit,
    /// Bytes per second up to which an on-demand stream in us-east-1, us-west-2 or eu-west-1 grows.
    pub on_demand_write_bytes_per_second_in_large_region: Limit,
    /// Bytes per second up to which an on-demand stream in any other region grows.
    pub on_demand_write_bytes_per_second_in_region: Limit,
    /// Streams of an account in a region that are in CREATING or DELETING at once.
    pub streams_in_transition: Limit,
    /// Tags of a stream or of a consumer.
    pub tags: Limit,
    /// Bytes of a resource policy.
    pub resource_policy_bytes: Limit,
    /// Warm throughput of an on-demand stream, MiB/s.
    pub warm_throughput_mibps: Limit,
    /// Registered consumers of a stream.
    pub consumers: Limit,
    /// The same if the account has the minimum throughput billing commitment.
    pub consumers_with_commitment: Limit,
    /// Consumers of a stream that are in CREATING at once.
    pub consumers_creating: Limit,
    /// Longest retention, in hours.
    pub retention_hours: Limit,
    /// How many times more, or less, shards one UpdateShardCount may make.
    pub update_shard_count_factor: Limit,
    /// Shards of a stream after an UpdateShardCount.
    pub update_shard_count_shards: Limit,
    /// Successful UpdateShardCount calls of a stream in 24 hours.
    pub update_shard_count_per_day: Limit,
    /// Changes of a stream's capacity mode in 24 hours.
    pub stream_mode_changes_per_day: Limit,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits::aws()
    }
}

impl Limits {
    /// AWS's limits for a new account.
    pub fn aws() -> Limits {
        Limits {
            shard_write_bytes_per_second: Limit::of(MIB),
            shard_write_burst_bytes: Limit::of(10 * MIB),
            shard_write_records_per_second: Limit::of(1000),
            shard_read_bytes_per_second: Limit::of(2 * MIB),
            shard_read_calls_per_second: Limit::of(5),
            shard_iterator_calls_per_second: Limit::of(5),
            subscription_bytes_per_second: Limit::of(2 * MIB),
            dry_runs_per_second: Limit::of(1),
            call_rates: true,
            call_rates_scale: Scale::ONE,
            put_records_bytes: Limit::of(10 * MIB),
            get_records_bytes: Limit::of(10 * MIB),
            shards_in_large_region: Limit::of(20_000),
            shards_in_region: Limit::of(1_000),
            on_demand_streams: Limit::of(50),
            on_demand_write_bytes_per_second_in_large_region: Limit::of(10 * 1024 * MIB),
            on_demand_write_bytes_per_second_in_region: Limit::of(200 * MIB),
            streams_in_transition: Limit::of(5),
            tags: Limit::of(50),
            resource_policy_bytes: Limit::of(20 << 10),
            warm_throughput_mibps: Limit::of(10 << 10),
            consumers: Limit::of(20),
            consumers_with_commitment: Limit::of(50),
            consumers_creating: Limit::of(5),
            retention_hours: Limit::of(8760),
            update_shard_count_factor: Limit::of(2),
            update_shard_count_shards: Limit::of(10_000),
            update_shard_count_per_day: Limit::of(10),
            stream_mode_changes_per_day: Limit::of(2),
        }
    }

    /// No limits but those of the service model.
    pub fn none() -> Limits {
        Limits {
            shard_write_bytes_per_second: Limit::NONE,
            shard_write_burst_bytes: Limit::NONE,
            shard_write_records_per_second: Limit::NONE,
            shard_read_bytes_per_second: Limit::NONE,
            shard_read_calls_per_second: Limit::NONE,
            shard_iterator_calls_per_second: Limit::NONE,
            subscription_bytes_per_second: Limit::NONE,
            dry_runs_per_second: Limit::NONE,
            call_rates: false,
            call_rates_scale: Scale::ONE,
            put_records_bytes: Limit::NONE,
            get_records_bytes: Limit::NONE,
            shards_in_large_region: Limit::NONE,
            shards_in_region: Limit::NONE,
            on_demand_streams: Limit::NONE,
            on_demand_write_bytes_per_second_in_large_region: Limit::NONE,
            on_demand_write_bytes_per_second_in_region: Limit::NONE,
            streams_in_transition: Limit::NONE,
            tags: Limit::NONE,
            resource_policy_bytes: Limit::NONE,
            warm_throughput_mibps: Limit::NONE,
            consumers: Limit::NONE,
            consumers_with_commitment: Limit::NONE,
            consumers_creating: Limit::NONE,
            retention_hours: Limit::NONE,
            update_shard_count_factor: Limit::NONE,
            update_shard_count_shards: Limit::NONE,
            update_shard_count_per_day: Limit::NONE,
            stream_mode_changes_per_day: Limit::NONE,
        }
    }

    /// The same quotas, with throughput and call rates multiplied. The burst of large records does not shrink: they could
    /// never be written then.
    #[must_use]
    pub fn scaled(&self, scale: Scale) -> Limits {
        let by = |limit: Limit| Limit(limit.0.map(|rate| scale.of(rate)));
        Limits {
            shard_write_bytes_per_second: by(self.shard_write_bytes_per_second),
            shard_write_burst_bytes: Limit(self.shard_write_burst_bytes.0.map(|burst| scale.of(burst).max(burst))),
            shard_write_records_per_second: by(self.shard_write_records_per_second),
            shard_read_bytes_per_second: by(self.shard_read_bytes_per_second),
            shard_read_calls_per_second: by(self.shard_read_calls_per_second),
            shard_iterator_calls_per_second: by(self.shard_iterator_calls_per_second),
            subscription_bytes_per_second: by(self.subscription_bytes_per_second),
            dry_runs_per_second: by(self.dry_runs_per_second),
            call_rates_scale: self.call_rates_scale.times(scale),
            on_demand_write_bytes_per_second_in_large_region: by(self.on_demand_write_bytes_per_second_in_large_region),
            on_demand_write_bytes_per_second_in_region: by(self.on_demand_write_bytes_per_second_in_region),
            ..self.clone()
        }
    }

    /// The same quotas, without limits of throughput and call rates.
    #[must_use]
    pub fn unthrottled(&self) -> Limits {
        Limits {
            shard_write_bytes_per_second: Limit::NONE,
            shard_write_burst_bytes: Limit::NONE,
            shard_write_records_per_second: Limit::NONE,
            shard_read_bytes_per_second: Limit::NONE,
            shard_read_calls_per_second: Limit::NONE,
            shard_iterator_calls_per_second: Limit::NONE,
            subscription_bytes_per_second: Limit::NONE,
            dry_runs_per_second: Limit::NONE,
            call_rates: false,
            on_demand_write_bytes_per_second_in_large_region: Limit::NONE,
            on_demand_write_bytes_per_second_in_region: Limit::NONE,
            ..self.clone()
        }
    }

    /// The shard quota of an account in `region`.
    pub fn shards(&self, region: &str) -> Limit {
        if LARGE_REGIONS.contains(&region) { self.shards_in_large_region } else { self.shards_in_region }
    }

    /// Bytes per second up to which an on-demand stream in `region` grows.
    pub fn on_demand_write_bytes_per_second(&self, region: &str) -> Limit {
        if LARGE_REGIONS.contains(&region) {
            self.on_demand_write_bytes_per_second_in_large_region
        } else {
            self.on_demand_write_bytes_per_second_in_region
        }
    }

    /// Warm throughput of an on-demand stream in `region`, MiB/s: no more than the stream may grow to, and bounded whatever
    /// the limits, since each MiB/s is a shard.
    pub fn warm_throughput(&self, region: &str) -> u64 {
        let growth = self.on_demand_write_bytes_per_second(region).get().map_or(MOST_SHARDS, |bytes| bytes / MIB);
        self.warm_throughput_mibps.get().unwrap_or(MOST_SHARDS).min(growth).min(MOST_SHARDS)
    }

    /// Whether a shard takes all that comes.
    pub fn is_write_unlimited(&self) -> bool {
        self.shard_write_bytes_per_second == Limit::NONE && self.shard_write_records_per_second == Limit::NONE
    }

    /// Bytes in one answer of GetRecords: bounded whatever the limit, since it is held in memory.
    pub fn get_records_page(&self) -> usize {
        const GUARD: u64 = 64 * MIB;
        const UNLIMITED: u64 = 16 * MIB;
        self.get_records_bytes.get().map_or(UNLIMITED, |bytes| bytes.min(GUARD)) as usize
    }
}

#[cfg(test)]
mod tests;
