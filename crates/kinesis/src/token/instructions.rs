//! What `make bench-instructions` counts of the tokens. As tests they check that the pieces do their work.

use millstream_env::counted;

use super::ShardIterator;
use super::tests::{NOW, iterator, keys};

#[test]
fn seal_iterator() {
    let (iterator, keys) = (iterator("a-stream-of-records"), keys());
    let seal = || iterator.seal(&keys);
    assert_ne!(seal(), seal());
    counted(seal);
}

#[test]
fn open_iterator() {
    let (iterator, keys) = (iterator("a-stream-of-records"), keys());
    let text = iterator.seal(&keys);
    let open = || ShardIterator::open(&text, &keys, NOW).unwrap();
    assert_eq!(open(), iterator);
    counted(open);
}
