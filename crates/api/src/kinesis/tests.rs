use super::*;

#[test]
fn operations_are_found_by_name() {
    assert_eq!(Operation::ALL.len(), 57);
    for operation in Operation::ALL {
        assert_eq!(Operation::from_name(operation.name()), Some(operation));
    }
    assert_eq!(Operation::from_name("putRecord"), None);
    assert_eq!(Operation::from_name(""), None);
}

#[test]
fn every_pattern_compiles() {
    for pattern in constraints::PATTERNS {
        assert!(pattern.compiled().is_some(), "{pattern:?}");
    }
}

#[test]
fn enumerations_keep_what_they_do_not_know() {
    assert_eq!(StreamMode::from_text("ON_DEMAND"), StreamMode::OnDemand);
    assert_eq!(StreamMode::OnDemand.as_str(), "ON_DEMAND");
    assert_eq!(StreamMode::from_text("on_demand").as_str(), "on_demand");
    assert_eq!(MetricsName::from_text("ALL"), MetricsName::All);
}

#[test]
fn values_made_by_code_miss_nothing() {
    let input = GetShardIteratorInput {
        stream_name: Some("s".into()),
        shard_id: "shardId-000000000000".into(),
        shard_iterator_type: ShardIteratorType::Latest,
        ..GetShardIteratorInput::default()
    };
    assert_eq!(Input::GetShardIterator(input).validate(), Ok(()));
}
