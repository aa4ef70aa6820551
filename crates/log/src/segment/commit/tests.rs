use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

use super::*;
use crate::{RecordKeys, Records};

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

struct Task {
    woken: Arc<Count>,
    future: Option<Pin<Box<Committed>>>,
}

impl Task {
    fn new(outcome: &Arc<Outcome>) -> Task {
        let mut task = Task { woken: Arc::default(), future: Some(Box::pin(Committed::new(Arc::clone(outcome)))) };
        assert!(!task.poll());
        task
    }

    fn poll(&mut self) -> bool {
        let waker = Waker::from(Arc::clone(&self.woken));
        self.future.as_mut().is_some_and(|f| f.as_mut().poll(&mut Context::from_waker(&waker)).is_ready())
    }

    fn woken(&self) -> usize {
        self.woken.0.load(Ordering::Relaxed)
    }
}

#[test]
fn one_task_is_woken_and_wakes_the_others_of_its_thread() {
    let outcome = Arc::new(Outcome::default());
    let mut tasks: Vec<Task> = (0..5).map(|_| Task::new(&outcome)).collect();
    outcome.complete(Ok(()));
    assert_eq!(tasks.iter().map(Task::woken).sum::<usize>(), 1);
    let first = tasks.iter().position(|t| t.woken() == 1).expect("one is woken");
    assert!(tasks[first].poll());
    assert!(tasks.iter().all(|t| t.woken() == 1));
    for (at, task) in tasks.iter_mut().enumerate() {
        assert!(at == first || task.poll());
    }
}

#[test]
fn nobody_waits_for_a_task_that_is_gone() {
    for gone_before in [true, false] {
        let outcome = Arc::new(Outcome::default());
        let mut tasks: Vec<Task> = (0..5).map(|_| Task::new(&outcome)).collect();
        if gone_before {
            tasks[4].future = None;
            outcome.complete(Ok(()));
        } else {
            outcome.complete(Ok(()));
            let first = tasks.iter().position(|t| t.woken() == 1).expect("one is woken");
            tasks[first].future = None;
        }
        // Whoever was woken is polled, until nobody is left to be.
        let mut done = [false; 5];
        for _ in 0..5 {
            for (at, task) in tasks.iter_mut().enumerate() {
                if task.woken() > 0 && !done[at] {
                    done[at] = task.future.is_none() || task.poll();
                }
            }
        }
        let all = tasks.iter().zip(done).all(|(task, done)| done || task.future.is_none());
        assert!(all, "gone before: {gone_before}");
    }
}

#[test]
fn a_task_polled_again_waits_once_and_with_its_newest_waker() {
    let outcome = Arc::new(Outcome::default());
    let mut task = Task::new(&outcome);
    let old = Arc::clone(&task.woken);
    task.woken = Arc::default();
    assert!(!task.poll());
    outcome.complete(Ok(()));
    assert_eq!((old.0.load(Ordering::Relaxed), task.woken()), (0, 1));
}

/// A batch of one record of so many bytes in each of the shards.
fn batch(shards: std::ops::Range<ShardIndex>, data: usize) -> Batch {
    let mut batch = Batch::new();
    for shard in shards {
        batch.push(shard, RecordKeys::default(), &vec![shard as u8; data]);
    }
    batch
}

#[test]
fn small_parts_are_brought_together_and_large_ones_stay_as_they_are() {
    // More shards than are searched.
    let shards = 0..2 * SEARCHED as ShardIndex;
    let mut open = OpenCommit::default();
    let sizes = [10, 20, COPY_BELOW, 30, 2 * COPY_BELOW, 40, 50, 60];
    for (at, size) in sizes.into_iter().enumerate() {
        join(&mut open, batch(shards.clone(), size), |_| (at as u64, 1000 + at as TimeMs));
    }
    let sealed = open.seal();
    assert_eq!(sealed.entries.len(), shards.len());
    for entry in &sealed.entries {
        assert_eq!((entry.first, entry.count), (0, sizes.len() as u32));
        assert_eq!((entry.time_first, entry.time_last), (1000, 1007));
        let own: Vec<&Chunk> = sealed.chunks.iter().filter(|c| c.shard == entry.shard).collect();
        assert_eq!(
            own.iter().map(|c| (c.first, c.count)).collect::<Vec<_>>(),
            [(0, 2), (2, 1), (3, 1), (4, 1), (5, 3)]
        );
        assert_eq!(own.iter().map(|c| c.bytes.len()).sum::<usize>(), entry.length as usize);
        assert_eq!(crc32c_of(own.iter().map(|c| &c.bytes[..])), entry.crc);
        let records = own.iter().flat_map(|c| Records::new(c.first, c.bytes.clone()));
        let records: Vec<_> = records.map(|r| (r.offset, r.time, r.data())).collect();
        let sent = sizes.iter().zip(0..).map(|(size, n)| (n, 1000 + n, Bytes::from(vec![entry.shard as u8; *size])));
        assert_eq!(records, sent.collect::<Vec<_>>());
    }
}

#[test]
fn what_is_brought_together_holds_no_more_memory_than_it_takes() {
    let mut open = OpenCommit::default();
    for at in 0..100 {
        join(&mut open, batch(0..1, 1000), |_| (at, 1));
    }
    let sealed = open.seal();
    let [chunk] = &sealed.chunks[..] else { panic!("one chunk") };
    assert_eq!(chunk.held(), chunk.bytes.len());
}

#[test]
fn only_blocks_without_records_have_bodies_of_their_own() {
    let mut open = OpenCommit::default();
    join(&mut open, batch(0..2, 10), |_| (0, 1));
    open.push_control(control(BlockKind::Close, 0, 1, 0, 1), Bytes::new());
    open.push_control(control(BlockKind::Descriptor, 0, 0, 0, 1), Bytes::from_static(b"new"));
    let sealed = open.seal();
    let blocks: Vec<(BlockKind, &[u8])> = sealed.blocks().map(|(entry, body)| (entry.kind, body)).collect();
    let records = (BlockKind::Records, &[][..]);
    assert_eq!(blocks, [records, records, (BlockKind::Close, &[]), (BlockKind::Descriptor, b"new")]);
    let lengths: Vec<usize> = sealed.bodies().map(Bytes::len).collect();
    assert_eq!(lengths.iter().sum::<usize>(), sealed.entries.iter().map(|e| e.length as usize).sum());
}
