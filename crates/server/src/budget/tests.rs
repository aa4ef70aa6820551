use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use millstream_env::Clock;

use super::*;

/// A clock that is moved by hand.
#[derive(Default)]
struct Manual(AtomicU64);

impl Clock for Manual {
    fn wall(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.wall())
    }
}

fn budget(total: u64) -> Arc<Budget> {
    Budget::new(total, Duration::from_millis(50), Arc::new(ServerClock::new(Arc::new(Manual::default()))))
}

/// Nothing is held, and nobody waits or is counted.
fn is_at_rest(budget: &Budget) -> bool {
    let state = budget.state.lock();
    let idle = |share: &Share| (share.permits, share.used, share.waiting) == (0, 0, 0);
    state.used == 0
        && state.waiters.is_empty()
        && (state.small_waiters, state.waiting_owners) == (0, 0)
        && state.overdrawing.is_none()
        && state.leaving.is_empty()
        && state.owners.shares.iter().all(idle)
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
        assert!(is_at_rest(&budget));
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
        assert!(is_at_rest(&budget));
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

#[test]
fn a_small_request_that_waits_is_the_first_to_be_served() {
    run(async {
        let budget = budget(4096);
        let mut large = budget.permit("a".into(), Flow::In);
        large.grow(4096).await.unwrap();
        let mut overdraws = budget.permit("a".into(), Flow::In);
        overdraws.grow(600).await.unwrap();
        let (mut waits, mut small) = (budget.permit("a".into(), Flow::In), budget.permit("a".into(), Flow::In));
        let (mut waits, mut small) = (pin!(waits.grow(100)), pin!(small.grow(4)));
        assert!(poll(waits.as_mut()).is_pending());
        assert!(poll(small.as_mut()).is_pending());
        // Room in the reserve, and none in the budget.
        large.shrink_to(4000);
        assert_eq!(poll(small.as_mut()), Poll::Ready(Ok(true)));
        assert!(poll(waits.as_mut()).is_pending());
        drop(large);
        assert_eq!(poll(waits.as_mut()), Poll::Ready(Ok(true)));
    });
}

#[test]
fn who_has_overdrawn_makes_room_for_another_when_all_fits_again() {
    run(async {
        let budget = budget(100);
        let mut large = budget.permit("a".into(), Flow::In);
        large.grow(90).await.unwrap();
        let (mut first, mut second) = (budget.permit("a".into(), Flow::Out), budget.permit("a".into(), Flow::Out));
        first.grow(50).await.unwrap();
        let mut waits = pin!(second.grow(50));
        assert!(poll(waits.as_mut()).is_pending());
        first.shrink_to(20);
        assert!(poll(waits.as_mut()).is_pending(), "it still overdraws");
        first.shrink_to(10);
        assert_eq!(poll(waits.as_mut()), Poll::Ready(Ok(true)));
    });
}

#[test]
fn who_waits_has_the_oldest_answer_broken_off() {
    run(async {
        let time = Arc::new(Manual::default());
        let clock = Arc::new(ServerClock::new(Arc::clone(&time) as Arc<dyn Clock>));
        let budget = Budget::new(100, Duration::from_millis(50), clock);
        let mut answers = Vec::new();
        for at in 0..6 {
            // The first one leaves last.
            time.0.store(1000 - 10 * at, Ordering::Relaxed);
            let (mut permit, connection) = (budget.permit("a".into(), Flow::Out), Activity::alone());
            permit.grow(16).await.unwrap();
            permit.leaves_by(&connection);
            answers.push((permit, connection));
        }
        let mut overdraws = budget.permit("a".into(), Flow::Out);
        overdraws.grow(16).await.unwrap();
        let broken = |answers: &[(Permit, Arc<Activity>)]| {
            answers.iter().map(|(_, connection)| connection.reason()).collect::<Vec<_>>()
        };
        let mut waits = budget.permit("a".into(), Flow::Out);
        // None of them is older than the patience.
        time.0.store(1000, Ordering::Relaxed);
        assert_eq!(waits.grow(16).await, Err(NoRoom));
        assert_eq!(broken(&answers), [None; 6]);
        // Two of them are, and there is one who waits.
        time.0.store(1011, Ordering::Relaxed);
        assert_eq!(waits.grow(16).await, Err(NoRoom));
        assert_eq!(broken(&answers), [None, None, None, None, None, Some(HELD_MEMORY)]);
        answers.pop();
        // One that has left by itself is nobody's any more.
        answers.remove(4);
        time.0.store(2000, Ordering::Relaxed);
        let mut more = budget.permit("b".into(), Flow::Out);
        more.charge(36);
        {
            // After half of the patience, so that there is still time to be served.
            let mut grows = pin!(waits.grow(16));
            while broken(&answers) != [None, None, None, Some(HELD_MEMORY)] {
                assert!(poll(grows.as_mut()).is_pending());
                runtime::sleep(Duration::from_millis(1)).await;
            }
            answers.pop();
            overdraws.shrink_to(0);
            assert_eq!(grows.await, Ok(true));
        }
        drop((answers, overdraws, waits, more));
        assert!(is_at_rest(&budget));
    });
}

#[test]
fn who_has_most_answers_that_stay_is_broken_off_where_no_large_one_does() {
    run(async {
        let budget = budget(100);
        let (few, many, done) = (Activity::alone(), Activity::alone(), Activity::alone());
        let mut requests: Vec<_> = [&few, &many, &many].iter().map(|connection| connection.begin()).collect();
        for request in &mut requests {
            request.answered();
        }
        let _stay = [budget.overdue(&few), budget.overdue(&many)];
        drop(budget.overdue(&done));
        let mut holds = budget.permit("a".into(), Flow::Out);
        holds.charge(100);
        let mut overdraws = budget.permit("a".into(), Flow::Out);
        overdraws.grow(16).await.unwrap();
        let mut waits = budget.permit("a".into(), Flow::Out);
        for reasons in [[None, Some(HELD_MEMORY)], [Some(HELD_MEMORY), Some(HELD_MEMORY)]] {
            assert_eq!(waits.grow(16).await, Err(NoRoom));
            assert_eq!([&few, &many].map(|connection| connection.reason()), reasons);
        }
        assert_eq!(waits.grow(16).await, Err(NoRoom));
        assert_eq!(done.reason(), None);
    });
}

#[test]
fn owners_beyond_number_are_forgotten() {
    run(async {
        let budget = budget(1 << 20);
        for account in 0..2 * IDLE_OWNERS {
            budget.permit(account.to_string().into(), Flow::In).grow(1).await.unwrap();
        }
        let state = budget.state.lock();
        assert!(state.owners.places.len() <= IDLE_OWNERS + 1 && state.owners.shares.len() <= IDLE_OWNERS + 1);
    });
}
