//! Who waits for which shard: a commit wakes the readers of its own shards, and nobody else.

use std::collections::HashMap;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::ShardIndex;

/// The watches of one log's shards. Those that nobody holds any more go when their shard next has news.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    shards: Mutex<HashMap<ShardIndex, watch::Sender<u64>>>,
}

impl Watchers {
    /// A watch of the shard's news from now on.
    pub(crate) fn subscribe(&self, shard: ShardIndex) -> watch::Receiver<u64> {
        self.shards.lock().entry(shard).or_default().subscribe()
    }

    /// Which of `shards` are watched. What is new must be there for readers already: whoever subscribes after this call
    /// looks for himself.
    pub(crate) fn watched(&self, shards: impl Iterator<Item = ShardIndex>) -> Vec<ShardIndex> {
        let watched = self.shards.lock();
        if watched.is_empty() { Vec::new() } else { shards.filter(|shard| watched.contains_key(shard)).collect() }
    }

    /// Tells those who watch one of `shards`.
    pub(crate) fn notify(&self, shards: &[ShardIndex]) {
        if shards.is_empty() {
            return;
        }
        let mut watched = self.shards.lock();
        for shard in shards {
            let Some(sender) = watched.get(shard) else { continue };
            if sender.receiver_count() == 0 {
                watched.remove(shard);
            } else {
                sender.send_modify(|n| *n += 1);
            }
        }
    }

    /// Tells all.
    pub(crate) fn notify_all(&self) {
        self.shards.lock().values().for_each(|sender| sender.send_modify(|n| *n += 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_readers_of_a_shard_are_told() {
        let watchers = Watchers::default();
        let (mine, other) = (watchers.subscribe(1), watchers.subscribe(2));
        watchers.notify(&watchers.watched([1, 3].into_iter()));
        assert!(mine.has_changed().unwrap() && !other.has_changed().unwrap());
        watchers.notify_all();
        assert!(other.has_changed().unwrap());
    }

    #[test]
    fn a_watch_that_nobody_holds_goes() {
        let watchers = Watchers::default();
        drop(watchers.subscribe(1));
        assert_eq!(watchers.watched([1].into_iter()), [1]);
        watchers.notify(&[1]);
        assert!(watchers.watched([1].into_iter()).is_empty());
    }
}
