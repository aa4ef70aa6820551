use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::*;

fn budget(total: u64) -> Arc<Budget> {
    Budget::new(total, Duration::from_millis(50), Gauge::noop())
}

fn poll<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(work)
}

#[test]
fn what_is_taken_comes_back() {
    run(async {
        let budget = budget(100);
        let mut permit = budget.permit("a".into(), Flow::In);
        permit.grow(60).await.unwrap();
        permit.grow(40).await.unwrap();
        assert_eq!(budget.state.lock().used, 100);
        permit.shrink_to(10);
        assert_eq!((permit.held(), budget.state.lock().used), (10, 10));
        for made in [150, 150, 20] {
            permit.hold(made);
            assert_eq!((permit.held(), budget.state.lock().used), (made, made));
        }
        drop(permit);
        let state = budget.state.lock();
        assert_eq!((state.used, state.owners.len()), (0, 0));
    });
}

#[test]
fn the_longest_waiter_overdraws_and_the_next_one_waits() {
    run(async {
        let budget = budget(100);
        let mut full = budget.permit("a".into(), Flow::In);
        full.grow(100).await.unwrap();
        let mut first = budget.permit("a".into(), Flow::In);
        first.grow(30).await.unwrap();
        first.grow(30).await.unwrap();
        let mut second = budget.permit("a".into(), Flow::In);
        assert_eq!(second.grow(1).await, Err(NoRoom));
        let mut waiting = pin!(second.grow(1));
        assert!(poll(waiting.as_mut()).is_pending());
        drop(first);
        assert_eq!(poll(waiting.as_mut()), Poll::Ready(Ok(true)));
    });
}

#[test]
fn two_half_received_bodies_do_not_block_each_other() {
    run(async {
        let budget = budget(100);
        let (mut one, mut two) = (budget.permit("a".into(), Flow::In), budget.permit("b".into(), Flow::In));
        one.grow(50).await.unwrap();
        two.grow(50).await.unwrap();
        one.grow(40).await.unwrap();
        let mut rest = pin!(two.grow(40));
        assert!(poll(rest.as_mut()).is_pending());
        drop(one);
        assert_eq!(poll(rest.as_mut()), Poll::Ready(Ok(true)));
    });
}

#[test]
fn no_account_goes_beyond_half_while_another_waits() {
    run(async {
        let budget = budget(100);
        let mut greedy: Vec<Permit> = Vec::new();
        for _ in 0..8 {
            let mut permit = budget.permit("greedy".into(), Flow::In);
            permit.grow(10).await.unwrap();
            greedy.push(permit);
        }
        let mut filler = budget.permit("filler".into(), Flow::In);
        filler.grow(20).await.unwrap();
        // Takes the overdraft, so that what follows goes by the rules.
        let mut overdrawing = budget.permit("overdrawing".into(), Flow::In);
        overdrawing.grow(1).await.unwrap();
        let (mut more, mut modest) =
            (budget.permit("greedy".into(), Flow::In), budget.permit("modest".into(), Flow::In));
        let (mut more, mut modest) = (pin!(more.grow(10)), pin!(modest.grow(20)));
        assert!(poll(more.as_mut()).is_pending());
        assert!(poll(modest.as_mut()).is_pending());
        greedy.truncate(6);
        assert!(poll(modest.as_mut()).is_pending());
        // 30 bytes are free, and `more` asked first; but its account would have 60.
        greedy.truncate(5);
        assert_eq!(poll(modest.as_mut()), Poll::Ready(Ok(true)));
        assert!(poll(more.as_mut()).is_pending());
        // Nobody else waits any more: half is no limit.
        drop(filler);
        assert_eq!(poll(more.as_mut()), Poll::Ready(Ok(true)));
    });
}

#[test]
fn a_waiter_that_goes_away_leaves_no_trace() {
    run(async {
        let budget = budget(10);
        let mut full = budget.permit("a".into(), Flow::In);
        full.grow(10).await.unwrap();
        let mut over = budget.permit("a".into(), Flow::In);
        over.grow(1).await.unwrap();
        let mut gone = budget.permit("b".into(), Flow::In);
        {
            let mut waiting = pin!(gone.grow(5));
            assert!(poll(waiting.as_mut()).is_pending());
        }
        assert_eq!(gone.held(), 0);
        {
            // Granted while nobody looks, then dropped.
            let mut waiting = pin!(gone.grow(5));
            assert!(poll(waiting.as_mut()).is_pending());
            drop(full);
        }
        assert_eq!(gone.held(), 5);
        drop((gone, over));
        let state = budget.state.lock();
        assert_eq!((state.used, state.owners.len(), state.waiters.len(), state.waiting_owners), (0, 0, 0, 0));
    });
}

#[test]
fn readers_are_given_room_beside_writers_of_the_same_account() {
    run(async {
        let budget = budget(100);
        let mut writers: Vec<Permit> = (0..4).map(|_| budget.permit("a".into(), Flow::In)).collect();
        for writer in &mut writers {
            writer.grow(25).await.unwrap();
        }
        let (mut first, mut second) = (budget.permit("a".into(), Flow::In), budget.permit("a".into(), Flow::In));
        let mut reader = budget.permit("a".into(), Flow::Out);
        first.grow(25).await.unwrap();
        let mut waits = pin!(second.grow(25));
        assert!(poll(waits.as_mut()).is_pending());
        let mut reads = pin!(reader.grow(25));
        assert!(poll(reads.as_mut()).is_pending());
        // Writers hold 125, then 75: the next room is the reader's, though a writer asked before it.
        drop(writers.pop());
        drop(writers.pop());
        assert!(poll(waits.as_mut()).is_pending());
        assert_eq!(poll(reads.as_mut()), Poll::Ready(Ok(true)));
    });
}

#[test]
fn a_small_request_does_not_wait_behind_large_ones() {
    run(async {
        let budget = budget(4096);
        let mut large = budget.permit("a".into(), Flow::In);
        large.grow(4096).await.unwrap();
        let mut overdraws = budget.permit("a".into(), Flow::In);
        overdraws.grow(100).await.unwrap();
        let mut waits = budget.permit("a".into(), Flow::In);
        let mut waits = pin!(waits.grow(100));
        assert!(poll(waits.as_mut()).is_pending());
        let mut small = budget.permit("a".into(), Flow::In);
        assert_eq!((small.grow(3).await, small.grow(1).await), (Ok(false), Ok(false)));
        // No longer small.
        assert!(poll(pin!(small.grow(1)).as_mut()).is_pending());
        let mut announced = budget.permit("a".into(), Flow::In);
        announced.announce(5);
        assert!(poll(pin!(announced.grow(1)).as_mut()).is_pending());
        // The reserve ends too.
        let mut others: Vec<Permit> = (0..200).map(|_| budget.permit("a".into(), Flow::In)).collect();
        let mut granted = 0;
        for other in &mut others {
            granted += usize::from(poll(pin!(other.grow(4)).as_mut()) == Poll::Ready(Ok(false)));
        }
        assert_eq!(granted, (512 - 100 - 4) / 4);
    });
}
