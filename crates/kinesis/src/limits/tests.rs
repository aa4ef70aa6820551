use super::*;

#[test]
fn a_limit_is_changed_or_lifted_by_name() {
    let limits: Limits = serde_json::from_str(r#"{"tags": 7, "shard_write_bytes_per_second": "none"}"#).unwrap();
    let expected = Limits { tags: Limit::of(7), shard_write_bytes_per_second: Limit::NONE, ..Limits::aws() };
    assert_eq!(limits, expected);
}

#[test]
fn what_is_not_a_limit_is_refused() {
    for text in [r#"{"tag": 7}"#, r#"{"tags": -1}"#, r#"{"tags": "many"}"#, r#"{"tags": 1.5}"#, r#"{"call_rates": 1}"#]
    {
        assert!(serde_json::from_str::<Limits>(text).is_err(), "{text}");
    }
    let message = serde_json::from_str::<Limits>(r#"{"tags": "many"}"#).unwrap_err().to_string();
    assert!(message.contains("a whole number from 0 on, or \"none\""), "{message}");
}

#[test]
fn what_is_written_is_read() {
    for limits in [Limits::aws(), Limits::none()] {
        let text = serde_json::to_string(&limits).unwrap();
        assert_eq!(serde_json::from_str::<Limits>(&text).unwrap(), limits);
    }
}

#[test]
fn large_regions_have_the_large_quota() {
    let limits = Limits::aws();
    assert_eq!(limits.shards("eu-west-1"), Limit::of(20_000));
    assert_eq!(limits.shards("eu-central-1"), Limit::of(1_000));
    assert!(limits.shards("eu-central-1").allows(1_000) && !limits.shards("eu-central-1").allows(1_001));
    assert_eq!(Limits::none().shards("eu-west-1").to_i32(), i32::MAX);
}

#[test]
fn calls_of_a_day_are_counted_up_to_the_limit() {
    let day = 24 * 60 * 60 * 1000;
    let mut calls = Vec::new();
    assert_eq!([5, 6, 7].map(|now| Limit::of(2).admit_today(&mut calls, now)), [true, true, false]);
    assert_eq!(calls, [5, 6]);
    assert!(Limit::of(2).admit_today(&mut calls, day + 5));
    assert!(Limit::NONE.admit_today(&mut calls, day + 5));
    assert_eq!(calls, [6, day + 5]);
}
