use proptest::prelude::*;

use super::*;

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0..1000u64, 0..=NUMBER_MAX]
}

fn shard_starts() -> impl Strategy<Value = Vec<ShardStart>> {
    let start = (number(), number(), number(), any::<Option<u64>>());
    prop::collection::btree_map(any::<u32>(), start, 0..20).prop_map(|map| {
        let starts = map.into_iter().map(|(shard, (next, floor, last_time, closed))| ShardStart {
            shard,
            next,
            floor,
            last_time,
            closed,
        });
        starts.collect()
    })
}

prop_compose! {
    fn headers()(
        account in "[0-9]{12}",
        region in "[a-z0-9-]{1,30}",
        ids in any::<[u64; 2]>(),
        numbers in prop::array::uniform7(number()),
        relaxed in any::<bool>(),
        shards in shard_starts(),
        descriptor in prop::collection::vec(any::<u8>(), 0..300),
    ) -> SegmentHeader {
        let [incarnation, salt] = ids;
        let [number, first_commit, epoch, created, floor_time, base, capacity] = numbers;
        SegmentHeader {
            id: LogId { account: account.into(), region: region.into(), incarnation },
            number, salt, first_commit, epoch, created, floor_time, relaxed, base, shards,
            descriptor: descriptor.into(),
            capacity,
        }
    }
}

fn blocks() -> impl Strategy<Value = Vec<BlockEntry>> {
    let block = (1..=6u8, any::<[u32; 4]>(), prop::array::uniform4(number()));
    let block = block.prop_map(|(kind, [shard, count, length, crc], [first, time_first, time_last, arg])| BlockEntry {
        kind: BlockKind::from_byte(kind).expect("a kind"),
        shard,
        first: first.min(arg),
        count,
        length: length >> 10,
        time_first,
        time_last,
        arg: first.max(arg),
        crc,
    });
    prop::collection::vec(block, 0..10)
}

proptest! {
    #[test]
    fn headers_come_back(header in headers()) {
        let bytes = header.encode();
        prop_assert_eq!(bytes.len() as u64 % SEGMENT_ALIGN, 0);
        prop_assert_eq!(SegmentHeader::decode(&bytes), Ok(header));
    }

    #[test]
    fn a_changed_header_is_refused(header in headers(), at in any::<prop::sample::Index>()) {
        let mut bytes = header.encode();
        let body = u32::from_le_bytes(bytes[68..72].try_into().expect("four bytes")) as usize;
        let at = at.index(SEGMENT_FIXED + body);
        bytes[at] ^= 1;
        prop_assert!(SegmentHeader::decode(&bytes).is_err());
    }

    #[test]
    fn commits_come_back_and_changed_ones_do_not(
        salt in any::<u64>(), numbers in prop::array::uniform4(number()), flags in any::<u32>(), blocks in blocks(), at in any::<prop::sample::Index>(),
    ) {
        let [number, epoch, mark, time] = numbers;
        let head = CommitHead { number, salt, epoch, mark, time, flags, blocks };
        let mut bytes = head.encode();
        prop_assert_eq!(CommitHead::decode(&bytes, salt), Some(head));
        prop_assert_eq!(CommitHead::decode(&bytes, salt ^ 1), None);
        let at = at.index(bytes.len());
        bytes[at] ^= 0x10;
        prop_assert_eq!(CommitHead::decode(&bytes, salt), None);
    }

    #[test]
    fn arbitrary_bytes_are_refused_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), salt in any::<u64>()) {
        prop_assert!(SegmentHeader::decode(&bytes).is_err());
        prop_assert_eq!(CommitHead::decode(&bytes, salt), None);
        prop_assert_eq!(crate::Records::new(0, bytes.clone().into()).filter(|r| r.offset > 1 << 20).count(), 0);
        drop(decode_floors(&bytes));
    }
}

/// Right checksums do not make a number that nothing can be added to one of ours.
#[test]
fn numbers_without_a_next_one_are_refused() {
    let block = BlockEntry {
        kind: BlockKind::Records,
        shard: 0,
        first: u64::MAX,
        count: 1,
        length: 0,
        time_first: 0,
        time_last: 0,
        arg: 0,
        crc: 0,
    };
    let head = CommitHead { number: 1, salt: 2, epoch: 3, mark: 4, time: 5, flags: 0, blocks: vec![block] };
    assert_eq!(CommitHead::decode(&head.encode(), 2), None);
    let head = CommitHead { number: u64::MAX, blocks: Vec::new(), ..head };
    assert_eq!(CommitHead::decode(&head.encode(), 2), None);
    let backwards = BlockEntry { kind: BlockKind::Fence, first: 9, arg: 8, ..block };
    let head = CommitHead { number: 1, blocks: vec![backwards], ..head };
    assert_eq!(CommitHead::decode(&head.encode(), 2), None);
}

/// The bytes as docs/format.md draws them: a change here is a change of the format.
#[test]
fn the_first_version_is_pinned() {
    let header = SegmentHeader {
        id: LogId { account: "000000000000".into(), region: "us-east-1".into(), incarnation: 0x0102 },
        number: 1,
        salt: 2,
        first_commit: 3,
        epoch: 4,
        created: 5,
        floor_time: 6,
        relaxed: true,
        base: 7,
        shards: vec![ShardStart { shard: 8, next: 9, floor: 10, last_time: 11, closed: Some(12) }],
        descriptor: Bytes::from_static(b"descriptor"),
        capacity: 0,
    };
    let bytes = header.encode();
    assert_eq!(bytes.len(), 512);
    assert_eq!(crc32c(&bytes), PINNED_HEADER, "the segment header's bytes changed");
    let block = BlockEntry {
        kind: BlockKind::Records,
        shard: 1,
        first: 2,
        count: 3,
        length: 4,
        time_first: 5,
        time_last: 6,
        arg: 7,
        crc: 8,
    };
    let head = CommitHead { number: 1, salt: 2, epoch: 3, mark: 4, time: 5, flags: 6, blocks: vec![block] };
    let bytes = head.encode();
    assert_eq!((bytes.len(), &bytes[..4]), (144, &b"CCOM"[..]));
    assert_eq!(crc32c(&bytes), PINNED_COMMIT, "the commit's bytes changed");
}

const PINNED_HEADER: u32 = 143_140_037;
const PINNED_COMMIT: u32 = 1_791_791_204;
