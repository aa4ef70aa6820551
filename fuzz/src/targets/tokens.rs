//! Sealed tokens: those that we did not make open nothing, those that we made come back.

use std::path::Path;
use std::sync::LazyLock;

use millstream_env::sim::SimEnv;
use millstream_kinesis::sequence::{Position, SequenceNumber, Side};
use millstream_kinesis::token::{LIFETIME_MS, PageToken, ShardIterator, TokenError, TokenKeys};

use super::Input;

/// Keys that no input knows, the same in every run.
static KEYS: LazyLock<TokenKeys> = LazyLock::new(|| {
    let machine = SimEnv::new(7);
    machine.env().disk.create_dir_all(Path::new("/data")).expect("a directory");
    TokenKeys::load(&machine.env(), Path::new("/data/keys")).expect("new keys")
});

const OPERATIONS: [&str; 3] = ["ListShards", "ListStreams", "ListStreamConsumers"];

/// By the first byte: any text, an iterator, or a page token of any fields.
pub(super) fn tokens(bytes: &[u8]) {
    let mut input = Input(bytes);
    match input.byte() % 3 {
        0 => forged(&String::from_utf8_lossy(input.0)),
        1 => iterator(&mut input),
        _ => page(&mut input),
    }
}

fn forged(text: &str) {
    assert_eq!(ShardIterator::open(text, &KEYS, 0), Err(TokenError::Malformed));
    for operation in OPERATIONS {
        assert_eq!(PageToken::open(text, operation, &KEYS, 0), Err(TokenError::Malformed));
    }
}

fn iterator(input: &mut Input<'_>) {
    let number = SequenceNumber::new(input.number(), input.number(), input.number(), input.number() as u32);
    let side = if input.byte().is_multiple_of(2) { Side::At } else { Side::After };
    let made = ShardIterator {
        issued: input.number(),
        incarnation: input.number(),
        shard: number.shard(),
        position: Position { number, side },
        account: input.text().into(),
        region: input.text().into(),
        stream: input.text().into(),
    };
    let text = made.seal(&KEYS);
    let now = made.issued.saturating_add(LIFETIME_MS);
    assert_eq!(ShardIterator::open(&text, &KEYS, now).as_ref(), Ok(&made));
    assert_eq!(ShardIterator::open(&format!("\"{text}\""), &KEYS, 0).as_ref(), Ok(&made));
    if let Some(later) = now.checked_add(1) {
        assert!(matches!(ShardIterator::open(&text, &KEYS, later), Err(TokenError::Expired { .. })));
    }
    assert!(matches!(PageToken::open(&text, OPERATIONS[0], &KEYS, 0), Err(TokenError::Malformed)));
    forged(&changed(&text, input));
}

fn page(input: &mut Input<'_>) {
    let operation = OPERATIONS[usize::from(input.byte()) % OPERATIONS.len()];
    let made = PageToken {
        operation: operation.into(),
        incarnation: input.number(),
        issued: input.number(),
        account: input.text().into(),
        region: input.text().into(),
        stream: input.text().into(),
        position: input.text().into(),
        filter: input.text().into(),
    };
    let text = made.seal(&KEYS);
    for other in OPERATIONS {
        let opened = PageToken::open(&text, other, &KEYS, made.issued);
        assert_eq!(opened.as_ref(), if other == operation { Ok(&made) } else { Err(&TokenError::Malformed) });
    }
    assert!(matches!(ShardIterator::open(&text, &KEYS, 0), Err(TokenError::Malformed)));
    forged(&changed(&text, input));
}

/// The text with one character that is another.
fn changed(text: &str, input: &mut Input<'_>) -> String {
    let at = input.number() as usize % text.len();
    let mut bytes = text.as_bytes().to_vec();
    let other = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="[usize::from(input.byte()) % 65];
    bytes[at] = if bytes[at] == other { b'.' } else { other };
    String::from_utf8(bytes).expect("it is ASCII")
}
