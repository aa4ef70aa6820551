//! Who waits for which shard: a commit wakes the readers of its own shards, and nobody else.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

use crate::ShardIndex;
use crate::wakers::{Ticket, Wakers};

/// A shard's news: how many there were, and who waits for the next.
#[derive(Debug, Default)]
struct News {
    number: u64,
    wakers: Wakers,
}

/// A watch of a shard's news. Dropping it, or what [`Watch::changed`] gave, ends the wait.
#[derive(Debug)]
pub struct Watch {
    news: Arc<Mutex<News>>,
    /// How many news have been seen.
    seen: u64,
    ticket: Option<Ticket>,
}

impl Watch {
    fn new(news: &Arc<Mutex<News>>) -> Watch {
        let seen = news.lock().number;
        Watch { news: Arc::clone(news), seen, ticket: None }
    }

    /// Whether there are news that were not seen.
    pub fn has_changed(&self) -> bool {
        self.news.lock().number != self.seen
    }

    /// Takes all news so far for seen.
    pub fn mark_unchanged(&mut self) {
        self.leave();
        self.seen = self.news.lock().number;
    }

    /// Waits for news that were not seen, and takes them for seen. May be dropped at any time.
    pub async fn changed(&mut self) {
        let waiting = Waiting(self);
        poll_fn(|context| waiting.0.poll(context)).await;
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut news = self.news.lock();
        if news.number == self.seen {
            self.ticket = Some(news.wakers.wait(self.ticket, context.waker()));
            return Poll::Pending;
        }
        self.seen = news.number;
        let others = self.ticket.take().map(|ticket| {
            news.wakers.forget(ticket);
            news.wakers.take(ticket)
        });
        drop(news);
        others.into_iter().flatten().for_each(Waker::wake);
        Poll::Ready(())
    }

    /// Wakes those that count on this one, if there are news; else stops waiting.
    fn leave(&mut self) {
        let Some(ticket) = self.ticket.take() else { return };
        let others = {
            let mut news = self.news.lock();
            news.wakers.forget(ticket);
            if news.number == self.seen { Vec::new() } else { news.wakers.take(ticket) }
        };
        others.into_iter().for_each(Waker::wake);
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.leave();
    }
}

/// A watch while somebody waits with it.
struct Waiting<'a>(&'a mut Watch);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// The watches of one log's shards. Those that nobody holds any more go when their shard next has news.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    shards: Mutex<HashMap<ShardIndex, Arc<Mutex<News>>>>,
}

impl Watchers {
    /// A watch of the shard's news from now on.
    pub(crate) fn subscribe(&self, shard: ShardIndex) -> Watch {
        Watch::new(self.shards.lock().entry(shard).or_default())
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
        let mut first = Vec::new();
        let mut watched = self.shards.lock();
        for shard in shards {
            let Some(news) = watched.get(shard) else { continue };
            if Arc::strong_count(news) == 1 {
                watched.remove(shard);
            } else {
                first.append(&mut tell(news));
            }
        }
        drop(watched);
        first.into_iter().for_each(Waker::wake);
    }

    /// Tells all.
    pub(crate) fn notify_all(&self) {
        let first: Vec<Waker> = self.shards.lock().values().flat_map(tell).collect();
        first.into_iter().for_each(Waker::wake);
    }
}

/// Counts a piece of news; gives whom to wake of it.
fn tell(news: &Arc<Mutex<News>>) -> Vec<Waker> {
    let mut news = news.lock();
    news.number += 1;
    news.wakers.firsts()
}

#[cfg(test)]
mod tests {
    use std::pin::{Pin, pin};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn poll(future: Pin<&mut impl Future<Output = ()>>, count: &Arc<Count>) -> bool {
        future.poll(&mut Context::from_waker(&Waker::from(Arc::clone(count)))).is_ready()
    }

    #[test]
    fn only_the_readers_of_a_shard_are_told() {
        let watchers = Watchers::default();
        let (mine, other) = (watchers.subscribe(1), watchers.subscribe(2));
        watchers.notify(&watchers.watched([1, 3].into_iter()));
        assert!(mine.has_changed() && !other.has_changed());
        watchers.notify_all();
        assert!(other.has_changed());
    }

    #[test]
    fn a_watch_that_nobody_holds_goes() {
        let watchers = Watchers::default();
        drop(watchers.subscribe(1));
        assert_eq!(watchers.watched([1].into_iter()), [1]);
        watchers.notify(&[1]);
        assert!(watchers.watched([1].into_iter()).is_empty());
    }

    #[test]
    fn what_was_seen_is_waited_for_no_more() {
        let (watchers, woken) = (Watchers::default(), Arc::default());
        let mut watch = watchers.subscribe(1);
        watchers.notify(&[1]);
        assert!(poll(pin!(watch.changed()), &woken));
        assert!(!poll(pin!(watch.changed()), &woken));
        watchers.notify(&[1]);
        watch.mark_unchanged();
        assert!(!watch.has_changed());
        assert_eq!(woken.0.load(Ordering::Relaxed), 0, "nobody waited");
    }

    #[test]
    fn one_task_is_woken_and_wakes_the_others_of_its_thread_also_by_giving_up() {
        for gives_up in [false, true] {
            let (watchers, woken) = (Watchers::default(), Arc::default());
            let mut watches: Vec<Watch> = (0..5).map(|_| watchers.subscribe(1)).collect();
            let mut waiting: Vec<_> = watches.iter_mut().map(|watch| Box::pin(watch.changed())).collect();
            for task in &mut waiting {
                assert!(!poll(task.as_mut(), &woken));
            }
            watchers.notify(&[1]);
            assert_eq!(woken.0.load(Ordering::Relaxed), 1);
            // The last that began to wait is the one.
            let mut last = waiting.pop().unwrap();
            assert!(gives_up || poll(last.as_mut(), &woken));
            drop(last);
            assert_eq!(woken.0.load(Ordering::Relaxed), 5);
            assert!(waiting.iter_mut().all(|task| poll(task.as_mut(), &woken)));
        }
    }
}
