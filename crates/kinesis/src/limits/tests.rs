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

#[test]
fn factors_are_strict_and_exact() {
    for (text, hundred) in
        [("x1", 100), ("x10", 1000), ("x0.5", 50), ("x2.25", 225), ("x0.001", 1), ("x1000000", 100_000_000)]
    {
        let scale: Scale = text.parse().unwrap();
        assert_eq!((scale.of(100), scale.to_string().as_str()), (hundred, text));
    }
    for text in ["", "x", "10", "x0", "x0.0001", "x1000001", "x-1", "x+1", "x1.", "x.5", "X2", "x 2", "x1e3", "x1.0001"]
        .into_iter()
        .chain(["x18446744073709551.999"])
    {
        assert!(text.parse::<Scale>().is_err(), "{text}");
    }
    assert_eq!(("x3".parse::<Scale>().unwrap().of(0), "x0.1".parse::<Scale>().unwrap().of(1)), (0, 1));
}

#[test]
fn a_factor_multiplies_rates_and_no_quotas() {
    let ten = Limits::aws().scaled("x10".parse().unwrap());
    assert_eq!(ten.shard_write_bytes_per_second, Limit::of(10 * MIB));
    assert_eq!(ten.shard_write_records_per_second, Limit::of(10_000));
    assert_eq!(ten.shard_read_calls_per_second, Limit::of(50));
    assert_eq!(ten.call_rates_scale.of(5), 50);
    let quotas = |limits: &Limits| {
        (limits.shards_in_region, limits.tags, limits.put_records_bytes, limits.update_shard_count_per_day)
    };
    assert_eq!(quotas(&ten), quotas(&Limits::aws()));
    assert_eq!(
        ten.scaled("x0.1".parse().unwrap()),
        Limits { shard_write_burst_bytes: Limit::of(100 * MIB), ..Limits::aws() }
    );
    let half = Limits::aws().scaled("x0.5".parse().unwrap());
    assert_eq!(half.shard_write_bytes_per_second, Limit::of(MIB / 2));
    assert_eq!(half.shard_write_burst_bytes, Limit::of(10 * MIB), "the largest record can still be written");
    assert_eq!(Limits::none().scaled("x10".parse().unwrap()).shard_write_bytes_per_second, Limit::NONE);
    let free = Limits::aws().unthrottled();
    assert!(free.is_write_unlimited() && !free.call_rates);
    assert_eq!(quotas(&free), quotas(&Limits::aws()));
}

#[test]
fn limits_of_accounts_are_among_the_names() {
    let names = serde_json::to_value(Limits::aws()).unwrap();
    assert!(OF_ACCOUNTS.iter().all(|name| names.get(name).is_some()));
}
