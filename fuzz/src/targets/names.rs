//! Names and numbers in requests: ARNs, sequence numbers, hash keys, shard ids, regions and origins; and policies.

use millstream_kinesis::fuzzing::check_policy;
use millstream_kinesis::hash::{HashKey, HashRange, Routes, even_start, initial_ranges, parse_hash_key};
use millstream_kinesis::limits::Scale;
use millstream_kinesis::sequence::{Parsed, SequenceNumber, check_ordering, parse_start};
use millstream_kinesis::{ResourceAddress, parse_shard_id, shard_id};
use millstream_server::{is_origin, is_region};

use super::Input;

/// By the first byte, the rest as one of these.
pub(super) fn names(bytes: &[u8]) {
    let mut input = Input(bytes);
    let choice = input.byte() % 6;
    let Ok(text) = std::str::from_utf8(input.0) else { return };
    match choice {
        0 => arn(text),
        1 => sequence_numbers(text),
        2 => hash_keys(text),
        3 => ranges(&mut input),
        4 => {
            if let Some(index) = parse_shard_id(text) {
                assert_eq!(parse_shard_id(&shard_id(index)), Some(index));
            }
        }
        _ => {
            if is_region(text) {
                assert!(text.is_ascii() && !text.contains(['/', '.', '\0']), "it names a directory: {text}");
            }
            is_origin(text);
            if let Ok(scale) = text.parse::<Scale>() {
                assert_eq!(scale.to_string().parse(), Ok(scale), "{text}");
            }
        }
    }
}

fn arn(text: &str) {
    let Some(address) = ResourceAddress::from_arn(text) else { return };
    let printed = match &address {
        ResourceAddress::Stream(stream) => stream.arn(),
        ResourceAddress::Consumer(consumer) => consumer.arn(),
    };
    assert_eq!(ResourceAddress::from_arn(&printed), Some(address), "{text}");
}

fn sequence_numbers(text: &str) {
    let mut parsed = Vec::new();
    for text in text.split_ascii_whitespace().take(4) {
        let number = SequenceNumber::parse(text);
        if let Ok(Parsed::V2(number)) = number {
            let printed = number.to_text();
            assert_eq!(SequenceNumber::parse(&printed), Ok(Parsed::V2(number)), "{text}");
            assert_eq!(
                parse_start(&printed, number.shard(), number.create()).is_ok(),
                number.shard() <= i32::MAX as u32
            );
            parsed.push((number, printed));
        }
        assert_eq!(check_ordering(text, u64::MAX).is_ok(), matches!(number, Ok(Parsed::V1 { .. } | Parsed::V2(_))));
    }
    for (a, a_text) in &parsed {
        for (b, b_text) in &parsed {
            assert_eq!(a.cmp(b), a_text.cmp(b_text), "numbers sort as their digits do");
        }
    }
}

fn hash_keys(text: &str) {
    let Some(key) = parse_hash_key(text) else { return };
    let digits = text.trim_start_matches('0');
    assert_eq!(key.to_string(), if digits.is_empty() { "0" } else { digits });
}

/// The first ranges of a stream tile the space, whatever their number is.
fn ranges(input: &mut Input<'_>) {
    let count = 1 + input.number() as u32 % 2000;
    let key = HashKey::from(input.number()) << 64 | HashKey::from(input.number());
    let ranges = initial_ranges(count);
    assert_eq!(ranges.len(), count as usize);
    assert_eq!((ranges[0].start, ranges[ranges.len() - 1].end), (0, HashKey::MAX));
    assert!(ranges.windows(2).all(|pair| pair[0].is_followed_by(&pair[1])));
    let routes = Routes::new(ranges.iter().copied().zip(0..));
    let shard = routes.route(key).expect("the ranges tile the space");
    assert!(ranges[shard as usize].contains(key));
    assert!((1..count).all(|k| even_start(k - 1, count) < even_start(k, count)));
    assert!(!HashRange { start: key, end: key }.allows_split_at(key));
}

/// A policy of a stream (an even first byte) or of a consumer.
pub(super) fn policies(bytes: &[u8]) {
    let mut input = Input(bytes);
    let of_stream = input.byte().is_multiple_of(2);
    let Ok(text) = std::str::from_utf8(input.0) else { return };
    if let Err(why) = check_policy(text, of_stream) {
        assert!(why.len() <= 300 + text.len(), "an error says no more than was asked: {why}");
    }
}
