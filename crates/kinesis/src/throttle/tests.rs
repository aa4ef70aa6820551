use proptest::prelude::*;

use super::*;
use crate::limits::{Limit, MIB};

fn at(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn of_five_megabyte_records_the_first_goes_in() {
    let shard = ShardThrottle::default();
    let admitted = [0; 5].map(|_| shard.admit_write(&Limits::aws(), 1_000_000, at(0)));
    assert_eq!(admitted, [true, false, false, false, false]);
    assert!(!shard.admit_write(&Limits::aws(), 1_000_000, at(900)));
    assert!(shard.admit_write(&Limits::aws(), 1_000_000, at(1_000)));
}

#[test]
fn a_steady_producer_gets_its_rate() {
    // 1,100 records of 1,000 bytes, then 1,100 of 1,200 bytes, offered each second, evenly.
    for bytes in [1_000, 1_200] {
        let shard = ShardThrottle::default();
        let seconds = 20;
        let admitted = (0..1_100 * seconds)
            .filter(|i| shard.admit_write(&Limits::aws(), bytes, Duration::from_micros(i * 1_000_000 / 1_100)))
            .count() as u64;
        // The buckets are full at first: that is one second more.
        let most = |seconds: u64| (1_000 * seconds).min(MIB * seconds / bytes);
        assert!((most(seconds)..=most(seconds + 1)).contains(&admitted), "{admitted} of {bytes} bytes");
    }
}

#[test]
fn a_rested_shard_takes_one_large_record_and_averages_it_out() {
    let shard = ShardThrottle::default();
    let limits = Limits::aws();
    assert!(shard.admit_write(&limits, 10 * MIB, at(0)));
    assert!(!shard.admit_write(&limits, 2 * MIB, at(500)));
    assert!(!shard.admit_write(&limits, 1_000, at(9_000)), "ordinary records wait for the average");
    assert!(shard.admit_write(&limits, 1_000, at(9_001)));
    assert!(shard.admit_write(&limits, 10 * MIB, at(9_002)), "ordinary traffic does not shut large records out");
}

#[test]
fn a_refused_record_takes_nothing() {
    let shard = ShardThrottle::default();
    let limits = Limits { shard_write_records_per_second: Limit::of(2), ..Limits::aws() };
    assert!(shard.admit_write(&limits, MIB, at(0)));
    for _ in 0..10 {
        assert!(!shard.admit_write(&limits, MIB, at(0)));
    }
    assert!(shard.admit_write(&limits, 0, at(0)));
    assert!(!shard.admit_write(&limits, 0, at(0)));
}

#[test]
fn without_limits_nothing_is_refused() {
    let shard = ShardThrottle::default();
    let limits = Limits::none();
    for _ in 0..5_000 {
        assert!(shard.admit_write(&limits, 10 * MIB, at(0)));
        assert!(shard.admit_read(&limits, at(0)));
        shard.charge_read(&limits, 10 * MIB, at(0));
        assert!(shard.admit_iterator(&limits, at(0)));
    }
}

#[test]
fn five_reads_a_second() {
    let shard = ShardThrottle::default();
    let limits = Limits::aws();
    assert_eq!((0..7).filter(|_| shard.admit_read(&limits, at(0))).count(), 5);
    assert!(!shard.admit_read(&limits, at(199)));
    assert!(shard.admit_read(&limits, at(200)));
    assert_eq!((0..7).filter(|_| shard.admit_iterator(&limits, at(0))).count(), 5);
}

#[test]
fn ten_megabytes_read_block_five_seconds() {
    let shard = ShardThrottle::default();
    let limits = Limits::aws();
    assert!(shard.admit_read(&limits, at(0)));
    shard.charge_read(&limits, 10 * MIB, at(0));
    assert!(!shard.admit_read(&limits, at(1)));
    assert!(!shard.admit_read(&limits, at(5_000)));
    assert!(shard.admit_read(&limits, at(5_001)));
}

#[test]
fn small_reads_are_free_up_to_the_rate() {
    let shard = ShardThrottle::default();
    let limits = Limits::aws();
    let mut read = 0;
    for ms in (0..20_000).step_by(200) {
        if shard.admit_read(&limits, at(ms)) {
            shard.charge_read(&limits, MIB / 4, at(ms));
            read += 1;
        }
    }
    assert_eq!(read, 100);
}

#[test]
fn a_dry_run_a_second() {
    let stream = StreamThrottle::default();
    let limits = Limits::aws();
    assert!(stream.admit_dry_run(&limits, at(0)));
    assert!(!stream.admit_dry_run(&limits, at(999)));
    assert!(stream.admit_dry_run(&limits, at(1_000)));
}

#[test]
fn a_shard_keeps_its_buckets_until_it_expires() {
    let stream = StreamThrottle::default();
    let limits = Limits::aws();
    assert!(stream.shard(3).admit_write(&limits, MIB, at(0)));
    assert!(!stream.shard(3).admit_write(&limits, MIB, at(0)));
    stream.retain(|shard| shard == 3);
    assert!(!stream.shard(3).admit_write(&limits, MIB, at(0)));
    stream.retain(|_| false);
    assert!(stream.shard(3).admit_write(&limits, MIB, at(0)));
}

#[test]
fn call_rates_are_counted_by_account_region_and_operation() {
    let rates = CallRates::default();
    let limits = Limits::aws();
    let call = |operation, account, stream, ms| rates.admit(&limits, operation, account, "us-east-1", stream, at(ms));
    assert_eq!((0..7).filter(|_| call(Operation::CreateStream, "a", "s", 0)).count(), 5);
    assert!(!call(Operation::CreateStream, "a", "t", 0), "the account's streams share a rate");
    assert!(call(Operation::CreateStream, "b", "s", 0));
    assert!(call(Operation::DeleteStream, "a", "s", 0));
    assert!(rates.admit(&limits, Operation::CreateStream, "a", "eu-west-1", "s", at(0)));
    assert!(call(Operation::CreateStream, "a", "s", 200));
    assert_eq!((0..1_100).filter(|_| call(Operation::ListShards, "a", "s", 0)).count(), 1_000);
    assert!(call(Operation::ListShards, "a", "t", 0), "a rate per stream");
    assert!((0..100).all(|_| call(Operation::PutRecord, "a", "s", 0)));
    let lifted = Limits { call_rates: false, ..Limits::aws() };
    assert!((0..100).all(|_| rates.admit(&lifted, Operation::CreateStream, "a", "us-east-1", "s", at(0))));
}

/// Calls of an operation that are answered within one moment, on one stream and then on another one.
fn answered_at_once(limits: &Limits, operation: Operation) -> [usize; 2] {
    let rates = CallRates::default();
    let call = |stream| rates.admit(limits, operation, "a", "us-east-1", stream, at(0));
    ["s", "t"].map(|stream| (0..2_000).filter(|_| call(stream)).count())
}

#[test]
fn every_operation_has_awss_rate() {
    use Operation as O;
    let of_account = [
        (1, vec![O::DescribeLimits]),
        (10, vec![O::DescribeStream, O::UpdateShardCount]),
        (20, vec![O::DescribeStreamSummary]),
        (
            5,
            vec![
                O::AddTagsToStream,
                O::CreateStream,
                O::DecreaseStreamRetentionPeriod,
                O::DeleteResourcePolicy,
                O::DeleteStream,
                O::DescribeAccountSettings,
                O::DisableEnhancedMonitoring,
                O::EnableEnhancedMonitoring,
                O::GetResourcePolicy,
                O::IncreaseStreamRetentionPeriod,
                O::ListStreams,
                O::ListTagsForResource,
                O::ListTagsForStream,
                O::MergeShards,
                O::PutResourcePolicy,
                O::RegisterStreamConsumer,
                O::RemoveTagsFromStream,
                O::SplitShard,
                O::StartStreamEncryption,
                O::StopStreamEncryption,
                O::TagResource,
                O::UntagResource,
                O::UpdateAccountSettings,
                O::UpdateMaxRecordSize,
                O::UpdateStreamMode,
                O::UpdateStreamRecordDistributionStrategy,
                O::UpdateStreamWarmThroughput,
            ],
        ),
    ];
    let of_stream = [
        (5, vec![O::DeregisterStreamConsumer, O::ListStreamConsumers]),
        (20, vec![O::DescribeStreamConsumer]),
        (1_000, vec![O::ListShards]),
    ];
    // The data plane is limited by shard, a subscription by consumer and shard.
    let by_shard = [O::GetRecords, O::GetShardIterator, O::PutRecord, O::PutRecords, O::SubscribeToShard];
    let mut known = by_shard.len();
    for (rate, operations) in of_account {
        known += operations.len();
        for operation in operations {
            assert_eq!(answered_at_once(&Limits::aws(), operation), [rate, 0], "{operation:?}");
        }
    }
    for (rate, operations) in of_stream {
        known += operations.len();
        for operation in operations {
            assert_eq!(answered_at_once(&Limits::aws(), operation), [rate, rate], "{operation:?}");
        }
    }
    for operation in by_shard {
        assert_eq!(answered_at_once(&Limits::aws(), operation), [2_000; 2], "{operation:?}");
    }
    assert_eq!(known, 40, "the classic operations and UpdateStreamRecordDistributionStrategy");
}

#[test]
fn call_rates_are_scaled() {
    let scaled = Limits::aws().scaled("x3".parse().unwrap());
    assert_eq!(answered_at_once(&scaled, Operation::DescribeStream), [30, 0]);
    let slow = Limits::aws().scaled("x0.01".parse().unwrap());
    assert_eq!(answered_at_once(&slow, Operation::DescribeStream), [1, 0], "never nothing");
    assert_eq!(answered_at_once(&slow, Operation::ListShards), [10, 10]);
}

#[test]
fn a_scaled_shard_keeps_its_rate() {
    let limits = Limits::aws().scaled("x10".parse().unwrap());
    let shard = ShardThrottle::default();
    assert_eq!((0..20).filter(|_| shard.admit_write(&limits, MIB, at(0))).count(), 10);
    assert!(shard.admit_write(&limits, MIB, at(100)));
    assert_eq!((0..100).filter(|_| shard.admit_read(&limits, at(0))).count(), 50);
    let slow = Limits::aws().scaled("x0.1".parse().unwrap());
    let shard = ShardThrottle::default();
    assert!(shard.admit_write(&slow, 10 * MIB, at(0)), "the largest record still goes in");
    assert!(!shard.admit_write(&slow, 1, at(98_000)));
    assert!(shard.admit_write(&slow, 1, at(101_000)), "and is paid back at a tenth of the rate");
}

#[test]
fn a_read_over_the_rate_is_paid_back() {
    let shard = ShardThrottle::default();
    let limits = Limits::aws();
    assert!(shard.admit_read(&limits, at(0)));
    shard.charge_read(&limits, 2 * MIB, at(0));
    assert!(!shard.admit_read(&limits, at(0)), "a second's bytes are gone");
    assert!(shard.admit_read(&limits, at(1)), "and come back evenly");
    // A page of 3 MiB finds 1 MiB left, which it forfeits: it costs 1.5 s.
    let shard = ShardThrottle::default();
    shard.charge_read(&limits, MIB, at(0));
    shard.charge_read(&limits, 3 * MIB, at(0));
    assert!(!shard.admit_read(&limits, at(1_500)));
    assert!(shard.admit_read(&limits, at(1_501)));
}

#[test]
fn rested_call_rates_are_forgotten() {
    let rates = CallRates::default();
    let limits = Limits::aws();
    for i in 0..3 * SWEEP_AT {
        // Each refills in a millisecond.
        assert!(rates.admit(&limits, Operation::ListShards, "a", "r", &i.to_string(), at(i as u64)));
    }
    assert!(rates.buckets.lock().len() <= SWEEP_AT);
}

proptest! {
    /// Over any time, no more bytes go in than the burst, one second's worth, and the rate allow.
    #[test]
    fn writes_keep_to_the_average(offers in proptest::collection::vec((0u64..3_000, 0u64..11 * MIB), 1..200)) {
        let shard = ShardThrottle::default();
        let (mut now, mut admitted) = (0, 0);
        for (pause, bytes) in offers {
            now += pause;
            if shard.admit_write(&Limits::aws(), bytes, at(now)) {
                admitted += bytes;
            }
            prop_assert!(admitted <= 11 * MIB + MIB * now / 1000 + 1);
        }
    }

    #[test]
    fn reads_keep_to_the_average(offers in proptest::collection::vec((0u64..3_000, 0u64..11 * MIB), 1..200)) {
        let shard = ShardThrottle::default();
        let (mut now, mut given) = (0, 0);
        for (pause, bytes) in offers {
            now += pause;
            if shard.admit_read(&Limits::aws(), at(now)) {
                shard.charge_read(&Limits::aws(), bytes, at(now));
                given += bytes;
            }
            // One page may overdraw.
            prop_assert!(given <= 2 * MIB + 11 * MIB + 2 * MIB * now / 1000);
        }
    }
}

#[test]
fn subscriptions_wait_until_an_event_is_paid_back() {
    let (throttle, rate) = (SubscriptionThrottle::default(), Limit::of(2 << 20));
    let at = Duration::from_millis;
    assert_eq!(throttle.wait(rate, at(0)), Duration::ZERO);
    throttle.charge(rate, 2 << 20, at(0));
    assert_eq!(throttle.wait(rate, at(0)), at(1));
    assert_eq!(throttle.wait(rate, at(1)), Duration::ZERO);
    throttle.charge(rate, 10 << 20, at(1));
    assert_eq!(throttle.wait(rate, at(1)), at(5_000), "a large record is paid back whole");
    assert_eq!(throttle.wait(rate, at(5_000)), at(1));
    assert_eq!(throttle.wait(Limit::NONE, at(1)), Duration::ZERO);
    assert!(throttle.wait(Limit::of(0), at(9_000)) > at(1_000_000), "nothing ever");
}
