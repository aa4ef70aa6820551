use super::*;

#[test]
fn shard_ids_are_read_as_aws_does() {
    for (id, index) in [
        ("shardId-000000000123", 123),
        ("0", 0),
        ("shard-0", 0),
        ("x-00002147483647", 2_147_483_647),
        ("-00002147483647", 2_147_483_647),
        ("a-7-b", 7),
        ("123", 123),
    ] {
        assert_eq!(parse_shard_id(id), Some(index), "{id}");
    }
    for id in ["ABKLFD8", "2.14E4", "2147483648", "shardId-2147483648", "shardId-", "", "-", "shardId-+1", "x--1"] {
        assert_eq!(parse_shard_id(id), None, "{id}");
    }
    assert_eq!(shard_id(123), "shardId-000000000123");
}
