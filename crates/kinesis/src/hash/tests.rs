use proptest::prelude::*;

use super::*;

#[test]
fn partition_keys_hash_as_on_aws() {
    assert_eq!(md5_hash("a"), 16955237001963240173058271559858726497);
    assert_eq!(md5_hash("b"), 195289424170611159128911017612795795343);
    assert_eq!(md5_hash("e"), 299611584147932843547128611849858313266);
    assert_eq!(md5_hash("f"), 190917122200326810055233066464581373159);
}

#[test]
fn hash_keys_stop_below_two_to_the_128() {
    assert_eq!(parse_hash_key("0"), Some(0));
    assert_eq!(parse_hash_key("340282366920938463463374607431768211455"), Some(u128::MAX));
    assert_eq!(parse_hash_key("340282366920938463463374607431768211456"), None);
    for text in ["", "+1", "-1", "1 ", "0x1", "１"] {
        assert_eq!(parse_hash_key(text), None, "{text}");
    }
}

#[test]
fn initial_ranges_are_those_of_aws() {
    assert_eq!(initial_ranges(0), []);
    assert_eq!(initial_ranges(1), [HashRange::ALL]);
    let three = initial_ranges(3);
    assert_eq!(three[0], HashRange { start: 0, end: 113427455640312821154458202477256070484 });
    assert_eq!(
        three[1],
        HashRange { start: 113427455640312821154458202477256070485, end: 226854911280625642308916404954512140969 }
    );
    assert_eq!(three[2], HashRange { start: 226854911280625642308916404954512140970, end: u128::MAX });
    assert_eq!(initial_ranges(4)[1].start, 85070591730234615865843651857942052864);
    let routes = Routes::new(three.into_iter().enumerate().map(|(i, range)| (range, i as u32)));
    assert_eq!(["a", "b", "e", "f"].map(|key| routes.route(md5_hash(key))), [Some(0), Some(1), Some(2), Some(1)]);
}

#[test]
fn splits_leave_two_keys_on_either_side() {
    assert!(!HashRange::ALL.allows_split_at(1));
    assert!(HashRange::ALL.allows_split_at(2));
    assert!(HashRange::ALL.allows_split_at(u128::MAX - 1));
    assert!(!HashRange::ALL.allows_split_at(u128::MAX));
}

#[test]
fn ranges_are_stored_as_decimal_text() {
    let text = serde_json::to_string(&HashRange::ALL).unwrap();
    assert_eq!(text, r#"{"start":"0","end":"340282366920938463463374607431768211455"}"#);
    assert_eq!(serde_json::from_str::<HashRange>(&text).unwrap(), HashRange::ALL);
}

#[test]
fn an_empty_table_routes_nowhere() {
    assert_eq!(Routes::default().route(7), None);
}

proptest! {
    #[test]
    fn initial_ranges_tile_the_space(n in 1u32..20_000) {
        let ranges = initial_ranges(n);
        prop_assert_eq!(ranges.len(), n as usize);
        prop_assert_eq!(ranges[0].start, 0);
        prop_assert_eq!(ranges[ranges.len() - 1].end, u128::MAX);
        prop_assert!(ranges.windows(2).all(|pair| pair[0].is_followed_by(&pair[1])));
    }

    #[test]
    fn even_starts_differ_from_steps_by_less_than_n(n in 2u32..20_000, k in 0u32..20_000) {
        let k = k % n;
        let step = initial_ranges(n)[k as usize].start;
        let even = even_start(k, n);
        prop_assert!(even >= step && even - step < u128::from(n));
    }

    #[test]
    fn routing_finds_the_range(cuts in proptest::collection::btree_set(1u128.., 0..40), key: u128) {
        let mut starts = vec![0];
        starts.extend(cuts);
        let ranges: Vec<HashRange> = starts
            .iter()
            .enumerate()
            .map(|(i, start)| HashRange { start: *start, end: starts.get(i + 1).map_or(u128::MAX, |next| next - 1) })
            .collect();
        let routes = Routes::new(ranges.iter().enumerate().rev().map(|(i, range)| (*range, i as u32)));
        for key in [key, 0, u128::MAX].into_iter().chain(starts.iter().copied()).chain(ranges.iter().map(|r| r.end)) {
            let shard = routes.route(key).unwrap();
            prop_assert!(ranges[shard as usize].contains(key));
        }
    }
}
