use std::path::Path;

use base64_simd::STANDARD;
use millstream_env::sim::{Crash, SimEnv};
use proptest::prelude::*;

use super::*;

pub(super) const NOW: TimeMs = 1_750_000_000_000;

pub(super) fn keys() -> TokenKeys {
    keys_of(1)
}

/// The keys that a machine with that seed makes.
fn keys_of(seed: u64) -> TokenKeys {
    let env = SimEnv::new(seed).env();
    env.disk.create_dir_all(Path::new("/data")).unwrap();
    TokenKeys::load(&env, Path::new("/data/token-keys")).unwrap()
}

pub(super) fn iterator(stream: &str) -> ShardIterator<'_> {
    ShardIterator {
        account: "123456789012".into(),
        region: "us-east-1".into(),
        stream: stream.into(),
        incarnation: 77,
        shard: 5,
        position: Position::of_offset(1_750_000_000, 5, 41),
        issued: NOW,
    }
}

fn page<'a>() -> PageToken<'a> {
    PageToken {
        operation: "ListShards".into(),
        account: "123456789012".into(),
        region: "us-east-1".into(),
        stream: "s".into(),
        incarnation: 77,
        position: "shardId-000000000003".into(),
        filter: "{}".into(),
        issued: NOW,
    }
}

#[test]
fn iterators_look_like_awss() {
    let keys = keys();
    for length in [1, 20, 64, 128] {
        let stream = "s".repeat(length);
        let token = ShardIterator { region: "ap-southeast-99".into(), ..iterator(&stream) };
        let text = token.seal(&keys);
        let bytes = STANDARD.decode_to_vec(&text).unwrap();
        assert_eq!(bytes[..8], MAGIC);
        assert!(bytes.len() >= 152 && (bytes.len() - 152).is_multiple_of(16), "{}", bytes.len());
        assert!(text.len() <= 512 && text.starts_with("AAAAAAAAAAE"), "{text}");
        assert_eq!(ShardIterator::open(&text, &keys, NOW), Ok(token.clone()));
        assert_eq!(ShardIterator::open(&format!("\"{text}\""), &keys, NOW), Ok(token.clone()));
        assert_ne!(token.seal(&keys), text, "each seal differs");
    }
}

#[test]
fn tokens_expire_after_five_minutes() {
    let keys = keys();
    let text = iterator("s").seal(&keys);
    assert!(ShardIterator::open(&text, &keys, NOW + LIFETIME_MS).is_ok());
    let expired = TokenError::Expired { issued: NOW, now: NOW + LIFETIME_MS + 1 };
    assert_eq!(ShardIterator::open(&text, &keys, NOW + LIFETIME_MS + 1), Err(expired));
    assert!(ShardIterator::open(&text, &keys, NOW - 1000).is_ok());
    let text = page().seal(&keys);
    assert_eq!(PageToken::open(&text, "ListShards", &keys, NOW + LIFETIME_MS), Ok(page()));
    assert_eq!(PageToken::open(&text, "ListShards", &keys, NOW + LIFETIME_MS + 1), Err(expired));
}

#[test]
fn a_token_is_good_for_its_kind_and_operation_only() {
    let keys = keys();
    assert_eq!(PageToken::open(&iterator("s").seal(&keys), "ListShards", &keys, NOW), Err(TokenError::Malformed));
    let text = page().seal(&keys);
    assert_eq!(ShardIterator::open(&text, &keys, NOW), Err(TokenError::Malformed));
    assert_eq!(PageToken::open(&text, "ListStreams", &keys, NOW), Err(TokenError::Malformed));
}

#[test]
fn what_is_not_a_token_is_malformed() {
    let keys = keys();
    let sound = iterator("s").seal(&keys);
    let zeros = STANDARD.encode_to_string([0; 152]);
    let (unpadded, url) = (sound.trim_end_matches('='), sound.replace('+', "-").replace('/', "_"));
    let spaced = format!("{} {}", &sound[..10], &sound[10..]);
    let half_quoted = format!("\"{sound}");
    for text in ["", "\"", "\"\"", "abc", &zeros, unpadded, &url, &spaced, &half_quoted, &sound[4..]] {
        if text != sound {
            assert_eq!(ShardIterator::open(text, &keys, NOW), Err(TokenError::Malformed), "{text}");
        }
    }
    assert_eq!(ShardIterator::open(&sound, &keys_of(2), NOW), Err(TokenError::Malformed));
}

#[test]
fn base64_must_be_canonical() {
    let keys = keys();
    // 152 bytes leave unused bits in the last character before the padding.
    let sound = iterator("s").seal(&keys);
    let at = sound.find('=').expect("padding");
    let last = sound.as_bytes()[at - 1];
    let other = [last + 1, last - 1].into_iter().find(|c| c.is_ascii_alphanumeric()).unwrap();
    let text = format!("{}{}{}", &sound[..at - 1], char::from(other), &sound[at..]);
    assert_eq!(ShardIterator::open(&text, &keys, NOW), Err(TokenError::Malformed));
}

#[test]
fn keys_outlive_restarts_and_rotation() {
    let path = Path::new("/data/token-keys");
    let sim = SimEnv::new(1);
    sim.env().disk.create_dir_all(Path::new("/data")).unwrap();
    sim.env().disk.sync_dir(Path::new("/")).unwrap();
    let keys = TokenKeys::load(&sim.env(), path).unwrap();
    let first = iterator("s").seal(&keys);
    let sim = sim.restart(Crash::PowerLoss);
    let keys = TokenKeys::load(&sim.env(), path).unwrap();
    assert!(ShardIterator::open(&first, &keys, NOW).is_ok());
    keys.rotate().unwrap();
    let second = iterator("s").seal(&keys);
    assert!(ShardIterator::open(&first, &keys, NOW).is_ok());
    let sim = sim.restart(Crash::PowerLoss);
    let keys = TokenKeys::load(&sim.env(), path).unwrap();
    for text in [&first, &second] {
        assert!(ShardIterator::open(text, &keys, NOW).is_ok());
    }
    for _ in 0..7 {
        keys.rotate().unwrap();
    }
    assert_eq!(ShardIterator::open(&first, &keys, NOW), Err(TokenError::Malformed));
    assert!(ShardIterator::open(&second, &keys, NOW).is_ok());
}

#[test]
fn tokens_of_retired_keys_have_expired() {
    let path = Path::new("/data/token-keys");
    let sim = SimEnv::new(1);
    sim.env().disk.create_dir_all(Path::new("/data")).unwrap();
    sim.env().disk.sync_dir(Path::new("/")).unwrap();
    let keys = TokenKeys::load(&sim.env(), path).unwrap();
    keys.rotate().unwrap();
    let (iterator_text, page_text) = (iterator("s").seal(&keys), page().seal(&keys));
    let copy = sim.env().disk.read_file(path).unwrap();
    keys.retire().unwrap();
    let expired = |issued| Err::<ShardIterator<'_>, _>(TokenError::Expired { issued, now: NOW });
    let sim = sim.restart(Crash::PowerLoss);
    let keys = TokenKeys::load(&sim.env(), path).unwrap();
    assert_eq!(ShardIterator::open(&iterator_text, &keys, NOW), expired(iterator("s").issued));
    assert_eq!(
        PageToken::open(&page_text, "ListShards", &keys, NOW),
        Err(TokenError::Expired { issued: page().issued, now: NOW })
    );
    let fresh = iterator("s").seal(&keys);
    assert!(ShardIterator::open(&fresh, &keys, NOW).is_ok());
    // Another one that has gone on from the same keys.
    sim.env().disk.write_file(path, &copy).unwrap();
    let other = TokenKeys::load(&sim.env(), path).unwrap();
    assert_eq!(ShardIterator::open(&fresh, &other, NOW), Err(TokenError::Malformed), "nothing was retired there");
    other.retire().unwrap();
    assert_eq!(ShardIterator::open(&fresh, &other, NOW), expired(0));
    assert_eq!(ShardIterator::open("AAAA", &other, NOW), Err(TokenError::Malformed));
    for _ in 0..20 {
        keys.retire().unwrap();
    }
    assert!(TokenKeys::load(&sim.env(), path).is_ok());
}

#[test]
fn a_file_of_something_else_is_refused() {
    let path = Path::new("/data/token-keys");
    for (content, bad_line) in [
        ("", 1),
        ("millstream token keys 3\n", 1),
        ("millstream token keys 1\n", 2),
        ("millstream token keys 1\n1 abcd\n", 2),
        (&format!("millstream token keys 1\n1 {}\nx {}\n", "a1".repeat(32), "a1".repeat(32)), 3),
        (&format!("millstream token keys 1\n1 {}\n2 {}\n", "a1".repeat(32) + " retired", "a1".repeat(32)), 2),
        (&format!("millstream token keys 1\n1 {}\n1 {}\n", "a1".repeat(32), "b2".repeat(32)), 3),
    ] {
        let sim = SimEnv::new(1);
        sim.env().disk.create_dir_all(Path::new("/data")).unwrap();
        sim.env().disk.write_file(path, content.as_bytes()).unwrap();
        match TokenKeys::load(&sim.env(), path) {
            Err(KeysError::Content { line, .. }) => assert_eq!(line, bad_line, "{content}"),
            other => panic!("{content}: {other:?}"),
        }
    }
}

#[test]
fn a_changed_key_is_noticed() {
    let path = Path::new("/data/token-keys");
    let sim = SimEnv::new(1);
    sim.env().disk.create_dir_all(Path::new("/data")).unwrap();
    TokenKeys::load(&sim.env(), path).unwrap().rotate().unwrap();
    let whole = sim.env().disk.read_file(path).unwrap();
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        sim.env().disk.write_file(path, &damaged).unwrap();
        TokenKeys::load(&sim.env(), path).expect_err("refused");
        sim.env().disk.write_file(path, &whole[..at]).unwrap();
        TokenKeys::load(&sim.env(), path).expect_err("refused");
    }
}

#[test]
fn a_file_without_a_checksum_gets_one() {
    let path = Path::new("/data/token-keys");
    let sim = SimEnv::new(1);
    sim.env().disk.create_dir_all(Path::new("/data")).unwrap();
    let old = TokenKeys::load(&sim.env(), path).unwrap();
    let text = String::from_utf8(sim.env().disk.read_file(path).unwrap()).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let first = format!("millstream token keys 1\n{}\n", lines[1]);
    sim.env().disk.write_file(path, first.as_bytes()).unwrap();
    let keys = TokenKeys::load(&sim.env(), path).unwrap();
    assert!(ShardIterator::open(&iterator("s").seal(&old), &keys, NOW).is_ok());
    assert_eq!(sim.env().disk.read_file(path).unwrap(), text.as_bytes());
}

proptest! {
    #[test]
    fn any_change_is_noticed(at in 0usize..216, flip in 1u8..=255) {
        let keys = keys();
        let mut bytes = STANDARD.decode_to_vec(iterator("some-stream").seal(&keys)).unwrap();
        let at = at % bytes.len();
        bytes[at] ^= flip;
        let text = STANDARD.encode_to_string(&bytes);
        prop_assert_eq!(ShardIterator::open(&text, &keys, NOW), Err(TokenError::Malformed));
    }

    #[test]
    fn any_text_is_opened_or_refused(text in "\"?[A-Za-z0-9+/]{0,300}={0,2}\"?") {
        prop_assert_eq!(ShardIterator::open(&text, &keys(), NOW), Err(TokenError::Malformed));
    }

    #[test]
    fn page_tokens_carry_any_text(position in ".{0,300}", filter in ".{0,2000}", incarnation: u64) {
        let keys = keys();
        let token = PageToken { position: position.into(), filter: filter.into(), incarnation, ..page() };
        prop_assert_eq!(PageToken::open(&token.seal(&keys), "ListShards", &keys, NOW), Ok(token));
    }
}
