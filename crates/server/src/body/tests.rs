use std::collections::VecDeque;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Frame, SizeHint};
use millstream_env::Env;

use super::*;
use crate::budget::{Budget, Flow};

/// A body that gives one piece every `gap`.
struct Pieces {
    pieces: VecDeque<Bytes>,
    declared: u64,
    gap: Duration,
    timer: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if !self.gap.is_zero() {
            let gap = self.gap;
            let timer = self.timer.get_or_insert_with(|| Box::pin(runtime::sleep(gap)));
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.timer = None;
        }
        Poll::Ready(self.pieces.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = SizeHint::new();
        hint.set_lower(self.declared);
        hint
    }
}

fn pieces(sizes: &[usize], declared: u64, gap: Duration) -> Pieces {
    let pieces = sizes.iter().map(|size| Bytes::from(vec![7; *size])).collect();
    Pieces { pieces, declared, gap, timer: None }
}

const RULES: BodyRules = BodyRules { max: 100, pace: Pace { window: Duration::from_millis(40), bytes: 10 }, times: 1 };

fn outcome(body: Pieces, memory: u64) -> (Result<usize, BodyError>, u64) {
    let budget = Budget::new(memory, Duration::from_millis(20), Env::real(1).clock);
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
        let mut other = budget.permit(Arc::from("other"), Flow::In);
        other.charge(memory / 2);
        let mut permit = budget.permit(Arc::from("a"), Flow::In);
        let result = read(body, RULES, &Activity::alone(), &mut permit).await;
        (result.map(|bytes| bytes.len()), permit.held())
    })
}

#[test]
fn whole_bodies_are_held_by_the_permit() {
    for sizes in [&[][..], &[5], &[5, 6, 7], &[100], &[50, 50]] {
        let total: usize = sizes.iter().sum();
        assert_eq!(outcome(pieces(sizes, 0, Duration::ZERO), 1000), (Ok(total), total as u64));
        assert_eq!(outcome(pieces(sizes, total as u64, Duration::ZERO), 1000), (Ok(total), total as u64));
    }
}

#[test]
fn a_body_too_large_is_read_but_not_kept() {
    assert_eq!(outcome(pieces(&[60, 60], 0, Duration::ZERO), 1000), (Err(BodyError::TooLarge), 0));
    assert_eq!(outcome(pieces(&[60], 101, Duration::ZERO), 1000), (Err(BodyError::TooLarge), 0));
    let endless = vec![50; 1000];
    assert_eq!(outcome(pieces(&endless, 0, Duration::ZERO), 1000), (Err(BodyError::TooLarge), 0));
}

#[test]
fn a_trickle_is_cut() {
    let slow = pieces(&[1; 100], 100, Duration::from_millis(15));
    assert_eq!(outcome(slow, 1000).0, Err(BodyError::TooSlow));
    let steady = pieces(&[20; 5], 100, Duration::from_millis(15));
    assert_eq!(outcome(steady, 1000).0, Ok(100));
}

#[test]
fn a_full_budget_refuses_all_but_one() {
    let budget = Budget::new(10, Duration::from_millis(20), Env::real(1).clock);
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
        let mut full = budget.permit(Arc::from("a"), Flow::In);
        full.charge(10);
        let mut overdraws = budget.permit(Arc::from("a"), Flow::In);
        assert!(read(pieces(&[40, 40], 80, Duration::ZERO), RULES, &Activity::alone(), &mut overdraws).await.is_ok());
        let mut refused = budget.permit(Arc::from("a"), Flow::In);
        let result = read(pieces(&[1], 1, Duration::ZERO), RULES, &Activity::alone(), &mut refused).await;
        assert_eq!(result, Err(BodyError::NoRoom));
    });
}

#[test]
fn waiting_for_memory_is_not_the_peers_fault() {
    let budget = Budget::new(10, Duration::from_secs(5), Env::real(1).clock);
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
        let mut full = budget.permit(Arc::from("a"), Flow::In);
        full.charge(10);
        let mut overdraws = budget.permit(Arc::from("a"), Flow::In);
        overdraws.grow(1).await.unwrap();
        let mut waits = budget.permit(Arc::from("a"), Flow::In);
        let body = pieces(&[20, 20], 40, Duration::from_millis(15));
        let release = async {
            runtime::sleep(RULES.pace.window * 2).await;
            drop((full, overdraws));
        };
        let activity = Activity::alone();
        let (result, ()) = tokio::join!(read(body, RULES, &activity, &mut waits), release);
        assert_eq!(result.map(|bytes| bytes.len()), Ok(40));
    });
}

#[test]
fn what_is_copied_is_counted_with_its_copy() {
    let budget = Budget::new(100, Duration::from_millis(20), Env::real(1).clock);
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
        let mut permit = budget.permit(Arc::from("a"), Flow::In);
        let rules = BodyRules { times: 2, ..RULES };
        let body = read(pieces(&[30, 10], 40, Duration::ZERO), rules, &Activity::alone(), &mut permit).await;
        assert_eq!((body.map(|body| body.len()), permit.held()), (Ok(40), 80));
    });
}

#[test]
fn memory_grows_ahead_of_what_comes_but_not_beyond_what_was_declared() {
    for (declared, capacity) in [(0, 20), (30, 30), (1000, 80)] {
        let mut gathered = Gathered::default();
        gathered.add(Bytes::from_static(&[1; 10]), declared);
        assert_eq!(gathered.rest.capacity(), 0, "one piece is not copied");
        gathered.add(Bytes::from_static(&[2; 10]), declared);
        assert_eq!(gathered.rest.capacity(), capacity, "{declared}");
        assert_eq!(gathered.whole(), [[1; 10], [2; 10]].concat());
    }
}
