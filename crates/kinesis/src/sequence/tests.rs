use proptest::prelude::*;

use super::*;

fn v2(text: &str) -> SequenceNumber {
    match SequenceNumber::parse(text) {
        Ok(Parsed::V2(number)) => number,
        other => panic!("{text}: {other:?}"),
    }
}

/// The decimal text of a number given as 47 (or fewer) hexadecimal digits.
fn decimal(hex: &str) -> String {
    let mut digits = vec![0u8];
    for nibble in hex.chars() {
        let mut carry = nibble.to_digit(16).unwrap();
        for digit in &mut digits {
            carry += u32::from(*digit) * 16;
            *digit = (carry % 10) as u8;
            carry /= 10;
        }
        while carry > 0 {
            digits.push((carry % 10) as u8);
            carry /= 10;
        }
    }
    let text: String = digits.iter().rev().map(|d| char::from(b'0' + d)).collect();
    let text = text.trim_start_matches('0');
    if text.is_empty() { "0".to_owned() } else { text.to_owned() }
}

#[test]
fn numbers_from_aws_decode() {
    let start = v2("49563335997420305725896584603874146327194044269160562690");
    assert_eq!(start, SequenceNumber::start_of(1_467_099_768, 0));
    let end = v2("49563335997431456098495849915443705260510755470006288386");
    assert_eq!(end, SequenceNumber::end_of(1_467_099_768, 0, 1_467_099_792));
    let child = v2("49563336006362904550507364483629969354526038951045627922");
    assert_eq!(child, SequenceNumber::start_of(1_467_099_793, 1));
    let record = v2("49594189147623985939251953501666965394405037144469929986");
    assert_eq!(record, SequenceNumber::new(1_553_568_712, 0xc3, 1_553_568_735, 0));
    assert_eq!(record, SequenceNumber::of_record(1_553_568_712, 0, 0xc2, 1_553_568_735_999));
    let record = v2("49669554613075263284170738169223374761157254194237800450");
    assert_eq!((record.index(), record.time() - record.create()), (0x1_49fa_f5fa, 64));
    let continuation = v2("49674026002850188218576229259473476449429298564223254594");
    assert_eq!((continuation.index(), continuation.shard()), (0x5_0ccb_9d26, 3076));
    assert_eq!(continuation.time() - continuation.create(), 13 * 60 + 1);
    for number in [start, end, child, record, continuation] {
        assert_eq!(v2(&number.to_text()), number);
    }
}

#[test]
fn neighbouring_initial_shards_differ_as_on_aws() {
    let [low, high] = [0, 1].map(|shard| SequenceNumber::start_of(1_467_099_768, shard).to_limbs());
    // 2^144 + 2^4
    assert_eq!((high[0] - low[0], high[1] - low[1], high[2] - low[2]), (1 << 16, 0, 1 << 4));
}

#[test]
fn other_layouts_are_told_apart() {
    assert_eq!(SequenceNumber::parse("0"), Ok(Parsed::V0 { shard: 0 }));
    assert_eq!(SequenceNumber::parse("5"), Ok(Parsed::V0 { shard: 5 }));
    let v0 = decimal("1052d3f80000123456789abcdef00003");
    assert_eq!(SequenceNumber::parse(&v0), Ok(Parsed::V0 { shard: 3 }));
    let v1 = decimal("20052d3f8d100052d3f8d30123456789abcd05000000011");
    assert_eq!(SequenceNumber::parse(&v1), Ok(Parsed::V1 { shard: 1, time: 0x52d3f8d3 }));
}

#[test]
fn what_aws_rejects_is_rejected() {
    let sound = "20052d3f8d100000000000000000052d3f8d30000000012";
    assert!(matches!(SequenceNumber::parse(&decimal(sound)), Ok(Parsed::V2(_))));
    for version in ["0", "3", "4", "f"] {
        assert_eq!(SequenceNumber::parse(&decimal(&format!("{}{version}", &sound[..46]))), Err(Invalid));
    }
    for leading in ["1", "3"] {
        assert_eq!(SequenceNumber::parse(&decimal(&format!("{leading}{}", &sound[1..]))), Err(Invalid));
    }
    // An index of 64 bits, and a creation in the year 2477.
    assert_eq!(SequenceNumber::parse(&decimal("20052d3f8d18000000000000000052d3f8d300000000012")), Err(Invalid));
    let late = format!("2{:09x}{}", CREATE_LIMIT, &sound[10..]);
    assert_eq!(SequenceNumber::parse(&decimal(&late)), Err(Invalid));
    let late = format!("1{:09x}00012345678900000003", CREATE_LIMIT);
    assert_eq!(SequenceNumber::parse(&decimal(&format!("{late:0<32}"))), Err(Invalid));
    for text in ["", "-1", "+5", "1e5", "12a", "５", &"9".repeat(58), &"9".repeat(129)] {
        assert_eq!(SequenceNumber::parse(text), Err(Invalid), "{text}");
    }
}

#[test]
fn a_start_must_come_from_the_shard() {
    let own = SequenceNumber::of_record(1000, 3, 9, 2_000_000);
    assert_eq!(parse_start(&own.to_text(), 3, 1000), Ok(own));
    assert_eq!(parse_start(&own.to_text(), 3, 1001), Err(StartMismatch::OtherStream));
    assert_eq!(parse_start(&own.to_text(), 4, 1000), Err(StartMismatch::OtherShard(3)));
    assert_eq!(parse_start("0", 0, 1000), Err(StartMismatch::Internal));
    assert_eq!(parse_start("5", 0, 1000), Err(StartMismatch::OtherShard(5)));
    assert_eq!(parse_start("05x", 0, 1000), Err(StartMismatch::Invalid));
    let negative = SequenceNumber::new(1000, 1, 1000, 0x8000_0000).to_text();
    assert_eq!(parse_start(&negative, 0, 1000), Err(StartMismatch::OtherShard(i32::MIN)));
    let v1 = decimal("20052d3f8d100052d3f8d30123456789abcd05000000011");
    assert_eq!(parse_start(&v1, 1, 0x52d3f8d1), Err(StartMismatch::OtherStream));
}

#[test]
fn ordering_takes_any_shard_but_not_the_future() {
    let number = |time, shard| SequenceNumber::new(1000, 5, time, shard).to_text();
    assert_eq!(check_ordering(&number(2000, 7), 2000), Ok(()));
    assert_eq!(check_ordering(&number(2000, 0x8000_0000), 2000), Ok(()));
    assert_eq!(check_ordering(&number(2001, 7), 2000), Err(Invalid));
    assert_eq!(check_ordering(&number(TIME_MAX, 7), u64::from(u32::MAX)), Err(Invalid));
    assert_eq!(check_ordering("5", 2000), Err(Invalid));
    let v1 = decimal("20052d3f8d100052d3f8d30123456789abcd05000000011");
    assert_eq!(check_ordering(&v1, 0x52d3f8d3), Ok(()));
    assert_eq!(check_ordering(&v1, 0x52d3f8d2), Err(Invalid));
}

#[test]
fn start_and_end_bound_all_records() {
    let start = Position { number: SequenceNumber::start_of(1000, 0), side: Side::After };
    let end = Position { number: SequenceNumber::end_of(1000, 0, 1000), side: Side::At };
    for (offset, arrival) in [(0, 0), (0, 1_000_000), (1 << 40, 5_000_000)] {
        let record = SequenceNumber::of_record(1000, 0, offset, arrival);
        assert!(start.wants(&record) && !end.wants(&record));
        assert!(start.first_offset() <= offset && end.first_offset() > offset);
    }
}

fn number() -> impl Strategy<Value = SequenceNumber> {
    (0..CREATE_LIMIT, 0..=END, 0..=TIME_MAX, any::<u32>()).prop_map(|(create, index, time, shard)| SequenceNumber {
        create,
        index,
        time,
        shard,
    })
}

proptest! {
    #[test]
    fn text_and_number_agree(number in number()) {
        let text = number.to_text();
        prop_assert_eq!(text.len(), 56);
        prop_assert_eq!(&text, &number.to_string());
        prop_assert_eq!(v2(&text), number);
        let [high, middle, low] = number.to_limbs();
        prop_assert_eq!(decimal(&format!("{high:016x}{middle:016x}{low:016x}")), text);
    }

    #[test]
    fn texts_are_ordered_as_numbers_are(a in number(), b in number()) {
        prop_assert_eq!(a.cmp(&b), a.to_text().cmp(&b.to_text()));
    }

    #[test]
    fn parsing_never_panics(text in "[0-9]{0,129}") {
        let _ = SequenceNumber::parse(&text);
    }

    /// Reading on from a number gives exactly the records that lie above it (or at it).
    #[test]
    fn a_position_wants_what_lies_above_it(
        arrivals in proptest::collection::vec(0u64..4_000, 1..20),
        create in 0u64..4,
        pick in 0usize..22,
        seconds_later in 0u64..3,
        after: bool,
    ) {
        let mut arrivals = arrivals;
        arrivals.sort_unstable();
        let records: Vec<SequenceNumber> = arrivals
            .iter()
            .enumerate()
            .map(|(offset, arrival)| SequenceNumber::of_record(create, 0, offset as u64, *arrival))
            .collect();
        let number = match pick {
            0 => SequenceNumber::start_of(create, 0),
            1 => SequenceNumber::end_of(create, 0, create + 4),
            n => {
                let record = records[(n - 2) % records.len()];
                SequenceNumber { time: record.time + seconds_later, ..record }
            }
        };
        let position = Position { number, side: if after { Side::After } else { Side::At } };
        let wanted: Vec<usize> =
            (0..records.len()).filter(|i| if after { records[*i] > number } else { records[*i] >= number }).collect();
        let read: Vec<usize> = (0..records.len())
            .filter(|i| *i as u64 >= position.first_offset())
            .filter(|i| *i as u64 > position.first_offset() || position.wants(&records[*i]))
            .collect();
        prop_assert_eq!(wanted, read);
    }

    /// The position of an offset starts right there, whenever its record arrives.
    #[test]
    fn an_offset_is_its_own_position(create in 0u64..10_000, offset in 0u64..1 << 50, arrival in 0u64..20_000_000) {
        let position = Position::of_offset(create, 0, offset);
        prop_assert_eq!(position.first_offset(), offset);
        prop_assert!(position.wants(&SequenceNumber::of_record(create, 0, offset, arrival)));
        if offset > 0 {
            prop_assert!(!position.wants(&SequenceNumber::of_record(create, 0, offset - 1, arrival)));
        }
    }
}

#[test]
fn a_continuation_number_lies_between_two_records() {
    let (create, shard) = (1_000, 3);
    let record = |offset, ms| SequenceNumber::of_record(create, shard, offset, ms);
    for (latest, next) in [(1_000, 1), (1_000, 5), (2_500, 5), (999, 5)] {
        let number = SequenceNumber::before(create, shard, next, latest);
        assert!(number > record(next - 1, latest * 1_000), "above the record before, whenever it arrived");
        assert!(number < record(next, 0), "below the next one, whenever it arrives");
        let text = number.to_text();
        assert_eq!(parse_start(&text, shard, create), Ok(number));
        for side in [Side::At, Side::After] {
            let position = Position { number, side };
            assert_eq!(position.first_offset(), next - 1);
            assert!(!position.wants(&record(next - 1, latest * 1_000)) && position.wants(&record(next, 0)));
        }
    }
    let first = SequenceNumber::before(create, shard, 0, 5_000);
    assert!(first > SequenceNumber::start_of(create, shard) && first < record(0, 0));
    assert_eq!(Position { number: first, side: Side::After }.first_offset(), 0);
}
